"""Our ingest of archive files against unzipping them, and beside freqtrade's loader: CPU seconds of the same zips in one run.

Run: ``python benchmarks/ingest.py [--rounds 7]``. Ours is everything between the bytes of a download and rows in the lake: sha256
against the published one, the strict zip reader, parsing all columns with units settled, the schema and order checks, packing,
Parquet and the Delta commit, one append an instrument. "Unzip" is `zipfile` alone. freqtrade is a re-enactment with the same
public pandas calls as its archive loader, which keeps six of twelve columns and checks nothing, and then its feather
file; freqtrade itself is not installed. Best of the rounds, one thread each, and each side in a process of its own: what one
side leaves in the allocator makes the others' pages cheap or dear (freqtrade's frames alone move ours / unzip from 1.5 to 1.9). The
ratio of the sides in one process, taking turns, is printed too. Fails above 1.8 x unzip or above 28 bytes a row.
"""

import os

os.environ.setdefault("POLARS_MAX_THREADS", "1")

import argparse
import json
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd

from huracan.adapters.binance.strict_zip import unzip_single
from huracan.adapters.binance.tables import klines_csv
from huracan.adapters.lake import DeltaLake
from huracan.domain.ids import Instrument, sha256_hex
from huracan.ports import FetchedFile, FetchedRows

CPU_LIMIT, BYTES_LIMIT = 1.8, 28.0
REPEATS = 3


class Zip:
    """One downloaded file: bytes, published checksum, and what its name says."""

    def __init__(self, path: Path) -> None:
        market, _, self.stem = path.stem.partition("-")
        symbol = self.stem.partition("-")[0]
        self.instrument = Instrument(market=market, symbol=symbol, base="", quote="")
        self.data = path.read_bytes()
        self.sha256 = sha256_hex(self.data)
        month = np.datetime64(self.stem[-7:], "M")
        self.span = tuple(int(m.astype("datetime64[ms]").astype(int)) for m in (month, month + 1))


def best(sides: dict[str, Callable[[int], object]], rounds: int) -> dict[str, float]:
    """CPU seconds of each side's fastest round; the sides take turns, so that a busy machine is busy for all of them."""
    spent: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name, run in sides.items():
            began = time.process_time()
            run(number)
            spent[name].append(time.process_time() - began)
    return {name: min(seconds) for name, seconds in spent.items()}


def apart(folder: Path, market: str, rounds: int) -> dict[str, float]:
    """CPU seconds of each side's fastest round, each side alone in a fresh process; the sides take turns."""
    spent: dict[str, list[float]] = {"unzip": [], "ours": [], "freqtrade": []}
    for _ in range(REPEATS):
        for side, seconds in spent.items():
            command = [sys.executable, __file__, "--side", side, "--market", market, "--rounds", str(rounds)]
            told = subprocess.run([*command, "--zips", folder], check=True, capture_output=True, text=True)
            seconds.append(float(told.stdout))
    return {side: min(found) for side, found in spent.items()}


def unzip(zips: list[Zip]) -> int:
    total = 0
    for one in zips:
        with zipfile.ZipFile(BytesIO(one.data)) as archive:
            total += len(archive.read(archive.namelist()[0]))
    return total


def verified(one: Zip) -> FetchedRows:
    sha256 = sha256_hex(one.data)
    assert sha256 == one.sha256
    rows = klines_csv(unzip_single(one.data, f"{one.stem}.csv"), f"{one.stem}.zip", one.span)
    file = FetchedFile(name=f"{one.stem}.zip", sha256=sha256, rows=rows.height)
    return FetchedRows(kind="bars", rows=rows, source="archive", file=file)


def ours(zips: list[Zip], root: Path) -> DeltaLake:
    lake = DeltaLake(str(root))
    for instrument in dict.fromkeys(one.instrument for one in zips):
        batches = [verified(one) for one in zips if one.instrument == instrument]
        lake.append(instrument, batches, "binance")
    return lake


def freqtrade(zips: list[Zip], root: Path) -> int:
    """Frames of six columns, concatenated and stored as its default data handler stores them."""
    root.mkdir()
    rows = 0
    for instrument in dict.fromkeys(one.instrument for one in zips):
        frame = pd.concat([six_columns(one.data) for one in zips if one.instrument == instrument])
        stored = frame.reset_index(drop=True)
        stored.to_feather(root / f"{instrument.symbol}.feather", compression="lz4", compression_level=9)
        rows += len(stored)
    return rows


