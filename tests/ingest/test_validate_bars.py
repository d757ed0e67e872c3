"""What validation does to each kind of defect, one at a time."""

import math

import numpy as np
import polars as pl
import pytest

from huracan.domain.frames import BAR_SCHEMA, FUNDING_SCHEMA, HALT, OUTLIER, PANIC, REPAIRED, empty
from huracan.domain.ids import Instrument
from huracan.domain.time import DAY_MS, HOUR_MS, MINUTE_MS
from huracan.errors import ConfigError, SchemaError
from huracan.ingest import IngestConfig, validate_bars, values_hash

START = 20_000 * DAY_MS
CONFIG = IngestConfig(interval_ms=MINUTE_MS)
GOLDEN = "f4fd5f35ef3b988996c7bf3eb4185d4e544d53696314048839011b2474a91cef"
SPOT = Instrument(market="spot", symbol="SOLUSDT", base="SOL", quote="USDT", coin="SOL")


def bars(n, *, start=START, interval=MINUTE_MS):
    """Plain rising minutes with every column."""
    close = 100.0 + np.arange(n) * 0.01
    return pl.DataFrame(
        {
            "open_time": start + np.arange(n) * interval,
            "open": close,
            "high": close + 0.02,
            "low": close - 0.02,
            "close": close,
            "volume": np.full(n, 5.0),
            "quote_volume": close * 5,
            "trades": np.full(n, 7.0),
            "taker_base": np.full(n, 2.0),
            "taker_quote": close * 2,
        },
        schema=BAR_SCHEMA,
    )


def validate(raw, config=CONFIG, *, end=None, funding=None, instrument=SPOT):
    end = START + raw.height * config.interval_ms if end is None else end
    settlements = empty(FUNDING_SCHEMA) if funding is None else funding
    return validate_bars(instrument, raw, settlements, config, start_ms=START, end_ms=end, vendor="binance")


def reconciles(report):
    return report.rows_in + report.repaired - report.cut - report.counts["duplicates"] == report.rows_out


def kinds(report):
    return {(issue.kind, issue.action, issue.bars) for issue in report.issues}


def test_clean_bars_come_back_as_they_are():
    raw = bars(100)
    clean, report = validate(raw)
    assert clean.frame.select(list(BAR_SCHEMA)).equals(raw)
    assert clean.frame["flags"].sum() == clean.frame["segment"].sum() == 0
    assert (report.rows_in, report.rows_out, report.quality, report.issues) == (100, 100, 1.0, ())
    assert (clean.vendor, report.vendor, report.instrument_id) == ("binance", "binance", "SOLUSDT-spot")


def test_no_rows_give_empty_bars_and_quality_zero():
    clean, report = validate(empty(BAR_SCHEMA), end=START + DAY_MS)
    assert clean.frame.is_empty()
    assert report.quality == 0.0
    assert clean.data_hash


def test_other_columns_are_refused():
    with pytest.raises(SchemaError, match="SOLUSDT-spot"):
        validate(bars(3).drop("trades"))


def test_a_short_gap_is_filled_flat_without_volume_and_marked():
    raw = bars(20)
    holed = raw.filter(~pl.Series(range(20)).is_in([4, 5, 6, 7, 8]))
    clean, report = validate(holed, end=START + 20 * MINUTE_MS)
    filled = clean.frame.slice(4, 5)
    assert clean.frame["open_time"].to_list() == raw["open_time"].to_list()
    assert set(filled["flags"]) == {REPAIRED}
    for name in ("open", "high", "low", "close"):
        assert set(filled[name]) == {raw["close"][3]}
    for name in ("volume", "quote_volume", "trades", "taker_base", "taker_quote"):
        assert filled[name].sum() == 0.0
        assert filled[name].null_count() == 0
    assert (report.repaired, report.counts["gaps"], report.quality) == (5, 1, 0.75)
    assert kinds(report) == {("gap", "repaired", 5)}


def test_a_column_the_source_lacks_stays_null_in_a_filled_gap():
    raw = bars(10).with_columns(trades=pl.lit(None, dtype=pl.Float64)).filter(pl.col("open_time") != START + MINUTE_MS)
    clean, report = validate(raw, end=START + 10 * MINUTE_MS)
    assert report.repaired == 1
    assert clean.frame["trades"].null_count() == 10


