"""Damage in the lake: fetched again where a later wave meets it, and counted for the night's summary."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar

from huracan.errors import DamagedTableError
from huracan.night.jobs.ingest import ingest_pair
from huracan.night.jobs.inputs import PairPorts
from huracan.night.plan import NightPlan
from huracan.night.state import Night

T = TypeVar("T")


async def mended(ports: PairPorts, plan: NightPlan, coin: str, step: Callable[[], Awaitable[T]]) -> tuple[T, list[str]]:
    """What a step gives, and what was set aside for it: where the lake was damaged since wave 1, its rows come again first."""
    try:
        return await step(), []
    except DamagedTableError:
        again = await ingest_pair(ports, plan, coin, {})
        return await step(), again.get("set_aside", [])


def with_set_aside(record: dict[str, Any], places: list[str]) -> dict[str, Any]:
    """A job's record with what was set aside for it; that is no part of the record which is stored."""
    return {**record, "set_aside": [*record.get("set_aside", ()), *places]} if places else record


def set_aside(records: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Files and tables that the jobs of a wave have set aside, by coin."""
    return {coin: list(record["set_aside"]) for coin, record in records.items() if record.get("set_aside")}


def lake_summary(night: Night) -> dict[str, Any]:
    """What became of the lake's checks tonight, over all waves, former pairs included."""
    waves = (night.facts, night.prepared, night.trained)
    former = (night.former.facts, night.former.prepared, night.former.trained)
    found: dict[str, list[str]] = {}
    for records in (*waves, *former):
        for coin, places in set_aside(records).items():
            found.setdefault(coin, []).extend(places)
    unproven = dict(_unproven((*night.facts.items(), *night.former.facts.items())))
    return {
        "set_aside": dict(sorted(found.items())),
        "set_aside_count": sum(map(len, found.values())),
        "unproven_pairs": len(unproven),
        "unproven_files": sum(unproven.values()),
    }


def _unproven(records: Iterable[tuple[str, Mapping[str, Any]]]) -> Iterable[tuple[str, int]]:
    return ((coin, facts["unproven"]) for coin, facts in records if facts.get("unproven"))
