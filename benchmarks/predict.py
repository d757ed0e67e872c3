"""Hamilton's whole `predict` call (dict in, result out) beside LightGBM's `Booster.predict`, one row, one thread.

    python benchmarks/predict.py [--calls 20000] [--rounds 5]

States 60 features, 8 engines, 80 trees of 15 leaves a tree engine, one core. Percentiles are those of the best round of
each side, because the machine is shared. Limits: p99 <= 30 us, + 10 us per tree engine beyond the first; 500 linear
champions <= 25 ms. Ends with 1 when a limit is missed.
"""

import argparse
import dataclasses
import gc
import sys
import tempfile
import time
from pathlib import Path

import lightgbm
import numpy as np

from huracan.adapters.keys import init_keys, install_trusted_root
from huracan.adapters.publishers.folder import FolderStore
from huracan.adapters.publishers.sets import SetRun, publish_set
from huracan.domain.bundle import REPORT_FILES
from huracan.domain.model import ChampionModel, DecisionParameters, TreeArrays
from huracan.export import BundleFiles, Provenance, build_manifest, bundle_files, golden_rows
from huracan.hamilton import HamiltonInterface

FEATURES, ENGINES, TREES, LEAVES = 60, 8, 80, 15
NAMES = (*(f"feature_{number}" for number in range(FEATURES - 2)), "sigma_day_bps", "regime")
NOW = 1_800_000_000_000


def booster(rng):
    x = rng.normal(size=(4000, FEATURES))
    y = x[:, 0] * 3 + np.sin(x[:, 1] * 2) + rng.normal(size=4000)
    parameters = {"num_leaves": LEAVES, "max_bin": 63, "num_threads": 1, "verbose": -1, "min_data_in_leaf": 20}
    return lightgbm.train(parameters, lightgbm.Dataset(x, y), num_boost_round=TREES)


def forest(model):
    """The booster's trees as flat arrays (the test of the training room compares them to the booster)."""
    arrays = {name: [] for name in ("feature", "threshold", "left", "right", "leaf_value", "roots")}

    def walk(node):
        if "leaf_value" in node:
            arrays["leaf_value"].append(node["leaf_value"])
            return ~(len(arrays["leaf_value"]) - 1)
        number = len(arrays["feature"])
        arrays["feature"].append(node["split_feature"])
        arrays["threshold"].append(node["threshold"])
        arrays["left"].append(0)
        arrays["right"].append(0)
        arrays["left"][number] = walk(node["left_child"])
        arrays["right"][number] = walk(node["right_child"])
        return number

    for tree in model.dump_model()["tree_info"]:
        arrays["roots"].append(walk(tree["tree_structure"]))
    kinds = {"threshold": np.float64, "leaf_value": np.float64}
    return TreeArrays(**{name: np.array(values, dtype=kinds.get(name, np.int64)) for name, values in arrays.items()})


def champion(rng, trees, arrays):
    coef = rng.normal(size=(ENGINES, 4, FEATURES))
    coef[ENGINES - trees :] = 0.0
    tree_of = np.full(ENGINES, -1, dtype=np.int64)
    tree_of[ENGINES - trees :] = np.arange(trees)
    return ChampionModel(
        feature_names=NAMES,
        engines=tuple(f"engine_{number}" for number in range(ENGINES)),
        coef=coef,
        intercept=np.zeros((ENGINES, 4)),
        clip_low=np.full(FEATURES, -3.0),
        clip_high=np.full(FEATURES, 3.0),
        enabled=np.ones((ENGINES, 4), dtype=np.int64),
        slope=np.full(ENGINES, 0.25),
        weight=np.full(ENGINES, 1 / ENGINES),
        tree_of=tree_of,
        forests=(arrays,) * trees,
        decision=DecisionParameters(
            horizon_minutes=60,
            threshold=0.1,
            cost_bps=8.0,
            min_edge_after_cost_bps=1.0,
            entry_cost_multiple=1.5,
            min_confidence=0.5,
            per_trade_risk=0.005,
            leverage_cap=2.0,
            sigma_floor_day_bps=400.0,
            largest_position=0.3,
            correlation_penalty=0.2,
            correlation_penalty_weight=0.3,
            allow_short=True,
        ),
    )


