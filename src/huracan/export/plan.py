"""What a bundle consists of: its files, its manifest, its paths in the store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from huracan.domain.bundle import (
    BUNDLE_FILES,
    GOLDEN_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    RECIPE_FILE,
    FileEntry,
    Manifest,
    RankRow,
    Status,
    bundle_folder,
    model_to_bytes,
)
from huracan.domain.ids import canonical_json
from huracan.domain.json import JsonObject
from huracan.domain.model import ChampionModel
from huracan.domain.regime_edges import RegimeEdge
from huracan.domain.time import iso
from huracan.errors import BundleFormatError


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleFiles:
    """A bundle ready to be published: all files except the manifest, which gets its version when it is signed."""

    manifest: Manifest
    files: Mapping[str, bytes] = field(repr=False)
    ranking: Sequence[RankRow] = ()
    regimes: Mapping[str, RegimeEdge] = field(default_factory=dict)

    @property
    def coin(self) -> str:
        """Coin of the bundle."""
        return self.manifest.coin

    @property
    def horizon(self) -> str:
        """Horizon of the bundle."""
        return self.manifest.horizon


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a champion came from; hashes are hex sha256, times ms UTC.

    The window runs from the first to the last bar that training used; `regime` is that of the cut-off.
    """

    coin: str
    horizon: str
    instrument: str
    status: Status
    window_start_ms: int
    window_end_ms: int
    data_cutoff_ms: int
    features_hash: str
    code_hash: str
    config_hash: str
    data_hash: str
    recipe_id: str
    seed: int
    metrics: JsonObject
    evidence: Mapping[str, float | int | str | bool | None]
    regime: str | None = None


def bundle_files(
    model: ChampionModel | bytes, *, golden: bytes, recipe: object, reports: Mapping[str, object]
) -> dict[str, bytes]:
    """The files of a bundle by name; `recipe` and each report are bytes, or anything with a JSON form.

    `reports` are keyed by file name (metrics.json, cost_report.json, decision_logs.json, regime_map.json,
    data_integrity.json). Raises BundleFormatError when one is missing, unknown, or not finite.
    """
    given: dict[str, object] = {**reports, RECIPE_FILE: recipe, GOLDEN_FILE: golden, MODEL_FILE: model}
    if isinstance(model, ChampionModel):
        given[MODEL_FILE] = model_to_bytes(model)
    if set(given) != set(BUNDLE_FILES):
        raise BundleFormatError(f"bundle: files {sorted(given)}, wanted {sorted(BUNDLE_FILES)}")
    return {name: as_bytes(value, name) for name, value in given.items()}


def build_manifest(provenance: Provenance, files: Mapping[str, bytes]) -> Manifest:
    """The manifest of these files, not yet numbered; its `timestamp` is the data cut-off, so equal inputs give equal
    bytes.
    """
    if set(files) != set(BUNDLE_FILES):
        raise BundleFormatError(
            f"{provenance.coin} {provenance.horizon}: files {sorted(files)}, wanted {sorted(BUNDLE_FILES)}"
        )
    return Manifest(
        coin=provenance.coin,
        horizon=provenance.horizon,
        version=0,
        status=provenance.status,
        instrument=provenance.instrument,
        training_window_start=iso(provenance.window_start_ms),
        training_window_end=iso(provenance.window_end_ms),
        timestamp=iso(provenance.data_cutoff_ms),
        data_cutoff_ms=provenance.data_cutoff_ms,
        features_hash=provenance.features_hash,
        code_hash=provenance.code_hash,
        config_hash=provenance.config_hash,
        data_hash=provenance.data_hash,
        recipe_id=provenance.recipe_id,
        seed=provenance.seed,
        model_path="",
        regime=provenance.regime,
        metrics=dict(provenance.metrics),
        evidence=dict(provenance.evidence),
        files={name: FileEntry.of(data) for name, data in files.items()},
    )


def numbered(manifest: Manifest, version: int) -> Manifest:
    """The manifest as version n of its (coin, horizon)."""
    folder = bundle_folder(manifest.coin, manifest.horizon, version)
    return manifest.model_copy(update={"version": version, "model_path": f"{folder}/{MODEL_FILE}"})


def same_content(new: Manifest, old: Manifest) -> bool:
    """Whether two manifests describe the same bundle, whatever their versions."""
    return numbered(new, 0) == numbered(old, 0)


def plan_bundle(coin: str, horizon: str, version: int, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Store paths of a bundle's files, the manifest last.

    >>> list(plan_bundle("BTC", "1h", 2, {"manifest.json": b"{}", "metrics.json": b"{}"}))
    ['models/BTC/1h/v2/metrics.json', 'models/BTC/1h/v2/manifest.json']
    """
    folder = bundle_folder(coin, horizon, version)
    ordered = sorted(files, key=lambda name: (name == MANIFEST_FILE, name))
    return {f"{folder}/{name}": files[name] for name in ordered}


def as_bytes(value: object, what: str) -> bytes:
    """Bytes as they are, anything else as canonical JSON; raises BundleFormatError where it has none."""
    if isinstance(value, bytes):
        return value
    try:
        return canonical_json(value)
    except ValueError as error:
        raise BundleFormatError(f"{what}: {error}") from error
