"""Pools: the mean of their members, inside their caps at every moment, whatever the members do."""

import itertools

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.domain.frames import DAILY_SCHEMA, PANEL_SCHEMA
from huracan.domain.time import DAY_MS, HOUR_MS
from huracan.scoring import pool_result, simulate_decisions, stress_costs

START_DAY = 20454
MONEY = ("net_bps", "gross_bps", "fees_bps", "spread_bps", "impact_bps", "funding_bps", "turnover", "exposure")


def member(seed, days=3, *, offset_minutes=1, size=1.0):
    """A random panel with marks at midnight and rows at (odd) hours, and its dailies by a plain loop."""
    rng = np.random.default_rng(seed)
    hours = np.arange(days * 24)
    fills = START_DAY * DAY_MS + hours * HOUR_MS + offset_minutes * 60_000
    fills = fills[rng.random(fills.size) < 0.6]
    marks = START_DAY * DAY_MS + np.arange(days + 1) * DAY_MS
    time = np.unique(np.concatenate([fills, marks]))
    n = time.size
    position, held = np.zeros(n), 0.0
    for k in range(n):
        if time[k] % DAY_MS and rng.random() < 0.4:
            held = rng.choice([0.0, 1.0, -1.0]) * rng.uniform(0.05, 0.4) * size
        position[k] = held
    panel = pl.DataFrame(
        {
            "time": time,
            "position": position,
            "return_bps": np.append(rng.normal(0, 50, n - 1), 0.0),
            "funding_bps": np.append(rng.normal(0, 1, n - 1), 0.0),
            "fee_bps": np.full(n, 5.0),
            "spread_bps": rng.uniform(0.5, 2, n),
            "impact_bps": rng.uniform(0, 1, n),
            "open_trade": np.where(position != 0, 0, -1),
        },
        schema=PANEL_SCHEMA,
    )
    return panel, daily_by_loop(panel, days, lambda k: 1.0)


def daily_by_loop(panel, days, scale_at):
    rows = list(panel.iter_rows(named=True))
    out = [dict.fromkeys(MONEY, 0.0) | {"day": START_DAY + d, "valid": True} for d in range(days)]
    before = 0.0
    for row, after in itertools.pairwise(rows):
        day = out[row["time"] // DAY_MS - START_DAY]
        held = row["position"] * scale_at(row["time"])
        turnover = abs(held - before)
        parts = {
            "gross_bps": held * row["return_bps"],
            "fees_bps": turnover * row["fee_bps"],
            "spread_bps": turnover * row["spread_bps"],
            "impact_bps": turnover * row["impact_bps"],
            "funding_bps": held * row["funding_bps"],
            "turnover": turnover,
            "exposure": abs(held) * (after["time"] - row["time"]) / DAY_MS,
        }
        for name, value in parts.items():
            day[name] += value
        before = held
    for day in out:
        day["net_bps"] = day["gross_bps"] - sum(day[n] for n in ("fees_bps", "spread_bps", "impact_bps", "funding_bps"))
    return pl.DataFrame(out).select(list(DAILY_SCHEMA)).cast(DAILY_SCHEMA)


def pool(members, net_cap=1e9, gross_cap=1e9):
    return pool_result(
        "um-A",
        "1h",
        "linear-1",
        {name: panel for name, (panel, _) in members.items()},
        {name: daily for name, (_, daily) in members.items()},
        net_cap=net_cap,
        gross_cap=gross_cap,
    )


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 6))
def test_without_scaling_a_pool_is_the_mean_of_its_members(seed, n):
    members = {f"C{i}": member(seed + i, offset_minutes=1 + i) for i in range(n)}
    daily = pool(members).daily
    for name in MONEY:
        mean = np.mean([d[name].to_numpy() for _, d in members.values()], axis=0)
        np.testing.assert_allclose(daily[name].to_numpy(), mean, atol=1e-9)
    assert daily["valid"].all()


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 5), net=st.floats(0.0, 0.2), gross=st.floats(0.02, 0.3))
def test_caps_hold_at_every_moment_and_money_is_that_of_the_scaled_positions(seed, n, net, gross):
    members = {f"C{i}": member(seed + i) for i in range(n)}  # all rows at the same minutes of the hour
    times = np.unique(np.concatenate([p["time"].to_numpy() for p, _ in members.values()]))

    def held(panel, time):
        known = panel.filter(pl.col("time") <= time)
        return 0.0 if not known.height or time >= panel["time"][-1] else known["position"][-1]

    factor = {}
    for time in times:
        now = [held(p, time) for p, _ in members.values()]
        worst = max(abs(sum(now)) / n / net if net else (np.inf if sum(now) else 0.0), sum(map(abs, now)) / n / gross)
        factor[time] = 1.0 if worst <= 1.0 else 1.0 / worst
    result = pool(members, net, gross).daily
    filled = []
    for panel, _ in members.values():
        row = np.searchsorted(panel["time"].to_numpy(), times, side="right") - 1
        length = np.append(np.diff(panel["time"].to_numpy()), 1)[row]
        share = np.append(np.diff(times), 1) / length
        fine = pl.DataFrame({name: panel[name].to_numpy()[row] for name in panel.columns if name != "time"})
        fine = fine.with_columns(
            pl.Series("time", times), pl.col("return_bps") * share, pl.col("funding_bps") * share
        ).select(list(PANEL_SCHEMA))
        filled.append(daily_by_loop(fine, 3, factor.__getitem__))
    for name in MONEY:
        mean = np.mean([d[name].to_numpy() for d in filled], axis=0)
        np.testing.assert_allclose(result[name].to_numpy(), mean, atol=1e-9)
    assert (result["exposure"] <= gross + 1e-9).all()


