"""Faults in user-supplied code: which callable raised what, at which file and line."""

import sysconfig
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

UserCallable = Literal["data_loader", "feature_builder", "model_trainer", "validator"]

_LIBRARIES: Final = (
    Path(__file__).parents[1],
    *(Path(sysconfig.get_paths()[name]) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
)
"""Where code lies that is not user-supplied: ours, Python's and that of installed packages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserFault:
    """What a user-supplied callable raised; `place` is ``file:line`` of the innermost line of user-supplied
    code.
    """

    name: UserCallable
    error_type: str
    message: str
    place: str
    traceback: str

    @property
    def error(self) -> str:
        """Type and words of the exception."""
        return f"{self.error_type}: {self.message}"

    @property
    def reason(self) -> str:
        """The fault in a line."""
        return f"{self.name} raised {self.error} ({self.place})"


def user_fault(name: UserCallable, error: Exception) -> UserFault:
    """The fault behind an exception of user-supplied code."""
    return UserFault(
        name=name,
        error_type=type(error).__name__,
        message=str(error),
        place=place_of(error),
        traceback="".join(traceback.format_exception(error)),
    )


def place_of(error: Exception) -> str:
    """``file:line`` of the innermost line outside of ours and of libraries; of the innermost line where all are
    inside.
    """
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _is_library(frame.filename)]
    frame = (own or frames)[-1]
    return f"{frame.filename}:{frame.lineno}"


def _is_library(file: str) -> bool:
    return file.startswith("<frozen ") or any(Path(file).is_relative_to(folder) for folder in _LIBRARIES)
