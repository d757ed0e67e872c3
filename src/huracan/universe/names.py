"""Coin keys: which instrument is called ``BTC``, and how a user's text finds it."""

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from huracan.domain.ids import Instrument
from huracan.domain.records import Candidate
from huracan.errors import ConfigError

PERPETUAL: Final = "PERPETUAL"
QUOTE_ORDER: Final = ("USDT", "USDC", "FDUSD")

_MULTIPLIED = re.compile(r"1000(?:000)?(?=\D)(.+)")


def is_tradable(instrument: Instrument) -> bool:
    """True for a spot pair or perpetual that trades now (no quarterlies, no equities)."""
    return instrument.trades and instrument.contract_type in {None, PERPETUAL}


def coin_base(base: str, known: frozenset[str]) -> str:
    """The asset that a contract's base multiplies, or the base itself.

    >>> coin_base("1000SHIB", frozenset({"SHIB"})), coin_base("1000SATS", frozenset({"BTC"})), coin_base("1INCH", frozenset())
    ('SHIB', '1000SATS', '1INCH')
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


def resolve_coin(text: str, members: Iterable[Candidate]) -> Instrument:
    """The member that a user means by ``BTC``, ``BTCUSDT``, ``BTC/USDT``, ``BTC/USDT:USDT``, ``BTCUSDT-spot``.

    A text that fits several instruments means the one that carries the bare coin key, else the most liquid
    (members come in that order). A settlement asset (``:USDT``) asks for the perpetual. Letter case is ignored
    where nothing matches exactly. Raises ConfigError naming the nearest coins.
    """
    instruments = [member.instrument for member in members]
    for fold in (str, str.upper):
        wanted = fold(text.strip())
        exact = [i for i in instruments if wanted in {fold(i.coin), fold(i.id)}]
        pair, _, settled = wanted.partition(":")
        loose = [i for i in instruments if pair in {fold(i.symbol), fold(f"{i.base}/{i.quote}"), fold(i.base)}]
        if settled:
            loose = [i for i in loose if i.market == "um" and fold(i.quote) == settled]
        found = exact or sorted(loose, key=lambda i: i.coin == i.id)
        if found:
            return found[0]
    near = difflib.get_close_matches(text.upper(), [i.coin for i in instruments], n=3, cutoff=0.5)
    hint = f"; did you mean {', '.join(near)}?" if near else f"; {len(instruments)} coins are in today's universe"
    message = f"coin {text!r} is not in the universe{hint}"
    raise ConfigError(message)
