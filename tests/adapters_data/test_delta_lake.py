"""The lake: appended twice is appended once, restated rows are marked, provenance and rows are one step."""

import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import obstore
import polars as pl
import pytest
from deltalake import CommitProperties, DeltaTable, write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.adapters import lake as lake_module
from huracan.adapters.lake import DeltaLake
from huracan.adapters.lake_rows import BARS
from huracan.adapters.lake_table import LakeTable
from huracan.adapters.packing import pack_bars
from huracan.domain.frames import BAR_SCHEMA, FUNDING_SCHEMA, empty
from huracan.domain.ids import Instrument
from huracan.domain.time import HOUR_MS, MINUTE_MS
from huracan.errors import ConfigError, DamagedTableError, DiskFullError, SchemaError
from huracan.ports import FetchedFile, FetchedRows

pytestmark = pytest.mark.slow

COIN = Instrument(market="um", symbol="币安人生USDT", base="币安人生", quote="USDT")
OTHER = Instrument(market="spot", symbol="SOLUSDT", base="SOL", quote="USDT")
ALL = (-(2**60), 2**60)


def rows(times, **columns):
    """Bars at minute numbers; every value differs from its neighbours."""
    at = np.asarray(times, dtype=np.float64)
    frame = pl.DataFrame({name: at + place for place, name in enumerate(BAR_SCHEMA)})
    frame = frame.with_columns(open_time=pl.Series((at * MINUTE_MS).astype(np.int64)))
    return frame.with_columns(pl.lit(value, dtype=pl.Float64).alias(name) for name, value in columns.items()).cast(
        BAR_SCHEMA
    )


def batch(frame, file=None, kind="bars", source="archive"):
    return FetchedRows(kind=kind, rows=frame, source=source, file=file)


def named(name, sha="a" * 64, count=3):
    return FetchedFile(name=name, sha256=sha, rows=count)


@pytest.fixture
def folder_lake(tmp_path):
    return DeltaLake(str(tmp_path / "my lake"))


@pytest.fixture(params=["folder", "bucket"])
def lake(request):
    """The same lake in both kinds of place."""
    if request.param == "folder":
        return request.getfixturevalue("folder_lake")
    return DeltaLake(request.getfixturevalue("lake_bucket"), allow_http=True)


def table(lake, instrument=COIN, kind="bars"):
    folder = instrument.path_id.replace("%", "@")
    return DeltaTable(f"{lake._place.root}/{kind}/{folder}", storage_options=lake._place.options)


def sealed(lake):
    """Data files as the newest commit has them."""
    return lake._table(BARS, COIN).seal.data


def damage(lake, file):
    """Other bytes of the same length in a data file."""
    name = f"bars/{COIN.path_id.replace('%', '@')}/{file.path}"
    if lake._place.options is None:
        (Path(lake._place.root) / name).write_bytes(b"x" * file.size)
    else:
        lake._place.store(name, b"x" * file.size)


def lose(lake, file):
    """A data file that somebody deleted."""
    name = f"bars/{COIN.path_id.replace('%', '@')}/{file.path}"
    if lake._place.options is None:
        (Path(lake._place.root) / name).unlink()
    else:
        obstore.delete(lake._place._store, [name])


def test_an_unknown_instrument_is_empty(lake):
    assert lake.files(COIN) == {}
    assert lake.bars(COIN, *ALL).equals(empty(BAR_SCHEMA))
    assert lake.funding(COIN, *ALL).equals(empty(FUNDING_SCHEMA))
    assert lake.instruments() == []
    assert lake.coverage(COIN) == []
    lake.compact(COIN)


def test_rows_come_back_ascending_within_the_half_open_window(lake):
    assert lake.append(COIN, [batch(rows([5, 6])), batch(rows([1, 2]))], "binance") == 4
    assert lake.bars(COIN, *ALL).equals(rows([1, 2, 5, 6]))
    assert lake.bars(COIN, 2 * MINUTE_MS, 6 * MINUTE_MS).equals(rows([2, 5]))
    assert lake.instruments() == ["币安人生USDT-um"]
    assert lake.bars(OTHER, *ALL).is_empty()


