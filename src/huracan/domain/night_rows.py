"""Rows of a night's results: errors, champions that are served, and what was made tonight."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from huracan.domain.json import Json, JsonObject
from huracan.domain.night_records import LiveDecision


@dataclass(frozen=True, slots=True, kw_only=True)
class RunError:
    """An error of a night that cost a coin (or one of its horizons, '' for all) its place."""

    coin: str
    step: int
    code: str
    error: str
    horizon: str = ""

    def as_dict(self) -> dict[str, str]:
        """As the summary has it."""
        place = {"coin": self.coin, **({"horizon": self.horizon} if self.horizon else {})}
        return {**place, "step": str(self.step), "code": self.code, "error": self.error}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedChampion:
    """A champion of the set that readers see now.

    `instrument` and `data_cutoff_ms` are those of its training; `recipe_id`, `pool` and `lineage` as its bundle names
    them. `damage` says why the bundle's manifest cannot be read, else ''. `status` and `reason` are set where it is
    carried over.
    """

    coin: str
    horizon: str
    instrument: str
    data_cutoff_ms: int
    recipe_id: str
    pool: str
    lineage: str
    damage: str
    regime: str | None
    edge_after_cost_bps: Json
    confidence: Json
    metrics: JsonObject
    version: int
    path: str
    status: str = "served"
    reason: str = ""

    def as_dict(self) -> dict[str, object]:
        """As the documented result has a champion that is carried over."""
        absent: dict[str, object] = {"edge_bps": None, "lower_bps": None, "model": None, "live": None}
        return {**_shallow(self), **absent, "costs": {}, "live_features": {}, "champion": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRow:
    """A champion or candidate that was made tonight. Edges in bps, after costs where the name says so; `lower_bps` is
    the lower 5% point of the coin's own edge. `version` and `path` are None until it is in the store. `nights_missing`
    counts to the night that can decide (None: not in sight). `live_features` are the model's inputs at the cut-off.
    """

    coin: str
    horizon: str
    regime: str
    edge_bps: float | None
    edge_after_cost_bps: float
    lower_bps: float | None
    confidence: float
    model: bytes
    metrics: JsonObject
    costs: JsonObject
    recipe: str
    recipe_id: str
    pool: str
    champion: bool
    status: str
    e_value: float | None
    nights_missing: float | None
    root: str
    live: LiveDecision | None
    live_features: Mapping[str, float | None]
    version: int | None = None
    path: str | None = None

    def as_dict(self) -> dict[str, object]:
        """As the documented result has it."""
        return {**_shallow(self), "live": None if self.live is None else asdict(self.live)}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMember:
    """A member of a set as it was stored: its version, its folder, and whether it is new or was there."""

    version: int
    path: str
    action: str


def _shallow(record: "ServedChampion | PublishedRow") -> dict[str, object]:
    return {one.name: getattr(record, one.name) for one in fields(record)}
