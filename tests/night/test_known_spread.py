"""Whose spread a pair is charged: its own book's, EDGE on minutes, its tier's median on coarser bars, else nobody's."""

import math

import numpy as np
import polars as pl
import pytest
from plans import make_plan

from huracan.domain.frames import CLEAN_SCHEMA, Bars
from huracan.domain.ids import Instrument
from huracan.domain.records import Candidate, Skip, SkipCode
from huracan.domain.time import DAY_MS, HOUR_MS, MINUTE_MS
from huracan.night.jobs.spread import known_spread, spread_notes

START = 20_000 * DAY_MS
COIN = Instrument(market="um", symbol="SOLUSDT", base="SOL", quote="USDT", contract_type="PERPETUAL", coin="SOL")
TIERS = (("spot-A", 1.0), ("um-A", 2.0), ("um-B", 5.0))


def bars(interval, spread_bps=5.0):
    """Eight days of ten trades a bar, at bid or ask around a random walk."""
    rng = np.random.default_rng(3)
    n = 8 * DAY_MS // interval
    mid = 100 * np.exp(np.cumsum(rng.normal(0, 2e-4, (n, 10)).ravel()))
    trades = (mid * (1 + rng.choice([-0.5, 0.5], mid.size) * spread_bps * 1e-4)).reshape(n, 10)
    prices = {"open": trades[:, 0], "high": trades.max(1), "low": trades.min(1), "close": trades[:, -1]}
    others = {name: np.ones(n) for name in CLEAN_SCHEMA if name not in {"open_time", *prices}}
    frame = pl.DataFrame({"open_time": START + np.arange(n) * interval, **prices, **others}).with_columns(
        flags=0, segment=0
    )
    return Bars(instrument=COIN, interval_ms=interval, frame=frame.select(list(CLEAN_SCHEMA)).cast(CLEAN_SCHEMA))


def spread(interval=15 * MINUTE_MS, *, book=None, volume=2e8, **plan):
    member = Candidate(instrument=COIN, volume_24h_gbp=volume, spread_bps=book)
    return known_spread(make_plan(**plan), member, bars(interval), volume)


@pytest.mark.parametrize("interval", [MINUTE_MS, 15 * MINUTE_MS, HOUR_MS])
def test_a_pairs_own_book_comes_first_on_bars_of_any_length(interval):
    found = spread(interval, book=1.5, tier_spreads=TIERS)
    assert (found.bps, found.source) == (1.5, "book")
    assert spread_notes(found.source) == ()


def test_minutes_without_a_book_are_estimated_and_say_so():
    found = spread(MINUTE_MS, tier_spreads=TIERS)
    assert (found.bps, found.source) == (pytest.approx(5.0, rel=0.3), "edge")
    assert "EDGE" in spread_notes(found.source)[0]


@pytest.mark.parametrize("interval", [15 * MINUTE_MS, HOUR_MS])
@pytest.mark.parametrize(("volume", "bps"), [(2e8, 2.0), (2e7, 5.0)])
def test_coarser_bars_without_a_book_are_charged_their_own_tiers_median_and_say_so(interval, volume, bps):
    found = spread(interval, volume=volume, tier_spreads=TIERS, declared_spreads=(("A", 7.0), ("B", 7.5)))
    assert (found.bps, found.source) == (bps, "tier")
    assert "tier" in spread_notes(found.source)[0]


def test_the_owners_figure_stands_in_where_no_book_of_the_tier_is_known():
    found = spread(declared_spreads=(("A", 3.0), ("B", 6.0), ("C", 30.0)))
    assert (found.bps, found.source) == (3.0, "declared")
    assert "configured" in spread_notes(found.source)[0]


@pytest.mark.parametrize("volume", [1e5, math.nan])
def test_nothing_known_is_a_skip_that_says_what_would_help(volume):
    skip = spread(volume=volume, tier_spreads=TIERS)
    assert isinstance(skip, Skip)
    assert (skip.code, skip.step, skip.measured) == (SkipCode.SPREAD_UNKNOWN, 2, None)
    assert "costs.tier_spread_bps" in skip.reason


@pytest.mark.parametrize(
    ("given", "source"),
    [({"tier_spreads": (("um-A", 9.0),)}, "tier"), ({"declared_spreads": (("A", 9.0),)}, "declared")],
)
def test_a_spread_above_the_limit_is_refused_whoever_says_it(given, source):
    skip = spread(**given)
    assert (skip.code, skip.measured, skip.wanted) == (SkipCode.SPREAD_TOO_WIDE, 9.0, 8.0)
    assert source in skip.reason
