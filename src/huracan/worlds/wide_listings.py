"""What a wide world lists: thousands of symbols in the proportions of the snapshot recorded in July 2026.

Of 4,445 symbols 3,625 were spot pairs (63% BREAK, a fifth of them against USDT) and 820 USD-M contracts (15% SETTLING,
14% TRADIFI_PERPETUAL, 4 quarterlies, 2 PENDING_TRADING). There are non-ASCII and 1000-prefixed names and pegged coins.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from huracan.domain.ids import Instrument, Market, random_seed
from huracan.domain.time import DAY_MS
from huracan.errors import ConfigError
from huracan.worlds.spec import START_MS, price_decimals

UM_SHARE: Final = 820 / 4445
BREAK_SHARE: Final = 0.626
LISTED_LATER_SHARE: Final = 0.3
QUOTES: Final = ("USDT", "BTC", "USDC", "BNB", "TRY")
PEGGED: Final = ("USDC", "FDUSD", "TUSD", "USDP", "BUSD")
LEADERS: Final = {"BTC": 60_000.0, "ETH": 3_000.0}
PENDING_DAYS: Final = 30

_CONSONANTS, _VOWELS = "BDFGHJKLMNPRSTVWXYZ", "AEIOU"
_SYLLABLES: Final = tuple(first + last for first in _CONSONANTS for last in _VOWELS)


@dataclass(frozen=True, slots=True, kw_only=True)
class WideSpec:
    """A wide world, fully determined: `symbols` over both markets, `days` of bars."""

    symbols: int = 10_000
    days: int = 120
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, least, most in (("coins", self.symbols, 16, 100_000), ("days", self.days, 1, 4000)):
            if not least <= value <= most:
                message = f"{name} is {value}, wanted {least} to {most} for the wide world"
                raise ConfigError(message)

    @property
    def now_ms(self) -> int:
        """End of the span."""
        return START_MS + self.days * DAY_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class WideListing:
    """One symbol. Its bars run from `listed_ms` to `last_ms`; `key` is the root of all its numbers."""

    market: Market
    symbol: str
    base: str
    quote: str
    key: int
    price: float
    volume_day_quote: float
    spread_bps: float
    contract_type: str | None = None
    funding_hours: int | None = None
    listed_ms: int = START_MS
    last_ms: int | None = None
    status: str = "TRADING"
    delivery_ms: int | None = None
    pegged: bool = False

    @property
    def decimals(self) -> int:
        """Decimals of its tick."""
        return price_decimals(self.price)

    def instrument(self, now_ms: int) -> Instrument:
        """As listed at a moment: dead only after its last bar."""
        dead = self.last_ms is not None and self.last_ms <= now_ms
        return Instrument(
            market=self.market,
            symbol=self.symbol,
            base=self.base,
            quote=self.quote,
            status=("BREAK" if self.market == "spot" else "SETTLING") if dead else self.status,
            contract_type=self.contract_type,
            tick_size=float(f"1e-{self.decimals}"),
            listed_ms=self.listed_ms,
        )


def wide_listings(spec: WideSpec) -> tuple[WideListing, ...]:
    """Everything listed, in a fixed order; symbols are unique within a market."""
    contracts = max(round(spec.symbols * UM_SHARE), 12)
    return (*_contracts(spec, contracts), *_pairs(spec, spec.symbols - contracts))


def base_asset(rank: int) -> str:
    """Name of the coin of a rank: BTC, ETH, then invented ones; every 50th is not ASCII.

    >>> [base_asset(rank) for rank in (0, 1, 2, 97, 56)]
    ['BTC', 'ETH', 'BABI', 'BEBI', '币圈丁']
    """
    if rank < len(LEADERS):
        return tuple(LEADERS)[rank]
    if rank % 50 == 6:
        return "币圈" + chr(0x4E00 + rank // 50)
    high, low = divmod(rank, len(_SYLLABLES))
    rest, middle = divmod(high, len(_SYLLABLES))
    return ("" if rest == 0 else _SYLLABLES[rest]) + _SYLLABLES[middle] + _SYLLABLES[low]


def _contracts(spec: WideSpec, count: int) -> Iterator[WideListing]:
    for kind, delivery_ms in zip(("CURRENT_QUARTER", "NEXT_QUARTER"), _deliveries(spec.now_ms), strict=True):
        day = datetime.fromtimestamp(delivery_ms / 1000, tz=UTC)
        for base in LEADERS:
            contract = _listing(spec, "um", f"{base}USDT_{day:%y%m%d}", (base, "USDT"), 0)
            yield replace(contract, contract_type=kind, delivery_ms=delivery_ms)
    for rank in range(count - 4):
        name = f"1000{base_asset(rank)}" if rank % 40 == 7 else base_asset(rank)
        quote = "USDC" if rank % 15 == 4 else "USDT"
        pending = count - 6 <= rank < count - 4
        contract = _listing(spec, "um", f"{name}{quote}", (name, quote), rank, dead=rank % 7 == 3 and not pending)
        contract = replace(
            contract,
            contract_type="TRADIFI_PERPETUAL" if rank % 7 == 5 else "PERPETUAL",
            funding_hours=1 if rank % 300 == 299 else 8 if rank % 4 == 0 else 4,
        )
        if pending:
            later = spec.now_ms + PENDING_DAYS * DAY_MS
            contract = replace(contract, listed_ms=later, status="PENDING_TRADING")
        yield contract


def _pairs(spec: WideSpec, count: int) -> Iterator[WideListing]:
    yield replace(_listing(spec, "spot", "GBPUSDT", ("GBP", "USDT"), 3), price=1.3)
    pegged = PEGGED[: count - 1]
    for asset in pegged:
        pair = _listing(spec, "spot", f"{asset}USDT", (asset, "USDT"), 3, dead=asset == "BUSD")
        yield replace(pair, price=1.0, pegged=True)
    for number in range(count - 1 - len(pegged)):
        rank, place = divmod(number, len(QUOTES))
        base, quote = base_asset(rank), QUOTES[place]
        base = f"W{base}" if base == quote else base
        leading = quote == "USDT" and rank < len(LEADERS)
        dead = not leading and random_seed(spec.seed, "wide", base, quote) % 1000 < 1000 * BREAK_SHARE
        yield _listing(spec, "spot", f"{base}{quote}", (base, quote), rank, dead=dead)


def _listing(
    spec: WideSpec, market: Market, symbol: str, assets: tuple[str, str], rank: int, *, dead: bool = False
) -> WideListing:
    """A listing whose price, volume, spread and dates follow from its key and its rank by size."""
    key = random_seed(spec.seed, "wide", market, symbol)
    begins, ends, level, width = ((key >> shift) % 4096 / 4096.0 for shift in (0, 12, 24, 36))
    span = spec.now_ms - START_MS
    late = begins < LISTED_LATER_SHARE and rank >= len(LEADERS)
    listed = START_MS + (_whole_days(begins / LISTED_LATER_SHARE * span) if late else 0)
    volume = 2e9 / (rank + 1) ** 1.1 * (0.3 if market == "spot" else 1.0)
    return WideListing(
        market=market,
        symbol=symbol,
        base=assets[0],
        quote=assets[1],
        key=key,
        price=LEADERS.get(assets[0]) or round(10.0 ** (5.0 * level - 3.0), 6),
        volume_day_quote=max(volume, 2e4),
        spread_bps=round(0.7 + 35.0 * width * min(rank / 500.0, 1.0), 3),
        listed_ms=listed,
        last_ms=listed + _whole_days(ends * (spec.now_ms - listed)) if dead else None,
    )


def _whole_days(length_ms: float) -> int:
    return int(length_ms // DAY_MS) * DAY_MS


def _deliveries(now_ms: int) -> tuple[int, int]:
    """08:00 UTC on the last Fridays of the next two quarters that end after now."""
    now = datetime.fromtimestamp(now_ms / 1000, tz=UTC)
    months = range(now.year * 12 + now.month - 1, now.year * 12 + now.month + 9)
    ends = [_last_friday(month) for month in months if month % 3 == 2]
    first, second, *_ = (round(end.timestamp() * 1000) for end in ends if end > now)
    return first, second


def _last_friday(month: int) -> datetime:
    """Of a month, counted from year 0."""
    after = datetime((month + 1) // 12, (month + 1) % 12 + 1, 1, 8, tzinfo=UTC)
    return after - timedelta(days=(after.weekday() - 4 - 1) % 7 + 1)
