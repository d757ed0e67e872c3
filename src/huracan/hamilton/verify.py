"""From signed bytes to a champion that can predict: trusted root, bundle files, golden rows."""

import math
import os
import stat
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from huracan.domain.bundle import (
    EVERY_REGIME,
    GOLDEN_FILE,
    MANIFEST_FILE,
    MAX_MANIFEST,
    MODEL_FILE,
    Manifest,
    bundle_folder,
    model_from_bytes,
)
from huracan.domain.homes import below_home
from huracan.domain.model import ChampionModel
from huracan.domain.strict import strict_json
from huracan.errors import BundleFormatError, BundleSignatureError, FeatureError, ModelLoadError
from huracan.export.golden import replay_golden
from huracan.export.private import modes_are_real, open_parent
from huracan.export.trust import MAX_ROLE, TrustedTree, checked_bytes, read_signed
from huracan.hamilton.clock import VALID_MS
from huracan.hamilton.records import ModelMetadata, PredictionResult
from huracan.stats.evaluate import REGIME_FEATURE, CompiledModel, compile_model, decide_row

if TYPE_CHECKING:
    from huracan.ports import BundleSource

REGIME_NAMES: Final = ("trend", "range", "panic", "illiquid")
_DIRECTIONS = {1: "long", 0: "hold", -1: "short"}


class _Row(threading.local):
    """One row of features as the kernel takes it, one buffer a thread."""

    def __init__(self, p: int) -> None:
        self.values = np.zeros((1, p))
        self.bytes = self.values.data.cast("B")


@dataclass(frozen=True, slots=True, kw_only=True)
class Champion:
    """One verified bundle, ready to predict."""

    coin: str
    horizon: str
    version: int
    digest: str
    valid_until: int
    manifest: Manifest = field(repr=False)
    model: ChampionModel = field(repr=False)
    metadata: ModelMetadata
    compiled: CompiledModel = field(repr=False)
    pick: Callable[[Mapping[str, object]], tuple[Any, ...]] = field(repr=False)
    packer: struct.Struct = field(repr=False)
    row: _Row = field(repr=False)

    def predict(self, features: Mapping[str, object], closed: tuple[str, ...], stale: bool) -> PredictionResult:
        """The decision for one row of features; hold where entries are `closed`, each reason as ``CODE: words``.

        Raises FeatureError naming what is wrong.
        """
        compiled, row = self.compiled, self.row
        try:
            if len(features) != len(compiled.feature_names):
                raise self._problem(features)
            self.packer.pack_into(row.bytes, 0, *self.pick(features))
        except (KeyError, TypeError, ValueError, OverflowError, struct.error) as error:
            raise self._problem(features) from error
        code, silent, score, edge, confidence, side, fraction, edges = decide_row(
            row.values, compiled.regime_column, *compiled.context
        )
        if code < 0:
            raise self._problem(features)
        if closed:
            side, fraction = 0, 0.0
        votes = dict(zip(compiled.engines, edges.tolist(), strict=True))
        if silent:
            votes = {engine: value for engine, value in votes.items() if not math.isnan(value)}
        result = object.__new__(PredictionResult)
        result.__dict__.update(
            coin=self.coin,
            horizon=self.horizon,
            direction=_DIRECTIONS[side],
            confidence=confidence,
            edge_bps=edge,
            metadata=self.metadata,
            score=score,
            net_edge_bps=abs(edge) - compiled.cost_bps,
            regime=REGIME_NAMES[code] if compiled.regime_column >= 0 else EVERY_REGIME,
            votes=votes,
            position_fraction=fraction,
            version=self.version,
            valid_until=self.valid_until,
            stale=stale,
            blocked_reason="; ".join(closed) if closed else None,
            entries_open=not closed,
            blocked_codes=tuple([reason.partition(":")[0] for reason in closed]) if closed else (),
        )
        return result

    def _problem(self, features: Mapping[str, object]) -> FeatureError:
        names = self.compiled.feature_names
        where = f"{self.coin} {self.horizon} v{self.version}"
        missing = [name for name in names if name not in features]
        extra = [str(name) for name in features if name not in set(names)]
        if missing or extra:
            return FeatureError(
                f"{where}: missing features {missing}, unknown features {extra[:50]}; wanted exactly {len(names)}"
            )
        wrong = [name for name in names if not _is_number(features[name])]
        if wrong:
            return FeatureError(f"{where}: not finite numbers: {wrong}")
        return FeatureError(
            f"{where}: {REGIME_FEATURE} is {features.get(REGIME_FEATURE)!r}, wanted 0 to 3 ({', '.join(REGIME_NAMES)})"
        )


def _is_number(value: Any) -> bool:
    try:
        return math.isfinite(struct.unpack("=d", struct.pack("=d", value))[0])
    except (TypeError, ValueError, OverflowError, struct.error):
        return False


