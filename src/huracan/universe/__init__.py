"""Step 1: who is liquid and tight enough today; a Skip per horizon for everyone else."""

from huracan.universe.archived import archived_instruments, split_symbol
from huracan.universe.build import UniverseConfig, build_universe
from huracan.universe.changes import delisted_members
from huracan.universe.historical import preference
from huracan.universe.names import coin_base, coin_keys
from huracan.universe.pegged import HELD_BPS, HELD_DAYS, held_before
from huracan.universe.spreads import tier_key

__all__ = [
    "HELD_BPS",
    "HELD_DAYS",
    "UniverseConfig",
    "archived_instruments",
    "build_universe",
    "coin_base",
    "coin_keys",
    "delisted_members",
    "held_before",
    "preference",
    "split_symbol",
    "tier_key",
]
