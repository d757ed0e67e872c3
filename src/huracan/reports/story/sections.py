"""What follows the cards: a shortlist for paper trading, what changed, which data were missing, what the night cost."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from huracan.reports.morning import Marks, Pick
from huracan.reports.night_integrity import NightIntegrity
from huracan.reports.night_summary import HypothesisRow, NightSummary, SkippedRow, SummaryRow
from huracan.reports.story.ranking import share_of
from huracan.reports.story.words import (
    bps,
    counted,
    day_words,
    days_between,
    ended_words,
    in_pool,
    listed,
    market_word,
    named,
    share_words,
    time_words,
)

SHORTLIST: Final = 8
FEWEST_TRIPS: Final = 20
"""Round trips below which a past says too little to be on the shortlist."""
LOST: Final = {
    "STALE": "their newest bars are too old",
    "NO_DATA": "nothing came for them",
    "BAD_DATA": "their bars failed the checks",
    "UPSTREAM": "the exchange did not answer",
    "CHECKSUM": "a file did not match its checksum",
    "SCHEMA": "answers had another form",
    "BANNED": "the exchange asked for a pause",
    "JOB_FAILED": "their job failed",
    "WORKER_LOST": "their worker was lost",
    "TIMED_OUT": "their job took too long",
    "DEADLINE": "the deadline came first",
    "BAD_FEATURES": "their features were not usable",
    "BAD_LABELS": "their outcomes were not usable",
    "TRAINING_FAILED": "their training failed",
}
"""Codes of pairs that were wanted and gave nothing tonight, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a night took: seconds in all and by stage (name in words), workers, and slots of the year's error budget."""

    seconds: float
    stages: tuple[tuple[str, float], ...] = ()
    workers: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """Pairs that were wanted tonight and gave nothing, by code; `wanted` counts all that were."""

    wanted: int
    by_code: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def lost(self) -> int:
        """How many pairs."""
        return len({coin for coins in self.by_code.values() for coin in coins})


def losses_of(skipped: Iterable[SkippedRow], trained: int) -> Losses:
    """The lost pairs among a night's skips; a pair is counted by its first code."""
    first: dict[str, str] = {}
    for row in skipped:
        if row.code in LOST:
            first.setdefault(row.coin, row.code)
    by_code: dict[str, list[str]] = {}
    for coin, code in sorted(first.items()):
        by_code.setdefault(code, []).append(coin)
    return Losses(wanted=trained + len(first), by_code={code: tuple(coins) for code, coins in sorted(by_code.items())})


def shortlist(candidates: Sequence[SummaryRow], closed: Collection[str] = ()) -> tuple[tuple[Pick, ...], str]:
    """The candidates whose past was best a coin, each with its costs; and what must be said of such a choice.

    Hamilton enters nothing of the coins in `closed`, so none of them is chosen.
    """
    usable = [row for row in candidates if row.coin not in closed and (row.metrics.sharpe_ratio or 0.0) > 0.0]
    best: dict[str, Pick] = {}
    for row in sorted(usable, key=lambda row: (-(row.metrics.sharpe_ratio or 0.0), row.coin)):
        pick = _pick(row)
        if pick is not None:
            best.setdefault(row.coin.partition("USDT-")[0], pick)
    picks = tuple(best.values())[:SHORTLIST]
    if not picks:
        return (), (
            f"Nothing to paper-trade: none of {counted(len(candidates), 'candidate')} may be entered and earned more than it cost "
            f"over {FEWEST_TRIPS} round trips or more."
        )
    return picks, (
        f"For paper trading only. The best pasts of {counted(len(candidates), 'candidate')}: such a choice flatters, so expect less. "
        "Nothing here is proven."
    )


