"""A year of nightly appends to one table: what an append, an open and a read cost, and what lies on the disk.

Run: ``python benchmarks/lake_year.py [--nights 366]``. A night appends one day of one-minute bars and ages every file
by a day, so that the log expires as it would (merged-away files do not: the log itself says when they went). Beside the
lake, the same rows as one Parquet file.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from huracan.adapters.lake import DeltaLake
from huracan.domain.frames import BAR_SCHEMA
from huracan.domain.ids import Instrument
from huracan.domain.time import DAY_MS, MINUTE_MS
from huracan.ports import FetchedFile, FetchedRows

COIN = Instrument(market="um", symbol="PEPEUSDT", base="PEPE", quote="USDT")
FIRST_DAY = 20_000
READ_DAYS = 150


def day(number: int, rng: np.random.Generator) -> pl.DataFrame:
    times = (FIRST_DAY + number) * DAY_MS + np.arange(1440) * MINUTE_MS
    price = np.round(100 + np.cumsum(rng.normal(0, 0.02, 1440)), 2)
    high, low = (np.round(price + side * rng.exponential(0.02, 1440), 2) for side in (1, -1))
    volume = np.round(rng.exponential(50, 1440), 3)
    taker = np.round(volume * rng.uniform(0.3, 0.7, 1440), 3)
    columns = (times, price, high, low, price, volume, volume * price, rng.poisson(300, 1440), taker, taker * price)
    frame = pl.DataFrame(dict(zip(BAR_SCHEMA, columns, strict=True)))
    return frame.with_columns(pl.col("quote_volume", "taker_quote").round(5)).cast(BAR_SCHEMA)


def age(folder: Path) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            status = file.stat()
            os.utime(file, (status.st_atime, status.st_mtime - DAY_MS / 1000))


def cpu_ms(run: Callable[[], object], rounds: int = 1) -> float:
    spent = []
    for _ in range(rounds):
        began = time.process_time()
        run()
        spent.append(1000 * (time.process_time() - began))
    return round(min(spent), 1)


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nights", type=int, default=366)
    nights = parser.parse_args().nights
    rng, appends = np.random.default_rng(0), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lake, days = DeltaLake(str(folder / "lake")), [day(number, rng) for number in range(nights)]
        for number, rows in enumerate(days):
            age(folder)
            file = FetchedFile(name=f"PEPEUSDT-1m-{number:010d}.zip", sha256=f"{number * 7919**15:064x}", rows=1440)
            batch = FetchedRows(kind="bars", rows=rows, source="archive", file=file)
            appends.append(cpu_ms(lambda batch=batch: lake.append(COIN, [batch], "binance")))
        end = (FIRST_DAY + nights) * DAY_MS
        table = next((folder / "lake" / "bars").iterdir())
        plain = folder / "plain.parquet"
        pl.concat(days).write_parquet(plain)
        window = pl.col("open_time") >= end - READ_DAYS * DAY_MS
        report = {
            "append_cpu_ms_median": float(np.median(appends)),
            "append_cpu_ms_worst": max(appends),
            "appends_cpu_ms_mean": round(float(np.mean(appends)), 1),
            "files_of_cpu_ms": cpu_ms(lambda: lake.files(COIN), 7),
            "read_150_days_cpu_ms": cpu_ms(lambda: lake.bars(COIN, end - READ_DAYS * DAY_MS, end), 7),
            "plain_parquet_150_days_cpu_ms": cpu_ms(lambda: pl.scan_parquet(plain).filter(window).collect(), 7),
            "log_bytes": size(table / "_delta_log"),
            "bytes_a_row": round(lake.coverage(COIN)[0].bytes / (1440 * nights), 1),
            "compact_cpu_ms": cpu_ms(lambda: lake.compact(COIN, vacuum=True)),
            "bytes_a_row_compacted": round(lake.coverage(COIN)[0].bytes / (1440 * nights), 1),
            "plain_parquet_bytes_a_row": round(plain.stat().st_size / (1440 * nights), 1),
        }
    print(json.dumps({"load_average": round(os.getloadavg()[0], 1), "nights": nights, **report}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
