"""Pairs that are no members tonight and may have been on a past day: evidence from that day has to count them, too.

A pool backtested over tonight's members alone is a pool of survivors: what was delisted, or lost its trade, is missing
with all its losses. One instrument a base asset and market, none where the base has had a member of that market, or of
the preferred one, all the time; what they are worth as evidence is decided day by day (`pipeline.membership`), and no
day counts a base twice (`pipeline.bases`).
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from huracan.domain.ids import Instrument, sha256_hex
from huracan.domain.records import Candidate
from huracan.universe.names import QUOTE_ORDER, coin_base
from huracan.universe.pegged import PEGGED

_LEVERED: Final = re.compile(r"(.+)(?:UP|DOWN|BULL|BEAR)")


def historical_constituents(
    others: Iterable[Candidate],
    members: Sequence[Candidate],
    *,
    forgotten: Iterable[Instrument],
    taken: frozenset[str],
    market: str,
    most: int | None,
    since_ms: int | None = None,
) -> tuple[Candidate, ...]:
    """Pairs to backtest for evidence alone, by coin key.

    `others` are listed pairs that fell out, with their keys; `forgotten` instruments are no longer listed at all and
    get keys of their own beside all `taken` ones. A base without a member is backtested on both markets, one whose
    member is not of the preferred market on that one, and one whose member was listed after `since_ms` on the other;
    each by the first instrument by quote asset. Pegged coins and leveraged tokens are none; of more than `most`, some
    are drawn by hash.
    """
    fallen = [*others, *(Candidate(instrument=one, volume_24h_gbp=0.0, spread_bps=None) for one in forgotten)]
    bases = frozenset(one.instrument.base for one in (*members, *fallen))
    groups: dict[tuple[str, str], list[Candidate]] = defaultdict(list)
    for one in fallen:
        groups[coin_base(one.instrument.base, bases), one.instrument.market].append(one)
    counted = {
        (coin_base(one.instrument.base, bases), of_market)
        for one in members
        for of_market in ("spot", "um")
        if of_market == one.instrument.market
        or (_is_of(one.instrument, market) and not _is_newer(one.instrument, since_ms))
    }
    wanted = [key for key in groups if key not in counted and not _is_none(key[0], bases)]
    chosen = [min(groups[key], key=lambda one: preference(one.instrument, market)) for key in wanted]
    drawn = sorted(chosen, key=lambda one: sha256_hex(one.instrument.id.encode()))[:most]
    return tuple(sorted(_named(drawn, taken, market), key=lambda one: one.instrument.coin))


def is_leveraged(base: str, bases: frozenset[str]) -> bool:
    """True for a token that multiplies the moves of another base: no asset of its own.

    >>> is_leveraged("BTCDOWN", frozenset({"BTC"})), is_leveraged("JUP", frozenset({"BTC", "JUP"}))
    (True, False)
    """
    match = _LEVERED.fullmatch(base)
    return match is not None and match[1] in bases


def preference(instrument: Instrument, market: str) -> tuple[bool, int, str, float]:
    """What instruments of one base are sorted by, the preferred one first: market by the user's policy, quote asset,
    symbol; of a symbol's listings the earlier one, which was there when the day began on which the next one came.
    """
    quote = QUOTE_ORDER.index(instrument.quote) if instrument.quote in QUOTE_ORDER else len(QUOTE_ORDER)
    other_market = instrument.market != ("spot" if market == "spot" else "um")
    return other_market, quote, instrument.ticker, instrument.listing_end or math.inf


def _is_of(member: Instrument, market: str) -> bool:
    """Whether an instrument is of the market that stands for a base by the user's policy."""
    return (member.market == "spot") == (market == "spot")


def _is_newer(member: Instrument, since_ms: int | None) -> bool:
    return since_ms is not None and member.listed_ms is not None and member.listed_ms > since_ms


def _is_none(base: str, bases: frozenset[str]) -> bool:
    return base in PEGGED or is_leveraged(base, bases)


def _named(chosen: Iterable[Candidate], taken: frozenset[str], market: str) -> list[Candidate]:
    """The candidates with keys: a nameless one gets its base's, or its id where a listed pair or a better one bears
    that.
    """
    used, named = set(taken), []
    for one in sorted(chosen, key=lambda one: preference(one.instrument, market)):
        instrument = one.instrument
        if not instrument.coin:
            key = instrument.id if instrument.base in used else instrument.base
            instrument = replace(instrument, coin=key)
        used.add(instrument.coin)
        named.append(replace(one, instrument=instrument))
    return named
