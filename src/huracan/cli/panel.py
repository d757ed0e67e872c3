"""One live panel for a night on a terminal: the step, its bar, what is running, the time left, skips and memory."""

import os
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any, Final, Self

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from huracan.adapters.telemetry.memory import resident_bytes
from huracan.adapters.telemetry.run_log import RunLog
from huracan.cli.following import Following, duration, roughly
from huracan.night.stages import INTERRUPTED, STEPS

WIDEST: Final = 96
"""No wider than this: lines that fill a terminal break when it is made narrower."""
NARROW: Final = 60
PER_SECOND: Final = 4.0
SHOWN_PAIRS: Final = 8
MB: Final = 1 << 20


class NightPanel:
    """Shows a `Following` on stderr until closed, four times a second from a thread of its own; then it is gone.

    Whatever is written to stderr meanwhile appears above it.
    """

    def __init__(self, night: Following, log: RunLog, console: Console) -> None:
        self._night, self._log, self._console = night, log, console
        self._before: Any = None
        self._live = Live(
            get_renderable=self.picture,
            console=console,
            refresh_per_second=PER_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=True,
        )

    def __enter__(self) -> Self:
        self._live.start()
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._terminated)
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def _terminated(self, number: int, _frame: FrameType | None) -> None:
        """End as without a panel, but give the terminal its cursor back first."""
        self.__exit__()
        os.kill(os.getpid(), number)

    def picture(self) -> RenderableType:
        """The panel as it stands now."""
        width = min(self._console.width, WIDEST)
        return Panel(
            Group(*picture(self._night, self._log.path, resident_bytes(), narrow=width < NARROW)),
            title=Text(f"night {self._night.run_id}" if self._night.run_id else "night", style="bold", no_wrap=True),
            title_align="left",
            box=box.ROUNDED,
            width=width,
            padding=(0, 1),
        )


def picture(night: Following, log: Path | None, driver_bytes: int, *, narrow: bool = False) -> list[RenderableType]:
    """The lines of the panel, each one row high at any width. The worker's memory is the most that any has had."""
    step = f"{night.number}/{len(STEPS)}" if narrow else f"step {night.number} of {len(STEPS)}"
    head = _row(Text.assemble((step, "bold cyan"), "  ", night.words), Text(duration(night.elapsed_s)))
    return [head, _bar(night), _facts(night, log, driver_bytes)]


def _row(left: RenderableType, right: RenderableType) -> Table:
    row = Table.grid(expand=True, padding=(0, 1))
    row.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    row.add_column(no_wrap=True, justify="right")
    row.add_row(left, right)
    return row


def _bar(night: Following) -> Table:
    jobs = night.jobs
    bar = ProgressBar(
        total=jobs or None,
        completed=night.ended,
        pulse=not jobs,
        animation_time=night.now(),
        complete_style="cyan",
        finished_style="cyan",
        pulse_style="cyan",
    )
    return _row(bar, Text(f"{night.ended} of {jobs} jobs") if jobs else Text(""))


def _facts(night: Following, log: Path | None, driver_bytes: int) -> Table:
    table = Table.grid(expand=True, padding=(0, 1))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    rare = [f"{night.retried} repeated"] if night.retried else []
    rare += [f"{night.failed} without a result"] if night.failed else []
    skips = f"{night.skips} of {night.pair_horizons} so far" if night.pair_horizons else "none known yet"
    worker = f", worker {night.worker_peak_bytes / MB:,.0f} MB" if night.worker_peak_bytes else ""
    rows = {
        "left": _left(night),
        "running": _running(night),
        "skips": ", ".join([skips, *rare]),
        "memory": f"driver {driver_bytes / MB:,.0f} MB{worker}",
        "log": _short(log),
    }
    for name, value in rows.items():
        table.add_row(name, Text(value, no_wrap=True, overflow="ellipsis"))
    return table


def _left(night: Following) -> str:
    if night.ending:
        return "stopping after Ctrl-C" if night.ending == INTERRUPTED else f"stopping: {night.ending}"
    if not night.jobs:
        return "not known for this step"
    if night.ended >= night.jobs:
        return "the jobs of this step are done"
    left = night.left_s()
    return "ETA after the first jobs" if left is None else f"about {roughly(left)} in this step"


def _running(night: Following) -> str:
    names = list(night.running)
    if not names:
        return "no pair"
    more = f" and {len(names) - SHOWN_PAIRS} more" if len(names) > SHOWN_PAIRS else ""
    return f"{', '.join(names[:SHOWN_PAIRS])}{more}"


def _short(log: Path | None) -> str:
    """The log's place, from here where that is shorter."""
    if log is None:
        return "not open yet"
    here = Path.cwd()
    return str(log.relative_to(here) if log.is_relative_to(here) else log)
