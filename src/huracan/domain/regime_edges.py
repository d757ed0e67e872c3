"""What each champion of a set earned in each regime, beside the ranking.

It travels in the set's extras, which every reader accepts, so a reader that does not know it still reads the set.
"""

from collections.abc import Mapping
from typing import Final

from pydantic import Field, TypeAdapter, ValidationError

from huracan.domain.bundle import Record
from huracan.domain.json import Json, JsonObject
from huracan.errors import BundleFormatError

REGIMES_KEY: Final = "regimes"


class RegimeEdge(Record):
    """One regime of a (coin, horizon): net edge in bps of notional per round trip, shrunken to the pool, of `trips`
    round trips.

    None where there are too few of them to tell. `open` says whether the gate lets any engine vote there.
    """

    net_edge_bps: float | None
    trips: int = Field(ge=0)
    open: bool


Regimes = dict[str, RegimeEdge]
"""By regime name."""

_BY_KEY: Final = TypeAdapter(dict[str, Regimes])


def regimes_from(extras: Mapping[str, Json]) -> dict[str, Regimes]:
    """A set's regime edges by result key; empty where an older night signed it. Raises BundleFormatError."""
    try:
        return _BY_KEY.validate_python(extras.get(REGIMES_KEY, {}))
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in problem["loc"])[:100]
        raise BundleFormatError(f"set: {REGIMES_KEY}: {where}: {problem['msg'][:200]}") from error


def regimes_as_extras(regimes: Mapping[str, Regimes]) -> JsonObject:
    """The form in which a set carries them."""
    carried: JsonObject = {
        key: {name: edge.model_dump() for name, edge in of.items()} for key, of in regimes.items() if of
    }
    return {REGIMES_KEY: carried} if carried else {}
