"""Champion bundles as bytes: the model file, and the JSON records beside it, written and read strictly.

Everything read here comes from outside: only BundleFormatError is raised, whatever the bytes.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Annotated, Final, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from huracan.domain.arrays import F64, I64
from huracan.domain.ids import canonical_json, path_segment, result_key, sha256_hex
from huracan.domain.json import Json, JsonObject
from huracan.domain.model import ChampionModel, DecisionParameters, TreeArrays
from huracan.domain.strict import strict_json
from huracan.domain.tensors import Tensor, read_tensors, write_tensors
from huracan.errors import BundleFormatError

MODEL_FORMAT: Final = "huracan-model/1"
SET_FORMAT: Final = "huracan-set/1"
MODEL_FILE: Final = "model.safetensors"
MANIFEST_FILE: Final = "manifest.json"
GOLDEN_FILE: Final = "golden.json"
RECIPE_FILE: Final = "recipe.json"
REPORT_FILES: Final = (
    "metrics.json",
    "cost_report.json",
    "decision_logs.json",
    "regime_map.json",
    "data_integrity.json",
)
BUNDLE_FILES: Final = (MODEL_FILE, GOLDEN_FILE, RECIPE_FILE, *REPORT_FILES)
"""Every file of a bundle except the manifest, which lists them."""

LEDGER_KEY: Final = "ledger"
"""Where a set's extras name the head of the ledger."""
STORE_KEY: Final = "store"
"""Where they name the store itself, by an id that its first set is given and every later one keeps."""
STORE_ID: Final = re.compile("[0-9a-f]{32}")
REGIME_COUNT: Final = 4
MAX_MANIFEST: Final = 1 << 20
MAX_FILE: Final = 256 << 20
MAX_SET: Final = 64 << 20

R = TypeVar("R", bound="Record")

_MAX_ENGINES = 64
_MAX_FEATURES = 4096
_ARRAYS = ("coef", "intercept", "clip_low", "clip_high", "enabled", "slope", "weight", "tree_of")
_INTEGERS = {"enabled", "tree_of", "feature", "left", "right", "roots"}
_TREE_ARRAYS = ("feature", "threshold", "left", "right", "leaf_value", "roots")
_WHOLE = "horizon_minutes"
_DECISION_RANGES: dict[str, tuple[float, float]] = {
    "horizon_minutes": (1, 10_000_000),
    "threshold": (0.0, 1e3),
    "cost_bps": (0.0, 1e5),
    "min_edge_after_cost_bps": (-1e5, 1e5),
    "entry_cost_multiple": (0.0, 1e3),
    "min_confidence": (0.0, 1.0),
    "per_trade_risk": (0.0, 1.0),
    "leverage_cap": (0.0, 1e3),
    "sigma_floor_day_bps": (1e-6, 1e6),
    "largest_position": (0.0, 1e3),
    "correlation_penalty": (0.0, 1.0),
    "correlation_penalty_weight": (0.0, 1.0),
}


def model_to_bytes(model: ChampionModel) -> bytes:
    """The model file of a champion, deterministic; raises BundleFormatError for a model that is not well formed."""
    check_model(model)
    tensors: dict[str, Tensor] = {name: getattr(model, name) for name in _ARRAYS}
    for number, forest in enumerate(model.forests):
        tensors |= {f"forest.{number}.{name}": getattr(forest, name) for name in _TREE_ARRAYS}
    header = {
        "format": MODEL_FORMAT,
        "feature_names": model.feature_names,
        "engines": model.engines,
        "forests": len(model.forests),
        "decision": asdict(model.decision),
    }
    return write_tensors(tensors, canonical_json(header).decode())


