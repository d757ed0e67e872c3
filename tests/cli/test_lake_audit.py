"""`huracan lake audit`: the recorded history has every gap, swap and delisting that its inventory names, and nothing else."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from huracan.adapters.lake import DeltaLake
from huracan.cli.audit import audit_candles
from huracan.cli.audit_records import audit_body
from huracan.domain.frames import BAR_SCHEMA
from huracan.domain.ids import Instrument
from huracan.domain.time import DAY_MS, HOUR_MS, iso
from huracan.ports import FetchedFile, FetchedRows

pytestmark = pytest.mark.slow

MARKET = Path(__file__).parents[3] / "shared" / "market"
START = 20_000 * DAY_MS
needs_market = pytest.mark.skipif(not (MARKET / "history").is_dir(), reason="the recorded candles are not here")

# The tables of INVENTORY.md: gaps, missing bars, longest gap of every 1h file of history/spot.
GAPS = {
    (10, 4013, 3995): "TUSD USDC",
    (9, 3718, 3701): "CVC",
    (10, 455, 437): "LUNA",
    (3, 224, 221): "VIDT",
    (2, 150, 149): "BNX",
    (27, 122, 33): "BTC ETH LTC",
    (10, 114, 96): "SUN",
    (7, 109, 96): "BTCST",
    (3, 104, 101): "QUICK",
    (25, 88, 10): "ADA XRP",
    (20, 60, 10): "LINK",
    (18, 44, 8): "DOGE",
    (17, 36, 5): "XTZ",
    (10, 20, 4): "AVAX DOT SOL",
    (9, 18, 4): "ATOM BNB BUSD EOS FUN HOT LSK MATIC NULS PERL PSG REN TRB UNI VET WNXM XVS",
    (8, 17, 4): "AION BEAM BTT GTO GXS HNT MITH REP SRM TCT",
    (7, 14, 4): "ATM REEF SFP",
    (6, 13, 4): "ACM",
    (5, 12, 4): "AUTO DREP",
    (4, 11, 4): "EPS MIR",
    (3, 7, 4): "C98 CLV KLAY QNT SLP",
    (2, 3, 2): "ELF XEC",
    (1, 2, 2): "POLY TRIBE",
    (1, 1, 1): "CVP FRONT HIGH LUNC MC MOVR PEOPLE QI SPELL USTC",
    (0, 0, 0): "ANC UST",
}
SWAPS = {
    "BNX": ("rescaled", "2023-02-16T02", "2023-02-22T08", 0.01),
    "BTCST": ("rescaled", "2021-03-15T06", "2021-03-19T07", 0.1),
    "QUICK": ("rescaled", "2023-07-17T02", "2023-07-21T08", 0.001),
    "SUN": ("rescaled", "2021-06-14T03", "2021-06-18T04", 0.001),
    "VIDT": ("rescaled", "2022-10-31T02", "2022-11-09T08", 0.093),
    "LUNA": ("reused", "2022-05-13T00", "2022-05-31T06", 20000.0),
    "CVC": ("relisted", "2022-12-09T02", "2023-05-12T08", 0.91),
    "USDC": ("relisted", "2022-09-26T02", "2023-03-11T14", 1.0),
    "TUSD": ("relisted", "2022-09-26T02", "2023-03-11T14", 1.0),
}
DELISTED = """AION 2023-02-27 ANC 2022-12-27 AUTO 2023-04-18 BEAM 2023-01-26 BTCST 2022-11-28 BTT 2022-01-17 BUSD 2023-12-15
EPS 2022-05-09 GTO 2022-11-28 GXS 2022-04-25 HNT 2022-10-14 MC 2023-11-07 MIR 2022-12-27 MITH 2022-12-22 PERL 2023-12-07
POLY 2022-10-10 REP 2022-12-22 SRM 2022-11-28 TCT 2022-10-24 TRIBE 2022-11-28 UST 2022-05-13"""
GONE = "MATIC EOS KLAY REEF REN CLV ELF DREP FRONT CVP NULS WNXM"
GONE_TOO = "BNX VIDT"
"""Not named in the inventory: the later tree, which holds 30 of their 44 companions, lacks them as well."""
OUTAGES = """2018-01-04T04 1 2018-02-08T01 33 2018-06-26T02 10 2018-06-27T13 1 2018-07-04T01 7 2018-10-19T06 3 2018-11-14T02 7
2019-03-12T02 6 2019-05-15T03 10 2019-08-15T02 8 2019-11-13T02 2 2019-11-25T02 2 2020-02-09T02 1 2020-02-19T12 5
2020-03-04T10 1 2020-04-25T02 2 2020-06-28T02 3 2020-11-30T06 1 2020-12-21T14 4 2020-12-25T02 1 2021-02-11T04 1
2021-03-06T02 1 2021-04-20T02 2 2021-04-25T05 3 2021-08-13T02 4 2021-09-29T07 2 2023-03-24T13 1"""


@pytest.fixture(scope="module")
def history():
    """The audit of ../shared/market/history, by interval."""
    return {audit["interval"]: audit for audit in audit_body(audit_candles(MARKET / "history"))["audits"]}


def pairs(text):
    words = text.split()
    return dict(zip(words[::2], words[1::2], strict=True))


@pytest.mark.market
@needs_market
def test_every_gap_of_the_inventory_is_found(history):
    assert {name: len(audit["tables"]) for name, audit in history.items()} == {"5m": 1, "15m": 1, "1h": 153}
    wanted = {f"spot/{coin}USDT": gaps for gaps, coins in GAPS.items() for coin in coins.split()}
    wanted |= {f"spot-full/{coin}USDT": (1, 1, 1) for coin in ("BTC", "ETH", "SOL")}
    for interval, audit in history.items():
        for table in audit["tables"]:
            found = (table["gaps"], table["missing"], table["longest_gap"])
            assert found == (wanted.get(table["table"], (0, 0, 0)) if interval == "1h" else (0, 0, 0)), table["table"]
    tables = [table for audit in history.values() for table in audit["tables"]]
    assert len(wanted) == 79
    trees = {tree: [t for t in tables if t["table"].partition("/")[0] == tree] for tree in ("spot", "um", "um-full")}
    assert {tree: sum(t["rows"] for t in found) for tree, found in trees.items()} == {
        "spot": 2_030_010, "um": 446_114 + 116_715, "um-full": 80_982,
    }  # fmt: skip
    assert {tree: sum(t["silent"] for t in found) for tree, found in trees.items()} == {
        "spot": 175,
        "um": 7,
        "um-full": 0,
    }
    assert not any(table["duplicates"] + table["disorder"] + len(table["cut"]) for table in tables)


@pytest.mark.market
@needs_market
def test_the_outages_are_the_exchanges_and_the_other_gaps_are_stretches_without_a_listing(history):
    outages = {o["start"][:13]: o["bars"] for o in history["1h"]["outages"] if o["kind"] == "missing bars"}
    assert outages == {start: int(bars) for start, bars in pairs(OUTAGES).items()}
    assert (len(outages), sum(outages.values())) == (27, 122)
    causes = {}
    for gap in history["1h"]["gaps"]:
        causes.setdefault(gap["cause"], []).append(gap["table"])
    assert {cause: len(tables) for cause, tables in causes.items()} == {"exchange": 583, "not_listed": 9}
    assert set(causes["not_listed"]) == {f"spot/{coin}USDT" for coin in SWAPS}


@pytest.mark.market
@needs_market
def test_the_stub_hour_of_a_halt_is_found_as_the_exchanges_silence(history):
    silent = {o["start"][:13]: o["tables"] for o in history["1h"]["outages"] if o["kind"] == "silent bars"}
    assert silent["2023-03-24T12"] == 61
    assert all(
        table["start"] != "2023-03-24T12:00:00Z" or table["cause"] == "exchange" for table in history["1h"]["halts"]
    )


@pytest.mark.market
@needs_market
def test_every_swap_reused_ticker_and_relisting_is_found_with_its_kind(history):
    found = {
        row["table"].removeprefix("spot/").removesuffix("USDT"): (
            row["kind"], row["stopped"][:13], row["back"][:13], pytest.approx(row["ratio"], rel=1e-3),
        )
        for audit in history.values() for row in audit["breaks"]
    }  # fmt: skip
    assert found == SWAPS


@pytest.mark.market
@needs_market
def test_the_delisted_and_the_gone_are_found_and_nobody_alive_is_called_dead(history):
    by_kind = {}
    for end in history["1h"]["endings"]:
        if end["market"] == "spot":
            by_kind.setdefault(end["kind"], {})[end["symbol"].removesuffix("USDT")] = end["last"][:10]
    assert by_kind["delisted"] == pairs(DELISTED)
    assert set(by_kind["gone"]) == {*GONE.split(), *GONE_TOO.split()}
    # The trees of long and of alive coins end when somebody stopped downloading: nothing says that these are dead.
    assert {"BTC", "ETH", "SOL"} <= set(by_kind["alive"])
    assert len(by_kind["ended"]) == 30
    assert {end["kind"] for end in history["1h"]["endings"] if end["market"] == "um"} == {"alive", "ended"}


@pytest.mark.market
@needs_market
def test_what_two_trees_hold_of_the_same_bars_agrees_and_the_restated_hours_are_named(history):
    audit = history["1h"]
    assert len(audit["overlaps"]) == 12
    assert {(row["venue"], row["differ"]) for row in audit["overlaps"]} == {("same", 0)}
    assert sum(row["bars"] for row in audit["overlaps"]) == 3 * 37_922 + 9 * 4_499
    # No coin is stored twice over these hours, so no table can say which version it holds.
    held = {row["hour"]: row["tables"] for row in audit["known_restatements"]}
    assert held == {"2020-12-21T13:00": 43, "2021-01-11T08:00": 45, "2021-04-23T01:00": 52}
    # The first of them has left a trace: what follows it is silent in the older downloads and missing in the newer ones.
    (trace,) = audit["disagreements"]
    assert (trace["start"], trace["end"]) == ("2020-12-21T14:00:00Z", "2020-12-21T15:00:00Z")
    assert (trace["silent"], trace["missing"]) == (32, 11)


@pytest.mark.market
@needs_market
def test_the_three_restated_hours_are_found_where_an_older_copy_lies_beside_the_newer(tmp_path):
    hours = ("2020-12-21T13", "2021-01-11T08", "2021-04-23T01")
    newer = pl.read_parquet(MARKET / "history" / "spot" / "BTCUSDT" / "1h.parquet")
    old = pl.from_epoch("open_time", "ms").dt.strftime("%Y-%m-%dT%H").is_in(hours)
    older = newer.with_columns(pl.when(old).then(pl.col("volume") / 2).otherwise(pl.col("volume")).alias("volume"))
    for tree, frame in (("spot", newer), ("spot-older", older)):
        file = tmp_path / tree / "BTCUSDT" / "1h.parquet"
        file.parent.mkdir(parents=True)
        frame.write_parquet(file)
    (audit,) = audit_body(audit_candles(tmp_path))["audits"]
    (overlap,) = audit["overlaps"]
    assert [time[:13] for time in overlap["differing"]] == list(hours)
    assert overlap["venue"] == "same"


@pytest.mark.market
@needs_market
def test_the_halt_of_august_2025_is_a_halt_of_nineteen_bars_and_of_both_contracts(huracan):
    (audit,) = huracan("lake", "audit", "--candles", MARKET / "klines", "--json").json["audits"]
    (halt,) = [out for out in audit["outages"] if out["market"] == "um"]
    assert (halt["kind"], halt["start"], halt["end"], halt["bars"], halt["tables"]) == (
        "silent bars", "2025-08-29T06:18:00Z", "2025-08-29T06:37:00Z", 19, 2,
    )  # fmt: skip
    assert not [out for out in audit["outages"] if out["market"] == "spot"]
    assert not audit["gaps"]
    # ASTRUSDT has silences as long as the halt, and nobody shares them: a coin that nobody traded.
    quiet = {run["cause"] for run in audit["halts"] if run["table"] == "spot/ASTRUSDT"}
    assert quiet == {"symbol"}
    assert max(run["bars"] for run in audit["halts"] if run["table"] == "spot/ASTRUSDT") == 22


def candles(hours, price=100.0, volume=5.0):
    hours = np.asarray(hours)
    level = np.broadcast_to(np.asarray(price, dtype=float), hours.shape)
    columns = dict.fromkeys(("open", "high", "low", "close"), level)
    sizes = dict.fromkeys(list(BAR_SCHEMA)[5:], np.broadcast_to(np.asarray(volume, dtype=float), hours.shape))
    return pl.DataFrame({"open_time": START + hours * HOUR_MS, **columns, **sizes}, schema=BAR_SCHEMA)


@pytest.fixture
def workdir(tmp_path):
    """A lake of three instruments: a restated bar, a lost file, a swap, and an outage they share."""
    lake = DeltaLake(str(tmp_path / "work" / "lake" / "1h"))
    hours = [hour for hour in range(24 * 40) if hour not in (100, 101)]

    def put(symbol, frame, *files):
        instrument = Instrument(market="um", symbol=symbol, base="", quote="")
        lake.append(
            instrument,
            [FetchedRows(kind="bars", rows=frame, source="archive", file=f) for f in files or (None,)],
            "binance",
        )

    put("AUSDT", candles(hours))
    put("AUSDT", candles([50], volume=6.0))
    day = iso(START + 10 * DAY_MS)[:10]
    lost = FetchedFile(name=f"BUSDT-1h-{day}.zip", sha256="", rows=0)
    put("BUSDT", candles([hour for hour in hours if hour // 24 != 10]), lost)
    put(
        "CUSDT",
        candles(
            [h for h in hours if h < 300 or h > 400], [1.0 if h < 300 else 1000.0 for h in hours if h < 300 or h > 400]
        ),
    )
    return tmp_path / "work"


def test_a_lake_is_audited_with_what_it_knows_of_its_rows(huracan, workdir):
    (audit,) = huracan("lake", "audit", "--workdir", workdir, "--json").json["audits"]
    assert {(gap["table"], gap["bars"]): gap["cause"] for gap in audit["gaps"]} == {
        ("lake/AUSDT", 2): "exchange",
        ("lake/BUSDT", 2): "exchange",
        ("lake/CUSDT", 2): "exchange",
        ("lake/BUSDT", 24): "lost_file",
        ("lake/CUSDT", 101): "not_listed",
    }
    assert audit["restated"] == [{"table": "lake/AUSDT", "bars": 1, "times": [iso(START + 50 * HOUR_MS)]}]
    assert [row["name"][:8] for row in audit["lost_files"]] == ["BUSDT-1h"]
    (swap,) = audit["breaks"]
    assert (swap["table"], swap["kind"], swap["ratio"]) == ("lake/CUSDT", "rescaled", 1000.0)


def test_a_person_reads_tables(huracan, workdir):
    answer = huracan("lake", "audit", "--workdir", workdir)
    assert answer.status == 0
    for words in ("1h: 3 tables", "outages of the whole exchange", "lost_file", "rescaled", "never came"):
        assert words in answer.out


def test_damage_inside_files_is_counted_not_hidden(tmp_path):
    frame = candles(range(48))
    broken = pl.concat(
        [frame, frame.slice(3, 2), frame.slice(9, 1).with_columns(close=pl.lit(100.0), high=pl.lit(110.0))]
    )
    broken = broken.with_columns(low=pl.when(pl.int_range(pl.len()) == 20).then(-1.0).otherwise(pl.col("low")))
    file = tmp_path / "spot-x" / "AUSDT" / "1h.parquet"
    file.parent.mkdir(parents=True)
    broken.write_parquet(file)
    (audit,) = audit_body(audit_candles(tmp_path))["audits"]
    (table,) = audit["tables"]
    assert (table["duplicates"], table["conflicts"], table["disorder"]) == (3, 1, 3)
    assert table["cut"] == {"non_positive": 1}
    assert (table["gaps"], table["missing"]) == (1, 1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--candles", "{empty}"), "no candles in"),
        (("--candles", "{empty}", "--workdir", "{empty}"), "give one"),
        (("--workdir", "{empty}"), "run a night first"),
    ],
)
def test_nothing_to_audit_is_said(huracan, tmp_path, arguments, words):
    answer = huracan("lake", "audit", *(text.replace("{empty}", str(tmp_path)) for text in arguments), "--json")
    assert answer.status == 2
    assert answer.json["code"] == "CONFIG"
    assert words in answer.json["error"]


def test_the_audit_of_bytes_names_what_has_changed_and_leaves_it_alone(huracan, workdir):
    whole = huracan("lake", "audit", "--bytes", "--workdir", workdir, "--json").json
    assert (whole["damaged"], whole["unproven"], whole["set_aside"], whole["tables"]) == ([], [], [], 3)
    assert set(whole["seals"]) == {"AUSDT-um", "BUSDT-um", "CUSDT-um"}
    victim = next((workdir / "lake" / "1h" / "bars" / "BUSDT-um").glob("*.parquet"))
    data = bytearray(victim.read_bytes())
    data[100] ^= 1
    victim.write_bytes(bytes(data))
    told = huracan("lake", "audit", "--bytes", "--workdir", workdir, "--json")
    assert (told.status, told.json["damaged"]) == (3, [{"table": "BUSDT-um", "what": f"bars/BUSDT-um/{victim.name}"}])
    assert "lake fill --verify" in huracan("lake", "audit", "--bytes", "--workdir", workdir).out
    told = huracan("lake", "audit", "--workdir", workdir, "--json")
    (other,) = told.json["audits"]
    assert told.status == 3
    assert [row["table"] for row in other["damaged"]] == ["lake/BUSDT"]
    assert [row["table"] for row in other["tables"]] == ["lake/AUSDT", "lake/CUSDT"]
    assert victim.read_bytes() == bytes(data)


def test_the_audit_of_bytes_is_for_a_lake(huracan, tmp_path):
    told = huracan("lake", "audit", "--bytes", "--candles", tmp_path)
    assert told.status == 2
    assert "--candles is no lake" in told.err


def test_rows_that_came_twice_are_told_with_their_file(huracan, tmp_path):
    lake = DeltaLake(str(tmp_path / "work" / "lake" / "1h"))
    instrument = Instrument(market="um", symbol="AUSDT", base="", quote="")
    rows = pl.concat([candles(range(48)), candles([47], volume=1.0), candles([3])])
    file = FetchedFile(name="AUSDT-1h-2025-01.zip", sha256="a" * 64, rows=50)
    lake.append(instrument, [FetchedRows(kind="bars", rows=rows, source="archive", file=file)], "binance")
    (audit,) = huracan("lake", "audit", "--workdir", tmp_path / "work", "--json").json["audits"]
    assert [(row["duplicates"], row["conflicts"]) for row in audit["tables"]] == [(2, 1)]
    assert [(row["source"], row["start"], row["rows"], row["conflicts"]) for row in audit["doubles"]] == [
        (file.name, iso(START + 3 * HOUR_MS), 1, 0),
        (file.name, iso(START + 47 * HOUR_MS), 1, 1),
    ]
    assert "rows that came twice" in huracan("lake", "audit", "--workdir", tmp_path / "work").out
