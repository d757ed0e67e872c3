"""The rules of step 1 over recorded listings of both markets: futures of July 2026, spot of September 2024."""

import gzip
from collections import Counter
from pathlib import Path

import pytest

from huracan.adapters.binance.listing import instruments, quotes
from huracan.adapters.binance.strict_json import parse_json
from huracan.domain.coin_names import CoinNames
from huracan.domain.ids import from_path_segment
from huracan.domain.records import Candidate, SkipCode, Snapshot
from huracan.universe import UniverseConfig, build_universe

FIXTURES = Path(__file__).parents[3] / "shared" / "market" / "fixtures"
pytestmark = [
    pytest.mark.market,
    pytest.mark.skipif(not FIXTURES.is_dir(), reason=f"recorded payloads are not at {FIXTURES}"),
]
VOLUME = 1e9


def load(name):
    data = (FIXTURES / name).read_bytes()
    return parse_json(gzip.decompress(data) if name.endswith(".gz") else data, name)


@pytest.fixture(scope="module")
def snapshot():
    """All futures with their books, the spot pairs that traded; every pair has the same volume."""
    listed = {
        "um": instruments(load("rest-2026-07/fapi-v1-exchangeInfo.json"), "um"),
        "spot": instruments(load("rest-2024/api-v3-exchangeInfo-trading-20240908.json.gz"), "spot"),
    }
    books = {
        "um": load("rest-2026-07/fapi-v1-ticker-bookTicker-full.json"),
        "spot": load("rest-2026-07/api-v3-ticker-bookTicker-full.json"),
    }
    known = {}
    for market, pairs in listed.items():
        day = [{"symbol": pair.symbol, "quoteVolume": VOLUME} for pair in pairs]
        known |= quotes(pairs, day, books[market], market)
    return Snapshot(
        now_ms=0,
        instruments=(*listed["um"], *listed["spot"]),
        quotes=known,
        quote_per_gbp=dict.fromkeys(("USDT", "USDC", "FDUSD"), 1.3),
        gbp_source="test",
    )


def universe(snapshot, **rules):
    return build_universe(snapshot, UniverseConfig(max_spread_bps=1e9, **rules), ["1h"])


def by_id(found):
    return {member.instrument.id: member.instrument.coin for member in found.members}


def test_every_pair_of_the_quote_assets_is_a_member_or_has_its_reason(snapshot):
    found = universe(snapshot)
    pairs = [one for one in snapshot.instruments if one.quote in {"USDT", "USDC", "FDUSD"}]
    coins = [member.instrument.coin for member in found.members] + [skip.coin for skip in found.skips]
    assert len(coins) == len(set(coins)) == len(pairs)
    reasons = Counter(skip.code for skip in found.skips)
    assert reasons[SkipCode.CONTRACT_TYPE] == 118 + 4  # equities and the like, and the quarterlies
    assert reasons[SkipCode.NOT_TRADING] == 123 + 2  # being settled, and not yet trading
    assert {"USDCUSDT-spot", "EURUSDT-spot"}.isdisjoint(by_id(found))
    assert reasons[SkipCode.PEGGED] > 5
    assert set(reasons) == {SkipCode.CONTRACT_TYPE, SkipCode.NOT_TRADING, SkipCode.PEGGED}


def test_the_preferred_instrument_follows_the_policy_and_every_other_pair_keeps_a_name(snapshot):
    auto, spot = by_id(universe(snapshot)), by_id(universe(snapshot, market="spot"))
    assert (auto["BTCUSDT-um"], auto["BTCUSDT-spot"]) == ("BTC", "BTCUSDT-spot")
    assert (spot["BTCUSDT-um"], spot["BTCUSDT-spot"]) == ("BTCUSDT-um", "BTC")
    assert auto["BTCUSDC-um"] == "BTCUSDC-um"
    trading = {one.base for one in snapshot.instruments if one.market == "um" and one.status == "TRADING"}
    only_spot = next(
        one for one in snapshot.instruments if one.market == "spot" and one.id in auto and one.base not in trading
    )
    assert auto[only_spot.id] in {only_spot.base, only_spot.id}


@pytest.mark.parametrize(
    ("symbol", "coin"),
    [
        ("1000SHIBUSDT", "SHIB"),
        ("1000PEPEUSDT", "PEPE"),
        ("币安人生USDT", "币安人生"),
        ("1INCHUSDT", "1INCH"),
        ("1000SATSUSDT", "1000SATS"),
    ],
)
def test_multiples_digits_and_other_alphabets_are_names_that_resolve_and_are_safe_paths(snapshot, symbol, coin):
    found = universe(snapshot)
    member = next(one for one in found.members if one.instrument.id == f"{symbol}-um").instrument
    assert member.coin == coin
    names = CoinNames({one.instrument.coin: one.instrument.id for one in found.members})
    assert names.resolve(coin) == names.resolve(symbol) == names.resolve(member.id) == coin
    assert member.path_id.isascii()
    assert from_path_segment(member.path_id) == member.id


def test_every_member_is_found_by_its_key_and_by_its_id(snapshot):
    members = universe(snapshot).members
    assert len(members) > 600
    names = CoinNames({one.instrument.coin: one.instrument.id for one in members})
    for member in members:
        coin, ticker = member.instrument.coin, member.instrument.id
        for text in (coin, ticker, coin.lower(), ticker.lower(), f" {coin} "):
            assert names.resolve(text) == coin


def test_max_coins_takes_the_most_liquid_of_them(snapshot):
    chosen = universe(snapshot, max_coins=50)
    assert all(isinstance(member, Candidate) for member in chosen.members)
    assert len(chosen.members) == 50
    assert Counter(skip.code for skip in chosen.skips)[SkipCode.MAX_COINS] == len(universe(snapshot).members) - 50