def model_from_bytes(data: bytes) -> ChampionModel:
    """The champion in a model file, fully checked; raises BundleFormatError and nothing else."""
    tensors, metadata = read_tensors(data)
    header = strict_json(metadata.encode(), len(metadata) * 4, what="model file metadata")
    wanted = {"format", "feature_names", "engines", "forests", "decision"}
    if not isinstance(header, dict) or set(header) != wanted or header["format"] != MODEL_FORMAT:
        raise BundleFormatError(f"model file: metadata is not {MODEL_FORMAT}")
    count = header["forests"]
    if type(count) is not int or not 0 <= count <= _MAX_ENGINES:
        raise BundleFormatError(f"model file: {str(count)[:20]} forests")
    names = {*_ARRAYS, *(f"forest.{number}.{name}" for number in range(count) for name in _TREE_ARRAYS)}
    if set(tensors) != names:
        raise BundleFormatError(f"model file: tensors differ from the format in {sorted(set(tensors) ^ names)[:5]}")
    for name, array in tensors.items():
        kind = np.int64 if name.rsplit(".", 1)[-1] in _INTEGERS else np.float64
        if array.dtype != kind:
            raise BundleFormatError(f"model file: tensor {name} is {array.dtype}")
    model = ChampionModel(
        feature_names=_names(header["feature_names"], "feature names"),
        engines=_names(header["engines"], "engines"),
        decision=_decision(header["decision"]),
        forests=tuple(_forest(tensors, f"forest.{number}.") for number in range(count)),
        coef=_floats(tensors, "coef"),
        intercept=_floats(tensors, "intercept"),
        clip_low=_floats(tensors, "clip_low"),
        clip_high=_floats(tensors, "clip_high"),
        enabled=_integers(tensors, "enabled"),
        slope=_floats(tensors, "slope"),
        weight=_floats(tensors, "weight"),
        tree_of=_integers(tensors, "tree_of"),
    )
    check_model(model)
    return model


def _forest(tensors: Mapping[str, Tensor], prefix: str) -> TreeArrays:
    return TreeArrays(
        feature=_integers(tensors, f"{prefix}feature"),
        threshold=_floats(tensors, f"{prefix}threshold"),
        left=_integers(tensors, f"{prefix}left"),
        right=_integers(tensors, f"{prefix}right"),
        leaf_value=_floats(tensors, f"{prefix}leaf_value"),
        roots=_integers(tensors, f"{prefix}roots"),
    )


def _floats(tensors: Mapping[str, Tensor], name: str) -> F64:
    return np.asarray(tensors[name], dtype=np.float64)


def _integers(tensors: Mapping[str, Tensor], name: str) -> I64:
    return np.asarray(tensors[name], dtype=np.int64)


def check_model(model: ChampionModel) -> None:
    """Raise BundleFormatError unless shapes agree, numbers are finite and in range, and every tree ends."""
    p, engines = len(model.feature_names), len(model.engines)
    if not 1 <= p <= _MAX_FEATURES or not 1 <= engines <= _MAX_ENGINES:
        raise BundleFormatError(f"model: {p} features and {engines} engines")
    _decision(asdict(model.decision))
    shapes = {
        "coef": (engines, REGIME_COUNT, p),
        "intercept": (engines, REGIME_COUNT),
        "clip_low": (p,),
        "clip_high": (p,),
        "enabled": (engines, REGIME_COUNT),
        "slope": (engines,),
        "weight": (engines,),
        "tree_of": (engines,),
    }
    for name, shape in shapes.items():
        array = getattr(model, name)
        if array.shape != shape or not np.isfinite(array).all():
            raise BundleFormatError(f"model: {name} has shape {array.shape} or a non-finite value, wanted {shape}")
    checks = (
        ("clip_low above clip_high", bool((model.clip_low > model.clip_high).any())),
        ("enabled is neither 0 nor 1", bool(((model.enabled != 0) & (model.enabled != 1)).any())),
        ("a negative slope", bool((model.slope < 0).any())),
        ("a negative weight", bool((model.weight < 0).any())),
        (
            "tree_of outside the forests",
            bool(((model.tree_of < -1) | (model.tree_of >= len(model.forests))).any()),
        ),
    )
    for text, broken in checks:
        if broken:
            raise BundleFormatError(f"model: {text}")
    for number, forest in enumerate(model.forests):
        _check_forest(forest, p, f"model: forest {number}")


