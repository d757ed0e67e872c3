"""Between attempts the whole range is drawn from, and an outage is not answered with six times the requests."""

import random

import pytest

from huracan.adapters.binance.retries import ATTEMPTS, LONGEST_WAIT_S, RetryBudget, TransientError, wait_before_retry
from huracan.errors import BannedError, UpstreamError

TIME = "api/v3/time"


def test_the_wait_is_drawn_from_the_whole_range_up_to_a_doubling_cap():
    random.seed(1)
    for attempt, cap in ((1, 0.25), (2, 0.5), (5, 4.0), (9, LONGEST_WAIT_S)):
        error = TransientError("x")
        error.attempt = attempt
        waits = [wait_before_retry(error) for _ in range(400)]
        assert min(waits) < 0.05 * cap
        assert 0.95 * cap < max(waits) <= cap
        assert sum(waits) / 400 == pytest.approx(cap / 2, rel=0.1)


def test_other_errors_are_not_tried_again():
    assert wait_before_retry(ValueError("x")) is False


def test_a_budget_allows_its_reserve_and_then_a_tenth_of_what_is_answered():
    budget = RetryBudget(reserve=3.0, deposit=0.25)
    assert [budget.take("um") for _ in range(4)] == [True, True, True, False]
    assert budget.take("spot")
    for _ in range(4):
        budget.answered("um")
    assert [budget.take("um") for _ in range(2)] == [True, False]
    for _ in range(1000):
        budget.answered("um")
    assert [budget.take("um") for _ in range(4)] == [True, True, True, False]


@pytest.mark.slow
async def test_an_outage_costs_hardly_more_requests_than_there_are(loopback, market, reply):
    loopback.answers[TIME] = reply(b"", 503)
    client = market()
    for _ in range(60):
        with pytest.raises(UpstreamError, match="503"):
            await client.server_time()
    assert 60 < len(loopback.requests) <= 60 + 40
    with pytest.raises(UpstreamError, match="not tried again"):
        await client.server_time()
    assert ATTEMPTS == 6


async def test_a_ban_that_comes_while_a_request_waits_for_its_connection_stops_it(loopback, market, make_budget, reply):
    budget = make_budget()
    loopback.answers[TIME] = b'{"serverTime": 1}'
    client = market(budget=budget)
    spend = budget.spend

    async def banned_after_booking(pool, weight):
        await spend(pool, weight)
        budget.ban(60)

    budget.spend = banned_after_booking
    with pytest.raises(BannedError):
        await client.server_time()
    assert loopback.requests == []
