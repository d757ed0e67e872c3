"""CPU of all ridge models of a pair: one pass of Gram matrices against one scikit-learn pipeline per fold, engine and
regime.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/ridge.py [--days 120] [--interval-minutes 60] [--engines
    8]

Both sides get the same clipped features, labels, weights and windows. scikit-learn is timed on every `--every`-th day
and scaled up; ours on all of them, forecasts included. Prints one JSON object; fails below 20 x or above 1e-8.
"""

# ruff: noqa: E402 - threads are fixed before numpy loads its BLAS
import argparse
import json
import os
import sys
import time

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from huracan.domain.recipe import TrainingPolicy
from huracan.domain.time import DAY_MS, Horizon
from huracan.training.design import Design, Labels
from huracan.training.engines import ENGINES
from huracan.training.folds import NEVER, closing_days, refit_starts
from huracan.training.linear import fit_linear_folds

FIRST_DAY = 20454


def synthetic(days: int, interval_minutes: int, rules: TrainingPolicy) -> tuple[Design, Labels]:
    """A pair of noise with a weak planted edge; hourly labels."""
    rng = np.random.default_rng(0)
    names = tuple(dict.fromkeys(name for spec in ENGINES.values() for name in spec.wants))
    names = (*names, "regime") if "sigma_day_bps" in names else (*names, "sigma_day_bps", "regime")
    step = interval_minutes * 60_000
    n = days * DAY_MS // step
    when = FIRST_DAY * DAY_MS + np.arange(n, dtype=np.int64) * step
    x = rng.normal(size=(n, len(names)))
    for row in range(1, n):
        x[row] = 0.95 * x[row - 1] + 0.3 * x[row]
    x[:, names.index("regime")] = np.digitize(x[:, names.index("regime")], (-1.0, 0.4, 1.4))
    day = when // DAY_MS
    first_test, last = FIRST_DAY + rules.first_window_days, int(day[-1])
    starts = refit_starts(first_test, last + 1, 30)
    design = Design(
        names=names,
        dropped=(),
        decision_time=when,
        day=day,
        x=x,
        usable=np.ones(n, dtype=bool),
        regime=x[:, names.index("regime")].astype(np.int64),
        has_regime=True,
        sigma_day_bps=np.full(n, 400.0),
        clip_starts=starts,
        clip_low=np.full((starts.size, len(names)), -2.5),
        clip_high=np.full((starts.size, len(names)), 2.5),
        first_test_day=first_test,
        last_day=last,
        live_day=last + 1,
        cutoff_ms=int(when[-1]),
    )
    end = when + 3_660_000
    known = end <= when[-1]
    labels = Labels(
        y=np.where(known, 2.0 * x[:, 0] + rng.standard_t(4, size=n) * 60, 0.0),
        weight=np.where(known, interval_minutes / 60, 0.0),
        start_ms=np.where(known, when + 60_000, NEVER),
        closed_ms=np.where(known, end, NEVER),
    )
    return design, labels


def scikit_learn(
    design: Design, labels: Labels, columns: np.ndarray, day: int, rules: TrainingPolicy
) -> tuple[np.ndarray, np.ndarray, float, int]:
    """Slopes (4, k), intercepts (4,), CPU seconds and fits of one fold and engine."""
    x = design.clipped(columns)
    closing = closing_days(labels.closed_ms)
    slopes, constant, fits = np.zeros((4, columns.size)), np.zeros(4), 0
    began = time.process_time()
    window = (closing <= day) & (closing > day - rules.lookback_days) & (labels.weight > 0)
    pooled = None
    for regime in range(4):
        rows = window & (design.regime == regime)
        if labels.weight[rows].sum() < rules.min_regime_rows:
            rows = window
        if rows is window and pooled is not None:
            slopes[regime], constant[regime] = pooled
            continue
        model = make_pipeline(StandardScaler(), Ridge(alpha=rules.pair_prior_rows))
        w = labels.weight[rows]
        model.fit(x[rows], labels.y[rows], standardscaler__sample_weight=w, ridge__sample_weight=w)
        fits += 1
        scaler, ridge = model[0], model[1]
        slopes[regime] = ridge.coef_ / scaler.scale_
        constant[regime] = -slopes[regime] @ scaler.mean_
        if rows is window:
            pooled = (slopes[regime].copy(), constant[regime])
    return slopes, constant, time.process_time() - began, fits


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=120)
    parser.add_argument("--interval-minutes", type=int, default=60)
    parser.add_argument("--engines", type=int, default=8)
    parser.add_argument("--every", type=int, default=8)
    options = parser.parse_args()
    rules = TrainingPolicy()
    design, labels = synthetic(options.days, options.interval_minutes, rules)
    ridge = [spec for spec in ENGINES.values() if spec.estimator == "ridge"][: options.engines]
    engines = {spec.name: spec.columns(design.names) for spec in ridge}
    horizon_ms = Horizon.parse("1h").ms
    fit_linear_folds(design, labels, engines, None, rules, horizon_ms=horizon_ms)  # compile
    ours, walk = [], None
    for _ in range(3):
        began = time.process_time()
        walk = fit_linear_folds(design, labels, engines, None, rules, horizon_ms=horizon_ms)
        ours.append(time.process_time() - began)
    days = range(design.first_test_day, design.last_day + 1)
    asked = [*days[:: options.every], design.live_day]
    theirs, fits, worst = 0.0, 0, 0.0
    for position, columns in enumerate(engines.values()):
        index = design.columns(columns)
        place = [walk.names.index(name) for name in columns]
        for day in asked:
            slopes, constant, cpu, count = scikit_learn(design, labels, index, day, rules)
            if day == design.live_day:
                worst = max(worst, np.abs(walk.coef[position][:, place] / slopes - 1).max())
                continue
            theirs, fits = theirs + cpu, fits + count
            rows = np.flatnonzero(design.day == day)
            regime = design.regime[rows]
            slow = (design.clipped(index)[rows] * slopes[regime]).sum(axis=1) + constant[regime]
            worst = max(worst, np.abs(walk.forecasts[rows, position] - slow).max() / np.abs(slow).max())
    scale = len(days) / (len(asked) - 1)
    result = {
        "rows": int(design.day.size),
        "columns": len(walk.names),
        "folds": len(days) + 1,
        "engines": len(engines),
        "ours_cpu_s": round(min(ours), 4),
        "scikit_learn_fits": round(fits * scale),
        "scikit_learn_cpu_s": round(theirs * scale, 3),
        "ratio": round(theirs * scale / min(ours), 1),
        "largest_relative_difference": float(f"{worst:.2g}"),
    }
    print(json.dumps(result))
    return int(result["ratio"] < 20 or worst > 1e-8)


if __name__ == "__main__":
    sys.exit(main())
