"""The market context: BTC where there is one, an equal-weight index where not, dispersion by the hour."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from huracan.domain.time import HOUR_MS
from huracan.errors import DataError
from huracan.features import build_context


def test_bitcoin_is_the_market_where_it_is_a_member(make_members):
    members = make_members(500, ["ETH", "BTC", "SOL"])
    context = build_context(members, ["BTC", "SOL", "ETH"])
    assert context.source == "BTC"
    assert context.members == ("BTC", "SOL", "ETH")
    assert context.frame["market_close"].equals(members["BTC"].frame["close"].alias("market_close"))


def test_without_bitcoin_the_first_twenty_ranked_are_weighted_equally(make_members):
    names = [f"C{i}" for i in range(22)]
    members = make_members(300, names)
    context = build_context(members, names)
    assert context.source == "equal_weight"
    closes = np.column_stack([members[name].frame["close"].to_numpy() for name in names[:20]])
    opens = np.array([members[name].frame["open"][0] for name in names[:20]])
    simple = np.diff(np.vstack([opens, closes]), axis=0) / np.vstack([opens, closes[:-1]])
    np.testing.assert_allclose(context.frame["market_close"], np.cumprod(1 + simple.mean(axis=1)), rtol=1e-12)


def test_dispersion_is_the_spread_of_the_last_whole_hours_returns(make_members):
    members = make_members(400, ["BTC", "ETH", "SOL", "XRP"])
    context = build_context(members, ["BTC", "ETH", "SOL", "XRP"])
    rows = context.frame
    closes = rows["open_time"] + 60_000
    assert rows.filter(closes < rows["open_time"][0] + 2 * HOUR_MS)["dispersion"].is_null().all()
    moves = [bars.frame["close"][239] / bars.frame["close"][179] - 1 for bars in members.values()]
    held = rows["dispersion"][239:299].to_numpy()
    np.testing.assert_allclose(held, np.std(moves, ddof=1), rtol=1e-12)
    assert rows["dispersion"][299] != held[0]


def test_two_members_have_no_dispersion(make_members):
    assert build_context(make_members(300, ["BTC", "ETH"]), ["BTC", "ETH"]).frame["dispersion"].is_null().all()


def test_a_member_with_a_hole_leaves_that_hour_out(make_members):
    members = make_members(600, ["BTC", "ETH", "SOL"])
    holed = members["SOL"].frame.filter(pl.int_range(pl.len()).is_between(200, 260).not_())
    context = build_context(members | {"SOL": replace(members["SOL"], frame=holed)}, ["BTC", "ETH", "SOL"])
    hour = context.frame["dispersion"].to_numpy()
    assert np.isnan(hour[240:359]).sum() == 0 or np.isnan(hour[240]), "held for at most an hour"
    assert np.isfinite(hour[419])


def test_the_hash_follows_the_content(make_members):
    rank = ["BTC", "ETH", "SOL"]
    one, same = build_context(make_members(300, rank), rank), build_context(make_members(300, rank), rank)
    other = build_context(make_members(301, rank), rank)
    assert one.context_hash == same.context_hash != other.context_hash


def test_the_past_of_the_context_does_not_depend_on_its_future(make_members):
    members = make_members(900, ["ETH", "SOL", "XRP"])
    early = {key: replace(bars, frame=bars.frame.head(700)) for key, bars in members.items()}
    full, cut = (build_context(part, ["ETH", "SOL", "XRP"]).frame for part in (members, early))
    assert full.head(700).equals(cut, null_equal=True)


def test_members_that_do_not_fit_together_are_refused(make_bars, make_members):
    members = make_members(100, ["BTC", "ETH"])
    with pytest.raises(DataError, match="rank every member"):
        build_context(members, ["BTC"])
    with pytest.raises(DataError, match="rank every member"):
        build_context({}, [])
    with pytest.raises(DataError, match="same interval"):
        build_context(members | {"SOL": make_bars(100, minutes=15)}, ["BTC", "ETH", "SOL"])
