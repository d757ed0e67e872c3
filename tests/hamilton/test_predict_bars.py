"""A prediction from raw bars is the prediction of the night, bit for bit; what is missing is named."""

import json

import polars as pl
import pytest
from nights import trust_variables, variables

from huracan.adapters.lake import DeltaLake
from huracan.domain.bundle import ChampionSet
from huracan.domain.time import DAY_MS, HOUR_MS
from huracan.errors import FeatureError, FeatureSkewError, ModelLoadError
from huracan.features import RECIPE_ID
from huracan.hamilton import HamiltonInterface, LiveInputs, instrument_of, market_context
from huracan.hamilton.live import HISTORY_DAYS, clean_bars, live_row


@pytest.fixture
def hamilton(finished_night, tmp_path):
    with variables({**trust_variables(finished_night.folder), "HURACAN_STATE_DIR": str(tmp_path / "state")}):
        yield HamiltonInterface(model_base_path=finished_night.store, allow_candidates=True)


@pytest.fixture
def plan(finished_night):
    return json.loads((finished_night.folder / "workdir" / "plan.json").read_text())["plan"]


@pytest.fixture
def market(finished_night, hamilton, plan):
    """Raw bars and settlements as the lake has them: (bars by instrument id, funding by instrument id)."""
    lake = DeltaLake(str(finished_night.folder / "workdir" / "lake" / "15m"))
    start, end = plan["cutoff_ms"] - plan["history_days"] * DAY_MS, plan["cutoff_ms"]
    wanted = {*hamilton.live_inputs().context.values(), *(member.instrument for member in hamilton.get_members())}
    instruments = {name: instrument_of(name) for name in wanted}
    return (
        {name: lake.bars(item, start, end) for name, item in instruments.items()},
        {name: lake.funding(item, start, end) for name, item in instruments.items()},
    )


def predicted(hamilton, market, member, at, since=0):
    bars, funding = market
    young = {name: frame.filter(pl.col("open_time") >= since) for name, frame in bars.items()}
    context = {coin: young[name] for coin, name in hamilton.live_inputs().context.items()}
    return hamilton.predict_bars(
        member.coin, member.horizon, young[member.instrument], context, at, funding=funding[member.instrument]
    )


def rows(night):
    found = {**night.result["candidates"], **night.result["champions"]}
    return {(row["coin"], row["horizon"]): row for row in found.values() if row["live"] is not None}


def test_every_live_prediction_of_the_night_is_made_again_from_raw_bars(finished_night, hamilton, market, plan):
    known = rows(finished_night)
    members = [member for member in hamilton.get_members() if (member.coin, member.horizon) in known]
    assert len(members) >= 8
    for member in members:
        row = known[member.coin, member.horizon]
        result = predicted(hamilton, market, member, plan["cutoff_ms"])
        assert result.edge_bps == row["live"]["edge_bps"]
        assert result.score == row["live"]["score"]
        assert result.confidence == row["live"]["confidence"]


def test_the_features_are_those_of_the_night_bit_for_bit(finished_night, hamilton, market, plan):
    bars, funding = market
    inputs = hamilton.live_inputs()
    context = market_context({coin: bars[name] for coin, name in inputs.context.items()}, inputs, plan["cutoff_ms"])
    for member in hamilton.get_members():
        row = rows(finished_night)[member.coin, member.horizon]
        clean = clean_bars(
            instrument_of(member.instrument), bars[member.instrument], funding[member.instrument], inputs.interval_ms,
            plan["cutoff_ms"],
        )  # fmt: skip
        model, _ = hamilton.load_model(member.coin, member.horizon)
        made = live_row(clean, context, model.feature_names, RECIPE_ID, plan["cutoff_ms"])
        assert made == {name: row["live_features"][name] for name in model.feature_names}


