"""A bit flips in the lake, on the disk or in the bucket: what is read is what was stored, or the damage is told (R22)."""

import random
from dataclasses import dataclass

import numpy as np
import obstore
import polars as pl
import pytest
from buckets import lake_bucket, s3_apart, s3_apart_process
from invariants import Case, check_agreement, check_same_end
from sizes import FULL, size

from huracan.adapters.cloud import open_bucket
from huracan.adapters.lake import DeltaLake
from huracan.domain.frames import BAR_SCHEMA, FUNDING_SCHEMA
from huracan.domain.ids import Instrument
from huracan.domain.time import HOUR_MS, MINUTE_MS
from huracan.errors import DamagedTableError
from huracan.ports import FetchedFile, FetchedRows

__all__ = ["lake_bucket", "s3_apart", "s3_apart_process"]

pytestmark = pytest.mark.slow

COIN = Instrument(market="um", symbol="SOLUSDT", base="SOL", quote="USDT")
ALL = (-(2**60), 2**60)
FOLDER_FLIPS, BUCKET_FLIPS = size(400, 8_000), size(60, 2_000)


def bars(first, count, rng):
    """Bars whose prices walk, each with a volume of its own."""
    close = np.round(20 * np.exp(np.cumsum(rng.normal(0, 1e-3, count))), 4)
    values = {
        "open_time": (first + np.arange(count)) * MINUTE_MS,
        "open": np.round(close - 0.001, 4),
        "high": np.round(close + 0.01, 4),
        "low": np.round(close - 0.01, 4),
        "close": close,
        "volume": np.round(rng.exponential(100.0, count), 2),
        "quote_volume": np.round(rng.exponential(2000.0, count), 4),
        "trades": rng.integers(1, 90, count).astype(float),
        "taker_base": np.round(rng.exponential(50.0, count), 2),
        "taker_quote": np.round(rng.exponential(1000.0, count), 4),
    }
    return pl.DataFrame(values, schema=BAR_SCHEMA)


def settlements(first, count, rng):
    times = first * MINUTE_MS + np.arange(count) * 8 * HOUR_MS
    rates = np.round(rng.normal(1e-4, 1e-5, count), 8)
    return pl.DataFrame(
        {"funding_time": times, "rate": rates, "interval_hours": np.full(count, 8.0)}, schema=FUNDING_SCHEMA
    )


def nights(count, rows=40):
    """What each of a few nights brings: a day's file, the hours by REST, settlements, and a file that was replaced."""
    rng = np.random.default_rng(22)
    found = []
    for night in range(count):
        file = FetchedFile(
            name=f"SOLUSDT-1m-2025-01-{night + 1:02}.zip", sha256=f"{night:064x}", rows=rows, stamp="x/1"
        )
        first = 28_928_160 + night * 1440
        found.append(
            [
                FetchedRows(kind="bars", rows=bars(first, rows, rng), source="archive", file=file),
                FetchedRows(kind="bars", rows=bars(first + rows, 5, rng), source="rest"),
                FetchedRows(kind="funding", rows=settlements(first, 3, rng), source="rest"),
            ]
        )
    replaced = found[1][0]
    changed = replaced.rows.with_columns(volume=pl.col("volume") + 1.0)
    file = FetchedFile(name=replaced.file.name, sha256="f" * 64, rows=rows, stamp="x/2")
    found.append([FetchedRows(kind="bars", rows=changed, source="archive", file=file)])
    return found


def fill(lake, work):
    for batches in work:
        lake.append(COIN, batches, "binance")


@dataclass(frozen=True)
class Held:
    """All that a reader can learn of an instrument."""

    bars: pl.DataFrame
    funding: pl.DataFrame
    window: pl.DataFrame
    provenance: pl.DataFrame
    files: dict
    coverage: tuple

    @classmethod
    def of(cls, lake, window):
        return cls(
            bars=lake.bars(COIN, *ALL),
            funding=lake.funding(COIN, *ALL),
            window=lake.bars(COIN, *window),
            provenance=lake.provenance(COIN).sort("open_time"),
            files=lake.files(COIN),
            coverage=tuple(
                (one.kind, one.rows, one.first_ms, one.last_ms, one.restated) for one in lake.coverage(COIN)
            ),
        )

    def same(self, other):
        frames = ("bars", "funding", "window", "provenance")
        return (
            all(getattr(self, name).equals(getattr(other, name)) for name in frames)
            and self.files == other.files
            and self.coverage == other.coverage
        )


