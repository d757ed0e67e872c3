"""Keys of champions, of evidence and of trials."""

from typing import NamedTuple


class PoolHorizon(NamedTuple):
    """Where there is at most one champion."""

    pool: str
    horizon: str


class EvidenceKey(NamedTuple):
    """One recipe in one pool at one horizon."""

    pool: str
    horizon: str
    recipe_id: str

    @property
    def pool_horizon(self) -> PoolHorizon:
        """Where the recipe competes."""
        return PoolHorizon(self.pool, self.horizon)


class Trial(NamedTuple):
    """Something that was scored on history. The order of the fields is the stored one."""

    recipe_id: str
    pool: str
    horizon: str
