"""Step 6: costs, cell scores, simulated trading, its numbers, and the pool's daily results."""

from huracan.scoring.capacity import Capacity, break_even_quote, capacity_quote, edge_capacity
from huracan.scoring.cells import score_cells
from huracan.scoring.costs import CostUnknownError, row_costs
from huracan.scoring.events import EVENT_SCHEMA, decision_events
from huracan.scoring.metrics import scorecard_metrics
from huracan.scoring.portfolio import FEWEST_VALID, pool_result, stress_costs
from huracan.scoring.round_trips import round_trip_costs
from huracan.scoring.simulate import Simulation, simulate_decisions

__all__ = [
    "EVENT_SCHEMA",
    "FEWEST_VALID",
    "Capacity",
    "CostUnknownError",
    "Simulation",
    "break_even_quote",
    "capacity_quote",
    "decision_events",
    "edge_capacity",
    "pool_result",
    "round_trip_costs",
    "row_costs",
    "score_cells",
    "scorecard_metrics",
    "simulate_decisions",
    "stress_costs",
]
