"""Which settlements are missing, by the interval that was in force then."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.domain.frames import FUNDING_SCHEMA, empty
from huracan.domain.time import DAY_MS, HOUR_MS, MINUTE_MS
from huracan.ingest import IngestConfig, clean_settlements
from huracan.ingest.funding import funding_holes

START = 20_454 * DAY_MS
CONFIG = IngestConfig(interval_ms=MINUTE_MS)
LIVES = ((8,), (4,), (1,), (8, 4, 1), (1, 4, 8), (1, 8), (8, 1), (4, 8, 4))


def settled(life, days=4, *, stated=True, late_ms=0):
    """Settlements of a perpetual whose interval in hours changes every `days` days."""
    hours, rows = 0, []
    for interval in life:
        end = hours + days * 24
        rows += [(START + hour * HOUR_MS + late_ms, 5e-4, float(interval)) for hour in range(hours, end, interval)]
        hours = end
    frame = pl.DataFrame(rows, schema=FUNDING_SCHEMA, orient="row")
    return frame if stated else frame.with_columns(interval_hours=pl.lit(None, pl.Float64))


def holes(frame, end_ms=None):
    clean = clean_settlements(frame, CONFIG).frame
    last = int(clean["funding_time"][-1]) if end_ms is None else end_ms
    return funding_holes(clean, START, last, CONFIG)


@pytest.mark.parametrize("life", LIVES)
@pytest.mark.parametrize("stated", [True, False])
@pytest.mark.parametrize("late_ms", [0, 7, 40_000])
def test_a_change_of_interval_is_no_hole(life, stated, late_ms):
    assert holes(settled(life, stated=stated, late_ms=late_ms)).is_empty()


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.sampled_from(LIVES), st.booleans(), st.data())
def test_a_single_missing_settlement_is_found_where_it_lies_and_costs_its_own_time(life, stated, data):
    whole = settled(life, stated=stated)
    per_day = {interval: 4 * 24 // interval for interval in life}
    gone = data.draw(st.integers(1, whole.height - 2))
    interval = float(settled(life)["interval_hours"][gone])
    starts = np.cumsum([0, *(per_day[one] for one in life)])
    if any(abs(gone - start) <= 4 for start in starts):
        return  # beside a change the interval is not told by the neighbours alone
    found = holes(whole.filter(pl.int_range(pl.len()) != gone))
    assert found["missing"].to_list() == [1]
    start, end, _, worst = found.row(0)
    assert start == whole["funding_time"][gone - 1]
    assert end - start == interval * HOUR_MS
    assert worst == pytest.approx(5.0 * 24 / interval)


@pytest.mark.parametrize(("kept", "known"), [(8, True), (7, False), (4, False), (1, False)])
def test_of_hourly_settlements_every_missing_one_is_counted(kept, known):
    whole = settled((1,), days=20)
    seen = whole.filter((pl.col("funding_time") // HOUR_MS) % 8 < kept)
    end = START + 20 * DAY_MS - MINUTE_MS
    found = holes(seen, end)
    assert found.is_empty() is known
    assert found["missing"].sum() == whole.height - seen.height
    assert set(clean_settlements(seen, CONFIG).frame["interval_hours"]) == {1.0}
    worst = (found["worst_bps_per_day"] * (found["end_ms"] - found["start_ms"])).sum() / DAY_MS
    assert seen["rate"].sum() * 1e4 + worst == pytest.approx(whole["rate"].sum() * 1e4)


def test_one_missing_settlement_leaves_the_rest_of_three_years_known():
    whole = settled((8,), days=3 * 365)
    gone = START + 500 * DAY_MS
    found = holes(whole.filter(pl.col("funding_time") != gone))
    assert found.rows() == [(gone - 8 * HOUR_MS, gone, 1, pytest.approx(15.0))]


def test_without_any_settlement_everything_is_a_hole():
    found = funding_holes(empty(FUNDING_SCHEMA), START, START + DAY_MS, CONFIG)
    assert found.rows() == [(START, START + DAY_MS, 1, 0.0)]
    assert funding_holes(empty(FUNDING_SCHEMA), START, START, CONFIG).is_empty()


def test_settlements_that_stop_before_the_bars_do_leave_a_hole_to_the_end():
    end = START + 9 * DAY_MS
    found = holes(settled((8,), days=4), end)
    assert found["start_ms"].to_list() == [START + 4 * DAY_MS - 8 * HOUR_MS]
    assert found["missing"].to_list() == [16]
    assert found["end_ms"].to_list() == [end]
