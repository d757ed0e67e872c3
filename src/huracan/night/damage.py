"""Damage in the lake: fetched again where a later wave meets it, and counted for the night's summary."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from huracan.domain.json import Json
from huracan.domain.night_records import Done, IngestTask
from huracan.errors import DamagedTableError
from huracan.night.jobs.ingest import ingest_pair
from huracan.night.jobs.inputs import PairPorts
from huracan.night.plan import NightPlan
from huracan.night.state import Night

T = TypeVar("T")


async def mended(
    ports: PairPorts, plan: NightPlan, coin: str, step: Callable[[], Awaitable[T]]
) -> tuple[T, tuple[str, ...]]:
    """What a step gives, and what was quarantined for it: where the lake was damaged since wave 1, its rows come again
    first.
    """
    try:
        return await step(), ()
    except DamagedTableError:
        again = await ingest_pair(ports, plan, coin, IngestTask())
        return await step(), again.quarantined


async def mended_job(ports: PairPorts, plan: NightPlan, coin: str, step: Callable[[], Awaitable[Done]]) -> Done:
    """A job of wave 2 or 3, with what was quarantined for it."""
    done, quarantined = await mended(ports, plan, coin, step)
    return replace(done, quarantined=(*done.quarantined, *quarantined))


@dataclass(frozen=True, slots=True, kw_only=True)
class LakeDamage:
    """What became of the lake's checks in a night: files and tables quarantined by coin, and files without a hash."""

    quarantined: Mapping[str, tuple[str, ...]]
    unproven_pairs: int
    unproven_files: int

    def as_dict(self) -> dict[str, Json]:
        """As the summary has it."""
        return {
            "set_aside": {coin: list(places) for coin, places in self.quarantined.items()},
            "set_aside_count": sum(map(len, self.quarantined.values())),
            "unproven_pairs": self.unproven_pairs,
            "unproven_files": self.unproven_files,
        }


def lake_damage(night: Night) -> LakeDamage:
    """Over all waves, historical constituents included."""
    unproven = [record.unproven for record in night.all_ingested().values() if record.unproven]
    return LakeDamage(
        quarantined=dict(sorted(night.quarantined.items())),
        unproven_pairs=len(unproven),
        unproven_files=sum(unproven),
    )
