"""A symbol that stops and comes back is another listing: found on real swaps and deaths, and never in an ordinary outage."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.domain.frames import BAR_SCHEMA, FUNDING_SCHEMA
from huracan.domain.ids import Instrument
from huracan.domain.time import DAY_MS, HOUR_MS, parse_iso
from huracan.ingest import IngestConfig, validate_bars
from huracan.ingest.listings import listing_spans, part_listings

HISTORY = Path(__file__).parents[3] / "shared" / "market" / "history"
CONFIG = IngestConfig(interval_ms=HOUR_MS)
START = 20_000 * DAY_MS
PERPETUAL = Instrument(market="um", symbol="SOLUSDT", base="SOL", quote="USDT", coin="SOL")


def bars(hours, price=100.0, volume=5.0):
    """Hourly bars at these hours after START; price and volume may be arrays."""
    hours = np.asarray(hours)
    level = np.broadcast_to(np.asarray(price, dtype=float), hours.shape)
    traded = np.broadcast_to(np.asarray(volume, dtype=float), hours.shape)
    columns = dict.fromkeys(("open", "high", "low", "close"), level) | {"volume": traded}
    frame = pl.DataFrame({"open_time": START + hours * HOUR_MS, **columns})
    return frame.with_columns(
        pl.lit(None, dtype=BAR_SCHEMA[name]).alias(name) for name in BAR_SCHEMA if name not in frame.columns
    )


def validate(raw, funding=None, listed_ms=None):
    settlements = pl.DataFrame(schema=FUNDING_SCHEMA) if funding is None else funding
    end = int(raw["open_time"].max()) + HOUR_MS
    return validate_bars(
        replace(PERPETUAL, listed_ms=listed_ms), raw, settlements, CONFIG, start_ms=START, end_ms=end, vendor="binance"
    )


def test_bars_without_a_break_are_one_listing():
    (span,) = listing_spans(bars(range(50)), CONFIG)
    assert (span.first_ms, span.bars, span.silent_ms, span.ratio) == (START, 50, None, None)
    assert listing_spans(bars([]), CONFIG) == ()


@pytest.mark.parametrize(("hours", "count"), [(33, 1), (47, 1), (48, 2), (400, 2)])
def test_two_days_without_a_trade_end_a_listing_and_an_outage_does_not(hours, count):
    assert len(listing_spans(bars([*range(10), *range(10 + hours, 20 + hours)]), CONFIG)) == count


@pytest.mark.parametrize(("ratio", "count"), [(2.9, 1), (3.0, 2), (1 / 3.0, 2), (0.5, 1), (1000.0, 2)])
def test_a_price_of_another_scale_after_an_hour_without_trades_is_another_listing(ratio, count):
    assert len(listing_spans(bars([0, 1, 2, 4, 5], [1, 1, 1, ratio, ratio]), CONFIG)) == count


def test_a_crash_without_a_break_is_a_crash():
    assert len(listing_spans(bars(range(6), [100, 100, 20, 1, 0.01, 0.01]), CONFIG)) == 1


def test_a_halt_filled_with_flat_bars_parts_listings_like_missing_ones():
    volume = np.where((np.arange(70) >= 10) & (np.arange(70) < 60), 0.0, 5.0)
    raw = bars(range(70), np.where(np.arange(70) < 60, 100.0, 0.1), volume)
    clean, report = validate(raw)
    assert clean.frame["close"].unique().to_list() == [0.1]
    assert (report.rows_out, report.cut, report.counts["earlier_listings"]) == (10, 60, 1)


def test_the_exchanges_own_date_parts_listings_that_no_silence_parts():
    raw = bars(range(100))
    newest, before = START + 60 * HOUR_MS, START + 59 * HOUR_MS
    parts = part_listings(raw, CONFIG, newest + 1)
    assert parts.newest["open_time"].to_list() == list(range(newest, START + 100 * HOUR_MS, HOUR_MS))
    (earlier,) = parts.earlier
    assert (earlier.first_ms, earlier.last_ms, earlier.until_ms, earlier.bars) == (START, before, newest, 60)
    assert "says that another listing began" in parts.issues[0].detail
    assert part_listings(raw, CONFIG, START).earlier == ()


def test_a_listing_that_has_no_bar_yet_leaves_all_bars_to_the_earlier_ones():
    begins = START + 500 * HOUR_MS
    parts = part_listings(bars([*range(30), *range(130, 160)]), CONFIG, begins)
    assert parts.newest.is_empty()
    assert [(one.bars, one.until_ms) for one in parts.earlier] == [(30, START + 130 * HOUR_MS), (30, begins)]
    clean, report = validate(bars(range(30)), listed_ms=begins)
    assert clean.frame.is_empty()
    assert (report.rows_in, report.cut, report.counts["earlier_listings"]) == (30, 30, 1)


def test_an_earlier_listing_ended_with_its_last_trade():
    volume = np.where((np.arange(70) >= 10) & (np.arange(70) < 60), 0.0, 5.0)
    (one,) = part_listings(bars(range(70), volume=volume), CONFIG).earlier
    assert (one.last_ms, one.until_ms, one.bars) == (START + 9 * HOUR_MS, START + 60 * HOUR_MS, 60)


def test_the_earlier_listing_is_cut_with_its_funding_and_told():
    raw = bars([*range(30), *range(130, 160)], [*[50.0] * 30, *[0.5] * 30])
    times = START + np.arange(0, 160, 8) * HOUR_MS
    funding = pl.DataFrame({"funding_time": times, "rate": np.full(20, 1e-4), "interval_hours": np.full(20, 8.0)})
    clean, report = validate(raw, funding.cast(FUNDING_SCHEMA))
    assert clean.frame["open_time"][0] == START + 130 * HOUR_MS
    assert clean.funding["funding_time"].min() >= START + 130 * HOUR_MS
    (told,) = [issue for issue in report.issues if issue.kind == "relisted"]
    assert (told.action, told.start_ms, told.bars) == ("cut", START + 130 * HOUR_MS, 30)
    assert told.detail == "no trade for 100 h, then price x 0.01: another listing"
    assert report.rows_in + report.repaired - report.cut - report.counts["duplicates"] == report.rows_out
    assert not [issue for issue in report.issues if issue.kind == "jump"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 60), st.floats(0.01, 100.0)), min_size=1, max_size=40))
def test_epochs_partition_the_bars_and_later_bars_change_no_earlier_border(steps):
    hours = np.cumsum([gap for gap, _ in steps])
    frame = bars(hours, [price for _, price in steps])
    spans = listing_spans(frame, CONFIG)
    assert sum(span.bars for span in spans) == frame.height
    assert all(a.last_ms < b.first_ms for a, b in itertools.pairwise(spans))
    known = {span.first_ms for span in spans}
    for count in range(1, frame.height):
        earlier = listing_spans(frame.head(count), CONFIG)
        assert {span.first_ms for span in earlier} == {t for t in known if t <= frame["open_time"][count - 1]}


@pytest.mark.slow
@pytest.mark.market
@pytest.mark.skipif(not HISTORY.is_dir(), reason="the recorded history is not here")
def test_every_swap_and_relisting_of_the_recorded_history_is_found_and_nothing_else():
    found = {}
    for file in sorted(HISTORY.glob("*/*/1h.parquet")):
        frame = pl.read_parquet(file)
        for span in listing_spans(frame, CONFIG)[1:]:
            found[f"{file.parts[-3]}/{file.parts[-2]}"] = (span.first_ms, round(span.ratio, 4))
    assert found == {
        f"spot/{symbol}USDT": (parse_iso(f"{when}:00Z"), ratio)
        for symbol, when, ratio in (
            ("BNX", "2023-02-22T08:00", 0.01),
            ("BTCST", "2021-03-19T07:00", 0.1),
            ("CVC", "2023-05-12T08:00", 0.91),
            ("LUNA", "2022-05-31T06:00", 20000.0),
            ("QUICK", "2023-07-21T08:00", 0.001),
            ("SUN", "2021-06-18T04:00", 0.001),
            ("TUSD", "2023-03-11T14:00", 1.0001),
            ("USDC", "2023-03-11T14:00", 1.0001),
            ("VIDT", "2022-11-09T08:00", 0.093),
        )
    }
