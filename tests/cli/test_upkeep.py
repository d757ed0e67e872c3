"""What a person learns of the lake and the ledger, and the few things they may change there."""

import shutil

import polars as pl
import pytest
from securesystemslib.signer import Signature

from huracan.adapters.keys import load_keys
from huracan.adapters.lake import DeltaLake
from huracan.adapters.ledger import SqliteLedger
from huracan.adapters.publishers.folder import FolderStore
from huracan.domain.frames import BAR_SCHEMA
from huracan.domain.ids import Instrument, canonical_json
from huracan.ports import FetchedRows


@pytest.fixture
def workdir(reader, tmp_path):
    """A copy of the finished night's workdir, free to be changed."""
    return shutil.copytree(reader.store.parent, tmp_path / "workdir")


def test_coverage_names_every_table_and_counts_what_is_missing(huracan, reader):
    tables = huracan("lake", "coverage", "--workdir", reader.store.parent, "--json").json["tables"]
    by_name = {(row["instrument"], row["kind"]): row for row in tables}
    assert by_name["BTCUSDT-um", "bars"]["missing"] == 0
    assert by_name["BTCUSDT-um", "funding"]["rows"] > 100
    spoken = huracan("lake", "coverage", "--workdir", reader.store.parent, "--instrument", "BTCUSDT-um").out
    assert "BTCUSDT-um" in spoken
    assert "2 tables of 15m bars and settlements" in spoken


def test_coverage_by_month_names_the_months_that_lack_bars_and_no_others(huracan, workdir):
    lake = DeltaLake(str(workdir / "lake" / "15m"))
    coin = Instrument(market="um", symbol="HOLEUSDT", base="HOLE", quote="USDT")
    first = 1_767_139_200_000  # the last day of 2025
    times = [first + step * 900_000 for step in range(192) if step not in {5, 6, 100}]
    rows = pl.DataFrame({"open_time": times, **dict.fromkeys(list(BAR_SCHEMA)[1:], 1.0)}, schema=BAR_SCHEMA)
    lake.append(coin, [FetchedRows(kind="bars", rows=rows, source="archive")], "binance")
    told = huracan("lake", "coverage", "--months", "--workdir", workdir, "--json").json
    assert [row for row in told["months"] if row["instrument"] == "HOLEUSDT-um"] == [
        {"instrument": "HOLEUSDT-um", "month": "2025-12", "expected": 96, "held": 94, "missing": 2},
        {"instrument": "HOLEUSDT-um", "month": "2026-01", "expected": 96, "held": 95, "missing": 1},
    ]
    assert not [row for row in told["months"] if row["instrument"] == "BTCUSDT-um"]
    spoken = huracan("lake", "coverage", "--months", "--workdir", workdir, "--instrument", "HOLEUSDT-um").out
    assert "1 of 1 instruments lack 15m bars" in spoken


def test_between_two_listings_of_a_ticker_nothing_is_missing(huracan, workdir):
    lake = DeltaLake(str(workdir / "lake" / "15m"))
    coin = Instrument(market="spot", symbol="TWICEUSDT", base="TWICE", quote="USDT")
    first = 1_767_139_200_000
    times = [first + step * 900_000 for step in (*range(192), *range(672, 864)) if step not in {5, 700}]
    rows = pl.DataFrame({"open_time": times, **dict.fromkeys(list(BAR_SCHEMA)[1:], 1.0)}, schema=BAR_SCHEMA)
    lake.append(coin, [FetchedRows(kind="bars", rows=rows, source="archive")], "binance")
    told = huracan("lake", "coverage", "--months", "--workdir", workdir, "--instrument", coin.id, "--json").json
    assert told["months"] == [
        {"instrument": "TWICEUSDT-spot~20260101", "month": "2025-12", "expected": 96, "held": 95, "missing": 1},
        {"instrument": "TWICEUSDT-spot", "month": "2026-01", "expected": 192, "held": 191, "missing": 1},
    ]


@pytest.mark.parametrize(
    "name", ["BTCUSDT-um", "btcusdt-um", "BTCUSDT", "BTC/USDT", "BTC/USDT:USDT", "BTCUSDT-um~20260101"]
)
def test_an_instrument_is_found_by_every_name_that_is_printed_of_it(huracan, reader, name):
    told = huracan("lake", "coverage", "--workdir", reader.store.parent, "--instrument", name, "--json").json
    assert {row["instrument"] for row in told["tables"]} == {"BTCUSDT-um"}


def test_compacting_and_vacuuming_change_no_row(huracan, workdir):
    lake = DeltaLake(str(workdir / "lake" / "15m"))
    coin = Instrument(market="um", symbol="BTCUSDT", base="BTC", quote="USDT")
    before = lake.bars(coin, 0, 2**62)
    for command in ("compact", "vacuum"):
        answer = huracan("lake", command, "--workdir", workdir, "--json")
        assert answer.status == 0
        assert answer.json["tables"] == len(lake.instruments())
    assert huracan("lake", "compact", "--workdir", workdir).out.count("MB on disk") == 1
    assert DeltaLake(str(workdir / "lake" / "15m")).bars(coin, 0, 2**62).equals(before)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("lake", "coverage", "--workdir", "nowhere"),
            "there is no lake in nowhere; `huracan run` and `huracan lake fill` make one; run a night first",
        ),
        (("ledger", "show", "--workdir", "nowhere"), "no ledger at nowhere"),
    ],
)
def test_a_folder_without_a_night_is_told(huracan, arguments, words):
    answer = huracan(*arguments, "--json")
    assert (answer.status, answer.json["code"]) == (2, "CONFIG")
    assert words in answer.json["error"]