def _check_forest(forest: TreeArrays, p: int, where: str) -> None:
    arrays = {name: getattr(forest, name) for name in _TREE_ARRAYS}
    nodes, leaves = arrays["feature"].size, arrays["leaf_value"].size
    if any(array.ndim != 1 for array in arrays.values()) or any(
        arrays[name].size != nodes for name in ("threshold", "left", "right")
    ):
        raise BundleFormatError(f"{where}: arrays of different lengths")
    if leaves == 0 or arrays["roots"].size == 0:
        raise BundleFormatError(f"{where}: no tree")
    if not np.isfinite(forest.threshold).all() or not np.isfinite(forest.leaf_value).all():
        raise BundleFormatError(f"{where}: a threshold or leaf is not finite")
    if nodes and (forest.feature.min() < 0 or forest.feature.max() >= p):
        raise BundleFormatError(f"{where}: a node asks for a feature outside 0..{p - 1}")
    parents = np.arange(nodes)
    for child in (forest.left, forest.right, forest.roots):
        if child.size and (child.min() < -leaves or child.max() >= nodes):
            raise BundleFormatError(f"{where}: a child is neither a node nor a leaf")
    for child in (forest.left, forest.right):
        if ((child >= 0) & (child <= parents)).any():
            raise BundleFormatError(f"{where}: a child does not come after its parent")
    targets = np.concatenate([forest.left, forest.right, forest.roots])
    visits = np.bincount(targets[targets >= 0], minlength=nodes)
    if (visits != 1).any():
        raise BundleFormatError(f"{where}: a node is reached {int(visits.max())} times or never, wanted once")


def _names(value: Json, what: str) -> tuple[str, ...]:
    names = (
        [item for item in value if isinstance(item, str) and 0 < len(item) <= 200] if isinstance(value, list) else []
    )
    if not isinstance(value, list) or len(names) != len(value):
        raise BundleFormatError(f"model file: {what} are not a list of names")
    if len(set(names)) != len(names):
        raise BundleFormatError(f"model file: {what} repeat a name")
    return tuple(names)


def _decision(value: Json) -> DecisionParameters:
    wanted = {field.name for field in fields(DecisionParameters)}
    allow_short = value.get("allow_short") if isinstance(value, dict) else None
    if not isinstance(value, dict) or set(value) != wanted or type(allow_short) is not bool:
        raise BundleFormatError("model: decision parameters are not the ones of the format")
    numbers: dict[str, float] = {}
    for name, (low, high) in _DECISION_RANGES.items():
        number = value[name]
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise BundleFormatError(f"model: {name} is not a number")
        if not low <= number <= high:
            raise BundleFormatError(f"model: {name} is {number}, wanted {low} to {high}")
        numbers[name] = number if name == _WHOLE else float(number)
    minutes = numbers.pop(_WHOLE)
    if not isinstance(minutes, int):
        raise BundleFormatError(f"model: {_WHOLE} is not a whole number")
    return DecisionParameters(horizon_minutes=minutes, allow_short=allow_short, **numbers)


