"""CONTRACT.md as a test: every documented path, name, field, default, signature and enum value."""

import ast
import dataclasses
import inspect
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

WANTED = object()
"""Stands for a field or parameter without a documented default."""

HOMES = {
    "training.orchestrator": {
        "TrainingBackend": "huracan.training.jobs",
        "TrainingConfig": "huracan.training.jobs",
        "TrainingJob": "huracan.training.jobs",
        "TrainingOrchestrator": "huracan.adapters.backends",
        "compute_code_hash": "huracan.training.jobs",
        "compute_features_hash": "huracan.training.jobs",
    },
    "training.pipeline": {"TrainingPipeline": "huracan", "TrainingPipelineConfig": "huracan"},
    "consensus.consensus_service": dict.fromkeys(
        (
            "ConsensusLevel",
            "ConsensusResult",
            "ConsensusService",
            "CorrelationCalculator",
            "EngineVote",
            "ReliabilityTracker",
        ),
        "huracan.consensus",
    ),
    "regime.regime_gate": dict.fromkeys(
        ("RegimeGate", "RegimeGateConfig", "RegimePerformance", "RegimeType"), "huracan.regimes.gate"
    ),
    "export.dropbox_publisher": {
        "DropboxPublisher": "huracan.adapters.publishers.dropbox",
        "ExportBundle": "huracan.export",
        "ModelManifest": "huracan.export",
    },
    "reports.reports": {
        "CostReport": "huracan.reports",
        "DataIntegrityReport": "huracan.reports",
        "DecisionLog": "huracan.reports",
        "MetricsReport": "huracan.reports",
        "RegimeMapReport": "huracan.reports",
        "ReportsGenerator": "huracan.adapters.reports",
    },
    "hamilton.interface": {
        "HamiltonDoNotTradeList": "huracan.hamilton",
        "HamiltonInterface": "huracan",
        "HamiltonModelLoader": "huracan.hamilton",
        "HamiltonRankingTable": "huracan.hamilton",
        "ModelLoadError": "huracan.errors",
        "ModelMetadata": "huracan.hamilton",
        "PredictionResult": "huracan.hamilton",
        "RankingEntry": "huracan.hamilton",
    },
}

HORIZONS = ["1h", "4h", "1d"]


def wanted(text: str) -> dict[str, object]:
    return dict.fromkeys(text.split(), WANTED)


FIELDS = {
    "training.orchestrator.TrainingJob": {
        **wanted("coin horizon"),
        "regime": None,
        "engine_type": None,
        "priority": 0,
        **wanted("job_id created_at"),
        "status": "pending",
        "result": None,
        "error": None,
    },
    "training.orchestrator.TrainingConfig": {
        "backend": "asyncio",
        "max_concurrent_jobs": 10,
        "lookback_days": 150,
        "horizons": HORIZONS,
        "risk_preset": "balanced",
        "dry_run": False,
        "ray_address": None,
        "dask_address": None,
        "num_workers": 4,
        "gpu_per_worker": 0,
    },
    "training.pipeline.TrainingPipelineConfig": {
        "lookback_days": 150,
        "horizons": HORIZONS,
        "risk_preset": "balanced",
        "dry_run": False,
        "min_liquidity_gbp": 10_000_000.0,
        "max_spread_bps": 8.0,
        "min_edge_after_cost_bps": 5.0,
        "training_backend": "asyncio",
        "max_concurrent_jobs": 10,
        "dropbox_access_token": None,
        "dropbox_base_path": "/HuracanEngine",
        "max_coins": None,
    },
    "consensus.consensus_service.EngineVote": {
        **wanted("engine_type direction confidence edge_bps"),
        "reliability_score": 1.0,
        **wanted("timestamp"),
    },
    "consensus.consensus_service.ConsensusResult": wanted(
        "consensus_score consensus_level direction confidence votes weighted_sum correlation_penalty reliability_weights reasoning"
    ),
    "regime.regime_gate.RegimePerformance": wanted(
        "regime engine_type win_rate sharpe_ratio avg_return_bps sample_size last_updated"
    ),
    "regime.regime_gate.RegimeGateConfig": {
        "min_win_rate": 0.55,
        "min_sharpe": 1.0,
        "min_sample_size": 50,
        "enable_all_by_default": True,
    },
    "export.dropbox_publisher.ModelManifest": {
        **wanted(
            "coin horizon version training_window_start training_window_end features_hash code_hash timestamp model_path"
        ),
        "metrics": {},
        "regime": None,
        "engine_type": None,
        **wanted("config_hash data_hash seed recipe_id files"),
    },
    "export.dropbox_publisher.ExportBundle": wanted(
        "coin horizon champion_model metrics_report cost_report decision_logs regime_map data_integrity_report model_manifest"
    ),
    "reports.reports.MetricsReport": wanted(
        "coin horizon sharpe_ratio sortino_ratio max_drawdown hit_rate profit_factor turnover capacity_estimate timestamp"
    ),
    "reports.reports.CostReport": wanted(
        "coin horizon fees_bps spread_bps slippage_bps funding_bps net_edge_after_cost_bps timestamp"
    ),
    "reports.reports.DecisionLog": wanted(
        "timestamp coin horizon consensus_score votes confidence action_taken edge_bps net_edge_bps"
    ),
    "reports.reports.RegimeMapReport": wanted("coin horizons timestamp"),
    "reports.reports.DataIntegrityReport": wanted(
        "coin horizon gaps outliers vendor_mismatches data_quality_score timestamp"
    ),
    "hamilton.interface.ModelMetadata": wanted(
        "coin horizon version regime net_edge_bps confidence capacity_estimate sharpe_ratio win_rate created_at"
    ),
    "hamilton.interface.RankingEntry": wanted("coin regime net_edge_bps confidence capacity_estimate rank horizon"),
    "hamilton.interface.PredictionResult": wanted("coin horizon direction confidence edge_bps metadata"),
}

