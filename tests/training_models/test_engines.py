"""The conformance suite of engines: every built-in and installed one passes it."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from huracan.domain.recipe import EngineUse
from huracan.errors import ConfigError
from huracan.features import ALL_NAMES
from huracan.training import ENGINES, built_in_recipes, fit_pair
from huracan.training.engines import EngineSpec, all_engines, engine_of, parameters_of, problems, registry

SPECS = sorted(all_engines().values(), key=lambda spec: spec.name)


@pytest.fixture(params=SPECS, ids=lambda spec: spec.name)
def spec(request):
    return request.param


def solo(spec, make_recipe):
    use = EngineUse(name=spec.name, version=spec.version, estimator=spec.estimator, parameters=spec.parameters)
    return replace(make_recipe("linear"), engines=(use,))


def test_its_specification_is_sound(spec):
    assert problems(spec) == []
    assert spec.idea


def test_it_wants_features_that_exist(spec):
    assert set(spec.wants) <= set(ALL_NAMES)
    assert len(spec.columns(ALL_NAMES)) >= 6


def test_ridge_engines_use_six_to_ten_features(spec):
    if spec.estimator == "ridge":
        assert 6 <= len(spec.wants) <= 10


def test_it_forecasts_every_warm_test_decision_in_bps(spec, make_pair, make_recipe):
    pair = make_pair(seed=8, days=45)
    trained = fit_pair(pair.features, pair.labels, solo(spec, make_recipe), None, cutoff_ms=pair.cutoff_ms, seed=1)
    assert trained.engines == (spec.name,)
    forecast = trained.forecasts[spec.name].to_numpy()
    assert np.isfinite(forecast).all()
    assert np.abs(forecast).max() < 300
    assert (trained.slope >= 0).all()


def test_it_ignores_features_it_does_not_want(spec, make_pair, make_recipe):
    pair = make_pair(seed=8, days=40)
    unused = tuple(
        name for name in pair.features.names if spec.wants and name not in (*spec.wants, "regime", "sigma_day_bps")
    )
    without = make_pair(seed=8, days=40, absent=unused)
    recipe = solo(spec, make_recipe)
    both = [
        fit_pair(one.features, one.labels, recipe, None, cutoff_ms=one.cutoff_ms, seed=1) for one in (pair, without)
    ]
    assert both[0].forecasts.equals(both[1].forecasts)
    assert set(both[0].feature_names) <= {*(spec.wants or ALL_NAMES), "regime", "sigma_day_bps"}


def test_it_abstains_without_what_it_requires(spec):
    for name in spec.required:
        assert spec.columns(tuple(other for other in ALL_NAMES if other != name)) == ()


def test_it_makes_do_without_what_it_merely_wants(spec):
    optional = [name for name in spec.wants if name not in spec.required]
    for name in optional:
        used = spec.columns(tuple(other for other in ALL_NAMES if other != name))
        assert set(used) == set(spec.wants) - {name}


def test_the_mapping_is_visible_and_cannot_be_changed():
    assert set(ENGINES) >= {"trend", "range", "breakout", "leader", "volatility", "momentum_reversal", "flow"}
    assert {"funding", "trees"} <= set(ENGINES)
    with pytest.raises(TypeError):
        ENGINES["x"] = ENGINES["trend"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"name": "Not An Engine"}, "identifier"),
        ({"version": 0}, "version"),
        ({"estimator": "magic"}, "estimator"),
        ({"wants": (), "required": ()}, "must name"),
        ({"wants": ("ret_5", "ret_5", "drift_t_1440")}, "twice"),
        ({"required": ("rsi_60",)}, "not wanted"),
        ({"wants": ("regime", "drift_t_1440")}, "regime"),
        ({"parameters": (("b", 1.0), ("a", 1.0))}, "sorted"),
    ],
)
def test_an_unfit_engine_is_named_with_what_is_wrong(change, why):
    assert why in "; ".join(problems(replace(ENGINES["trend"], **change)))


@dataclass
class Entry:
    name: str
    spec: object
    value: str = "package:SPEC"

    def load(self):
        return self.spec


@pytest.fixture
def installed(monkeypatch):
    def install(*specs):
        entries = [Entry(getattr(spec, "name", "odd"), spec) for spec in specs]
        monkeypatch.setattr(registry, "entry_points", lambda group: entries if group == "huracan.engines" else [])
        all_engines.cache_clear()

    yield install
    monkeypatch.undo()
    all_engines.cache_clear()


def test_an_outsiders_engine_joins_through_the_entry_point(installed, make_pair, make_recipe):
    spec = EngineSpec(name="carry", version=2, estimator="ridge", idea="carry", wants=("funding_last", "beta"))
    installed(spec)
    pair = make_pair(seed=9, days=40)
    trained = fit_pair(pair.features, pair.labels, solo(spec, make_recipe), None, cutoff_ms=pair.cutoff_ms, seed=1)
    assert trained.engines == ("carry",)
    assert trained.forecasts["carry"].is_finite().all()


def test_an_outsider_may_not_take_a_built_in_name_or_be_unfit(installed):
    for spec, why in ((replace(ENGINES["trend"], version=9), "is taken"), ("nonsense", "is no EngineSpec")):
        installed(spec)
        with pytest.raises(ConfigError, match=why):
            all_engines()


def test_a_recipe_for_another_version_or_an_unknown_engine_is_a_config_error():
    with pytest.raises(ConfigError, match="installed are"):
        engine_of(EngineUse(name="astrology"))
    with pytest.raises(ConfigError, match="version 7"):
        engine_of(EngineUse(name="trend", version=7))
    with pytest.raises(ConfigError, match="lightgbm"):
        engine_of(EngineUse(name="trend", estimator="lightgbm"))


def test_a_recipe_overrides_parameters_by_name():
    trees = ENGINES["trees"]
    merged = parameters_of(trees, EngineUse(name="trees", estimator="lightgbm", parameters=(("trees", 9.0),)))
    assert merged == {**dict(trees.parameters), "trees": 9.0}
    with pytest.raises(ConfigError, match="no parameter 'depth'"):
        parameters_of(trees, EngineUse(name="trees", estimator="lightgbm", parameters=(("depth", 3.0),)))


def test_built_in_recipes_carry_versions_and_come_in_the_order_asked():
    linear, boosted = built_in_recipes(["linear", "boosted"], feature_recipe="core-1")
    assert {use.name for use in linear.engines} == {s.name for s in ENGINES.values() if s.estimator == "ridge"}
    assert [use.name for use in boosted.engines] == ["trees", "trend", "range", "leader", "flow"]
    assert linear.id != boosted.id
    assert linear.id == built_in_recipes(["linear"], feature_recipe="core-1")[0].id
    assert linear.id != built_in_recipes(["linear"], feature_recipe="core-2")[0].id


def test_unknown_or_doubled_recipes_are_config_errors():
    with pytest.raises(ConfigError, match="built in are"):
        built_in_recipes(["quantum"], feature_recipe="core-1")
    with pytest.raises(ConfigError, match="twice"):
        built_in_recipes(["linear", "linear"], feature_recipe="core-1")
