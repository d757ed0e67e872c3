"""The lake in a folder and in a bucket: many writers, failures, and one data hash whatever the files look like."""

import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import obstore
import polars as pl
import pytest
from buckets import SECRET
from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.adapters import cloud
from huracan.adapters import lake as lake_module
from huracan.adapters.cloud import in_words, unanswered
from huracan.adapters.endpoints import loopback_endpoint
from huracan.adapters.lake import DeltaLake
from huracan.domain.frames import BAR_SCHEMA, FUNDING_SCHEMA
from huracan.domain.ids import Instrument
from huracan.domain.time import MINUTE_MS
from huracan.errors import DamagedTableError, UpstreamError
from huracan.ingest import values_hash
from huracan.ports import FetchedFile, FetchedRows

pytestmark = pytest.mark.slow

COIN = Instrument(market="um", symbol="1000PEPEUSDT", base="PEPE", quote="USDT")
ALL = (-(2**60), 2**60)


def bars(minutes, volume=1.0):
    times = pl.Series("open_time", [minute * MINUTE_MS for minute in minutes], dtype=pl.Int64)
    floats = {name: [minute / 8 + place for minute in minutes] for place, name in enumerate(BAR_SCHEMA) if place}
    return pl.DataFrame({"open_time": times, **floats, "volume": [volume] * len(times)}, schema=BAR_SCHEMA)


def batch(rows, name=None):
    file = FetchedFile(name=name, sha256="a" * 64, rows=rows.height) if name else None
    return FetchedRows(kind="bars", rows=rows, source="archive", file=file)


@pytest.fixture(params=["folder", "bucket"])
def place(request, tmp_path):
    """A root and how it is opened."""
    if request.param == "folder":
        return str(tmp_path / "lake"), False
    return request.getfixturevalue("lake_bucket"), True


@pytest.fixture
def lake(place):
    return DeltaLake(place[0], allow_http=place[1])


def append_nights(root, allow_http, writer):
    lake = DeltaLake(root, allow_http=allow_http)
    for night in range(3):
        lake.append(COIN, [batch(bars(range(night, night + 4)), f"{writer}-{night}.zip")], "binance")


