"""Every way an answer can be wrong ends in one of our errors, within bounds."""

import gzip
import json
import socket

import httpx2
import pytest

from huracan.adapters.binance import BinanceMarketData
from huracan.adapters.binance.budget import ARCHIVE, SPOT
from huracan.adapters.binance.http import Ask, HttpClient
from huracan.adapters.binance.rest import Rest
from huracan.domain.ids import Instrument
from huracan.errors import BannedError, UpstreamError
from huracan.sections import BinanceSettings

TIME = "api/v3/time"
OK = json.dumps({"serverTime": 1_700_000_000_000}).encode()


async def test_a_plain_answer_is_read(loopback, market):
    loopback.answers[TIME] = OK
    assert await market().server_time() == 1_700_000_000_000


async def test_a_gzipped_answer_is_read(loopback, market, reply):
    loopback.answers[TIME] = reply(gzip.compress(OK, mtime=0), headers={"Content-Encoding": "gzip"})
    assert await market().server_time() == 1_700_000_000_000


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_server_errors_are_tried_again(loopback, market, reply, status):
    loopback.answers[TIME] = [reply(b"", status), reply(b"", status), reply(OK)]
    assert await market().server_time() == 1_700_000_000_000
    assert len(loopback.requests) == 3


async def test_a_server_that_stays_broken_is_given_up(loopback, market, reply):
    loopback.answers[TIME] = reply(b"", 503)
    with pytest.raises(UpstreamError, match=r"status 503.*6 attempts"):
        await market().server_time()
    assert len(loopback.requests) == 6


@pytest.mark.parametrize("status", [301, 400, 403, 451])
async def test_refusals_are_not_repeated_and_quote_the_answer(loopback, market, reply, status):
    loopback.answers[TIME] = reply(
        b'{"code":-1121,"msg":"Invalid symbol."}', status, {"Location": "http://127.0.0.1:1/"}
    )
    with pytest.raises(UpstreamError, match=f"{status}.*Invalid symbol"):
        await market().server_time()
    assert len(loopback.requests) == 1


async def test_a_missing_endpoint_asks_about_the_base_url(loopback, market):
    with pytest.raises(UpstreamError, match="base URL"):
        await market().server_time()


@pytest.mark.parametrize(
    "body", [b"<!DOCTYPE html><p>maintenance", b"{}", b'{"serverTime": "1"}', b'{"serverTime": NaN}', b"[]", b""]
)
async def test_nonsense_with_status_200_is_upstream(loopback, market, body):
    loopback.answers[TIME] = body
    with pytest.raises(UpstreamError):
        await market().server_time()


async def test_a_reset_connection_is_tried_again(loopback, market, reply):
    loopback.answers[TIME] = [reply(close=True), reply(OK)]
    assert await market().server_time() == 1_700_000_000_000


async def test_a_body_shorter_than_promised_is_tried_again_and_then_upstream(loopback, market, reply):
    loopback.answers[TIME] = reply(OK, length=len(OK) + 10)
    with pytest.raises(UpstreamError, match="attempts"):
        await market().server_time()


async def test_an_answer_that_stalls_ends_with_the_total_deadline(loopback, market, reply):
    loopback.answers[TIME] = reply(OK, length=len(OK) + 10, stall=30)
    with pytest.raises(UpstreamError, match=r"within 0\.3 s"):
        await market(total_timeout_s=0.3).server_time()


async def test_a_read_that_stalls_is_a_time_out_of_its_own(loopback, market, reply):
    loopback.answers[TIME] = [reply(OK, length=len(OK) + 10, stall=30), reply(OK)]
    assert await market(read_timeout_s=0.2).server_time() == 1_700_000_000_000


async def test_a_closed_port_is_upstream():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    client = BinanceMarketData(BinanceSettings(rest_url=url, futures_url=url, archive_url=url), 1.3)
    with pytest.raises(UpstreamError, match="ConnectError"):
        await client.server_time()
    await client.aclose()


async def test_an_impossible_url_is_upstream(make_budget, settings_for):
    http = HttpClient(settings_for(), make_budget())
    with pytest.raises(UpstreamError):
        await http.get(Ask(pool=SPOT, url="gopher://127.0.0.1/"))
    await http.aclose()


@pytest.fixture
async def http(settings_for, make_budget):
    client = HttpClient(settings_for(), make_budget())
    yield client
    await client.aclose()


async def test_an_answer_over_the_cap_is_refused_while_it_arrives(loopback, http, reply):
    loopback.answers["big"] = reply(b"x" * 100_000)
    with pytest.raises(UpstreamError, match="exceeds 1000 bytes"):
        await http.get(Ask(pool=ARCHIVE, url=f"{loopback.url}/big", cap=1000))


async def test_a_gzip_bomb_is_refused_at_the_cap(loopback, http, reply):
    bomb = gzip.compress(b"0" * 10_000_000, mtime=0)
    loopback.answers["bomb"] = reply(bomb, headers={"Content-Encoding": "gzip"})
    with pytest.raises(UpstreamError, match="exceeds 50000 bytes"):
        await http.get(Ask(pool=SPOT, url=f"{loopback.url}/bomb", cap=50_000))


