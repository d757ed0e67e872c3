"""Which members left the exchange while the night ran, and what is no such change."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.domain.ids import Instrument
from huracan.domain.records import Candidate
from huracan.universe import delisted_members

SOL = Instrument(
    market="um", symbol="SOLUSDT", base="SOL", quote="USDT", contract_type="PERPETUAL", listed_ms=5, coin="SOL"
)
SPOT = Instrument(market="spot", symbol="SOLUSDT", base="SOL", quote="USDT", coin="SOLUSDT-spot")


def gone(*listed, members=(SOL, SPOT)):
    candidates = [Candidate(instrument=one, volume_24h_gbp=1.0, spread_bps=None) for one in members]
    return delisted_members(candidates, listed)


def as_listed(instrument, **changes):
    """An instrument as the exchange lists it: the coin key is ours."""
    return replace(instrument, coin="", **changes)


def test_a_listing_that_is_as_it_was_has_lost_nobody():
    fresh = Instrument(market="spot", symbol="NEWUSDT", base="NEW", quote="USDT")
    assert gone(as_listed(SOL), as_listed(SPOT, tick_size=0.5), fresh) == {}


@pytest.mark.parametrize(
    ("today", "words"),
    [
        (None, "no longer listed"),
        ({"status": "SETTLING"}, "status SETTLING"),
        ({"status": "PENDING_TRADING"}, "status PENDING_TRADING"),
        ({"listed_ms": 6}, "another listing"),
        ({"base": "SOLARIS"}, "another listing"),
        ({"contract_type": "TRADIFI_PERPETUAL"}, "another listing"),
    ],
)
def test_a_member_that_left_stopped_or_became_another_is_named_with_the_reason(today, words):
    listed = [as_listed(SPOT)] + ([] if today is None else [as_listed(SOL, **today)])
    found = gone(*listed)
    assert list(found) == ["SOL"]
    assert words in found["SOL"]


def test_the_same_symbol_of_the_other_market_stands_for_nobody():
    assert set(gone(as_listed(SPOT))) == {"SOL"}


STATUS = st.sampled_from(["TRADING", "TRADING", "BREAK", "SETTLING"])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("ABCDEF"), STATUS), unique_by=lambda pair: pair[0]),
    st.sets(st.sampled_from("ABCDEF")),
)
def test_exactly_those_members_are_gone_that_no_row_shows_trading(rows, names):
    def pair(base):
        return Instrument(market="spot", symbol=f"{base}USDT", base=base, quote="USDT", coin=base)

    members = [pair(name) for name in sorted(names)]
    listed = [as_listed(pair(base), status=status) for base, status in rows]
    trading = {base for base, status in rows if status == "TRADING"}
    assert set(gone(*listed, members=members)) == names - trading
