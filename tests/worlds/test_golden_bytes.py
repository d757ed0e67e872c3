"""The bytes of the worlds that exist: a world that changes by a bit is another world."""

import hashlib

import pytest

from .conftest import Client

_HOURS = {"symbol": "BTCUSDT", "interval": "1h", "startTime": 1_767_600_000_000, "limit": 700}
GOLDEN = {
    "/api/v3/exchangeInfo": ({}, "f7e7fe16f22830d1"),
    "/fapi/v1/exchangeInfo": ({}, "a3c738b225818fb6"),
    "/api/v3/ticker/24hr": ({}, "a25e8d42fa25100a"),
    "/fapi/v1/ticker/24hr": ({}, "ba81a311b70efaf4"),
    "/api/v3/ticker/bookTicker": ({}, "bb25df680757a453"),
    "/fapi/v1/ticker/bookTicker": ({}, "70b89bfa98732513"),
    "/fapi/v1/premiumIndex": ({}, "9b31907ba7d819da"),
    "/fapi/v1/fundingInfo": ({}, "48043f13813e02f4"),
    "/fapi/v1/fundingRate": ({"startTime": 1_767_600_000_000, "limit": 500}, "a46d6c0b63222da6"),
    "/api/v3/klines": (_HOURS, "f04952a80e830453"),
    "/fapi/v1/klines": (_HOURS, "5480b959e7140432"),
    "/data/spot/daily/klines/ALFAUSDT/1m/ALFAUSDT-1m-2026-01-09.zip": ({}, "4cfbddc06b06a5a2"),
    "/data/futures/um/monthly/klines/测试币USDT/1h/测试币USDT-1h-2026-01.zip": ({}, "94e5b5a7335245e0"),
    "/data/futures/um/monthly/fundingRate/BTCUSDT/BTCUSDT-fundingRate-2026-01.zip.CHECKSUM": ({}, "c062ae88e49186a1"),
    "/": ({"prefix": "data/futures/um/monthly/klines/GAPPYUSDT/4h/"}, "4bfc860514eda5c0"),
}


@pytest.mark.slow
@pytest.mark.parametrize("path", GOLDEN)
def test_an_answer_of_the_demo_world_has_the_bytes_it_always_had(client: Client, path: str) -> None:
    params, digest = GOLDEN[path]
    status, _, body = client.get(path, **params)
    assert status == 200
    assert hashlib.sha256(body).hexdigest()[:16] == digest
