"""Settlement intervals come from the settlements themselves."""

import math

import polars as pl
import pytest

from huracan.domain.frames import FUNDING_SCHEMA, empty
from huracan.domain.time import DAY_MS, HOUR_MS, MINUTE_MS
from huracan.errors import SchemaError
from huracan.ingest import IngestConfig, clean_settlements

START = 20_000 * DAY_MS
CONFIG = IngestConfig(interval_ms=MINUTE_MS)


def frame(rows):
    times = [(START + h * HOUR_MS if isinstance(h, int | float) else h, rate, stated) for h, rate, stated in rows]
    return pl.DataFrame(times, schema=FUNDING_SCHEMA, orient="row")


def test_the_interval_is_the_distance_to_the_settlement_before():
    out = clean_settlements(frame([(0, 1e-4, None), (8, 1e-4, 8.0), (12, 1e-4, 8.0), (13, 1e-4, None)]), CONFIG).frame
    assert out["interval_hours"].to_list() == [None, 8.0, 4.0, 1.0]


def test_the_stated_interval_stands_in_at_the_start_and_after_a_hole():
    out = clean_settlements(
        frame([(0, 1e-4, 4.0), (24, 1e-4, 8.0), (48, 1e-4, math.nan), (72, 1e-4, 0.0)]), CONFIG
    ).frame
    assert out["interval_hours"].to_list() == [4.0, 8.0, None, None]


def test_settlements_a_few_milliseconds_late_are_one_settlement_on_the_minute():
    late = 17 / HOUR_MS
    out = clean_settlements(frame([(8 + late, 2e-4, None), (0, 1e-4, None), (8, 1e-4, None)]), CONFIG).frame
    assert out["funding_time"].to_list() == [START, START + 8 * HOUR_MS]
    assert out["interval_hours"].to_list() == [None, 8.0]


def test_rates_that_are_no_numbers_are_dropped():
    out = clean_settlements(
        frame([(0, math.nan, None), (8, None, None), (16, math.inf, None), (24, 1e-4, None)]), CONFIG
    ).frame
    assert out["rate"].to_list() == [1e-4]


def test_nothing_stays_nothing_and_other_columns_are_refused():
    assert clean_settlements(empty(FUNDING_SCHEMA), CONFIG).frame.is_empty()
    with pytest.raises(SchemaError, match="settlements"):
        clean_settlements(empty(FUNDING_SCHEMA).drop("rate"), CONFIG)