def test_a_gap_of_six_minutes_stays_a_hole_in_the_same_segment():
    raw = bars(20).filter(~pl.Series(range(20)).is_in(range(4, 10)))
    clean, report = validate(raw, end=START + 20 * MINUTE_MS)
    assert (clean.frame.height, report.repaired, report.counts["hole_bars"]) == (14, 0, 6)
    assert clean.frame["segment"].max() == 0
    assert ("gap", "flagged", 6) in kinds(report)


@pytest.mark.parametrize(("minutes", "segments"), [(1440, 1), (1441, 2)])
def test_a_segment_ends_only_at_a_hole_longer_than_a_day(minutes, segments):
    later = bars(5, start=START + (5 + minutes) * MINUTE_MS)
    clean, _ = validate(pl.concat([bars(5), later]), end=START + 10 * DAY_MS)
    assert clean.frame["segment"].to_list() == [0] * 5 + [segments - 1] * 5


def test_fifteen_minute_bars_are_never_repaired():
    config = IngestConfig(interval_ms=15 * MINUTE_MS)
    raw = bars(9, interval=15 * MINUTE_MS).filter(pl.col("open_time") != START + 15 * MINUTE_MS)
    _, report = validate(raw, config, end=START + 9 * 15 * MINUTE_MS)
    assert (report.repaired, report.counts["holes"]) == (0, 1)


@pytest.mark.parametrize(
    ("column", "value", "kind"),
    [
        ("open", math.nan, "non_finite"),
        ("close", math.inf, "non_finite"),
        ("high", None, "non_finite"),
        ("volume", math.nan, "non_finite"),
        ("quote_volume", math.inf, "non_finite"),
        ("low", 0.0, "non_positive"),
        ("low", -1.0, "non_positive"),
        ("volume", -1.0, "non_positive"),
        ("taker_base", -1.0, "non_positive"),
        ("high", 1.0, "ohlc"),
        ("low", 500.0, "ohlc"),
        ("close", 500.0, "ohlc"),
        ("open_time", START + 5 * MINUTE_MS + 1, "off_grid"),
        ("open_time", START - MINUTE_MS, "off_grid"),
        ("open_time", START + DAY_MS, "off_grid"),
        ("open_time", None, "off_grid"),
    ],
)
def test_an_impossible_row_is_cut_counted_and_its_minute_repaired(column, value, kind):
    position = pl.int_range(pl.len()) == 5
    raw = bars(20).with_columns(pl.when(position).then(pl.lit(value)).otherwise(pl.col(column)).alias(column))
    clean, report = validate(raw.cast(BAR_SCHEMA))
    assert (report.cut, report.repaired, report.rows_out) == (1, 1, 20)
    assert report.counts[kind] == 1
    assert (kind, "cut", 1) in kinds(report)
    assert clean.frame["flags"][5] == REPAIRED
    assert reconciles(report)


def test_identical_duplicates_are_dropped_and_differing_ones_yield_to_the_later():
    raw = bars(6)
    other = raw.slice(2, 1).with_columns(close=pl.lit(100.03))
    clean, report = validate(pl.concat([raw, raw.slice(4, 1), other]), end=START + 6 * MINUTE_MS)
    assert clean.frame["close"][2] == 100.03
    assert (report.counts["duplicates"], report.counts["conflicts"], report.counts["disorder"]) == (2, 1, 2)
    assert {("duplicate", "cut", 1), ("duplicate", "flagged", 1), ("disorder", "repaired", 2)} <= kinds(report)
    assert reconciles(report)


def test_disorder_alone_is_sorted_and_counted():
    raw = bars(6)
    clean, report = validate(raw.reverse())
    assert clean.frame.select(list(BAR_SCHEMA)).equals(raw)
    assert report.counts["disorder"] == 5
    assert kinds(report) == {("disorder", "repaired", 5)}


def flat(raw, at, count):
    """`count` silent bars from row `at`, as the API sends them: previous close, no volume."""
    inside = pl.int_range(pl.len()).is_between(at, at + count - 1)
    still = raw["close"][at - 1]
    prices = (pl.when(inside).then(still).otherwise(pl.col(c)).alias(c) for c in ("open", "high", "low", "close"))
    rest = (pl.when(inside).then(0.0).otherwise(pl.col(c)).alias(c) for c in list(BAR_SCHEMA)[5:])
    return raw.with_columns(*prices, *rest)