def test_forty_days_of_bars_are_enough(hamilton, market, plan):
    member = hamilton.get_members()[0]
    at = plan["cutoff_ms"]
    whole = predicted(hamilton, market, member, at)
    young = predicted(hamilton, market, member, at, since=at - HISTORY_DAYS * DAY_MS)
    assert young.edge_bps == pytest.approx(whole.edge_bps, rel=1e-6)
    assert young.regime == whole.regime
    assert young.direction == whole.direction


def test_later_bars_change_nothing(hamilton, market, plan):
    member = hamilton.get_members()[0]
    at = plan["cutoff_ms"] - 6 * HOUR_MS
    bars, funding = market
    cut = ({name: frame.filter(pl.col("open_time") < at) for name, frame in bars.items()}, funding)
    assert predicted(hamilton, market, member, at) == predicted(hamilton, cut, member, at)


def test_what_is_missing_is_named(hamilton, market, plan):
    bars, funding = market
    member, at = hamilton.get_members()[0], plan["cutoff_ms"]
    inputs = hamilton.live_inputs()
    context = {coin: bars[name] for coin, name in inputs.context.items()}
    first = next(iter(inputs.context))
    without = {coin: frame for coin, frame in context.items() if coin != first}
    own, settled = bars[member.instrument], funding[member.instrument]
    ask = (member.coin, member.horizon)
    with pytest.raises(FeatureError, match=f"bars of {first} as well"):
        hamilton.predict_bars(*ask, own, without, at, funding=settled)
    with pytest.raises(FeatureError, match="no usable bar"):
        hamilton.predict_bars(*ask, own.clear(), context, at, funding=settled)
    young = own.filter(pl.col("open_time") >= at - 2 * HOUR_MS)
    late = own.filter(pl.col("open_time") < at - DAY_MS - HOUR_MS)
    with pytest.raises(FeatureError, match="newest closed 1500 minutes before"):
        hamilton.predict_bars(*ask, late, context, at, funding=settled)
    with pytest.raises(FeatureError, match="days of bars"):
        hamilton.predict_bars(*ask, young, context, at, funding=settled)
    if member.instrument.endswith("-um"):
        with pytest.raises(FeatureError, match="cannot tell funding"):
            hamilton.predict_bars(*ask, own, context, at)


def test_a_model_of_another_feature_recipe_is_refused(hamilton, market, plan):
    bars, _ = market
    inputs = hamilton.live_inputs()
    member = hamilton.get_members()[0]
    context = market_context({coin: bars[name] for coin, name in inputs.context.items()}, inputs, plan["cutoff_ms"])
    clean = clean_bars(
        instrument_of(member.instrument), bars[member.instrument], None, inputs.interval_ms, plan["cutoff_ms"]
    )
    with pytest.raises(FeatureSkewError, match="core-other"):
        live_row(clean, context, ["regime"], "core-other", plan["cutoff_ms"])


def test_a_set_that_does_not_say_how_is_refused_in_words(finished_night):
    inputs = LiveInputs(
        context={"BTC": "BTCUSDT-um"}, interval_ms=60_000, decision_ms=HOUR_MS, latency_s=30,
        net_cap_share=0.5, gross_cap_share=1.0, daily_loss_stop=0.025,
    )  # fmt: skip
    assert LiveInputs.from_extras(json.loads(json.dumps(inputs.as_extras()))) == inputs
    for extras in ({}, {"live": None}, {"live": {"context": []}}, {"live": {**inputs.as_extras()["live"], "more": 1}}):
        with pytest.raises(ModelLoadError, match="does not say what live features need"):
            LiveInputs.from_extras(extras)
    assert ChampionSet.model_fields["extras"].default_factory is dict


@pytest.mark.parametrize("text", ["BTCUSDT", "BTCUSDT-swap", "-um", "", "BTCUSDT-um~x"])
def test_what_is_no_instrument_is_refused(text):
    with pytest.raises(ModelLoadError, match="is not the id of an instrument"):
        instrument_of(text)