def _pick(row: SummaryRow) -> Pick | None:
    """A candidate of the shortlist; None where it lost, where a cost is not known, or after too few round trips."""
    edge, costs = row.edge_after_cost_bps, row.costs
    if edge is None or edge <= 0.0 or costs is None or (costs.round_trips or 0) < FEWEST_TRIPS:
        return None
    fees, spread, slippage, funding = costs.fees, costs.spread, costs.slippage, costs.funding
    if fees is None or spread is None or slippage is None or funding is None:
        return None
    fees, spread, slippage, funding = float(fees), float(spread), float(slippage), float(funding)
    cost, trips, drawdown = fees + spread + slippage + funding, costs.round_trips or 0, row.metrics.max_drawdown
    paid = f"funding {funding:.1f}" if funding >= 0.0 else f"funding {-funding:.1f} received"
    fell = "" if drawdown is None else f" Deepest fall {drawdown:.1%} of capital."
    return Pick(
        coin=row.coin,
        horizon=row.horizon,
        recipe=row.recipe,
        pool_title=market_word(row.pool),
        edge_bps=float(edge),
        cost_bps=cost,
        fees_bps=fees,
        spread_bps=spread,
        slippage_bps=slippage,
        funding_bps=funding,
        round_trips=trips,
        max_drawdown=drawdown,
        sentence=(
            f"{bps(edge)} bps a round trip after {cost:.1f} bps of costs (fees {fees:.1f}, spread {spread:.1f}, "
            f"slippage {slippage:.1f}, {paid}), over {counted(trips, 'round trip')}.{fell}"
        ),
    )


def marks_of(summary: NightSummary, rows: Sequence[HypothesisRow], trained: Iterable[str]) -> Marks:
    """What the next morning compares with."""
    skipped = {row.coin for row in summary.skipped}
    champions = [f"{row.coin} {row.horizon}" for row in summary.champions]
    running = [one for one in rows if one.is_open]
    return Marks(
        pairs=tuple(sorted(skipped | {row.coin for row in summary.champions})),
        trained=tuple(sorted(trained)),
        champions=tuple(sorted(champions)),
        observed={one.name: one.observed_days for one in running},
        shares={one.name: round(share_of(one), 4) for one in running},
    )


def changes(
    now: Marks, before: Marks | None, *, night: str, night_before: str, ended: Sequence[HypothesisRow]
) -> tuple[str, ...]:
    """What is new since the night before, in sentences."""
    if before is None:
        return ("There is no earlier night to compare with.",)
    lines = []
    gap = days_between(night_before, night) - 1
    if gap > 0:
        lines.append(
            f"The night before was that of {day_words(night_before, night)}; {counted(gap, 'night')} between "
            f"{'was' if gap == 1 else 'were'} caught up."
        )
    lines += _moved("may be traded now", "may be traded no more", now.champions, before.champions)
    lines += _progress(now, before)
    lines += _moved("came under test", "left the tests", _tests(now.observed), _tests(before.observed))
    lines += [
        f"{one.recipe} at {one.horizon} in {in_pool(one.pool)} has ended: {ended_words(one.reason)}."
        for one in ended
        if _was(one, before)
    ]
    lines += _moved("joined the exchange's list", "left the exchange's list", now.pairs, before.pairs)
    lines += _moved("were trained again or for the first time", "were not trained tonight", now.trained, before.trained)
    return tuple(lines) or ("Nothing: the same pairs, the same tests, no further day.",)


def _was(one: HypothesisRow, before: Marks) -> bool:
    return one.name in before.observed


def _tests(observed: Mapping[str, int]) -> tuple[str, ...]:
    return tuple(
        f"{recipe} at {horizon} in {in_pool(pool)}" for pool, horizon, recipe in (name.split("/") for name in observed)
    )


def _moved(came: str, left: str, now: Sequence[str], before: Sequence[str]) -> list[str]:
    new, gone = sorted(set(now) - set(before)), sorted(set(before) - set(now))
    lines = [f"{len(names):,} {words}: {named(names)}." for names, words in ((new, came), (gone, left)) if names]
    return [_singular(text) if text.startswith("1 ") else text for text in lines]


