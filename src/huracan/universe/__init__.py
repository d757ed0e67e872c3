"""Step 1: who is liquid and tight enough today; a Skip per horizon for everyone else."""

from huracan.universe.archived import archived_instruments, split_symbol
from huracan.universe.build import UniverseRules, build_universe
from huracan.universe.names import coin_keys, resolve_coin

__all__ = ["UniverseRules", "archived_instruments", "build_universe", "coin_keys", "resolve_coin", "split_symbol"]
