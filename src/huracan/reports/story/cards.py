"""One card a pool: how many days, why they count or do not, when at the earliest, and what was measured so far."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from huracan.reports.morning import PoolCard, State, TestLine
from huracan.reports.night_summary import HypothesisRow
from huracan.reports.story.ranking import gates_of, interval_of, nearest_first, share_of
from huracan.reports.story.words import (
    bps,
    counted,
    day_after,
    day_words,
    ended_words,
    horizon_order,
    listed,
    pool_title,
    share_words,
)

FURTHEST: Final = 730
"""Nights beyond which a forecast says nothing any more; the ledger ends what is further away."""
STATES: dict[State, str] = {
    "proven": "proven",
    "suspended": "suspended",
    "frozen": "promotions frozen",
    "tested": "under test",
    "waiting": "not under test",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSituation:
    """What a card is made of: `waiting` are reasons why hypotheses of the pool were not admitted tonight."""

    pool: str
    coins: int
    rows: tuple[HypothesisRow, ...]
    waiting: tuple[str, ...]
    frozen: bool


def pool_card(pool: PoolSituation, night: str) -> PoolCard:
    """The card of a pool as of a night (ISO date)."""
    ordered = nearest_first(pool.rows)
    state = _state(pool)
    proven = [one for one in ordered if one.is_champion]
    nearest = next(iter(proven or ordered), None)
    observed, wanted = (nearest.observed_days, nearest.days_wanted) if nearest else (0, 0)
    return PoolCard(
        pool=pool.pool,
        title=pool_title(pool.pool, pool.coins),
        state=state,
        state_words=STATES[state],
        observed_days=observed,
        wanted_days=wanted,
        progress=_progress(nearest),
        progress_words=_progress_words(nearest),
        evidence_share=share_of(nearest) if nearest else 0.0,
        earliest=earliest_night(nearest) if nearest else None,
        when=_when_pool(pool, ordered, night),
        why=_why_pool(pool, nearest),
        measured=f"{nearest.recipe} at {nearest.horizon}: {_measured(nearest)}"
        if nearest and _measured(nearest)
        else "",
        is_evidence=nearest is not None and nearest.observed_days > 0,
        lines=tuple(_line(one, night) for one in sorted(pool.rows, key=_by_horizon)),
    )


def earliest_night(one: HypothesisRow) -> str | None:
    """The ISO date of the first night that could promote it: the morning after the day that it evaluates."""
    return None if one.earliest_day is None or not one.is_open else day_after(one.earliest_day)


class _Named(Protocol):
    """A recipe at a horizon."""

    @property
    def horizon(self) -> str: ...

    @property
    def recipe(self) -> str: ...


def at_horizons(found: Sequence[_Named]) -> list[str]:
    """Each recipe once with its horizons, the shortest first."""
    horizons: dict[str, set[str]] = {}
    for one in found:
        horizons.setdefault(one.recipe, set()).add(one.horizon)
    return [f"{recipe} at {listed(sorted(horizons[recipe], key=horizon_order))}" for recipe in sorted(horizons)]


def units(one: HypothesisRow, number: int) -> str:
    """Days, or observations of several days each."""
    return counted(number, "day") if one.block_days == 1 else counted(number, f"period of {one.block_days} days")


def when_words(one: HypothesisRow, night: str) -> str:
    """When it could be promoted at the earliest, and what it takes."""
    if one.is_champion:
        return "It is the champion, and its coins take no new entries." if one.suspended else "It is the champion."
    if one.status == "promoted":
        return "It was promoted; another recipe trades in its place."
    if not one.is_open:
        return f"It has ended: {ended_words(one.reason)}." if one.reason else "It has ended."
    earliest = earliest_night(one)
    if earliest is None:
        gates = f": {listed(gates_of(one))}" if one.closed_gates else ""
        return f"It cannot be promoted any more{gates}."
    if one.waits_for in {"days", "positions"}:
        return f"Not before {day_words(earliest, night)}: {_still(one)}."
    return f"{_evidence_words(one)}{_forecast(one, night)}{_closed(one)}"


def why_words(one: HypothesisRow) -> str:
    """Why days of the backtest count, or do not."""
    parts = []
    if one.looked_at_days:
        who = (
            "its makers looked at them when they chose it"
            if one.looked_at_by == "makers"
            else "which of them its maker looked at is not known"
        )
        parts.append(f"{counted(one.looked_at_days, 'backtested day')} {_do(one.looked_at_days)} not count: {who}.")
    if one.against_champion and one.observed_days == 0:
        parts.append("Against the new champion the counting starts afresh.")
    elif one.history_days:
        parts.append(
            f"{counted(one.history_days, 'day')} of the past {'counts' if one.history_days == 1 else 'count'} in full: "
            "nobody had looked at them before the recipe was entered."
        )
    if one.is_open:
        parts.append("Every night from now on adds a day, unless its data are missing.")
    return " ".join(parts)


def _do(number: int) -> str:
    return "does" if number == 1 else "do"


def _still(one: HypothesisRow) -> str:
    if one.waits_for == "positions":
        return (
            f"a position was held on {one.position_days} of the {units(one, one.position_days_wanted)} that are wanted"
        )
    return _days_words(one)


def _evidence_words(one: HypothesisRow) -> str:
    days = "Enough days are observed" if one.observed_days >= one.days_wanted else _days_words(one)
    if share_of(one) <= 0.0:
        return f"{days}; so far they speak against it."
    return f"{days}; the evidence is {share_words(share_of(one))} of what is needed."


def _days_words(one: HypothesisRow) -> str:
    return f"{one.observed_days} of {units(one, one.days_wanted)} {'is' if one.observed_days == 1 else 'are'} observed"


def _forecast(one: HypothesisRow, night: str) -> str:
    if one.nights_until_decidable is None:
        return " At the edge measured so far it never gets there."
    nights = nights_left(one)
    if nights > FURTHEST:
        return " At the edge measured so far that is more than two years away."
    return f" At the edge measured so far that takes about {counted(nights, 'more night')}, until {day_words(day_after(night, nights), night)}."


def nights_left(one: HypothesisRow) -> int:
    """Whole nights that the forecast says are missing."""
    return max(1, math.ceil(one.nights_until_decidable or 0.0)) * one.block_days


def _closed(one: HypothesisRow) -> str:
    return f" In the way: {'; '.join(gates_of(one))}." if one.closed_gates else ""


def _state(pool: PoolSituation) -> State:
    if any(one.is_champion and one.suspended for one in pool.rows):
        return "suspended"
    if any(one.is_champion for one in pool.rows):
        return "proven"
    if pool.frozen:
        return "frozen"
    return "tested" if any(one.is_open for one in pool.rows) else "waiting"


def _progress(nearest: HypothesisRow | None) -> float:
    """How full the bar is: of days while these are too few, then of evidence."""
    if nearest is None or nearest.is_champion:
        return float(nearest is not None)
    return (
        nearest.observed_days / nearest.days_wanted
        if nearest.observed_days < nearest.days_wanted
        else share_of(nearest)
    )


def _progress_words(nearest: HypothesisRow | None) -> str:
    if nearest is None:
        return "no day observed"
    if nearest.is_champion:
        return f"{units(nearest, nearest.observed_days)} observed before it was proven"
    days = f"{nearest.observed_days:,} of {units(nearest, nearest.days_wanted)} observed"
    if nearest.observed_days < nearest.days_wanted:
        return days
    return (
        f"evidence {share_words(share_of(nearest))} of what is needed, {units(nearest, nearest.observed_days)} observed"
    )


def _when_pool(pool: PoolSituation, ordered: list[HypothesisRow], night: str) -> str:
    proven = [one for one in ordered if one.is_champion]
    parts = [
        f"{word}: {listed(at_horizons(found))}."
        for word, found in (
            ("Suspended", [one for one in proven if one.suspended]),
            ("Proven", [one for one in proven if not one.suspended]),
        )
        if found
    ]
    if any(one.suspended for one in proven):
        parts.append("Exits only, until its drawdown is down to half of what tripped the breaker.")
    if pool.frozen:
        parts.append(
            f"On three days within a year at least a third of its recipes lost more than their bounds. `huracan ledger unfreeze {pool.pool}` ends it."
        )
    nearest = next((one for one in ordered if one.is_open), None)
    if nearest is not None and not proven:
        parts.append(f"Nearest is {nearest.recipe} at {nearest.horizon}. {when_words(nearest, night)}")
    elif not pool.rows and not pool.waiting:
        parts.append("Nothing is tested here: its coins count in the pool of their preferred instrument.")
    elif not proven:
        parts.append("Nothing can be promoted here as things stand.")
    return " ".join(parts)


def _why_pool(pool: PoolSituation, nearest: HypothesisRow | None) -> str:
    parts = [why_words(nearest)] if nearest else []
    parts += [f"Not admitted tonight: {reason}." for reason in pool.waiting]
    if any(one.tonight == "void" for one in pool.rows):
        parts.append("Tonight's day does not count: too few coins had valid data.")
    return " ".join(part for part in parts if part)


def _line(one: HypothesisRow, night: str) -> TestLine:
    return TestLine(
        horizon=one.horizon,
        recipe=one.recipe,
        status="champion" if one.is_champion else one.status,
        share=share_of(one),
        earliest=earliest_night(one),
        when=when_words(one, night),
        observed=_observed_words(one),
        backtested=_backtested_words(one),
        backtested_mean_bps=one.backtest_mean_bps,
        backtested_low_bps=one.backtest_low_bps,
        backtested_high_bps=one.backtest_high_bps,
        backtested_days=one.backtest_days,
    )


def _observed_words(one: HypothesisRow) -> str:
    interval = interval_of(one)
    if one.mean_bps is None or interval is None:
        return ""
    low, high = interval
    rival = " against the champion" if one.against_champion else ""
    return (
        f"{units(one, one.observed_days)} observed: mean {bps(one.mean_bps)} bps a day{rival}; "
        f"whatever night you look, between {bps(low)} and {bps(high)}."
    )


def _backtested_words(one: HypothesisRow) -> str:
    """What the backtest gave, where days of it do not count; the days that count have a sentence of their own."""
    if one.backtest_mean_bps is None or one.backtest_days <= one.observed_days:
        return ""
    interval = (
        ""
        if one.backtest_low_bps is None or one.backtest_high_bps is None
        else f", 90% interval {bps(one.backtest_low_bps)} to {bps(one.backtest_high_bps)}"
    )
    counting = f", of which {one.observed_days:,} count" if one.observed_days else ""
    return f"{counted(one.backtest_days, 'day')} backtested{counting}: mean {bps(one.backtest_mean_bps)} bps a day{interval}."


def _measured(one: HypothesisRow) -> str:
    """The one measurement that a card shows: of days that count where there are any, else of the backtest."""
    return _observed_words(one) if one.observed_days else _backtested_words(one)


def _by_horizon(one: HypothesisRow) -> tuple[float, str, bool, str]:
    return (*horizon_order(one.horizon), one.recipe != "linear", one.recipe)


def shown_cards(cards: Sequence[PoolCard]) -> tuple[PoolCard, ...]:
    """Cards in the order in which they matter: what needs an act, what is proven, then as they come."""
    order: dict[State, int] = {"suspended": 0, "frozen": 1, "proven": 2, "tested": 3, "waiting": 4}
    return tuple(sorted(cards, key=lambda card: order[card.state]))
