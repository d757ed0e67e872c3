"""The night's one integrity report: totals of every rule, and whose every gap, halt and lost file was."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from records import ingested

from huracan.adapters.artefacts import LocalArtefacts
from huracan.adapters.lake import DeltaLake
from huracan.domain.codec import from_json, to_bytes
from huracan.domain.frames import BAR_SCHEMA, FUNDING_SCHEMA, empty
from huracan.domain.ids import Instrument
from huracan.domain.night_records import IngestRecord, IngestTask
from huracan.domain.records import Candidate, Skip, SkipCode, Universe
from huracan.domain.time import DAY_MS, MINUTE_MS
from huracan.ingest import IngestConfig, validate_bars
from huracan.night.integrity import LISTED_ISSUES, RULES, night_integrity
from huracan.night.jobs.artefacts import Artefacts
from huracan.night.jobs.ingest import ingest_pair
from huracan.night.jobs.inputs import PairPorts
from huracan.night.plan import NightPlan
from huracan.night.state import Night
from huracan.ports import FetchedFile, FetchedRows

KLINES = Path(__file__).parents[3] / "shared" / "market" / "klines"
RULE = IngestConfig(interval_ms=MINUTE_MS)
COINS = ("AAA", "BBB", "CCC", "DDD")
START = 20_000 * DAY_MS
BARS = 4 * 1440


def raw_bars(n=BARS):
    close = 100.0 + np.sin(np.arange(n) / 50.0)
    prices = dict.fromkeys(("open", "high", "low", "close"), close)
    sizes = {name: np.full(n, 5.0) for name in list(BAR_SCHEMA)[5:]}
    return pl.DataFrame({"open_time": START + np.arange(n) * MINUTE_MS, **prices, **sizes}, schema=BAR_SCHEMA)


def without(raw, *runs):
    place = pl.int_range(pl.len())
    return raw.filter(~pl.any_horizontal([place.is_between(at, at + n - 1) for at, n in runs]))


def silent(raw, at, count):
    inside = pl.int_range(pl.len()).is_between(at, at + count - 1)
    flat = raw["close"][at - 1]
    prices = (pl.when(inside).then(flat).otherwise(pl.col(c)).alias(c) for c in ("open", "high", "low", "close"))
    return raw.with_columns(
        *prices, *(pl.when(inside).then(0.0).otherwise(pl.col(c)).alias(c) for c in list(BAR_SCHEMA)[5:])
    )


def member(coin):
    instrument = Instrument(market="spot", symbol=f"{coin}USDT", base=coin, quote="USDT", coin=coin)
    return Candidate(instrument=instrument, volume_24h_gbp=1e6, spread_bps=1.0)


def night_of(frames, **lost):
    """A night whose wave 1 validated these frames, its records as a worker returns them."""
    end = START + BARS * MINUTE_MS
    plan = NightPlan(
        now_ms=end,
        cutoff_ms=end,
        history_days=4,
        min_history_days=1,
        interval_ms=MINUTE_MS,
        horizons=("1h", "4h"),
        recipes=(),
        members=tuple(map(member, COINS)),
        max_spread_bps=8.0,
        stale_after_minutes=180.0,
        quote_per_gbp=(),
        leak_exempt=(),
        gate=(),
        seed=7,
        code_hash="c",
    )
    facts = {}
    for coin, raw in frames.items():
        instrument = plan.member(coin).instrument
        _, report = validate_bars(
            instrument, raw, empty(FUNDING_SCHEMA), RULE, start_ms=START, end_ms=end, vendor="binance"
        )
        known = ingested(coin, report=report, lost=tuple(lost.get(coin, ())))
        facts[coin] = from_json(IngestRecord, json.loads(to_bytes(known)))
    universe = Universe(now_ms=0, members=plan.members, skips=())
    return Night(run_id="r", plan=plan, universe=universe, pairs=COINS, ingested=facts)


def total(body, rule):
    (row,) = [row for row in body["rules"] if row["rule"] == rule]
    return row["found"], row["instruments"]


def test_a_clean_night_has_nothing_to_tell():
    body = night_integrity(night_of(dict.fromkeys(COINS, raw_bars())))
    assert body["gaps"] == body["halts"] == {}
    assert not body["outages"] + body["begins_late"] + body["lost_files"] + body["refused"]
    assert {row["found"] for row in body["rules"]} == {0}
    assert len(body["rules"]) == len(RULES)
    assert body["rows"] == {"rows_in": 4 * BARS, "rows_out": 4 * BARS, "cut": 0}


def test_the_exchanges_gap_is_told_from_a_pairs_own_and_from_a_lost_file():
    frames = {
        "AAA": without(raw_bars(), (500, 90), (3000, 4)),
        "BBB": without(raw_bars(), (500, 90)),
        "CCC": without(raw_bars(), (500, 90), (1440, 1440)),
        "DDD": raw_bars(),
    }
    lost = f"CCCUSDT-1m-{'2024-10-05'}.zip"
    body = night_integrity(night_of(frames, CCC=[lost]))
    assert body["gaps"] == {
        "exchange": {"runs": 3, "bars": 270, "instruments": 3},
        "lost_file": {"runs": 1, "bars": 1440, "instruments": 1},
        "symbol": {"runs": 1, "bars": 4, "instruments": 1},
    }
    (outage,) = body["outages"]
    assert (outage["kind"], outage["market"], outage["instruments"], outage["share"]) == (
        "missing bars",
        "spot",
        3,
        0.75,
    )
    assert [row["file"] for row in body["lost_files"]] == [lost]
    assert total(body, "filled") == (4, 1)
    assert total(body, "hole_bars") == (270 + 1440, 3)
    pairs = {row["coin"]: row["missing_bars"] for row in body["instruments"]}
    assert pairs == {
        "AAA": {"exchange": 90, "symbol": 4},
        "BBB": {"exchange": 90},
        "CCC": {"exchange": 90, "lost_file": 1440},
        "DDD": {},
    }


def test_a_halt_filled_with_silent_bars_is_the_exchanges_and_a_quiet_pair_is_not():
    frames = {coin: silent(raw_bars(), 500, 19) for coin in COINS[:3]} | {"DDD": silent(raw_bars(), 2000, 30)}
    body = night_integrity(night_of(frames))
    assert body["halts"] == {
        "exchange": {"runs": 3, "bars": 57, "instruments": 3},
        "symbol": {"runs": 1, "bars": 30, "instruments": 1},
    }
    (outage,) = body["outages"]
    assert (outage["kind"], outage["start"], outage["end"]) == (
        "silent bars",
        "2024-10-04T08:20:00Z",
        "2024-10-04T08:39:00Z",
    )
    assert total(body, "halt") == (3 * 10 + 21, 4)


def test_a_pair_listed_inside_the_window_misses_nothing_before():
    frames = {"AAA": raw_bars().tail(2880), "BBB": raw_bars(), "CCC": raw_bars().tail(2880)}
    body = night_integrity(night_of(frames, CCC=["CCCUSDT-1m-2024-10-04.zip"]))
    assert body["gaps"] == {}
    late = {"until": "2024-10-06T00:00:00Z", "bars": 2880}
    assert body["begins_late"] == [
        {"coin": "AAA", **late, "cause": "not_listed"},
        {"coin": "CCC", **late, "cause": "lost_file"},
    ]


def test_refused_pairs_and_mismatches_of_the_last_check_are_carried():
    skip = Skip(coin="BBB", horizon="*", step=2, code=SkipCode.STALE, reason="newest bar is too old (minutes)")
    night = night_of({"AAA": raw_bars()}).skipping([skip])
    checked = {"checked": "2026-01-01T00:00:00Z", "mismatches": [{"instrument": "AAAUSDT-spot", "bars": 3}]}
    body = night_integrity(night, checked)
    assert body["refused"] == [{"coin": "BBB", "code": "STALE", "reason": "newest bar is too old (minutes)"}]
    assert body["instruments"][0]["mismatches"] == checked["mismatches"]
    assert body["vendors"]["checked"] == checked["checked"]


def test_rules_and_issues_add_up_over_the_pairs():
    dirty = raw_bars().with_columns(
        close=pl.when(pl.int_range(pl.len()) % 100 == 7).then(-1.0).otherwise(pl.col("close"))
    )
    body = night_integrity(
        night_of({"AAA": dirty, "BBB": pl.concat([raw_bars(), raw_bars().tail(3)]), "CCC": raw_bars()})
    )
    assert total(body, "non_positive") == (58, 1)
    assert total(body, "filled") == (58, 1)
    assert total(body, "duplicates") == (3, 1)
    assert total(body, "conflicts") == (0, 0)
    rows = {row["coin"]: row for row in body["instruments"]}
    assert len(rows["AAA"]["issues"]) == LISTED_ISSUES
    assert rows["AAA"]["issues_left_out"] == 52 - LISTED_ISSUES  # 50 gaps are kept of 58, and two rules cut the rows
    for row in rows.values():
        assert row["rows_in"] + row["repaired"] - row["cut"] - row["counts"]["duplicates"] == row["rows_out"]
    assert json.loads(json.dumps(body)) == body


@pytest.mark.parametrize("field", ["first_ms", "last_ms"])
def test_a_pair_without_a_bar_is_listed_and_judges_nobody(field):
    night = night_of({"AAA": empty(BAR_SCHEMA), "BBB": without(raw_bars(), (500, 90))})
    body = night_integrity(dataclasses.replace(night))
    assert getattr(night.ingested["AAA"].report, field) is None
    assert [row["coin"] for row in body["instruments"]] == ["AAA", "BBB"]
    assert body["gaps"]["unknown"]["bars"] == 90


@pytest.mark.slow
@pytest.mark.market
@pytest.mark.skipif(not KLINES.is_dir(), reason="the recorded candles are not here")
def test_the_recorded_candles_have_the_halt_of_august_2025_and_their_panics_are_kept():
    facts, members = {}, []
    files = sorted(KLINES.glob("*/*/1m.parquet"))
    spans = [pl.read_parquet(file, columns=["open_time"])["open_time"] for file in files]
    start, end = min(times.min() for times in spans), max(times.max() for times in spans) + MINUTE_MS
    for file in files:
        market, symbol = file.parts[-3:-1]
        one = Instrument(market=market, symbol=symbol, base=symbol, quote="", coin=f"{symbol}-{market}")
        raw = pl.read_parquet(file)
        empty_columns = [pl.lit(None, pl.Float64).alias(name) for name in BAR_SCHEMA if name not in raw.columns]
        raw = raw.with_columns(empty_columns).select(list(BAR_SCHEMA))
        _, report = validate_bars(one, raw, empty(FUNDING_SCHEMA), RULE, start_ms=start, end_ms=end, vendor="binance")
        facts[one.coin] = ingested(one.coin, report=report)
        members.append(Candidate(instrument=one, volume_24h_gbp=1.0, spread_bps=1.0))
    plan = dataclasses.replace(night_of({}).plan, members=tuple(members), cutoff_ms=end, history_days=160)
    universe = Universe(now_ms=0, members=plan.members, skips=())
    body = night_integrity(Night(run_id="r", plan=plan, universe=universe, pairs=tuple(facts), ingested=facts))
    (halt,) = body["outages"]
    assert (halt["kind"], halt["market"], halt["start"], halt["end"], halt["instruments"]) == (
        "silent bars", "um", "2025-08-29T06:18:00Z", "2025-08-29T06:37:00Z", 2,
    )  # fmt: skip
    assert body["halts"]["exchange"] == {"runs": 2, "bars": 38, "instruments": 2}
    assert body["gaps"] == {}
    assert body["rows"]["cut"] == total(body, "filled")[0] == 0
    assert total(body, "panic")[1] > 10


class OneBatch:
    """A market that gives one batch of bars and, for a day it has lost, a file without bytes."""

    def __init__(self, raw, lost):
        self.raw, self.lost = raw, lost

    async def fetch(self, instrument, start_ms, end_ms, known, settled=None):
        yield FetchedRows(kind="bars", rows=self.raw, source="rest")
        if self.lost not in known:
            file = FetchedFile(name=self.lost, sha256="", rows=0)
            yield FetchedRows(kind="bars", rows=self.raw.clear(), source="archive", file=file)


async def test_the_record_of_wave_one_names_lost_files_tonight_and_every_night_after(tmp_path):
    plan = night_of({}).plan
    lost = "AAAUSDT-1m-2024-10-05.zip"
    market = OneBatch(without(raw_bars(), (1440, 1440)), lost)
    artefacts = Artefacts(LocalArtefacts(tmp_path / "artefacts"))
    ports = PairPorts(lake=DeltaLake(str(tmp_path / "lake")), artefacts=artefacts, market=market)
    for _ in range(2):
        record = (await ingest_pair(ports, plan, "AAA", IngestTask())).record
        assert record.lost == (lost,)
    night = dataclasses.replace(night_of({}), ingested={"AAA": record})
    assert night_integrity(night)["gaps"] == {"lost_file": {"runs": 1, "bars": 1440, "instruments": 1}}