class Record(BaseModel):
    """A JSON record at the edge; frozen, unknown keys refused, types strict."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return canonical_json(self.model_dump())


class FileEntry(Record):
    """One file of a bundle: what its bytes must be."""

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size: int = Field(ge=0, le=MAX_FILE)

    @classmethod
    def of(cls, data: bytes) -> "FileEntry":
        """The entry of these bytes."""
        return cls(sha256=sha256_hex(data), size=len(data))


Status = Literal["champion", "candidate"]
EVERY_REGIME: Final = "all"
"""What stands for the regime of a model that does not look at it."""
Instant = Annotated[int, Field(ge=0, le=253_402_300_799_999)]
"""ms UTC up to the end of the year 9999, beyond which no instant has a text form."""


class Manifest(Record):
    """What a bundle is, where it came from and which bytes belong to it.

    Times are ISO 8601 UTC; `timestamp` is the data cut-off, `data_cutoff_ms` the same in ms. `metrics` are
    those of the scorecard plus net_edge_bps and confidence; `evidence` says how proven it is. `version` 0 = not
    yet published.
    """

    format: Literal["huracan-bundle/1"] = "huracan-bundle/1"
    coin: str = Field(min_length=1, max_length=200)
    horizon: str = Field(pattern="^[1-9][0-9]{0,4}[mhd]$")
    version: int = Field(ge=0)
    status: Status
    instrument: str = Field(max_length=200)
    training_window_start: str
    training_window_end: str
    timestamp: str
    data_cutoff_ms: Instant
    features_hash: str
    code_hash: str
    config_hash: str
    data_hash: str
    recipe_id: str
    seed: int
    model_path: str
    regime: str | None = None
    engine_type: str | None = None
    metrics: JsonObject = Field(default_factory=dict)
    evidence: dict[str, float | int | str | bool | None] = Field(default_factory=dict)
    files: dict[str, FileEntry]

    @classmethod
    def from_bytes(cls, data: bytes) -> "Manifest":
        """Read and check; raises BundleFormatError."""
        manifest = _validated(cls, data, MAX_MANIFEST, MANIFEST_FILE)
        if set(manifest.files) != set(BUNDLE_FILES):
            raise BundleFormatError(f"manifest: files {sorted(manifest.files)}, wanted {sorted(BUNDLE_FILES)}")
        return manifest


class RankRow(Record):
    """What one champion or candidate is worth in the regime of the cut-off; edge in bps of notional per round trip,
    after costs.

    One row a (coin, horizon); sets signed before had one for each regime, with the same numbers. `regime` is ``all``
    for a model that does not look at the regime.
    """

    coin: str
    horizon: str
    regime: str
    net_edge_bps: float
    confidence: float
    capacity_estimate: float | None = None


class SetMember(Record):
    """One (coin, horizon) of the current set."""

    coin: str = Field(min_length=1, max_length=200)
    horizon: str = Field(pattern="^[1-9][0-9]{0,4}[mhd]$")
    version: int = Field(ge=1)
    status: Status
    instrument: str


class DoNotTrade(Record):
    """A coin that must not be traded, a stable code (a SkipCode or OWNER) and the reason in words."""

    coin: str
    code: str
    reason: str


class LedgerHead(Record):
    """The newest entry of the ledger that a set was signed on: its number, counted from 1, and its hash."""

    number: int = Field(ge=1)
    hash: str = Field(pattern="^[0-9a-f]{64}$")


class ChampionSet(Record):
    """The current set: members by result key, ranking rows, and the coins not to trade with reasons.

    `signed_ms` is wall-clock time, `data_cutoff_ms` the data's. `origin` is the set whose members these are (itself,
    unless a rollback signed an older one anew). `extras` hold what came later than the format, so that older readers go
    on reading: among it the ledger's head.
    """

    format: Literal["huracan-set/1"] = SET_FORMAT
    version: int = Field(ge=1)
    origin: int = Field(ge=1)
    run_id: str
    data_cutoff_ms: Instant
    signed_ms: Instant
    members: dict[str, SetMember]
    ranking: list[RankRow]
    do_not_trade: list[DoNotTrade]
    extras: JsonObject = Field(default_factory=dict)

    @classmethod
    def from_bytes(cls, data: bytes) -> "ChampionSet":
        """Read and check; raises BundleFormatError."""
        record = _validated(cls, data, MAX_SET, "set")
        for key, member in record.members.items():
            if key != result_key(member.coin, member.horizon):
                raise BundleFormatError(f"set: {key[:60]!r} names {member.coin[:60]!r} {member.horizon}")
        return record

    @property
    def ledger(self) -> LedgerHead | None:
        """The head of the ledger that this set was signed on; None in sets of versions that named none.

        Raises BundleFormatError for a head that is not well formed.
        """
        if LEDGER_KEY not in self.extras:
            return None
        try:
            return LedgerHead.model_validate(self.extras[LEDGER_KEY])
        except ValidationError as error:
            raise BundleFormatError(f"set: the ledger's head is not well formed: {str(error)[:200]}") from error

    @property
    def store_id(self) -> str:
        """Which store this set is of, wherever it lies; empty in sets of versions that named none. BundleFormatError
        for an invalid id.
        """
        found = self.extras.get(STORE_KEY, "")
        if not isinstance(found, str) or (found and not STORE_ID.fullmatch(found)):
            raise BundleFormatError(f"set: the store's id is {str(found)[:60]!r}, wanted 32 hexadecimal digits")
        return found

    def extras_on(self, head: LedgerHead | None) -> JsonObject:
        """The extras with another head of the ledger, or with none."""
        others = {key: value for key, value in self.extras.items() if key != LEDGER_KEY}
        return others if head is None else {**others, LEDGER_KEY: head.model_dump()}


def bundle_folder(coin: str, horizon: str, version: int) -> str:
    """Store path of a bundle.

    >>> bundle_folder("BTC", "1h", 3)
    'models/BTC/1h/v3'
    """
    return f"models/{path_segment(coin)}/{path_segment(horizon)}/v{version}"


def _validated(kind: type[R], data: bytes, limit: int, what: str) -> R:
    try:
        return kind.model_validate(strict_json(data, limit, what=what))
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in problem["loc"])[:100]
        raise BundleFormatError(f"{what}: {where}: {problem['msg'][:200]}") from error
