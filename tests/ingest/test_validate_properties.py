"""Any frame at all: counts reconcile, nothing unusable comes out, and a slow obvious reading agrees."""

import math

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.domain.frames import BAR_SCHEMA, FUNDING_SCHEMA, REPAIRED, empty
from huracan.domain.ids import Instrument
from huracan.domain.time import DAY_MS, MINUTE_MS
from huracan.ingest import IngestConfig, validate_bars

START = 20_000 * DAY_MS
SPAN = 60
CONFIG = IngestConfig(interval_ms=MINUTE_MS)
SPOT = Instrument(market="spot", symbol="SOLUSDT", base="SOL", quote="USDT", coin="SOL")

TIMES = st.one_of(
    st.integers(0, SPAN - 1).map(lambda minute: START + minute * MINUTE_MS),
    st.integers(-2, SPAN + 2).map(lambda minute: START + minute * MINUTE_MS + 17),
    st.sampled_from([None, START - MINUTE_MS, START + 5 * DAY_MS, -(2**62), 2**62]),
)
PRICES = st.one_of(
    st.floats(90, 110), st.floats(90, 110), st.sampled_from([0.0, -1.0, math.nan, math.inf, -math.inf, None, 1e-300])
)
SIZES = st.one_of(st.floats(0, 1e6), st.sampled_from([0.0, None, math.nan, -1.0, math.inf]))


@st.composite
def rows(draw):
    """One row, in three of four cases sensible."""
    if draw(st.integers(0, 3)):
        minute, close = draw(st.integers(0, SPAN - 1)), draw(st.sampled_from([99.0, 100.0, 101.0]))
        volume = draw(st.sampled_from([0.0, 1.0]))
        return (START + minute * MINUTE_MS, close, close, close, close, *[volume] * 5)
    return (draw(TIMES), *(draw(PRICES) for _ in range(4)), *(draw(SIZES) for _ in range(5)))


def oracle(table):
    """Times and closes that should come out, by loops over dicts."""
    kept = {}
    for row in table:
        time, o, h, low, c, *sizes = row
        if time is None or time % MINUTE_MS or not START <= time < START + SPAN * MINUTE_MS:
            continue
        needed, optional = [o, h, low, c, sizes[0]], [s for s in sizes[1:] if s is not None]
        if any(v is None or not math.isfinite(v) for v in needed) or any(not math.isfinite(v) for v in optional):
            continue
        if min(o, h, low, c) <= 0 or min([sizes[0], *optional]) < 0 or not low <= min(o, c) <= max(o, c) <= h:
            continue
        fullness = (-1.0 if sizes[2] is None else sizes[2], sizes[0])
        if time not in kept or fullness >= kept[time][0]:
            kept[time] = fullness, c
    kept = {time: close for time, (_, close) in kept.items()}
    out, last = [], None
    for time in sorted(kept):
        if last is not None and 1 < (gap := (time - last) // MINUTE_MS) <= 6:
            out += [(last + k * MINUTE_MS, kept[last], True) for k in range(1, gap)]
        out.append((time, kept[time], False))
        last = time
    return out


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.lists(rows(), max_size=40))
def test_any_rows_come_out_as_the_slow_reading_says_and_add_up(table):
    raw = pl.DataFrame(table, schema=BAR_SCHEMA, orient="row")
    end = START + SPAN * MINUTE_MS
    bars, report = validate_bars(SPOT, raw, empty(FUNDING_SCHEMA), CONFIG, start_ms=START, end_ms=end, vendor="binance")
    frame = bars.frame
    seen = zip(frame["open_time"], frame["close"], ((f & REPAIRED) > 0 for f in frame["flags"]), strict=True)
    assert list(seen) == oracle(table)
    assert report.rows_in + report.repaired - report.cut - report.counts["duplicates"] == report.rows_out
    assert report.rows_out == frame.height
    values = frame.select(pl.col(pl.Float64))
    assert all(series.drop_nulls().is_finite().all() for series in values)
    assert values.select("open", "high", "low", "close", "volume").null_count().row(0) == (0,) * 5
    assert 0.0 <= report.quality <= 1.0
    again, second = validate_bars(
        SPOT,
        frame.select(list(BAR_SCHEMA)),
        empty(FUNDING_SCHEMA),
        CONFIG,
        start_ms=START,
        end_ms=end,
        vendor="binance",
    )
    assert second.cut == second.repaired == second.counts["duplicates"] == 0
    assert again.frame.drop("flags").equals(frame.drop("flags"))
