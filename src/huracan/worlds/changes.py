"""A market that changes in mid-run: instruments that are renamed, delisted or listed while clients are reading."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import polars as pl

from huracan.worlds.faults import Change
from huracan.worlds.source import Book, Day, ListedInstrument, MarketSource, WorstDay


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedMarket:
    """A source with changes on top. `names` leads from new ids to the source's, `ends` and `starts` bound the bars."""

    source: MarketSource
    unlisted: frozenset[str] = frozenset()
    names: Mapping[str, str] = field(default_factory=dict)
    ends: Mapping[str, int] = field(default_factory=dict)
    starts: Mapping[str, int] = field(default_factory=dict)

    @property
    def now_ms(self) -> int:
        """The source's moment."""
        return self.source.now_ms

    @property
    def last_ms(self) -> int:
        """The source's."""
        return self.source.last_ms

    def at(self, now_ms: int) -> Self:
        """The same market at another moment, as it has changed by now."""
        return replace(self, source=self.source.at(now_ms))

    def changed(self, change: Change, now_ms: int) -> Self:
        """The market after one more change, made at a moment; unknown instruments change nothing."""
        if change.kind == "delist":
            return replace(self, ends={**self.ends, change.symbol: now_ms})
        if change.kind == "list":
            starts = {**self.starts, change.symbol: now_ms}
            return replace(self, unlisted=self.unlisted - {change.symbol}, starts=starts)
        if change.kind == "rename":
            market = change.symbol.rpartition("-")[2]
            return replace(self, names={**self.names, f"{change.to}-{market}": change.symbol})
        return self

    def instruments(self) -> tuple[ListedInstrument, ...]:
        """Everything listed until now, under its present name."""
        new_names = {old: new for new, old in self.names.items()}
        return tuple(
            self._present(item, new_names.get(item.id)) for item in self.source.instruments() if self._is_listed(item)
        )

    def klines(self, id: str, start_ms: int, end_ms: int) -> pl.DataFrame:  # noqa: A002
        """Bars from its listing to its end."""
        start, end = max(start_ms, self.starts.get(id, start_ms)), min(end_ms, self.ends.get(id, end_ms))
        return self.source.klines(self._known(id), start, end)

    def funding(self, id: str) -> pl.DataFrame:  # noqa: A002
        """Settlements from its listing to its end."""
        time = pl.col("funding_time")
        within = (time >= self.starts.get(id, 0)) & (time < self.ends.get(id, 2**62))
        return self.source.funding(self._known(id)).filter(within)

    def book(self, id: str) -> Book | None:  # noqa: A002
        """Quotes; None for what was delisted."""
        return None if id in self.ends else self.source.book(self._known(id))

    def day(self, id: str) -> Day | None:  # noqa: A002
        """The last 24 hours; None for what was delisted or listed just now."""
        return None if id in self.ends or id in self.starts else self.source.day(self._known(id))

    def stress_table(self) -> WorstDay | None:
        """The source's."""
        return self.source.stress_table()

    def _known(self, id_: str) -> str:
        if id_ in self.unlisted or id_ in self.names.values():
            raise KeyError(id_)
        return self.names.get(id_, id_)

    def _is_listed(self, item: ListedInstrument) -> bool:
        return item.id not in self.unlisted

    def _present(self, item: ListedInstrument, new_id: str | None) -> ListedInstrument:
        instrument = item.instrument
        if new_id is not None:
            instrument = replace(instrument, symbol=new_id.rpartition("-")[0])
        if instrument.id in self.ends:
            instrument = replace(instrument, status="BREAK" if instrument.market == "spot" else "SETTLING")
            return replace(item, instrument=instrument, delivery_ms=self.ends[instrument.id])
        if instrument.id in self.starts:
            start = self.starts[instrument.id]
            return replace(item, instrument=replace(instrument, listed_ms=start), onboard_ms=start)
        return replace(item, instrument=instrument)
