"""Two rows for one minute: the fuller one stays wherever the other came from, and every double is counted with its file."""

import io
import zipfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.adapters.binance.tables import klines_csv
from huracan.adapters.lake import DeltaLake
from huracan.adapters.lake_doubles import as_runs, from_runs
from huracan.domain.doubles import DOUBLES_SCHEMA
from huracan.domain.frames import BAR_SCHEMA, FUNDING_SCHEMA, empty
from huracan.domain.ids import Instrument
from huracan.domain.time import DAY_MS, MINUTE_MS, parse_iso
from huracan.ingest import IngestConfig, validate_bars
from huracan.ingest.audit import examine
from huracan.ports import FetchedFile, FetchedRows

CASE = Path(__file__).parents[3] / "shared" / "cases" / "twin-row-at-2359" / "ADAUSDT-1m-2025-11-06.zip"
COIN = Instrument(market="spot", symbol="ADAUSDT", base="ADA", quote="USDT")
CONFIG = IngestConfig(interval_ms=MINUTE_MS)
DAY = parse_iso("2025-11-06")
LAST = DAY + DAY_MS - MINUTE_MS
ALL = (0, 1 << 60)
WHOLE = ("0.5319,0.532,0.5317,0.5318,7356.0", "3912.0,11,3000.0,1595.0,0")
STUB = ("0.5319,0.5319,0.5319,0.5319,668.7", "355.7,1,668.7,355.7,0")


def line(time, row):
    return f"{time},{row[0]},{time + MINUTE_MS - 1},{row[1]}"


def day_file(number, *last, hours=1):
    """One day's file: an hour of bars at its end, and in the last minute the rows that are given."""
    day = DAY + number * DAY_MS
    end = day + DAY_MS - MINUTE_MS
    before = [line(end - back * MINUTE_MS, WHOLE) for back in range(hours * 60 - 1, 0, -1)]
    text = "\n".join([*before, *(line(end, row) for row in last)]) + "\n"
    name = f"ADAUSDT-1m-2025-11-{6 + number:02}.zip"
    rows = klines_csv(text.encode(), name, (day, day + DAY_MS))
    return FetchedRows(
        kind="bars",
        rows=rows,
        source="archive",
        file=FetchedFile(name=name, sha256=f"{number:064x}", rows=rows.height),
    )


def by_rest(row, number=0):
    time = DAY + number * DAY_MS + DAY_MS - MINUTE_MS
    rows = klines_csv(line(time, row).encode(), "klines", (time - DAY_MS, time + DAY_MS))
    return FetchedRows(kind="bars", rows=rows, source="rest")


@pytest.fixture
def lake(tmp_path):
    return DeltaLake(str(tmp_path / "lake"))


def last_bar(lake, number=0):
    (row,) = lake.bars(COIN, LAST + number * DAY_MS, LAST + number * DAY_MS + 1).rows(named=True)
    return row["volume"], row["high"], row["low"], row["trades"]


def told(lake):
    """Duplicates and conflicts, as the night's report and the audit have them."""
    bars, doubles = lake.bars(COIN, *ALL), lake.doubles(COIN, *ALL)
    start, end = DAY - DAY_MS, DAY + 10 * DAY_MS
    _, report = validate_bars(
        COIN, bars, empty(FUNDING_SCHEMA), CONFIG, start_ms=start, end_ms=end, vendor="binance", doubles=doubles
    )
    found = examine("lake", "spot", "ADAUSDT", bars, CONFIG, doubles=doubles)
    assert (found.duplicates, found.conflicts) == (report.counts["duplicates"], report.counts["conflicts"])
    assert report.rows_in + report.repaired - report.cut - report.counts["duplicates"] == report.rows_out
    return report


def counts(lake):
    report = told(lake)
    return report.counts["duplicates"], report.counts["conflicts"]


def test_a_stub_after_the_whole_bar_on_three_days_changes_nothing_and_is_counted(lake):
    lake.append(COIN, [day_file(number, WHOLE, STUB) for number in range(3)], "binance")
    assert [last_bar(lake, number) for number in range(3)] == [(7356.0, 0.532, 0.5317, 11.0)] * 3
    report = told(lake)
    assert (report.counts["duplicates"], report.counts["conflicts"]) == (3, 3)
    issues = [(one.start_ms, one.detail.partition(":")[0]) for one in report.issues if one.kind == "duplicate"]
    assert issues == [(LAST + n * DAY_MS, f"ADAUSDT-1m-2025-11-{6 + n:02}.zip") for n in range(3)]


@pytest.mark.parametrize(
    ("rows", "duplicates", "conflicts"),
    [
        ((STUB, WHOLE), 1, 1),
        ((WHOLE, WHOLE), 1, 0),
        ((WHOLE, WHOLE, WHOLE), 2, 0),
        ((STUB, WHOLE, STUB), 2, 2),
        ((WHOLE, STUB, WHOLE), 2, 1),
    ],
)
def test_doubles_and_triples_in_any_order_leave_the_whole_bar(lake, rows, duplicates, conflicts):
    batch = day_file(0, *rows)
    for _ in range(2):
        lake.append(COIN, [batch], "binance")
        assert last_bar(lake)[0] == 7356.0
        assert counts(lake) == (duplicates, conflicts)


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("first", ["stub", "whole"])
@pytest.mark.parametrize("other", ["file", "rest"])
def test_the_whole_bar_stays_across_files_and_between_archive_and_rest(lake, at_once, first, other):
    one, two = (STUB, WHOLE) if first == "stub" else (WHOLE, STUB)
    second = day_file(0, two)
    if other == "file":
        file = FetchedFile(name="ADAUSDT-1m-2025-11.zip", sha256="f" * 64, rows=60)
        second = FetchedRows(kind="bars", rows=second.rows.tail(1), source="archive", file=file)
    else:
        second = by_rest(two)
    batches = [[day_file(0, one), second]] if at_once else [[day_file(0, one)], [second]]
    for _ in range(2):
        for batch in batches:
            lake.append(COIN, batch, "binance")
    assert last_bar(lake) == (7356.0, 0.532, 0.5317, 11.0)
    assert counts(lake) == (1, 1)
    (double,) = lake.doubles(COIN, *ALL).rows(named=True)
    assert (double["time_ms"], double["rows"], double["conflicts"]) == (LAST, 1, 1)
    assert double["source"] in {batch.file.name if batch.file else "rest" for batch in (day_file(0, one), second)}


