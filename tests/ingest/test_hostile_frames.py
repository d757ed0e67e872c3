"""R12: whatever is wrong with a frame is repaired and flagged or dropped and counted, and no NaN reaches a feature or a label."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sizes import size

from huracan.domain.frames import BAR_SCHEMA, FUNDING_SCHEMA, REPAIRED, empty
from huracan.domain.ids import Instrument
from huracan.domain.time import DAY_MS, MINUTE_MS, Horizon
from huracan.features import build_features
from huracan.ingest import IngestConfig, validate_bars
from huracan.labels import label_forward_returns

START = 20_000 * DAY_MS
SPOT = Instrument(market="spot", symbol="SOLUSDT", base="SOL", quote="USDT", coin="SOL")
BARS = {1: 4700, 5: 1000}
"""Bars by minutes of a bar: a little more than the longest window of a feature, three days."""
COLUMNS = tuple(BAR_SCHEMA)
PRICES, SIZES = COLUMNS[1:5], COLUMNS[5:]
VALUES = (math.nan, math.inf, -math.inf, None, 0.0, -1.0, -0.0, 1e-300, 1e300, 5.0)
HOUR = Horizon.parse("1h")


def plain(minutes):
    """A walk without a fault, every column filled."""
    n, rng = BARS[minutes], np.random.default_rng(minutes)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0, 1e-3, n)))
    opened = np.concatenate([[100.0], close[:-1]])
    volume = rng.gamma(2.0, 5.0, n)
    rows = {
        "open_time": START + np.arange(n, dtype=np.int64) * minutes * MINUTE_MS,
        "open": opened,
        "high": np.maximum(opened, close) * 1.0003,
        "low": np.minimum(opened, close) / 1.0003,
        "close": close,
        "volume": volume,
    }
    return {**rows, **dict.fromkeys(SIZES[1:], volume * 0.4)}


PLAIN = {minutes: plain(minutes) for minutes in BARS}

FAULTS = st.lists(
    st.tuples(
        st.sampled_from(
            (
                "gap",
                "double",
                "conflict",
                "reverse",
                "late",
                "value",
                "value",
                "values",
                "off",
                "outside",
                "timeless",
                "silent",
                "wick",
            )
        ),
        st.floats(0, 0.999),  # where, as a share of the frame
        st.integers(1, 70),  # how many rows
        st.sampled_from(COLUMNS[1:]),
        st.sampled_from(VALUES),
    ),
    max_size=10,
)


def broken(minutes, faults):
    """The walk with its faults, as raw rows in the order they came."""
    rows = {name: values.copy() for name, values in PLAIN[minutes].items()}
    order = np.arange(BARS[minutes])
    nulls = []
    for kind, where, count, column, value in faults:
        if order.size < 2:
            break
        at = int(where * order.size)
        span = slice(at, at + count)
        if kind == "gap":
            order = np.delete(order, span)
        elif kind == "double":
            order = np.insert(order, at, order[span][:5])
        elif kind == "reverse":
            order[span] = order[span][::-1]
        elif kind == "late":
            order = np.concatenate([np.delete(order, at), order[at : at + 1]])
        elif kind == "conflict":
            rows = {name: np.append(values, values[order[at]]) for name, values in rows.items()}
            rows["close"][-1] = rows["low"][-1]
            order = np.append(order, rows["close"].size - 1)
        elif kind in {"value", "values"}:
            touched = order[span] if kind == "values" else order[at : at + 1]
            if value is None:
                nulls += [(column, row) for row in touched]
            else:
                rows[column][touched] = value
        elif kind == "off":
            rows["open_time"][order[at]] += 17
        elif kind == "outside":
            rows["open_time"][order[at]] += (-1) ** count * 400 * DAY_MS
        elif kind == "timeless":
            nulls.append(("open_time", order[at]))
        elif kind == "silent":
            still = rows["close"][order[at]]
            for name in PRICES:
                rows[name][order[span]] = still
            for name in SIZES:
                rows[name][order[span]] = 0.0
        else:
            rows["low"][order[at]] *= 0.2
    frame = pl.DataFrame(rows, schema=BAR_SCHEMA)
    for column in {name for name, _ in nulls}:
        gone = [int(row) for name, row in nulls if name == column]
        frame = frame.with_columns(frame[column].scatter(gone, None))
    return frame[order.tolist()]


def judged(raw, minutes):
    """Independent reading: which rows may pass alone, and of those the fullest (of equal ones the last) as {time: close}."""
    values = {name: raw[name].cast(pl.Float64).fill_null(math.nan).to_numpy() for name in COLUMNS[1:]}
    null = {name: raw[name].is_null().to_numpy() for name in COLUMNS}
    times = raw["open_time"].fill_null(-1).to_numpy()
    step = minutes * MINUTE_MS
    good = ~null["open_time"] & (times % step == 0) & (times >= START) & (times < START + BARS[minutes] * step)
    for name in (*PRICES, "volume"):
        good &= np.isfinite(values[name])
    for name in SIZES[1:]:
        good &= np.isfinite(values[name]) | null[name]
        good &= ~(values[name] < 0)
    for name in PRICES:
        good &= values[name] > 0
    good &= values["volume"] >= 0
    for name in ("open", "close"):
        good &= (values["low"] <= values[name]) & (values[name] <= values["high"])
    kept = {}
    for row in np.flatnonzero(good).tolist():
        trades, volume = values["trades"][row], values["volume"][row]
        full = (-1.0 if math.isnan(trades) else trades, volume)
        if full >= kept.get(times[row], ((-math.inf,), 0))[0]:
            kept[times[row]] = full, values["close"][row]
    return good, {int(time): float(close) for time, (_, close) in kept.items()}


def check_counts(raw, minutes, bars, report):
    """Every row is accounted for, and what comes out is what should."""
    good, last = judged(raw, minutes)
    frame, counts = bars.frame, report.counts
    first = frame["open_time"][0] if frame.height else 1 << 62
    earlier = sum(time < first for time in last)
    assert report.rows_in == raw.height
    assert report.cut == int((~good).sum()) + earlier
    assert (earlier > 0) == (counts["earlier_listings"] > 0)
    assert counts["duplicates"] == int(good.sum()) - len(last)
    assert report.rows_in + report.repaired - report.cut - counts["duplicates"] == report.rows_out == frame.height
    ours = frame["flags"].to_numpy() & REPAIRED != 0
    assert int(ours.sum()) == report.repaired
    real = frame.filter(~pl.Series(ours, dtype=pl.Boolean))
    assert dict(zip(real["open_time"], real["close"], strict=True)) == {t: c for t, c in last.items() if t >= first}
    filled = frame.filter(pl.Series(ours, dtype=pl.Boolean))
    assert not filled["volume"].sum()
    missing = frame["open_time"].diff().drop_nulls().to_numpy() // (minutes * MINUTE_MS) - 1
    assert (int((missing > 0).sum()), int(missing.sum())) == (counts["holes"], counts["hole_bars"])
    assert sum(bars_missing for _, bars_missing in report.gaps) == report.repaired + counts["hole_bars"]


def check_learned(bars):
    """No NaN in what a model would learn from; returns how many rows it could learn from."""
    for name in COLUMNS[1:]:
        assert bars.frame[name].drop_nulls().is_finite().all()
    if bars.frame.is_empty():
        return 0
    features = build_features(bars, None)
    valid = features.frame.filter("valid")
    for name in features.names:
        column = valid[name]
        assert column.null_count() == 0
        assert column.is_finite().all(), name
    labels = label_forward_returns(bars, features.frame["decision_time"].to_numpy(), HOUR).frame
    for name in ("fill_price", "exit_price", "forward_bps", "weight"):
        assert labels[name].drop_nulls().is_finite().all(), name
    known = labels.filter(pl.col("forward_bps").is_not_null())
    assert (known["fill_price"] > 0).all()
    assert (known["exit_price"] > 0).all()
    real = set(bars.frame.filter(pl.col("flags") & REPAIRED == 0)["open_time"])
    assert set(known["fill_time"]) | set(known["exit_time"]) <= real
    return int((features.frame["valid"] & labels["forward_bps"].is_not_null()).sum())


@pytest.mark.slow
@pytest.mark.guarantee("R12")
def test_what_is_wrong_is_repaired_or_dropped_and_counted_and_nothing_learned_is_nan(counted):
    learned = 0
    cases = size(150, 50_000)

    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(st.sampled_from(tuple(BARS)), FAULTS)
    def one(minutes, faults):
        nonlocal learned
        raw = broken(minutes, faults)
        end = START + BARS[minutes] * minutes * MINUTE_MS
        config = IngestConfig(interval_ms=minutes * MINUTE_MS)
        bars, report = validate_bars(
            SPOT, raw, empty(FUNDING_SCHEMA), config, start_ms=START, end_ms=end, vendor="binance"
        )
        check_counts(raw, minutes, bars, report)
        learned += check_learned(bars) > 0
        counted()

    one()
    # Frames that still teach something: otherwise nothing would be shown about features and labels.
    assert learned > cases // 2
