"""A contract is charged funding while it lives: never after its last bar, never for what its ticker was before.

LITUSDT left on 2025-01-31; the archive goes on with 417 settlements of 0.0001, and Lighter took the ticker in December.
"""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.domain.frames import BAR_SCHEMA, FUNDING_SCHEMA
from huracan.domain.ids import Instrument
from huracan.domain.time import DAY_MS, HOUR_MS
from huracan.ingest import IngestConfig, validate_bars

CONFIG = IngestConfig(interval_ms=HOUR_MS)
START = 20_000 * DAY_MS
LIT = Instrument(market="um", symbol="LITUSDT", base="LIT", quote="USDT", contract_type="PERPETUAL")
GHOSTS = 417


def bars(hours, price=1.0):
    columns = dict.fromkeys(("open", "high", "low", "close"), np.full(len(hours), price))
    frame = pl.DataFrame({"open_time": START + np.asarray(hours) * HOUR_MS, **columns, "volume": np.ones(len(hours))})
    return frame.with_columns(
        pl.lit(None, dtype=BAR_SCHEMA[name]).alias(name) for name in BAR_SCHEMA if name not in frame.columns
    )


def settlements(hours, rate=1e-4):
    times = START + np.asarray(hours) * HOUR_MS
    return pl.DataFrame({"funding_time": times, "rate": np.full(times.size, rate), "interval_hours": 8.0}).cast(
        FUNDING_SCHEMA
    )


def validated(raw, funding, days=400):
    return validate_bars(LIT, raw, funding, CONFIG, start_ms=START, end_ms=START + days * DAY_MS, vendor="binance")


def test_the_settlements_after_a_contracts_last_bar_are_cut_and_counted():
    life = 30 * 24
    paid = settlements(range(0, life + 1, 8))
    ghosts = settlements(range(life + 8, life + 8 * (GHOSTS + 1), 8))
    clean, report = validated(bars(range(life)), pl.concat([paid, ghosts]))
    assert ghosts.height == GHOSTS
    assert clean.funding["funding_time"].to_list() == paid["funding_time"].to_list()
    assert report.counts["settlements_cut"] == GHOSTS
    assert clean.funding_known
    assert clean.data_hash == validated(bars(range(life)), paid)[0].data_hash


@pytest.mark.parametrize("old_bars", [True, False])
def test_a_ticker_given_away_brings_no_settlement_of_its_former_owner(old_bars):
    """Whether the old contract's bars lie in the window or the window begins among its ghosts."""
    old, born = range(240), range(7_000, 7_240)
    raw = pl.concat([*([bars(old, 0.5)] if old_bars else []), bars(born, 3.0)])
    own = settlements(range(7_000, 7_240, 4), 2e-4)
    clean, report = validated(raw, pl.concat([settlements(range(0, 240 + 8 * GHOSTS, 8)), own]))
    assert clean.frame["open_time"][0] == START + 7_000 * HOUR_MS
    assert clean.funding["rate"].unique().to_list() == [2e-4]
    assert clean.funding.height == own.height
    assert report.counts["earlier_listings"] == int(old_bars)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 200),
    st.integers(1, 200),
    st.lists(st.integers(-10, 500), max_size=40, unique=True),
    st.integers(1, 20),
)
def test_no_settlement_lies_outside_the_life_of_the_bars(first, length, times, days):
    raw = bars(range(first, first + length))
    end = START + days * DAY_MS
    clean, _ = validate_bars(LIT, raw, settlements(times), CONFIG, start_ms=START, end_ms=end, vendor="binance")
    if clean.frame.is_empty():
        assert clean.funding.is_empty()
        return
    born, died = clean.frame["open_time"][0], clean.frame["open_time"][-1] + HOUR_MS
    wanted = sorted(START + t * HOUR_MS for t in times)
    assert clean.funding["funding_time"].to_list() == [t for t in wanted if born <= t <= died and t < end]


def test_a_spot_pair_has_no_settlements_at_all():
    coin = Instrument(market="spot", symbol="LITUSDT", base="LIT", quote="USDT")
    clean, _ = validate_bars(
        coin,
        bars(range(48)),
        settlements(range(0, 48, 8)),
        CONFIG,
        start_ms=START,
        end_ms=START + 2 * DAY_MS,
        vendor="binance",
    )
    assert clean.funding.is_empty()
    assert clean.funding_known