SIGNATURES = {
    "training.orchestrator.TrainingOrchestrator": "(config)",
    "training.orchestrator.TrainingOrchestrator.initialize": "async ()",
    "training.orchestrator.TrainingOrchestrator.shutdown": "async ()",
    "training.orchestrator.TrainingOrchestrator.register_training_function": "(fn)",
    "training.orchestrator.TrainingOrchestrator.add_job": "(job)",
    "training.orchestrator.TrainingOrchestrator.add_jobs": "(jobs)",
    "training.orchestrator.TrainingOrchestrator.train_all": "async ()",
    "training.orchestrator.TrainingOrchestrator.get_job_status": "(job_id)",
    "training.orchestrator.TrainingOrchestrator.get_all_jobs": "()",
    "training.orchestrator.TrainingOrchestrator.get_completed_jobs": "()",
    "training.orchestrator.TrainingOrchestrator.get_failed_jobs": "()",
    "training.orchestrator.compute_code_hash": "()",
    "training.orchestrator.compute_features_hash": "(features)",
    "training.pipeline.TrainingPipeline": (
        "(config, data_loader=None, feature_builder=None, model_trainer=None, validator=None)"
    ),
    "training.pipeline.TrainingPipeline.run": "async ()",
    "consensus.consensus_service.ReliabilityTracker": "(window_size=100)",
    "consensus.consensus_service.ReliabilityTracker.record_prediction": "(engine_type, correct, timestamp=None)",
    "consensus.consensus_service.ReliabilityTracker.get_reliability_score": "(engine)",
    "consensus.consensus_service.ReliabilityTracker.get_all_reliability_scores": "()",
    "consensus.consensus_service.CorrelationCalculator": "(window_size=100)",
    "consensus.consensus_service.CorrelationCalculator.record_predictions": "(votes)",
    "consensus.consensus_service.CorrelationCalculator.calculate_correlation_penalty": "(votes)",
    "consensus.consensus_service.CorrelationCalculator.get_correlation_matrix": "()",
    "consensus.consensus_service.ConsensusService": (
        "(adaptive_threshold=True, min_consensus_score=0.5, correlation_penalty_weight=0.3)"
    ),
    "consensus.consensus_service.ConsensusService.compute_consensus": "(votes)",
    "consensus.consensus_service.ConsensusService.record_outcome": "(votes, correct, timestamp=None, realised_net_bps=None)",
    "consensus.consensus_service.ConsensusService.get_reliability_scores": "()",
    "consensus.consensus_service.ConsensusService.get_correlation_matrix": "()",
    "regime.regime_gate.RegimeGate": "(config)",
    "regime.regime_gate.RegimeGate.update_performance": (
        "(regime, engine_type, win_rate, sharpe_ratio, avg_return_bps, sample_size)"
    ),
    "regime.regime_gate.RegimeGate.is_engine_enabled": "(regime, engine)",
    "regime.regime_gate.RegimeGate.get_enabled_engines": "(regime)",
    "regime.regime_gate.RegimeGate.get_all_enabled_engines": "()",
    "regime.regime_gate.RegimeGate.get_regime_map": "(coin)",
    "regime.regime_gate.RegimeGate.set_default_engines": "(*)",
    "regime.regime_gate.RegimeGate.enable_engine_for_regime": "(*, *)",
    "regime.regime_gate.RegimeGate.disable_engine_for_regime": "(*, *)",
    "export.dropbox_publisher.DropboxPublisher": "(access_token, base_path='/HuracanEngine', dry_run=False)",
    "export.dropbox_publisher.DropboxPublisher.publish_bundle": "(bundle)",
    "export.dropbox_publisher.DropboxPublisher.publish_summary": "(*)",
    "export.dropbox_publisher.DropboxPublisher.list_models": "(coin=None, horizon=None)",
    "reports.reports.ReportsGenerator": "(output_dir)",
    "reports.reports.ReportsGenerator.generate_metrics_report": "(*)",
    "reports.reports.ReportsGenerator.generate_cost_report": "(*)",
    "reports.reports.ReportsGenerator.generate_decision_logs": "(coin, horizon, logs)",
    "reports.reports.ReportsGenerator.generate_regime_map": "(coin, regime_data)",
    "reports.reports.ReportsGenerator.generate_data_integrity_report": "(*)",
    "reports.reports.ReportsGenerator.generate_daily_summary": "(coins_processed, champions_exported, skipped_coins, errors)",
    "hamilton.interface.HamiltonInterface": (
        "(model_base_path='/models', ranking_coins=None, ranking_horizons=None, ranking_regimes=None, "
        "allow_candidates=False, trusted_root=None, source=None)"
    ),
    "hamilton.interface.HamiltonInterface.load_model": "(coin, horizon, version=None)",
    "hamilton.interface.HamiltonInterface.predict": "(coin, horizon, features, version=None)",
    "hamilton.interface.HamiltonInterface.get_ranking_table": "()",
    "hamilton.interface.HamiltonInterface.get_do_not_trade_list": "()",
    "hamilton.interface.HamiltonInterface.is_coin_blocked": "(coin)",
    "hamilton.interface.HamiltonInterface.add_blocked_coin": "(coin, reason)",
    "hamilton.interface.HamiltonInterface.remove_blocked_coin": "(coin)",
}

