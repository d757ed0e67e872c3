"""Who listens to a night of the command line: its log file, what a person sees meanwhile, and what must be said at the
end.
"""

import shutil
import sys
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from huracan.adapters.telemetry import FanOut, StructlogTelemetry
from huracan.adapters.telemetry.run_log import RunLog
from huracan.cli.following import Following, duration, ended_in_words
from huracan.cli.notices import Notices
from huracan.ports import Telemetry


@contextmanager
def watched(notices: Notices, *, as_json: bool = False, verbose: bool = False) -> Iterator[Telemetry]:
    """The telemetry of one night. A terminal shows one live panel, a pipe a line a step, `as_json` the log's lines.

    Everything goes to stderr, since stdout belongs to the result. Log lines go to a file in the workdir; `verbose`
    shows them as well. However the night ends, the terminal is as it was before.
    """
    with ExitStack() as stack:
        log, night = stack.enter_context(closing(RunLog())), Following()
        listeners: dict[str, Telemetry] = {"log file": log, "notices": notices, "display": night}
        if not as_json:
            console = Console(stderr=True, highlight=False)
            stack.callback(_last_line, night, log)
            if console.is_terminal and not console.is_dumb_terminal:
                from huracan.cli.panel import NightPanel

                stack.enter_context(NightPanel(night, log, console))
            else:
                listeners["lines of steps"] = PlainLines(night)
        if as_json or verbose:
            lines = StructlogTelemetry(as_json=as_json or None, progress=False)
            listeners["log lines"] = stack.enter_context(closing(lines))
        yield FanOut(listeners)


class PlainLines:
    """One line on stderr when a step is over, without control characters."""

    def __init__(self, night: Following) -> None:
        self._night = night

    def event(self, name: str, **_: Any) -> None:
        """Write the line of a step that has ended; `Following` has counted it before."""
        if name in {"stage_finished", "stage_failed"}:
            step = self._night.steps[-1]
            _say(f"{datetime.now(UTC):%H:%M:%S} step {step.number} of 9: {step.words}, {ended_in_words(step)}")

    def progress(self, stage: str, done: int, total: int) -> None:
        """Nothing."""


def _last_line(night: Following, log: RunLog) -> None:
    if log.path is not None:
        done = sum(not step.code for step in night.steps)
        _say(f"{done} of 9 steps in {duration(night.elapsed_s)}; log {shown(log.path)}")


def say_notices(notices: Notices) -> None:
    """The sentences on stderr, each once."""
    for sentence in notices.sentences():
        _say(f"note: {sentence}")


def shown(path: Path) -> str:
    """A path from here where it lies below, so that it can be copied as it stands."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _say(line: str) -> None:
    """Write a line; on a terminal no word of it is broken."""
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns
        line = textwrap.fill(line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
