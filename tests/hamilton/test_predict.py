"""Predictions: what the training side computed, for exactly the features of the model, and never for a blocked coin."""

import dataclasses
import math
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sizes import size

from huracan.domain.bundle import DoNotTrade
from huracan.domain.frames import REGIMES
from huracan.errors import FeatureError, ModelLoadError
from huracan.hamilton import PredictionResult
from huracan.hamilton.verify import REGIME_NAMES
from huracan.stats.evaluate import evaluate, regime_codes

POISON = size(300, 5_000)


def test_regimes_are_named_as_everywhere_else():
    assert REGIME_NAMES == REGIMES


def test_a_prediction_equals_the_training_side_bit_for_bit(world, factory):
    model = factory.model(3, engines=4, trees=2)
    world.publish(factory.bundle(of=model))
    hamilton = world.hamilton()
    x = factory.rows(60, seed=9)
    expected = evaluate(model, x, regime_codes(model, x))
    directions = set()
    for row in range(60):
        result = hamilton.predict("BTC", "1h", dict(zip(factory.NAMES, x[row].tolist(), strict=True)))
        assert result.score == expected.score[row]
        assert result.edge_bps == expected.edge_bps[row]
        assert result.net_edge_bps == abs(expected.edge_bps[row]) - 8.0
        assert result.confidence == expected.confidence[row]
        assert result.position_fraction == expected.position_fraction[row]
        assert result.direction == {1: "long", 0: "hold", -1: "short"}[int(expected.side[row])]
        assert result.regime == REGIMES[int(x[row, -1])]
        views = {
            name: edge for name, edge in zip(model.engines, expected.edges[row], strict=True) if not math.isnan(edge)
        }
        assert result.votes == views
        directions.add(result.direction)
    assert directions == {"long", "short", "hold"}


def test_the_result_carries_what_was_measured_and_until_when_it_holds(world, factory):
    world.publish(factory.bundle())
    result = world.hamilton().predict("BTC", "1h", factory.features())
    assert (result.coin, result.horizon, result.version) == ("BTC", "1h", 1)
    assert result.valid_until == factory.CUTOFF + 48 * factory.HOUR
    assert (result.stale, result.blocked_reason) == (False, None)
    meta = result.metadata
    assert (meta.net_edge_bps, meta.sharpe_ratio, meta.win_rate, meta.capacity_estimate) == (5.0, 1.2, 0.55, 1e6)
    assert (meta.confidence, meta.e_value, meta.status, meta.regime) == (0.7, 130.0, "champion", "all")
    assert dataclasses.asdict(result)["metadata"]["version"] == 1
    assert set(vars(result)) == {part.name for part in dataclasses.fields(PredictionResult)}
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.direction = "long"


def test_numbers_that_were_not_measured_are_none_and_not_zero(world, factory):
    bundle = factory.bundle()
    bare = dataclasses.replace(bundle, manifest=bundle.manifest.model_copy(update={"metrics": {}, "evidence": {}}))
    world.publish(bare)
    meta = world.hamilton().load_model("BTC", "1h")[1]
    assert (meta.net_edge_bps, meta.sharpe_ratio, meta.e_value) == (None, None, None)


@pytest.mark.parametrize("name", ["BTC", "BTCUSDT", "BTC/USDT", "BTC/USDT:USDT"])
def test_every_spelling_of_a_coin_resolves(world, factory, name):
    world.publish(factory.bundle("BTC"))
    assert world.hamilton().predict(name, "1h", factory.features()).coin == "BTC"
    assert world.hamilton().predict(name, "60m", factory.features()).horizon == "1h"


def test_integers_and_numpy_numbers_are_numbers(world, factory):
    world.publish(factory.bundle())
    hamilton, given = world.hamilton(), factory.features()
    expected = hamilton.predict("BTC", "1h", given)
    cast = {name: np.float64(value) for name, value in given.items()} | {"regime": int(given["regime"])}
    assert hamilton.predict("BTC", "1h", cast) == expected


def test_a_model_of_one_feature_predicts(world, factory):
    model = factory.model(names=("only",), trees=0)
    world.publish(factory.bundle(of=model))
    result = world.hamilton().predict("BTC", "1h", {"only": 0.3})
    assert result.regime == result.metadata.regime == "all"
    with pytest.raises(FeatureError, match="not finite"):
        world.hamilton().predict("BTC", "1h", {"only": math.nan})


