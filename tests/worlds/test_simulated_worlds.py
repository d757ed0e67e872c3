"""Simulated worlds: same bytes, honest nulls, true bounds, a drift that an oracle can measure, odd symbols."""

import hashlib
from functools import cache

import numpy as np
import polars as pl
import pytest

from huracan.domain.frames import BAR_SCHEMA, FUNDING_SCHEMA, check_schema
from huracan.domain.time import DAY_MS, HOUR_MS, MINUTE_MS
from huracan.errors import ConfigError
from huracan.worlds.process import common_path, own_path, published_signal
from huracan.worlds.simulated import SimulatedWorld, simulate
from huracan.worlds.spec import START_MS, WorldSpec, plan_listings, regular_bases

pytestmark = pytest.mark.slow

EVER = 2**62


@cache
def world(name: str, seed: int = 0, **knobs: float) -> SimulatedWorld:
    return simulate(WorldSpec(name=name, seed=seed, **{"coins": 4, "days": 40, **knobs}))  # type: ignore[arg-type]


def digest(market: SimulatedWorld, id_: str) -> str:
    frame = market.klines(id_, 0, EVER)
    return hashlib.sha256(b"".join(column.to_numpy().tobytes() for column in frame)).hexdigest()


def test_the_same_spec_gives_the_same_bytes_and_another_seed_gives_others() -> None:
    spec = WorldSpec(name="demo", coins=3, days=5)
    ids = [item.id for item in simulate(spec).instruments()]
    first, second = simulate(spec), simulate(spec)
    assert [digest(first, id_) for id_ in ids] == [digest(second, id_) for id_ in reversed(ids)][::-1]
    other = simulate(WorldSpec(name="demo", coins=3, days=5, seed=1))
    assert digest(first, "BTCUSDT-um") != digest(other, "BTCUSDT-um")


def test_a_longer_world_begins_like_a_shorter_one() -> None:
    short, long = simulate(WorldSpec(name="null", coins=2, days=3)), simulate(WorldSpec(name="null", coins=2, days=9))
    id_ = "ALFAUSDT-um"
    assert short.klines(id_, 0, EVER).equals(long.at(short.now_ms).klines(id_, 0, EVER))


def test_more_coins_leave_the_others_as_they_are() -> None:
    few, many = simulate(WorldSpec(name="null", coins=2, days=3)), simulate(WorldSpec(name="null", coins=9, days=3))
    assert digest(few, "ALFAUSDT-um") == digest(many, "ALFAUSDT-um")


def test_every_symbol_has_sound_bars_on_the_tick_grid(demo: SimulatedWorld) -> None:
    for item in demo.instruments():
        bars = demo.klines(item.id, 0, EVER)
        check_schema(bars, BAR_SCHEMA, item.id)
        check_schema(demo.funding(item.id), FUNDING_SCHEMA, item.id)
        open_, high, low, close = (bars[name].to_numpy() for name in ("open", "high", "low", "close"))
        assert (high >= np.maximum(open_, close)).all()
        assert (low <= np.minimum(open_, close)).all()
        assert (low > 0).all()
        assert bars["open_time"].is_sorted()
        assert bars["open_time"].n_unique() == bars.height
        assert bars.null_count().sum_horizontal().item() == 0
        ticks = close / item.instrument.tick_size
        assert np.abs(ticks - np.round(ticks)).max() < 1e-3
        traded = bars.filter(pl.col("volume") > 0)
        mean_price = traded["quote_volume"] / traded["volume"]
        tolerance = 1e-4 / traded["volume"] + 1e-9
        assert ((mean_price <= traded["high"] + tolerance) & (mean_price >= traded["low"] - tolerance)).all()
        assert (traded["taker_base"] <= traded["volume"]).all()
        assert (traded["taker_quote"] <= traded["quote_volume"]).all()
        assert (traded["trades"] >= 1).all()
        silent = bars.filter(pl.col("volume") == 0)
        assert (silent["high"] == silent["low"]).all()
        assert silent["quote_volume"].sum() == 0


