"""Step 8: lineages, e-processes, the ledger's rules, promotion and demotion."""

from huracan.promotion.bounds import Exposure, bound_bps, shipped_stress_table, stress_bps
from huracan.promotion.coins import CoinEdge, coin_filter
from huracan.promotion.decide import Verdict, judge_night
from huracan.promotion.evaluation import NightContext, Waiting
from huracan.promotion.hypothesis import NOTHING, Lineage, LineageRecord, LineageRow, Observation, advance, verify
from huracan.promotion.ledger_state import Cell, ChampionEvent, LedgerState, Trial, Unfreeze
from huracan.promotion.restated import Restatement
from huracan.promotion.series import PoolEvidence
from huracan.promotion.table import LineageView

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
