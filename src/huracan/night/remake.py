"""What a night does about files that are gone or altered: what makes them is run again, and then what wanted them."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeVar

from huracan.errors import AlteredArtefactError
from huracan.night.ports import NightPorts
from huracan.night.state import Night, PairOutcome, PairWork

S = TypeVar("S")
T = TypeVar("T")
Remake = Callable[[S], Awaitable[S]]

REMAKES: Final = 3
"""How often altered files are made again: a writer that is faster than that has the night refused."""


async def unaltered(step: Callable[[S], T], remake: Remake[S], given: S) -> T:
    """What a step of the driver makes of what it is given, which is checked, and made again where a file was
    altered.
    """
    for _ in range(REMAKES):
        try:
            return step(given)
        except AlteredArtefactError:
            given = await remake(given)
    return step(given)


async def outcomes_of(
    ports: NightPorts,
    night: Night,
    coins: Iterable[str],
    work: Callable[[Night, str], PairWork | None],
    remake: Remake[Night],
) -> tuple[Night, list[PairOutcome]]:
    """The outcomes of one job a coin; jobs that found an input altered run again once it is made again.

    `work` gives None for a coin whose inputs could not be made again: its first outcome stands.
    """
    found: dict[str, PairOutcome] = {}
    left = list(coins)
    for attempt in range(REMAKES + 1):
        if attempt:
            night = await remake(night)
        jobs = [job for coin in left if (job := work(night, coin)) is not None]
        outcomes = await ports.waves.run(night.plan, jobs)
        found |= {outcome.coin: outcome for outcome in outcomes}
        left = [outcome.coin for outcome in outcomes if outcome.code == AlteredArtefactError.code]
        if not left:
            break
    return night, list(found.values())
