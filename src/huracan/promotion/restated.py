"""Recorded days that tonight's evidence reads differently; the recorded ones stand."""

from dataclasses import dataclass
from typing import Final

from huracan.domain.time import day_iso
from huracan.promotion.evaluation import Evaluation
from huracan.promotion.hypothesis import LineageRow, Observation, RowKind, same_result

RECORDED: Final = frozenset({RowKind.OBSERVED, RowKind.VOID})


@dataclass(frozen=True, slots=True, kw_only=True)
class Restatement:
    """What tonight reads differently of one open lineage's recorded days.

    `days` ascending, of which `void` are valid on one side only. On the others `largest_bps` is the largest move of a
    day's net result or difference to the champion, `total_bps` the sum of the net results' moves.
    """

    recipe_id: str
    recipe_name: str
    pool: str
    horizon: str
    days: tuple[int, ...]
    largest_bps: float
    total_bps: float
    void: int

    def sentence(self) -> str:
        r"""The recipe, the days and how much, in words.

        >>> moved = Restatement(recipe_id="linear-1", recipe_name="linear", pool="um-A", horizon="1h",
        ...                     days=(20454, 20456), largest_bps=3.0, total_bps=-1.25, void=0)
        >>> print(moved.sentence().replace(", by", ",\nby"))
        linear-1 in um-A at 1h: 2 recorded days (2026-01-01 to 2026-01-03) now read differently,
        by up to 3 bps a day and -1.25 bps in all
        """
        first, last = day_iso(self.days[0]), day_iso(self.days[-1])
        void = f", {self.void} of them void on one side" if self.void else ""
        return (
            f"{self.recipe_id} in {self.pool} at {self.horizon}: {len(self.days)} recorded days ({first} to {last}) now read "
            f"differently, by up to {self.largest_bps:.3g} bps a day and {self.total_bps:+.3g} bps in all{void}"
        )


def restatements(evaluation: Evaluation) -> tuple[Restatement, ...]:
    """Where tonight's evidence contradicts recorded days of open lineages by more than rounding."""
    found = []
    for lineage_id in evaluation.open_ids():
        record = evaluation.records[lineage_id]
        path = evaluation.path(record.lineage)
        if path is None or not record.rows:
            continue
        recorded = {row.day: row for row in record.rows if row.kind in RECORDED}
        tonight = path.after(record.rows[0].day - 1, record.rows[-1].day)
        pairs = [(row, seen) for seen in tonight if (row := recorded.get(seen.day)) and not same_result(row, seen)]
        if pairs:
            found.append(_restatement(evaluation, lineage_id, pairs))
    return tuple(found)


def _restatement(evaluation: Evaluation, lineage_id: str, pairs: list[tuple[LineageRow, Observation]]) -> Restatement:
    lineage = evaluation.records[lineage_id].lineage
    moves = [move for row, seen in pairs if (move := _moved(row, seen)) is not None]
    return Restatement(
        recipe_id=lineage.recipe_id,
        recipe_name=lineage.recipe_name,
        pool=lineage.pool,
        horizon=lineage.horizon,
        days=tuple(row.day for row, _ in pairs),
        largest_bps=max((max(abs(net), abs(difference)) for net, difference in moves), default=0.0),
        total_bps=sum(net for net, _ in moves),
        void=len(pairs) - len(moves),
    )


def _moved(row: LineageRow, seen: Observation) -> tuple[float, float] | None:
    """By how much net result and difference moved; None where the day is void then or now."""
    if row.net_bps is None or row.difference_bps is None or seen.net_bps is None or seen.difference_bps is None:
        return None
    return seen.net_bps - row.net_bps, seen.difference_bps - row.difference_bps
