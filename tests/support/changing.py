"""An exchange whose listing changes while a night runs: five things that happen to a symbol, at any moment."""

from dataclasses import replace
from typing import Any, Final, Literal, get_args

import polars as pl

from huracan.worlds.exchange import ReplayExchange
from huracan.worlds.rest import Params, RestApi
from huracan.worlds.source import Book, Day, ListedInstrument, MarketSource, last_day

Event = Literal["rename", "delisting", "reused ticker", "new listing", "status change"]
EVENTS: Final[tuple[Event, ...]] = get_args(Event)
RENAMED: Final = "RENAMEDUSDT"
FRESH: Final = "BRANDNEWUSDT"


class ChangingMarket:
    """A market source in which `event` has happened to `victim` (an instrument id) once it is set."""

    def __init__(self, inner: MarketSource, victim: str) -> None:
        self.inner, self.victim = inner, victim
        self.event: Event | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def at(self, now_ms: int) -> "ChangingMarket":
        raise NotImplementedError("this market stands still")

    def instruments(self) -> tuple[ListedInstrument, ...]:
        """What the exchange lists: as the inner market does, but for the event."""
        listed = self.inner.instruments()
        if self.event == "new listing":
            victim = next(item for item in listed if item.id == self.victim)
            return (*listed, _named(victim, FRESH, "BRANDNEW", self.inner.now_ms))
        return tuple(self._changed(item) if item.id == self.victim else item for item in listed)

    def klines(self, id: str, start_ms: int, end_ms: int) -> pl.DataFrame:  # noqa: A002
        """A renamed symbol brings its history along; one that was given away or is new has none."""
        frame = self.inner.klines(self._source_of(id), start_ms, end_ms)
        is_new = id.startswith(FRESH) or (self.event == "reused ticker" and id == self.victim)
        return frame.clear() if is_new else frame

    def funding(self, id: str) -> pl.DataFrame:  # noqa: A002
        """Of the instrument whose bars are shown."""
        frame = self.inner.funding(self._source_of(id))
        return frame.clear() if id.startswith(FRESH) else frame

    def day(self, id: str) -> Day | None:  # noqa: A002
        """The 24 hours before now, from the bars that are shown."""
        return last_day(self, id)

    def book(self, id: str) -> Book | None:  # noqa: A002
        """No quotes for what does not trade."""
        quiet = id == self.victim and self.event in {"delisting", "status change"}
        return None if quiet else self.inner.book(self._source_of(id))

    def _source_of(self, id_: str) -> str:
        return self.victim if id_.startswith((RENAMED, FRESH)) else id_

    def _changed(self, item: ListedInstrument) -> ListedInstrument:
        now = self.inner.now_ms
        if self.event == "rename":
            return _named(item, RENAMED, "RENAMED", item.onboard_ms)
        if self.event == "delisting":
            gone = replace(item.instrument, status="SETTLING" if item.instrument.market == "um" else "BREAK")
            return replace(item, instrument=gone, delivery_ms=now)
        if self.event == "reused ticker":
            return _named(item, item.instrument.symbol, item.instrument.base, now)
        if self.event == "status change":
            return replace(item, instrument=replace(item.instrument, status="PENDING_TRADING"))
        return item


class StrictRest(RestApi):
    """Refuses bars of a future that is being settled, as the exchange does; spot answers for the dead, too."""

    def answer(self, view: MarketSource, path: str, params: Params) -> tuple[int, bytes]:
        """As any REST answer."""
        if path == "/fapi/v1/klines":
            item = self.listed(view, "um").get(params.get("symbol", ""))
            if item is not None and item.instrument.status == "SETTLING":
                return 400, b'{"code":-1122,"msg":"Invalid symbol status."}'
        return super().answer(view, path, params)


class ChangingExchange(ReplayExchange):
    """A replay exchange of a ChangingMarket; `happen` makes the event true from the next request on."""

    def __init__(self, market: ChangingMarket, **options: Any) -> None:
        super().__init__(market, **options)
        self.market, self.rest = market, StrictRest()

    def happen(self, event: Event | None) -> None:
        """Change the market, and forget every answer that was computed before."""
        self.market.event = event
        self.rest = StrictRest()


def _named(item: ListedInstrument, symbol: str, base: str, onboard_ms: int) -> ListedInstrument:
    instrument = replace(item.instrument, symbol=symbol, base=base, listed_ms=onboard_ms)
    return replace(item, instrument=instrument, onboard_ms=onboard_ms)
