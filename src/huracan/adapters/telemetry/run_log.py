"""The log of one night in its own workdir: JSON lines, one file a run, those of the last nights kept."""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from huracan.adapters.disk import make_folders
from huracan.adapters.telemetry.log import StructlogTelemetry
from huracan.ports import EventFields, EventValue

LOGS: Final = "logs"
PRIVATE: Final = 0o700
"""Lines hold forecasts, which only this user may read."""
KEPT: Final = 30
"""How many nights' logs stay."""


class RunLog:
    """Writes every event to ``{workdir}/logs/{run_id}.log``; `path` says where, None while nothing is written.

    What is emitted before the run holds its workdir waits in memory: a run that was locked out leaves no file. A run
    that ends before it has an id keeps the time of its start as its log's name.
    """

    def __init__(self) -> None:
        self.path: Path | None = None
        self._log: StructlogTelemetry | None = None
        self._waiting: list[tuple[str, EventFields]] = []

    def event(self, name: str, **fields: EventValue) -> None:
        """One line; raises OSError where it cannot be written."""
        if name == "workdir_opened":
            self._open(Path(str(fields["folder"])) / LOGS)
        if self._log is None:
            self._waiting.append((name, fields))
            return
        if name == "run_started":
            self._rename(str(fields["run_id"]))
        self._write(name, fields)

    def progress(self, stage: str, done: int, total: int) -> None:
        """Nothing: jobs are events too."""

    def close(self) -> None:
        """Close the file. What a full disk has kept from it is lost, and the night has its own code for that."""
        if self._log is not None:
            with suppress(OSError):
                self._log.close()

    def _open(self, folder: Path) -> None:
        self.close()
        make_folders(folder, PRIVATE)
        path = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S}.log"
        self._log = StructlogTelemetry(file=path, progress=False)
        self.path = path
        _forget(folder)
        waiting, self._waiting = self._waiting, []
        for name, fields in waiting:
            self._write(name, fields)

    def _write(self, name: str, fields: EventFields) -> None:
        assert self._log is not None
        self._log.event(name, **fields)

    def _rename(self, run_id: str) -> None:
        """Name the open file after the run; the handle stays."""
        assert self.path is not None
        self.path = self.path.replace(self.path.with_name(f"{run_id}.log"))


def _forget(folder: Path) -> None:
    logs = sorted(folder.glob("*.log"), key=lambda file: file.stat().st_mtime)
    for old in logs[:-KEPT]:
        with suppress(OSError):
            old.unlink()
