"""What the live page says in lines: the stages of a night, its jobs and events, why coins were skipped, what the store
serves.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from huracan.domain.time import DAY_MS, HOUR_MS, MINUTE_MS
from huracan.reports.night_summary import SkippedRow
from huracan.reports.progress import Progress

SHOWN_JOBS: Final = 24
SHOWN_COINS: Final = 6
STALE_MS: Final = 26 * HOUR_MS
STAGES: Final = {
    "universe": ("Universe", "step 1"),
    "ingest": ("Ingest", "step 2"),
    "prepare": ("Features, labels", "steps 3-4"),
    "train": ("Train, score, vote", "steps 5-7"),
    "judge": ("Evaluate", "step 8"),
    "publish": ("Publish", "step 9"),
}
EVENTS: Final = {
    "universe_built": "universe built",
    "job_retried": "job starts again",
    "job_failed": "job failed",
    "worker_lost": "worker lost",
    "backend_lost": "backend lost",
    "pool_frozen": "pool frozen",
    "export_failed": "export failed",
    "set_published": "set published",
    "keys_created": "signing keys made",
    "root_key_unprotected": "root key unprotected",
    "champion_demoted": "champion demoted",
}
_BAD: Final = frozenset({"job_failed", "worker_lost", "backend_lost", "pool_frozen", "export_failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StageLine:
    """A stage with what is known of it."""

    title: str
    steps: str
    state: Literal["now", "stopped", "done", "waiting"]
    time: str
    done: int | None
    total: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLine:
    """A job at work."""

    coin: str
    wave: str
    attempt: int
    time: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """The jobs that are shown, how many there are, and how many of them are not shown."""

    rows: tuple[JobLine, ...]
    count: int
    more: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLine:
    """An event in a few words."""

    at_ms: int | None
    name: str
    text: str
    bad: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SkipGroup:
    """Skips of one code and step, with their commonest reason and a few of their coins; `share` is of all skips."""

    code: str
    step: int | None
    count: int
    share: float
    reason: str
    other_reasons: int
    coins: tuple[str, ...]
    more: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """The store against the newest night, in one word and one sentence."""

    word: str
    style: Literal["good", "bad", "dim"]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NightLine:
    """A run of the ledger; times are ms UTC, counts None where it has none. `page`: whether its report is here."""

    run_id: str
    now: str
    started_ms: int
    finished_ms: int | None
    status: str
    dry_run: bool
    reason: str
    champions: int | None
    candidates: int | None
    skips: int | None
    page: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreState:
    """What a store serves: the verified set, or why none verifies. `problem` is None for a good one."""

    place: str
    problem: str | None = None
    version: int | None = None
    run_id: str | None = None
    signed_ms: int | None = None
    expires_ms: int | None = None
    champions: int = 0
    candidates: int = 0
    do_not_trade: int = 0
    copies: tuple[tuple[str, str], ...] = ()  # remote stores, each with its publish state


def stage_lines(progress: Progress, state: str, now_ms: int) -> list[StageLine]:
    """Every stage; those not begun are waiting."""
    seen = {stage.name: stage for stage in progress.stages}
    begun = [name for name in STAGES if name in seen]
    lines = []
    for name, (title, steps) in STAGES.items():
        stage = seen.get(name)
        current = bool(begun) and name == begun[-1] and state not in {"finished", "none"}
        started = stage.started_ms if stage else None
        end = (stage.ended_ms if stage else None) or (now_ms if state == "running" else progress.updated_ms)
        lines.append(
            StageLine(
                title=title,
                steps=steps,
                state=("now" if state == "running" else "stopped") if current else "done" if stage else "waiting",
                time=span(end - started) if started is not None and end is not None else "",
                done=stage.done if stage else None,
                total=stage.total if stage else None,
            )
        )
    return lines


def job_lines(progress: Progress, now_ms: int) -> Jobs:
    """The jobs at work, the longest first."""
    running = sorted(progress.running, key=lambda job: job.since_ms or 0)
    shown = tuple(
        JobLine(
            coin=job.coin,
            wave=STAGES.get(job.wave, (job.wave, ""))[0],
            attempt=job.attempt,
            time="" if job.since_ms is None else span(now_ms - job.since_ms),
        )
        for job in running[:SHOWN_JOBS]
    )
    return Jobs(rows=shown, count=len(running), more=max(0, len(running) - SHOWN_JOBS))


def event_lines(progress: Progress) -> list[EventLine]:
    """The newest events first."""
    lines = []
    for event in reversed(progress.recent):
        name, at_ms = str(event.get("event")), event.get("at_ms")
        fields = [f"{key} {value}" for key, value in event.items() if key not in {"event", "at_ms", "run_id"}]
        lines.append(
            EventLine(
                at_ms=at_ms if isinstance(at_ms, int) else None,
                name=EVENTS.get(name, name),
                text=", ".join(fields)[:240],
                bad=name in _BAD,
            )
        )
    return lines


def skip_groups(skips: Sequence[SkippedRow]) -> list[SkipGroup]:
    """The skips by code and step, the most frequent first."""
    groups: dict[tuple[str, int | None], list[SkippedRow]] = {}
    for skip in skips:
        groups.setdefault((skip.code, skip.step), []).append(skip)
    found = []
    for (code, step), rows in groups.items():
        coins = sorted({row.coin for row in rows})
        reasons = Counter(row.reason for row in rows)
        found.append(
            SkipGroup(
                code=code,
                step=step,
                count=len(rows),
                share=len(rows) / len(skips),
                reason=reasons.most_common(1)[0][0],
                other_reasons=len(reasons) - 1,
                coins=tuple(coins[:SHOWN_COINS]),
                more=max(0, len(coins) - SHOWN_COINS),
            )
        )
    return sorted(found, key=lambda group: (-group.count, group.code))


def publication_of(store: StoreState | None, nights: Sequence[NightLine], now_ms: int) -> Publication:
    """The store against the newest finished night."""
    if store is not None and store.problem is not None:
        return Publication(word="not served", style="bad", text=store.problem)
    if store is None or store.signed_ms is None or store.expires_ms is None:
        return Publication(word="nothing published", style="dim", text="The store holds no signed set yet.")
    newest = next((night for night in nights if night.status == "finished" and not night.dry_run), None)
    if now_ms > store.expires_ms:
        text = "Hamilton takes no new entries: the metadata have expired; run a night"
        return Publication(word="expired", style="bad", text=text)
    if newest is not None and newest.run_id != store.run_id and newest.started_ms > store.signed_ms:
        text = f"The newest finished night is {newest.run_id}; it is not in the store."
        return Publication(word="behind", style="bad", text=text)
    waiting = [f"{name} is {state}" for name, state in store.copies if state != "PUBLISHED"]
    if waiting:
        text = f"{'; '.join(waiting)}: `huracan publish` finishes it."
        return Publication(word="copies behind", style="bad", text=text)
    if now_ms > store.signed_ms + STALE_MS:
        text = "Signed more than 26 hours ago; Hamilton flags it as stale."
        return Publication(word="stale", style="bad", text=text)
    return Publication(word="current", style="good", text="Signed, verified from the trusted root, not stale.")


def span(ms: float) -> str:
    """A length of time in words of one or two units.

    >>> span(4_200), span(64_000), span(7_500_000), span(200_000_000)
    ('4 s', '1 min 4 s', '2 h 5 min', '2 d 7 h')
    """
    ms = max(0, int(ms))
    if ms < MINUTE_MS:
        return f"{ms // 1000} s"
    if ms < HOUR_MS:
        return f"{ms // MINUTE_MS} min {ms % MINUTE_MS // 1000} s"
    if ms < DAY_MS:
        return f"{ms // HOUR_MS} h {ms % HOUR_MS // MINUTE_MS} min"
    return f"{ms // DAY_MS} d {ms % DAY_MS // HOUR_MS} h"
