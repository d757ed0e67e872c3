"""Recipe `core`: sixty names, a stable identity, scale-free values, and honest absences."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from huracan.domain.time import DAY_MS
from huracan.features import ALL_NAMES, RECIPE_ID, SPECS, build_context, build_features

RANK = ["BTC", "ETH", "SOL"]
GOLDEN = Path(__file__).with_name("golden.json")
PRICES = ("open", "high", "low", "close", "quote_volume", "taker_quote")


@pytest.fixture(scope="module")
def context(make_members):
    return build_context(make_members(9000, RANK), RANK)


def test_the_recipe_has_sixty_names_and_always_regime_and_volatility(make_bars, context):
    assert len(ALL_NAMES) == len(set(ALL_NAMES)) == 60
    built = build_features(make_bars(9000), context)
    assert built.names == ALL_NAMES
    assert built.absent == ()
    assert {"regime", "sigma_day_bps"} <= set(built.names)


def test_outputs_change_only_together_with_the_recipe_id(make_bars, context):
    golden = json.loads(GOLDEN.read_text())
    assert golden["recipe_id"] == RECIPE_ID, "raise FeatureConstants.version and record the golden rows again"
    built = build_features(make_bars(9000, seed=8), context)
    rows = built.frame.filter("valid")[golden["rows"]]
    np.testing.assert_allclose(rows.select(ALL_NAMES).to_numpy(), golden["values"], rtol=1e-9, atol=1e-9)


def test_ten_times_the_price_changes_no_feature(make_bars, context):
    bars = make_bars(9000, seed=2, broken=False)
    dear = replace(bars, frame=bars.frame.with_columns(pl.col(name) * 10 for name in PRICES))
    plain, scaled = build_features(bars, context), build_features(dear, context)
    np.testing.assert_allclose(
        scaled.frame.select(ALL_NAMES).to_numpy(), plain.frame.select(ALL_NAMES).to_numpy(), rtol=1e-9, atol=1e-9
    )
    ratio = scaled.frame["volume_day_quote"] / plain.frame["volume_day_quote"]
    np.testing.assert_allclose(ratio.drop_nulls().to_numpy(), 10)


def test_columns_the_data_cannot_support_are_left_out_and_listed(make_bars, make_members, context):
    bars = make_bars(6000, market="spot")
    bars = replace(bars, frame=bars.frame.with_columns(pl.lit(None, pl.Float64).alias("taker_base")))
    alone = build_features(bars, None)
    missing = {spec.name for spec in SPECS if spec.need != "bars"}
    assert set(alone.absent) == missing
    assert alone.names == tuple(name for name in ALL_NAMES if name not in missing)
    assert alone.frame["valid"].any()
    one = build_context(make_members(6000, ["ETH"]), ["ETH"])
    assert "dispersion" in build_features(bars, one).absent
    holed = replace(make_bars(6000), funding_known=False)
    assert build_features(holed, context).absent == ()
    early = holed.funding.filter(pl.col("funding_time") < holed.frame["open_time"][-1] - 4 * 86_400_000)
    dead = replace(holed, funding=early, instrument=replace(holed.instrument, status="SETTLING"))
    assert build_features(replace(holed, funding=early), context).absent == ()
    assert {"funding_last", "funding_mean_4320"} <= set(build_features(dead, context).absent)
    unknown = replace(holed, funding=holed.funding.clear())
    assert {"funding_last", "funding_mean_4320"} <= set(build_features(unknown, context).absent)


@pytest.mark.parametrize(
    ("minutes", "absent"),
    [(15, {"ret_5", "vol_ratio_15_240"}), (60, {"ret_5", "ret_15", "rsi_60", "efficiency_60", "vol_ratio_60_1440"})],
)
def test_windows_shorter_than_the_bars_are_absent(make_bars, minutes, absent):
    built = build_features(make_bars(7 * 1440 // minutes, minutes=minutes), None)
    assert absent <= set(built.absent)
    assert "sigma_day_bps" in built.names
    assert built.frame["valid"].any()


def test_a_missing_settlement_is_missing_and_not_zero(make_bars, context):
    bars = make_bars(12_000)
    start = bars.frame["open_time"][0]
    early = replace(bars, funding=bars.funding.filter(pl.col("funding_time") <= start + DAY_MS))
    rows = build_features(early, context).frame
    late = rows.filter(pl.col("decision_time") > start + 4 * DAY_MS)
    assert late["funding_last"].is_nan().all()
    assert not late["valid"].any()


def test_a_coin_that_stands_still_has_finite_features(make_bars, context):
    bars = make_bars(6000)
    flat = bars.frame.with_columns(
        *(pl.lit(7.0).alias(name) for name in ("open", "high", "low", "close")),
        *(pl.lit(0.0).alias(name) for name in ("volume", "quote_volume", "trades", "taker_base", "taker_quote")),
    )
    still = build_features(replace(bars, frame=flat), context)
    assert "taker_imbalance_60" in still.absent  # no trade shows that takers are known
    values = still.frame.filter(pl.col("decision_time") >= bars.frame["open_time"][4400]).select(still.names)
    assert np.isfinite(values.to_numpy()).all()


def test_the_market_is_nan_where_the_context_is_too_old(make_bars, context):
    bars = make_bars(9000)
    end = bars.frame["open_time"][7000]
    short = replace(context, frame=context.frame.filter(pl.col("open_time") < end))
    rows = build_features(bars, short).frame
    assert rows.filter(pl.col("decision_time") <= end)["market_ret_60"].tail(5).is_finite().all()
    assert rows.filter(pl.col("decision_time") > end + 2 * 3_600_000)["market_ret_60"].is_nan().all()


def test_daily_volume_is_the_median_of_whole_days_before(make_bars):
    bars = make_bars(5 * 1440 + 30, seed=3, start=1_767_225_600_000 + 5 * 3_600_000)
    rows = build_features(bars, None).frame
    daily = (bars.frame.group_by(pl.col("open_time") // DAY_MS, maintain_order=True).agg(pl.col("quote_volume").sum()))[
        "quote_volume"
    ]
    assert rows.filter(pl.col("decision_time") < 1_767_225_600_000 + 2 * DAY_MS)["volume_day_quote"].is_null().all()
    assert rows["volume_day_quote"][-1] == pytest.approx(np.median(daily[1:5]))
    assert rows["spread_bps"].is_null().all()
