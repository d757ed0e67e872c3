"""The market context of an hour is kept for the hour's other decisions, and changes none of them."""

import asyncio
import dataclasses
import os

import polars as pl
import pytest
from live_bars import MINUTE, live_inputs, publish_live, random_bars

from huracan.adapters.lake import DeltaLake
from huracan.domain.frames import FUNDING_SCHEMA
from huracan.domain.time import HOUR_MS
from huracan.hamilton import instrument_of
from huracan.operations import decide as decide_module
from huracan.operations import hour_context
from huracan.operations.decide import Moment, as_record, decide
from huracan.ports import FetchedRows
from huracan.settings import load_settings

MARKET = {"BTC": "BTCUSDT-um", "ETH": "ETHUSDT-um", "SOL": "SOLUSDT-spot", "XRP": "XRPUSDT-spot"}
INPUTS = dataclasses.replace(live_inputs(), context=MARKET)


@pytest.fixture
def at(factory):
    return factory.CUTOFF


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "huracan" / "context"


@pytest.fixture
def lake(tmp_path, at):
    """Bars of the whole market up to the moment, and settlements of its perpetuals."""
    made = DeltaLake(str(tmp_path / "work" / "lake" / "1m"))
    for seed, name in enumerate(MARKET.values()):
        store(made, name, random_bars(at, seed=seed), at)
    return made


def store(lake, name, bars, at):
    settled = pl.DataFrame(
        {
            "funding_time": [at - hours * HOUR_MS for hours in (25, 17, 9, 1)],
            "rate": [1e-4, 2e-4, 3e-4, 4e-4],
            "interval_hours": [None, 8.0, 8.0, 8.0],
        },
        schema=FUNDING_SCHEMA,
    )
    batches = [FetchedRows(kind="bars", rows=bars, source="archive", file=None)]
    if name.endswith("-um"):
        batches.append(FetchedRows(kind="funding", rows=settled, source="archive", file=None))
    lake.append(instrument_of(name), batches, "binance")


@pytest.fixture
def ask(world, factory, lake, cache, at, tmp_path):
    """Decides at the moment from the lake alone."""
    publish_live(world, factory, inputs=INPUTS)
    hamilton = world.hamilton()

    def asked():
        made = decide(
            hamilton, Moment(), "BTC", "1h", settings=load_settings(None, [], {}), workdir=tmp_path / "work", at_ms=at
        )
        return as_record(asyncio.run(made))

    return asked


@pytest.fixture
def anew(monkeypatch):
    """Counts the contexts that are made."""
    made = []
    plain = decide_module.market_context

    def counted(*given):
        made.append(plain(*given))
        return made[-1]

    monkeypatch.setattr(decide_module, "market_context", counted)
    return made


@pytest.mark.slow
def test_a_kept_context_gives_the_same_decision_as_one_made_anew(ask, anew, cache, lake):
    first = ask()
    assert first["stored"] == sum(lake.bars(instrument_of(name), 0, 1 << 60).height for name in MARKET.values())
    assert (first["fetched"], first["doubts"], len(anew)) == (0, (), 1)
    assert ask() == first
    assert len(anew) == 1
    (entry,) = cache.iterdir()
    kept = hour_context.read_context(entry.name, os.environ)
    assert kept.context.frame.equals(anew[0].frame)
    assert (kept.context.source, kept.context.members) == (anew[0].source, anew[0].members)
    assert kept.context.context_hash == anew[0].context_hash
    assert kept.context.frame["dispersion"].null_count() == anew[0].frame["dispersion"].null_count() > 0


@pytest.mark.slow
def test_an_altered_entry_is_made_anew(ask, anew, cache):
    first = ask()
    (entry,) = cache.iterdir()
    whole = entry.read_bytes()
    for place in (0, 40, 64, 70, 200, len(whole) // 2, len(whole) - 1):
        altered = bytearray(whole)
        altered[place] ^= 1
        entry.write_bytes(altered)
        before = len(anew)
        assert ask() == first
        assert (len(anew), entry.read_bytes()) == (before + 1, whole)
    entry.write_bytes(whole[:-8])
    assert ask() == first
    assert entry.read_bytes() == whole


@pytest.mark.slow
def test_other_bars_of_any_member_are_another_context(ask, anew, cache, lake, at):
    ask()
    bars = random_bars(at, seed=3).tail(600).with_columns(pl.col("close") * 1.0001)
    store(lake, MARKET["XRP"], bars.with_columns(high=pl.col("close") * 1.01, trades=99.0), at)
    changed = ask()
    assert len(anew) == len(list(cache.iterdir())) == 2
    for entry in cache.iterdir():
        entry.unlink()
    assert ask() == changed


@pytest.mark.slow
def test_a_cache_that_others_may_write_is_left_alone(ask, anew, cache):
    first = ask()
    cache.chmod(0o770)
    assert ask() == first
    assert ask() == first
    assert len(anew) == 3


@pytest.mark.slow
def test_a_cache_that_takes_nothing_costs_time_alone(ask, anew, cache):
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_text("no folder")
    first = ask()
    assert ask() == first
    assert len(anew) == 2


def test_the_key_changes_with_everything_that_a_context_is_made_of(monkeypatch):
    digests = dict.fromkeys(MARKET.values(), "a")
    turned = dataclasses.replace(INPUTS, context=dict(reversed(MARKET.items())))
    keys = [
        hour_context.context_key(INPUTS, 0, digests),
        hour_context.context_key(INPUTS, HOUR_MS, digests),
        hour_context.context_key(turned, 0, digests),  # the order of liquidity counts
        hour_context.context_key(dataclasses.replace(INPUTS, interval_ms=15 * MINUTE), 0, digests),
        *(hour_context.context_key(INPUTS, 0, {**digests, name: "b"}) for name in MARKET.values()),
    ]
    for part in ("_code", "_machine"):
        with monkeypatch.context() as other:
            other.setattr(hour_context, part, lambda: "another one")
            keys.append(hour_context.context_key(INPUTS, 0, digests))
    assert len(set(keys)) == len(keys)
    assert hour_context.context_key(INPUTS, 0, dict(reversed(digests.items()))) == keys[0]


@pytest.mark.slow
def test_the_newest_entries_alone_are_kept(ask, anew, cache):
    ask()
    (entry,) = cache.iterdir()
    kept = hour_context.read_context(entry.name, os.environ)
    for number in range(12):
        hour_context.write_context(f"{number:064}", kept, os.environ)
    assert sorted(path.name for path in cache.iterdir()) == [f"{number:064}" for number in range(4, 12)]
    assert hour_context.read_context(f"{11:064}", os.environ).context.frame.equals(kept.context.frame)
    (cache / f"{5:064}").write_bytes((cache / f"{11:064}").read_bytes())  # an entry under another one's name
    assert hour_context.read_context(f"{5:064}", os.environ) is None
