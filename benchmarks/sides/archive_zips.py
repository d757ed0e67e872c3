"""Month files of the public archive for benchmarks, made in a process of their own so that their CPU is nobody else's.

Run: ``python benchmarks/sides/archive_zips.py FOLDER``. Prices and base volumes are recorded candles where
../shared/market has them, else a simulated market's; quote volume, trades and taker volumes are derived from them with
digits as the exchange prints them (spot: eight decimals and microseconds, no header; USD-M: shortest decimals,
milliseconds, a header). Deflated at level 6, which reproduces the sizes of the recorded files.
"""

import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from huracan.domain.time import MINUTE_MS
from huracan.worlds.archive import UM_HEADER
from huracan.worlds.simulated import simulate
from huracan.worlds.spec import WorldSpec

RECORDED = Path(__file__).parents[3] / "shared" / "market" / "klines"
SYMBOLS = (("spot", "SOLUSDT"), ("spot", "ASTRUSDT"), ("um", "SOLUSDC"), ("um", "MELANIAUSDT"))


def candles(market: str, symbol: str) -> pl.DataFrame:
    """Open time to base volume, 1-minute bars of about 150 days."""
    file = RECORDED / market / symbol / "1m.parquet"
    if file.exists():
        return pl.read_parquet(file)
    world = simulate(WorldSpec(name="demo", coins=len(SYMBOLS), days=150))
    place = [one for _, one in SYMBOLS].index(symbol)
    listed = [one for one in world.instruments() if one.instrument.market == "um"][place]
    bars = world.klines(listed.id, world.now_ms - 150 * 1440 * MINUTE_MS, world.now_ms)
    return bars.select("open_time", "open", "high", "low", "close", "volume")


def twelve(frame: pl.DataFrame, seed: int) -> pl.DataFrame:
    """All columns of a kline, the missing ones derived: as many decimals as price and volume have together."""
    rng = np.random.default_rng(seed)
    volume, price = frame["volume"].to_numpy(), frame["close"].to_numpy()
    steps = 10.0 ** next(d for d in range(9) if np.array_equal(np.round(volume, d), volume) or d == 8)
    mean = float(volume[volume > 0].mean())
    trades = np.where(volume > 0, 1 + rng.poisson(200 * volume / mean), 0)
    taker = np.round(volume * rng.uniform(0.2, 0.8, len(volume)) * steps) / steps
    return frame.with_columns(
        close_time=pl.col("open_time") + MINUTE_MS - 1,
        quote_volume=pl.Series(np.round(volume * price, 6)),
        count=pl.Series(trades),
        taker_buy_volume=pl.Series(taker),
        taker_buy_quote_volume=pl.Series(np.round(taker * price, 6)),
        ignore=pl.lit(0),
    ).select(UM_HEADER)


def write_months(folder: Path, market: str, symbol: str, seed: int) -> None:
    """One zip a whole month, named and spelled as the archive does."""
    table = twelve(candles(market, symbol), seed)
    month = pl.from_epoch("open_time", "ms").dt.strftime("%Y-%m")
    for (name,), part in table.with_columns(month=month).group_by("month", maintain_order=True):
        first = datetime.strptime(f"{name}-01 +0000", "%Y-%m-%d %z")
        whole = datetime.fromtimestamp(part["open_time"][0] / 1000, tz=UTC) == first and part.height >= 28 * 1440
        if not whole or part["open_time"][-1] // 60_000 % 1440 != 1439:
            continue
        rows = part.drop("month")
        if market == "spot":
            rows = rows.with_columns(pl.col("open_time") * 1000, (pl.col("close_time") + 1) * 1000 - 1)
        text = rows.write_csv(include_header=market != "spot", float_precision=8 if market == "spot" else None)
        stem = f"{symbol}-1m-{name}"
        with zipfile.ZipFile(folder / f"{market}-{stem}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=6) as out:
            out.writestr(zipfile.ZipInfo(f"{stem}.csv"), text, zipfile.ZIP_DEFLATED)


def main() -> int:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (market, symbol) in enumerate(SYMBOLS):
        write_months(folder, market, symbol, seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
