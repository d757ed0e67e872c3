"""Ten thousand symbols: what they look like, and that a bar is the same however it is asked for."""

import math
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.domain.time import DAY_MS, HOUR_MS, MINUTE_MS
from huracan.errors import ConfigError
from huracan.worlds.exchange import ReplayExchange
from huracan.worlds.noise import AMPLITUDE, OCTAVES, log_path, uniform
from huracan.worlds.source import last_day
from huracan.worlds.spec import START_MS
from huracan.worlds.wide import WideWorld, wide_world
from huracan.worlds.wide_listings import WideSpec, wide_listings

_MASK = 2**64 - 1


def slow_uniform(key: int, place: int) -> float:
    z = (key + place * 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return ((z ^ (z >> 31)) >> 11) / 2**53


def slow_path(key: int, minute: int) -> float:
    total = 0.0
    for octave in range(OCTAVES):
        wave, period = (key + (octave + 1) * 0xD1B54A32D192ED03) & _MASK, 4**octave
        left, right = slow_uniform(wave, minute // period), slow_uniform(wave, minute // period + 1)
        share = minute % period / period
        total += AMPLITUDE * 2**octave * (2 * (left * (1 - share) + right * share) - 1)
    return total


@pytest.fixture(scope="module")
def wide() -> WideWorld:
    return wide_world(WideSpec(symbols=400, days=6))


@settings(deadline=None)
@given(st.integers(0, 2**60), st.integers(0, 10**7))
def test_the_compiled_numbers_are_those_of_plain_integers(key: int, place: int) -> None:
    assert uniform(np.uint64(key), np.uint64(place)) == slow_uniform(key, place)
    assert math.isclose(log_path(np.uint64(key), place), slow_path(key, place), abs_tol=1e-12)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_bar_is_the_same_however_it_is_asked_for(wide: WideWorld, data: st.DataObject) -> None:
    id_ = data.draw(st.sampled_from([item.id for item in wide.instruments()]))
    whole = wide.klines(id_, 0, 2**62)
    start = data.draw(st.integers(START_MS - DAY_MS, wide.now_ms))
    end = data.draw(st.integers(start, wide.now_ms + DAY_MS))
    part = whole.filter(pl.col("open_time").is_between(start, end, closed="left"))
    assert wide.klines(id_, start, end).equals(part)
    assert wide_world(wide.spec).klines(id_, start, end).equals(part)


@pytest.mark.slow
def test_bars_are_consistent_and_follow_one_another(wide: WideWorld) -> None:
    for item in wide.instruments():
        bars = wide.klines(item.id, 0, 2**62)
        if bars.height == 0:
            continue
        o, h, low, c = (bars[name] for name in ("open", "high", "low", "close"))
        assert (h >= o).all()
        assert (h >= c).all()
        assert (low <= o).all()
        assert (low <= c).all()
        assert (low > 0).all()
        assert (o[1:] == c[:-1]).all()
        mean = bars["quote_volume"] / bars["volume"]
        assert ((mean > low * 0.999999) & (mean < h * 1.000001)).all()
        assert (bars["taker_base"] <= bars["volume"]).all()
        assert (bars["open_time"].diff().drop_nulls() == MINUTE_MS).all()
        ticks = (c / item.instrument.tick_size).to_numpy()
        assert np.allclose(ticks, np.round(ticks), rtol=1e-9)


def test_a_day_is_what_its_bars_say(wide: WideWorld) -> None:
    for item in wide.instruments()[::7]:
        day, slow = wide.day(item.id), last_day(wide, item.id)
        assert (day is None) == (slow is None)
        if day is None or slow is None:
            continue
        assert (day.high, day.low, day.last, day.trades) == (slow.high, slow.low, slow.last, slow.trades)
        assert day.quote_volume == pytest.approx(slow.quote_volume)


def test_ten_thousand_symbols_have_the_proportions_of_the_recorded_snapshot() -> None:
    items = wide_world(WideSpec()).instruments()
    assert len({item.id for item in items}) == len(items) == 10_000
    um = [item for item in items if item.instrument.market == "um"]
    spot = [item.instrument for item in items if item.instrument.market == "spot"]
    kinds = [item.instrument.contract_type for item in um]
    assert len(um) / 10_000 == pytest.approx(820 / 4445, rel=0.01)
    assert kinds.count("TRADIFI_PERPETUAL") / len(um) == pytest.approx(118 / 820, rel=0.1)
    assert (kinds.count("CURRENT_QUARTER"), kinds.count("NEXT_QUARTER")) == (2, 2)
    assert sum(item.instrument.status == "SETTLING" for item in um) / len(um) == pytest.approx(123 / 820, rel=0.1)
    assert sum(one.status == "BREAK" for one in spot) / len(spot) == pytest.approx(2269 / 3625, rel=0.05)
    assert sum(one.quote == "USDT" for one in spot) / len(spot) == pytest.approx(680 / 3625, rel=0.1)
    hours = [item.funding_hours for item in um]
    assert hours.count(4) > hours.count(8) > hours.count(1) > 0


def test_odd_names_pegged_coins_and_deliveries_are_there(wide: WideWorld) -> None:
    coins = [item.instrument for item in wide.instruments()]
    assert any(not one.symbol.isascii() for one in coins if one.market == "spot")
    assert any(one.symbol.startswith("1000") for one in coins if one.market == "um")
    assert {"GBPUSDT", "USDCUSDT", "BUSDUSDT"} <= {one.symbol for one in coins}
    peg = wide.klines("USDCUSDT-spot", 0, 2**62)
    assert 0.998 < peg["low"].min() <= peg["high"].max() < 1.002
    quarterly = [item for item in wide.instruments() if "_" in item.instrument.symbol]
    assert {item.instrument.symbol for item in quarterly} >= {"BTCUSDT_260327", "BTCUSDT_260626"}
    assert all(item.delivery_ms > wide.now_ms for item in quarterly)
    pending = [item for item in wide.instruments() if item.instrument.status == "PENDING_TRADING"]
    assert len(pending) == 2
    assert all(wide.klines(item.id, 0, 2**62).height == 0 for item in pending)


def test_symbols_come_and_go_with_the_clock(wide: WideWorld) -> None:
    listings = wide_listings(wide.spec)
    dead = next(one for one in listings if one.last_ms is not None and one.last_ms - one.listed_ms >= 2 * DAY_MS)
    id_ = f"{dead.symbol}-{dead.market}"
    status = {
        now: {item.id: item.instrument.status for item in wide.at(now).instruments()}
        for now in (dead.last_ms - 1, dead.last_ms)
    }
    assert [known[id_] for known in status.values()] == ["TRADING", "BREAK" if dead.market == "spot" else "SETTLING"]
    late = next(one for one in listings if one.listed_ms > START_MS and one.status == "TRADING")
    assert f"{late.symbol}-{late.market}" not in {item.id for item in wide.at(late.listed_ms - 1).instruments()}
    assert wide.instruments() is wide.at(wide.now_ms + 1).instruments()
    with pytest.raises(ConfigError, match="outside"):
        wide.at(START_MS)


def test_settlements_are_on_the_hour_and_within_their_cap(wide: WideWorld) -> None:
    for item in wide.instruments():
        rows = wide.funding(item.id)
        if item.funding_hours is None:
            assert rows.height == 0
            continue
        assert (rows["funding_time"] % (item.funding_hours * HOUR_MS) == 0).all()
        assert (rows["rate"].abs() <= 3e-4 * item.funding_hours / 8).all()
        assert rows["interval_hours"].null_count() == min(rows.height, 1)


@pytest.mark.parametrize("wrong", [{"symbols": 15}, {"symbols": 200_000}, {"days": 0}])
def test_a_wide_world_out_of_range_is_a_configuration_error(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="wide world"):
        WideSpec(**wrong)


@pytest.mark.slow
def test_ten_thousand_symbols_start_small() -> None:
    code = (
        "import re\n"
        "from pathlib import Path\n"
        "from huracan.worlds.exchange import ReplayExchange\n"
        "from huracan.worlds.wide import wide_world\n"
        "from huracan.worlds.wide_listings import WideSpec\n"
        "with ReplayExchange(wide_world(WideSpec())) as exchange:\n"
        "    assert len(exchange.view().instruments()) == 10_000\n"
        "    print(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert int(done.stdout) < 400_000  # kB; getrusage would tell the parent's peak, too


def test_an_archive_of_thousands_is_listed_by_symbol_without_building_it(wide: WideWorld) -> None:
    with ReplayExchange(wide) as running:
        page = running.archive.listing(wide, {"prefix": "data/spot/daily/klines/", "delimiter": "/"}).decode()
        assert page.count("<CommonPrefixes>") == sum(item.instrument.market == "spot" for item in wide.instruments())
        assert not running.archive._building
