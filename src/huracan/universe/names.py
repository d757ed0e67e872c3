"""Coin keys: which instrument is called ``BTC``."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from huracan.domain.ids import Instrument

PERPETUAL: Final = "PERPETUAL"
QUOTE_ORDER: Final = ("USDT", "USDC", "FDUSD")

_MULTIPLIED = re.compile(r"1000(?:000)?(?=\D)(.+)")


def is_tradable(instrument: Instrument) -> bool:
    """True for a spot pair or perpetual that trades now (no quarterlies, no equities)."""
    return instrument.trades and instrument.contract_type in {None, PERPETUAL}


def coin_base(base: str, known: frozenset[str]) -> str:
    """The asset that a contract's base multiplies, or the base itself.

    >>> coin_base("1000SHIB", frozenset({"SHIB"})), coin_base("1000SATS", frozenset({"BTC"}))
    ('SHIB', '1000SATS')
    >>> coin_base("1INCH", frozenset())
    '1INCH'
    """
    match = _MULTIPLIED.fullmatch(base)
    return match[1] if match and match[1] in known else base


def coin_keys(instruments: Sequence[Instrument], market: str, volume_gbp: Mapping[str, float | None]) -> dict[str, str]:
    """Coin key of every instrument, by Instrument.id; all keys differ.

    The preferred instrument of a base asset is the first by: trades now, market (`auto` = perpetual before spot),
    quote asset (USDT, USDC, FDUSD, others), 24 h volume. Liquidity filters do not enter, so that a key does not
    change hands on a quiet day.
    """
    known = frozenset(i.base for i in instruments if i.contract_type in {None, PERPETUAL})
    first_market = "spot" if market == "spot" else "um"

    def rank(instrument: Instrument) -> tuple[bool, bool, int, float, str]:
        quote = QUOTE_ORDER.index(instrument.quote) if instrument.quote in QUOTE_ORDER else len(QUOTE_ORDER)
        volume = volume_gbp.get(instrument.id) or 0.0
        return (not is_tradable(instrument), instrument.market != first_market, quote, -volume, instrument.id)

    groups: dict[str, list[Instrument]] = defaultdict(list)
    for instrument in instruments:
        groups[coin_base(instrument.base, known)].append(instrument)
    keys = {}
    for base, group in groups.items():
        for place, instrument in enumerate(sorted(group, key=rank)):
            keys[instrument.id] = instrument.id if place else base
    return keys
