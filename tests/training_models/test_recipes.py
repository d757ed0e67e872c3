"""Recipes by configuration: what an owner composes of installed engines is a hypothesis of its own."""

from dataclasses import replace

import numpy as np
import pytest

from huracan.app.night_config import recipes_of
from huracan.errors import ConfigError
from huracan.night.promote import primary_recipe
from huracan.promotion.days import counts_in_full
from huracan.settings import Settings, load_settings, resolved_dict
from huracan.training import ENGINES, EngineSpec, built_in_recipes, fit_pair
from huracan.training.conformance import examine
from huracan.training.engines import all_engines, engine_of, problems, registry, use_of

CARRY = EngineSpec(name="carry", version=2, estimator="ridge", idea="carry", wants=("funding_last", "beta"))


class Entry:
    def __init__(self, spec):
        self.name, self.value, self._spec = getattr(spec, "name", "odd"), "package:SPEC", spec

    def load(self):
        if isinstance(self._spec, Exception):
            raise self._spec
        return self._spec


@pytest.fixture
def installed(monkeypatch):
    """Stands for distributions that offer these under `huracan.engines`."""

    def install(*specs):
        monkeypatch.setattr(registry, "entry_points", lambda group: [Entry(spec) for spec in specs])
        all_engines.cache_clear()

    yield install
    monkeypatch.undo()
    all_engines.cache_clear()


@pytest.fixture
def configured(tmp_path):
    """Recipes of a configuration file that holds this under `training`."""

    def build(recipes, *overrides):
        file = tmp_path / "own.yaml"
        file.write_text(f"training:\n  recipes: {recipes}\n")
        return recipes_of(load_settings(file, overrides, {}))

    return build


def test_the_ids_of_the_recipes_that_ship_stay_as_they_are():
    assert [recipe.id for recipe in recipes_of(Settings())] == ["linear-934ae649f189", "boosted-028bcdeb1bc1"]
    assert resolved_dict(Settings())["training"]["recipes"] == ["linear", "boosted"]


def test_a_recipe_is_a_name_with_its_engines(configured):
    (mine,) = configured("{mine: [funding, trend, trees]}")
    assert [use.name for use in mine.engines] == ["funding", "trend", "trees"]
    assert [use.estimator for use in mine.engines] == ["ridge", "ridge", "lightgbm"]
    mixed = configured("[linear, {mine: [funding, trend, trees]}, boosted]")
    assert [recipe.name for recipe in mixed] == ["linear", "mine", "boosted"]
    assert mixed[1].id == mine.id
    assert [mixed[0].id, mixed[2].id] == [recipe.id for recipe in recipes_of(Settings())]


def test_a_recipe_can_be_given_on_the_command_line_and_survives_the_pipeline_config():
    settings = load_settings(None, ("training.recipes=[linear, {mine: [trend, trees]}]",), {})
    assert settings.training.recipe_names == ("linear", "mine")
    again = type(settings.training).model_validate(settings.training.model_dump())
    assert again == settings.training


def test_the_id_hashes_what_the_recipe_holds(configured, installed):
    installed(CARRY)
    ids = {
        configured(text)[0].id for text in ("{mine: [trend, flow]}", "{mine: [flow, trend]}", "{mine: [carry, flow]}")
    }
    (one,) = configured("{mine: [carry, flow]}")
    installed(replace(CARRY, wants=("funding_last", "ret_60")))
    (other,) = configured("{mine: [carry, flow]}")
    assert len(ids | {other.id}) == 4
    with pytest.raises(ConfigError, match="has changed although its version is still 2"):
        engine_of(one.engines[0])


def test_nobody_knows_which_days_the_maker_of_an_own_recipe_looked_at(configured):
    own, shipped = configured("[{mine: [trend, flow]}, linear]")
    days, registered = np.arange(18000, 20600), 20500
    assert (counts_in_full(days, own.seen, registered) == (days > registered)).all()
    assert counts_in_full(days, shipped.seen, registered)[days <= registered].any()


def test_an_own_recipe_never_takes_the_slots_that_are_kept_for_linear():
    assert [primary_recipe(first) for first in ("linear", "boosted", "mine", "injected")] == [
        *("linear", "linear", "linear", "injected"),
    ]


