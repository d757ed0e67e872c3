"""Which world to simulate, and what it lists: every number of a simulated market that is not random."""

import math
from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

from huracan.domain.time import DAY_MS, HOUR_MS, MINUTE_MS
from huracan.errors import ConfigError

WorldName = Literal["demo", "null", "skewed", "planted", "broken"]
WORLD_NAMES: Final[tuple[WorldName, ...]] = get_args(WorldName)

START_MS: Final = 1_767_225_600_000
"""2026-01-01T00:00Z: after everything the makers of the built-in recipes have seen."""

SPARE_DAYS: Final = 2
"""Days simulated beyond `now`, so that a ticking exchange has a future."""

CRASH_PROBABILITY: Final = 0.015
CRASH_VOL_SHARE: Final = 0.9
"""Per coin and day in the skewed world; its two-point days have this share of the own volatility as their sd."""

_WORDS: Final = (
    *("ALFA", "BRAVO", "CHARLIE", "DELTA", "ECHO", "FOXTROT", "GOLF", "HOTEL", "INDIA", "JULIETT", "KILO", "LIMA"),
    *("MIKE", "NOVEMBER", "OSCAR", "PAPA", "QUEBEC", "ROMEO", "SIERRA", "TANGO", "UNIFORM", "VICTOR", "WHISKEY"),
    *("XRAY", "YANKEE", "ZULU"),
)

SPOT_BASES: Final = ("BTC", "ALFA", "BRAVO")
"""Regular coins that trade on spot too, so that the choice of a market is exercised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldSpec:
    """A simulated market, fully determined: the same spec gives the same bytes.

    `coins` counts the regular ones (USD-M perpetuals of tier A). `planted` None means 10 in `demo`, all in `planted`
    and `broken`, none elsewhere. `t_factor_bps` and `t_idio_bps` bound the day's sum of factor and own moves.
    """

    name: WorldName
    coins: int = 16
    days: int = 120
    seed: int = 0
    interval_minutes: int = 1
    planted: int | None = None
    strength_bps_per_hour: float = 30.0
    half_life_minutes: float = 1440.0
    signal_correlation: float = 0.3
    taker_tilt: float = 0.12
    daily_vol_bps: float = 450.0
    t_factor_bps: float = 800.0
    t_idio_bps: float = 800.0
    broken_after: float = 0.6

    def __post_init__(self) -> None:
        checks = (
            (self.name in WORLD_NAMES, f"world is {self.name!r}, wanted one of {', '.join(WORLD_NAMES)}"),
            (1 <= self.coins <= 1000, f"coins is {self.coins}, wanted 1 to 1000"),
            (1 <= self.days <= 4000, f"days is {self.days}, wanted 1 to 4000"),
            (self.interval_minutes in {1, 15, 60}, f"interval_minutes is {self.interval_minutes}, wanted 1, 15 or 60"),
            (self.planted is None or 0 <= self.planted <= self.coins, f"planted is {self.planted}, wanted 0 to coins"),
            (0 <= self.signal_correlation <= 1, f"signal_correlation is {self.signal_correlation}, wanted 0 to 1"),
            (0 < self.t_factor_bps < 2500, f"t_factor_bps is {self.t_factor_bps}, wanted above 0, below 2500"),
            (0 < self.t_idio_bps < 2500, f"t_idio_bps is {self.t_idio_bps}, wanted above 0, below 2500"),
            (0 < self.daily_vol_bps < 2000, f"daily_vol_bps is {self.daily_vol_bps}, wanted above 0, below 2000"),
            (self.worst_day_bps < 9000, f"a day may move {self.worst_day_bps:.0f} bps, wanted below 9000"),
            (self.half_life_minutes > 0, f"half_life_minutes is {self.half_life_minutes}, wanted above 0"),
        )
        for right, message in checks:
            if not right:
                raise ConfigError(message)

    @property
    def now_ms(self) -> int:
        """End of the span: the world's `now`."""
        return START_MS + self.days * DAY_MS

    @property
    def per_day(self) -> int:
        """Bars of a UTC day."""
        return 1440 // self.interval_minutes

    @property
    def component_vol_bps(self) -> float:
        """Nominal daily sd of the common factor, and of a coin's own part: equal, so coins correlate by one half."""
        return self.daily_vol_bps / math.sqrt(2.0)

    @property
    def crash_bps(self) -> float:
        """Size of one of the skewed world's crashes: 8 sd of its two-point days; 0 in the other worlds."""
        return 8.0 * CRASH_VOL_SHARE * self.component_vol_bps if self.name == "skewed" else 0.0

    @property
    def idio_share(self) -> float:
        """Share of the nominal own volatility (and of its bound) that diffuses; the rest are crashes."""
        return 1.0 - CRASH_VOL_SHARE / 2 if self.name == "skewed" else 1.0

    @property
    def worst_day_bps(self) -> float:
        """Largest |sum of a day's simple returns| of one coin, before compounding."""
        return self.t_factor_bps + self.idio_share * self.t_idio_bps + self.crash_bps

    @property
    def planted_coins(self) -> tuple[str, ...]:
        """Base assets whose published signal really leads their price (BTC only where every coin is planted)."""
        bases = regular_bases(self.coins)
        default = {"demo": min(10, self.coins - 1), "planted": self.coins, "broken": self.coins}.get(self.name, 0)
        count = default if self.planted is None else self.planted
        return tuple((*bases[1:], bases[0])[:count])

    @property
    def broken_from_ms(self) -> int | None:
        """From here on the planted edge is 0; None where it lasts."""
        return START_MS + int(self.days * self.broken_after) * DAY_MS if self.name == "broken" else None