def test_the_halt_of_nineteen_silent_minutes_is_marked_from_its_tenth_and_is_not_a_repair():
    clean, report = validate(flat(bars(60), 20, 19))
    assert np.flatnonzero(clean.frame["flags"].to_numpy() == HALT).tolist() == list(range(29, 39))
    assert (report.counts["silent"], report.counts["halt"], report.repaired) == (19, 10, 0)
    assert ("halt", "flagged", 19) in kinds(report)
    assert report.halts == ((START + 20 * MINUTE_MS, 19),)


def test_nine_silent_minutes_are_no_halt():
    clean, _ = validate(flat(bars(60), 20, 9))
    assert clean.frame["flags"].sum() == 0


@pytest.mark.parametrize(("volume", "flag"), [(50.0, PANIC), (0.5, OUTLIER)])
def test_an_extreme_bar_is_kept_and_marked_by_its_volume(volume, flag):
    at = pl.int_range(pl.len()) == 500
    raw = bars(600).with_columns(
        low=pl.when(at).then(80.0).otherwise(pl.col("low")), volume=pl.when(at).then(volume).otherwise(pl.col("volume"))
    )
    clean, report = validate(raw)
    assert clean.frame["low"][500] == 80.0
    assert np.flatnonzero(clean.frame["flags"].to_numpy()).tolist() == [500]
    assert clean.frame["flags"][500] == flag
    assert report.cut == 0


def test_marks_of_a_bar_do_not_depend_on_later_bars():
    rng = np.random.default_rng(3)
    steps = rng.standard_t(2, 1500) * 1e-3
    close = 100 * np.exp(np.cumsum(steps))
    opens = np.concatenate([[100.0], close[:-1]])
    raw = bars(1500).with_columns(
        open=pl.Series(opens),
        close=pl.Series(close),
        high=pl.Series(np.maximum(opens, close)),
        low=pl.Series(np.minimum(opens, close)),
        volume=pl.Series(rng.gamma(1.0, 5.0, 1500)),
    )
    raw = flat(raw, 700, 15)
    raw = raw.with_columns(
        open=pl.when(pl.int_range(pl.len()) == 715).then(raw["close"][714]).otherwise(pl.col("open"))
    )
    raw = raw.with_columns(
        high=pl.max_horizontal("open", "high", "close"), low=pl.min_horizontal("open", "low", "close")
    )
    whole, _ = validate(raw)
    assert whole.frame["flags"].n_unique() >= 3
    for cut in (703, 712, 1100):
        part, _ = validate(raw.head(cut))
        assert part.frame.equals(whole.frame.head(cut))


def test_a_price_that_jumps_across_a_hole_is_reported():
    later = bars(5, start=START + DAY_MS).with_columns(pl.col("open", "high", "low", "close") / 2)
    _, report = validate(pl.concat([bars(5), later]), end=START + 2 * DAY_MS)
    (jump,) = [issue for issue in report.issues if issue.kind == "jump"]
    assert jump.start_ms == START + DAY_MS
    assert "price x 0.49" in jump.detail  # from the last close, which is a little above the first


def test_the_report_lists_the_longest_issues_and_counts_all():
    raw = bars(300).filter(pl.int_range(300) % 3 != 1)
    _, report = validate(raw, end=START + DAY_MS)
    assert len(report.issues) == 50
    assert report.counts["gaps"] == report.repaired == 100


def test_the_hash_covers_values_and_not_chunks():
    raw = bars(50)
    chunked = pl.concat([raw.head(20), raw.tail(30)], rechunk=False)
    one, _ = validate(raw)
    two, _ = validate(chunked)
    assert one.data_hash == two.data_hash
    other, _ = validate(raw.with_columns(volume=pl.when(pl.int_range(50) == 7).then(5.5).otherwise(pl.col("volume"))))
    assert other.data_hash != one.data_hash


def test_the_hash_tells_null_from_zero_and_one_frame_from_two():
    null = pl.DataFrame({"a": [None, 1.0]})
    zero = pl.DataFrame({"a": [0.0, 1.0]})
    assert len({values_hash(null), values_hash(zero), values_hash(zero, null), values_hash(null, zero)}) == 4


@pytest.mark.parametrize("interval", [0, -1, 7 * HOUR_MS])
def test_an_interval_that_does_not_divide_a_day_is_refused(interval):
    with pytest.raises(ConfigError, match="divide a day"):
        IngestConfig(interval_ms=interval)


def settlements(hours, every=8):
    times = [START + h * HOUR_MS for h in range(0, hours, every)]
    return pl.DataFrame(
        {"funding_time": times, "rate": [1e-4] * len(times), "interval_hours": [None] * len(times)},
        schema=FUNDING_SCHEMA,
    )