def test_held_bytes_give_the_rows_and_their_digest_changes_with_any_of_them(lake):
    lake.append(COIN, [batch(rows([1, 2, 5, 6]))], "binance")
    window = (2 * MINUTE_MS, 6 * MINUTE_MS)
    held = lake.held_bars(COIN, *window)
    assert held.frame().equals(lake.bars(COIN, *window))
    assert held.digest == lake.held_bars(COIN, *window).digest
    assert held.digest != lake.held_bars(COIN, 2 * MINUTE_MS, 7 * MINUTE_MS).digest
    lake.append(COIN, [batch(rows([7]))], "binance")
    assert lake.held_bars(COIN, *window).digest == held.digest  # other files than those that may hold the window
    lake.append(COIN, [batch(rows([3]))], "binance")
    assert lake.held_bars(COIN, *window).digest != held.digest
    assert lake.held_bars(OTHER, *window).frame().is_empty()


def test_held_bytes_are_checked_at_once_and_not_when_they_are_parsed(lake):
    lake.append(COIN, [batch(rows([1, 2, 5, 6]))], "binance")
    held = lake.held_bars(COIN, *ALL)
    damage(lake, *sealed(lake).values())
    assert held.frame().equals(rows([1, 2, 5, 6]))
    with pytest.raises(DamagedTableError, match="sha256"):
        lake.held_bars(COIN, *ALL)


def test_an_earlier_listing_is_a_cut_of_its_tickers_table(lake):
    lake.append(COIN, [batch(rows([1, 2, 5, 6]))], "binance")
    earlier = replace(COIN, listing_end=19700101, until_ms=5 * MINUTE_MS)
    assert lake.bars(earlier, *ALL).equals(rows([1, 2]))
    assert lake.bars(earlier, 2 * MINUTE_MS, 4 * MINUTE_MS).equals(rows([2]))
    assert lake.bars(earlier, 5 * MINUTE_MS, 9 * MINUTE_MS).is_empty()
    assert lake.instruments() == [COIN.id]


def test_the_same_rows_and_file_again_change_nothing_at_all(lake):
    batches = [batch(rows([1, 2, 3]), named("x.zip"))]
    assert lake.append(COIN, batches, "binance") == 3
    assert lake.append(COIN, batches, "binance") == 0
    assert table(lake).version() == 0


def test_only_new_rows_are_counted(lake):
    lake.append(COIN, [batch(rows([1, 2, 3]))], "binance")
    assert lake.append(COIN, [batch(rows([2, 3, 4, 5]))], "binance") == 2
    assert lake.bars(COIN, *ALL).equals(rows([1, 2, 3, 4, 5]))


def test_a_differing_value_replaces_the_row_and_is_marked_restated(lake):
    lake.append(COIN, [batch(rows(range(10)))], "binance")
    assert lake.append(COIN, [batch(rows([3, 4, 12], volume=99.0))], "binance") == 3
    seen = lake.bars(COIN, *ALL)
    assert seen["open_time"].to_list() == [m * MINUTE_MS for m in [*range(10), 12]]
    assert seen.filter(pl.col("volume") == 99.0).height == 3
    (coverage,) = lake.coverage(COIN)
    assert (coverage.rows, coverage.restated) == (11, 2)
    lake.append(COIN, [batch(rows([20]))], "binance")
    assert lake.coverage(COIN)[0].restated == 2


def test_the_later_batch_wins_within_one_append(lake):
    lake.append(COIN, [batch(rows([1, 2])), batch(rows([2, 3], open=7.0))], "binance")
    assert lake.bars(COIN, *ALL)["open"].to_list() == [2.0, 7.0, 7.0]


def former(lake, stored, files, **how):
    """A commit as releases without hashes made it: rows in their stored form, and the list of archive files alone."""
    name = f"{lake._place.root}/bars/{COIN.path_id.replace('%', '@')}"
    properties = CommitProperties(custom_metadata={"huracan_files": json.dumps(files)})
    write_deltalake(name, stored, storage_options=lake._place.options, commit_properties=properties, **how)


