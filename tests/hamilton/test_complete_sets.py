"""Sets that carry the account of their night: what does not add up is neither signed nor served."""

import pytest

from huracan.adapters.publishers.sets import SetRun, damaged_members, publish_set, rollback_set, sign_set
from huracan.adapters.publishers.trees import signed_tree
from huracan.domain.account import ACCOUNT_KEY, SetAccount, set_faults
from huracan.domain.bundle import ChampionSet, DoNotTrade
from huracan.errors import BundleFormatError, IncompleteError, ModelLoadError

RECIPE = "linear-0123"
ACCOUNT = SetAccount(
    pairs=3,
    horizons=["1h"],
    skips=1,
    verdict={"um-A": {"1h": RECIPE}},
    pools={"BTC_1h": "um-A", "ETH_1h": "um-A"},
)
BLOCKED = [DoNotTrade(coin="SOL", code="NOT_PROVEN", reason="60 nights missing")]


def publish(world, factory, account=ACCOUNT, blocked=BLOCKED, bundles=None, **more):
    bundles = bundles or [factory.bundle("BTC"), factory.bundle("ETH"), factory.bundle("SOL", status="candidate")]
    facts = SetRun(run_id="r", data_cutoff_ms=factory.CUTOFF, extras=account.as_extras())
    return publish_set(world.store, world.keys, bundles, facts, wall_clock_ms=world.now, do_not_trade=blocked, **more)


def sign(world, **changes):
    """Sign the current set with changes that a night would not sign."""
    tree = signed_tree(world.store, world.keys)
    number = tree.current.version + 1
    changed = tree.current.model_copy(update={"version": number, "origin": number, **changes})
    sign_set(world.store, world.keys, tree, changed, dict(tree.files))


def test_a_complete_set_is_signed_and_served_and_so_is_one_without_an_account(world, factory):
    publish(world, factory)
    hamilton = world.hamilton()
    assert hamilton.load_model("BTC", "1h")[1].recipe_id == RECIPE
    assert hamilton.problem is None
    sign(world, extras={}, do_not_trade=[])
    assert hamilton.load_model("BTC", "1h")[1].recipe_id == RECIPE
    assert hamilton.problem is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"skips": 2}, "2 champions and 2 skips, wanted 3 together"),
        ({"pairs": 4}, "2 champions and 1 skips, wanted 4 together"),
        ({"horizons": ["1h", "4h"]}, "wanted 6 together"),
        ({"pools": {**ACCOUNT.pools, "XRP_1h": "um-A"}}, "XRP_1h is in the account and no champion of the set"),
        ({"pools": {"BTC_1h": "um-A"}}, "ETH_1h is a champion and not in the account"),
        ({"verdict": {"um-B": {"1h": RECIPE}}}, "BTC_1h is a champion of a pool without a proven recipe at 1h"),
    ],
)
def test_a_set_that_is_not_what_its_account_says_is_neither_signed_nor_served(world, factory, changes, words):
    wrong = ACCOUNT.model_copy(update=changes)
    publish(world, factory)
    with pytest.raises(IncompleteError, match=words):
        publish(world, factory, wrong)
    assert signed_tree(world.store, world.keys).current.version == 1
    hamilton = world.hamilton()
    hamilton.load_model("BTC", "1h")
    sign(world, extras=wrong.as_extras())
    hamilton.load_model("BTC", "1h")  # the last good set goes on serving
    assert isinstance(hamilton.problem, BundleFormatError)
    assert words in str(hamilton.problem)
    with pytest.raises(ModelLoadError, match=words):
        world.hamilton(state_dir=world.folder / "fresh").load_model("BTC", "1h")


def test_a_coin_that_is_neither_a_champion_nor_blocked_makes_a_set_incomplete(world, factory):
    with pytest.raises(IncompleteError, match="SOL is neither a champion nor on the do-not-trade list"):
        publish(world, factory, blocked=[])
    assert signed_tree(world.store, world.keys) is None


@pytest.mark.parametrize("warm", [False, True])
def test_a_champion_of_another_recipe_than_the_verdict_names_is_not_served(world, factory, warm):
    """Also one that was loaded before the verdict changed."""
    publish(world, factory)
    hamilton = world.hamilton()
    if warm:
        hamilton.load_model("BTC", "1h")
    sign(world, extras=ACCOUNT.model_copy(update={"verdict": {"um-A": {"1h": "boosted-4567"}}}).as_extras())
    words = f"BTC 1h v1 is of recipe {RECIPE}, and the verdict of set 2 names boosted-4567"
    if warm:
        hamilton.load_model("BTC", "1h")
        assert words in str(hamilton.problem)
    else:
        with pytest.raises(BundleFormatError, match=words):
            hamilton.load_model("BTC", "1h")


def test_an_account_that_is_none_is_refused(world, factory):
    publish(world, factory)
    sign(world, extras={ACCOUNT_KEY: {"pairs": "three"}})
    with pytest.raises(BundleFormatError, match="set: account: pairs"):
        world.hamilton().load_model("BTC", "1h")


def test_a_champion_to_be_kept_whose_files_are_damaged_stops_the_publication(world, factory):
    publish(world, factory)
    tree = signed_tree(world.store, world.keys)
    assert damaged_members(world.store, tree, [("BTC", "1h"), ("ETH", "1h")]) == {}
    (world.root / "models" / "ETH" / "1h" / "v1" / "golden.json").write_bytes(b"{}")
    damaged = damaged_members(world.store, tree, [("BTC", "1h"), ("ETH", "1h")])
    assert list(damaged) == [("ETH", "1h")]
    others = [factory.bundle("BTC"), factory.bundle("SOL", status="candidate")]
    with pytest.raises(IncompleteError, match=r"ETH_1h was to be kept \(.*golden.json"):
        publish(world, factory, bundles=others, keep=[("ETH", "1h")])


def test_a_rollback_to_a_complete_set_is_served(world, factory):
    publish(world, factory)
    bundles = [factory.bundle("BTC", seed=5), factory.bundle("ETH"), factory.bundle("SOL", status="candidate")]
    publish(world, factory, bundles=bundles)
    rollback_set(world.store, world.keys, wall_clock_ms=world.now)
    hamilton = world.hamilton()
    assert hamilton.load_model("BTC", "1h")[1].version == 1
    assert hamilton.problem is None


def test_sets_without_an_account_have_no_faults():
    current = ChampionSet(
        version=1, origin=1, run_id="r", data_cutoff_ms=0, signed_ms=0, members={}, ranking=[], do_not_trade=[]
    )
    assert set_faults(current) == []