def test_a_day_with_less_than_eighty_percent_valid_members_is_void_and_void_members_do_not_count():
    members = {f"C{i}": member(i) for i in range(5)}
    for name, bad_days in (("C0", [0, 1]), ("C1", [1])):
        panel, daily = members[name]
        broken = pl.col("day").is_in([START_DAY + day for day in bad_days])
        members[name] = (panel, daily.with_columns((~broken).alias("valid")))
    daily = pool(members).daily
    assert daily["valid"].to_list() == [True, False, True]
    rest = np.mean([members[f"C{i}"][1]["net_bps"][0] for i in range(1, 5)])
    assert daily["net_bps"][0] == pytest.approx(rest)


def test_a_member_that_ended_early_is_void_afterwards_and_holds_nothing():
    members = {f"C{i}": member(i) for i in range(4)}
    panel, daily = members["C0"]
    end = (START_DAY + 1) * DAY_MS
    members["C0"] = (panel.filter(pl.col("time") <= end), daily.head(1))
    result = pool(members).daily
    assert result["valid"].to_list() == [True, False, False]
    rest = np.mean([members[f"C{i}"][1]["net_bps"][2] for i in range(1, 4)])
    assert result["net_bps"][2] == pytest.approx(rest)


def test_the_last_day_waits_for_a_member_whose_closing_price_is_still_to_come():
    members = {f"C{i}": member(i) for i in range(4)}
    panel, daily = members["C0"]
    members["C0"] = (panel.filter(pl.col("time") <= (START_DAY + 2) * DAY_MS), daily.head(2))
    waiting = pool(members).daily
    assert waiting["day"].to_list() == [START_DAY, START_DAY + 1]
    members["C0"] = (panel, daily)
    whole = pool(members).daily
    for name in MONEY:
        np.testing.assert_allclose(waiting[name].to_numpy(), whole[name].to_numpy()[:2], atol=1e-9)


def test_the_last_day_does_not_wait_for_a_member_that_ended_the_day_before():
    members = {f"C{i}": member(i) for i in range(4)}
    panel, daily = members["C0"]
    members["C0"] = (panel.filter(pl.col("time") <= (START_DAY + 2) * DAY_MS), daily.head(2))
    days = START_DAY + np.arange(4)
    ended = dated(members, {**dict.fromkeys(members, days), "C0": days[:2]})
    assert ended["day"].to_list() == [START_DAY, START_DAY + 1, START_DAY + 2]
    assert ended["valid"].all()
    late = dated(members, dict.fromkeys(members, days))
    assert late["day"].to_list() == [START_DAY, START_DAY + 1]


def test_nobody_or_no_day_is_an_empty_result():
    empty_panel, empty_daily = member(1)[0].clear(), member(1)[1].clear()
    assert pool({}).daily.is_empty()
    assert pool({"A": (empty_panel, empty_daily)}).daily.is_empty()
    mixed = pool({"A": (empty_panel, empty_daily), "B": member(2)})
    assert mixed.members == ("A", "B")
    assert not mixed.daily["valid"].any()


def test_stress_multiplies_fees_spread_and_impact_but_not_funding():
    daily = member(3)[1]
    dear = stress_costs(daily, 1.5)
    paid = daily["fees_bps"] + daily["spread_bps"] + daily["impact_bps"]
    np.testing.assert_allclose(dear["net_bps"].to_numpy(), (daily["net_bps"] - 0.5 * paid).to_numpy())
    assert dear["funding_bps"].equals(daily["funding_bps"])
    assert dear.schema == daily.schema