def six_columns(data: bytes) -> pd.DataFrame:
    with zipfile.ZipFile(BytesIO(data)) as archive, archive.open(archive.namelist()[0]) as member:
        header = None if chr(member.read(1)[0]).isdigit() else 0
        member.seek(0)
        names = ["date", "open", "high", "low", "close", "volume"]
        frame = pd.read_csv(member, usecols=range(6), names=names, header=header)
    milliseconds = np.where(frame["date"] > 1e13, frame["date"] // 1000, frame["date"])
    frame["date"] = pd.to_datetime(milliseconds, unit="ms", utc=True)
    return frame


def bytes_a_row(lake: DeltaLake, zips: list[Zip], step: Callable[[Instrument], object]) -> float:
    held = []
    for instrument in dict.fromkeys(one.instrument for one in zips):
        step(instrument)
        held += lake.coverage(instrument)
    return sum(one.bytes for one in held) / sum(one.rows for one in held)


def nightly(zips: list[Zip], root: Path) -> DeltaLake:
    """The same rows as they arrive: a day a commit."""
    lake = DeltaLake(str(root))
    for one in zips:
        rows = verified(one).rows
        for _, day in rows.group_by(rows["open_time"] // 86_400_000, maintain_order=True):
            lake.append(one.instrument, [FetchedRows(kind="bars", rows=day, source="archive")], "binance")
    return lake


def sides_of(zips: list[Zip], folder: Path) -> dict[str, Callable[[int], object]]:
    return {
        "unzip": lambda _: unzip(zips),
        "ours": lambda number: ours(zips, folder / f"ours-{number}"),
        "verified_and_parsed": lambda _: [verified(one) for one in zips],
        "freqtrade": lambda number: freqtrade(zips, folder / f"freqtrade-{number}"),
    }


def measure(zips: list[Zip], rounds: int, folder: Path, market: str) -> dict[str, float]:
    rows = sum(verified(one).rows.height for one in zips)
    sides = sides_of(zips, folder)
    cpu, alone = best(sides, rounds), apart(folder.parent / "zips", market, rounds)
    lake, days = DeltaLake(str(folder / "ours-0")), nightly(zips[:2], folder / "days")
    return {
        "rows": rows,
        "unzip_us_a_row": 1e6 * alone["unzip"] / rows,
        "ours_over_unzip": alone["ours"] / alone["unzip"],
        "freqtrade_over_unzip": alone["freqtrade"] / alone["unzip"],
        "freqtrade_over_ours": alone["freqtrade"] / alone["ours"],
        **{f"{name}_over_unzip_in_turns": cpu[name] / cpu["unzip"] for name in sides if name != "unzip"},
        "bytes_a_row_as_written": bytes_a_row(lake, zips, lambda _: None),
        "bytes_a_row_compacted": bytes_a_row(lake, zips, lake.compact),
        "bytes_a_row_day_by_day": bytes_a_row(days, zips[:2], lambda _: None),
        "bytes_a_row_day_by_day_compacted": bytes_a_row(days, zips[:2], days.compact),
        "freqtrade_bytes_a_row_of_6_columns": sum(f.stat().st_size for f in (folder / "freqtrade-0").iterdir()) / rows,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--side", choices=("unzip", "ours", "freqtrade"), help=argparse.SUPPRESS)
    parser.add_argument("--market", default="both", help=argparse.SUPPRESS)
    parser.add_argument("--zips", type=Path, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.side is not None:
        with tempfile.TemporaryDirectory() as name:
            zips = [
                one
                for one in map(Zip, sorted(wanted.zips.iterdir()))
                if wanted.market in {one.instrument.market, "both"}
            ]
            side = sides_of(zips, Path(name))[wanted.side]
            print(best({wanted.side: side}, wanted.rounds)[wanted.side])
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([sys.executable, Path(__file__).with_name("archive_zips.py"), folder / "zips"], check=True)
        zips = [Zip(path) for path in sorted((folder / "zips").iterdir())]
        report: dict[str, dict[str, float]] = {}
        for market in ("spot", "um", "both"):
            (folder / market).mkdir()
            mine = [one for one in zips if market in {one.instrument.market, "both"}]
            report[market] = measure(mine, wanted.rounds, folder / market, market)
    failed = [
        market
        for market, seen in report.items()
        if seen["ours_over_unzip"] > CPU_LIMIT or seen["bytes_a_row_compacted"] > BYTES_LIMIT
    ]
    facts = {"cores": len(os.sched_getaffinity(0)), "load_average": round(os.getloadavg()[0], 1)}
    rounded = {market: {name: round(value, 3) for name, value in seen.items()} for market, seen in report.items()}
    print(json.dumps({**facts, **rounded, "above_limit": failed}, indent=2))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
