"""Our ingest of archive files against unzipping them, and beside freqtrade's loader: CPU seconds of the same zips in
one run.

Run: ``python benchmarks/ingest.py [--rounds 7] [--freqtrade PYTHON]``. Ours is everything between the bytes of a
download and rows in the lake: sha256 against the published one, the strict zip reader, parsing all columns with units
settled, the schema and order checks, packing, Parquet and the Delta commit, one append an instrument. "Unzip" is
`zipfile` alone. "freqtrade" is freqtrade itself, its archive loader (six of twelve columns, nothing checked) and its
feather store, in an environment of its own: PYTHON's, else one that is made below build/ from
requirements/freqtrade.lock. Best of the rounds, one thread each, each side in a process of its own: what one side
leaves in the allocator makes the others' pages cheap or dear. The ratio of ours and unzip in one process, taking turns,
is printed too. Fails above 1.8 x unzip or above 28 bytes a row.
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

from huracan.adapters.binance.strict_zip import unzip_single
from huracan.adapters.binance.tables import klines_csv
from huracan.adapters.lake import DeltaLake
from huracan.domain.ids import Instrument, sha256_hex
from huracan.ports import FetchedFile, FetchedRows

CPU_LIMIT, BYTES_LIMIT = 1.8, 28.0
REPEATS = 3
HERE = Path(__file__).parent


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
    """CPU seconds of each side's fastest round; the sides take turns, so that a busy machine is busy for all of
    them.
    """
    spent: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name, run in sides.items():
            began = time.process_time()
            run(number)
            spent[name].append(time.process_time() - began)
    return {name: min(seconds) for name, seconds in spent.items()}


def apart(folder: Path, market: str, rounds: int, freqtrade: Path) -> dict[str, dict[str, float]]:
    """What each side told of its fastest round ("cpu_s"), each alone in a fresh process; the sides take turns."""
    wanted = ("--market", market, "--rounds", str(rounds))
    own = [sys.executable, Path(__file__), "--zips", folder, *wanted, "--side"]
    theirs = [freqtrade, HERE / "sides" / "freqtrade_loader.py", folder, *wanted, "--out", folder.parent / "feather"]
    sides = {"unzip": [*own, "unzip"], "ours": [*own, "ours"], "freqtrade": theirs}
    told: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    for _ in range(REPEATS):
        for side, command in sides.items():
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            told[side].append(json.loads(done.stdout.splitlines()[-1]))
    return {side: min(found, key=lambda one: one["cpu_s"]) for side, found in told.items()}


def freqtrade_python() -> Path:
    """The interpreter of an environment that holds freqtrade as it is locked; made where it is not there yet."""
    lock = HERE.parent / "requirements" / "freqtrade.lock"
    folder = HERE.parent / "build" / f"freqtrade-{sha256_hex(lock.read_bytes())[:12]}"
    python, uv = folder / "bin" / "python", Path(sys.executable).with_name("uv")
    if not (folder / "whole").exists():
        print(f"installing freqtrade into {folder.relative_to(HERE.parent)}", file=sys.stderr)
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder], check=True)
        command = [uv, "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", lock]
        subprocess.run(command, check=True)
        (folder / "whole").touch()
    return python


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
    }


def measure(zips: list[Zip], rounds: int, folder: Path, market: str, freqtrade: Path) -> dict[str, float]:
    rows = sum(verified(one).rows.height for one in zips)
    sides = sides_of(zips, folder)
    cpu, alone = best(sides, rounds), apart(folder.parent / "zips", market, rounds, freqtrade)
    unzipped, own, theirs = (alone[side]["cpu_s"] for side in ("unzip", "ours", "freqtrade"))
    assert alone["freqtrade"]["rows"] == rows, f"freqtrade stored {alone['freqtrade']['rows']} rows of {rows}"
    lake, days = DeltaLake(str(folder / "ours-0")), nightly(zips[:2], folder / "days")
    return {
        "rows": rows,
        "unzip_us_a_row": 1e6 * unzipped / rows,
        "ours_over_unzip": own / unzipped,
        "freqtrade_over_unzip": theirs / unzipped,
        "freqtrade_over_ours": theirs / own,
        **{f"{name}_over_unzip_in_turns": cpu[name] / cpu["unzip"] for name in sides if name != "unzip"},
        "bytes_a_row_as_written": bytes_a_row(lake, zips, lambda _: None),
        "bytes_a_row_compacted": bytes_a_row(lake, zips, lake.compact),
        "bytes_a_row_day_by_day": bytes_a_row(days, zips[:2], lambda _: None),
        "bytes_a_row_day_by_day_compacted": bytes_a_row(days, zips[:2], days.compact),
        "freqtrade_bytes_a_row_of_6_columns": alone["freqtrade"]["bytes"] / rows,
    }


def one_side(folder: Path, market: str, side: str, rounds: int) -> None:
    """This process as one of the sides."""
    with tempfile.TemporaryDirectory() as name:
        zips = [one for one in map(Zip, sorted(folder.iterdir())) if market in {one.instrument.market, "both"}]
        print(json.dumps({"cpu_s": best({side: sides_of(zips, Path(name))[side]}, rounds)[side]}))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--freqtrade", type=Path, metavar="PYTHON", help="interpreter that has freqtrade")
    parser.add_argument("--side", choices=("unzip", "ours"), help=argparse.SUPPRESS)
    parser.add_argument("--market", default="both", help=argparse.SUPPRESS)
    parser.add_argument("--zips", type=Path, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.side is not None:
        one_side(wanted.zips, wanted.market, wanted.side, wanted.rounds)
        return 0
    freqtrade = wanted.freqtrade or freqtrade_python()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([sys.executable, HERE / "sides" / "archive_zips.py", folder / "zips"], check=True)
        zips = [Zip(path) for path in sorted((folder / "zips").iterdir())]
        report: dict[str, dict[str, float]] = {}
        for market in ("spot", "um", "both"):
            (folder / market).mkdir()
            mine = [one for one in zips if market in {one.instrument.market, "both"}]
            report[market] = measure(mine, wanted.rounds, folder / market, market, freqtrade)
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