def as_stored(frame):
    return pack_bars(frame.with_columns(origin=pl.lit(0, pl.Int64)))


def test_a_table_with_the_columns_of_an_earlier_release_is_set_aside_whatever_is_asked_of_it(folder_lake):
    lake = folder_lake
    former(lake, pl.DataFrame({"open_time": [1], "vendor": ["binance"]}), {})
    for ask in (
        lambda: lake.bars(COIN, 0, 1 << 60),
        lambda: lake.bars(COIN, 1 << 59, 1 << 60),
        lambda: lake.append(COIN, [batch(rows([900]))], "binance"),
        lambda: lake.coverage(COIN),
        lambda: lake.provenance(COIN),
    ):
        with pytest.raises(DamagedTableError, match="another release"):
            ask()
    assert len(lake.quarantine(COIN)) == 1
    assert lake.append(COIN, [batch(rows([1, 2]))], "binance") == 2


def test_a_table_without_hashes_is_read_and_sealed_by_its_next_commit(lake):
    former(lake, as_stored(rows([1, 2])), {"x.zip": ["a" * 64, 2, "etag/7"]})
    former(lake, as_stored(rows([3])), {"x.zip": ["a" * 64, 2, "etag/7"], "y.zip": ["b" * 64, 1]}, mode="append")
    known = {
        "x.zip": FetchedFile(name="x.zip", sha256="a" * 64, rows=2, stamp="etag/7"),
        "y.zip": named("y.zip", "b" * 64, 1),
    }
    assert lake.bars(COIN, *ALL).equals(rows([1, 2, 3]))
    assert lake.files(COIN) == known
    assert lake.coverage(COIN)[0].restated == 0
    assert lake.holding(COIN).unproven == 2
    assert lake.append(COIN, [batch(rows([3, 4]))], "binance") == 1
    assert lake.bars(COIN, *ALL).equals(rows([1, 2, 3, 4]))
    assert lake.files(COIN) == known
    assert lake.holding(COIN).unproven == 2
    assert all(file.sha256 for file in sealed(lake).values())
    lake.compact(COIN)
    assert lake.holding(COIN).unproven == 1


def test_rows_of_an_unknown_vendor_are_refused(lake):
    with pytest.raises(SchemaError, match=r"vendor 'somebody'; the lake knows binance, injected"):
        lake.append(COIN, [batch(rows([1]))], "somebody")


def test_a_source_without_a_column_does_not_erase_it(lake):
    lake.append(COIN, [batch(rows([1, 2]))], "binance")
    assert lake.append(COIN, [batch(rows([1, 2], trades=None, taker_base=None))], "injected") == 0
    assert lake.bars(COIN, *ALL).equals(rows([1, 2]))


def test_a_column_that_arrives_later_is_filled_in_without_being_a_restatement(lake):
    lake.append(COIN, [batch(rows([1, 2], trades=None))], "injected")
    assert lake.append(COIN, [batch(rows([1]))], "binance") == 1
    assert lake.bars(COIN, *ALL)["trades"].to_list() == [rows([1])["trades"][0], None]
    assert lake.coverage(COIN)[0].restated == 0


def test_files_are_remembered_with_their_newest_checksum_even_without_rows(lake):
    settlements = pl.DataFrame(
        {"funding_time": [HOUR_MS], "rate": [1e-4], "interval_hours": [None]}, schema=FUNDING_SCHEMA
    )
    lake.append(COIN, [batch(rows([1]), named("a")), batch(settlements, named("f"), kind="funding")], "binance")
    lake.append(COIN, [batch(empty(BAR_SCHEMA), named("b"))], "binance")
    lake.append(COIN, [batch(rows([1]), named("a", sha="b" * 64))], "binance")
    lake.append(COIN, [batch(rows([2]), source="rest")], "binance")
    assert lake.files(COIN) == {"a": named("a", sha="b" * 64), "b": named("b"), "f": named("f")}
    assert lake.bars(COIN, *ALL).height == 2
    assert lake.funding(COIN, *ALL).equals(settlements)


