"""A paper account: positions marked at the last close, costs and funding paid, every action in a journal."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from huracan.adapters.reports import write_atomically
from huracan.domain.time import DAY_MS, iso


@dataclass
class Position:
    """One coin at one horizon: `fraction` is signed, of the cell's capital; `mark` is the price of the last step.

    Funding is paid up to `funded_ms`; at `until_ms` the horizon has passed.
    """

    instrument: str
    fraction: float
    entry: float
    mark: float
    funded_ms: int
    until_ms: int


@dataclass
class Account:
    """What a restart must know; cells are named ``COIN_horizon``, money is in quote currency."""

    capital: float
    pnl: float = 0.0
    costs: float = 0.0
    last_decision_ms: int = 0
    day_pnl: dict[str, float] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path, capital: float) -> "Account":
        """The account in a folder, or a new one where there is none."""
        file = folder / "account.json"
        if not file.exists():
            return cls(capital=capital)
        record = json.loads(file.read_bytes())
        return cls(**{**record, "positions": {key: Position(**row) for key, row in record["positions"].items()}})

    def begin(self, decision_ms: int) -> None:
        """A new decision time; daily results start afresh with each UTC day."""
        if decision_ms // DAY_MS != self.last_decision_ms // DAY_MS:
            self.day_pnl = {}

    def end(self, folder: Path, decision_ms: int) -> None:
        """The decision is done: replace the file whole."""
        self.last_decision_ms = decision_ms
        write_atomically(folder / "account.json", json.dumps(asdict(self), indent=1).encode())

    def fraction(self, key: str) -> float:
        """What a cell holds, 0 for nothing."""
        held = self.positions.get(key)
        return 0.0 if held is None else held.fraction

    def mark(self, key: str, price: float, funding: tuple[float, int], unit: float) -> None:
        """Book what the price and `funding` (what a long paid of its notional, and until when) did to a position."""
        held = self.positions[key]
        paid, held.funded_ms = funding
        self._book(key, unit * held.fraction * ((price - held.mark) / held.entry - paid))
        held.mark = price

    def trade(self, key: str, new: Position, unit: float, cost_rate: float) -> float:
        """Move a cell to a new position (fraction 0: out of it), pay `cost_rate` of what that trades; returns the
        cost.
        """
        cost = unit * abs(new.fraction - self.fraction(key)) * cost_rate
        self.costs += cost
        self._book(key, -cost)
        self.positions.pop(key, None)
        if new.fraction:
            self.positions[key] = new
        return cost

    def _book(self, key: str, amount: float) -> None:
        self.pnl += amount
        self.day_pnl[key] = self.day_pnl.get(key, 0.0) + amount


def journal(folder: Path, decision_ms: int, key: str, action: str, **facts: Any) -> None:
    """Append one action to the journal."""
    line = json.dumps({"time": iso(decision_ms), "cell": key, "action": action, **facts}, ensure_ascii=False)
    with (folder / "journal.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(line + "\n")