def test_the_same_bar_by_rest_and_then_by_the_archive_is_the_usual_way_and_no_double(lake):
    lake.append(COIN, [by_rest(WHOLE)], "binance")
    lake.append(COIN, [day_file(0, WHOLE)], "binance")
    assert counts(lake) == (0, 0)


def test_a_file_that_the_exchange_replaced_stands_whatever_it_holds(lake):
    lake.append(COIN, [day_file(0, WHOLE, STUB)], "binance")
    new = day_file(0, STUB)
    replaced = FetchedFile(name=new.file.name, sha256="e" * 64, rows=60)
    lake.append(COIN, [FetchedRows(kind="bars", rows=new.rows, source="archive", file=replaced)], "binance")
    assert last_bar(lake)[0] == 668.7
    assert counts(lake) == (0, 0)
    assert lake.coverage(COIN)[0].restated == 1


def test_doubles_outlive_merges_and_are_cut_with_the_window(lake):
    for number in range(3):
        lake.append(COIN, [day_file(number, WHOLE, STUB)], "binance")
    lake.compact(COIN, vacuum=True)
    assert counts(lake) == (3, 3)
    assert lake.doubles(COIN, LAST + 1, LAST + 2 * DAY_MS)["time_ms"].to_list() == [LAST + DAY_MS]


def test_a_settlement_with_its_interval_stays_where_one_without_comes_later(lake):
    def settlement(hours):
        values = {"funding_time": [DAY], "rate": [1e-4], "interval_hours": [hours]}
        return FetchedRows(kind="funding", rows=pl.DataFrame(values, schema=FUNDING_SCHEMA), source="rest")

    lake.append(COIN, [settlement(8.0), settlement(None)], "binance")
    assert lake.funding(COIN, *ALL)["interval_hours"].to_list() == [8.0]


bar = st.tuples(st.integers(0, 6), st.integers(1, 40), st.integers(1, 40))


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(bar, min_size=1, max_size=6), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_what_stays_depends_on_no_order_and_no_partition(tmp_path_factory, batches, rng):
    everything = [row for batch in batches for row in batch]
    wanted = {}
    for minute, trades, volume in everything:
        wanted[minute] = max(wanted.get(minute, (0, 0)), (trades, volume))

    def fetched(rows):
        floats = {name: [1.0] * len(rows) for name in BAR_SCHEMA}
        given = {"trades": [float(t) for _, t, _ in rows], "volume": [float(v) for _, _, v in rows]}
        frame = pl.DataFrame({**floats, **given, "open_time": [m * MINUTE_MS for m, _, _ in rows]}, schema=BAR_SCHEMA)
        return FetchedRows(kind="bars", rows=frame, source="rest")

    lake = DeltaLake(str(tmp_path_factory.mktemp("lake")))
    rng.shuffle(everything)
    cuts = sorted(rng.sample(range(len(everything) + 1), min(2, len(everything))))
    for low, high in zip([0, *cuts], [*cuts, len(everything)], strict=True):
        if low < high:
            lake.append(COIN, [fetched([row]) for row in everything[low:high]], "binance")
    seen = lake.bars(COIN, *ALL)
    assert {time // MINUTE_MS: row for time, *row in seen.select("open_time", "trades", "volume").rows()} == {
        minute: [float(trades), float(volume)] for minute, (trades, volume) in wanted.items()
    }


double = st.tuples(st.integers(0, 50), st.sampled_from(["a.zip", "rest"]), st.integers(1, 2), st.integers(0, 1))


@settings(max_examples=100, deadline=None)
@given(st.lists(double, max_size=30, unique_by=lambda row: row[:2]))
def test_runs_give_back_the_doubles_they_were_made_of(rows):
    frame = pl.DataFrame(rows, schema=DOUBLES_SCHEMA, orient="row").sort("time_ms", "source")
    assert from_runs(as_runs(frame)).equals(frame)


def test_a_file_of_which_every_row_stands_twice_is_one_run():
    frame = pl.DataFrame(
        {"time_ms": range(44_640), "source": "a.zip", "rows": 1, "conflicts": 0}, schema=DOUBLES_SCHEMA
    )
    assert as_runs(frame) == {"a.zip": ((0, 1, 44_640, 1, 0),)}


@pytest.mark.skipif(not CASE.is_file(), reason=f"{CASE} is not there")
def test_a_recorded_day_with_a_stub_at_its_end(lake):
    with zipfile.ZipFile(io.BytesIO(CASE.read_bytes())) as archive:
        text = archive.read(archive.namelist()[0])
    rows = klines_csv(text, CASE.name, (DAY, DAY + DAY_MS))
    file = FetchedFile(name=CASE.name, sha256="a" * 64, rows=rows.height)
    lake.append(COIN, [FetchedRows(kind="bars", rows=rows, source="archive", file=file)], "binance")
    assert last_bar(lake)[:3] == (7356.0, 0.532, 0.5317)
    assert counts(lake) == (1, 1)
