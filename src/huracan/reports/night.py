"""What the page of a night shows, as one record."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from huracan.domain.time import day_iso
from huracan.reports.morning import Morning
from huracan.reports.night_integrity import NightIntegrity
from huracan.reports.night_summary import ErrorRow, HypothesisRow, NightSummary, SkippedRow, SummaryRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Daily results of one recipe in one pool, bps of the pool's capital; None is a void day.

    `days` are ISO dates, ascending. Days before `live_from` (an ISO date, None: all of them) are history.
    """

    pool: str
    horizon: str
    recipe: str
    days: tuple[str, ...]
    net_bps: tuple[float | None, ...]
    live_from: str | None = None

    def __post_init__(self) -> None:
        if len(self.days) != len(self.net_bps):
            raise ValueError(
                f"curve of {self.recipe} in {self.pool} at {self.horizon}: {len(self.days)} days and "
                f"{len(self.net_bps)} results, wanted as many of one as of the other"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class NightReport:
    """Everything the page shows; names inside are untrusted and escaped when drawn.

    `data_cutoff` and `created` are ISO instants UTC; `created` is wall-clock time, None to leave it out.
    `universe_size` counts pairs. `notes` are sentences that the night left; the story has them as remarks. `story` is
    what the page says before all tables.
    """

    run_id: str
    data_cutoff: str
    created: str | None = None
    dry_run: bool = False
    horizons: tuple[str, ...] = ()
    universe_size: int = 0
    coins_processed: int = 0
    hypotheses: tuple[HypothesisRow, ...] = ()
    champions: tuple[SummaryRow, ...] = ()
    candidates: tuple[SummaryRow, ...] = ()
    curves: tuple[Curve, ...] = ()
    skips: tuple[SkippedRow, ...] = ()
    integrity: NightIntegrity = field(default_factory=NightIntegrity)
    errors: tuple[ErrorRow, ...] = ()
    notes: tuple[str, ...] = ()
    story: Morning | None = None

    @property
    def refused(self) -> bool:
        """Whether the night ended without a result, so that there are no tables."""
        return not self.horizons and self.story is not None


def night_report(
    summary: NightSummary, integrity: NightIntegrity, curves: Iterable[Curve], *, created: str | None = None
) -> NightReport:
    """The page's record of a finished night."""
    return NightReport(
        run_id=summary.run_id or "",
        data_cutoff=summary.data_cutoff,
        created=created,
        dry_run=summary.dry_run,
        horizons=summary.horizons,
        universe_size=summary.coin_universe_size or 0,
        coins_processed=summary.coins_processed or 0,
        hypotheses=summary.hypotheses,
        champions=summary.champions,
        candidates=summary.candidates,
        curves=tuple(curves),
        skips=summary.skipped,
        integrity=integrity,
        errors=summary.errors,
        notes=summary.notes,
        story=summary.morning,
    )


def curve_from_daily(
    pool: str,
    horizon: str,
    recipe: str,
    *,
    days: list[int],
    net_bps: list[float],
    valid: list[bool],
    live_from: int | None,
) -> Curve:
    """A curve from the columns of a DAILY_SCHEMA frame; `live_from` is a UTC day number."""
    return Curve(
        pool=pool,
        horizon=horizon,
        recipe=recipe,
        days=tuple(day_iso(day) for day in days),
        net_bps=tuple(net if good and math.isfinite(net) else None for net, good in zip(net_bps, valid, strict=True)),
        live_from=None if live_from is None else day_iso(live_from),
    )