def _singular(text: str) -> str:
    return text.replace(" were ", " was ", 1)


def _progress(now: Marks, before: Marks) -> list[str]:
    gained = Counter(now.observed[name] - days for name, days in before.observed.items() if name in now.observed)
    lines = [
        f"{counted(number, 'test')} gained {counted(days, 'day')}."
        for days, number in sorted(gained.items())
        if days > 0
    ]
    if gained[0]:
        lines.append(f"{counted(gained[0], 'test')} gained no day.")
    if now.shares:
        nearest = max(now.shares, key=lambda name: now.shares[name])
        was = before.shares.get(nearest)
        if was is not None and share_words(was) != share_words(now.shares[nearest]):
            pool, horizon, recipe = nearest.split("/")
            lines.append(
                f"The evidence for {recipe} at {horizon} in {in_pool(pool)} went from {share_words(was)} to "
                f"{share_words(now.shares[nearest])} of what is needed."
            )
    return lines


def missing(
    losses: Losses, rows: Sequence[HypothesisRow], integrity: NightIntegrity, waiting: Sequence[str]
) -> tuple[str, ...]:
    """Which data were not there tonight, and what that meant."""
    lines = []
    if losses.lost:
        lines.append(
            f"{losses.lost} of {counted(losses.wanted, 'pair')} gave no usable data, and are not traded tonight."
        )
        lines += [
            f"{counted(len(coins), 'pair')} ({named(coins)}): {LOST[code]}." for code, coins in losses.by_code.items()
        ]
    void = sorted({one.pool for one in rows if one.tonight == "void"})
    if void:
        pools = listed([in_pool(pool) for pool in void])
        lines.append(
            f"Tonight's day does not count for {pools}: a day needs valid data of 80% of a pool's coins. "
            "It is lost, not held against anything."
        )
    lines += [f"Nothing new was admitted: {reason}." for reason in dict.fromkeys(waiting)]
    lines += _gaps(integrity)
    return tuple(lines) or ("Nothing: every pair that was wanted gave its data.",)


def _gaps(integrity: NightIntegrity) -> list[str]:
    """What bars and files lack that were fetched."""
    lines = []
    outages, lost_files = len(integrity.outages), len(integrity.lost_files)
    if outages:
        stretches = counted(outages, "stretch").replace("stretchs", "stretches")
        lines.append(
            f"{stretches} of the window is missing for most of a market: the exchange's own outages, no fault of a pair."
        )
    if lost_files:
        lines.append(
            f"{counted(lost_files, 'archive file')} never came; their days are gaps, and the next night asks again."
        )
    repaired = [row.repaired for row in integrity.instruments if row.repaired]
    if repaired:
        bars, verb = sum(repaired), "was" if sum(repaired) == 1 else "were"
        lines.append(
            f"{counted(bars, 'short gap bar')} of {counted(len(repaired), 'pair')} {verb} filled flat; "
            "no order is ever filled and no outcome read on them."
        )
    return lines


def cost(summary: NightSummary, spent: Spent | None) -> tuple[str, ...]:
    """What the night took of time, and of the year's chances."""
    lines = []
    if spent is not None:
        workers = f" on {counted(spent.workers, 'worker')}" if spent.workers else ""
        longest = [f"{name} {time_words(seconds)}" for name, seconds in spent.stages if seconds >= 1.0]
        stages = f": {', '.join(longest)}" if longest else ""
        lines.append(f"{time_words(spent.seconds)}{workers}{stages}.")
    if summary.cache.total:
        lines.append(f"{summary.cache.hits:,} of {counted(summary.cache.total, 'job')} came from the cache.")
    if summary.budget is not None:
        budget = summary.budget
        lines.append(
            f"{budget.used} of the {budget.slots} chances of {budget.year} are used. A recipe that is tested in a pool at a "
            "horizon uses one, for good."
        )
    return tuple(lines)
