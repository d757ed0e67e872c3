"""The owner's document as code: its snippets run as they stand, against a market on loopback."""

import ast
import asyncio
import os
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from nights import accounted, small_world, trust_variables, variables

from huracan.worlds.exchange import ReplayExchange

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
MODELS = Path("/models")

TRAINING = """
from src.cloud.training.training import TrainingPipeline, TrainingPipelineConfig

# Create pipeline configuration
config = TrainingPipelineConfig(
    lookback_days=150,
    horizons=["1h", "4h", "1d"],
    risk_preset="balanced",
    dry_run=False,
    min_liquidity_gbp=10000000.0,
    max_spread_bps=8.0,
    min_edge_after_cost_bps=5.0,
    training_backend="asyncio",
    max_concurrent_jobs=10,
    dropbox_access_token=os.getenv("DROPBOX_ACCESS_TOKEN"),
)

# Create pipeline
pipeline = TrainingPipeline(
    config=config,
    data_loader=data_loader_function,
    feature_builder=feature_builder_function,
    model_trainer=model_trainer_function,
)

# Run pipeline
result = await pipeline.run()

# Check results
assert result["success"] is True
assert len(result["champions"]) > 0
"""

LOADING = """
from src.cloud.training.hamilton import HamiltonInterface

hamilton = HamiltonInterface(model_base_path="/models")
model, metadata = hamilton.load_model("BTC", "1h")
"""

PREDICTING = """
features = {"feature1": 1.0, "feature2": 2.0}
prediction = hamilton.predict("BTC", "1h", features)
"""

RANKING = """
ranking_table = hamilton.get_ranking_table()
# Returns: List[RankingEntry] with coin, regime, net_edge, confidence, capacity
"""

BLOCKING = """
dnt_list = hamilton.get_do_not_trade_list()
# Returns: List of coins that fail liquidity or cost checks
"""