@pytest.mark.parametrize(
    ("recipes", "why"),
    [
        ("{mine: [funding, trand]}", "'mine': engine 'trand' is not installed: did you mean 'trend'"),
        ("{linear: [funding, trend]}", "taken by a recipe that ships"),
        ("{injected: [funding, trend]}", "taken by a recipe that ships"),
        ("{mine: []}", "0 engines"),
        ("{mine: [trend, trend]}", "name one twice"),
        ("{mine: trend}", "wanted a list of engines"),
        ("[mine: [trend], mine: [flow]]", "name one twice"),
        ("{Mine-2: [trend]}", "lower-case name"),
        ("{../up: [trend]}", "lower-case name"),
        ("[lineer]", "did you mean 'linear'"),
        ("7", "valid tuple"),
        ("[]", "at least 1 item"),
    ],
)
def test_what_cannot_be_a_recipe_is_a_config_error(configured, recipes, why):
    with pytest.raises(ConfigError, match=why):
        configured(recipes)


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (AttributeError("module 'x' has no attribute 'SPEC'"), "cannot be imported: AttributeError"),
        (ImportError("No module named 'x'"), "cannot be imported: ImportError"),
        (object(), "is no EngineSpec"),
        (replace(CARRY, wants=None), "wants is None"),
        (replace(CARRY, wants=["funding_last"]), "wants is"),
        (replace(CARRY, parameters=(("x", "y"),)), "parameters is"),
        (replace(CARRY, estimator="lightgbm"), "needs the parameters"),
        (replace(ENGINES["trees"], name="bush", parameters=(("trees", float("nan")),)), "parameters is"),
        (replace(CARRY, name="trend"), "is taken"),
    ],
)
def test_a_broken_engine_is_a_config_error_before_anything_starts(installed, configured, broken, why):
    installed(broken)
    with pytest.raises(ConfigError, match=why) as refused:
        recipes_of(Settings())
    assert "fix or uninstall" in str(refused.value)


def test_an_engine_that_wants_an_unknown_feature_is_told_where_a_recipe_uses_it(installed, configured):
    installed(replace(CARRY, wants=("funding_lost", "beta")))
    recipes_of(Settings())
    with pytest.raises(ConfigError, match="'funding_lost': did you mean 'funding_last'"):
        configured("{mine: [carry, trend]}")


def test_a_subclass_is_no_engine_since_no_hash_sees_its_code():
    class Odd(EngineSpec):
        pass

    assert problems(Odd(name="odd", version=1, estimator="ridge", idea="", wants=("beta", "ret_60")))


def test_an_own_recipe_trains_like_any_other(installed, make_pair):
    bush = replace(ENGINES["trees"], name="bush", wants=("ret_60", "beta", "rsi_60"), required=("ret_60",))
    installed(CARRY, bush)
    recipe = built_in_recipes(["mine"], feature_recipe="core-test", own=[("mine", ("carry", "bush", "trend"))])[0]
    pair = make_pair(seed=9, days=40, planted={"ret_60": 30.0})
    trained = fit_pair(pair.features, pair.labels, recipe, None, cutoff_ms=pair.cutoff_ms, seed=1)
    assert trained.engines == ("carry", "bush", "trend")
    split = {trained.feature_names[place] for place in trained.forests[0].feature}
    assert split
    assert split <= set(bush.wants)


def test_a_boosted_engine_of_others_abstains_without_what_it_requires(installed, make_pair):
    bush = replace(ENGINES["trees"], name="bush", wants=("ret_60", "beta"), required=("funding_last",))
    assert problems(bush)
    bush = replace(bush, wants=("ret_60", "beta", "funding_last"))
    installed(bush)
    recipe = built_in_recipes(["mine"], feature_recipe="core-test", own=[("mine", ("bush", "trend"))])[0]
    spot = make_pair(seed=9, days=40, absent=("funding_last",))
    trained = fit_pair(spot.features, spot.labels, recipe, None, cutoff_ms=spot.cutoff_ms, seed=1)
    assert trained.engines == ("trend",)


@pytest.mark.parametrize("name", ["trend", "leader"])
def test_a_sound_engine_passes_every_check(name):
    spec = ENGINES[name]
    found = examine(spec, (*spec.wants, "regime", "sigma_day_bps"))
    assert [one.check for one in found] == ["specification", "features", "finite", "repeatable", "causal"]
    assert all(one.passed for one in found), found


def test_checks_end_at_the_first_that_fails():
    assert [one.passed for one in examine("nonsense", ("beta",))] == [False]
    lost = examine(replace(CARRY, wants=("funding_lost", "beta")), ("funding_last", "beta"))
    assert [(one.check, one.passed) for one in lost] == [("specification", True), ("features", False)]
    assert "funding_last" in lost[-1].seen
    thin = examine(replace(CARRY, wants=("beta",)), ("beta", "regime", "sigma_day_bps"))
    assert not thin[-1].passed
    assert "cannot be fitted" in thin[-1].seen


def test_a_use_of_a_built_in_engine_names_no_content():
    assert use_of("trend").content == ""