STEPS = (
    "build_coin_universe",
    "ingest_and_validate_data",
    "generate_features",
    "label_forward_returns",
    "train_models",
    "score_edge_after_costs",
    "run_consensus",
    "shadow_test_challengers",
    "export_champions",
)
SIGNATURES |= {
    f"training.pipeline.TrainingPipeline.step{number}_{name}": "async (*)" if number > 1 else "async ()"
    for number, name in enumerate(STEPS, start=1)
}

ENUMS = {
    "training.orchestrator.TrainingBackend": {"RAY": "ray", "DASK": "dask", "ASYNCIO": "asyncio"},
    "regime.regime_gate.RegimeType": {"TREND": "trend", "RANGE": "range", "PANIC": "panic", "ILLIQUID": "illiquid"},
}


def documented(path: str) -> object:
    """The object at a documented path below src.cloud.training, such as ``room.module.Class.method``."""
    room, module, *names = path.split(".")
    found = import_module(f"src.cloud.training.{room}.{module}")
    for name in names:
        found = getattr(found, name)
    return found


PLACES = [(module, name, home) for module, names in HOMES.items() for name, home in names.items()]


@pytest.mark.parametrize(("module", "name", "home"), PLACES, ids=[f"{m}.{n}" for m, n, _ in PLACES])
def test_the_documented_path_gives_the_real_object(module, name, home):
    real = getattr(import_module(home), name)
    assert documented(f"{module}.{name}") is real
    assert getattr(import_module(f"src.cloud.training.{module.partition('.')[0]}"), name) is real


@pytest.mark.parametrize("path", FIELDS)
def test_records_have_the_documented_fields_in_order_with_their_defaults(path):
    kind, names = documented(path), FIELDS[path]
    made = {f.name: f for f in dataclasses.fields(kind)}
    assert [name for name in made if name in names] == list(names)
    for name, default in names.items():
        if default is not WANTED:
            f = made[name]
            seen = f.default if f.default is not dataclasses.MISSING else f.default_factory()
            assert seen == default, f"{path}.{name} defaults to {seen!r}, documented is {default!r}"


@pytest.mark.parametrize("path", FIELDS)
def test_a_field_that_is_ours_may_be_left_out(path):
    for f in dataclasses.fields(documented(path)):
        if f.name not in FIELDS[path]:
            assert f.default is not dataclasses.MISSING or f.default_factory is not dataclasses.MISSING