def test_a_pool_of_simulated_coins_equals_the_mean_of_their_scorecards(case):
    cards = {}
    for index in range(4):
        world = case(seed=20 + index, days=3, stop=1.0)
        cards[f"C{index}"] = simulate_decisions(
            **world.arguments, allow_short=True, start_day=START_DAY, end_day=START_DAY + 1, coin=f"C{index}"
        ).card
    result = pool({name: (card.panel, card.daily) for name, card in cards.items()}).daily
    for name in MONEY:
        mean = np.mean([card.daily[name].to_numpy() for card in cards.values()], axis=0)
        np.testing.assert_allclose(result[name].to_numpy(), mean, atol=1e-9)


def dated(members, membership):
    panels = {name: panel for name, (panel, _) in members.items()}
    dailies = {name: daily for name, (_, daily) in members.items()}
    return pool_result("um-A", "1h", "r", panels, dailies, net_cap=1e9, gross_cap=1e9, membership=membership).daily


def while_member(panel, days, belongs):
    """The member's days by a plain loop: bought when it comes, sold at the midnight it leaves, at its last day's expense."""
    out, before = np.zeros(days), 0.0
    rows = list(panel.iter_rows(named=True))
    for place, row in enumerate(rows):
        day = row["time"] // DAY_MS - START_DAY
        held = row["position"] if day in belongs else 0.0
        if place == len(rows) - 1:
            held = before if day in belongs else 0.0
        cost = abs(held - before) * (row["fee_bps"] + row["spread_bps"] + row["impact_bps"])
        pays = day if day in belongs else day - 1
        if pays < days:
            out[pays] -= cost
        if day < days:
            out[day] += held * (row["return_bps"] - row["funding_bps"])
        before = held
    return out


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), belongs=st.sets(st.integers(0, 4), min_size=1))
def test_a_coin_that_leaves_the_pool_is_sold_and_one_that_comes_back_is_bought(seed, belongs):
    coin, other = member(seed, days=4), member(seed + 1, days=4)
    membership = {"A": np.array([START_DAY + day for day in sorted(belongs)]), "B": START_DAY + np.arange(5)}
    daily = dated({"A": coin, "B": other}, membership)
    inside = np.array([day in belongs for day in range(4)])
    sums = np.where(inside, while_member(coin[0], 4, belongs), 0.0) + other[1]["net_bps"].to_numpy()
    np.testing.assert_allclose(daily["net_bps"].to_numpy(), sums / (1 + inside), atol=1e-9)
    assert daily["valid"].all()


def test_a_coin_listed_later_does_not_void_the_days_before_it():
    old, new = member(1, days=4), member(2, days=4)
    dailies = {"A": old[1], "B": new[1].filter(pl.col("day") >= START_DAY + 2)}
    days = START_DAY + np.arange(4)
    arguments = ("um-A", "1h", "r", {"A": old[0], "B": new[0]}, dailies)
    fixed = pool_result(*arguments, net_cap=1e9, gross_cap=1e9)
    dated = pool_result(*arguments, net_cap=1e9, gross_cap=1e9, membership={"A": days, "B": days[2:]})
    assert fixed.daily["valid"].to_list() == [False, False, True, True]
    assert dated.daily["valid"].to_list() == [True, True, True, True]


def test_a_day_without_any_member_is_void():
    only = member(1)
    result = pool_result(
        "um-A", "1h", "r", {"A": only[0]}, {"A": only[1]}, net_cap=1e9, gross_cap=1e9,
        membership={"A": START_DAY + np.arange(1)},
    )  # fmt: skip
    assert result.daily["valid"].to_list() == [True, False, False]


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(lost=st.integers(0, 4), days=st.sets(st.integers(-1, 5)))
def test_members_without_any_results_make_a_day_void_where_they_are_too_many(lost, days):
    members = {f"C{i}": member(i, days=4) for i in range(5)}
    everywhere = {name: START_DAY + np.arange(4) for name in members}
    gone = {f"L{i}": START_DAY + np.array(sorted(days), dtype=np.int64) for i in range(lost)}
    whole, lacking = dated(members, everywhere), dated(members, everywhere | gone)
    void = [day for day in range(4) if day in days and 0.8 * (5 + lost) > 5]
    assert lacking["valid"].to_list() == [day not in void for day in range(4)]
    assert lacking["net_bps"].equals(whole["net_bps"])
