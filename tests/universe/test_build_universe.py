"""Which pairs become members, and what a refusal says."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.domain.ids import Instrument
from huracan.domain.records import Quote, SkipCode, Snapshot
from huracan.universe import UniverseConfig, build_universe

RATE = 1.25
TIGHT = Quote(volume_24h_quote=RATE * 50e6, bid=99.99, ask=100.01)


def spot(base, quote="USDT", **more):
    return Instrument(market="spot", symbol=f"{base}{quote}", base=base, quote=quote, **more)


def um(base, quote="USDT", **more):
    more = {"contract_type": "PERPETUAL", **more}
    return Instrument(market="um", symbol=f"{base}{quote}", base=base, quote=quote, **more)


def snapshot(*pairs):
    """Pairs are instruments, or (instrument, quote)."""
    listed = [pair if isinstance(pair, tuple) else (pair, TIGHT) for pair in pairs]
    return Snapshot(
        now_ms=0,
        instruments=tuple(i for i, _ in listed),
        quotes={i.id: q for i, q in listed if q is not None},
        quote_per_gbp={"USDT": RATE, "USDC": RATE},
        gbp_source="test",
    )


def only_skip(pair, **rules):
    universe = build_universe(snapshot(pair), UniverseConfig(**rules), ["1h"])
    assert universe.members == ()
    (skip,) = universe.skips
    return skip


def test_a_liquid_tight_pair_is_a_member_with_its_volume_in_pounds():
    universe = build_universe(snapshot(um("SOL")), UniverseConfig(), ["1h", "4h"])
    (member,) = universe.members
    assert (member.instrument.coin, member.volume_24h_gbp) == ("SOL", 50e6)
    assert member.spread_bps == pytest.approx(2.0)
    assert universe.skips == ()


@pytest.mark.parametrize(
    ("pair", "code", "measured", "wanted"),
    [
        (spot("SOL", status="BREAK"), SkipCode.NOT_TRADING, "BREAK", "TRADING"),
        (um("SOL", status="SETTLING"), SkipCode.NOT_TRADING, "SETTLING", "TRADING"),
        (um("TSLA", contract_type="TRADIFI_PERPETUAL"), SkipCode.CONTRACT_TYPE, "TRADIFI_PERPETUAL", "PERPETUAL"),
        (um("BTC", contract_type="CURRENT_QUARTER"), SkipCode.CONTRACT_TYPE, "CURRENT_QUARTER", "PERPETUAL"),
        (spot("USDC"), SkipCode.PEGGED, "USDC", "a free price"),
        (spot("EUR"), SkipCode.PEGGED, "EUR", "a free price"),
        ((um("SOL"), Quote(volume_24h_quote=RATE * 9e6, bid=1.0, ask=1.0)), SkipCode.ILLIQUID, 9e6, 1e7),
        ((um("SOL"), Quote(volume_24h_quote=None, bid=1.0, ask=1.0)), SkipCode.ILLIQUID, None, 1e7),
        ((um("SOL"), None), SkipCode.ILLIQUID, None, 1e7),
        ((um("SOL"), Quote(volume_24h_quote=RATE * 2e7, bid=99.0, ask=101.0)), SkipCode.SPREAD_TOO_WIDE, 200.0, 8.0),
    ],
)
def test_a_refusal_says_what_was_measured_and_wanted(pair, code, measured, wanted):
    skip = only_skip(pair)
    assert (skip.code, skip.step, skip.horizon) == (code, 1, "1h")
    assert skip.measured == (pytest.approx(measured) if isinstance(measured, float) else measured)
    assert skip.wanted == wanted
    assert skip.reason


def test_a_quote_asset_without_a_rate_is_illiquid_and_named():
    assert "USDD" in only_skip(spot("SOL", "USDD"), quote_assets=("USDD",)).reason


def test_a_pair_without_a_book_passes_because_step_2_estimates_its_spread():
    pair = (um("SOL"), dataclasses.replace(TIGHT, bid=None))
    (member,) = build_universe(snapshot(pair), UniverseConfig(), ["1h"]).members
    assert member.spread_bps is None


def test_other_quote_assets_are_no_pairs_and_leave_no_trace():
    universe = build_universe(snapshot(spot("SOL", "BTC")), UniverseConfig(), ["1h"])
    assert universe.members == ()
    assert universe.skips == ()


def test_max_coins_keeps_the_most_liquid_and_says_the_place_of_the_others():
    thin = dataclasses.replace(TIGHT, volume_24h_quote=RATE * 20e6)
    universe = build_universe(snapshot((um("THIN"), thin), um("SOL"), um("ADA")), UniverseConfig(max_coins=2), ["1h"])
    assert [m.instrument.coin for m in universe.members] == ["ADA", "SOL"]
    (skip,) = universe.skips
    assert (skip.coin, skip.code, skip.measured, skip.wanted) == ("THIN", SkipCode.MAX_COINS, 3, 2)


def test_every_eligible_instrument_of_a_base_is_trained():
    universe = build_universe(snapshot(spot("SOL"), um("SOL"), um("SOL", "USDC")), UniverseConfig(), ["1h"])
    assert {m.instrument.coin for m in universe.members} == {"SOL", "SOLUSDT-spot", "SOLUSDC-um"}


BASES = st.sampled_from(["BTC", "SHIB", "1000SHIB", "1000000MOG", "MOG", "USDC", "币安人生", "1INCH", "CAT"])
INSTRUMENTS = st.builds(
    lambda market, base, quote, status, kind: Instrument(
        market=market,
        symbol=base + quote,
        base=base,
        quote=quote,
        status=status,
        contract_type=kind if market == "um" else None,
    ),
    st.sampled_from(["spot", "um"]),
    BASES,
    st.sampled_from(["USDT", "USDC", "BTC"]),
    st.sampled_from(["TRADING", "TRADING", "BREAK"]),
    st.sampled_from(["PERPETUAL", "PERPETUAL", "TRADIFI_PERPETUAL"]),
)
QUOTES = st.one_of(
    st.none(),
    st.builds(
        Quote,
        volume_24h_quote=st.one_of(st.none(), st.floats(0, 1e9)),
        bid=st.one_of(st.none(), st.just(100.0)),
        ask=st.one_of(st.none(), st.sampled_from([100.01, 103.0])),
    ),
)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(INSTRUMENTS, QUOTES), unique_by=lambda pair: pair[0].id, max_size=12),
    st.sampled_from([("1h",), ("1h", "4h", "1d")]),
    st.one_of(st.none(), st.integers(1, 4)),
    st.sampled_from(["auto", "um", "spot"]),
)
def test_members_and_skips_add_up_to_the_pairs_and_no_two_share_a_coin(pairs, horizons, max_coins, market):
    rules = UniverseConfig(max_coins=max_coins, market=market)
    universe = build_universe(snapshot(*pairs), rules, horizons)
    listed = sum(i.quote in rules.quote_assets for i, _ in pairs)
    assert len(universe.members) * len(horizons) + len(universe.skips) == listed * len(horizons)
    coins = [m.instrument.coin for m in universe.members] + [s.coin for s in universe.skips if s.horizon == "1h"]
    assert len(set(coins)) == len(coins)
    assert "" not in coins
    volumes = [m.volume_24h_gbp for m in universe.members]
    assert volumes == sorted(volumes, reverse=True)
