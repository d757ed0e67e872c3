"""What the extras of this distribution bring, and the error for a part whose extra is not installed.

Without an extra there is Hamilton's `predict`. ``hamilton`` adds predictions from raw bars, ``train`` everything else.
"""

from importlib.util import find_spec
from typing import Final, Literal

from huracan.errors import ConfigError, MissingExtraError

Extra = Literal["hamilton", "train"]

MODULES: Final[dict[Extra, tuple[str, ...]]] = {
    "hamilton": ("dataframely", "numba", "polars"),
    "train": (
        "deltalake",
        "httpx2",
        "isal",
        "jinja2",
        "lightgbm",
        "obstore",
        "prometheus_client",
        "pyarrow",
        "safetensors",
        "scipy",
        "stamina",
    ),
}
"""Top-level modules by the first extra that brings them; ``train`` brings those of ``hamilton`` as well."""

NOT_ON_WINDOWS: Final = ("fcntl", "grp", "pwd", "resource", "termios")


def require_extra(extra: Extra, what: str) -> None:
    """Raise MissingExtraError where `what` cannot work because a module of the extra is not installed."""
    wanted = MODULES["hamilton"] + (MODULES["train"] if extra == "train" else ())
    missing = [name for name in wanted if find_spec(name) is None]
    if missing:
        raise _missing(what, missing, extra)


def missing_module(error: ModuleNotFoundError, what: str, extra: Extra = "train") -> ConfigError | None:
    """What to tell a user of `what` for a module that was not found; None where it is no business of an
    installation.
    """
    name = (error.name or "").partition(".")[0]
    if name in NOT_ON_WINDOWS:
        return ConfigError(f"{what} needs Linux or macOS: this system has no {name}. Hamilton's predictions work here")
    if any(name in modules for modules in MODULES.values()):
        return _missing(what, [name], extra)
    return None


def _missing(what: str, modules: list[str], extra: Extra) -> MissingExtraError:
    verb = "is" if len(modules) == 1 else "are"
    return MissingExtraError(
        f"{what} needs {', '.join(modules)}, which {verb} not installed: pip install 'huracan-engine[{extra}]'"
    )
