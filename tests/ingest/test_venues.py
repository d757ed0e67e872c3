"""Two tables of one instrument: one venue or two, and where their moves differ."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from huracan.domain.time import DAY_MS, HOUR_MS, MINUTE_MS
from huracan.ingest.venues import FEWEST_BARS, compare_bars, known_restatement

MARKET = Path(__file__).parents[3] / "shared" / "market"
START = 20_000 * DAY_MS
needs_market = pytest.mark.skipif(not MARKET.is_dir(), reason="the recorded candles are not here")


def bars(close, volume, start=0):
    times = START + (start + np.arange(len(close))) * MINUTE_MS
    return pl.DataFrame({"open_time": times, "close": np.asarray(close, float), "volume": np.asarray(volume, float)})


def market(n=400, seed=1):
    rng = np.random.default_rng(seed)
    return 100 * np.exp(np.cumsum(rng.normal(0, 5e-4, n))), rng.gamma(2.0, 5.0, n)


def test_two_downloads_of_one_exchange_are_the_same_venue_even_with_restated_bars():
    close, volume = market()
    restated = np.where(np.arange(400) % 40 == 0, volume * 1.5, volume)
    told = compare_bars(bars(close, volume), bars(close, restated))
    assert (told.venue, told.bars, told.same, told.same_close, told.volume_ratio) == ("same", 400, 0.975, 1.0, 1.0)
    assert (told.moves, told.moves_apart) == (399, 0)


def test_the_same_prices_with_other_volumes_are_another_venue():
    close, volume = market()
    told = compare_bars(bars(close, volume), bars(close, volume * 3.1))
    assert (told.venue, told.same, told.same_close) == ("other", 0.0, 1.0)
    assert told.volume_ratio == pytest.approx(1 / 3.1)


def test_moves_that_differ_by_more_than_the_tolerance_are_counted():
    close, volume = market()
    wick = close.copy()
    wick[100] *= 1.02
    told = compare_bars(bars(close, volume), bars(wick, volume), tolerance_bps=50.0)
    assert (told.moves_apart, told.apart_share) == (2, 2 / 399)
    assert compare_bars(bars(close, volume), bars(wick, volume), tolerance_bps=250.0).moves_apart == 0


def test_a_gap_is_no_move_and_silent_bars_testify_for_nobody():
    close, volume = market(200)
    hole = np.r_[0:80, 120:200]
    ours, theirs = bars(close, volume)[hole.tolist()], bars(close * 1.001, volume)
    assert compare_bars(ours, theirs).moves == 158
    quiet = np.where(np.arange(200) < 190, 0.0, volume)
    told = compare_bars(bars(close, quiet), bars(close, quiet))
    assert (told.bars, told.venue) == (10, "unclear")
    assert FEWEST_BARS > 10


def test_tables_that_share_nothing_say_nothing():
    close, volume = market(50)
    told = compare_bars(bars(close, volume), bars(close, volume, start=1000))
    assert (told.bars, told.venue, told.moves, told.apart_share) == (0, "unclear", 0, 0.0)


@pytest.mark.parametrize(("market_", "hour", "known"), [("spot", 0, True), ("spot", 1, False), ("um", 0, False)])
def test_only_the_three_hours_of_spot_are_known_to_be_restated(market_, hour, known):
    from huracan.domain.time import parse_iso

    assert known_restatement(market_, parse_iso("2021-04-23T01:59") + hour * HOUR_MS) is known


def minutes(*parts):
    return pl.read_parquet(MARKET.joinpath(*parts, "1m.parquet")).sort("open_time")


def hours(frame):
    """Whole hours of minute bars."""
    hour = (pl.col("open_time") // HOUR_MS * HOUR_MS).alias("open_time")
    summed = frame.group_by(hour, maintain_order=True).agg(pl.col("close").last(), pl.col("volume").sum(), n=pl.len())
    return summed.filter(pl.col("n") == 60)


def recorded(tree, symbol):
    file = MARKET / "history" / tree / symbol / "1h.parquet"
    return pl.read_parquet(file) if file.is_file() else None


@pytest.mark.slow
@pytest.mark.market
@needs_market
def test_every_symbol_of_the_second_venue_is_told_from_binance_and_every_binance_one_is_not():
    """Minute bars of spot SOLUSDT lie in both folders; the others meet the hourly bars of their own market."""
    other = MARKET / "klines-other"
    seen = {}
    for folder in sorted(other.glob("*/*")):
        ours = recorded(folder.parent.name, folder.name)
        ours = recorded(f"{folder.parent.name}-full", folder.name) if ours is None else ours
        if ours is not None:
            theirs = hours(minutes("klines-other", *folder.parts[-2:]))
            seen[f"{folder.parent.name}/{folder.name}"] = compare_bars(ours, theirs)
    without_overlap = {name for name, told in seen.items() if not told.bars}
    assert without_overlap == {"spot/BNBUSDT"}  # its hourly bars end in 2023
    assert {told.venue for name, told in seen.items() if name not in without_overlap} == {"other"}
    assert len(seen) == 9  # um FILUSDT has no hourly bars
    direct = compare_bars(minutes("klines", "spot", "SOLUSDT"), minutes("klines-other", "spot", "SOLUSDT"))
    assert direct.venue == "other"
    assert direct.volume_ratio == pytest.approx(3.57, abs=0.01)
    assert direct.apart_share < 0.001  # and yet the price is one: closes within 0.7 bps in the median minute
    same = {}
    for folder in sorted((MARKET / "klines").glob("*/*")):
        theirs = recorded(folder.parent.name, folder.name) if folder.is_dir() else None
        if theirs is not None:
            same[folder.name] = compare_bars(theirs, hours(minutes("klines", *folder.parts[-2:])))
    told = {name: found.venue for name, found in same.items() if found.bars}
    assert set(told.values()) == {"same"}
    assert len(told) == 8


@pytest.mark.market
@needs_market
@pytest.mark.parametrize("symbol", ["BTCUSDT", "DOGEUSDT", "FILUSDT", "LTCUSDT", "SOLUSDT"])
def test_symbols_that_both_folders_have_on_other_markets_are_told_apart_too(symbol):
    assert compare_bars(minutes("klines", "spot", symbol), minutes("klines-other", "um", symbol)).venue == "other"
