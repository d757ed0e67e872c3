"""Small champions and a small published world; used by the tests of export, publishers and hamilton."""

from pathlib import Path

import numpy as np

from huracan.adapters.keys import init_keys, install_trusted_root
from huracan.adapters.publishers.folder import FolderStore
from huracan.adapters.publishers.sets import SetRun, publish_set
from huracan.domain.bundle import REPORT_FILES, RankRow
from huracan.domain.model import ChampionModel, DecisionParameters, TreeArrays
from huracan.export import BundleFiles, Provenance, build_manifest, bundle_files, golden_rows
from huracan.hamilton import HamiltonInterface

NOW = 1_800_000_000_000
HOUR = 3_600_000
CUTOFF = NOW - 2 * HOUR
NAMES = ("momentum", "flow", "range_position", "sigma_day_bps", "regime")
MINUTES = {"1h": 60, "4h": 240, "1d": 1440}


def forest(rng, p, trees=3, depth=3):
    """A forest of full random trees."""
    feature, threshold, left, right, leaves, roots = [], [], [], [], [], []
    for _ in range(trees):
        start, first_leaf, nodes = len(feature), len(leaves), 2**depth - 1
        roots.append(start)
        for node in range(nodes):
            feature.append(int(rng.integers(p)))
            threshold.append(float(rng.normal()))
            for side, child in ((left, 2 * node + 1), (right, 2 * node + 2)):
                side.append(start + child if child < nodes else ~(first_leaf + child - nodes))
        leaves += list(rng.normal(size=nodes + 1) * 5)
    return TreeArrays(
        feature=np.array(feature, dtype=np.int64),
        threshold=np.array(threshold),
        left=np.array(left, dtype=np.int64),
        right=np.array(right, dtype=np.int64),
        leaf_value=np.array(leaves),
        roots=np.array(roots, dtype=np.int64),
    )


def decision(horizon="1h", **changes):
    values = {
        "horizon_minutes": MINUTES[horizon],
        "threshold": 0.05,
        "cost_bps": 8.0,
        "min_edge_after_cost_bps": 1.0,
        "entry_cost_multiple": 1.2,
        "min_confidence": 0.5,
        "per_trade_risk": 0.005,
        "leverage_cap": 2.0,
        "sigma_floor_day_bps": 400.0,
        "largest_position": 0.3,
        "correlation_penalty": 0.2,
        "correlation_penalty_weight": 0.3,
        "allow_short": True,
    }
    return DecisionParameters(**{**values, **changes})


def model(seed=0, *, engines=3, trees=1, names=NAMES, horizon="1h", drift=0.0, **changes):
    """A random champion; the last `trees` engines are forests. `drift` shifts every intercept, bps."""
    rng = np.random.default_rng(seed)
    p = len(names)
    coef = rng.normal(size=(engines, 4, p)) * 30
    if "sigma_day_bps" in names:
        coef[:, :, names.index("sigma_day_bps")] = 0.0
    intercept = rng.normal(size=(engines, 4)) * 10 + drift
    tree_of = np.full(engines, -1, dtype=np.int64)
    for number in range(trees):
        tree_of[engines - trees + number] = number
        coef[engines - trees + number] = 0.0
        intercept[engines - trees + number] = 0.0
    weight = rng.random(engines)
    return ChampionModel(
        feature_names=names,
        engines=tuple(f"engine{number}" for number in range(engines)),
        coef=coef,
        intercept=intercept,
        clip_low=np.full(p, -1e4),
        clip_high=np.full(p, 1e4),
        enabled=np.where(rng.random((engines, 4)) < 0.9, 1, 0).astype(np.int64),
        slope=rng.random(engines),
        weight=weight / weight.sum(),
        tree_of=tree_of,
        forests=tuple(forest(rng, p) for _ in range(trees)),
        decision=decision(horizon, **changes),
    )


def rows(n=20, seed=1, names=NAMES):
    """Feature rows (n, p) with a regime column of codes."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, len(names)))
    if "regime" in names:
        x[:, names.index("regime")] = rng.integers(0, 4, n)
    if "sigma_day_bps" in names:
        x[:, names.index("sigma_day_bps")] = rng.uniform(200, 900, n)
    return x


def features(seed=1, names=NAMES):
    return dict(zip(names, rows(1, seed, names)[0].tolist(), strict=True))


def bundle(
    coin="BTC", horizon="1h", *, status="champion", seed=0, edge=5.0, evidence=None, of=None, cutoff=CUTOFF, **changes
):
    """A bundle ready to publish; another `seed` is another content."""
    champion = of or model(seed, horizon=horizon, **changes)
    files = bundle_files(
        champion,
        golden=golden_rows(champion, rows(names=champion.feature_names)),
        recipe={"name": "linear"},
        reports={name: {"of": coin} for name in REPORT_FILES},
    )
    facts = Provenance(
        coin=coin,
        horizon=horizon,
        instrument=f"{coin}USDT-um",
        status=status,
        window_start_ms=cutoff - 150 * 24 * HOUR,
        window_end_ms=cutoff,
        data_cutoff_ms=cutoff,
        features_hash="f",
        code_hash="c",
        config_hash="g",
        data_hash="d",
        recipe_id="linear-0123",
        seed=seed,
        metrics={
            "net_edge_bps": edge,
            "confidence": 0.7,
            "sharpe_ratio": 1.2,
            "hit_rate": 0.55,
            "capacity_estimate": 1e6,
        },
        evidence=evidence or {"e_value": 130.0, "nights_missing": 0},
    )
    row = RankRow(coin=coin, horizon=horizon, regime="trend", net_edge_bps=edge, confidence=0.7, capacity_estimate=1e6)
    return BundleFiles(manifest=build_manifest(facts, files), files=files, ranking=(row,))


class World:
    """A store, keys, a trusted root and a clock in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "store"
        self.trusted = folder / "trust" / "root.json"
        self.now = NOW
        self.keys = init_keys(folder / "keys", None, wall_clock_ms=NOW)
        install_trusted_root(self.keys, self.trusted)
        self.store = FolderStore(self.root)

    def publish(self, *bundles, publisher=None, extras=None, **more):
        facts = SetRun(run_id=f"run-{self.now}", data_cutoff_ms=CUTOFF, extras=extras or {})
        return publish_set(publisher or self.store, self.keys, list(bundles), facts, wall_clock_ms=self.now, **more)

    def hamilton(self, **more):
        options = {"trusted_root": self.trusted, "state_dir": self.folder / "state", "now_ms": lambda: self.now}
        return HamiltonInterface(self.root, **{**options, **more})
