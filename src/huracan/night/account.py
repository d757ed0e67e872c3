"""The account of a night: every (coin, horizon) has a champion or a reason, and nothing leaves the set in silence."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from huracan.domain.account import SetAccount
from huracan.domain.bundle import DoNotTrade
from huracan.domain.ids import result_key
from huracan.errors import IncompleteError
from huracan.night.carry_over import ChampionRow
from huracan.night.state import Night
from huracan.promotion import PoolHorizon, Verdict

SHOWN: Final = 5
"""How many faults a refusal names."""


def check_complete(
    night: Night, verdict: Verdict, champions: Mapping[str, ChampionRow], blocked: Sequence[DoNotTrade]
) -> SetAccount:
    """The account that the signed set carries; raises IncompleteError where it does not add up.

    `champions` are tonight's by result key, those that are carried over among them.
    """
    faults = [*_cells(night, champions), *_recipes(verdict, champions), *_coins(night, verdict, champions, blocked)]
    if faults:
        named = "; ".join(faults[:SHOWN]) + (f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else "")
        raise IncompleteError(
            f"the night's accounts do not add up: {named}. Nothing was published and yesterday's set stands. This is a "
            "fault of Huracan: please report it with the run's summary and log"
        )
    recipes: dict[str, dict[str, str]] = {}
    for (pool, horizon), recipe in verdict.champions.items():
        recipes.setdefault(pool, {})[horizon] = recipe
    return SetAccount(
        pairs=len(night.pairs),
        horizons=list(night.plan.horizons),
        skips=len(night.skips),
        verdict=recipes,
        pools={key: row.pool for key, row in champions.items()},
    )


def _cells(night: Night, champions: Mapping[str, ChampionRow]) -> Iterator[str]:
    """Every pair at every horizon exactly once, as a champion or as a skip, and nothing else."""
    accounted = Counter((row.coin, row.horizon) for row in champions.values())
    accounted.update((skip.coin, skip.horizon) for skip in night.skips)
    wanted = {(coin, horizon) for coin in night.pairs for horizon in night.plan.horizons}
    for coin, horizon in sorted(wanted - accounted.keys()):
        yield f"{coin} {horizon} has neither a champion nor a reason"
    for coin, horizon in sorted(accounted.keys() - wanted):
        yield f"{coin} {horizon} is no pair of the night at one of its horizons"
    for (coin, horizon), times in sorted(accounted.items()):
        if times > 1:
            yield f"{coin} {horizon} is accounted for {times} times, as a champion or with a reason"
    for key, row in champions.items():
        if key != result_key(row.coin, row.horizon):
            yield f"{key} holds the champion of {row.coin} {row.horizon}"


def _recipes(verdict: Verdict, champions: Mapping[str, ChampionRow]) -> Iterator[str]:
    """Every champion is of the recipe that the verdict names for its pool and horizon."""
    for key, row in sorted(champions.items()):
        named = verdict.champions.get(PoolHorizon(row.pool, row.horizon))
        if named is None or named != row.recipe_id:
            yield f"{key} is a champion of {row.recipe_id}, and the verdict names {named} in {row.pool}"


def _coins(
    night: Night, verdict: Verdict, champions: Mapping[str, ChampionRow], blocked: Sequence[DoNotTrade]
) -> Iterator[str]:
    """Every coin without a champion is on the do-not-trade list with a reason, and so is every coin of a suspended
    pool.
    """
    listed = {block.coin for block in blocked if block.reason}
    trading = {row.coin for row in champions.values()}
    for coin in sorted((night.incumbents | set(night.pairs)) - trading - listed):
        served = "leaves the set" if coin in night.incumbents else "has no champion"
        yield f"{coin} {served} and is not on the do-not-trade list"
    for key, row in sorted(champions.items()):
        if (row.pool, row.horizon) in verdict.suspended and row.coin not in listed:
            yield f"{key} follows a suspended pool and is not on the do-not-trade list"