@pytest.mark.parametrize(
    ("encoding", "body", "pool"),
    [
        ("br", b"x", SPOT),
        ("gzip", b"not gzip", SPOT),
        ("gzip", gzip.compress(b"abc", mtime=0)[:-3], SPOT),
        ("gzip", gzip.compress(b"abc", mtime=0) + b"more", SPOT),
        ("gzip", gzip.compress(b"abc", mtime=0), ARCHIVE),
    ],
)
async def test_an_encoding_that_is_broken_or_was_not_asked_for_is_refused(loopback, http, reply, encoding, body, pool):
    loopback.answers["x"] = reply(body, headers={"Content-Encoding": encoding})
    with pytest.raises(UpstreamError, match=r"gzip|encoding"):
        await http.get(Ask(pool=pool, url=f"{loopback.url}/x"))


async def test_429_waits_as_long_as_told_and_then_succeeds(loopback, market, make_budget, reply):
    budget = make_budget()
    loopback.answers[TIME] = [reply(b"", 429, {"Retry-After": "3"}), reply(OK)]
    assert await market(budget=budget).server_time() == 1_700_000_000_000
    assert budget.elapsed[0] == pytest.approx(3.0)


async def test_429_without_retry_after_waits_a_default(loopback, market, make_budget, reply):
    budget = make_budget()
    loopback.answers[TIME] = [reply(b"", 429), reply(OK)]
    await market(budget=budget, total_timeout_s=60.0).server_time()
    assert budget.elapsed[0] == pytest.approx(30.0)


async def test_429_beyond_the_deadline_is_upstream_at_once_and_the_next_request_still_waits(
    loopback, market, make_budget, reply
):
    budget = make_budget()
    client = market(budget=budget)
    loopback.answers[TIME] = [reply(b"", 429, {"Retry-After": "3600"}), reply(OK)]
    with pytest.raises(UpstreamError, match="3600 s"):
        await client.server_time()
    assert len(loopback.requests) == 1
    assert await client.server_time() == 1_700_000_000_000
    assert budget.elapsed[0] == pytest.approx(3600.0)


async def test_after_a_418_no_request_leaves_the_client(loopback, market, reply):
    client = market()
    loopback.answers[TIME] = reply(b"", 418, {"Retry-After": "500"})
    with pytest.raises(BannedError) as caught:
        await client.server_time()
    sent = len(loopback.requests)
    assert sent == 1
    with pytest.raises(BannedError) as again:
        await client.snapshot(0)
    assert again.value.until_ms == caught.value.until_ms
    assert len(loopback.requests) == sent


@pytest.mark.parametrize("asked", ["9999999", "Fri, 31 Dec 2099 00:00:00 GMT", "-7", "soon", "0"])
async def test_a_ban_lasts_from_the_shortest_to_the_longest_that_is_published(
    loopback, market, make_budget, reply, asked
):
    loopback.answers[TIME] = reply(b"", 418, {"Retry-After": asked})
    budget = make_budget()
    with pytest.raises(BannedError, match=r"no request from this address until \d{4}-\d\d-\d\dT") as caught:
        await market(budget=budget).server_time()
    assert 120 <= caught.value.until_ms / 1000 - budget.elapsed[0] <= 3 * 86_400


@pytest.mark.parametrize("used", ["9" * 400, "9" * 5000, "-1", "many"])
async def test_a_used_weight_that_is_none_is_not_counted(loopback, market, make_budget, reply, used):
    budget = make_budget()
    loopback.answers[TIME] = reply(OK, headers={"X-MBX-USED-WEIGHT-1M": used})
    client = market(budget=budget)
    await client.server_time()
    await client.server_time()
    assert budget.elapsed[0] == 0.0


async def test_the_used_weight_of_the_answer_slows_the_next_request(loopback, market, make_budget, reply):
    budget = make_budget()
    loopback.answers[TIME] = reply(OK, headers={"X-MBX-USED-WEIGHT-1M": "5999"})
    client = market(budget=budget)
    await client.server_time()
    await client.server_time()
    assert budget.elapsed[0] == pytest.approx(60.0)


async def test_the_used_weight_of_the_whole_market_is_not_charged_to_the_small_funding_limit(
    loopback, settings_for, make_budget, reply
):
    budget = make_budget()
    loopback.answers["fapi/v1/fundingRate"] = reply(b"[]", headers={"X-MBX-USED-WEIGHT-1M": "2399"})
    coin = Instrument(market="um", symbol="SOLUSDT", base="SOL", quote="USDT")
    http = HttpClient(settings_for(), budget)
    rest = Rest(http, settings_for(), "1m", 60_000)
    for _ in range(3):
        assert [page async for page in rest.funding(coin, 0, 1000)] == []
    await http.aclose()
    assert len(loopback.queries["fapi/v1/fundingRate"]) == 3
    assert budget.elapsed[0] == 0.0


async def test_a_transport_of_the_callers_own_is_used(settings_for):
    class Canned(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request):
            return httpx2.Response(200, stream=httpx2.ByteStream(OK), request=request)

    client = BinanceMarketData(settings_for(), 1.3, Canned())
    assert await client.server_time() == 1_700_000_000_000
    await client.aclose()
