"""The hypotheses of a night as its summary and pages have them: the ledger's line, and what all backtested days
gave.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np

from huracan.domain.json import Json
from huracan.promotion import LineageView, PoolEvidence
from huracan.stats.hac import hac_standard_error
from huracan.training.recipes import ALL_SEEN

NORMAL_90: Final = 1.6448536269514722
"""Standard errors to either side of a mean that 90% of ordinary intervals reach."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HypothesisRow:
    """A hypothesis of the ledger tonight, with the pairs its pool counted, its daily Sharpe ratio, and what all
    backtested days gave.

    Days that do not count as evidence (inside `seen`) are in `walk_days` and `walk_*_bps` alone; the interval is the
    ordinary one of 90%, and holds for one look only. `looked_at_by` says by whom.
    """

    view: LineageView
    members: tuple[str, ...]
    former: tuple[str, ...]
    sharpe_day: float | None
    walk_days: int
    walk_mean_bps: float | None
    walk_low_bps: float | None
    walk_high_bps: float | None
    looked_at_by: str

    def as_dict(self) -> dict[str, Json]:
        """As the summary has it: all of the view's fields, and these."""
        own: dict[str, Json] = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "view"}
        return {**self.view.as_dict(), **own, "members": list(self.members), "former": list(self.former)}


def hypothesis_rows(table: Iterable[LineageView], evidence: Sequence[PoolEvidence]) -> tuple[HypothesisRow, ...]:
    """One row for each line of the verdict's table."""
    return tuple(_row(view, evidence) for view in table)


def _row(view: LineageView, evidence: Sequence[PoolEvidence]) -> HypothesisRow:
    wanted = (view.pool, view.horizon, view.recipe_id)
    own = next((e for e in evidence if (e.pool, e.horizon, e.recipe.id) == wanted), None)
    days = own.daily.filter("valid")["net_bps"].to_numpy() if own is not None else np.empty(0)
    mean = float(days.mean()) if days.size else None
    reach = NORMAL_90 * hac_standard_error(days) if days.size > 1 else None
    unknown = own is not None and own.recipe.seen[:1] and own.recipe.seen[0][0] == ALL_SEEN[0][0]
    return HypothesisRow(
        view=view,
        members=own.members if own is not None else (),
        former=own.former if own is not None else (),
        sharpe_day=view.mean_bps / view.sd_bps if view.mean_bps is not None and view.sd_bps else None,
        walk_days=int(days.size),
        walk_mean_bps=mean,
        walk_low_bps=mean - reach if mean is not None and reach is not None else None,
        walk_high_bps=mean + reach if mean is not None and reach is not None else None,
        looked_at_by="unknown" if unknown else "makers",
    )
