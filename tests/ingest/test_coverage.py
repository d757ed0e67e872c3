"""What is missing where: counted by month, and by a slow loop the same."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.domain.time import DAY_MS, HOUR_MS, parse_iso
from huracan.ingest import IngestConfig, missing_by_month

HISTORY = Path(__file__).parents[3] / "shared" / "market" / "history"
CONFIG = IngestConfig(interval_ms=HOUR_MS)
START = parse_iso("2025-12-30T00:00:00Z")


def months(hours, *, shift=0):
    times = pl.Series("open_time", [START + hour * HOUR_MS + shift for hour in hours], dtype=pl.Int64)
    return {row[0]: row[1:] for row in missing_by_month(times, CONFIG).iter_rows()}


def test_whole_bars_lack_nothing_and_no_bars_lack_nothing():
    assert months(range(100)) == {}
    assert months([]) == {}


def test_a_hole_over_the_turn_of_the_year_is_told_in_both_months():
    assert months([*range(40), *range(60, 100)]) == {"2025-12": (48, 40, 8), "2026-01": (52, 40, 12)}


def test_a_month_without_any_bar_is_told_and_nothing_outside_the_life_is():
    found = months([0, 24 * 70])
    assert found["2026-01"] == (31 * 24, 0, 31 * 24)
    assert list(found) == ["2025-12", "2026-01", "2026-02", "2026-03"]


def test_a_bar_off_the_grid_stands_for_none():
    assert months(range(5), shift=1) == {}


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(st.sets(st.integers(0, 24 * 60), min_size=1), st.randoms())
def test_it_is_what_a_slow_loop_counts(hours, random):
    def month(hour):
        return datetime.fromtimestamp((START + hour * HOUR_MS) / 1000, tz=UTC).strftime("%Y-%m")

    shuffled = [*hours, *list(hours)[:3]]
    random.shuffle(shuffled)
    expected = Counter(month(hour) for hour in range(min(hours), max(hours) + 1))
    held = Counter(month(hour) for hour in hours)
    wanted = {key: (n, held[key], n - held[key]) for key, n in expected.items() if n > held[key]}
    assert months(shuffled) == dict(sorted(wanted.items()))


@pytest.mark.market
@pytest.mark.skipif(not HISTORY.is_dir(), reason="the recorded history is not here")
def test_the_known_outages_of_the_exchange_are_found_in_their_months():
    times = pl.read_parquet(HISTORY / "spot" / "BTCUSDT" / "1h.parquet")["open_time"]
    found = {row[0]: row[3] for row in missing_by_month(times, CONFIG).iter_rows()}
    assert found["2018-02"] >= 30  # 33 hours from the 8th to the 10th, seen as missing bars
    assert {"2019-05", "2020-02", "2021-04", "2023-03"} <= set(found)
    assert max(found) == "2023-03"
    assert DAY_MS // HOUR_MS * 1 < sum(found.values()) < 200
