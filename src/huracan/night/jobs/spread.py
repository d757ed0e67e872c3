"""Which spread a pair is charged tonight, and the words every report of it carries."""

from dataclasses import dataclass
from typing import Final

from huracan.domain.frames import Bars
from huracan.domain.night_records import SpreadSource
from huracan.domain.records import Candidate, Skip, SkipCode
from huracan.domain.tiers import tier_of
from huracan.domain.time import MINUTE_MS
from huracan.ingest import edge_spread_bps
from huracan.night.plan import NightPlan
from huracan.universe import tier_key

_NOTES: Final = {
    SpreadSource.EDGE: "spread: estimated from 1-minute bars (EDGE), no book of this pair was known",
    SpreadSource.TIER: "spread: the median of its liquidity tier's books, no book of this pair was known and its bars give none",
    SpreadSource.DECLARED: "spread: the configured one of its liquidity tier, no book of any pair was known",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Full spread in bps, and where it comes from."""

    bps: float
    source: SpreadSource


def known_spread(plan: NightPlan, member: Candidate, bars: Bars, volume_day_gbp: float) -> Spread | Skip:
    """The spread of a member by the best source there is, or the skip where none is known or it is too wide.

    The pair's own book; else, on 1-minute bars, EDGE; else, on coarser ones, whose estimates are noise, the median of
    its tier's books tonight, or the user's figure for the tier. One that does not trade any more is charged whatever
    that is: the limit asks who may be traded tonight, and the spreads of its last days would keep exactly the dying out
    of the evidence.
    """
    spread = _best(plan, member, bars, volume_day_gbp)
    if spread is not None and (not member.instrument.trades or spread.bps <= plan.max_spread_bps):
        return spread
    return Skip(
        coin=member.instrument.coin,
        horizon="*",
        step=2,
        code=SkipCode.SPREAD_UNKNOWN if spread is None else SkipCode.SPREAD_TOO_WIDE,
        reason=_unknown(bars) if spread is None else f"spread above the limit (from: {spread.source})",
        measured=None if spread is None else spread.bps,
        wanted=plan.max_spread_bps,
    )


def spread_notes(source: SpreadSource) -> tuple[str, ...]:
    """What a scorecard says of a spread that is not the pair's own."""
    return (_NOTES[source],) if source in _NOTES else ()


def _best(plan: NightPlan, member: Candidate, bars: Bars, volume_day_gbp: float) -> Spread | None:
    if member.spread_bps is not None:
        return Spread(bps=member.spread_bps, source=SpreadSource.BOOK)
    if bars.interval_ms == MINUTE_MS:
        edge = edge_spread_bps(bars)
        return None if edge is None else Spread(bps=edge, source=SpreadSource.EDGE)
    quoted = dict(plan.tier_spreads).get(tier_key(member.instrument.market, volume_day_gbp))
    if quoted is not None:
        return Spread(bps=quoted, source=SpreadSource.TIER)
    declared = dict(plan.declared_spreads).get(tier_of(volume_day_gbp))
    return None if declared is None else Spread(bps=declared, source=SpreadSource.DECLARED)


def _unknown(bars: Bars) -> str:
    if bars.interval_ms == MINUTE_MS:
        return "no two-sided book and no estimate from bars"
    return "no two-sided book of this pair, too few of its tier, and costs.tier_spread_bps is not set"
