"""Pairs that are no members tonight and may have been on a past day: evidence from that day has to count them, too.

A pool walked over tonight's members alone is a pool of survivors: whoever was delisted, or lost its trade, is missing with
all its losses. One instrument a base asset, none where the base has a member; what it is worth as evidence is decided day
by day (`pipeline.membership`).
"""

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


def former_pairs(
    others: Iterable[Candidate],
    members: Sequence[Candidate],
    forgotten: Iterable[Instrument],
    taken: frozenset[str],
    market: str,
    most: int | None,
) -> tuple[Candidate, ...]:
    """Pairs to walk over for evidence alone, by coin key.

    `others` are listed pairs that fell out, with their keys; `forgotten` instruments are no longer listed at all and get keys
    of their own beside all `taken` ones. The instrument of a base is the first by market (as the universe prefers it) and quote asset. Pegged coins and leveraged
    tokens are none; of more than `most`, some are drawn by hash.
    """
    fallen = [*others, *(Candidate(instrument=one, volume_24h_gbp=0.0, spread_bps=None) for one in forgotten)]
    bases = frozenset(one.instrument.base for one in (*members, *fallen))
    groups: dict[str, list[Candidate]] = defaultdict(list)
    for one in fallen:
        groups[coin_base(one.instrument.base, bases)].append(one)
    alive = {coin_base(one.instrument.base, bases) for one in members}
    wanted = sorted(base for base in groups if base not in alive | PEGGED and not is_leveraged(base, bases))
    chosen = [min(groups[base], key=lambda one: _rank(one.instrument, market)) for base in wanted]
    named = [one if one.instrument.coin else _named(one, taken) for one in chosen]
    drawn = sorted(named, key=lambda one: sha256_hex(one.instrument.id.encode()))[:most]
    return tuple(sorted(drawn, key=lambda one: one.instrument.coin))


def is_leveraged(base: str, bases: frozenset[str]) -> bool:
    """True for a token that multiplies the moves of another base: no asset of its own.

    >>> is_leveraged("BTCDOWN", frozenset({"BTC"})), is_leveraged("JUP", frozenset({"BTC", "JUP"}))
    (True, False)
    """
    match = _LEVERED.fullmatch(base)
    return match is not None and match[1] in bases


def _rank(instrument: Instrument, market: str) -> tuple[bool, int, str]:
    quote = QUOTE_ORDER.index(instrument.quote) if instrument.quote in QUOTE_ORDER else len(QUOTE_ORDER)
    return instrument.market != ("spot" if market == "spot" else "um"), quote, instrument.id


def _named(one: Candidate, taken: frozenset[str]) -> Candidate:
    """The candidate with its base as key, or its id where a listed pair bears that name."""
    instrument = one.instrument
    return replace(
        one, instrument=replace(instrument, coin=instrument.id if instrument.base in taken else instrument.base)
    )
