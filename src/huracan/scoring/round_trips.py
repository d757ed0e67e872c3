"""What the round trips of a scorecard cost, in bps of notional."""

from typing import Any

import numpy as np
import polars as pl

QUANTILES = (("p10", 0.1), ("p50", 0.5), ("p90", 0.9))


def round_trip_costs(trips: pl.DataFrame) -> dict[str, Any]:
    """Means per round trip (TRADE_SCHEMA and COST_COLUMNS), None without any.

    `slippage` is impact; `break_even` what fees, spread and impact may reach together before the mean trip earns
    nothing; p10, p50, p90 are of the whole cost, ``net_p10`` and so on of the net result. All fills take liquidity.
    """
    if trips.is_empty():
        names = ("fees", "spread", "slippage", "funding", "gross", "net", "break_even", "cost", "maker", "taker")
        return {**dict.fromkeys((*names, *_quantile_names())), "round_trips": 0}
    mean = {name: float(trips[name].to_numpy().mean()) for name in trips.columns if name.endswith("_bps")}
    cost, net = trips["cost_bps"].to_numpy(), trips["net_bps"].to_numpy()
    return {
        "fees": mean["fees_bps"],
        "spread": mean["spread_bps"],
        "slippage": mean["impact_bps"],
        "funding": mean["funding_bps"],
        "gross": mean["gross_bps"],
        "net": mean["net_bps"],
        "break_even": mean["gross_bps"] - mean["funding_bps"],
        "cost": mean["cost_bps"],
        "maker": 0.0,
        "taker": mean["fees_bps"],
        **{name: float(np.quantile(cost, level)) for name, level in QUANTILES},
        **{f"net_{name}": float(np.quantile(net, level)) for name, level in QUANTILES},
        "round_trips": trips.height,
    }


def _quantile_names() -> tuple[str, ...]:
    return tuple(f"{prefix}{name}" for prefix in ("", "net_") for name, _ in QUANTILES)
