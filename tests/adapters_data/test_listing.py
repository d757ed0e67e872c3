"""The listing of both markets: instruments, quotes, and the pound."""

import json

import pytest

from huracan.domain.records import Quote
from huracan.errors import SchemaError, UpstreamError

SPOT_INFO = {
    "symbols": [
        {
            "symbol": "币安人生USDT",
            "status": "TRADING",
            "baseAsset": "币安人生",
            "quoteAsset": "USDT",
            "filters": [
                {"filterType": "LOT_SIZE", "stepSize": "1"},
                {"tickSize": "0.00010000", "filterType": "PRICE_FILTER"},
            ],
        },
        {"symbol": "GBPUSDT", "status": "TRADING", "baseAsset": "GBP", "quoteAsset": "USDT"},
        {"symbol": "EURUSDT", "status": "TRADING", "baseAsset": "EUR", "quoteAsset": "USDT"},
        {"symbol": "DEADUSDT", "status": "BREAK", "baseAsset": "DEAD", "quoteAsset": "USDT", "filters": []},
    ]
}
UM_INFO = {
    "symbols": [
        {
            "symbol": "1000SHIBUSDT",
            "status": "TRADING",
            "baseAsset": "1000SHIB",
            "quoteAsset": "USDT",
            "contractType": "PERPETUAL",
            "onboardDate": 1567965300000,
            "filters": [{"filterType": "PRICE_FILTER", "tickSize": "0.10"}],
        }
    ]
}


def book(symbol, bid, ask):
    return {"symbol": symbol, "bidPrice": bid, "askPrice": ask}


@pytest.fixture
def serve(loopback):
    """Puts both markets on the loopback server; keyword arguments replace answers."""

    def put(**changed):
        answers = {
            "spot_info": SPOT_INFO,
            "spot_24hr": [
                {"symbol": "币安人生USDT", "quoteVolume": "1000.50"},
                {"symbol": "UNLISTED", "quoteVolume": "1"},
            ],
            "spot_book": [
                book("币安人生USDT", "0.9999", "1.0001"),
                book("GBPUSDT", "1.2490", "1.2510"),
                book("EURUSDT", "1.0", "1.0"),
                book("DEADUSDT", "0.00000000", "0.00000000"),
            ],
            "um_info": UM_INFO,
            "um_24hr": [{"symbol": "1000SHIBUSDT", "quoteVolume": "2e6"}],
            "um_book": [book("1000SHIBUSDT", "10.0", None)],
        } | changed
        for name, value in answers.items():
            market, _, endpoint = name.partition("_")
            path = {"info": "exchangeInfo", "24hr": "ticker/24hr", "book": "ticker/bookTicker"}[endpoint]
            prefix = "api/v3" if market == "spot" else "fapi/v1"
            loopback.answers[f"{prefix}/{path}"] = value if isinstance(value, bytes) else json.dumps(value).encode()

    return put


async def test_both_markets_come_with_quotes_ticks_and_dates(serve, market):
    serve()
    snapshot = await market().snapshot(5)
    listed = {i.id: i for i in snapshot.instruments}
    assert snapshot.now_ms == 5
    assert set(listed) == {"币安人生USDT-spot", "GBPUSDT-spot", "EURUSDT-spot", "DEADUSDT-spot", "1000SHIBUSDT-um"}
    coin, contract = listed["币安人生USDT-spot"], listed["1000SHIBUSDT-um"]
    assert (coin.base, coin.quote, coin.tick_size, coin.listed_ms, coin.contract_type) == (
        "币安人生",
        "USDT",
        1e-4,
        None,
        None,
    )
    assert (contract.contract_type, contract.tick_size, contract.listed_ms) == ("PERPETUAL", 0.1, 1567965300000)
    assert (listed["GBPUSDT-spot"].tick_size, listed["DEADUSDT-spot"].status) == (0.0, "BREAK")
    assert snapshot.quotes["币安人生USDT-spot"] == Quote(volume_24h_quote=1000.5, bid=0.9999, ask=1.0001)
    assert snapshot.quotes["DEADUSDT-spot"] == Quote(volume_24h_quote=None, bid=None, ask=None)
    assert snapshot.quotes["1000SHIBUSDT-um"] == Quote(volume_24h_quote=2e6, bid=10.0, ask=None)


async def test_the_pound_is_the_exchanges_own_where_its_book_is_two_sided(serve, market):
    serve()
    snapshot = await market().snapshot(0)
    assert snapshot.quote_per_gbp["USDT"] == snapshot.quote_per_gbp["USDC"] == pytest.approx(1.25)
    assert snapshot.quote_per_gbp["EUR"] == pytest.approx(1.25)
    assert snapshot.quote_per_gbp["GBP"] == pytest.approx(1.0)
    assert snapshot.gbp_source == "GBPUSDT mid on the exchange"


async def test_the_pound_is_configured_where_nobody_quotes_it(serve, market):
    serve(spot_book=[book("GBPUSDT", "0.00", "0.00")])
    snapshot = await market().snapshot(0)
    assert snapshot.quote_per_gbp["USDT"] == 1.3
    assert snapshot.gbp_source == "configured: 1.3"


def without(info, field):
    return {"symbols": [{k: v for k, v in info["symbols"][0].items() if k != field}]}


@pytest.mark.parametrize(
    "changed",
    [
        {"spot_info": {}},
        {"spot_info": []},
        {"spot_info": {"symbols": {}}},
        {"spot_info": {"symbols": [1]}},
        {"spot_info": {"symbols": SPOT_INFO["symbols"][:1] * 2}},
        {"spot_info": without(SPOT_INFO, "status")},
        {"um_info": without(UM_INFO, "contractType")},
        {"um_info": {"symbols": [{**UM_INFO["symbols"][0], "baseAsset": ""}]}},
        {"um_info": {"symbols": [{**UM_INFO["symbols"][0], "onboardDate": "soon"}]}},
        {"spot_24hr": [{"symbol": "币安人生USDT", "quoteVolume": "Infinity"}]},
        {"spot_24hr": [{"symbol": "币安人生USDT", "quoteVolume": True}]},
        {"spot_24hr": {"code": 0}},
        {"um_book": [{"bidPrice": "1"}]},
        {"um_book": [book("1000SHIBUSDT", [], "1")]},
    ],
)
async def test_a_listing_that_is_not_what_was_promised_is_schema(serve, market, changed):
    serve(**changed)
    with pytest.raises(SchemaError):
        await market().snapshot(0)


async def test_duplicate_keys_in_an_answer_are_upstream(serve, market):
    serve(um_info=b'{"symbols": [], "symbols": []}')
    with pytest.raises(UpstreamError, match="duplicate key"):
        await market().snapshot(0)


async def test_a_futures_host_that_is_not_there_is_upstream(serve, loopback, market):
    serve()
    for path in [path for path in loopback.answers if path.startswith("fapi")]:
        del loopback.answers[path]
    with pytest.raises(UpstreamError, match="fapi"):
        await market().snapshot(0)