def read_trusted_root(given: str | Path | None, store: Path | None, environ: Mapping[str, str] = os.environ) -> bytes:
    """Bytes of the trusted root: `given`, else HURACAN_TRUSTED_ROOT, else the user's trust folder.

    Raises ModelLoadError when it is missing, or lies inside the store, where whoever writes the store could swap it.
    """
    file, _ = trusted_root_place(given, environ)
    if store is not None and file.resolve().is_relative_to(store.resolve()):
        raise ModelLoadError(
            f"trusted root {file} lies inside the store {store}: whoever can write the store could replace it."
            " Copy it from the training host by a way of its own."
        )
    try:
        with file.open("rb") as stream:
            status = os.fstat(stream.fileno())
            data = stream.read(MAX_ROLE + 1)
    except OSError as error:
        raise ModelLoadError(
            f"no trusted root at {file} ({error.strerror}). Copy ~/.config/huracan/trust/root.json from the training"
            " host there, or name it by trusted_root= or HURACAN_TRUSTED_ROOT; a copy inside the store proves nothing."
        ) from error
    if (modes_are_real() and status.st_mode & stat.S_IWOTH) or len(data) > MAX_ROLE:
        raise ModelLoadError(f"trusted root {file} is writable by everybody or too large; refused")
    if (folder := open_parent(file)) is not None:
        raise ModelLoadError(
            f"trusted root {file}: others may write into {folder} and could put another root in its place;"
            f" `chmod go-w {folder}`, or keep the root in a folder of your own"
        )
    return data


def trusted_root_place(given: str | Path | None, environ: Mapping[str, str] = os.environ) -> tuple[Path, str]:
    """The trusted root's file, and in words what named it."""
    if given:
        return Path(given), "given as trusted_root"
    if named := environ.get("HURACAN_TRUSTED_ROOT"):
        return Path(named), "named by HURACAN_TRUSTED_ROOT"
    return _default_root(environ), "the default place"


def _default_root(environ: Mapping[str, str]) -> Path:
    config = below_home(environ, "XDG_CONFIG_HOME", ".config", instead="HURACAN_TRUSTED_ROOT")
    return config / "huracan" / "trust" / "root.json"


def read_champion(source: "BundleSource", tree: TrustedTree, coin: str, horizon: str, version: int) -> Champion:
    """A bundle of the signed tree: every byte checked, parsed by our own reader, golden rows replayed.

    Raises BundleSignatureError, BundleFormatError or FeatureSkewError.
    """
    folder, where = bundle_folder(coin, horizon, version), f"{coin} {horizon} v{version}"
    path = f"{folder}/{MANIFEST_FILE}"
    manifest = Manifest.from_bytes(read_signed(source.read, tree.files, path, MAX_MANIFEST))
    if (manifest.coin, manifest.horizon, manifest.version) != (coin, horizon, version):
        raise BundleSignatureError(
            f"{where}: the bundle is that of {manifest.coin} {manifest.horizon} v{manifest.version}"
        )
    files = {
        name: checked_bytes(source.read, f"{folder}/{name}", entry.sha256, entry.size, entry.size)
        for name, entry in manifest.files.items()
    }
    model = model_from_bytes(files[MODEL_FILE])
    if model.decision.horizon_minutes != _minutes(horizon):
        raise BundleFormatError(f"{where}: the model is for {model.decision.horizon_minutes} minutes")
    compiled = compile_model(model)
    replay_golden(compiled, files[GOLDEN_FILE], where)
    names = compiled.feature_names
    return Champion(
        coin=coin,
        horizon=horizon,
        version=version,
        digest=tree.files[path][0],
        valid_until=manifest.data_cutoff_ms + VALID_MS,
        manifest=manifest,
        model=model,
        metadata=_metadata(manifest),
        compiled=compiled,
        pick=itemgetter(*names) if len(names) > 1 else lambda features: (features[names[0]],),
        packer=struct.Struct(f"={len(names)}d"),
        row=_Row(len(names)),
    )


def read_report(source: "BundleSource", champion: Champion, name: str) -> Any:
    """What a JSON file of a bundle holds; raises ModelLoadError for a name it does not have, or bytes that are not the
    signed ones.
    """
    entry = champion.manifest.files.get(name)
    where = f"{champion.coin} {champion.horizon} v{champion.version}"
    if entry is None or not name.endswith(".json"):
        raise ModelLoadError(f"{where} has no report {name!r}; it has {', '.join(sorted(champion.manifest.files))}")
    folder = bundle_folder(champion.coin, champion.horizon, champion.version)
    data = checked_bytes(source.read, f"{folder}/{name}", entry.sha256, entry.size, entry.size)
    return strict_json(data, entry.size, what=f"{where}: {name}")


def _minutes(horizon: str) -> int:
    return int(horizon[:-1]) * {"m": 1, "h": 60, "d": 1440}[horizon[-1]]


def _metadata(manifest: Manifest) -> ModelMetadata:
    def number(*names: str) -> float | None:
        for name in names:
            value = manifest.metrics.get(name)
            if isinstance(value, int | float) and not isinstance(value, bool):
                return float(value)
        return None

    def proof(name: str) -> float | None:
        value = manifest.evidence.get(name)
        return float(value) if isinstance(value, int | float) else None

    return ModelMetadata(
        coin=manifest.coin,
        horizon=manifest.horizon,
        version=manifest.version,
        regime=manifest.regime or EVERY_REGIME,
        net_edge_bps=number("net_edge_bps", "edge_after_cost_bps"),
        confidence=number("confidence"),
        capacity_estimate=number("capacity_estimate"),
        sharpe_ratio=number("sharpe_ratio"),
        win_rate=number("win_rate", "hit_rate"),
        created_at=manifest.timestamp,
        status=manifest.status,
        recipe_id=manifest.recipe_id,
        e_value=proof("e_value"),
        nights_missing=proof("nights_missing"),
        valid_until=manifest.data_cutoff_ms + VALID_MS,
    )
