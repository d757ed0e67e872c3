"""Marks on bars that stay: silent runs, panics, outliers. Every mark is known when its bar closes."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from huracan.domain.frames import HALT, OUTLIER, PANIC
from huracan.domain.model import F64
from huracan.domain.time import MINUTE_MS
from huracan.ingest.rules import IngestRules


def mark_bars(frame: pl.DataFrame, rules: IngestRules) -> pl.DataFrame:
    """The frame with HALT, PANIC and OUTLIER added to `flags` (see IngestRules for the definitions).

    A run of silent bars is a HALT from its tenth bar on: marking the first nine would be hindsight, and features
    read this mark. PANIC and OUTLIER use the bar itself and earlier ones only.
    """
    if frame.is_empty():
        return frame
    halted = _silent_runs(frame, rules)
    extreme, busy = _extremes(frame, rules)
    flags = frame["flags"].to_numpy() + HALT * halted + PANIC * (extreme & busy) + OUTLIER * (extreme & ~busy)
    return frame.with_columns(pl.Series("flags", flags, dtype=pl.Int32))


def _silent_runs(frame: pl.DataFrame, rules: IngestRules) -> NDArray[np.bool_]:
    close = frame["close"].to_numpy()
    silent = (frame["volume"].to_numpy() == 0) & (frame["open"].to_numpy() == close)
    silent &= (frame["high"].to_numpy() == close) & (frame["low"].to_numpy() == close)
    breaks = np.ones(silent.size, dtype=bool)
    breaks[1:] = (np.diff(frame["open_time"].to_numpy()) != rules.interval_ms) | (silent[1:] != silent[:-1])
    place = np.arange(silent.size)
    start = np.maximum.accumulate(np.where(breaks, place, 0))
    halted: NDArray[np.bool_] = silent & (place - start + 1 >= rules.halt_bars)
    return halted


def _extremes(frame: pl.DataFrame, rules: IngestRules) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    log_close = np.log(frame["close"].to_numpy())
    size: F64 = np.log(frame["high"].to_numpy()) - np.log(frame["low"].to_numpy())
    adjacent = np.diff(frame["open_time"].to_numpy()) == rules.interval_ms
    size[1:] = np.maximum(size[1:], np.where(adjacent, np.abs(np.diff(log_close)), 0.0))
    volume = frame["volume"].to_numpy()
    usual = pl.DataFrame({"size": size, "volume": volume}).select(
        pl.all().rolling_mean(rules.scale_bars, min_samples=max(4, rules.scale_bars // 24)).shift(1)
    )
    usual_size, usual_volume = usual["size"].to_numpy(), usual["volume"].to_numpy()
    floor = rules.extreme_floor * (rules.interval_ms / MINUTE_MS) ** 0.5
    # A missing scale is NaN and compares false: a coin's first hour is never extreme.
    extreme = (size > rules.extreme_multiple * usual_size) & (size > floor)
    return extreme, np.asarray(volume >= usual_volume)
