"""Candle folders whose times stand in another unit are read right by both commands, and what fits none is SCHEMA."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import polars as pl
import pytest

from huracan.adapters.recordings import find_recordings, read_recording
from huracan.domain.time import DAY_MS, MINUTE_MS, parse_iso
from huracan.errors import SchemaError
from huracan.worlds.candles import CandleDirectory

START, BARS = parse_iso("2025-11-06T17:40:00Z"), 2_000
MS = START + MINUTE_MS * np.arange(BARS)


def whole(factor):
    return pl.Series("open_time", MS * factor if factor >= 1 else MS // round(1 / factor), dtype=pl.Int64)


def moments(unit, zone):
    at = pl.Series("open_time", MS).cast(pl.Datetime("ms")).cast(pl.Datetime(unit))
    if zone is None:
        return at
    return (
        at.dt.replace_time_zone("UTC") if zone == "UTC" else at.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
    )


UNITS = {
    "s": whole(0.001),
    "ms": whole(1),
    "us": whole(1_000),
    "ns": whole(1_000_000),
    "float ms": pl.Series("open_time", MS, dtype=pl.Float64),
    "unsigned s": whole(0.001).cast(pl.UInt32),
    **{
        f"datetime {unit} {zone}": moments(unit, zone)
        for unit in ("ms", "us", "ns")
        for zone in (None, "UTC", "Asia/Tokyo")
    },
}


def folder(tmp_path, times, **columns):
    close = 0.53 + np.round(np.sin(np.arange(BARS) / 20.0) / 100.0, 4)
    values = {**dict.fromkeys(("open", "high", "low", "close"), close), "volume": np.full(BARS, 7.0), **columns}
    (tmp_path / "spot" / "ADAUSDT").mkdir(parents=True)
    pl.DataFrame([times, *(pl.Series(name, column) for name, column in values.items())]).write_parquet(
        tmp_path / "spot" / "ADAUSDT" / "1m.parquet"
    )
    return tmp_path


@pytest.mark.parametrize("name", list(UNITS))
def test_every_unit_gives_the_same_bars_to_the_audit_and_to_the_exchange(tmp_path, name):
    path = folder(tmp_path, UNITS[name])
    (recording,) = find_recordings(path)
    assert read_recording(recording)["open_time"].to_list() == MS.tolist()
    world = CandleDirectory.open(path)
    assert world.now_ms == MS[-1] + MINUTE_MS
    assert world.klines("ADAUSDT-spot", START, START + DAY_MS)["open_time"].to_list() == MS[:1440].tolist()


WRONG = {
    "text": (pl.Series("open_time", ["2025-11-06"] * BARS), "String"),
    "days": (pl.Series("open_time", MS // DAY_MS), "Int64 from 20"),
    "mixed": (pl.Series("open_time", np.where(np.arange(BARS) < 9, MS * 1000, MS)), "Int64 from 17"),
    "dates": (pl.Series("open_time", MS).cast(pl.Datetime("ms")).dt.date(), "Date"),
}


@pytest.mark.parametrize("name", list(WRONG))
def test_times_of_no_unit_are_schema_with_file_column_and_unit(tmp_path, name):
    times, seen = WRONG[name]
    path = folder(tmp_path, times)
    (recording,) = find_recordings(path)
    for read in (lambda: read_recording(recording), lambda: CandleDirectory.open(path)):
        with pytest.raises(SchemaError, match=rf"ADAUSDT/1m.parquet: column open_time holds {seen}.* s, ms, us or ns"):
            read()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_a_close_that_is_no_number_is_counted_by_the_audit_and_refused_by_the_exchange(tmp_path, value):
    close = pl.Series("close", [0.53] * (BARS - 1) + [value], dtype=pl.Float64)
    path = folder(tmp_path, UNITS["ms"], close=close)
    (recording,) = find_recordings(path)
    assert read_recording(recording).height == BARS
    with pytest.raises(
        SchemaError, match=r"spot/ADAUSDT/1m.parquet: column close has 1 rows that hold no finite number"
    ):
        CandleDirectory.open(path)


def test_a_file_that_is_no_parquet_is_schema_by_name(tmp_path):
    path = folder(tmp_path, UNITS["ms"])
    (path / "spot" / "ADAUSDT" / "1m.parquet").write_bytes(b"no candles")
    with pytest.raises(SchemaError, match=r"spot/ADAUSDT/1m\.parquet cannot be read"):
        CandleDirectory.open(path)


def test_signs_of_a_pattern_in_a_folder_s_name_are_no_pattern(tmp_path):
    path = folder(tmp_path / "what? [a]*", UNITS["ms"])
    (recording,) = find_recordings(path)
    assert read_recording(recording).height == BARS
    assert len(CandleDirectory.open(path).recordings) == 1


def test_a_zone_is_only_another_name_for_the_moment():
    east = datetime(2025, 11, 7, 2, 40, tzinfo=timezone(timedelta(hours=9)))
    assert east == datetime(2025, 11, 6, 17, 40, tzinfo=UTC)
    assert UNITS["datetime us Asia/Tokyo"][0] == east
