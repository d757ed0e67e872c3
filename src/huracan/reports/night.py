"""What the page of a night shows: one plain record, filled by whoever ran the night, with the story that it tells."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from huracan.domain.time import day_iso
from huracan.reports.story import Morning

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Daily results of one recipe in one pool, bps of the pool's capital; None is a void day.

    `days` are ISO dates, ascending. Days before `live_from` (an ISO date, None: all of them) were walked through history.
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
    """Everything the page shows, as plain values; names inside are untrusted and escaped when drawn.

    Fields
    ------
    run_id, data_cutoff, created : identity; ISO instants UTC. `created` is wall-clock time, None to leave it out.
    horizons, universe_size, coins_processed : what the night was about; `universe_size` counts pairs.
    lineages : rows of the lineage table (`LineageView.as_dict`): pool, horizon, recipe, status, reigns, reason, e, needed,
        bound_over_sd, mean_bps, sd_bps, nights_until_decidable, nights_if_planned, observed_days, history_days, live_days,
        confidence_nothing_bps, closed_gates. Missing keys are drawn as a dash.
    champions, candidates : result rows: coin, horizon, status, recipe, pool, regime, edge_bps, edge_after_cost_bps,
        confidence, version, metrics {sharpe_ratio, max_drawdown, hit_rate, capacity_estimate}, costs (below), e_value,
        nights_missing.
    curves : daily results of pools.
    skips : coin, horizon, step, code, reason, measured, wanted.
    integrity : one row a coin: coin, vendor, rows_in, rows_out, repaired, cut, gaps, exchange_bars and own_bars (missing
        with the whole exchange, and otherwise), halt, outliers, mismatches, quality (0..1).
    integrity_rules : one row a rule: rule, action, meaning, found, instruments.
    outages : stretches a whole market lacks: kind, market, start, end, instruments, share (0..1).
    lost_files : archive files that never came: coin, file, start, end.
    costs : one row a (coin, horizon, recipe): fees, spread, slippage, funding, gross, net, break_even, round_trips, all in
        bps of notional per round trip. Empty: taken from champions and candidates.
    errors : code, error, and coin and step where known.
    notes : sentences that the night left (frozen pools, restated days, an unprotected root key); the story has them as remarks.
    story : what the page tells before all tables. refused : the night ended without a result, so there are no tables.
    """

    run_id: str
    data_cutoff: str
    created: str | None = None
    dry_run: bool = False
    horizons: tuple[str, ...] = ()
    universe_size: int = 0
    coins_processed: int = 0
    lineages: tuple[Row, ...] = ()
    champions: tuple[Row, ...] = ()
    candidates: tuple[Row, ...] = ()
    curves: tuple[Curve, ...] = ()
    skips: tuple[Row, ...] = ()
    integrity: tuple[Row, ...] = ()
    integrity_rules: tuple[Row, ...] = ()
    outages: tuple[Row, ...] = ()
    lost_files: tuple[Row, ...] = ()
    costs: tuple[Row, ...] = ()
    errors: tuple[Row, ...] = ()
    notes: tuple[str, ...] = field(default_factory=tuple)
    story: Morning | None = None

    @property
    def refused(self) -> bool:
        """Whether the night ended without a result."""
        return not self.horizons and self.story is not None


def curve_from_daily(
    pool: str,
    horizon: str,
    recipe: str,
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
