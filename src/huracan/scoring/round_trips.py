"""What the round trips of a scorecard cost, in bps of notional."""

from typing import Final

import numpy as np
import polars as pl

QUANTILES: Final = (("p10", 0.1), ("p50", 0.5), ("p90", 0.9))

_NAMES: Final = (
    *("fees", "spread", "slippage", "funding", "gross", "rebalance", "net", "break_even", "cost"),
    *("maker", "taker", "fees_if_maker", "maker_fill_share", "maker_rate", "taker_rate"),
)


def round_trip_costs(trips: pl.DataFrame, fees_bps: tuple[float, float]) -> dict[str, float | None]:
    """Means per round trip (TRADE_SCHEMA and COST_COLUMNS), None without any; `fees_bps` are the market's (maker,
    taker) one way.

    gross + rebalance - fees - spread - slippage - funding = net. `gross` is what entry and exit price say, `slippage`
    is impact, `break_even` what fees, spread and impact may reach together before the mean trip earns nothing. p10,
    p50, p90 are of the whole cost, ``net_p10`` and so on of the net result. Every fill crosses the spread at an open,
    so `taker` is all that was paid; `fees_if_maker` is what the same fills would have paid as resting orders.
    """
    if trips.is_empty():
        return {**dict.fromkeys((*_NAMES, *_quantile_names())), "round_trips": 0}
    mean = {name: float(trips[name].to_numpy().mean()) for name in trips.columns if name.endswith("_bps")}
    cost, net = trips["cost_bps"].to_numpy(), trips["net_bps"].to_numpy()
    maker, taker = fees_bps
    return {
        "fees": mean["fees_bps"],
        "spread": mean["spread_bps"],
        "slippage": mean["impact_bps"],
        "funding": mean["funding_bps"],
        "gross": mean["gross_bps"],
        "rebalance": mean["rebalance_bps"],
        "net": mean["net_bps"],
        "break_even": mean["gross_bps"] + mean["rebalance_bps"] - mean["funding_bps"],
        "cost": mean["cost_bps"],
        "maker": 0.0,
        "taker": mean["fees_bps"],
        "fees_if_maker": mean["fees_bps"] * maker / taker if taker else None,
        "maker_fill_share": 0.0,
        "maker_rate": maker,
        "taker_rate": taker,
        **{name: float(np.quantile(cost, level)) for name, level in QUANTILES},
        **{f"net_{name}": float(np.quantile(net, level)) for name, level in QUANTILES},
        "round_trips": trips.height,
    }


def _quantile_names() -> tuple[str, ...]:
    return tuple(f"{prefix}{name}" for prefix in ("", "net_") for name, _ in QUANTILES)
