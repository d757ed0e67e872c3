"""The median spread of each liquidity tier: of everything quoted that trades, and of nothing else."""

import gzip
from pathlib import Path
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.adapters.binance.listing import instruments, quotes
from huracan.adapters.binance.strict_json import parse_json
from huracan.domain.ids import Instrument
from huracan.domain.records import Quote, Snapshot
from huracan.universe import UniverseConfig, build_universe
from huracan.universe.spreads import MIN_BOOKS, tier_medians

RECORDED = [1.4, 2.7, 5.7]  # bps of spot USDT pairs on 2024-03-10, by a pound of one dollar
FIXTURES = Path(__file__).parents[3] / "shared" / "market" / "fixtures"


def quoted(number, volume_gbp, bps, **changes):
    facts = {"market": "um", "contract_type": "PERPETUAL", **changes}
    base = facts.pop("base", f"C{number}")
    instrument = Instrument(symbol=f"{base}USDT", base=base, quote="USDT", **facts)
    half = bps / 2e4
    book = {"bid": None, "ask": None} if bps == 0 else {"bid": 1 - half, "ask": 1 + half}
    return instrument, Quote(volume_24h_quote=volume_gbp, **book)


def spreads(*pairs):
    snapshot = Snapshot(
        now_ms=0,
        instruments=tuple(one for one, _ in pairs),
        quotes={one.id: quote for one, quote in pairs},
        quote_per_gbp={"USDT": 1.0},
        gbp_source="test",
    )
    return dict(build_universe(snapshot, UniverseConfig(), ["1h"]).tier_spreads)


def test_each_market_and_tier_has_the_median_of_its_own_books_wide_and_illiquid_ones_included():
    liquid = [quoted(n, 2e8, bps) for n, bps in enumerate((1, 2, 3, 50, 60))]
    middling = [quoted(n + 10, 2e7, bps) for n, bps in enumerate((4, 5, 6, 7, 8))]
    thin = [quoted(n + 20, 1e5, bps, market="spot", contract_type=None) for n, bps in enumerate((20, 30, 40, 50, 60))]
    found = spreads(*liquid, *middling, *thin)
    assert found == {
        "um-A": pytest.approx(3.0),
        "um-B": pytest.approx(6.0),
        "spot-C": pytest.approx(40.0),
    }


def test_fewer_than_five_books_are_no_tier():
    assert spreads(*[quoted(n, 2e8, 3.0) for n in range(MIN_BOOKS - 1)], quoted(9, 2e8, 0)) == {}


@pytest.mark.parametrize("odd", [{"status": "SETTLING"}, {"contract_type": "TRADIFI_PERPETUAL"}, {"base": "USDC"}])
def test_what_no_member_could_be_like_does_not_count(odd):
    books = [quoted(n, 2e8, 4.0) for n in range(MIN_BOOKS)]
    assert spreads(*books, *[quoted(90 + n, 2e8, 90.0, **odd) for n in range(1)]) == {"um-A": pytest.approx(4.0)}


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["um-A", "um-B"]), st.floats(0.01, 500)), max_size=30), st.randoms())
def test_the_order_of_books_says_nothing(books, random):
    shuffled = list(books)
    random.shuffle(shuffled)
    slow = {}
    for tier in ("um-A", "um-B"):
        known = [bps for name, bps in books if name == tier]
        if len(known) >= MIN_BOOKS:
            slow[tier] = median(known)
    assert tier_medians(shuffled) == slow


@pytest.mark.market
@pytest.mark.skipif(not FIXTURES.is_dir(), reason=f"recorded payloads are not at {FIXTURES}")
def test_recorded_books_grow_wider_from_tier_to_tier():
    def load(name):
        return parse_json(gzip.decompress((FIXTURES / "rest-2024" / name).read_bytes()), name)

    listed = instruments(load("api-v3-exchangeInfo-trading-20240908.json.gz"), "spot")
    day = load("api-v3-ticker-24hr-full-20240310.json.gz")
    known = quotes(listed, day, day, "spot")
    found = spreads(*((one, known[one.id]) for one in listed))
    assert list(found) == ["spot-A", "spot-B", "spot-C"]
    assert [round(bps, 1) for bps in found.values()] == RECORDED