def test_a_listing_s_stamp_and_a_lost_file_are_remembered(lake):
    stamped = FetchedFile(name="x.zip", sha256="a" * 64, rows=3, stamp="etag/7")
    gone = FetchedFile(name="y.zip", sha256="", rows=0)
    lake.append(COIN, [batch(rows([1, 2, 3]), stamped), batch(rows([]), gone, source="rest")], "binance")
    assert lake.files(COIN) == {"x.zip": stamped, "y.zip": gone}
    assert (stamped.lost, gone.lost) == (False, True)


def test_a_table_that_began_with_a_file_of_no_rows_reads_as_empty(lake):
    lake.append(COIN, [batch(empty(BAR_SCHEMA), named("a"))], "binance")
    assert lake.bars(COIN, *ALL).equals(empty(BAR_SCHEMA))
    assert lake.coverage(COIN) == []
    assert lake.append(COIN, [batch(rows([1]))], "binance") == 1


def test_compaction_keeps_rows_and_provenance_in_fewer_files(lake):
    for night in range(5):
        lake.append(COIN, [batch(rows([night]), named(f"{night}.zip"))], "binance")
    before = lake.bars(COIN, *ALL)
    lake.compact(COIN, vacuum=True)
    assert lake.bars(COIN, *ALL).equals(before)
    assert set(lake.files(COIN)) == {f"{night}.zip" for night in range(5)}
    assert lake.append(COIN, [batch(rows([0]), named("0.zip"))], "binance") == 0


def test_vacuum_deletes_what_no_version_of_a_week_needs_and_what_killed_nights_left(folder_lake, tmp_path):
    for night in range(12):  # beyond a checkpoint of the log
        folder_lake.append(COIN, [batch(rows([night]))], "binance")
    folder = next((tmp_path / "my lake" / "bars").iterdir())
    rows([99]).write_parquet(folder / "part-00000-stray-c000.parquet")
    folder_lake.compact(COIN, vacuum=True)
    assert len(list(folder.glob("*.parquet"))) == 14
    week = 8 * 24 * 3600
    for commit in (folder / "_delta_log").glob("*.json"):
        stamps = r'("deletionTimestamp":)(\d+)'
        commit.write_text(re.sub(stamps, lambda m: f"{m[1]}{int(m[2]) - week * 1000}", commit.read_text()))
    for file in folder.glob("*.parquet"):
        os.utime(file, (file.stat().st_atime, file.stat().st_mtime - week))
    folder_lake.compact(COIN, vacuum=True)
    assert len(list(folder.glob("*.parquet"))) == 1
    assert folder_lake.bars(COIN, *ALL).equals(rows(range(12)))


def test_an_append_that_leaves_many_small_files_merges_them(lake):
    nights = lake_module._SMALL_FILES + 2
    for night in range(nights):
        lake.append(COIN, [batch(rows([night]), named(f"{night}.zip"))], "binance")
    assert len(table(lake).file_uris()) <= 2
    assert lake.bars(COIN, *ALL).equals(rows(range(nights)))
    assert len(lake.files(COIN)) == nights


def test_a_table_that_another_program_has_committed_to_is_fetched_again(lake):
    for number in range(2):
        lake.append(COIN, [batch(rows([number]), named(f"{number}.zip"))], "binance")
    table(lake).optimize.compact()
    with pytest.raises(DamagedTableError, match="has no seal"):
        lake.bars(COIN, *ALL)
    assert len(lake.quarantine(COIN)) == 1
    assert lake.files(COIN) == {}
    assert lake.append(COIN, [batch(rows([0]))], "binance") == 1


def test_a_night_killed_before_its_commit_leaves_no_trace(folder_lake, tmp_path):
    lake = folder_lake
    lake.append(COIN, [batch(rows([1]), named("a"))], "binance")
    folder = next((tmp_path / "my lake" / "bars").iterdir())
    rows([9]).write_parquet(folder / "part-00000-stray.zstd.parquet")
    (folder / "_delta_log" / "00000000000000000001.json#1").write_bytes(b"torn")
    assert lake.bars(COIN, *ALL).equals(rows([1]))
    assert lake.append(COIN, [batch(rows([2]), named("b"))], "binance") == 1
    assert lake.bars(COIN, *ALL).equals(rows([1, 2]))
    assert set(lake.files(COIN)) == {"a", "b"}