@pytest.mark.parametrize("path", SIGNATURES)
def test_functions_have_the_documented_signature(path):
    """Documented parameters come first, with their names (``*``: any) and defaults; ours after them are optional."""
    text = SIGNATURES[path]
    target = documented(path)
    assert inspect.iscoroutinefunction(target) == text.startswith("async ")
    parameters = [p for p in inspect.signature(target).parameters.values() if p.name != "self"]
    expected = [part.strip() for part in text.removeprefix("async ")[1:-1].split(",") if part.strip()]
    assert len(parameters) >= len(expected)
    for parameter, part in zip(parameters, expected, strict=False):
        name, equals, default = part.partition("=")
        assert name in {"*", parameter.name}
        assert parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        if equals:
            assert parameter.default == ast.literal_eval(default)
    assert all(p.default is not inspect.Parameter.empty for p in parameters[len(expected) :])


@pytest.mark.parametrize("path", ENUMS)
def test_enums_have_the_documented_values(path):
    assert {member.name: member.value for member in documented(path)} == ENUMS[path]


def test_consensus_levels_are_the_documented_four():
    levels = documented("consensus.consensus_service.ConsensusLevel")
    assert [level.name for level in levels] == ["STRONG", "MODERATE", "WEAK", "DIVIDED"]


def test_no_votes_are_a_divided_hold():
    result = documented("consensus.consensus_service.ConsensusService")().compute_consensus([])
    assert (result.consensus_score, result.consensus_level.name, result.direction, result.reasoning) == (0.0, "DIVIDED", "hold", "No votes")  # fmt: skip


def test_job_statuses_and_the_alias_of_the_hit_rate_are_as_documented():
    job = documented("training.orchestrator.TrainingJob")("BTC", "1h")
    assert job.status == "pending"
    report = documented("reports.reports.MetricsReport")("BTC", "1h", 1.0, 1.0, 0.1, 0.5, 1.1, 2.0, 1e6, "2026-01-01")
    assert report.win_rate == report.hit_rate == 0.5


def test_the_regime_map_has_the_documented_keys():
    gate = documented("regime.regime_gate.RegimeGate")(documented("regime.regime_gate.RegimeGateConfig")())
    gate.update_performance("trend", "flow", 0.6, 1.5, 12.0, 80)
    found = gate.get_regime_map("BTC")
    assert found.keys() == {"coin", "regimes", "performance"}
    assert found["regimes"].keys() == {"trend", "range", "panic", "illiquid"}
    assert all(row.keys() == {"enabled_engines", "engine_count"} for row in found["regimes"].values())
    assert found["performance"]["trend_flow"] == {
        "win_rate": 0.6, "sharpe_ratio": 1.5, "avg_return_bps": 12.0, "sample_size": 80,
    }  # fmt: skip


def test_the_public_surface_of_the_package_is_the_interface_and_what_own_code_meets():
    import huracan

    interface = {"HamiltonInterface", "TrainingPipeline", "TrainingPipelineConfig"}
    own_code = {
        "BAR_SCHEMA",
        "DataLoader",
        "EngineSpec",
        "FeatureBuilder",
        "FitJob",
        "FitResult",
        "ModelTrainer",
        "Validator",
    }
    assert set(huracan.__all__) == interface | own_code
    assert all(getattr(huracan, name) is not None for name in huracan.__all__)


def test_there_is_one_copy_of_every_class():
    assert not (ROOT / "src" / "__init__.py").exists()
    pattern = re.compile(r"^\s*(?:from|import)\s+src\.huracan\b|import_module\(\s*[\"']src\.huracan", re.MULTILINE)
    files = [f for top in ("src", "tests", "benchmarks", "examples", "docs") for f in (ROOT / top).rglob("*.py")]
    assert len(files) > 50
    assert [str(f) for f in files if pattern.search(f.read_text(encoding="utf-8"))] == []
    assert not [name for name in sys.modules if name.startswith("src.huracan")]


def test_documented_modules_hold_nothing_but_re_exports():
    for file in (ROOT / "src" / "cloud" / "training").rglob("*.py"):
        body = ast.parse(file.read_text()).body
        assert isinstance(body[0], ast.Expr)
        for line in body[1:]:
            assert isinstance(line, ast.ImportFrom), file
            assert line.module.startswith("huracan")
            assert all(alias.asname == alias.name for alias in line.names)


def test_the_documented_paths_stay_out_of_the_wheel():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert settings["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["src/huracan"]


@pytest.mark.slow
def test_a_bare_checkout_works_without_installation():
    code = (
        "import sys\n"
        f"sys.path[:] = [p for p in sys.path if p.rstrip('/') != {str(ROOT / 'src')!r}]\n"
        "from src.cloud.training.hamilton import HamiltonInterface\n"
        "import huracan\n"
        "assert HamiltonInterface is huracan.HamiltonInterface\n"
        "print(huracan.__file__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == ROOT / "src" / "huracan" / "__init__.py"