def world_spec(name: WorldName, *, coins: int = 16, days: int = 120, seed: int = 0) -> WorldSpec:
    """The world of that name with the numbers it is served with.

    The demo must be decidable in its 85 scored days: an edge far stronger than any real one, and a bound of 8 to 10 sd.
    """
    if name != "demo":
        return WorldSpec(name=name, coins=coins, days=days, seed=seed)
    return WorldSpec(
        name=name,
        coins=coins,
        days=days,
        seed=seed,
        strength_bps_per_hour=90.0,
        signal_correlation=0.5,
        t_factor_bps=250.0,
        t_idio_bps=480.0,
    )


Hole = tuple[int, int]
"""Open times from start (included) to end (excluded) for which no row exists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One symbol of a simulated market. `path` names the base whose random streams it follows (spot = its
    perpetual).
    """

    market: Literal["spot", "um"]
    symbol: str
    base: str
    spread_bps: float = 1.0
    volume_day_quote: float = 6e8
    trade_size: float = 1500.0
    price: float | None = None
    decimals: int | None = None
    daily_vol_share: float = 1.0
    follows_market: bool = True
    funding_hours: int | None = None
    listed_ms: int = START_MS
    last_ms: int | None = None
    status_after: str = ""
    holes: tuple[Hole, ...] = ()
    regular: bool = False


