"""Whatever fails wherever, every pair has a champion or a reason at every horizon; a night that breaks it publishes nothing."""

import asyncio
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from unittest import mock

import numpy as np
import polars as pl
import pytest
import verdicts
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_store import in_memory, stored_cell
from plans import make_plan
from records import done, failed, ingested, prepared, trained
from records import served as served_champion

from huracan.adapters.telemetry import RecordingTelemetry
from huracan.domain.bundle import DoNotTrade
from huracan.domain.frames import TRADE_SCHEMA
from huracan.domain.ids import Instrument, result_key
from huracan.domain.records import Candidate, Skip, SkipCode, Universe
from huracan.domain.time import DAY_MS
from huracan.errors import BundleFormatError, DataError, DiskFullError, IncompleteError
from huracan.night import publish as publication
from huracan.night.account import check_complete
from huracan.night.delistings import without_delisted
from huracan.night.evidence.pools import make_pools
from huracan.night.promote import Promoted, _assign
from huracan.night.state import Night
from huracan.night.waves import ingest_wave, prepare_wave, train_wave

COINS = ("BTC", "ETH", "测试币", "ALFAUSDT-spot")
UNLISTED = "GONE"
HORIZONS = ("1h", "4h")
RECIPES = tuple(verdicts.MAKE.recipe(name) for name in ("linear", "boosted"))
OUTCOMES = ("crowned", "suspended")
VERDICTS = cache(lambda name: getattr(verdicts, name)())
CODES = [*SkipCode.__members__, "UNHEARD_OF", ""]

cell = st.fixed_dictionaries(
    {
        "recipes": st.sets(st.sampled_from([recipe.id for recipe in RECIPES])),
        "edge": st.sampled_from([60.0, -60.0]),
        "export": st.sampled_from([None, None, BundleFormatError("no form"), DataError("gone")]),
    }
)
pair = st.fixed_dictionaries(
    {
        "ends_in": st.sampled_from(
            ["listing", "ingest", "unfit", "prepare", "train", "delisted", "nothing", "nothing"]
        ),
        "code": st.sampled_from(CODES),
        "refusals": st.booleans(),
        "cells": st.fixed_dictionaries(dict.fromkeys(HORIZONS, cell)),
        "tier": st.sampled_from("AB"),
    }
)
yesterday = st.fixed_dictionaries(
    {
        "pool": st.sampled_from(["um-A", "um-B", ""]),
        "recipe_id": st.sampled_from([recipe.id for recipe in RECIPES]),
        "damage": st.sampled_from(["", "", "torn"]),
        "data_cutoff_ms": st.sampled_from([0, 9_000 * DAY_MS]),
    }
)
served = st.dictionaries(st.tuples(st.sampled_from([*COINS, UNLISTED]), st.sampled_from(HORIZONS)), yesterday)


def member(coin):
    symbol = coin.partition("-")[0]
    instrument = Instrument(market="um", symbol=f"{symbol}USDT", base=symbol, quote="USDT", coin=coin, listed_ms=1)
    return Candidate(instrument=instrument, volume_24h_gbp=1e9, spread_bps=1.0)


class Runner:
    """Gives every job the outcome that its pair is to have."""

    def __init__(self, store, pairs):
        self.store, self.pairs = store, pairs

    async def run(self, plan, work):
        return [self.outcome(item.task.wave.value, item.coin) for item in work]

    def outcome(self, wave, coin):
        pair = self.pairs[coin]
        if pair["ends_in"] == wave:
            return failed(coin, pair["code"], "it broke")
        return done(getattr(self, wave)(coin, pair))

    def ingest(self, coin, pair):
        code = pair["code"] or "STALE"
        unfit = pair["ends_in"] == "unfit" and code in SkipCode.__members__
        return ingested(coin, tier=pair["tier"], skip=code if unfit else None)

    def prepare(self, coin, pair):
        return prepared(coin, horizons=HORIZONS)

    def train(self, coin, pair):
        cells, skips = [], []
        for horizon, told in pair["cells"].items():
            for recipe in RECIPES:
                root = f"train/{coin}/{recipe.id}/{horizon}"
                if recipe.id in told["recipes"]:
                    cells.append(stored_cell(self.store, root, recipe.id, horizon, trades=trades(told["edge"])))
                elif pair["refusals"]:
                    code = SkipCode.TOO_FEW_ROWS
                    skips.append(Skip(coin=coin, horizon=horizon, step=5, code=code, reason="few"))
        return trained(coin, *cells, skips=skips)


