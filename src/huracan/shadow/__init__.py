"""Step 8: lineages, e-processes, the ledger's rules, promotion and demotion."""

from huracan.shadow.book import NightContext, Waiting
from huracan.shadow.bounds import Exposure, bound_bps, shipped_stress_table, stress_bps
from huracan.shadow.coins import CoinEdge, coin_filter
from huracan.shadow.lineage import NOTHING, Lineage, LineageRecord, LineageRow, Observation, advance, verify
from huracan.shadow.night import Verdict, judge_night
from huracan.shadow.restated import Restatement
from huracan.shadow.series import PoolEvidence
from huracan.shadow.state import Cell, ChampionEvent, LedgerState, Trial, Unfreeze
from huracan.shadow.table import LineageView

__all__ = [
    "NOTHING",
    "Cell",
    "ChampionEvent",
    "CoinEdge",
    "Exposure",
    "LedgerState",
    "Lineage",
    "LineageRecord",
    "LineageRow",
    "LineageView",
    "NightContext",
    "Observation",
    "PoolEvidence",
    "Restatement",
    "Trial",
    "Unfreeze",
    "Verdict",
    "Waiting",
    "advance",
    "bound_bps",
    "coin_filter",
    "judge_night",
    "shipped_stress_table",
    "stress_bps",
    "verify",
]
