"""The ranking, best first; the do-not-trade list, which outlives restarts; and what is remembered per store."""

import dataclasses
import json

import pytest

from huracan.domain.bundle import DoNotTrade, RankRow
from huracan.domain.coin_names import CoinNames
from huracan.domain.regime_edges import RegimeEdge
from huracan.errors import ModelLoadError
from huracan.export.trust import Seen
from huracan.hamilton.state import StoreState, state_home


def test_the_best_net_edge_stands_first_and_ties_have_an_order(world, factory):
    world.publish(
        factory.bundle("BTC", edge=5.0),
        factory.bundle("ETH", edge=9.0),
        factory.bundle("ADA", edge=5.0),
        factory.bundle("ADA", "4h", edge=5.0),
    )
    table = world.hamilton().get_ranking_table()
    assert [(row.coin, row.horizon, row.rank) for row in table] == [
        ("ETH", "1h", 1),
        ("ADA", "1h", 2),
        ("ADA", "4h", 3),
        ("BTC", "1h", 4),
    ]
    assert table[0].net_edge_bps == 9.0
    assert table[0].capacity_estimate == 1e6


def test_the_ranking_can_be_narrowed_and_leaves_blocked_coins_out(world, factory):
    bundle = factory.bundle("BTC")
    rows = [
        RankRow(coin="BTC", horizon="1h", regime=regime, net_edge_bps=edge, confidence=0.6)
        for regime, edge in (("trend", 3.0), ("range", 4.0))
    ]
    world.publish(dataclasses.replace(bundle, ranking=rows), factory.bundle("ETH", "4h"))

    def ranked(**options):
        return [(row.coin, row.regime) for row in world.hamilton(**options).get_ranking_table()]

    assert ranked(ranking_coins=["BTC/USDT"]) == [("BTC", "range")]
    assert ranked(ranking_regimes=["trend"]) == [("ETH", "trend"), ("BTC", "trend")]
    assert ranked(ranking_horizons=["4h"]) == [("ETH", "trend")]
    assert ranked(ranking_regimes=["range"]) == [("BTC", "range")]
    hamilton = world.hamilton()
    hamilton.add_blocked_coin("BTC", "no")
    assert [row.coin for row in hamilton.get_ranking_table()] == ["ETH"]


def test_candidates_are_ranked_after_champions_and_only_where_allowed(world, factory):
    world.publish(
        factory.bundle("BTC", edge=1.0),
        factory.bundle("ETH", edge=99.0, status="candidate"),
        do_not_trade=[DoNotTrade(coin="ETH", code="NOT_PROVEN", reason="90 nights missing")],
    )
    assert [row.coin for row in world.hamilton().get_ranking_table()] == ["BTC"]
    paper = world.hamilton(allow_candidates=True).get_ranking_table()
    assert [(row.coin, row.status, row.rank) for row in paper] == [("BTC", "champion", 1), ("ETH", "candidate", 2)]


def test_a_set_signed_before_with_a_row_for_each_regime_gives_one_entry_a_coin_and_horizon(world, factory):
    def rows(coin, edge):
        return [
            RankRow(coin=coin, horizon="1h", regime=regime, net_edge_bps=edge, confidence=0.6)
            for regime in ("trend", "range", "panic")
        ]

    world.publish(
        *(
            dataclasses.replace(factory.bundle(coin), ranking=rows(coin, edge))
            for coin, edge in (("A", 9.0), ("B", 8.0))
        )
    )
    table = world.hamilton().get_ranking_table()
    assert [(row.coin, row.net_edge_bps, row.rank, row.regimes) for row in table] == [
        ("A", 9.0, 1, {}),
        ("B", 8.0, 2, {}),
    ]


def test_an_entry_says_what_the_coin_earned_in_every_regime(world, factory):
    regimes = {
        "trend": RegimeEdge(net_edge_bps=4.5, trips=40, open=True),
        "panic": RegimeEdge(net_edge_bps=None, trips=3, open=False),
    }
    world.publish(dataclasses.replace(factory.bundle("BTC"), regimes=regimes), factory.bundle("ETH"))
    world.publish(factory.bundle("ETH"), keep=[("BTC", "1h")])  # what is kept keeps its regimes
    table = {row.coin: row.regimes for row in world.hamilton().get_ranking_table()}
    assert table == {"BTC": regimes, "ETH": {}}


def test_before_anything_is_published_the_ranking_is_empty_as_the_block_list_is(world):
    hamilton = world.hamilton()
    assert (hamilton.get_ranking_table(), hamilton.get_do_not_trade_list()) == ([], [])


def test_blocks_by_hand_outlive_restarts_and_belong_to_one_store(world, factory):
    world.publish(factory.bundle("BTC"))
    hamilton = world.hamilton()
    hamilton.add_blocked_coin("BTCUSDT", "fat finger")
    again = world.hamilton()
    assert again.is_coin_blocked("BTC/USDT:USDT")
    assert again.blocked_reason("BTC") == "OWNER: fat finger"
    assert again.get_do_not_trade_list() == ["BTC"]
    other = factory.World(world.folder / "other")
    assert not other.hamilton(state_dir=world.folder / "state").is_coin_blocked("BTC")
    again.remove_blocked_coin("BTC")
    assert not world.hamilton().is_coin_blocked("BTC")