@pytest.mark.parametrize("how", ["threads", "processes"])
def test_writers_at_once_never_store_a_row_twice_and_lose_no_file(place, how):
    root, allow_http = place
    if how == "threads":
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(append_nights, [root] * 4, [allow_http] * 4, range(4)))
    else:
        context = multiprocessing.get_context("spawn")
        workers = [context.Process(target=append_nights, args=(root, allow_http, n)) for n in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert [worker.exitcode for worker in workers] == [0, 0]
    lake = DeltaLake(root, allow_http=allow_http)
    assert lake.bars(COIN, *ALL).equals(bars(range(6)))
    writers = range(4 if how == "threads" else 2)
    assert set(lake.files(COIN)) == {f"{writer}-{night}.zip" for writer in writers for night in range(3)}


def test_rows_appended_during_a_compaction_stay_with_their_file(lake, monkeypatch):
    for minute in range(3):
        lake.append(COIN, [batch(bars([minute]), f"{minute}.zip")], "binance")
    groups = lake_module._groups

    def meanwhile(*arguments):
        monkeypatch.setattr(lake_module, "_groups", groups)
        lake.append(COIN, [batch(bars([3]), "3.zip")], "binance")
        return groups(*arguments)

    monkeypatch.setattr(lake_module, "_groups", meanwhile)
    lake.compact(COIN)
    assert lake.bars(COIN, *ALL).equals(bars(range(4)))
    assert set(lake.files(COIN)) == {f"{minute}.zip" for minute in range(4)}
    lake.compact(COIN)
    assert lake.bars(COIN, *ALL).equals(bars(range(4)))
    assert set(lake.files(COIN)) == {f"{minute}.zip" for minute in range(4)}


def test_size_counts_every_byte_below_the_root(lake):
    assert lake.size() == 0
    lake.append(COIN, [batch(bars(range(100)))], "binance")
    assert lake.size() > lake.coverage(COIN)[0].bytes > 0


@pytest.mark.parametrize("victim", ["00000000000000000000.json", ".parquet"])
def test_a_damaged_table_of_a_bucket_is_set_aside_and_fetched_again(lake_bucket, victim):
    lake = DeltaLake(lake_bucket, allow_http=True)
    store = cloud.open_bucket(lake_bucket, allow_http=True)
    for number in (1, 2):
        lake.append(COIN, [batch(bars([1]), "a.zip")], "binance")
        keys = [str(meta["path"]) for meta in obstore.list(store, "bars/").collect()]
        obstore.put(store, next(key for key in keys if key.endswith(victim)), b"damage")
        with pytest.raises(DamagedTableError, match="move it away"):
            lake.bars(COIN, *ALL)
        (moved,) = lake.quarantine(COIN)
        assert moved.startswith(f"{lake_bucket}/damaged/bars-{COIN.path_id}-")
        assert moved.endswith("parquet-1" if victim == ".parquet" else f"-{number}")
        assert lake.bars(COIN, *ALL).is_empty()
        assert lake.files(COIN) == {}
    assert lake.quarantine(COIN) == []


@pytest.mark.parametrize(
    "call", ["files", "bars", "append", "coverage", "compact", "instruments", "quarantine", "size"]
)
def test_a_bucket_that_does_not_answer_is_no_damage_and_no_secret_is_told(lake_bucket, monkeypatch, call, capfd):
    monkeypatch.setattr(cloud, "PATIENCE_S", 1)
    monkeypatch.setattr(cloud, "RETRIES", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    lake = DeltaLake(lake_bucket, allow_http=True)
    calls = {
        "bars": lambda: lake.bars(COIN, *ALL),
        "append": lambda: lake.append(COIN, [batch(bars([1]))], "binance"),
        "instruments": lake.instruments,
        "size": lake.size,
    }
    with pytest.raises(UpstreamError, match="no answer") as raised:
        calls.get(call, lambda: getattr(lake, call)(COIN))()
    assert lake_bucket.rpartition("/")[0] in str(raised.value)
    told = "".join((str(raised.value), repr(raised.value.__cause__), repr(lake.__dict__), *capfd.readouterr()))
    assert SECRET not in told


def test_a_bucket_that_is_not_there_or_refuses_is_no_damage(lake_bucket, monkeypatch):
    nowhere = DeltaLake("s3://no-such-bucket/x", allow_http=True)
    with pytest.raises((UpstreamError, DamagedTableError), match="no-such-bucket"):
        nowhere.append(COIN, [batch(bars([1]))], "binance")


@pytest.mark.parametrize(
    ("words", "silent"),
    [
        ("Generic S3 error: Error performing GET http://x/y?X-Amz-Signature=abc in 1s - Server returned 500", True),
        ("The operation lacked the necessary privileges to complete for path x", True),
        (
            "Object at location x not found: Error performing GET x - Server returned non-2xx status code: 404 Not Found",
            False,
        ),
        ("parquet: File out of specification: The file must end with PAR1", False),
    ],
)
def test_silence_is_told_from_damage(words, silent):
    assert unanswered(OSError(words)) is silent
    assert "Signature" not in in_words(OSError(words))


@pytest.mark.parametrize(
    ("inner", "cause"),
    [
        ("error: InvalidCertificate(\n   UnknownIssuer,\n )", ": UnknownIssuer"),
        ('Os { code: 111, kind: ConnectionRefused, message: "Connection refused" }', ": Connection refused"),
        ('Custom { error: "failed to lookup address information" }', ": failed to lookup address information"),
        ("kind: Request", ""),
    ],
)
def test_of_an_error_for_the_library_s_authors_only_the_cause_is_told(inner, cause):
    error = OSError(f"Error performing GET https://x/y - error sending request\n\nDebug source:\nGeneric {{ {inner} }}")
    assert in_words(error) == f"Error performing GET https://x/y - error sending request{cause}"


@pytest.mark.parametrize(
    ("endpoint", "here"),
    [
        ("http://127.0.0.1:9000", True),
        ("http://localhost", True),
        ("http://127.0.0.1.evil.example", False),
        ("", False),
    ],
)
def test_plain_http_is_for_loopback(endpoint, here):
    assert loopback_endpoint({"AWS_ENDPOINT_URL": endpoint}) is here


VALUES = (
    st.floats(allow_nan=False, allow_infinity=False, width=64)
    | st.none()
    | st.integers(0, 10**7).map(lambda n: n / 100)
)


@st.composite
def layouts(draw):
    """Rows of bars and settlements, cut into appends in any order, with compactions in between."""
    count = draw(st.integers(1, 40))
    minutes = sorted(draw(st.sets(st.integers(0, 200), min_size=count, max_size=count)))
    rows = bars(minutes)
    column = draw(st.sampled_from(list(BAR_SCHEMA)[1:]))
    values = draw(st.lists(VALUES, min_size=count, max_size=count))
    rows = rows.with_columns(pl.Series(column, values, dtype=pl.Float64))
    cuts = sorted(draw(st.sets(st.integers(0, count), max_size=5)) | {0, count})
    parts = list(pairwise(cuts))
    return rows, draw(st.permutations(parts)), draw(st.lists(st.booleans(), min_size=len(parts), max_size=len(parts)))


@settings(max_examples=int(os.environ.get("HURACAN_TEST_LAYOUTS", "20")), deadline=None)
@given(layouts(), st.tuples(st.integers(0, 200), st.integers(0, 200)))
def test_the_data_hash_of_any_window_depends_on_its_values_alone(tmp_path_factory, layout, window):
    rows, parts, compact = layout
    lake = DeltaLake(str(tmp_path_factory.mktemp("lake")))
    for (low, high), also in zip(parts, compact, strict=True):
        lake.append(COIN, [batch(rows[low:high])], "binance")
        settlements = rows[low:high].select(funding_time="open_time", rate="open", interval_hours="volume")
        lake.append(COIN, [FetchedRows(kind="funding", rows=settlements, source="archive")], "binance")
        lake.append(COIN, [batch(rows[low : low + 1])], "binance")
        if also:
            lake.compact(COIN, vacuum=True)
    start, end = min(window) * MINUTE_MS, max(window) * MINUTE_MS
    wanted = rows.filter(pl.col("open_time").is_between(start, end, closed="left"))
    funding = wanted.select(funding_time="open_time", rate="open", interval_hours="volume").cast(FUNDING_SCHEMA)
    seen = values_hash(lake.bars(COIN, start, end), lake.funding(COIN, start, end))
    assert seen == values_hash(wanted, funding)


@pytest.mark.parametrize("part", ["00000000000000000000.json", ".parquet", "00000000000000000001.json"])
def test_a_write_that_meets_a_conflict_in_the_bucket_is_made_again(lake_bucket, conflict_at, part):
    lake = DeltaLake(lake_bucket, allow_http=True)
    conflict_at(part)
    assert lake.append(COIN, [batch(bars([1, 2]), "a.zip")], "binance") == 2
    assert lake.append(COIN, [batch(bars([3]), "b.zip")], "binance") == 1
    assert lake.bars(COIN, *ALL)["open_time"].to_list() == [minute * MINUTE_MS for minute in (1, 2, 3)]