def regular_bases(coins: int) -> tuple[str, ...]:
    """Base assets of the regular coins: BTC, then invented names."""
    rounds = -(-coins // len(_WORDS))
    words = [word if turn == 0 else f"{word}{turn + 1}" for turn in range(rounds) for word in _WORDS]
    return ("BTC", *words)[:coins]


def plan_listings(spec: WorldSpec) -> tuple[Listing, ...]:
    """Everything the world lists, in a fixed order: regular perpetuals, their spot pairs, GBPUSDT, the odd ones."""
    regular = tuple(_regular(rank, base) for rank, base in enumerate(regular_bases(spec.coins)))
    spot = tuple(
        Listing(
            market="spot",
            symbol=f"{base}USDT",
            base=base,
            spread_bps=1.6,
            volume_day_quote=0.3 * coin.volume_day_quote,
            price=coin.price,
            decimals=coin.decimals,
            regular=True,
        )
        for coin in regular
        if (base := coin.base) in SPOT_BASES
    )
    pound = Listing(
        market="spot",
        symbol="GBPUSDT",
        base="GBP",
        spread_bps=2.0,
        volume_day_quote=2e7,
        trade_size=800.0,
        price=1.3,
        decimals=4,
        daily_vol_share=0.09,
        follows_market=False,
    )
    return (*regular, *spot, pound, *(_odd(spec) if spec.name == "demo" else ()))


def _regular(rank: int, base: str) -> Listing:
    # Golden-ratio ranks spread volumes and prices evenly on a log scale without another random stream.
    place, other = (0.5 + rank * 0.6180339887498949) % 1.0, (0.2 + rank * 0.7548776662466927) % 1.0
    price = 60_000.0 if base == "BTC" else round(0.4 * 500.0**other, 3)
    volume = 2e9 if base == "BTC" else 4e8 * 4.5**place
    return Listing(
        market="um",
        symbol=f"{base}USDT",
        base=base,
        spread_bps=round(0.7 + 0.8 * other, 3),
        volume_day_quote=volume,
        price=price,
        decimals=price_decimals(price),
        funding_hours=4 if rank % 3 == 2 else 8,
        regular=True,
    )


def price_decimals(price: float) -> int:
    """Decimals of the tick: at most 0.01 bps of the first price, so that it stays negligible after a fall of 99%.

    >>> price_decimals(60_000.0), price_decimals(1.3)
    (2, 6)
    """
    return max(0, math.ceil(-math.log10(price * 1e-6)))


_ODD: Final = {
    "测试币": Listing(
        market="um", symbol="测试币USDT", base="测试币", spread_bps=6.0, volume_day_quote=1.5e6, trade_size=450.0,
        price=0.85, decimals=5, funding_hours=4,
    ),
    "WIDE": Listing(
        market="um", symbol="WIDEUSDT", base="WIDE", spread_bps=80.0, volume_day_quote=6e7, price=3.2, decimals=5,
        funding_hours=8,
    ),
    "GAPPY": Listing(
        market="um", symbol="GAPPYUSDT", base="GAPPY", spread_bps=1.5, volume_day_quote=9e7, price=12.5, decimals=4,
        funding_hours=8,
    ),
    "HALT": Listing(
        market="spot", symbol="HALTUSDT", base="HALT", spread_bps=3.0, volume_day_quote=4e7, price=0.61, decimals=6,
        status_after="BREAK",
    ),
    "FRESH": Listing(
        market="um", symbol="FRESHUSDT", base="FRESH", spread_bps=1.5, volume_day_quote=3e8, price=2.75, decimals=5,
        funding_hours=4,
    ),
    "GONE": Listing(
        market="um", symbol="GONEUSDT", base="GONE", spread_bps=2.0, volume_day_quote=8e7, price=7.4, decimals=5,
        funding_hours=8, status_after="SETTLING",
    ),
}  # fmt: skip
"""The demo's special cases: a name outside ASCII, a wide spread, holes, a halted pair, a young contract, a settled one.
"""


def _odd(spec: WorldSpec) -> tuple[Listing, ...]:
    now, day = spec.now_ms, spec.days
    dated = {
        "GAPPY": replace(_ODD["GAPPY"], holes=_holes(day)),
        "HALT": replace(_ODD["HALT"], last_ms=now - min(5, day // 2) * DAY_MS),
        "FRESH": replace(_ODD["FRESH"], listed_ms=max(START_MS, now - 10 * DAY_MS)),
        "GONE": replace(_ODD["GONE"], last_ms=now - min(20, day // 2) * DAY_MS),
    }
    return tuple((_ODD | dated).values())


def _holes(days: int) -> tuple[Hole, ...]:
    """Four of one to four minutes spread over the span, and one of an hour and a half in its middle."""
    small = tuple(
        (start, start + minutes * MINUTE_MS)
        for k, minutes in enumerate((1, 2, 3, 4))
        if (start := START_MS + (days * (k + 1) // 6) * DAY_MS + (7 + 3 * k) * HOUR_MS + 11 * MINUTE_MS)
    )
    middle = START_MS + (days // 2) * DAY_MS
    return (*small, (middle + 15 * HOUR_MS, middle + 16 * HOUR_MS + 30 * MINUTE_MS))
