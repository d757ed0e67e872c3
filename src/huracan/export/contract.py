"""The documented records of an export: a manifest as plain fields, and a bundle as dicts."""

from dataclasses import dataclass, field
from typing import Any

from huracan.domain.bundle import MANIFEST_FILE
from huracan.domain.model import ChampionModel
from huracan.export.plan import as_bytes, bundle_files


@dataclass(frozen=True, slots=True)
class ModelManifest:
    """What a champion is and where it came from; times are ISO 8601 UTC, `files` maps name to sha256 and size."""

    coin: str
    horizon: str
    version: int
    training_window_start: str
    training_window_end: str
    features_hash: str
    code_hash: str
    timestamp: str
    model_path: str
    metrics: dict[str, Any] = field(default_factory=dict)
    regime: str | None = None
    engine_type: str | None = None
    config_hash: str = ""
    data_hash: str = ""
    seed: int = 0
    recipe_id: str = ""
    status: str = "champion"
    files: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExportBundle:
    """One champion with its reports, as the documented publishers take it.

    `champion_model` is a ChampionModel, or the bytes of a model file. Reports are anything with a JSON form
    (`decision_logs` is a list). `recipe` and `golden` are ours.
    """

    coin: str
    horizon: str
    champion_model: ChampionModel | bytes
    metrics_report: Any
    cost_report: Any
    decision_logs: Any
    regime_map: Any
    data_integrity_report: Any
    model_manifest: ModelManifest
    recipe: Any = field(default_factory=dict)
    golden: bytes = b"{}"

    def files(self) -> dict[str, bytes]:
        """Every file of the bundle by name, the manifest included; raises BundleFormatError for what has no JSON
        form.
        """
        reports = {
            "metrics.json": self.metrics_report,
            "cost_report.json": self.cost_report,
            "decision_logs.json": self.decision_logs,
            "regime_map.json": self.regime_map,
            "data_integrity.json": self.data_integrity_report,
        }
        files = bundle_files(self.champion_model, golden=self.golden, recipe=self.recipe, reports=reports)
        return {**files, MANIFEST_FILE: as_bytes(self.model_manifest, MANIFEST_FILE)}
