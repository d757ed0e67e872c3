"""Who is walked over for evidence alone: pairs that fell out, one a base asset and market, and nobody who has a member there."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from huracan.domain.ids import Instrument
from huracan.domain.records import Quote, Snapshot
from huracan.universe import UniverseConfig, archived_instruments, build_universe

TIGHT = Quote(volume_24h_quote=50e6, bid=99.99, ask=100.01)
THIN = dataclasses.replace(TIGHT, volume_24h_quote=1e6)
WIDE = dataclasses.replace(TIGHT, bid=99.0)


def spot(base, quote="USDT", **more):
    return Instrument(market="spot", symbol=f"{base}{quote}", base=base, quote=quote, **more)


def um(base, quote="USDT", **more):
    return Instrument(
        market="um", symbol=f"{base}{quote}", base=base, quote=quote, **{"contract_type": "PERPETUAL", **more}
    )


def build(*pairs, archived=(), **rules):
    """Pairs are (instrument, quote); `archived` are symbols of the archive by market."""
    snapshot = Snapshot(
        now_ms=0,
        instruments=tuple(one for one, _ in pairs),
        quotes={one.id: quote for one, quote in pairs if quote is not None},
        quote_per_gbp={"USDT": 1.0, "USDC": 1.0},
        gbp_source="test",
    )
    known = [one for market, symbols in archived for one in archived_instruments(symbols, market, ("USDT", "USDC"))[0]]
    return build_universe(snapshot, UniverseConfig(quote_assets=("USDT", "USDC"), **rules), ["1h"], known)


def former(*pairs, **more):
    return {one.instrument.coin: one.instrument for one in build(*pairs, **more).historical}


SOL = (um("SOL"), TIGHT)


def test_what_fell_out_is_walked_over_and_what_never_was_a_member_is_not():
    found = former(
        SOL,
        (um("GONE", status="SETTLING"), None),
        (spot("HALT", status="BREAK"), None),
        (um("FADED"), THIN),
        (um("WIDE"), WIDE),  # its book is known, and too wide: no past one is known to have been better
        (um("USDC"), THIN),  # pegged
        (um("TSLA", contract_type="TRADIFI_PERPETUAL"), THIN),
        (um("BTC", contract_type="CURRENT_QUARTER", status="SETTLING"), None),
    )
    assert set(found) == {"GONE", "HALT", "FADED"}
    assert found["GONE"].status == "SETTLING"
    assert found["FADED"].status == "TRADING"


def test_the_archive_remembers_what_the_exchange_forgot():
    archived = [
        ("um", ["SOLUSDT", "LUNAUSDT", "WIDEUSDT", "BTCUSDT_210625"]),
        ("spot", ["LUNAUSDT", "FTTUSDC", "XBUSD"]),
    ]
    found = former(SOL, (um("WIDE"), WIDE), archived=archived)
    names = {"LUNA": "LUNAUSDT-um", "LUNAUSDT-spot": "LUNAUSDT-spot", "FTT": "FTTUSDC-spot"}
    assert {coin: one.id for coin, one in found.items()} == names
    assert {one.status for one in found.values()} == {"DELISTED"}
    spot_first = former(SOL, (um("WIDE"), WIDE), archived=archived, market="spot")
    assert {coin: one.market for coin, one in spot_first.items()} == {
        "LUNA": "spot",
        "LUNAUSDT-um": "um",
        "FTT": "spot",
    }


def test_a_base_with_a_member_is_counted_by_its_member_alone():
    dead_twins = [("um", ["SHIBUSDT"]), ("spot", ["SOLUSDC", "1000SHIBUSDT"])]
    assert former(SOL, (um("1000SHIB"), TIGHT), (spot("SOL", status="BREAK"), None), archived=dead_twins) == {}


def test_a_perpetual_that_died_is_walked_over_beside_the_spot_pair_that_lives():
    archived = [("um", ["LUNAUSDT", "FTTUSDC", "FTTUSDT"])]
    pairs = [SOL, (spot("LUNA"), TIGHT), (spot("FTT"), TIGHT), (um("FADED"), THIN), (spot("FADED"), TIGHT)]
    found = former(*pairs, (spot("LUNA", "USDC", status="BREAK"), None), archived=archived)
    assert {coin: one.id for coin, one in found.items()} == {
        "LUNAUSDT-um": "LUNAUSDT-um",
        "FTTUSDT-um": "FTTUSDT-um",
        "FADED": "FADEDUSDT-um",
    }
    assert former(*pairs, archived=archived, market="spot") == {}


def test_the_spot_pair_of_a_young_perpetual_is_walked_over_for_the_days_before_it():
    archived = [("spot", ["OLDUSDT", "YOUNGUSDC", "YOUNGUSDT", "GONEUSDT"])]
    pairs = [(um("OLD", listed_ms=5), TIGHT), (um("YOUNG", listed_ms=900), TIGHT), (um("NEVER", listed_ms=900), TIGHT)]
    snapshot = Snapshot(
        now_ms=1000,
        instruments=(*(one for one, _ in pairs), spot("NEVER")),
        quotes={**{one.id: quote for one, quote in pairs}, "NEVERUSDT-spot": WIDE},
        quote_per_gbp={"USDT": 1.0, "USDC": 1.0},
        gbp_source="test",
    )
    known = [one for market, symbols in archived for one in archived_instruments(symbols, market, ("USDT", "USDC"))[0]]
    rules = UniverseConfig(quote_assets=("USDT", "USDC"))
    found = build_universe(snapshot, rules, ["1h"], known, since_ms=500).historical
    assert [one.instrument.coin for one in found] == ["GONE", "YOUNGUSDT-spot"]
    assert [one.instrument.coin for one in build_universe(snapshot, rules, ["1h"], known).historical] == ["GONE"]


def test_leveraged_tokens_are_no_assets_of_their_own():
    archived = [("spot", ["BTCUPUSDT", "BTCDOWNUSDT", "ETHBULLUSDT", "SETUPUSDT", "BTCUSDT"])]
    assert set(former(SOL, (um("ETH"), TIGHT), archived=archived)) == {"BTC", "SETUP"}


def test_a_key_that_a_listed_pair_bears_is_not_given_twice():
    archived = [("spot", ["WIDEUSDT", "GONEUSDT"])]
    universe = build(SOL, (um("WIDE"), WIDE), archived=archived)
    assert {skip.coin for skip in universe.skips} == {"WIDE"}
    assert {one.instrument.coin for one in universe.historical} == {"WIDEUSDT-spot", "GONE"}


def test_pairs_of_an_unknown_rate_cannot_be_placed():
    archived = archived_instruments(["OLDFDUSD"], "spot", ("FDUSD",))[0]
    snapshot = Snapshot(
        now_ms=0, instruments=(SOL[0],), quotes={SOL[0].id: TIGHT}, quote_per_gbp={"USDT": 1.0}, gbp_source="test"
    )
    assert build_universe(snapshot, UniverseConfig(), ["1h"], archived).historical == ()


@given(st.permutations([f"C{n}" for n in range(12)]), st.integers(0, 12))
def test_an_owner_who_limits_the_coins_limits_these_too_and_nobody_chooses_which(names, most):
    dead = [(um(name, status="SETTLING"), None) for name in names]
    all_of_them, some = former(SOL, *dead), former(SOL, *dead, max_coins=most)
    assert len(all_of_them) == 12
    assert len(some) == most
    assert set(some) <= set(all_of_them)
    assert set(former(SOL, *sorted(dead, key=lambda one: one[0].id), max_coins=most)) == set(some)
