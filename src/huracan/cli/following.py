"""How far a night is, counted from its events: what the panel and the plain lines show."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from huracan.night.stages import INTERRUPTED, STEPS

STEP_WORDS: Final = {
    "universe": "choose the pairs",
    "ingest": "fetch and check market data",
    "features": "compute features and labels",
    "labels": "sum up what pools share",
    "train": "train and test every pair",
    "score": "score after costs",
    "consensus": "weigh the engines' votes",
    "promote": "evaluate the evidence",
    "export": "sign and publish",
}
"""The nine steps in plain words."""
_FEWEST_MEASURED: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step that is over: how long it took, and the code of what ended it (empty: it was finished)."""

    number: int
    words: str
    seconds: float
    found: str
    code: str = ""


class Following:
    """Counts the events of one night. An event costs a few additions, whatever shows them has the work.

    `now` is a monotonic clock in seconds. Another thread may read while events are emitted.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self.began = now()
        self.run_id = ""
        self.number = 0
        self.words = "prepare the night"
        self.pairs = self.members = 0
        self.skips = self.pair_horizons = 0
        self.jobs = self.ended = self.slots = self.most_running = 0
        self.running: dict[str, float] = {}
        self.failed = self.retried = 0
        self.worker_peak_bytes = 0
        self.ending = ""
        self.steps: list[Step] = []
        self._seconds: list[float] = []
        self._counted: Counter[str] = Counter()
        self._handlers: dict[str, Callable[..., None]] = {
            "run_started": self._run_started,
            "universe_built": self._universe_built,
            "backend_started": self._backend_started,
            "stage_started": self._stage_started,
            "stage_finished": self._stage_ended,
            "stage_failed": self._stage_ended,
            "skips_counted": self._skips_counted,
            "wave_started": self._wave_started,
            "wave_finished": self._wave_finished,
            "job_started": self._job_started,
            "job_finished": self._job_finished,
            "job_retried": self._job_retried,
            "job_failed": self._job_failed,
            "job_refused": self._job_failed,
            "job_cancelled": self._job_failed,
        }

    def event(self, name: str, **fields: Any) -> None:
        """Count the event."""
        handler = self._handlers.get(name)
        if handler is not None:
            handler(**fields)
        self._counted[name] += 1

    def progress(self, stage: str, done: int, total: int) -> None:
        """Nothing: waves and jobs are emitted as events too."""

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run began."""
        return self.now() - self.began

    def left_s(self) -> float | None:
        """Seconds until the jobs of this wave are done, by those that are; None before the first ones are measured.

        Answers from the cache are not measured: they would promise that the others are as quick.
        """
        seconds = self._seconds
        if len(seconds) < min(_FEWEST_MEASURED, self.jobs) or not seconds:
            return None
        now = self.now()
        spent = sum(now - since for since in list(self.running.values()))
        work = sum(seconds) / len(seconds) * (self.jobs - self.ended)
        return max(0.0, work - spent) / max(1, self.most_running)

    def _run_started(self, *, run_id: str, **_: Any) -> None:
        self.run_id = run_id

    def _universe_built(self, *, members: int, pairs: int, **_: Any) -> None:
        self.members, self.pairs = members, pairs

    def _backend_started(self, *, slots: int, **_: Any) -> None:
        self.slots = slots

    def _stage_started(self, *, step: str, number: int, **_: Any) -> None:
        self.number, self.words = number, STEP_WORDS[step]
        self.jobs = self.ended = self.failed = self.retried = 0
        self._counted.clear()
        self._seconds = []

    def _stage_ended(self, *, step: str, number: int, seconds: float, code: str = "", **_: Any) -> None:
        self.ending = code
        self.steps.append(Step(number=number, words=STEP_WORDS[step], seconds=seconds, found=self._found(), code=code))
        self.jobs = 0

    def _skips_counted(self, *, skips: int, cells: int, **_: Any) -> None:
        self.skips, self.pair_horizons = skips, cells

    def _wave_started(self, *, jobs: int, **_: Any) -> None:
        self.jobs, self.ended, self.most_running = jobs, 0, 0
        self.running, self._seconds = {}, []

    def _wave_finished(self, **_: Any) -> None:
        self.running = {}

    def _job_started(self, *, coin: str, **_: Any) -> None:
        self.running[coin] = self.now()
        self.most_running = max(self.most_running, len(self.running))

    def _job_finished(self, *, coin: str, peak_memory_bytes: int | None, cached: bool | None, **_: Any) -> None:
        since = self.running.pop(coin, None)
        if since is not None and not cached:
            self._seconds.append(self.now() - since)
        self.worker_peak_bytes = max(self.worker_peak_bytes, peak_memory_bytes or 0)
        self.ended += 1

    def _job_retried(self, *, coin: str, **_: Any) -> None:
        self.running.pop(coin, None)
        self.retried += 1

    def _job_failed(self, *, coin: str, **_: Any) -> None:
        self.running.pop(coin, None)
        self.failed += 1
        self.ended += 1

    def _found(self) -> str:
        """What a step that is over has counted, in words."""
        counted, step = self._counted, STEPS[self.number - 1]
        rare = [f"{self.failed} without a result"] if self.failed else []
        rare += [f"{self.retried} repeated"] if self.retried else []
        many = {
            "universe": f"{self.members} of {self.pairs} pairs",
            "score": _many(counted["recipe_scored"], "model"),
            "consensus": _many(counted["consensus_reached"], "forecast"),
            "promote": _many(counted["pool_evaluated"], "line") + " of evidence",
        }.get(step, _many(counted["job_finished"] + self.failed, "job") if counted["wave_started"] else "")
        skips = (
            [f"skips so far {self.skips} of {self.pair_horizons}"]
            if self.pair_horizons and counted["skips_counted"]
            else []
        )
        return ", ".join([*([many] if many else []), *rare, *skips])


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count:,} {what}s"


def ended_in_words(step: Step) -> str:
    """How a step ended: its time and what it found, or why it was stopped."""
    took = duration(step.seconds)
    if step.code:
        why = "interrupted" if step.code == INTERRUPTED else step.code
        return f"stopped after {took}: {why}"
    return f"{took}, {step.found}" if step.found else took


def duration(seconds: float) -> str:
    """A time a person reads at a glance.

    >>> [duration(s) for s in (0.4, 42.2, 187.0, 5400.0)]
    ['0.4 s', '42 s', '3 min 7 s', '1 h 30 min']
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def roughly(seconds: float) -> str:
    """An estimate without digits it cannot know.

    >>> [roughly(s) for s in (3.0, 47.0, 75.0, 340.0, 5000.0)]
    ['a few seconds', '50 s', '1 min', '6 min', '1 h 23 min']
    """
    if seconds < 8:
        return "a few seconds"
    return f"{round(seconds, -1):.0f} s" if seconds < 55 else duration(60.0 * max(1, round(seconds / 60)))
