"""freqtrade's own archive loader and data store over our zips, for an interpreter that has freqtrade and nothing of
ours.

Run: ``python benchmarks/sides/freqtrade_loader.py ZIPS --market spot|um|both --rounds N --out FOLDER``. Prints the CPU
seconds of the fastest round, bytes and rows. Its `get_daily_ohlcv` unzips and parses each file (the session hands it
the bytes, so no side pays for HTTP; what is daily there is a month here, which is in freqtrade's favour), its
`concat_safe` joins them, its default data handler stores them.
"""

import argparse
import asyncio
import json
import shutil
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any, Self

from freqtrade.data.history.datahandlers.featherdatahandler import FeatherDataHandler
from freqtrade.enums import CandleType
from freqtrade.exchange.binance_public_data import concat_safe, get_daily_ohlcv

TYPES = {"spot": CandleType.SPOT, "um": CandleType.FUTURES}
DAY = date(2025, 1, 1)


class Received:
    """A finished answer, and the session that gives it, whatever is asked."""

    status, reason = 200, "OK"

    def __init__(self, data: bytes) -> None:
        self.data = data

    def get(self, _url: str) -> Self:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def read(self) -> bytes:
        return self.data


async def load(zips: dict[tuple[str, str], list[bytes]], folder: Path) -> int:
    store, rows = FeatherDataHandler(folder), 0
    for (market, symbol), files in zips.items():
        kind = TYPES[market]
        frames = [await get_daily_ohlcv(symbol, "1m", kind, DAY, Received(data), retry_count=0) for data in files]
        frame = concat_safe(frames).reset_index(drop=True)
        store.ohlcv_store(symbol, "1m", frame, kind)
        rows += len(frame)
    return rows


def read(folder: Path, market: str) -> dict[tuple[str, str], list[bytes]]:
    zips: dict[tuple[str, str], list[bytes]] = {}
    for path in sorted(folder.iterdir()):
        of_market, symbol, *_ = path.stem.split("-")
        if market in {of_market, "both"}:
            zips.setdefault((of_market, symbol), []).append(path.read_bytes())
    return zips


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("zips", type=Path)
    parser.add_argument("--market", default="both")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, required=True)
    wanted = parser.parse_args()
    zips, spent, told = read(wanted.zips, wanted.market), [], dict[str, Any]()
    for _ in range(wanted.rounds):
        shutil.rmtree(wanted.out, ignore_errors=True)
        wanted.out.mkdir()
        began = time.process_time()
        rows = asyncio.run(load(zips, wanted.out))
        spent.append(time.process_time() - began)
        size = sum(file.stat().st_size for file in wanted.out.rglob("*") if file.is_file())
        told = {"cpu_s": min(spent), "rows": rows, "bytes": size}
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
