"""CPU of step 5 with the `boosted` recipe against the CPU LightGBM itself spends, in one run.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/lightgbm_share.py [--pairs 4] [--days 120] [--horizons
    1h,4h,1d]

As in a night, all horizons of a pair share one design. "inside" is binning, the setting up of boosters and boosting
(every call into LightGBM that FreqAI's `fit` makes too); "boosting" is `Booster.update` alone. Prints one JSON object.
The bar is 1.10 (1.15 at 12 fits a pair); `--limit` only guards against getting slower than what is measured today,
since forests this small (25 ms a fit) leave little to hide the fixed cost of a pair behind.
"""

# ruff: noqa: E402 - threads are fixed before numpy loads its BLAS
import argparse
import json
import os
import sys
import time
from collections import Counter
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import lightgbm
import numpy as np
import polars as pl

from huracan.domain.frames import FeatureFrame, LabelledSet
from huracan.domain.ids import Instrument
from huracan.domain.time import DAY_MS, HOUR_MS, Horizon
from huracan.features import ALL_NAMES, RECIPE_ID
from huracan.training import built_in_recipes, fit_pair, prepare

FIRST_DAY = 20454


def synthetic(seed: int, days: int, horizons: list[str]) -> tuple[FeatureFrame, list[LabelledSet], int]:
    """Features and labels of a pair without any edge, hourly decisions."""
    rng = np.random.default_rng(seed)
    n = days * 24
    when = FIRST_DAY * DAY_MS + np.arange(n, dtype=np.int64) * HOUR_MS
    x = rng.normal(size=(n, len(ALL_NAMES)))
    for row in range(1, n):
        x[row] = 0.95 * x[row - 1] + 0.3 * x[row]
    columns = dict(zip(ALL_NAMES, x.T, strict=True))
    columns["sigma_day_bps"] = 400 * np.exp(0.2 * columns["sigma_day_bps"])
    columns["regime"] = np.digitize(columns["regime"], (-1.0, 0.4, 1.4)).astype(float)
    side = {"spread_bps": np.full(n, 2.0), "volume_day_quote": np.full(n, 1e8), "valid": np.arange(n) >= 72}
    features = FeatureFrame(
        instrument=Instrument(market="um", symbol="SOLUSDT", base="SOL", quote="USDT"),
        recipe_id=RECIPE_ID,
        names=ALL_NAMES,
        absent=(),
        frame=pl.DataFrame({"decision_time": when, **columns, **side}),
    )
    walk = np.concatenate(([0.0], np.cumsum(rng.standard_t(4, size=n + 200) * 60)))
    return features, [_labels(when, walk, Horizon.parse(text)) for text in horizons], int(when[-1])


def _labels(when: np.ndarray, walk: np.ndarray, horizon: Horizon) -> LabelledSet:
    steps, n = horizon.minutes // 60, when.size
    end = when + 60_000 + horizon.ms
    known = end <= when[-1]

    def closed(values: np.ndarray) -> pl.Series:
        return pl.Series(values).scatter(np.flatnonzero(~known), None)

    frame = pl.DataFrame(
        {
            "decision_time": when,
            "fill_time": when + 60_000,
            "label_end": end,
            "exit_time": closed(end),
            "fill_price": np.full(n, 100.0),
            "exit_price": closed(np.full(n, 100.0)),
            "forward_bps": closed(walk[steps : steps + n] - walk[:n]),
            "weight": closed(np.full(n, 1.0 / steps)),
        }
    )
    return LabelledSet(horizon=horizon, frame=frame)


def metered(owner: Any, name: str, spent: Counter[str], key: str) -> None:
    """Count the CPU of a method, nested calls once."""
    inner = getattr(owner, name)

    def timed(*args: Any, **kwargs: Any) -> Any:
        if spent["depth"]:
            return inner(*args, **kwargs)
        spent["depth"] += 1
        began = time.process_time()
        try:
            return inner(*args, **kwargs)
        finally:
            spent[key] += time.process_time() - began
            spent[f"{key}_calls"] += 1
            spent["depth"] -= 1

    setattr(owner, name, timed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--days", type=int, default=120)
    parser.add_argument("--horizons", default="1h,4h,1d")
    parser.add_argument("--limit", type=float, default=1.5)
    options = parser.parse_args()
    horizons = options.horizons.split(",")
    recipe = built_in_recipes(["boosted"], feature_recipe=RECIPE_ID)[0]
    pairs = [synthetic(seed, options.days, horizons) for seed in range(options.pairs + 1)]
    spent: Counter[str] = Counter()
    metered(lightgbm.Booster, "update", spent, "boosting")
    metered(lightgbm.Booster, "__init__", spent, "setup")
    metered(lightgbm.Dataset, "construct", spent, "binning")
    total = 0.0
    for number, (features, labelled, cutoff_ms) in enumerate(pairs):
        if number == 1:  # the first pair compiles
            spent.clear()
            total = 0.0
        began = time.process_time()
        design = prepare(features, recipe.training, cutoff_ms=cutoff_ms)
        for labels in labelled:
            fit_pair(features, labels, recipe, None, cutoff_ms=cutoff_ms, seed=number, design=design)
        total += time.process_time() - began
    fits = spent["setup_calls"]
    inside = spent["boosting"] + spent["setup"] + spent["binning"]
    result = {
        "pairs": options.pairs,
        "rows": options.days * 24,
        "columns": len(ALL_NAMES),
        "horizons": horizons,
        "fits_a_pair": fits / options.pairs,
        "fit_pair_cpu_s": round(total, 3),
        "inside_lightgbm_cpu_s": round(inside, 3),
        "boosting_cpu_s": round(spent["boosting"], 3),
        "ratio_inside": round(total / inside, 3),
        "ratio_boosting": round(total / spent["boosting"], 3),
        "bar": 1.10,
        "cpu_ms_a_fit": round(total / fits * 1e3, 1),
        "sixteen_pairs_cpu_s": round(total / options.pairs * 16, 1),
    }
    print(json.dumps(result))
    return int(result["ratio_inside"] > options.limit)


if __name__ == "__main__":
    sys.exit(main())
