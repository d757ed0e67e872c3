"""What a recipe's round trips say of each coin of a pool, over all regimes and in each one, shrunken to the pool."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from huracan.domain.frames import REGIME_CODE
from huracan.night.jobs.artefacts import Artefacts
from huracan.night.jobs.train import cell_frame
from huracan.night.state import Night
from huracan.promotion import CoinEdge, coin_filter


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredEdges:
    """A coin's edge with one recipe over all round trips, and in each regime by name; None and empty without a
    result.
    """

    overall: CoinEdge | None = None
    regimes: Mapping[str, CoinEdge] = field(default_factory=dict)


@dataclass(kw_only=True)
class PoolEdges:
    """Edges of a pool's coins at a horizon, read and shrunken once for each recipe that is asked for."""

    store: Artefacts
    night: Night
    coins: tuple[str, ...]
    horizon: str
    _known: dict[str, dict[str, MeasuredEdges]] = field(default_factory=dict)

    def of(self, recipe_id: str, coin: str) -> MeasuredEdges:
        """What a recipe's round trips say of a coin; nothing for a recipe that is not among tonight's."""
        if recipe_id not in self._known:
            self._known[recipe_id] = self._measured(recipe_id)
        return self._known[recipe_id].get(coin, MeasuredEdges())

    def _measured(self, recipe_id: str) -> dict[str, MeasuredEdges]:
        recipe = next((recipe for recipe in self.night.plan.recipes if recipe.id == recipe_id), None)
        if recipe is None:
            return {}
        cells = {coin: self.night.trained[coin].cell(recipe_id, self.horizon) for coin in self.coins}
        trades = {coin: cell_frame(self.store, cell, "trades") for coin, cell in cells.items() if cell is not None}
        wanted = recipe.sizing.min_edge_after_cost_bps
        overall = coin_filter(trades, wanted)
        regimes = {
            regime: coin_filter({coin: rows.filter(pl.col("regime") == code) for coin, rows in trades.items()}, wanted)
            for regime, code in REGIME_CODE.items()
        }
        return {
            coin: MeasuredEdges(
                overall=overall[coin], regimes={regime: edges[coin] for regime, edges in regimes.items()}
            )
            for coin in trades
        }
