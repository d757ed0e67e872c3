# ruff: noqa: INP001
"""Make the stress table that ships with the package from daily candles, and print what it rests on.

    .venv/bin/python tools/stress_table.py MARKET/klines/spot-1d.parquet [--write
    src/huracan/promotion/stress_table.json]

Without `--write` it only prints. Dropped before anything is measured: the newest bar (unclosed), each symbol's listing
day (it opens at a fictitious price), returns across a gap, and days with fewer than 30 earlier days to place a symbol
in a tier.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

DAY_MS: Final = 86_400_000
QUOTE_PER_GBP: Final = 1.30
TIERS: Final = (("A", 100e6), ("B", 10e6), ("C", 0.0))
FACTOR_BPS: Final = 2_100.0
IDIO_BPS: Final = 4_400.0
SMALLEST_POOL: Final = 27
SURVIVORS: Final = (
    "Only coins alive and popular in November 2025 are in the candles: the worst days of delisted coins are missing, "
    "so a short history of a dying coin can be worse than this table."
)


def daily_returns(path: Path) -> pl.DataFrame:
    """Close-to-close returns in bps with the tier known before each day: symbol, date, return_bps, tier."""
    bars = pl.read_parquet(path).sort("symbol", "open_time")
    newest = bars["open_time"].max()
    bars = bars.filter(pl.col("open_time") < newest).with_columns(
        listed=pl.col("open_time").min().over("symbol"),
        previous_time=pl.col("open_time").shift(1).over("symbol"),
        previous_close=pl.col("close").shift(1).over("symbol"),
        volume_gbp=pl.col("volume") * pl.col("close") / QUOTE_PER_GBP,
    )
    bars = bars.with_columns(median_gbp=pl.col("volume_gbp").rolling_median(30).shift(1).over("symbol"))
    tier = pl.lit(TIERS[-1][0])
    for name, floor in reversed(TIERS[:-1]):
        tier = pl.when(pl.col("median_gbp") >= floor).then(pl.lit(name)).otherwise(tier)
    return bars.filter(
        (pl.col("previous_time") == pl.col("open_time") - DAY_MS)
        & (pl.col("previous_time") > pl.col("listed"))
        & pl.col("median_gbp").is_not_null()
    ).select(
        "symbol",
        date=pl.from_epoch("open_time", "ms").dt.date(),
        return_bps=(pl.col("close") / pl.col("previous_close") - 1.0) * 1e4,
        tier=tier,
    )


def tier_table(returns: pl.DataFrame) -> dict[str, Any]:
    """Worst day of one pair per tier and side, bps of notional, with the symbol and the date."""
    table: dict[str, Any] = {}
    for name, _ in TIERS:
        rows = returns.filter(pl.col("tier") == name).sort("return_bps")
        fall, rise = rows.row(0, named=True), rows.row(-1, named=True)
        table[name] = {
            "long_bps": round(-fall["return_bps"], 1),
            "short_bps": round(rise["return_bps"], 1),
            "long_day": f"{fall['symbol']} {fall['date']}",
            "short_day": f"{rise['symbol']} {rise['date']}",
            "symbol_days": rows.height,
            "symbols": rows["symbol"].n_unique(),
        }
    return table


def law_checks(returns: pl.DataFrame, seed: int = 0) -> list[tuple[str, float, float]]:
    """(portfolio, worst day over its bound, worst day in bps) of equal-weight portfolios of at least 27 symbols.

    Net .5 and gross 1 are the caps that built-in recipes declare; sides are drawn by symbol and by day.
    """
    rng = np.random.default_rng(seed)
    checks = []
    wanted = [("all", returns), *((name, returns.filter(pl.col("tier") == name)) for name, _ in TIERS)]
    for name, rows in wanted:
        days = [day for day in rows.partition_by("date") if day.height >= SMALLEST_POOL]
        if not days:
            continue
        for label, net in (("long", 1.0), ("short", -1.0), ("net +.5", 0.5), ("net -.5", -0.5), ("net 0", 0.0)):
            worst, ratio = 0.0, 0.0
            for day in days:
                values = day["return_bps"].to_numpy()
                n = values.size
                draws = 1 if abs(net) == 1.0 else 20
                for _ in range(draws):
                    longs = round(n * (1 + net) / 2)
                    side = np.where(rng.permutation(n) < longs, 1.0, -1.0)
                    loss = -float((side * values).mean())
                    bound = FACTOR_BPS * abs(float(side.mean())) + IDIO_BPS / n**0.5
                    if loss / bound > ratio:
                        worst, ratio = loss, loss / bound
            checks.append((f"{name:3s} {label}", ratio, worst))
    return checks


def main() -> None:
    """Print the figures; write the table where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("candles", type=Path)
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    returns = daily_returns(arguments.candles)
    table = {
        "kind": "market",
        "factor_bps": FACTOR_BPS,
        "idio_bps": IDIO_BPS,
        "tiers": tier_table(returns),
        "note": (
            f"Binance spot daily candles {returns['date'].min()} to {returns['date'].max()}, 2025-10-10 included, "
            f"{returns['symbol'].n_unique()} symbols, {returns.height} symbol-days. {SURVIVORS}"
        ),
    }
    text = json.dumps(table, indent=1) + "\n"
    lines = ["worst day over bound, pools of at least 27 (above 1 = broken):"]
    lines += [f"  {name:12s} {ratio:5.2f}   worst day {worst:7.0f} bps" for name, ratio, worst in law_checks(returns)]
    sys.stdout.write("\n".join([text, *lines]) + "\n")
    if arguments.write:
        arguments.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
