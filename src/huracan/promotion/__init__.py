"""Step 8: lineages, e-processes, the ledger's rules, promotion and demotion."""

from huracan.promotion.bounds import Exposure, bound_bps, shipped_stress_table, stress_bps
from huracan.promotion.coins import CoinEdge, coin_filter
from huracan.promotion.decide import Verdict, evaluate_night
from huracan.promotion.evaluation import NightContext, Waiting
from huracan.promotion.hypothesis import NOTHING, Lineage, LineageRecord, LineageRow, Observation, advance, verify
from huracan.promotion.keys import EvidenceKey, PoolHorizon, Trial
from huracan.promotion.ledger_state import ChampionEvent, LedgerState, Unfreeze
from huracan.promotion.restated import Restatement
from huracan.promotion.series import PoolEvidence
from huracan.promotion.table import LineageView

__all__ = [
    "NOTHING",
    "ChampionEvent",
    "CoinEdge",
    "EvidenceKey",
    "Exposure",
    "LedgerState",
    "Lineage",
    "LineageRecord",
    "LineageRow",
    "LineageView",
    "NightContext",
    "Observation",
    "PoolEvidence",
    "PoolHorizon",
    "Restatement",
    "Trial",
    "Unfreeze",
    "Verdict",
    "Waiting",
    "advance",
    "bound_bps",
    "coin_filter",
    "evaluate_night",
    "shipped_stress_table",
    "stress_bps",
    "verify",
]
