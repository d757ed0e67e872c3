"""Simulated markets of known truth: `simulate(WorldSpec(name="demo"))` is a MarketSource.

Symbols are simulated when first asked for, each from its own random streams; the newest few are kept in memory.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final, Self, TypedDict

import polars as pl

from huracan.domain.ids import Instrument
from huracan.domain.time import DAY_MS, MINUTE_MS, iso
from huracan.errors import ConfigError
from huracan.worlds.process import CommonPath, common_path, quantity_decimals, simulate_bars, simulate_funding
from huracan.worlds.source import NO_DELIVERY_MS, Book, Day, ListedInstrument, WorstDay, between, known_at, last_day
from huracan.worlds.spec import SPARE_DAYS, START_MS, Listing, WorldSpec, plan_listings
from huracan.worlds.stress import declared_table

CACHED_SYMBOLS: Final = 10


def simulate(spec: WorldSpec) -> "SimulatedWorld":
    """The market of a spec, at its end. Nothing is computed before it is asked for."""
    return SimulatedWorld(spec=spec, now_ms=spec.now_ms, store=_Store(spec))


class Truth(TypedDict):
    """What was planted in a world, in the units of its spec."""

    world: str
    seed: int
    planted: list[str]
    strength_bps_per_hour: float
    half_life_minutes: float
    signal_correlation: float
    edge_ends: str | None
    published_as: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedWorld:
    """A simulated market as known at `now_ms`; views at other moments share what was computed."""

    spec: WorldSpec
    now_ms: int
    store: "_Store" = field(repr=False, compare=False)

    @property
    def last_ms(self) -> int:
        """End of the spare days."""
        return self.spec.now_ms + SPARE_DAYS * DAY_MS

    def at(self, now_ms: int) -> Self:
        """The same market at another moment of its span."""
        if not START_MS < now_ms <= self.last_ms:
            message = (
                f"world {self.spec.name!r} spans {iso(START_MS)} to {iso(self.last_ms)}, now {iso(now_ms)} is outside"
            )
            raise ConfigError(message)
        return replace(self, now_ms=now_ms)

    def instruments(self) -> tuple[ListedInstrument, ...]:
        """Everything listed until now; a symbol is dead only after its last bar."""
        return tuple(self._listed(plan) for plan in self.store.listings.values() if plan.listed_ms <= self.now_ms)

    def klines(self, id: str, start_ms: int, end_ms: int) -> pl.DataFrame:  # noqa: A002
        """Bars with start <= open_time < min(end, now); a running bar shows its open only."""
        bars = known_at(self.store.bars(id), self.now_ms, self.spec.interval_minutes * MINUTE_MS)
        return between(bars, start_ms, end_ms)

    def funding(self, id: str) -> pl.DataFrame:  # noqa: A002
        """Settlements before now."""
        return simulate_funding(self.spec, self.store.listings[id]).filter(pl.col("funding_time") < self.now_ms)

    def book(self, id: str) -> Book | None:  # noqa: A002
        """Quotes around the last close, as wide as the listing's spread; None for a symbol that does not trade."""
        plan = self.store.listings[id]
        recent = self.klines(id, self.now_ms - 3 * DAY_MS, self.now_ms)
        if (plan.last_ms is not None and plan.last_ms <= self.now_ms) or recent.height == 0:
            return None
        close, scale = float(recent["close"][-1]), 10.0 ** (plan.decimals or 0)
        half = max(0.5e-4 * plan.spread_bps * close, 0.5 / scale)
        quantity = max(round(plan.volume_day_quote / 2e4 / close, quantity_decimals(plan)), 1.0)
        return round((close - half) * scale) / scale, round((close + half) * scale) / scale, quantity, quantity

    def day(self, id: str) -> Day | None:  # noqa: A002
        """The 24 hours before now, from the bars."""
        return last_day(self, id)

    def stress_table(self) -> WorstDay:
        """The worst day that the truncation of returns allows, see `stress`."""
        return declared_table(self.spec)

    def truth(self) -> Truth:
        """What was planted: what a night on this world should find."""
        spec = self.spec
        broken = spec.broken_from_ms
        return {
            "world": spec.name,
            "seed": spec.seed,
            "planted": list(spec.planted_coins),
            "strength_bps_per_hour": spec.strength_bps_per_hour if spec.planted_coins else 0.0,
            "half_life_minutes": spec.half_life_minutes,
            "signal_correlation": spec.signal_correlation,
            "edge_ends": None if broken is None else iso(broken),
            "published_as": "taker-buy share of volume of the bar before",
            "note": "Simulated. A planted edge of this size is far stronger than any real market's.",
        }

    def _listed(self, plan: Listing) -> ListedInstrument:
        dead = plan.last_ms is not None and plan.last_ms <= self.now_ms
        instrument = Instrument(
            market=plan.market,
            symbol=plan.symbol,
            base=plan.base,
            quote="USDT",
            status=plan.status_after if dead else "TRADING",
            contract_type="PERPETUAL" if plan.market == "um" else None,
            tick_size=float(f"1e-{plan.decimals or 0}"),
            listed_ms=plan.listed_ms,
        )
        return ListedInstrument(
            instrument=instrument,
            onboard_ms=plan.listed_ms,
            delivery_ms=plan.last_ms if dead and plan.last_ms is not None else NO_DELIVERY_MS,
            interval_ms=self.spec.interval_minutes * MINUTE_MS,
            step_size=float(f"1e-{quantity_decimals(plan)}"),
            funding_hours=plan.funding_hours,
        )


class _Store:
    """Computed symbols of one spec, safe to share between threads."""

    def __init__(self, spec: WorldSpec) -> None:
        self.spec = spec
        self.listings: dict[str, Listing] = {f"{plan.symbol}-{plan.market}": plan for plan in plan_listings(spec)}
        self._kept: OrderedDict[str, pl.DataFrame] = OrderedDict()
        self._guard = threading.Lock()
        self._working = {id_: threading.Lock() for id_ in self.listings}

    @cached_property
    def common(self) -> CommonPath:
        return common_path(self.spec)

    def bars(self, id_: str) -> pl.DataFrame:
        with self._working[id_]:
            with self._guard:
                found = self._kept.get(id_)
                if found is not None:
                    self._kept.move_to_end(id_)
                    return found
                common = self.common
            frame = simulate_bars(self.spec, self.listings[id_], common)
            with self._guard:
                self._kept[id_] = frame
                while len(self._kept) > CACHED_SYMBOLS:
                    self._kept.popitem(last=False)
            return frame