class Folder:
    """Files of a lake in a folder, and how to change and restore them."""

    def __init__(self, root):
        self.root, self.lake = root, DeltaLake(str(root))

    def paths(self):
        return sorted(path for path in self.root.rglob("*") if path.is_file())

    def read(self, path):
        return path.read_bytes()

    def write(self, path, data):
        path.write_bytes(data)


class Bucket:
    """The same of a bucket."""

    def __init__(self, url):
        self.lake, self.store = DeltaLake(url, allow_http=True), open_bucket(url, allow_http=True)

    def paths(self):
        return sorted(str(meta["path"]) for meta in obstore.list(self.store).collect())

    def read(self, path):
        return obstore.get(self.store, path).bytes().to_bytes()

    def write(self, path, data):
        obstore.put(self.store, path, data)


def flipped(data, bit):
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def told(lake, window, wanted):
    """What a reader sees of a flip: `same`, `damaged`, or (which must not be) `silent`."""
    try:
        return "same" if Held.of(lake, window).same(wanted) else "silent"
    except DamagedTableError:
        return "damaged"


def try_flips(place, rng, flips, counted):
    """Bits of the lake's files one after the other, files drawn evenly, so that the short ones of the log are not left out."""
    day = 28_928_160 * MINUTE_MS
    window = (day + 1440 * MINUTE_MS, day + 3 * 1440 * MINUTE_MS)
    wanted = Held.of(place.lake, window)
    paths, seen = place.paths(), {"same": 0, "damaged": 0}
    for _ in range(flips):
        path = rng.choice(paths)
        data = place.read(path)
        bit = rng.randrange(8 * len(data))
        place.write(path, flipped(data, bit))
        outcome = told(place.lake, window, wanted)
        assert outcome in seen, f"{path}: bit {bit} of {8 * len(data)} was flipped in silence"
        seen[outcome] += 1
        place.write(path, data)
        counted()
    assert Held.of(place.lake, window).same(wanted)
    return seen


@pytest.mark.guarantee("R22")
def test_no_flipped_bit_in_a_folder_s_lake_is_silent(tmp_path, counted):
    place = Folder(tmp_path / "lake")
    fill(place.lake, nights(13))  # beyond a checkpoint of the log
    seen = try_flips(place, random.Random(22), FOLDER_FLIPS, counted)
    assert seen["damaged"] > FOLDER_FLIPS // 10


@pytest.mark.guarantee("R22")
def test_no_flipped_bit_in_a_bucket_s_lake_is_silent(lake_bucket, counted):
    place = Bucket(lake_bucket)
    fill(place.lake, nights(11))
    seen = try_flips(place, random.Random(23), BUCKET_FLIPS, counted)
    assert seen["damaged"] > BUCKET_FLIPS // 10


@pytest.mark.guarantee("R22")
def test_every_bit_of_one_small_data_file_is_guarded(tmp_path, counted):
    place = Folder(tmp_path / "lake")
    fill(place.lake, [[FetchedRows(kind="bars", rows=bars(28_928_160, 3, np.random.default_rng(1)), source="rest")]])
    (path,) = [path for path in place.paths() if path.suffix == ".parquet"]
    data = path.read_bytes()
    for bit in range(0, 8 * len(data), 1 if FULL else 61):
        path.write_bytes(flipped(data, bit))
        with pytest.raises(DamagedTableError, match="sha256"):
            place.lake.bars(COIN, *ALL)
        counted()
    path.write_bytes(data)
    assert place.lake.bars(COIN, *ALL).height == 3


def flip_all(workdir, rng):
    """One bit of every data file of a lake."""
    files = sorted((workdir / "lake").glob("*/bars/*/*.parquet"))
    for path in files:
        data = path.read_bytes()
        path.write_bytes(flipped(data, rng.randrange(8 * len(data))))
    return files


@pytest.mark.guarantee("R22")
def test_a_night_fetches_again_what_has_changed_on_the_disk_and_ends_as_if_nothing_had(nights, counted):
    assert nights.run("before-flips").status == 0
    unbroken = Case(nights.folder / "before-flips")
    case = Case(nights.copy("before-flips", "flipped"))
    victims = flip_all(case.workdir, random.Random(24))
    outcome = nights.run("flipped")
    assert outcome.status == 0, outcome.told()[-2000:]
    lake = outcome.result()["summary"]["lake"]
    assert lake["set_aside_count"] == sum(map(len, lake["set_aside"].values())) >= len(victims)
    assert lake["unproven_files"] == 0
    assert outcome.told().count("lake_table_quarantined") >= len(lake["set_aside"]) > 0
    check_same_end(case, unbroken)
    check_agreement(case)
    counted(len(victims))
