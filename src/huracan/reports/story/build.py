"""The story of a night from its summary, of a refused one from its error, and of an earlier one from its file."""

from collections.abc import Sequence
from typing import Final

from huracan.reports.morning import Morning, Pick, PoolCard
from huracan.reports.night_integrity import NightIntegrity
from huracan.reports.night_summary import HypothesisRow, NightSummary
from huracan.reports.story.cards import FURTHEST, PoolSituation, earliest_night, nights_left, pool_card, shown_cards
from huracan.reports.story.headline import Situation, changes_of, headline, refused_headline
from huracan.reports.story.ranking import entries_closed, nearest_first
from huracan.reports.story.sections import (
    Losses,
    Spent,
    changes,
    cost,
    losses_of,
    marks_of,
    missing,
    shortlist,
)
from huracan.reports.story.words import counted, day_after, day_words, listed

SIMULATED: Final = "Simulated market (demo): nothing here is evidence."
"""What stands above everything that is said of a night of the demo."""


def morning_of(
    summary: NightSummary,
    *,
    before: Morning | None = None,
    data: NightIntegrity | None = None,
    spent: Spent | None = None,
    simulated: bool = False,
) -> Morning:
    """The story of a finished night; `before` is that of the night before it, None where there was none."""
    night = summary.data_cutoff[:10]
    rows = nearest_first(summary.hypotheses)
    waiting = tuple(row.reason for row in summary.waiting)
    losses = losses_of(summary.skipped, summary.coins_processed or 0)
    mood, sentence = headline(_situation(summary, rows, losses))
    picks, note = shortlist(summary.candidates, entries_closed(summary))
    trained = {coin for pool in summary.pools for coin in pool.members}
    marks = marks_of(summary, rows, trained)
    ended = [one for one in rows if one.status == "expired"]
    return Morning(
        night=night,
        mood=mood,
        headline=sentence,
        warning=SIMULATED if simulated else "",
        needed=_needed(rows, night),
        todo=_todo(summary, rows, picks),
        cards=_cards(summary, rows, night),
        shortlist=picks,
        shortlist_note=note,
        changes=changes(
            marks,
            before.marks if before else None,
            night=night,
            night_before=before.night if before else night,
            ended=ended,
        ),
        missing=missing(losses, rows, data or NightIntegrity(), waiting),
        cost=cost(summary, spent),
        remarks=summary.notes,
        marks=marks,
    )


def _situation(summary: NightSummary, rows: list[HypothesisRow], losses: Losses) -> Situation:
    names = {row.recipe_id: row.recipe for row in summary.hypotheses}
    return Situation(
        night=summary.data_cutoff[:10],
        rows=rows,
        changes=changes_of(summary, names),
        frozen=summary.frozen_pools,
        waiting=tuple(row.reason for row in summary.waiting),
        champions=len({row.coin for row in summary.champions}),
        void_pools=_void(rows),
        lost=losses.lost,
        wanted=losses.wanted,
    )


def refused_morning(
    night: str, code: str, error: str, *, how_far: str, published: bool, simulated: bool = False
) -> Morning:
    """The story of a night that was refused; `how_far` names the step, `published` says whether a set was signed
    before.
    """
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


def _void(rows: list[HypothesisRow]) -> tuple[str, ...]:
    return tuple(sorted({one.pool for one in rows if one.tonight == "void"}))


def _cards(summary: NightSummary, rows: list[HypothesisRow], night: str) -> tuple[PoolCard, ...]:
    waiting: dict[str, list[str]] = {}
    for row in summary.waiting:
        waiting.setdefault(row.pool, []).append(row.reason)
    coins = {pool.pool: len(pool.members) for pool in summary.pools}
    names = list(dict.fromkeys([*(one.pool for one in rows), *sorted(waiting), *sorted(coins)]))
    situations = [
        PoolSituation(
            pool=name,
            coins=coins.get(name, 0),
            rows=tuple(one for one in rows if one.pool == name),
            waiting=tuple(dict.fromkeys(waiting.get(name, ()))),
            frozen=name in summary.frozen_pools,
        )
        for name in names
    ]
    return shown_cards([pool_card(one, night) for one in situations])


def _needed(rows: list[HypothesisRow], night: str) -> tuple[str, ...]:
    if not rows:
        return ()
    one = rows[0]
    wanted = (
        f"A promotion needs {one.days_wanted} days that count, {one.position_days_wanted} of them with a position, a result above zero at "
        "1.5 times the costs, a bounded drawdown, and enough evidence."
    )
    alpha = (
        f"However often you look, at most {one.alpha:.0%} of a year's promoted pools are expected to be false "
        f"({2 * one.alpha:.0%} in all, with single coins)."
    )
    return (*_next_promotion(rows, night), wanted, alpha)


def _next_promotion(rows: list[HypothesisRow], night: str) -> tuple[str, ...]:
    """When the next promotion is to be expected, with the bound behind it; the bound alone while days are too few."""
    earliest = earliest_night(rows[0])
    if earliest is None:
        return ()
    which = "further promotion" if any(one.is_champion for one in rows) else "promotion"
    bound = "if each night until then brings a day that counts and all of them are good"
    if rows[0].waits_for in {"days", "positions"}:
        return (f"Earliest {which}: {day_words(earliest, night)}, {bound}.",)
    nights = min(
        (nights_left(one) for one in rows if one.is_open and one.nights_until_decidable is not None), default=None
    )
    if nights is None or nights > FURTHEST:
        forecast = "at the edges measured so far, none within two years"
    else:
        forecast = f"about {day_words(day_after(night, nights), night)}, {counted(nights, 'more night')} at the edge measured so far"
    return (f"Next {which}: {forecast}. Not before {day_words(earliest, night)}, {bound}.",)


def _todo(summary: NightSummary, rows: list[HypothesisRow], picks: Sequence[Pick]) -> tuple[str, ...]:
    lines = []
    if any(one.is_champion and one.suspended for one in rows):
        lines.append("Close the positions of suspended champions; Hamilton refuses new entries by itself.")
    if summary.frozen_pools:
        commands = listed([f"`huracan ledger unfreeze {pool} --note TEXT`" for pool in summary.frozen_pools])
        lines.append(f"Look at the days that broke the bounds, then end the freeze: {commands}.")
    proven = [one for one in rows if one.is_champion]
    if summary.champions and not (proven and all(one.suspended for one in proven)):
        lines.append("See what may be traded: `huracan champions list`.")
    elif not summary.champions:
        lines.append("Trade nothing with money: every coin is on the do-not-trade list.")
    if picks:
        lines.append(
            f"Paper-trade the shortlist: `huracan predict {picks[0].coin} {picks[0].horizon} --candidates` decides on the first."
        )
    lines.append("Run the next night; one that is missed is caught up in order.")
    return tuple(lines)
