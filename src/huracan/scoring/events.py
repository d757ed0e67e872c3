"""What the simulated trader did, action by action, for Parquet and the event log."""

from typing import Final, Literal, cast

import numpy as np
import polars as pl

from huracan.domain.frames import Schema
from huracan.domain.records import DecisionEvent
from huracan.scoring.position_records import CLOSE, ENTER, ROLL, STOP, TURN, Actions

Action = Literal["enter", "roll", "close", "turn", "stop"]

ACTIONS: Final[dict[int, Action]] = {ENTER: "enter", ROLL: "roll", CLOSE: "close", TURN: "turn", STOP: "stop"}

EVENT_SCHEMA: Final[Schema] = {
    "time": pl.Int64,  # of the fill
    "coin": pl.String,
    "horizon": pl.String,
    "recipe": pl.String,
    "action": pl.String,
    "side": pl.Int64,  # of the position after the action, or of the one it closed
    "score": pl.Float64,  # of the decision; a stop carries the last decision's
    "edge_bps": pl.Float64,
    "net_edge_bps": pl.Float64,  # |edge| - round-trip cost
    "position": pl.Float64,  # signed fraction of capital after the action
    "price": pl.Float64,
}


def event_frame(actions: Actions, path: pl.DataFrame, coin: str, horizon: str, recipe_id: str) -> pl.DataFrame:
    """EVENT_SCHEMA rows of actions on the decisions of `path`, ascending."""
    at = path[actions.decision]
    names = {"coin": coin, "horizon": horizon, "recipe": recipe_id}
    return pl.DataFrame(
        {
            "time": actions.time,
            **{name: [text] * len(actions.time) for name, text in names.items()},
            "action": [ACTIONS[int(kind)] for kind in actions.kind],
            "side": actions.side.astype(np.int64),
            "score": at["score"],
            "edge_bps": at["edge_bps"],
            "net_edge_bps": at["edge_bps"].abs() - at["cost_bps"],
            "position": actions.position,
            "price": actions.price,
        },
        schema=EVENT_SCHEMA,
    )


def decision_events(events: pl.DataFrame) -> tuple[DecisionEvent, ...]:
    """The rows of an event frame as records."""
    return tuple(
        DecisionEvent(**{**row, "action": cast("Action", row["action"])}) for row in events.iter_rows(named=True)
    )
