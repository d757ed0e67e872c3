"""What a signed set says of its own completeness: counts, the verdict, and the pool that each champion follows.

It travels in the set's extras, which every reader accepts, so a reader that does not know it still reads the set.
"""

from collections.abc import Mapping
from typing import Final

from pydantic import Field, ValidationError

from huracan.domain.bundle import ChampionSet, Record
from huracan.domain.ids import result_key
from huracan.domain.json import Json, JsonObject
from huracan.errors import BundleFormatError

ACCOUNT_KEY: Final = "account"


class SetAccount(Record):
    """The account of the night behind a set.

    `champions` plus `skips` are `pairs` times horizons. `verdict` names the proven recipe id by pool and horizon,
    `pools` the pool of every champion by result key.
    """

    pairs: int = Field(ge=0)
    horizons: list[str]
    skips: int = Field(ge=0)
    verdict: dict[str, dict[str, str]]
    pools: dict[str, str]

    def as_extras(self) -> JsonObject:
        """The form in which the set carries it."""
        return {ACCOUNT_KEY: self.model_dump()}

    @classmethod
    def from_extras(cls, extras: Mapping[str, Json]) -> "SetAccount | None":
        """Read a set's extras; None where an older night signed it. Raises BundleFormatError."""
        if ACCOUNT_KEY not in extras:
            return None
        try:
            return cls.model_validate(extras[ACCOUNT_KEY])
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in problem["loc"])[:100]
            raise BundleFormatError(f"set: account: {where}: {problem['msg'][:200]}") from error

    def recipe_of(self, coin: str, horizon: str) -> str | None:
        """The recipe id that the verdict names for a champion of the set; None where it names none."""
        return self.verdict.get(self.pools.get(result_key(coin, horizon), ""), {}).get(horizon)


def set_faults(current: ChampionSet) -> list[str]:
    """What does not add up in a set that carries an account, in words; empty for one that is complete, or has none.

    Raises BundleFormatError for an account that is not one.
    """
    account = SetAccount.from_extras(current.extras)
    if account is None:
        return []
    champions = {key: member for key, member in current.members.items() if member.status == "champion"}
    trading = {member.coin for member in champions.values()}
    listed = {block.coin for block in current.do_not_trade}
    faults = [f"{key} is in the account and no champion of the set" for key in account.pools.keys() - champions.keys()]
    faults += [f"{key} is a champion and not in the account" for key in champions.keys() - account.pools.keys()]
    faults += [
        f"{key} is a champion of a pool without a proven recipe at {member.horizon}"
        for key, member in champions.items()
        if key in account.pools and account.recipe_of(member.coin, member.horizon) is None
    ]
    faults += [
        f"{coin} is neither a champion nor on the do-not-trade list"
        for coin in {member.coin for member in current.members.values()} - trading - listed
    ]
    cells = account.pairs * len(account.horizons)
    if len(champions) + account.skips != cells:
        faults.append(
            f"{len(champions)} champions and {account.skips} skips, wanted {cells} together ({account.pairs} pairs at "
            f"{len(account.horizons)} horizons)"
        )
    return sorted(faults)
