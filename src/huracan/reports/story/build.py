"""The story of a night from its summary, of a refused one from its error, and of an earlier one from its file."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from huracan.reports.story.cards import FURTHEST, PoolFacts, earliest_night, nights_left, pool_card, shown_cards
from huracan.reports.story.facts import Standing, entries_closed, nearest_first, standing_of
from huracan.reports.story.headline import Situation, changes_of, headline, refused_headline
from huracan.reports.story.records import Morning, Pick
from huracan.reports.story.sections import (
    DataFacts,
    Spent,
    changes,
    cost,
    losses_of,
    marks_of,
    missing,
    shortlist,
)
from huracan.reports.story.words import counted, day_after, day_words, listed

if TYPE_CHECKING:
    from pydantic import TypeAdapter

KEY: Final = "morning"
"""Where a summary keeps its story."""
SIMULATED: Final = "Simulated market (demo): nothing here is evidence."
"""What stands above everything that is told of a night of the demo."""


def morning_of(
    summary: Mapping[str, Any],
    *,
    before: Morning | None = None,
    data: DataFacts | None = None,
    spent: Spent | None = None,
    simulated: bool = False,
) -> Morning:
    """The story of a finished night; `before` is that of the night before it, None where there was none."""
    night = str(summary["data_cutoff"])[:10]
    standings = nearest_first(tuple(standing_of(row) for row in summary["evidence"]))
    ids = {row["recipe_id"]: row["recipe"] for row in summary["evidence"]}
    waiting = tuple(row["reason"] for row in summary.get("waiting", ()))
    losses = losses_of(summary["skipped"], summary["coins_processed"])
    mood, sentence = headline(
        Situation(
            night=night,
            standings=standings,
            changes=changes_of(summary, ids),
            frozen=summary.get("frozen_pools", ()),
            waiting=waiting,
            champions=len({row["coin"] for row in summary["champions"]}),
            void_pools=_void(standings),
            lost=losses.lost,
            wanted=losses.wanted,
        )
    )
    picks, note = shortlist(summary["candidates"], entries_closed(summary))
    trained = {coin for pool in summary["pools"] for coin in pool["members"]}
    marks = marks_of(summary, standings, trained)
    ended = [one for one in standings if one.status == "expired"]
    return Morning(
        night=night,
        mood=mood,
        headline=sentence,
        warning=SIMULATED if simulated else "",
        needed=_needed(standings, night),
        todo=_todo(summary, standings, picks),
        cards=_cards(summary, standings, night),
        shortlist=picks,
        shortlist_note=note,
        changes=changes(
            marks,
            before.marks if before else None,
            night=night,
            night_before=before.night if before else night,
            ended=ended,
        ),
        missing=missing(losses, standings, data or DataFacts(), waiting),
        cost=cost(summary, spent),
        remarks=tuple(str(note) for note in summary.get("notes", ())),
        marks=marks,
    )


def refused_morning(
    night: str, code: str, error: str, *, how_far: str, published: bool, simulated: bool = False
) -> Morning:
    """The story of a night that was refused; `how_far` names the step, `published` says whether a set was signed before."""
    stands = (
        "The set of tonight was signed before the night ended; `huracan champions list` shows what is served."
        if published
        else "Nothing was promoted and nothing was signed; what the store served before, it serves still."
    )
    return Morning(
        night=night,
        mood="bad",
        headline=refused_headline(code, error),
        warning=SIMULATED if simulated else "",
        needed=(stands, f"It came as far as {how_far}." if how_far else "It had not begun its first step."),
        todo=(
            *_advice(error),
            "Run it again when that is mended: what is done is kept, and the missed night is caught up in order.",
            "`huracan doctor` says what else is doubtful.",
        ),
    )


def _advice(error: str) -> tuple[str, ...]:
    """What an error says after its first sentence, which the headline has."""
    rest = error.split("; ", 1)[-1] if "; " in error.partition(". ")[0] else error.partition(". ")[2]
    rest = rest.strip().rstrip(".")
    return (f"{rest[0].upper()}{rest[1:]}.",) if rest else ()


def read_morning(summary: Mapping[str, Any] | None) -> Morning | None:
    """The story that a stored summary carries; None where an earlier version wrote it, or something else did."""
    from pydantic import ValidationError

    try:
        return _codec().validate_python((summary or {}).get(KEY))
    except ValidationError:
        return None


@cache
def _codec() -> "TypeAdapter[Morning]":
    from pydantic import TypeAdapter

    return TypeAdapter(Morning)


def _void(standings: list[Standing]) -> tuple[str, ...]:
    return tuple(sorted({one.pool for one in standings if one.tonight == "void"}))


def _cards(summary: Mapping[str, Any], standings: list[Standing], night: str) -> Any:
    waiting: dict[str, list[str]] = {}
    for row in summary.get("waiting", ()):
        waiting.setdefault(row["pool"], []).append(row["reason"])
    coins = {pool["pool"]: len(pool["members"]) for pool in summary["pools"]}
    names = list(dict.fromkeys([*(one.pool for one in standings), *sorted(waiting), *sorted(coins)]))
    facts = [
        PoolFacts(
            pool=name,
            coins=coins.get(name, 0),
            standings=tuple(one for one in standings if one.pool == name),
            waiting=tuple(dict.fromkeys(waiting.get(name, ()))),
            frozen=name in summary.get("frozen_pools", ()),
        )
        for name in names
    ]
    return shown_cards([pool_card(one, night) for one in facts])


def _needed(standings: list[Standing], night: str) -> tuple[str, ...]:
    if not standings:
        return ()
    one = standings[0]
    wanted = (
        f"A promotion needs {one.wanted} days that count, {one.wanted_with_position} of them with a position, a result above zero at "
        "1.5 times the costs, a bounded drawdown, and enough evidence."
    )
    alpha = (
        f"However often you look, at most {one.alpha:.0%} of a year's promoted pools are expected to be false "
        f"({2 * one.alpha:.0%} in all, with single coins)."
    )
    return (*_next_promotion(standings, night), wanted, alpha)


def _next_promotion(standings: list[Standing], night: str) -> tuple[str, ...]:
    """When the next promotion is to be expected, with the bound behind it; the bound alone while days are too few."""
    earliest = earliest_night(standings[0])
    if earliest is None:
        return ()
    which = "further promotion" if any(one.reigns for one in standings) else "promotion"
    bound = "if each night until then brings a day that counts and all of them are good"
    if standings[0].waits_for in {"days", "positions"}:
        return (f"Earliest {which}: {day_words(earliest, night)}, {bound}.",)
    nights = min((nights_left(one) for one in standings if one.is_open and one.nights_left is not None), default=None)
    if nights is None or nights > FURTHEST:
        told = "at the edges measured so far, none within two years"
    else:
        told = f"about {day_words(day_after(night, nights), night)}, {counted(nights, 'more night')} at the edge measured so far"
    return (f"Next {which}: {told}. Not before {day_words(earliest, night)}, {bound}.",)


def _todo(summary: Mapping[str, Any], standings: list[Standing], picks: Sequence[Pick]) -> tuple[str, ...]:
    told = []
    if any(one.reigns and one.suspended for one in standings):
        told.append("Close the positions of suspended champions; Hamilton refuses new entries by itself.")
    if summary.get("frozen_pools"):
        commands = listed([f"`huracan ledger unfreeze {pool} --note TEXT`" for pool in summary["frozen_pools"]])
        told.append(f"Look at the days that broke the bounds, then end the freeze: {commands}.")
    reigning = [one for one in standings if one.reigns]
    if summary["champions"] and not (reigning and all(one.suspended for one in reigning)):
        told.append("See what may be traded: `huracan champions list`.")
    elif not summary["champions"]:
        told.append("Trade nothing with money: every coin is on the do-not-trade list.")
    if picks:
        told.append(
            f"Paper-trade the shortlist: `huracan predict {picks[0].coin} {picks[0].horizon} --candidates` decides on the first."
        )
    told.append("Run the next night; one that is missed is caught up in order.")
    return tuple(told)
