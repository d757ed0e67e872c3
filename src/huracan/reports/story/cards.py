"""One card a pool: how many days, why they count or do not, when at the earliest, and what was measured so far."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from huracan.reports.story.facts import Standing, nearest_first
from huracan.reports.story.records import PoolCard, State, TestLine
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
class PoolFacts:
    """What a card is made of: `waiting` are reasons why hypotheses of the pool were not admitted tonight."""

    pool: str
    coins: int
    standings: tuple[Standing, ...]
    waiting: tuple[str, ...]
    frozen: bool


def pool_card(facts: PoolFacts, night: str) -> PoolCard:
    """The card of a pool as of a night (ISO date)."""
    ordered = nearest_first(facts.standings)
    state = _state(facts)
    reigning = [one for one in ordered if one.reigns]
    nearest = next(iter(reigning or ordered), None)
    observed, wanted = (nearest.observed, nearest.wanted) if nearest else (0, 0)
    return PoolCard(
        pool=facts.pool,
        title=pool_title(facts.pool, facts.coins),
        state=state,
        state_words=STATES[state],
        observed_days=observed,
        wanted_days=wanted,
        progress=_progress(nearest),
        progress_words=_progress_words(nearest),
        evidence_share=nearest.share if nearest else 0.0,
        earliest=earliest_night(nearest) if nearest else None,
        when=_when_pool(facts, ordered, night),
        why=_why_pool(facts, nearest),
        measured=f"{nearest.recipe} at {nearest.horizon}: {_measured(nearest)}"
        if nearest and _measured(nearest)
        else "",
        is_evidence=nearest is not None and nearest.observed > 0,
        lines=tuple(_line(one, night) for one in sorted(facts.standings, key=_by_horizon)),
    )


def earliest_night(one: Standing) -> str | None:
    """The ISO date of the first night that could promote it: the morning after the day that it judges."""
    return None if one.earliest_day is None or not one.is_open else day_after(one.earliest_day)


class _Cell(Protocol):
    """A recipe at a horizon."""

    @property
    def horizon(self) -> str: ...

    @property
    def recipe(self) -> str: ...


def at_horizons(found: Sequence[_Cell]) -> list[str]:
    """Each recipe once with its horizons, the shortest first."""
    horizons: dict[str, set[str]] = {}
    for one in found:
        horizons.setdefault(one.recipe, set()).add(one.horizon)
    return [f"{recipe} at {listed(sorted(horizons[recipe], key=horizon_order))}" for recipe in sorted(horizons)]


def units(one: Standing, number: int) -> str:
    """Days, or observations of several days each."""
    return counted(number, "day") if one.block_days == 1 else counted(number, f"period of {one.block_days} days")


def when_words(one: Standing, night: str) -> str:
    """When it could be promoted at the earliest, and what it takes."""
    if one.reigns:
        return "It is the champion, and its coins take no new entries." if one.suspended else "It is the champion."
    if one.status == "promoted":
        return "It was promoted; another recipe trades in its place."
    if not one.is_open:
        return f"It has ended: {ended_words(one.reason)}." if one.reason else "It has ended."
    earliest = earliest_night(one)
    if earliest is None:
        gates = f": {listed(one.gates)}" if one.gates else ""
        return f"It cannot be promoted any more{gates}."
    if one.waits_for in {"days", "positions"}:
        return f"Not before {day_words(earliest, night)}: {_still(one)}."
    return f"{_evidence_words(one)}{_forecast(one, night)}{_closed(one)}"


def why_words(one: Standing) -> str:
    """Why walked days count, or do not."""
    parts = []
    if one.looked_at_days:
        who = (
            "its makers looked at them when they chose it"
            if one.looked_at_by == "makers"
            else "nobody knows which of them its maker looked at"
        )
        parts.append(f"{counted(one.looked_at_days, 'walked day')} {_do(one.looked_at_days)} not count: {who}.")
    if one.against_champion and one.observed == 0:
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


def _still(one: Standing) -> str:
    if one.waits_for == "positions":
        return (
            f"a position was held on {one.with_position} of the {units(one, one.wanted_with_position)} that are wanted"
        )
    return _days_words(one)


def _evidence_words(one: Standing) -> str:
    days = "Enough days are observed" if one.observed >= one.wanted else _days_words(one)
    if one.share <= 0.0:
        return f"{days}; so far they speak against it."
    return f"{days}; the evidence is {share_words(one.share)} of what is needed."


def _days_words(one: Standing) -> str:
    return f"{one.observed} of {units(one, one.wanted)} {'is' if one.observed == 1 else 'are'} observed"


def _forecast(one: Standing, night: str) -> str:
    if one.nights_left is None:
        return " At the edge measured so far it never gets there."
    nights = nights_left(one)
    if nights > FURTHEST:
        return " At the edge measured so far that is more than two years away."
    return f" At the edge measured so far that takes about {counted(nights, 'more night')}, until {day_words(day_after(night, nights), night)}."


def nights_left(one: Standing) -> int:
    """Whole nights that the forecast says are missing."""
    return max(1, math.ceil(one.nights_left or 0.0)) * one.block_days


def _closed(one: Standing) -> str:
    return f" In the way: {'; '.join(one.gates)}." if one.gates else ""


def _state(facts: PoolFacts) -> State:
    if any(one.reigns and one.suspended for one in facts.standings):
        return "suspended"
    if any(one.reigns for one in facts.standings):
        return "proven"
    if facts.frozen:
        return "frozen"
    return "tested" if any(one.is_open for one in facts.standings) else "waiting"


def _progress(nearest: Standing | None) -> float:
    """How full the bar is: of days while these are too few, then of evidence."""
    if nearest is None or nearest.reigns:
        return float(nearest is not None)
    return nearest.observed / nearest.wanted if nearest.observed < nearest.wanted else nearest.share


def _progress_words(nearest: Standing | None) -> str:
    if nearest is None:
        return "no day observed"
    if nearest.reigns:
        return f"{units(nearest, nearest.observed)} observed before it was proven"
    days = f"{nearest.observed:,} of {units(nearest, nearest.wanted)} observed"
    if nearest.observed < nearest.wanted:
        return days
    return f"evidence {share_words(nearest.share)} of what is needed, {units(nearest, nearest.observed)} observed"


def _when_pool(facts: PoolFacts, ordered: list[Standing], night: str) -> str:
    reigning = [one for one in ordered if one.reigns]
    parts = [
        f"{word}: {listed(at_horizons(found))}."
        for word, found in (
            ("Suspended", [one for one in reigning if one.suspended]),
            ("Proven", [one for one in reigning if not one.suspended]),
        )
        if found
    ]
    if any(one.suspended for one in reigning):
        parts.append("Exits only, until its drawdown is down to half of what tripped the breaker.")
    if facts.frozen:
        parts.append(
            f"On three days within a year at least a third of its recipes lost more than their bounds. `huracan ledger unfreeze {facts.pool}` ends it."
        )
    nearest = next((one for one in ordered if one.is_open), None)
    if nearest is not None and not reigning:
        parts.append(f"Nearest is {nearest.recipe} at {nearest.horizon}. {when_words(nearest, night)}")
    elif not facts.standings and not facts.waiting:
        parts.append("Nothing is tested here: its coins count in the pool of their preferred instrument.")
    elif not reigning:
        parts.append("Nothing can be promoted here as things stand.")
    return " ".join(parts)


def _why_pool(facts: PoolFacts, nearest: Standing | None) -> str:
    parts = [why_words(nearest)] if nearest else []
    parts += [f"Not admitted tonight: {reason}." for reason in facts.waiting]
    if any(one.tonight == "void" for one in facts.standings):
        parts.append("Tonight's day does not count: too few coins had valid data.")
    return " ".join(part for part in parts if part)


def _line(one: Standing, night: str) -> TestLine:
    return TestLine(
        horizon=one.horizon,
        recipe=one.recipe,
        status="champion" if one.reigns else one.status,
        share=one.share,
        earliest=earliest_night(one),
        when=when_words(one, night),
        observed=_observed_words(one),
        walked=_walked_words(one),
        walked_mean_bps=one.walk_mean_bps,
        walked_low_bps=one.walk_low_bps,
        walked_high_bps=one.walk_high_bps,
        walked_days=one.walk_days,
    )


def _observed_words(one: Standing) -> str:
    if one.mean_bps is None or one.interval_bps is None:
        return ""
    low, high = one.interval_bps
    rival = " against the champion" if one.against_champion else ""
    return (
        f"{units(one, one.observed)} observed: mean {bps(one.mean_bps)} bps a day{rival}; "
        f"whatever night you look, between {bps(low)} and {bps(high)}."
    )


def _walked_words(one: Standing) -> str:
    """What the walk gave, where days of it do not count; the days that count are told by themselves."""
    if one.walk_mean_bps is None or one.walk_days <= one.observed:
        return ""
    interval = (
        ""
        if one.walk_low_bps is None or one.walk_high_bps is None
        else f", 90% interval {bps(one.walk_low_bps)} to {bps(one.walk_high_bps)}"
    )
    counting = f", of which {one.observed:,} count" if one.observed else ""
    return f"{counted(one.walk_days, 'day')} walked{counting}: mean {bps(one.walk_mean_bps)} bps a day{interval}."


def _measured(one: Standing) -> str:
    """The one measurement that a card shows: of days that count where there are any, else of the walk."""
    return _observed_words(one) if one.observed else _walked_words(one)


def _by_horizon(one: Standing) -> tuple[float, str, bool, str]:
    return (*horizon_order(one.horizon), one.recipe != "linear", one.recipe)


def shown_cards(cards: Sequence[PoolCard]) -> tuple[PoolCard, ...]:
    """Cards in the order in which they matter: what needs an act, what is proven, then as they come."""
    order: dict[State, int] = {"suspended": 0, "frozen": 1, "proven": 2, "tested": 3, "waiting": 4}
    return tuple(sorted(cards, key=lambda card: order[card.state]))