PERP = Instrument(market="um", symbol="SOLUSDT", base="SOL", quote="USDT", contract_type="PERPETUAL", coin="SOL")


@pytest.mark.parametrize(("missing", "known"), [((), True), ((2,), False), ((0, 1), False), ((5,), False)])
def test_funding_is_known_only_without_a_missing_settlement(missing, known):
    times = settlements(48).filter(~pl.Series(range(6)).is_in(list(missing)))
    clean, report = validate(bars(48 * 60), funding=times, instrument=PERP)
    assert clean.funding_known is known
    assert report.counts["settlements"] == clean.funding.height == 6 - len(missing)
    paid = len([one for one in missing if one > 0])  # nothing is held yet at the first of all
    assert report.counts["settlements_missing"] == paid
    assert (clean.funding_holes["end_ms"] - clean.funding_holes["start_ms"]).sum() == paid * 8 * HOUR_MS


def test_a_perpetual_without_settlements_or_bars_has_unknown_funding():
    assert not validate(bars(600), instrument=PERP)[0].funding_known
    assert not validate(empty(BAR_SCHEMA), funding=settlements(24), instrument=PERP, end=START)[0].funding_known


def test_spot_needs_no_funding():
    clean, _ = validate(bars(10), funding=settlements(24))
    assert clean.funding.is_empty()
    assert clean.funding_known


def test_settlements_after_the_cut_off_are_not_taken():
    clean, _ = validate(bars(60), funding=settlements(24), instrument=PERP)
    assert clean.funding["funding_time"].to_list() == [START]


def test_settlements_that_are_unusable_or_doubled_are_counted():
    good = settlements(48)
    bad = good.slice(1, 2).with_columns(rate=pl.Series([math.nan, math.inf]))
    again = good.slice(3, 1).with_columns(pl.col("funding_time") + 16, rate=pl.lit(2e-4))
    clean, report = validate(bars(48 * 60), funding=pl.concat([good, bad, again]), instrument=PERP)
    counted = [report.counts[f"settlements{name}"] for name in ("", "_unusable", "_doubled", "_missing")]
    assert counted == [6, 2, 1, 0]
    assert clean.funding["rate"].to_list() == [1e-4, 1e-4, 1e-4, 2e-4, 1e-4, 1e-4]
    assert validate(bars(600), instrument=PERP)[1].counts["settlements_missing"] == 1
    assert validate(bars(600))[1].counts["settlements_missing"] == 0


def first_day(ratio, at=0, volume=5.0):
    """Minutes of a listing that begins inside the window; the bar `at` opens at a price of no market."""
    here = pl.int_range(pl.len()) == at
    return bars(600, start=START + 60 * MINUTE_MS).with_columns(
        open=pl.when(here).then(pl.col("close") / ratio).otherwise(pl.col("open")),
        low=pl.when(here).then(pl.col("close") / ratio).otherwise(pl.col("low")),
        volume=pl.when(here).then(volume).otherwise(pl.col("volume")),
    )


def test_the_fictitious_open_of_a_listing_is_an_outlier_kept_and_listed():
    clean, report = validate(first_day(98.0), end=START + 700 * MINUTE_MS)
    assert clean.frame["flags"].to_list() == [OUTLIER] + [0] * 599
    assert clean.frame["open"][0] == pytest.approx(100 / 98)
    assert (report.counts["listing"], report.cut) == (1, 0)
    assert ("listing", "flagged", 1) in kinds(report)
    assert ("outlier", "flagged", 1) not in kinds(report)


def test_a_window_that_begins_in_mid_life_has_no_first_day():
    raw = first_day(98.0).with_columns(pl.col("open_time") - 60 * MINUTE_MS)
    clean, report = validate(raw)
    assert clean.frame["flags"].sum() == report.counts["listing"] == 0


def test_a_crash_on_a_listings_first_day_stays_a_panic():
    clean, report = validate(first_day(4.0, at=500, volume=500.0), end=START + 700 * MINUTE_MS)
    assert clean.frame["flags"][500] == PANIC
    assert report.counts["listing"] == 1


def test_the_hash_of_a_window_stays_what_it_was_in_earlier_versions():
    raw = flat(bars(600), 200, 19).filter(~pl.Series(range(600)).is_in([40, 41, 42, *range(300, 340)]))
    clean, _ = validate(raw, end=START + 600 * MINUTE_MS)
    assert clean.data_hash == GOLDEN