def test_threads_do_not_share_a_row(served, factory):
    rows = [factory.features(seed) for seed in range(8)]
    alone = [served.predict("BTC", "1h", row) for row in rows]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda _: [served.predict("BTC", "1h", row) for row in rows], range(40)))
    assert all(batch == alone for batch in together)


def test_the_order_of_features_does_not_matter(world, factory):
    world.publish(factory.bundle())
    hamilton, given = world.hamilton(), factory.features()
    reverse = dict(reversed(given.items()))
    assert hamilton.predict("BTC", "1h", given) == hamilton.predict("BTC", "1h", reverse)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"momentum": None}, "not finite numbers.*momentum"),
        ({"momentum": "1.0"}, "not finite numbers.*momentum"),
        ({"momentum": math.nan}, "not finite numbers.*momentum"),
        ({"flow": -math.inf}, "not finite numbers.*flow"),
        ({"flow": 10**400}, "not finite numbers.*flow"),
        ({"flow": [1.0]}, "not finite numbers.*flow"),
        ({"flow": 1j}, "not finite numbers.*flow"),
        ({"regime": 4}, "regime is 4.*0 to 3"),
        ({"regime": 0.5}, "regime is 0.5"),
        ({"regime": -1}, "regime is -1"),
        ({"surprise": 1.0}, "unknown features.*surprise"),
        ({3: 1.0}, "unknown features.*3"),
    ],
)
def test_features_out_of_order_are_named(world, factory, change, message):
    world.publish(factory.bundle())
    with pytest.raises(FeatureError, match=message) as caught:
        world.hamilton().predict("BTC", "1h", {**factory.features(), **change})
    assert "BTC 1h v1" in str(caught.value)


@pytest.mark.guarantee("H5", cases=11)
def test_missing_and_renamed_features_are_named(world, factory):
    world.publish(factory.bundle())
    hamilton = world.hamilton()
    for name in factory.NAMES:
        given = factory.features()
        value = given.pop(name)
        with pytest.raises(FeatureError, match=f"missing features.*{name}"):
            hamilton.predict("BTC", "1h", given)
        with pytest.raises(FeatureError, match=f"missing features.*{name}.*unknown features.*{name}_"):
            hamilton.predict("BTC", "1h", {**given, f"{name}_": value})
    with pytest.raises(FeatureError, match="missing"):
        hamilton.predict("BTC", "1h", {})


@pytest.mark.slow
@pytest.mark.guarantee("H5", cases=POISON)
@settings(max_examples=POISON, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_poisoned_rows_are_refused_and_never_filled_in(served, factory, data):
    poison = st.one_of(
        st.sampled_from([math.nan, math.inf, -math.inf, None, "0", b"0", [], {}, object(), 1j, 10**400]), st.text()
    )
    given = factory.features(data.draw(st.integers(0, 99)))
    for name in data.draw(st.lists(st.sampled_from(factory.NAMES), min_size=1, max_size=3, unique=True)):
        given[name] = data.draw(poison)
    with pytest.raises(FeatureError):
        served.predict("BTC", "1h", given)


@pytest.fixture
def served(world, factory):
    world.publish(factory.bundle())
    return world.hamilton()


def long_features(factory, hamilton):
    return next(
        given
        for seed in range(500)
        if hamilton.predict("BTC", "1h", given := factory.features(seed)).direction == "long"
    )


def test_a_blocked_coin_is_never_long(served, factory):
    given = long_features(factory, served)
    free = served.predict("BTC", "1h", given)
    served.add_blocked_coin("BTC/USDT", "exchange maintenance")
    blocked = served.predict("BTCUSDT", "1h", given)
    assert (blocked.direction, blocked.position_fraction) == ("hold", 0.0)
    assert blocked.blocked_reason == "OWNER: exchange maintenance"
    assert (blocked.score, blocked.edge_bps) == (free.score, free.edge_bps)
    served.remove_blocked_coin("BTC")
    assert served.predict("BTC", "1h", given) == free


def test_a_champion_on_the_trainings_list_is_held_back(world, factory):
    world.publish(factory.bundle(), do_not_trade=[DoNotTrade(coin="BTC", code="DELISTED", reason="delisted today")])
    hamilton = world.hamilton(allow_candidates=True)
    result = hamilton.predict("BTC", "1h", factory.features())
    assert (result.direction, result.blocked_reason) == ("hold", "DELISTED: delisted today")


def test_a_candidate_is_loaded_only_where_candidates_are_allowed(world, factory):
    world.publish(
        factory.bundle(status="candidate", evidence={"e_value": 1.5, "nights_missing": 90}),
        do_not_trade=[DoNotTrade(coin="BTC", code="NOT_PROVEN", reason="nothing is proven yet")],
    )
    with pytest.raises(ModelLoadError, match=r"candidate.*e-value is 1\.50, about 90 nights missing"):
        world.hamilton().predict("BTC", "1h", factory.features())
    with pytest.raises(ModelLoadError, match="candidate"):
        world.hamilton().load_model("BTC", "1h", 1)
    paper = world.hamilton(allow_candidates=True)
    assert long_features(factory, paper)
    assert paper.load_model("BTC", "1h")[1].status == "candidate"
    assert paper.get_do_not_trade_list() == ["BTC"]
    paper.add_blocked_coin("BTC", "by hand")
    assert paper.predict("BTC", "1h", factory.features()).blocked_reason == "OWNER: by hand"


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (
            {"edge_round_trips": 40, "edge_lower_bps": -169.84},
            r"the lower 5% point of its own edge is -169\.8 bps .*wanted 5\.0",
        ),
        ({"edge_round_trips": 4, "edge_lower_bps": None}, "only 4 round trips, wanted 10"),
    ],
    ids=["edge too small", "too few round trips"],
)
def test_a_candidate_of_a_proven_pool_is_refused_for_its_own_edge(world, factory, own, words):
    proof = {"e_value": 3961356.7087256545, "needed": 80.0, "nights_missing": 0.0, "edge_wanted_bps": 5.0}
    world.publish(factory.bundle(status="candidate", evidence={**proof, **own}))
    with pytest.raises(ModelLoadError) as refused:
        world.hamilton().predict("BTC", "1h", factory.features())
    told = str(refused.value)
    assert "its pool is proven (e-value 4.0e+06, wanted 80), this coin is not: EDGE_BELOW_MIN, " in told
    assert re.search(words, told)
    assert "nothing is proven" not in told


