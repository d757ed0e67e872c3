"""A listing is of one moment: the exchange's clock is asked before and after it."""

import asyncio
from types import SimpleNamespace

import pytest

from huracan.domain.records import Snapshot
from huracan.errors import ClockSkewError
from huracan.night.run import LONGEST_SNAPSHOT_MS, NODES_APART_MS, NightPipeline

NOW = 1_790_000_000_000


class Market:
    """Shows one time after the listing."""

    def __init__(self, after_ms):
        self.after_ms = after_ms

    async def snapshot(self, now_ms):
        return Snapshot(now_ms=now_ms, instruments=(), quotes={}, quote_per_gbp={}, gbp_source="test")

    async def server_time(self):
        return self.after_ms


def snapshot(moved_ms):
    kept = []
    ports = SimpleNamespace(
        pair=SimpleNamespace(market=Market(NOW + moved_ms)), snapshots=SimpleNamespace(keep=kept.append)
    )
    asyncio.run(NightPipeline(ports, SimpleNamespace())._snapshot(NOW, NOW))
    return kept


@pytest.mark.parametrize("moved_ms", [-NODES_APART_MS, -1, 0, LONGEST_SNAPSHOT_MS - 1])
def test_the_clocks_of_two_nodes_may_differ_and_a_listing_may_take_minutes(moved_ms):
    assert [one.now_ms for one in snapshot(moved_ms)] == [NOW]


@pytest.mark.parametrize("moved_ms", [-NODES_APART_MS - 1, LONGEST_SNAPSHOT_MS])
def test_a_clock_that_jumps_meanwhile_refuses_the_night(moved_ms):
    with pytest.raises(ClockSkewError, match="moved by"):
        snapshot(moved_ms)
