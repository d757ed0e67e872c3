"""Every base asset once a day: a coin's perpetual and its spot pair are the same bet, and evidence may not count it twice."""

from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np

from huracan.domain.tiers import TIERS
from huracan.pipeline.former import is_preferred
from huracan.pipeline.membership import days_of, without_days
from huracan.pipeline.night import Night
from huracan.universe import coin_base, market_rank


def once_a_base(night: Night, market: str) -> Night:
    """The night with `pool_days` such that a base counts by one instrument a day: by the one that a night of that day would
    have preferred (`market` is the owner's policy) among those that were in a pool then.

    So a perpetual that was delisted counts for the days it lived, and its spot pair, which still trades, for all others.
    """
    alive = {coin: facts for coin, facts in night.facts.items() if facts["skip"] is None}
    facts: dict[str, dict[str, Any]] = {**alive, **night.former.facts}
    instruments = {one.instrument.coin: one.instrument for one in (*night.plan.members, *night.plan.former)}
    bases = frozenset(instruments[coin].base for coin in facts)
    groups: dict[str, list[str]] = defaultdict(list)
    for coin in sorted(facts, key=lambda coin: (market_rank(instruments[coin].market, market), coin)):
        if is_preferred(night, coin):
            groups[coin_base(instruments[coin].base, bases)].append(coin)
    changed: dict[str, dict[str, Any]] = {}
    for coins in groups.values():
        taken = np.empty(0, np.int64)
        for coin in coins if len(coins) > 1 else ():
            spans = facts[coin]["pool_days"]
            changed[coin] = {**facts[coin], "pool_days": without_days(spans, taken)}
            taken = np.concatenate([taken, *(days_of(spans, tier) for tier in TIERS)])
    former = {coin: changed.get(coin, of_coin) for coin, of_coin in night.former.facts.items()}
    members = {coin: changed.get(coin, of_coin) for coin, of_coin in night.facts.items()}
    return replace(night, facts=members, former=replace(night.former, facts=former))
