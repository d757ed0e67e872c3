"""The command line as a program sees it: arguments in; exit status, stdout and stderr out."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from huracan.cli.main import main


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object on stdout; fails when anything else stands there."""
        return json.loads(self.out)


@pytest.fixture
def huracan(capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Runs a command in this process."""

    def run(*arguments: object) -> Answer:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Answer(status=int(ended.value.code or 0), out=captured.out, err=captured.err)

    return run


@pytest.fixture
def reader(finished_night, tmp_path):
    """The finished night with its trusted root, read by a user whose own state lies elsewhere."""
    from nights import trust_variables, variables

    with variables({**trust_variables(finished_night.folder), "HURACAN_STATE_DIR": str(tmp_path / "state")}):
        yield finished_night