def test_earlier_signed_versions_can_be_asked_for_and_no_others(world, factory):
    world.publish(factory.bundle(seed=1))
    world.publish(factory.bundle(seed=2))
    hamilton = world.hamilton()
    assert hamilton.predict("BTC", "1h", factory.features()).version == 2
    assert hamilton.predict("BTC", "1h", factory.features(), version=1).version == 1
    assert hamilton.load_model("BTC", "1h", 2)[1].version == 2
    for version in (0, -1, True, "1"):
        with pytest.raises(ModelLoadError, match="wanted a number from 1"):
            hamilton.load_model("BTC", "1h", version)
    with pytest.raises(ModelLoadError, match="not among the signed"):
        hamilton.load_model("BTC", "1h", 3)


def test_what_is_absent_is_said_with_its_reason(world, factory):
    world.publish(factory.bundle("BTC", "4h"), do_not_trade=[DoNotTrade(coin="XRP", code="ILLIQUID", reason="thin")])
    hamilton = world.hamilton()
    with pytest.raises(ModelLoadError, match="horizons with one: 4h"):
        hamilton.predict("BTC", "1h", {})
    with pytest.raises(ModelLoadError, match="ILLIQUID: thin"):
        hamilton.predict("XRP/USDT", "1h", {})
    with pytest.raises(ModelLoadError, match="horizon"):
        hamilton.predict("BTC", "soon", {})


@pytest.mark.guarantee("H2", cases=10)
def test_old_sets_are_flagged_then_closed_for_entries_while_exits_are_answered(world, factory):
    world.publish(factory.bundle())
    hamilton = world.hamilton()
    given = long_features(factory, hamilton)
    fresh = hamilton.predict("BTC", "1h", given)
    for hours, stale, closed in (
        (25, False, False),
        (27, True, False),
        (45, True, False),
        (47, True, True),
        (49, True, True),
        (400, True, True),
    ):
        world.now = factory.NOW + hours * factory.HOUR
        for reader in (hamilton, world.hamilton()):
            result = reader.predict("BTC", "1h", given)
            assert result.stale is stale
            assert result.score == fresh.score
            assert (result.direction == "hold") is closed
            assert (result.blocked_reason or "").startswith("STALE") is closed
    world.publish(factory.bundle(cutoff=world.now))
    again = hamilton.predict("BTC", "1h", given)
    assert (again.direction, again.score, again.stale, again.version) == (fresh.direction, fresh.score, False, 2)