def trades(edge):
    net = edge + np.random.default_rng(1).normal(size=40) * 10
    columns = {name: [None] * 40 if kind != pl.String else ["closed"] * 40 for name, kind in TRADE_SCHEMA.items()}
    return pl.DataFrame({**columns, "net_bps": net}, schema=TRADE_SCHEMA)


@contextmanager
def assembling(pairs):
    """Bundles that cannot be assembled where the pair says so; what a good one holds is of no interest here."""

    def assemble(store, rules, night, item):
        error = pairs[item.coin]["cells"][item.horizon]["export"]
        if error is not None:
            raise error
        return SimpleNamespace(coin=item.coin)

    def row(ports, night, item):
        return SimpleNamespace(
            coin=item.coin, horizon=item.horizon, pool=item.pool, recipe_id=item.recipe.id, champion=item.champion,
            status="promoted",
        )  # fmt: skip

    with mock.patch.object(publication, "assemble", assemble), mock.patch.object(publication, "_row", row):
        yield


def started(pairs, served, store):
    """The night after its universe and its three waves."""
    listed = [coin for coin, pair in pairs.items() if pair["ends_in"] != "listing"]
    night = Night(
        run_id="r",
        plan=make_plan(members=tuple(map(member, listed)), horizons=HORIZONS, recipes=RECIPES),
        universe=Universe(now_ms=0, members=(), skips=()),
        pairs=tuple(pairs),
        incumbents=frozenset(coin for coin, _ in served),
    )
    refused = [coin for coin in pairs if coin not in listed]
    night = night.skipping(
        [Skip(coin=coin, horizon="*", step=1, code=SkipCode.ILLIQUID, reason="thin") for coin in refused]
    )
    runner = Runner(store, pairs)

    async def waves():
        nonlocal night
        ports = SimpleNamespace(waves=runner, ledger=SimpleNamespace(artefact=lambda _key: None))
        night = await ingest_wave(runner, night)
        for wave in (prepare_wave, train_wave):
            night = await wave(ports, night)

    # One pair more than fail, or the night is refused for its machines.
    with mock.patch("huracan.night.waves._OF_MACHINES", set()):
        asyncio.run(waves())
    return night


def finished(pairs, served, outcome):
    """The night after step 9, with a real verdict; nothing is signed."""
    store, verdict = in_memory(), VERDICTS(outcome)
    night = started(pairs, served, store)
    night, assignments = _assign(store, night, make_pools(night, 60), verdict, ())
    promoted = Promoted(night=night, verdict=verdict, pools=(), evidence=(), assignments=tuple(assignments))
    gone = {coin: "left" for coin, pair in pairs.items() if pair["ends_in"] == "delisted"}
    rows = [
        served_champion(coin, horizon, instrument=member(coin).instrument.id, **row)
        for (coin, horizon), row in served.items()
    ]
    damaged = {("ETH", "1h"): "torn"}
    release = SimpleNamespace(
        current_champions=lambda: rows, damaged=lambda keys: {key: damaged[key] for key in keys if key in damaged}
    )
    ports = SimpleNamespace(pair=SimpleNamespace(artefacts=store), release=release, telemetry=RecordingTelemetry())
    with assembling(pairs):
        exported = publication.publish(ports, SimpleNamespace(dry_run=True), without_delisted(promoted, gone))
    return exported, verdict


@pytest.mark.slow
@given(st.fixed_dictionaries(dict.fromkeys(COINS, pair)), served, st.sampled_from(OUTCOMES))
@settings(deadline=None, max_examples=60)
def test_champions_and_skips_are_all_pairs_at_all_horizons_whatever_fails(pairs, served, outcome):
    exported, verdict = finished(pairs, served, outcome)
    champions = {(row.coin, row.horizon) for row in exported.champions.values()}
    skips = [(skip.coin, skip.horizon) for skip in exported.night.skips]
    assert sorted([*champions, *skips]) == sorted((coin, horizon) for coin in COINS for horizon in HORIZONS)
    assert all(verdict.champions[row.pool, row.horizon] == row.recipe_id for row in exported.champions.values())
    results = exported.export_results
    assert {key for key, told in results.items() if not told.error} == set(exported.champions)
    assert set(results) == {result_key(coin, horizon) for coin in COINS for horizon in HORIZONS}
    for skip in exported.night.skips:
        told = results[result_key(skip.coin, skip.horizon)]
        assert told.as_dict() == {"success": False, "error": f"{skip.code.value}: {skip.reason}"}