def test_the_trainings_list_cannot_be_lifted_by_hand(world, factory):
    listed = [
        DoNotTrade(coin="XRP", code="NOT_PROVEN", reason="90 nights missing"),
        DoNotTrade(coin="XRP", code="STALE", reason="old"),
        DoNotTrade(coin="XRP", code="NOT_PROVEN", reason="60 nights missing"),
    ]
    world.publish(factory.bundle("BTC"), do_not_trade=listed)
    hamilton = world.hamilton(allow_candidates=True)
    hamilton.remove_blocked_coin("XRP")
    assert hamilton.blocked_reason("XRPUSDT") == "STALE: old"
    assert hamilton.get_do_not_trade_list() == ["XRP"]
    assert not hamilton.is_coin_blocked("BTC")


@pytest.mark.parametrize(("coin", "reason"), [("", "x"), ("BTC", " ")])
def test_a_block_needs_a_coin_and_a_reason(world, coin, reason):
    with pytest.raises(ModelLoadError, match="needs a coin"):
        world.hamilton().add_blocked_coin(coin, reason)


def test_blocks_of_another_process_are_seen_within_a_second(world, factory):
    from huracan.hamilton.blocks import HamiltonDoNotTradeList

    now = [0.0]
    state = StoreState(world.folder / "s", "store")
    mine, theirs = (HamiltonDoNotTradeList(state, monotonic=lambda: now[0]) for _ in range(2))
    assert dict(mine.by_hand()) == {}
    theirs.add("BTC", "now")
    assert dict(mine.by_hand()) == {}
    now[0] = 1.5
    assert dict(mine.by_hand()) == {"BTC": "now"}
    assert mine.by_hand() is mine.by_hand()


def test_versions_seen_only_rise_and_new_online_keys_start_afresh(tmp_path):
    state = StoreState(tmp_path, "store")
    assert state.seen() == Seen()
    state.remember(Seen(root=1, timestamp=5, snapshot=5, targets=5, online_keys=("a",)))
    state.remember(Seen(root=1, timestamp=3, snapshot=6, targets=3, online_keys=("a",)))
    assert state.seen() == Seen(root=1, timestamp=5, snapshot=6, targets=5, online_keys=("a",))
    state.remember(Seen(root=2, timestamp=1, snapshot=1, targets=1, online_keys=("b",)))
    assert state.seen() == Seen(root=2, timestamp=1, snapshot=1, targets=1, online_keys=("b",))
    state.remember(Seen(root=1, timestamp=9, online_keys=("a",)))
    assert state.seen().root == 2
    assert (state.folder / "seen.json").stat().st_mode & 0o077 == 0
    assert json.loads((state.folder / "seen.json").read_bytes())["store"] == "store"


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"timestamp": 1, "surprise": 2}'])
def test_a_damaged_memory_is_an_error_and_not_a_fresh_start(tmp_path, content):
    state = StoreState(tmp_path, "store")
    state.remember(Seen(root=1))
    (state.folder / "seen.json").write_bytes(content)
    with pytest.raises(ModelLoadError, match="damaged"):
        state.seen()


def test_damaged_blocks_are_an_error(tmp_path):
    state = StoreState(tmp_path, "store")
    state.change_blocks({"BTC": "x"}, set())
    (state.folder / "blocked.json").write_bytes(b'{"BTC": 1}')
    with pytest.raises(ModelLoadError, match="damaged"):
        state.blocks()


def test_a_state_folder_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "hamilton").write_bytes(b"")
    state = StoreState(tmp_path, "store")
    with pytest.raises(ModelLoadError, match="HURACAN_STATE_DIR"):
        state.remember(Seen(root=1))
    with pytest.raises(ModelLoadError, match="HURACAN_STATE_DIR"):
        state.seen()


def test_the_state_folder_comes_from_the_environment():
    assert str(state_home({"HURACAN_STATE_DIR": "/s"})) == "/s"
    assert str(state_home({"XDG_STATE_HOME": "/x"})) == "/x/huracan"
    assert state_home({}).parts[-3:] == (".local", "state", "huracan")


def test_names_resolve_to_the_coins_of_the_set():
    names = CoinNames({"SOL": "SOLUSDT-um~1", "SOLUSDT-spot": "SOLUSDT-spot", "SOLUSDC-spot": "SOLUSDC-spot"}, ["XRP"])
    assert names.resolve("SOLUSDT") == "SOL"
    assert names.resolve("SOLUSDT-spot") == "SOLUSDT-spot"
    assert names.resolve("SOL/USDC") == "SOLUSDC-spot"
    assert names.resolve("XRPFDUSD") == "XRP"
    assert names.resolve("USDT") == "USDT"
    assert names.resolve("/USDT") == "/USDT"
    assert names.resolve("NEW") == "NEW"
