"""A market where nobody trades gets no new entry: training's own rule, live. A position that is held is still answered."""

import math

import polars as pl
import pytest
from live_bars import DAY, MINUTE, context_of, publish_live, random_bars, silenced
from sizes import FULL

from huracan.errors import FeatureError

SILENCES = range(1, 1441) if FULL else (1, 5, 8, 9, 10, 11, 30, 59, 60, 61, 120, 720, 1439, 1440)


@pytest.fixture
def at(factory):
    return factory.CUTOFF


@pytest.fixture
def ask(world, factory, at):
    """Asks the published champion at the cut-off; the market as a whole goes on trading."""
    publish_live(world, factory)
    hamilton = world.hamilton()
    market = context_of(random_bars(at), at)
    return lambda bars: hamilton.predict_bars("BTC", "1h", bars, market, at)


def test_a_market_that_trades_is_answered_as_ever(ask, at):
    result = ask(random_bars(at))
    assert result.direction in {"long", "short"}
    assert (result.entries_open, result.blocked_reason, result.blocked_codes) == (True, None, ())


@pytest.mark.slow
@pytest.mark.guarantee("H8")
def test_from_the_tenth_silent_minute_on_there_is_no_new_entry_and_exits_are_answered(ask, at, counted):
    bars = random_bars(at)
    for minutes in SILENCES:
        since = at - minutes * MINUTE
        flat = ask(silenced(bars, since))
        absent = ask(bars.filter(pl.col("open_time") < since))
        for result in (flat, absent):
            assert result.entries_open is (minutes < 10)
            assert math.isfinite(result.edge_bps)
            assert result.votes
        if minutes >= 10:
            assert flat == absent
            assert (flat.direction, flat.position_fraction, flat.blocked_codes) == ("hold", 0.0, ("HALTED",))
            assert f"not traded for {minutes} minutes" in flat.blocked_reason
            assert "wanted a trade within 10 minutes" in flat.blocked_reason
        else:
            assert (flat.blocked_codes, absent.blocked_codes) == ((), ())
            assert flat.direction in {"long", "short"}
        counted()


def test_one_trade_within_ten_minutes_is_enough_for_a_coin_that_trades_rarely(ask, at):
    bars = random_bars(at)
    rare = pl.col("open_time") // MINUTE % 9 == at // MINUTE % 9  # the newest trade is nine minutes old
    thin = bars.with_columns(
        *(pl.when(rare).then(pl.col(name)).otherwise(0.0) for name in ("volume", "quote_volume", "trades")),
        *(pl.when(rare).then(pl.col(name)).otherwise(0.0) for name in ("taker_base", "taker_quote")),
        *(pl.when(rare).then(pl.col(name)).otherwise(pl.col("close")) for name in ("open", "high", "low")),
    )
    assert ask(thin).entries_open


def test_bars_without_volume_are_no_trade_even_where_their_price_moves(ask, at):
    late = pl.col("open_time") >= at - 30 * MINUTE
    quiet = random_bars(at).with_columns(pl.when(late).then(0.0).otherwise(pl.col("volume")).alias("volume"))
    assert ask(quiet).blocked_codes == ("HALTED",)


def test_every_reason_is_told(world, factory, at):
    publish_live(world, factory)
    hamilton, bars = world.hamilton(), random_bars(at)
    hamilton.add_blocked_coin("BTC", "fat finger")
    world.now = factory.NOW + 60 * factory.HOUR
    result = hamilton.predict_bars("BTC", "1h", silenced(bars, at - DAY), context_of(bars, at), at)
    assert result.blocked_codes == ("OWNER", "STALE", "HALTED")
    assert result.blocked_reason.startswith("OWNER: fat finger; STALE: ")
    assert (result.direction, result.stale) == ("hold", True)


def test_after_a_day_without_any_bar_nothing_is_known(ask, at):
    with pytest.raises(FeatureError, match="newest closed 1441 minutes before"):
        ask(random_bars(at).filter(pl.col("open_time") < at - 1441 * MINUTE))


@pytest.mark.guarantee("H8")
@pytest.mark.parametrize("minutes", [15, 60])
def test_where_bars_are_longer_one_silent_bar_is_a_halt(world, factory, at, minutes):
    step = minutes * MINUTE
    publish_live(world, factory, interval_ms=step)
    hamilton, bars = world.hamilton(), random_bars(at, days=12, interval_ms=step)
    market = context_of(bars, at, step)
    for silent in range(4):
        halted = silenced(bars, at - silent * step) if silent else bars
        result = hamilton.predict_bars("BTC", "1h", halted, market, at)
        assert result.entries_open is (silent == 0)