def test_of_several_lakes_one_must_be_chosen(huracan, workdir):
    (workdir / "lake" / "1h").mkdir()
    answer = huracan("lake", "coverage", "--workdir", workdir, "--json")
    assert "it has 15m, 1h: choose with --interval" in answer.json["error"]
    assert huracan("lake", "coverage", "--workdir", workdir, "--interval", "15m", "--json").json["tables"]
    assert huracan("lake", "coverage", "--workdir", workdir, "--interval", "1h", "--json").json["tables"] == []


def test_what_is_missing_inside_a_span_is_counted(huracan, tmp_path):
    coin = Instrument(market="spot", symbol="SOLUSDT", base="SOL", quote="USDT")
    times = [0, 1, 2, 7]
    frame = pl.DataFrame({"open_time": [1_700_000_000_000 + 900_000 * t for t in times]}).with_columns(
        pl.lit(1.0).alias(name) for name in BAR_SCHEMA if name != "open_time"
    )
    batch = FetchedRows(kind="bars", rows=frame.cast(BAR_SCHEMA), source="rest")
    DeltaLake(str(tmp_path / "lake" / "15m")).append(coin, [batch], "binance")
    (row,) = huracan("lake", "coverage", "--workdir", tmp_path, "--json").json["tables"]
    assert (row["instrument"], row["rows"], row["missing"]) == ("SOLUSDT-spot", 4, 4)


def test_an_instrument_the_lake_does_not_hold_is_told_with_those_it_has(huracan, reader):
    answer = huracan("lake", "coverage", "--workdir", reader.store.parent, "--instrument", "MOONUSDT-um", "--json")
    assert "holds no 'MOONUSDT-um'; did you mean " in answer.json["error"]


def test_tidying_waits_for_no_run_and_disturbs_none(huracan, workdir):
    with FolderStore(workdir / "store"):
        assert huracan("lake", "vacuum", "--workdir", workdir, "--json").json["code"] == "LOCKED"


def test_the_ledger_shows_every_lineage_and_change_of_champion(huracan, reader):
    told = huracan("ledger", "show", "--workdir", reader.store.parent, "--json").json
    with SqliteLedger(reader.ledger) as ledger:
        state = ledger.load_state()
    assert len(told["lineages"]) == len(state.records)
    assert [event["recipe_id"] for event in told["champions"]] == [event.recipe_id for event in state.champions]
    assert told["trials"] == len(state.trials)
    spoken = huracan("ledger", "show", "--workdir", reader.store.parent).out
    assert f"{len(state.records)} hypotheses, chains sound" in spoken
    assert all(event.reason in spoken for event in state.champions)


@pytest.mark.parametrize("words", [("lake", "coverage"), ("ledger", "show")], ids=" ".join)
def test_eighty_columns_hold_the_table_and_a_wide_terminal_all_of_it(huracan, reader, monkeypatch, words):
    heads = {}
    for width in (80, 140):
        monkeypatch.setenv("COLUMNS", str(width))
        lines = huracan(*words, "--workdir", reader.store.parent).out.splitlines()
        assert max(map(len, lines)) <= width
        assert set(lines[2].strip()) == {"─"}, "not a table"
        heads[width] = lines[1].split()
    assert len(heads[80]) < len(heads[140])


def test_ending_a_freeze_is_signed_kept_and_shown(huracan, workdir, reader):
    pool = huracan("ledger", "show", "--workdir", workdir, "--json").json["lineages"][0]["pool"]
    entry = huracan("ledger", "unfreeze", pool, "--note", "the feed was wrong", "--workdir", workdir, "--json").json
    keyid, _, signature = entry["signature"].partition(":")
    said = canonical_json({"pool": pool, "day": entry["day"], "note": "the feed was wrong"})
    keys = load_keys(reader.folder / "keys")
    keys.online.public_key.verify_signature(Signature(keyid, signature), said)
    assert "freeze ended, the feed was wrong" in huracan("ledger", "show", "--workdir", workdir).out
    assert "may go on" in huracan("ledger", "unfreeze", pool, "--note", "again", "--workdir", workdir).out


@pytest.mark.parametrize(("pool", "note", "words"), [("um-Z", "why not", "knows no pool"), (None, " ", "with a note")])
def test_a_freeze_ends_for_a_known_pool_and_with_a_reason_only(huracan, workdir, pool, note, words):
    known = huracan("ledger", "show", "--workdir", workdir, "--json").json["lineages"][0]["pool"]
    answer = huracan("ledger", "unfreeze", pool or known, "--note", note, "--workdir", workdir, "--json")
    assert answer.status in {2, 3}
    assert words in answer.json["error"]