@pytest.mark.slow
@given(st.fixed_dictionaries(dict.fromkeys(COINS, pair)), served)
@settings(deadline=None, max_examples=60)
def test_every_failed_bundle_is_an_error_and_costs_a_champion_its_place(pairs, served):
    exported, _ = finished(pairs, served, "crowned")
    told = {(error.coin, error.horizon) for error in exported.night.errors if error.code == "EXPORT_FAILED"}
    bundles = (skip for skip in exported.night.skips if skip.code is SkipCode.EXPORT_FAILED and skip.step == 9)
    failed = {(skip.coin, skip.horizon) for skip in bundles}
    kept = {(row.coin, row.horizon) for row in exported.champions.values() if row.status == "kept"}
    assert failed <= told
    assert kept <= set(served)


def whole_night():
    pairs = {coin: {"ends_in": "nothing", "code": "", "refusals": True, "tier": "A"} for coin in COINS}
    of_cell = {"recipes": {RECIPES[0].id}, "edge": 60.0, "export": None}
    return {coin: {**pair, "cells": dict.fromkeys(HORIZONS, of_cell)} for coin, pair in pairs.items()}


def test_a_full_disk_is_no_coins_fault():
    pairs = whole_night()
    pairs["BTC"]["cells"] = {
        **pairs["BTC"]["cells"],
        "1h": {**pairs["BTC"]["cells"]["1h"], "export": DiskFullError("x")},
    }
    with pytest.raises(DiskFullError):
        finished(pairs, {}, "crowned")


@pytest.fixture
def complete():
    """The parts of an account that adds up: 1h champions of um-A, and a reason at 4h where nothing is proven."""
    exported, verdict = finished(whole_night(), {}, "crowned")
    assert set(exported.champions) == {f"{coin}_1h" for coin in COINS}
    return {"night": exported.night, "verdict": verdict, "champions": exported.champions, "blocked": []}


def test_an_account_that_adds_up_names_counts_verdict_and_pools(complete):
    account = check_complete(**complete)
    assert (account.pairs, account.horizons, account.skips) == (4, ["1h", "4h"], 4)
    assert account.verdict == {"um-A": {"1h": RECIPES[0].id}}
    assert account.pools == {f"{coin}_1h": "um-A" for coin in COINS}


def without_a_reason(parts):
    return {"night": replace(parts["night"], skips=parts["night"].skips[1:])}, "neither a champion nor a reason"


def told_twice(parts):
    return {
        "night": replace(parts["night"], skips=(*parts["night"].skips, parts["night"].skips[0]))
    }, "accounted for 2 times"


def champion_and_skip(parts):
    skip = replace(parts["night"].skips[0], horizon="1h")
    return {"night": replace(parts["night"], skips=(*parts["night"].skips, skip))}, "accounted for 2 times"


def unknown_coin(parts):
    skip = replace(parts["night"].skips[0], coin="NOBODY")
    return {"night": replace(parts["night"], skips=(*parts["night"].skips, skip))}, "NOBODY 4h is no pair of the night"


def another_recipe(parts):
    row = SimpleNamespace(**{**vars(parts["champions"]["BTC_1h"]), "recipe_id": RECIPES[1].id})
    return {"champions": {**parts["champions"], "BTC_1h": row}}, f"the verdict names {RECIPES[0].id}"


def unproven_pool(parts):
    row = SimpleNamespace(**{**vars(parts["champions"]["BTC_1h"]), "pool": "um-C"})
    return {"champions": {**parts["champions"], "BTC_1h": row}}, "the verdict names None in um-C"


def suspended_and_open(parts):
    return {"verdict": replace(parts["verdict"], suspended=(("um-A", "1h"),))}, "follows a suspended pool"


def left_in_silence(parts):
    return {"night": replace(parts["night"], incumbents=frozenset({"BTC", UNLISTED}))}, f"{UNLISTED} leaves the set"


def without_words(parts):
    night = replace(parts["night"], incumbents=frozenset({UNLISTED}))
    return {"night": night, "blocked": [DoNotTrade(coin=UNLISTED, code="DELISTED", reason="")]}, "leaves the set"


@pytest.mark.parametrize(
    "broken",
    [
        without_a_reason,
        told_twice,
        champion_and_skip,
        unknown_coin,
        another_recipe,
        unproven_pool,
        suspended_and_open,
        left_in_silence,
        without_words,
    ],
)
def test_an_account_that_does_not_add_up_says_what_is_wrong(complete, broken):
    changes, words = broken(complete)
    with pytest.raises(IncompleteError, match="Nothing was published") as caught:
        check_complete(**{**complete, **changes})
    assert words in str(caught.value)
    assert caught.value.code == "INCOMPLETE"