@pytest.mark.parametrize("step", ["store", "log"])
def test_a_full_disk_is_disk_full_and_the_lake_is_as_it_was(folder_lake, monkeypatch, step):
    lake = folder_lake
    lake.append(COIN, [batch(rows([1]))], "binance")

    def refuse(*args, **kwargs):
        message = "Generic LocalFileSystem error: No space left on device (os error 28)"
        raise OSError(message)

    with monkeypatch.context() as patch:
        if step == "store":
            patch.setattr(lake._place, "store", refuse)
        else:
            patch.setattr(LakeTable, "_write_log", refuse)
        with pytest.raises(DiskFullError, match=r"1 rows in .*USDT-um"):
            lake.append(COIN, [batch(rows([2]))], "binance")
    assert lake.bars(COIN, *ALL).equals(rows([1]))
    assert lake.append(COIN, [batch(rows([2]))], "binance") == 1


def test_another_failure_to_write_says_what_to_do(folder_lake, monkeypatch):
    lake = folder_lake

    def refuse(*args, **kwargs):
        message = "permission denied"
        raise OSError(message)

    monkeypatch.setattr(lake._place, "store", refuse)
    with pytest.raises(SchemaError, match="move the folder away"):
        lake.append(COIN, [batch(rows([2]))], "binance")


def test_one_damaged_file_is_set_aside_alone_with_the_archive_files_it_may_have_come_from(lake):
    day = 24 * 60
    for number in range(5):
        name = f"X-1m-1970-01-{2 + 3 * number:02}.zip"
        lake.append(COIN, [batch(rows([(1 + 3 * number) * day, (1 + 3 * number) * day + 5]), named(name))], "binance")
    lake.append(COIN, [batch(rows([2 * day], open=7.0), source="rest")], "binance")
    victim = next(file for file in sealed(lake).values() if file.first_ms == 7 * day * MINUTE_MS)
    damage(lake, victim)
    with pytest.raises(DamagedTableError, match=victim.path):
        lake.bars(COIN, *ALL)
    assert lake.bars(COIN, 10 * day * MINUTE_MS, ALL[1]).height == 4
    (moved,) = lake.quarantine(COIN)
    assert victim.path in moved
    assert set(lake.files(COIN)) == {f"X-1m-1970-01-{day:02}.zip" for day in (2, 5, 11, 14)}
    assert lake.bars(COIN, *ALL).height == 9
    again = batch(rows([7 * day, 7 * day + 5]), named("X-1m-1970-01-08.zip"))
    assert lake.append(COIN, [again], "binance") == 2
    assert lake.quarantine(COIN) == []


def test_a_data_file_that_is_gone_is_told_and_fetched_again(lake):
    lake.append(COIN, [batch(rows([1, 2]), named("X-1m-1970-01-01.zip"))], "binance")
    (victim,) = sealed(lake).values()
    lose(lake, victim)
    with pytest.raises(DamagedTableError):
        lake.bars(COIN, *ALL)
    (told,) = lake.quarantine(COIN)
    assert victim.path in told
    assert lake.files(COIN) == {}
    assert lake.append(COIN, [batch(rows([1, 2]), named("X-1m-1970-01-01.zip"))], "binance") == 2
    assert lake.quarantine(COIN) == []


def test_an_older_copy_of_a_table_is_a_table_with_fewer_rows_that_are_fetched_again(folder_lake, tmp_path):
    root = tmp_path / "my lake"
    batches = [[batch(rows([night]), named(f"{night}.zip"))] for night in range(15)]
    for night in batches[:4]:
        folder_lake.append(COIN, night, "binance")
    shutil.copytree(root, tmp_path / "copy")
    for night in batches[4:]:
        folder_lake.append(COIN, night, "binance")
    shutil.rmtree(root)
    (tmp_path / "copy").rename(root)
    assert folder_lake.bars(COIN, *ALL).equals(rows(range(4)))
    assert set(folder_lake.files(COIN)) == {f"{night}.zip" for night in range(4)}
    assert [folder_lake.append(COIN, night, "binance") for night in batches] == [0] * 4 + [1] * 11
    assert folder_lake.bars(COIN, *ALL).equals(rows(range(15)))