def execute(snippet, names):
    """Run a snippet in a namespace; returns a coroutine where it awaits something, else None."""
    return eval(compile(snippet, "SEED.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)


class Line:
    def __init__(self, coef, intercept):
        self.coef_, self.intercept_ = coef, intercept

    def predict(self, x):
        return x @ self.coef_ + self.intercept_


@pytest.fixture(scope="module")
def owner():
    """What the document leaves to its reader: a loader, a builder of feature1 and feature2, and a trainer."""
    world = small_world(name="planted")

    async def data_loader_function(coin, lookback_days):
        return world.klines(coin if "-" in coin else f"{coin}USDT-um", 0, world.now_ms)

    async def feature_builder_function(coin, data):
        bought, volume = pl.col("taker_base"), pl.col("volume")
        return data.select(
            "open_time",
            *(
                (2 * bought.rolling_sum(bars) / volume.rolling_sum(bars) - 1).alias(name)
                for name, bars in (("feature1", 4), ("feature2", 24))
            ),
        )

    def model_trainer_function(job):
        x = np.column_stack([*job["features"].values(), np.ones(len(job["labels"]))])
        root = np.sqrt(job["weights"])
        solution, *_ = np.linalg.lstsq(x * root[:, None], job["labels"] * root, rcond=None)
        return {
            "success": True,
            "model": Line(solution[:-1], 0.0),
            "metrics": {"sharpe_ratio": 1.0, "win_rate": 0.5, "edge_bps": 1.0},
            "edge_bps": 1.0,
        }

    functions = (data_loader_function, feature_builder_function, model_trainer_function)
    return world, {"os": os, **{function.__name__: function for function in functions}}


@pytest.fixture(scope="module")
def environment(tmp_path_factory, owner):
    """The exchange and every folder, by environment variables alone."""
    folder = tmp_path_factory.mktemp("usage")
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    with ReplayExchange(owner[0], stress_file=folder / "stress.json") as exchange:
        values = {
            **trust_variables(folder),
            "HURACAN_WORKDIR": str(folder / "workdir"),
            "HURACAN_BINANCE__REST_URL": exchange.urls["rest"],
            "HURACAN_BINANCE__FUTURES_URL": exchange.urls["futures"],
            "HURACAN_BINANCE__ARCHIVE_URL": exchange.urls["archive"],
            "HURACAN_PROMOTION__STRESS_TABLE": exchange.urls["stress"],
            "HURACAN_PROMOTION__INJECTED_SEEN_UNTIL": "2025-12-31",
            "HURACAN_TRAINING__BASE_INTERVAL": "15m",
            "HURACAN_TRAINING__LEAK_EXEMPT": "feature1,feature2",
        }
        with variables(values):
            yield folder


@pytest.fixture(scope="module")
def trained(environment, owner):
    """The names a reader has after the document's usage example."""
    names = dict(owner[1])
    asyncio.run(execute(TRAINING, names))
    return names


@pytest.fixture(scope="module")
def models(trained):
    """/models, where the document's reader has the store."""
    if MODELS.exists() or MODELS.is_symlink():
        pytest.skip("/models exists on this machine")
    try:
        MODELS.symlink_to(trained["result"]["store"], target_is_directory=True)
    except OSError as error:
        pytest.skip(f"/models cannot be made here ({error.strerror})")
    yield MODELS
    MODELS.unlink()


def test_the_usage_example_runs_as_it_stands_and_promotes(trained):
    result = trained["result"]
    accounted(result)
    assert result["horizons"] == ["1h", "4h", "1d"]
    assert "BTC_1h" in result["champions"]
    assert result["summary"]["errors"] == []


def test_owner_supplied_recipes_hold_the_primary_slots(trained):
    rows = [row for row in trained["result"]["summary"]["evidence"] if row["pool"] == "um-A"]
    assert {row["horizon"] for row in rows} == {"1h", "4h", "1d"}
    assert {row["recipe"] for row in rows} == {"injected"}
    assert {row["slot"] for row in rows} == {"primary/1h", "primary/4h", "primary/1d"}


def test_champions_ask_for_exactly_the_owners_features(trained):
    for row in trained["result"]["champions"].values():
        assert tuple(row["live_features"]) == ("feature1", "feature2")


def test_the_hamilton_snippets_run_as_they_stand(trained, models):
    names = {}
    for snippet in (LOADING, PREDICTING, RANKING, BLOCKING):
        execute(snippet, names)
    champion = trained["result"]["champions"]["BTC_1h"]
    assert names["model"].feature_names == ("feature1", "feature2")
    assert (names["metadata"].coin, names["metadata"].version) == ("BTC", 1)
    assert names["prediction"].direction in {"long", "short", "hold"}
    assert np.isfinite([names["prediction"].edge_bps, names["prediction"].confidence]).all()
    assert names["hamilton"].predict("BTC", "1h", champion["live_features"]).edge_bps == champion["live"]["edge_bps"]
    entry = names["ranking_table"][0]
    assert all(hasattr(entry, name) for name in ("coin", "regime", "net_edge_bps", "confidence", "capacity_estimate"))
    listed = {row["coin"] for row in trained["result"]["champions"].values()}
    assert set(names["dnt_list"]) == set(trained["result"]["coin_universe"]) - listed


def test_without_a_declaration_no_day_before_the_first_night_is_evidence(environment, owner, monkeypatch, tmp_path):
    monkeypatch.delenv("HURACAN_PROMOTION__INJECTED_SEEN_UNTIL")
    monkeypatch.setenv("HURACAN_WORKDIR", str(tmp_path))
    names = dict(owner[1])
    rehearsal = TRAINING.replace("dry_run=False", "dry_run=True").replace('["1h", "4h", "1d"]', '["1h"]')
    asyncio.run(execute(rehearsal.replace("assert len", "found = len"), names))
    assert names["result"]["champions"] == {}
    assert all(row["live_days"] == 0 for row in names["result"]["summary"]["evidence"])