def rows(rng, count):
    x = rng.normal(size=(count, FEATURES))
    x[:, -2], x[:, -1] = 500.0, rng.integers(0, 4, count)
    return x


def as_bundle(coin, model, x):
    golden = golden_rows(model, x)
    files = bundle_files(model, golden=golden, recipe={}, reports=dict.fromkeys(REPORT_FILES, b"{}"))
    facts = Provenance(
        coin=coin,
        horizon="1h",
        instrument=f"{coin}USDT-um",
        status="champion",
        window_start_ms=0,
        window_end_ms=NOW,
        data_cutoff_ms=NOW,
        features_hash="",
        code_hash="",
        config_hash="",
        data_hash="",
        recipe_id="bench",
        seed=0,
        metrics={},
        evidence={},
    )
    return BundleFiles(manifest=build_manifest(facts, files), files=files)


def percentiles(call, calls, rounds, clock=time.perf_counter_ns):
    """p50 and p99 in us, each the best of the rounds."""
    best = np.full(2, np.inf)
    for _ in range(rounds):
        times = np.empty(calls)
        gc.collect()
        for number in range(calls):
            start = clock()
            call()
            times[number] = clock() - start
        best = np.minimum(best, np.percentile(times, (50, 99)) / 1e3)
    return best


def published(folder, rng, arrays, linear):
    """A store with a champion of 0, 1 and 3 tree engines, and many linear ones."""
    x = rows(rng, 8)
    bundles = [as_bundle(f"TREES{trees}", champion(rng, trees, arrays), x) for trees in (0, 1, 3)]
    base = as_bundle("LINEAR", champion(rng, 0, arrays), x)
    for number in range(linear):
        manifest = base.manifest.model_copy(update={"coin": f"COIN{number}", "instrument": f"COIN{number}USDT-um"})
        bundles.append(dataclasses.replace(base, manifest=manifest))
    keys = init_keys(folder / "keys", None, wall_clock_ms=NOW)
    install_trusted_root(keys, folder / "root.json")
    with FolderStore(folder / "store") as store:
        facts = SetRun(run_id="bench", data_cutoff_ms=NOW)
        publish_set(store, keys, bundles, facts, wall_clock_ms=NOW)
    return HamiltonInterface(
        folder / "store", trusted_root=folder / "root.json", state_dir=folder / "state", now_ms=lambda: NOW
    )


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--calls", type=int, default=20_000)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--champions", type=int, default=500)
    options = arguments.parse_args()
    rng = np.random.default_rng(0)
    native = booster(rng)
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        hamilton = published(Path(folder), rng, forest(native), options.champions)
        row = rows(rng, 1)
        features = dict(zip(NAMES, row[0].tolist(), strict=True))
        p50, p99 = percentiles(lambda: native.predict(row), options.calls // 4, options.rounds)
        print(f"{FEATURES} features, {ENGINES} engines, {TREES} trees x {LEAVES} leaves, 1 core; us per call")
        print(f"{'LightGBM Booster.predict, one model':44}  p50 {p50:7.1f}  p99 {p99:7.1f}")
        for trees, limit in ((0, 30.0), (1, 30.0), (3, 50.0)):
            call = lambda coin=f"TREES{trees}": hamilton.predict(coin, "1h", features)  # noqa: E731
            p50, p99 = percentiles(call, options.calls, options.rounds)
            verdict = "ok" if p99 <= limit else "MISSED"
            failed |= p99 > limit
            name = f"Hamilton predict, {ENGINES} engines, {trees} of them trees"
            print(f"{name:44}  p50 {p50:7.1f}  p99 {p99:7.1f}  limit {limit:.0f}: {verdict}")
        coins = [f"COIN{number}" for number in range(options.champions)]
        for coin in coins:
            hamilton.predict(coin, "1h", features)
        best = np.inf
        for _ in range(options.rounds * 4):
            start = time.perf_counter_ns()
            for coin in coins:
                hamilton.predict(coin, "1h", features)
            best = min(best, (time.perf_counter_ns() - start) / 1e6)
        limit = 25.0 * options.champions / 500
        failed |= best > limit
        print(
            f"{options.champions} linear champions: {best:.1f} ms  limit {limit:.0f}: {'ok' if best <= limit else 'MISSED'}"
        )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
