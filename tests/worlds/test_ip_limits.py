"""Limits by address on a clock of the test's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huracan.worlds.limits import FIRST_BAN_S, LIMITS, LONGEST_BAN_S, PATIENCE, IpLimits


class Clock:
    def __init__(self) -> None:
        self.now = 600.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limits(clock: Clock) -> IpLimits:
    return IpLimits(clock, enforce=True)


def test_the_published_limits_hold_to_the_unit_and_end_with_their_window(limits: IpLimits, clock: Clock) -> None:
    clock.now = 610.0
    assert limits.enter("spot", "klines", 6000).status == 200
    refused = limits.enter("spot", "time", 1)
    assert (refused.status, refused.wait_s, refused.used) == (429, 50, 6001)
    assert limits.enter("um", "klines", 2400).status == 200
    assert limits.enter("um", "klines", 1).status == 429
    clock.now += 50
    assert (limits.enter("spot", "time", 1).status, limits.enter("um", "time", 1).used) == (200, 1)


def test_funding_requests_have_a_window_of_their_own(limits: IpLimits, clock: Clock) -> None:
    answers = [limits.enter("um", name, 0).status for name in ("fundingRate", "fundingInfo") * 250]
    assert set(answers) == {200}
    refused = limits.enter("um", "fundingRate", 0)
    assert (refused.status, refused.wait_s) == (429, 300)
    assert limits.enter("um", "klines", 2).status == 200
    clock.now += 300
    assert limits.enter("um", "fundingInfo", 0).status == 200


def test_whoever_goes_on_after_a_429_is_banned_each_time_for_longer(limits: IpLimits, clock: Clock) -> None:
    bans = []
    for _ in range(8):
        limits.enter("um", "klines", 2401)
        answers = [limits.enter("um", "time", 1) for _ in range(PATIENCE)]
        assert [answer.status for answer in answers] == [429] * (PATIENCE - 1) + [418]
        bans.append(answers[-1].wait_s)
        assert limits.enter("spot", "time", 1).status == 418  # the address is banned, not the market
        clock.now += answers[-1].wait_s
        clock.now += 60 - clock.now % 60
        assert limits.enter("um", "time", 1).status == 200
        clock.now += 60
    assert bans[:3] == [FIRST_BAN_S, 4 * FIRST_BAN_S, 16 * FIRST_BAN_S]
    assert bans == sorted(bans)
    assert bans[-1] == LONGEST_BAN_S


def test_whoever_waits_as_told_is_never_banned(limits: IpLimits, clock: Clock) -> None:
    for _ in range(5 * PATIENCE):
        limits.enter("um", "klines", 2400)
        refused = limits.enter("um", "klines", 10)
        assert refused.status == 429
        clock.now += refused.wait_s
    assert limits.refused == {429: 5 * PATIENCE}


def test_without_enforcement_only_a_ban_that_was_asked_for_holds(clock: Clock) -> None:
    limits = IpLimits(clock)
    assert limits.enter("spot", "klines", 10**6).status == 200
    limits.ban(90)
    limits.ban(30)
    assert (limits.enter("um", "time", 1).status, limits.enter("um", "time", 1).wait_s) == (418, 90)
    clock.now += 90
    assert limits.enter("um", "time", 1).status == 200


@given(st.lists(st.tuples(st.integers(1, 900), st.floats(0, 20)), max_size=60))
def test_no_window_ever_answers_more_than_its_limit(requests: list[tuple[int, float]]) -> None:
    clock = Clock()
    limits = IpLimits(clock, {**LIMITS, "um": (1000, 60.0)}, enforce=True)
    answered: dict[int, int] = {}
    for weight, pause in requests:
        clock.now += pause
        if limits.enter("um", "klines", weight).status == 200:
            window = int(clock.now // 60)
            answered[window] = answered.get(window, 0) + weight
    assert max(answered.values(), default=0) <= 1000
