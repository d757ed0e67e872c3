"""The sentence that a morning begins with: by what matters most."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from huracan.reports.morning import Mood
from huracan.reports.night_summary import HypothesisRow, NightSummary
from huracan.reports.story.cards import FURTHEST, at_horizons, earliest_night, nights_left, units
from huracan.reports.story.ranking import share_of
from huracan.reports.story.words import (
    counted,
    day_after,
    day_words,
    days_between,
    in_pool,
    listed,
    share_words,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A champion that came or went tonight; `recipe` is the name of the one concerned."""

    pool: str
    horizon: str
    recipe: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """All that decides the headline. `rows` are ordered by nearness, `lost` of `wanted` pairs gave no data, `champions`
    counts coins.
    """

    night: str
    rows: Sequence[HypothesisRow]
    changes: Sequence[Change]
    frozen: Sequence[str]
    waiting: Sequence[str]
    champions: int
    void_pools: Sequence[str]
    lost: int
    wanted: int


def headline(now: Situation) -> tuple[Mood, str]:
    """The mood of the morning and its first sentence."""
    fallen = [change for change in now.changes if change.reason != "promoted"]
    promoted = [change for change in now.changes if change.reason == "promoted"]
    suspended = [one for one in now.rows if one.is_champion and one.suspended]
    proven = [one for one in now.rows if one.is_champion]
    if fallen:
        return "bad", _fallen(fallen)
    if suspended:
        return (
            "bad",
            f"Suspended: {_named(suspended)}. Close what is open and enter nothing; the drawdown breaker tripped.",
        )
    if promoted:
        return "good", f"Promoted tonight: {_named(promoted)}. {_tradable(now.champions)}"
    if now.frozen:
        pools = listed([in_pool(pool) for pool in now.frozen])
        return "bad", f"Promotions are frozen in {pools}: on three days many recipes broke their bounds at once."
    if now.void_pools:
        many = len(now.void_pools) > 2
        pools = f"any of {len(now.void_pools)} pools" if many else listed([in_pool(pool) for pool in now.void_pools])
        if not now.lost:
            return "bad", f"Tonight does not count for {pools}: too few coins had valid data."
        return (
            "bad",
            f"{now.lost} of {counted(now.wanted, 'pair')} gave no usable data, so tonight does not count for {pools}.",
        )
    if now.wanted and now.lost >= 0.2 * now.wanted:
        return "bad", f"{now.lost} of {counted(now.wanted, 'pair')} gave no usable data tonight."
    if proven:
        return "good", f"Proven: {_named(proven)}. {_tradable(now.champions)}"
    return "plain", _nothing_proven(now)


def refused_headline(code: str, error: str) -> str:
    """A refused night's first sentence."""
    first = error.split(". ", maxsplit=1)[0].split("; ", maxsplit=1)[0].rstrip(".")
    return f"The night was refused ({code}): {first}."


def _fallen(fallen: Sequence[Change]) -> str:
    verbs = {"demoted": "Demoted tonight", "rolled_back": "Rolled back tonight"}
    by_verb: dict[str, list[Change]] = {}
    for change in fallen:
        by_verb.setdefault(verbs.get(change.reason, "Ended tonight"), []).append(change)
    parts = [f"{verb}: {_named(changes)}" for verb, changes in by_verb.items()]
    return f"{'; '.join(parts)}. Enter nothing new on its account."


def _named(found: Sequence[HypothesisRow | Change]) -> str:
    """Recipes with their horizons, the shortest first, a pool named once."""
    by_pool: dict[str, list[HypothesisRow | Change]] = {}
    for one in found:
        by_pool.setdefault(one.pool, []).append(one)
    return listed([f"{listed(at_horizons(same))} in {in_pool(pool)}" for pool, same in by_pool.items()])


def _tradable(champions: int) -> str:
    if not champions:
        return "No coin passes its own filter tonight, so nothing may be traded."
    return f"{counted(champions, 'coin')} may be traded."


def _nothing_proven(now: Situation) -> str:
    open_ones = [one for one in now.rows if one.is_open]
    if not open_ones:
        if now.waiting:
            return f"Nothing is proven, and nothing is under test yet: {now.waiting[0]}."
        return "Nothing is proven, and nothing is under test."
    nearest = open_ones[0]
    earliest = earliest_night(nearest)
    if earliest is None:
        return "Nothing is proven, and nothing under test can be promoted any more."
    if nearest.waits_for in {"days", "positions"}:
        nights = nearest.nights + _nights_to(nearest, now.night)
        scope = "nothing under test" if now.waiting else "nothing"
        return (
            f"Night {nearest.nights} of at least {nights}: {scope} can be promoted before "
            f"{day_words(earliest, now.night)}, because {_because(nearest)}."
        )
    best = max(open_ones, key=lambda one: (-(one.nights_until_decidable or 1e9), share_of(one)))
    return f"Night {best.nights}: nothing is proven. The nearest is {_named([best])}, {_distance(best, now.night)}."


def _nights_to(one: HypothesisRow, night: str) -> int:
    earliest = earliest_night(one)
    assert earliest is not None
    return days_between(night, earliest)


def _because(one: HypothesisRow) -> str:
    if one.waits_for == "positions":
        return (
            f"a position was held on {one.position_days} of the {units(one, one.position_days_wanted)} that are wanted"
        )
    if one.against_champion and one.observed_days == 0:
        return "against a new champion the counting starts afresh"
    if one.looked_at_days and one.observed_days == 0:
        if one.looked_at_by == "makers":
            return "days that the makers looked at do not count"
        return "days before a recipe of your own was entered do not count"
    return f"{one.observed_days} of the {units(one, one.days_wanted)} that are needed {'is' if one.observed_days == 1 else 'are'} observed"


def _distance(one: HypothesisRow, night: str) -> str:
    if share_of(one) <= 0.0:
        return "and its days so far speak against it"
    distance = f"with {share_words(share_of(one))} of the evidence that is needed"
    if one.nights_until_decidable is None:
        return f"{distance}; at its measured edge it never gets there"
    nights = nights_left(one)
    if nights > FURTHEST:
        return f"{distance}: more than two years away at its measured edge"
    return f"{distance}: about {counted(nights, 'night')} more at its measured edge, {day_words(day_after(night, nights), night)}"


def changes_of(summary: NightSummary, names: Mapping[str, str]) -> tuple[Change, ...]:
    """Tonight's promotions and demotions; `names` are recipe names by id."""
    found = []
    for row in (*summary.promotions, *summary.demotions):
        recipe = row.recipe_id if row.reason == "promoted" else row.predecessor
        found.append(Change(pool=row.pool, horizon=row.horizon, recipe=names.get(recipe, recipe), reason=row.reason))
    return tuple(found)