def test_silent_minutes_are_flat_at_the_previous_close(demo: SimulatedWorld) -> None:
    bars = demo.klines("测试币USDT-um", 0, EVER)
    silent = bars.with_columns(before=pl.col("close").shift(1)).filter(pl.col("volume") == 0).drop_nulls()
    assert silent.height > 1000
    assert (silent["open"] == silent["before"]).all()


@pytest.mark.slow
def test_nothing_past_predicts_the_next_hour_of_a_null_world() -> None:
    days = []
    for seed in range(4):
        products = []
        for name in ("null", "skewed"):
            market = world(name, seed)
            for id_ in ("BTCUSDT-um", "ALFAUSDT-um", "CHARLIEUSDT-um", "BTCUSDT-spot"):
                bars = market.klines(id_, 0, EVER)
                open_, close = bars["open"].to_numpy(), bars["close"].to_numpy()
                share = bars["taker_base"].to_numpy() / np.maximum(bars["volume"].to_numpy(), 1e-9) - 0.5
                now = np.arange(1440, open_.size - 62, 60)
                later = open_[now + 62] / open_[now + 2] - 1  # filled after the signal, as a trade would be
                pasts = (np.ones(now.size), *(close[now] - close[now - lag] for lag in (1, 60, 1440)), share[now])
                products.append([np.sign(past) * later for past in pasts])
        # Coins of one seed share the factor, so they are one observation; days of it are the blocks.
        mean = np.array(products).mean(0)
        days.append(mean[:, : mean.shape[1] // 24 * 24].reshape(5, -1, 24).mean(2))
    blocks = np.concatenate(days, axis=1)
    t = blocks.mean(1) / (blocks.std(1) / np.sqrt(blocks.shape[1]))
    assert np.abs(t).max() < 4


@pytest.mark.parametrize("name", ["demo", "null", "skewed", "planted", "broken"])
@pytest.mark.parametrize("seed", [0, 7])
def test_no_day_of_any_coin_breaks_the_declared_bound(name: str, seed: int) -> None:
    market = world(name, seed)
    table = market.stress_table()
    one_pair = table["one_pair_bps"] * 1e-4
    for listing in plan_listings(market.spec):
        if not listing.regular:
            continue
        bars = market.klines(f"{listing.symbol}-{listing.market}", 0, EVER)
        start = pl.col("open").first().over(pl.col("open_time") // DAY_MS)
        moves = bars.select(up=pl.col("high") / start - 1, down=pl.col("low") / start - 1)
        assert moves.select(pl.col("up").max()).item() <= one_pair
        assert moves.select(pl.col("down").min()).item() >= -one_pair


def test_no_portfolio_breaks_net_times_factor_plus_gross_times_own() -> None:
    market = world("planted", 3, t_factor_bps=400.0, t_idio_bps=300.0, coins=6)
    table = market.stress_table()
    ids = [item.id for item in market.instruments() if item.instrument.market == "um"]
    opens = np.array([market.klines(id_, 0, EVER)["open"].to_numpy()[::60] for id_ in ids])
    hours = opens.reshape(len(ids), -1, 24)
    ends = np.concatenate([hours[:, 1:, 0], hours[:, -1:, 23]], axis=1)[:, :, None]
    path = np.concatenate([hours, ends], axis=2)
    units = path[:, :, 1:] / path[:, :, :1] - 1  # positions constant in units since the day's start
    rebased = np.cumsum(path[:, :, 1:] / path[:, :, :-1] - 1, axis=2)  # constant fractions, rebased every hour
    rng = np.random.default_rng(0)
    worst = 0.0
    for _ in range(300):
        weights = rng.choice([-1.0, 0.0, 1.0], len(ids)) * rng.random(len(ids))
        limit = (abs(weights.sum()) * table["factor_bps"] + np.abs(weights).sum() * table["idio_bps"]) * 1e-4
        for returns in (units, rebased):
            worst = max(worst, np.abs(np.tensordot(weights, returns, 1)).max() / max(limit, 1e-12))
    assert 0.3 < worst <= 1.0


def test_the_bound_covers_a_path_that_runs_into_it() -> None:
    spec = WorldSpec(name="null", coins=2, days=20, t_factor_bps=50.0, t_idio_bps=40.0)
    common = common_path(spec)
    days = np.cumsum(common.steps.reshape(-1, 1440), axis=1)
    assert 0.0049 < np.abs(days).max() <= 0.0050000001
    table = simulate(spec).stress_table()
    assert table["factor_bps"] >= 50.0
    assert table["one_pair_bps"] == pytest.approx(table["factor_bps"] + table["idio_bps"])


def test_funding_is_within_its_declared_day_and_on_its_own_grid() -> None:
    market = world("null", coins=6)
    limit = market.stress_table()["funding_day_bps"] * 1e-4
    hours_seen, means = set(), []
    for item in market.instruments():
        funding = market.funding(item.id)
        if item.funding_hours is None:
            assert funding.height == 0
            continue
        hours_seen.add(item.funding_hours)
        daily = funding.group_by(pl.col("funding_time") // DAY_MS).agg(pl.col("rate").abs().sum())
        assert daily.select(pl.col("rate").max()).item() <= limit
        assert funding["interval_hours"].null_count() == 1
        assert funding["interval_hours"][0] is None
        assert (funding["funding_time"] % (item.funding_hours * HOUR_MS) == 0).all()
        assert funding.select(pl.col("funding_time").max()).item() < market.now_ms
        means.append(funding["rate"].mean() * 8 / item.funding_hours)
    assert np.mean(means) == pytest.approx(1e-4, rel=0.5)
    assert hours_seen == {4, 8}


def test_an_oracle_measures_the_planted_drift_and_finds_none_elsewhere() -> None:
    spec = WorldSpec(name="demo", coins=8, days=100, planted=4, t_factor_bps=2000.0, t_idio_bps=2000.0)
    common = common_path(spec)
    slopes = {}
    for listing in plan_listings(spec)[:8]:
        signal = published_signal(spec, listing.base, common)
        steps, sizes = own_path(spec, listing, signal)
        known, weight = np.tanh(signal[:-1]), 1 / np.maximum(sizes[1:], 1e-9) ** 2
        error = 1 / np.sqrt((weight * known**2).sum())
        slopes[listing.base] = ((weight * known * steps[1:]).sum() * error**2 * 60e4, error * 60e4)
    for base, (slope, error) in slopes.items():
        expected = 30.0 if base in spec.planted_coins else 0.0
        assert abs(slope - expected) < 4 * error, (base, slope, error)
        assert error < 3.5


def test_the_signal_is_published_as_the_taker_share_and_leads_planted_prices() -> None:
    market = world("planted", 2, days=60, strength_bps_per_hour=30.0)
    spec = market.spec
    common = common_path(spec)
    scores = []
    for base in spec.planted_coins:
        bars = market.klines(f"{base}USDT-um", 0, EVER)
        share = (bars["taker_base"] / bars["volume"]).to_numpy()
        signal = published_signal(spec, base, common)[: share.size]
        assert np.corrcoef(share, np.tanh(signal))[0, 1] > 0.5
        hourly = share[: share.size // 60 * 60].reshape(-1, 60).mean(1) - 0.5
        open_ = bars["open"].to_numpy()[2::60]
        later = open_[1:] / open_[:-1] - 1
        scores.append(np.corrcoef(hourly[: later.size - 1], later[1:])[0, 1])
    assert np.mean(scores) > 0.08


def test_signals_of_planted_coins_share_a_component_and_others_do_not() -> None:
    spec = WorldSpec(name="demo", coins=12, days=200, planted=6, half_life_minutes=60.0, interval_minutes=15)
    common = common_path(spec)
    signals = {base: published_signal(spec, base, common) for base in regular_bases(12)}
    inside = np.corrcoef([signals[base] for base in spec.planted_coins])
    outside = np.corrcoef([signals[base] for base in signals if base not in spec.planted_coins])
    upper = np.triu_indices(6, 1)
    assert inside[upper].mean() == pytest.approx(0.3, abs=0.1)
    assert outside[upper].mean() == pytest.approx(0.0, abs=0.08)


def test_a_broken_world_loses_its_edge_after_the_break() -> None:
    spec = WorldSpec(name="broken", coins=2, days=50, strength_bps_per_hour=300.0)
    assert spec.broken_from_ms == START_MS + 30 * DAY_MS
    planted = WorldSpec(name="planted", coins=2, days=50, strength_bps_per_hour=300.0)
    listing = plan_listings(spec)[0]
    signal = published_signal(spec, listing.base, common_path(spec))
    broken_steps, _ = own_path(spec, listing, signal)
    whole_steps, _ = own_path(planted, listing, signal)
    edge = 30 * 1440
    np.testing.assert_array_equal(broken_steps[:edge], whole_steps[:edge])
    moved = np.mean(np.sign(signal[edge : 50 * 1440 - 1]) * broken_steps[edge + 1 : 50 * 1440]) * 60e4
    kept = np.mean(np.sign(signal[: edge - 1]) * broken_steps[1:edge]) * 60e4
    assert kept > 15 > abs(moved)


def test_skewed_days_gain_a_little_and_crash_rarely() -> None:
    spec = WorldSpec(name="skewed", coins=12, days=300, interval_minutes=15)
    common = common_path(spec)
    days = []
    for listing in plan_listings(spec)[:12]:
        steps, _ = own_path(spec, listing, published_signal(spec, listing.base, common))
        days.append(steps.reshape(-1, 96).sum(1))
    own = np.concatenate(days)
    crashes = own < -0.5 * spec.crash_bps * 1e-4
    assert crashes.mean() == pytest.approx(0.015, abs=4 * np.sqrt(0.015 / own.size))
    assert np.median(own) > 0
    assert abs(own.mean()) < 4 * own.std() / np.sqrt(own.size)
    assert stats_skew(own) < -3


def stats_skew(values: np.ndarray) -> float:
    return float(np.mean((values - values.mean()) ** 3) / values.std() ** 3)


def test_regular_coins_are_liquid_tight_volatile_and_correlated() -> None:
    market = world("null", 5, coins=8, days=120, interval_minutes=15)
    days = []
    for item in market.instruments():
        if item.instrument.market != "um":
            continue
        bars = market.klines(item.id, 0, EVER)
        volume = bars.group_by(pl.col("open_time") // DAY_MS).agg(pl.col("quote_volume").sum())["quote_volume"]
        assert volume.median() / 1.3 > 1e8
        bid, ask, *_ = market.book(item.id) or (0.0, 0.0)
        assert 0.4 < (ask - bid) / bid * 1e4 < 2
        open_ = bars["open"].to_numpy()[::96]
        days.append(open_[1:] / open_[:-1] - 1)
    moves = np.array(days)
    assert moves.std(axis=1).mean() * 1e4 == pytest.approx(420, abs=60)
    assert np.corrcoef(moves)[np.triu_indices(8, 1)].mean() == pytest.approx(0.5, abs=0.15)


def test_the_demo_lists_odd_symbols_and_other_worlds_do_not(demo: SimulatedWorld) -> None:
    names = {item.instrument.symbol: item for item in demo.instruments()}
    status = {name: item.instrument.status for name, item in names.items()}
    assert status["HALTUSDT"] == "BREAK"
    assert status["GONEUSDT"] == "SETTLING"
    assert names["GONEUSDT"].delivery_ms == demo.now_ms - 20 * DAY_MS
    assert demo.klines("GONEUSDT-um", 0, EVER)["open_time"][-1] == demo.now_ms - 20 * DAY_MS - MINUTE_MS
    assert names["FRESHUSDT"].onboard_ms == demo.now_ms - 10 * DAY_MS
    assert demo.klines("FRESHUSDT-um", 0, EVER)["open_time"][0] == demo.now_ms - 10 * DAY_MS
    assert any(not symbol.isascii() for symbol in names)
    bid, ask, *_ = demo.book("WIDEUSDT-um") or (0.0, 0.0)
    assert (ask - bid) / (ask + bid) * 2e4 == pytest.approx(80, rel=0.01)
    assert demo.book("GONEUSDT-um") is None
    assert demo.book("HALTUSDT-spot") is None
    assert {item.instrument.symbol for item in world("null").instruments()} == {
        *("BTCUSDT", "ALFAUSDT", "BRAVOUSDT", "CHARLIEUSDT", "GBPUSDT")
    }


def test_the_gappy_symbol_lacks_a_few_minutes_and_once_ninety(demo: SimulatedWorld) -> None:
    gaps = demo.klines("GAPPYUSDT-um", 0, EVER)["open_time"].diff().drop_nulls() // MINUTE_MS - 1
    assert sorted(gaps.filter(gaps > 0).to_list()) == [1, 2, 3, 4, 90]


def test_spot_follows_its_perpetual_within_a_small_basis(demo: SimulatedWorld) -> None:
    spot, future = demo.klines("ALFAUSDT-spot", 0, EVER), demo.klines("ALFAUSDT-um", 0, EVER)
    apart = (spot["close"] / future["close"] - 1).abs()
    assert 0 < apart.max() < 1e-3  # type: ignore[operator]
    assert spot["quote_volume"].sum() < 0.5 * future["quote_volume"].sum()


def test_the_pound_costs_about_its_price(demo: SimulatedWorld) -> None:
    bid, ask, *_ = demo.book("GBPUSDT-spot") or (0.0, 0.0)
    assert 1.0 < bid < ask < 1.7


def test_an_earlier_view_knows_less_and_lists_less(demo: SimulatedWorld) -> None:
    past = demo.at(demo.now_ms - 25 * DAY_MS)
    names = {item.instrument.symbol: item for item in past.instruments()}
    assert "FRESHUSDT" not in names
    assert names["GONEUSDT"].instrument.status == "TRADING"
    assert names["GONEUSDT"].delivery_ms > past.now_ms
    assert past.klines("BTCUSDT-um", 0, EVER)["open_time"][-1] == past.now_ms - MINUTE_MS
    assert past.book("GONEUSDT-um") is not None


def test_a_running_bar_shows_its_open_only(demo: SimulatedWorld) -> None:
    whole = demo.klines("BTCUSDT-um", demo.now_ms - MINUTE_MS, EVER).row(0, named=True)
    running = demo.at(demo.now_ms - 20_000).klines("BTCUSDT-um", demo.now_ms - MINUTE_MS, EVER).row(0, named=True)
    assert running["open"] == running["high"] == running["low"] == running["close"] == whole["open"]
    assert running["volume"] == running["quote_volume"] == running["trades"] == 0.0


def test_a_world_has_no_view_before_its_start_or_after_its_end(demo: SimulatedWorld) -> None:
    for moment in (START_MS, demo.now_ms + 3 * DAY_MS):
        with pytest.raises(ConfigError, match="outside"):
            demo.at(moment)


def test_the_truth_names_what_was_planted() -> None:
    truth = world("demo", coins=4).truth()
    assert truth["planted"] == ["ALFA", "BRAVO", "CHARLIE"]
    assert "far stronger" in truth["note"]
    assert truth["edge_ends"] is None
    assert world("null").truth()["strength_bps_per_hour"] == 0.0
    assert world("broken").truth()["edge_ends"] == "2026-01-25T00:00:00Z"
    assert "BTC" in world("planted").truth()["planted"]


@pytest.mark.parametrize(
    ("knobs", "word"),
    [
        ({"name": "moon"}, "world"),
        ({"coins": 0}, "coins"),
        ({"days": 0}, "days"),
        ({"interval_minutes": 5}, "interval_minutes"),
        ({"planted": 99}, "planted"),
        ({"signal_correlation": 1.5}, "signal_correlation"),
        ({"t_factor_bps": 0.0}, "t_factor_bps"),
        ({"t_idio_bps": 3000.0}, "t_idio_bps"),
        ({"daily_vol_bps": -1.0}, "daily_vol_bps"),
        ({"name": "skewed", "daily_vol_bps": 1900.0}, "below 9000"),
        ({"half_life_minutes": 0.0}, "half_life_minutes"),
    ],
)
def test_impossible_worlds_are_refused_by_name(knobs: dict[str, object], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        WorldSpec(**{"name": "null", **knobs})  # type: ignore[arg-type]


def test_a_world_of_many_coins_invents_distinct_names() -> None:
    assert len(set(regular_bases(60))) == 60