@pytest.mark.parametrize("victim", ["_delta_log/00000000000000000000.json", "*.parquet"])
def test_a_damaged_table_is_refused_by_name(folder_lake, tmp_path, victim):
    lake = folder_lake
    lake.append(COIN, [batch(rows([1]))], "binance")
    folder = next((tmp_path / "my lake" / "bars").iterdir())
    next(folder.glob(victim)).write_bytes(b"damage")
    with pytest.raises(SchemaError, match="move the folder away"):
        lake.bars(COIN, *ALL)


def test_rows_of_another_schema_or_without_a_time_are_refused(lake):
    with pytest.raises(SchemaError):
        lake.append(COIN, [batch(rows([1]).drop("trades"))], "binance")
    with pytest.raises(SchemaError, match="without a time"):
        lake.append(COIN, [batch(rows([1]).with_columns(open_time=pl.lit(None, dtype=pl.Int64)))], "binance")


@pytest.mark.parametrize("sign", ["%", "[", "]", "^", "|", "\\", "\t"])
def test_a_root_that_the_table_format_misreads_is_refused_before_it_panics(sign):
    for root in (f"/tmp/50{sign}/lake", f"/tmp/K{sign}", f"s3://bucket/a{sign}b"):
        with pytest.raises(ConfigError, match=re.escape(repr(sign))):
            DeltaLake(root)


@pytest.mark.parametrize("name", ["K:", "C:", "a b", "a+b", "a&b", "ä", "a#b", "a?b", "?x=1#y"])
def test_a_root_whose_name_is_odd_and_readable_holds_a_lake(tmp_path, name):
    lake = DeltaLake(str(tmp_path / name))
    for minute in (1, 2):
        lake.append(COIN, [batch(rows([minute]))], "binance")
    assert lake.bars(COIN, *ALL)["open_time"].len() == 2
    lake.append(COIN, [batch(rows([3]), named("x.zip"))], "binance")
    lake.compact(COIN, vacuum=True)
    assert lake.files(COIN) == {"x.zip": named("x.zip")}
    assert (tmp_path / name / "bars").is_dir()


BAD_URLS = ("memory://bucket/lake", "s3://", "s3://user:secret-word@bucket/x", "s3://bucket/50%", "s3://bucket/a#b")


@pytest.mark.parametrize("url", BAD_URLS)
def test_a_url_that_no_store_understands_is_refused_without_its_secrets(url):
    with pytest.raises(ConfigError) as refused:
        DeltaLake(url)
    assert "secret-word" not in str(refused.value)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 12), st.sampled_from([1.0, 2.0, None])), min_size=1, max_size=8),
        min_size=1,
        max_size=5,
    )
)
def test_any_sequence_of_appends_equals_a_dictionary(tmp_path_factory, nights):
    lake = DeltaLake(str(tmp_path_factory.mktemp("lake")))
    stored = {}
    for night in nights:
        fullest = {}
        for minute, value in night:
            fullest[minute] = max(fullest.get(minute), value, key=lambda v: v or 0.0)
        changed = {m: v for m, v in fullest.items() if m not in stored or (v or 0.0) > (stored[m] or 0.0)}
        frames = [rows([minute], trades=value) for minute, value in night]
        assert lake.append(COIN, [batch(frame) for frame in frames], "binance") == len(changed)
        stored |= changed
        assert lake.append(COIN, [batch(frame) for frame in frames], "binance") == 0
    seen = lake.bars(COIN, *ALL)
    assert dict(zip(seen["open_time"] // MINUTE_MS, seen["trades"], strict=True)) == stored
    assert seen["open_time"].is_sorted()
