"""The simulated trader against a slow diary, and every rule of trading by an example."""

import dataclasses
import itertools
import sys
from collections import defaultdict

import numpy as np
import polars as pl
import positions_in_one_piece as one_piece
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.domain.frames import FUNDING_SCHEMA, HALT, PANIC, REPAIRED
from huracan.domain.time import DAY_MS, HOUR_MS, MINUTE_MS
from huracan.errors import DataError
from huracan.ingest import IngestConfig
from huracan.ingest.funding import funding_holes
from huracan.labels import label_forward_returns
from huracan.scoring import decision_events, positions, simulate_decisions
from huracan.stats.decide import position_fraction, wants_entry

START_DAY = 20454


def diary(case, start_day, end_day, *, allow_short, ended=False):
    """Equity by the units held, bar by bar, settlement by settlement: daily net bps and trips, without any panel."""
    sizing, costs = case.recipe.sizing, case.recipe.costs
    fee = {market: taker for market, _, taker in costs.fees_bps}[case.bars.instrument.market]
    real = [
        bar
        for bar in case.bars.frame.iter_rows(named=True)
        if not bar["flags"] & (REPAIRED | HALT) and bar["volume"] > 0 and bar["open_time"] >= start_day * DAY_MS
    ]
    end_day = min(end_day, real[-1]["open_time"] // DAY_MS - (not ended)) if real else start_day - 1
    fills = dict(zip(case.labels.frame["decision_time"], case.labels.frame["fill_time"], strict=True))
    rows = {row["decision_time"]: row for row in case.features.frame.iter_rows(named=True)}
    by_fill = {}
    for row in case.path.frame.iter_rows(named=True):
        if fills[row["decision_time"]] is not None:
            by_fill[fills[row["decision_time"]]] = {**row, **rows[row["decision_time"]]}
    settlements = list(case.bars.funding.select("funding_time", "rate").iter_rows())
    holes = list(case.bars.funding_holes.select("start_ms", "end_ms", "worst_bps_per_day").iter_rows())
    if case.bars.instrument.market == "um" and not case.bars.funding_known and not holes:
        holes = [(0, 1 << 62, 0.0)]

    state = {
        "units": 0.0,
        "position": 0.0,
        "equity": 0.0,
        "day_start": 0.0,
        "due": 0,
        "half": 0.0,
        "sigma": 0.0,
        "v": 1.0,
    }
    daily, trips, now, last_price, last_time = defaultdict(float), [], start_day, None, None
    stopped_day, pending, used = -1, False, 0

    def pass_time(until, price):
        nonlocal last_price, last_time, used
        if last_price is not None:
            state["equity"] += state["units"] * (price - last_price) * 1e4
            for low, high, seen in holes:
                shared = max(0, min(until, high) - max(last_time, low))
                state["equity"] -= abs(state["position"]) * max(seen, costs.worst_funding_bps_per_day) * shared / DAY_MS
        while used < len(settlements) and settlements[used][0] <= until:
            if last_time is not None and settlements[used][0] > last_time:
                state["equity"] -= state["position"] * settlements[used][1] * 1e4
            used += 1
        last_price, last_time = price, until

    def trade(new, price, panic):
        size = abs(new - state["position"])
        half = state["half"] * (costs.panic_spread_multiple if panic else 1)
        impact = costs.impact_y * state["sigma"] * np.sqrt(size * costs.capital_quote / state["v"])
        state["equity"] -= size * (fee + half + impact)
        state["position"], state["units"] = new, new / price

    def mark(day, time, price):
        nonlocal now
        if last_price is not None:
            pass_time(time, price)
            daily[day - 1] = state["equity"] - state["day_start"]
        else:
            pass_time(time, price)
        state["day_start"], state["units"], now = state["equity"], state["position"] / price, day

    first = True
    last_close = None
    for bar in real:
        time, day = bar["open_time"], bar["open_time"] // DAY_MS
        if first:
            mark(day, time, bar["open"])
            first = False
        while now < day and now <= end_day:
            step = now + 1
            mark(step, time if step == day else step * DAY_MS, bar["open"] if step == day else last_close)
        if now > end_day:
            break
        last_close = bar["close"]
        pass_time(time, bar["open"])
        panic = bool(bar["flags"] & PANIC)
        decision = by_fill.get(time)
        if decision and decision["valid"]:
            state.update(
                half=decision["spread_bps"] / 2, sigma=decision["sigma_day_bps"], v=decision["volume_day_quote"]
            )
        if pending:
            trips[-1]["reason"] = "stopped"
            trade(0.0, bar["open"], panic)
            pending = False
        elif decision:
            side = 0
            if decision["valid"] and stopped_day < day:
                side = wants_entry.py_func(
                    decision["score"],
                    decision["edge_bps"],
                    decision["confidence"],
                    decision["cost_bps"],
                    decision["threshold"],
                    sizing.entry_cost_multiple,
                    sizing.min_edge_after_cost_bps,
                    sizing.min_confidence,
                    allow_short,
                )
            wanted = 0.0
            if side:
                wanted = side * position_fraction.py_func(
                    decision["score"],
                    decision["threshold"],
                    decision["sigma_day_bps"],
                    case.horizon.days,
                    sizing.per_trade_risk,
                    sizing.leverage_cap,
                    sizing.sigma_floor_day_bps,
                    sizing.largest_position(case.horizon),
                )
            held = state["position"]
            if held == 0 and wanted != 0:
                trade(wanted, bar["open"], panic)
                trips.append({"entry": time, "reason": "end", "rolls": 0})
                state["due"] = time + case.horizon.ms
            elif held != 0 and time >= state["due"]:
                if decision["valid"] and decision["edge_bps"] * held > 0:
                    trips[-1]["rolls"] += 1
                    state["due"] = time + case.horizon.ms
                elif wanted * held < 0:
                    trips[-1]["reason"] = "turned"
                    trade(wanted, bar["open"], panic)
                    trips.append({"entry": time, "reason": "end", "rolls": 0})
                    state["due"] = time + case.horizon.ms
                else:
                    trips[-1]["reason"] = "closed"
                    trade(0.0, bar["open"], panic)
        at_close = state["equity"] - state["day_start"] + state["units"] * (bar["close"] - bar["open"]) * 1e4
        if stopped_day < day and at_close <= -sizing.daily_loss_stop * 1e4:
            stopped_day = day
            pending = state["position"] != 0
    if ended and real and now <= end_day:
        close = real[-1]["open_time"] + case.bars.interval_ms - 1
        pass_time(close, last_close)
        if state["position"] != 0:
            trips[-1]["reason"] = "stopped" if pending else "closed"
            trade(0.0, last_close, bool(real[-1]["flags"] & PANIC))
        mark(end_day + 1, (end_day + 1) * DAY_MS, last_close)
    return {day: daily.get(day, 0.0) for day in range(start_day, end_day + 1)}, trips


def run(case, *, allow_short=True, start=0, end=None, ended=False):
    last = START_DAY + int(np.ceil(case.days)) - 1 if end is None else START_DAY + end
    return simulate_decisions(
        **case.arguments, allow_short=allow_short, start_day=START_DAY + start, end_day=last, coin="SOL", ended=ended
    )


def contributions(card):
    return float((card.trades["position"] * card.trades["net_bps"]).sum())


def panel_money(card):
    panel = card.panel
    turnover = panel["position"].diff().fill_null(panel["position"].first()).abs() if panel.height else pl.Series([0.0])
    earned = panel["position"] * (panel["return_bps"] - panel["funding_bps"])
    return float((earned - turnover * (panel["fee_bps"] + panel["spread_bps"] + panel["impact_bps"])).sum())


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    horizon=st.sampled_from(["1h", "4h", "1d"]),
    missing=st.sampled_from([0.0, 0.03, 0.4]),
    stop=st.sampled_from([0.025, 0.002]),
    market=st.sampled_from(["um", "spot"]),
    funding_known=st.booleans(),
    interval=st.sampled_from([1, 15]),
    start=st.integers(0, 1),
    ended=st.booleans(),
    hours=st.sampled_from([0, 1, 9]),
)
def test_simulation_equals_a_slow_diary_and_all_sums_agree(
    case, seed, horizon, missing, stop, market, funding_known, interval, start, ended, hours
):
    world = case(
        seed=seed,
        days=(3 if interval == 15 else 2) + hours / 24,
        horizon=horizon,
        stop=stop,
        market=market,
        missing=missing,
        funding_known=funding_known,
        interval_minutes=interval,
        jump=0.004 if interval == 15 else 0.001,
    )
    card = run(world, allow_short=market == "um", start=start, ended=ended).card
    last = START_DAY + int(np.ceil(world.days)) - 1
    daily, trips = diary(world, START_DAY + start, last, allow_short=market == "um", ended=ended)
    assert card.daily["day"].to_list() == list(daily)
    np.testing.assert_allclose(card.daily["net_bps"].to_numpy(), list(daily.values()), atol=1e-9, rtol=1e-9)
    assert card.trades["entry_time"].to_list() == [trip["entry"] for trip in trips]
    assert card.trades["reason"].to_list() == [trip["reason"] for trip in trips]
    assert card.trades["rolls"].to_list() == [trip["rolls"] for trip in trips]
    total = float(card.daily["net_bps"].sum())
    assert panel_money(card) == pytest.approx(total, abs=1e-9)
    assert contributions(card) == pytest.approx(total, abs=1e-9)
    assert (card.panel["time"].diff().drop_nulls() > 0).all()


def test_compiled_simulation_equals_its_plain_twin(case, monkeypatch):
    world = case(seed=5, days=3, stop=0.003, missing=0.02)
    fast = run(world, ended=True).card
    kernels = [name for name, value in vars(positions).items() if hasattr(value, "py_func")]
    assert len(kernels) > 5
    for name in kernels:
        monkeypatch.setattr(positions, name, getattr(positions, name).py_func)
    slow = run(world, ended=True).card
    assert fast.panel.equals(slow.panel)
    assert fast.trades.equals(slow.trades)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    horizon=st.sampled_from(["1h", "4h", "1d"]),
    missing=st.sampled_from([0.0, 0.03, 0.4]),
    stop=st.sampled_from([0.025, 0.002]),
    funding_known=st.booleans(),
    interval=st.sampled_from([1, 15]),
    start=st.integers(-1, 4),
    length=st.integers(-2, 4),
    ended=st.booleans(),
)
def test_named_kernels_give_the_bits_of_the_one_function_they_were_cut_from(
    case, seed, horizon, missing, stop, funding_known, interval, start, length, ended
):
    def both(bars, decisions, funding, rules, *, first_day, last_day):
        now = positions.simulate_positions(bars, decisions, funding, rules, first_day=first_day, last_day=last_day)
        before = one_piece.walk(bars, decisions, funding, rules, first_day, last_day)
        assert one_piece.columns(before) == [column.tobytes() for table in now for column in table]
        return now

    world = case(
        seed=seed,
        days=3,
        horizon=horizon,
        stop=stop,
        missing=missing,
        funding_known=funding_known,
        interval_minutes=interval,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["huracan.scoring.simulate"], "simulate_positions", both)
        run(world, start=start, end=start + length, ended=ended)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 500))
def test_a_trades_gross_is_what_its_prices_say_and_all_parts_add_up_to_what_was_booked(case, seed):
    card = run(case(seed=seed, days=4, stop=1.0, jump=0.03)).card
    trades, panel = card.trades, card.panel
    for trade in trades.iter_rows(named=True):
        move = trade["side"] * (trade["exit_price"] / trade["entry_price"] - 1) * 1e4
        assert trade["gross_bps"] == pytest.approx(move)
        assert trade["gross_bps"] + trade["rebalance_bps"] - trade["cost_bps"] == pytest.approx(trade["net_bps"])
    booked = (panel["position"] * panel["return_bps"])[:-1].sum()
    told = (trades["position"] * (trades["gross_bps"] + trades["rebalance_bps"])).sum()
    assert told == pytest.approx(booked, abs=1e-6)
    parts = {
        name: card.costs[name] or 0.0 for name in ("gross", "rebalance", "fees", "spread", "slippage", "funding", "net")
    }
    assert parts.pop("net") == pytest.approx(
        parts.pop("gross") + parts.pop("rebalance") - sum(parts.values()), abs=1e-9
    )


def test_a_short_that_is_carried_through_a_rise_loses_more_by_its_prices_than_it_was_booked_with(case):
    """Booked, it shrinks from day to day as its loss grows: the two numbers differ, and both are told."""
    card = run(steady(case, side=-1.0, days=3, stop=1.0, jump=0.05, seed=2)).card
    trade = card.trades.row(0, named=True)
    prices = -(trade["exit_price"] / trade["entry_price"] - 1) * 1e4
    assert abs(prices) > 500
    assert trade["gross_bps"] == pytest.approx(prices)
    assert abs(trade["rebalance_bps"]) > 10


def steady(case, side=1.0, days=3, **options):
    n = int(days * 24)
    return case(days=days, scores=np.full(n, 0.9 * side), edges=np.full(n, 60.0 * side), missing=0.0, **options)


def test_a_position_rolls_over_without_cost_while_the_forecast_keeps_its_side(case):
    card = run(steady(case, stop=1.0)).card
    assert card.trades.height == 1
    trade = card.trades.row(0, named=True)
    assert trade["reason"] == "end"
    assert trade["rolls"] > 20
    assert card.daily["fees_bps"].to_list()[1:] == [0.0] * (card.daily.height - 1)
    assert card.daily["turnover"].sum() == pytest.approx(trade["position"])


def test_a_life_is_scored_to_its_end_and_what_is_held_then_is_sold_at_the_last_price_at_all_costs(case):
    world = steady(case, days=2.5, stop=1.0)
    listed, dead = run(world).card, run(world, ended=True).card
    assert listed.daily["day"].to_list() == [START_DAY, START_DAY + 1]
    assert dead.daily["day"].to_list() == [START_DAY, START_DAY + 1, START_DAY + 2]
    assert dead.daily["valid"].all()  # half a day of bars is all there ever was of it
    np.testing.assert_array_equal(dead.daily["net_bps"][:2], listed.daily["net_bps"])
    trade, bars = dead.trades.row(0, named=True), world.bars.frame
    assert (trade["reason"], trade["exit_price"]) == ("closed", bars["close"][-1])
    assert trade["exit_time"] == bars["open_time"][-1] + world.bars.interval_ms - 1
    sold = dead.panel.filter(pl.col("time") == trade["exit_time"]).row(0, named=True)
    paid = trade["position"] * (sold["fee_bps"] + sold["spread_bps"] + sold["impact_bps"])
    last = dead.daily.row(2, named=True)
    assert last["net_bps"] == pytest.approx(last["gross_bps"] - last["funding_bps"] - paid)
    assert paid > 0


def test_flat_bars_after_the_end_are_nobodys_life(case):
    world = steady(case, days=2.5, stop=1.0)
    frame = world.bars.frame
    silent = frame.with_columns(
        volume=pl.when(pl.col("open_time") >= (START_DAY + 2) * DAY_MS + 6 * HOUR_MS).then(0.0).otherwise("volume")
    )
    bars = dataclasses.replace(world.bars, frame=silent)
    times = world.labels.frame["decision_time"].to_numpy()
    labels = label_forward_returns(bars, times, world.horizon, world.recipe.execution_latency_s)
    card = run(dataclasses.replace(world, bars=bars, labels=labels), ended=True).card
    assert card.trades.row(0, named=True)["exit_time"] == (START_DAY + 2) * DAY_MS + 6 * HOUR_MS - 1
    assert card.daily["valid"].to_list() == [True, True, True]


def test_a_position_closes_when_the_forecast_falls_silent_and_turns_when_the_other_side_is_wanted(case):
    edges = [60.0] * 3 + [0.0] * 3 + [60.0] * 3 + [-60.0] * 63
    world = case(days=3, scores=np.sign(edges) * 0.9, edges=edges, stop=1.0)
    simulation = run(world)
    assert simulation.card.trades["reason"].to_list() == ["closed", "turned", "end"]
    assert simulation.card.trades["side"].to_list() == [1, 1, -1]
    kinds = [event.action for event in decision_events(simulation.events)]
    assert kinds[:7] == ["enter", "roll", "roll", "close", "enter", "roll", "roll"]
    assert kinds[7] == "turn"
    assert simulation.events["net_edge_bps"].drop_nulls().len() == len(kinds)


def test_a_weak_forecast_of_the_other_side_closes_but_does_not_turn(case):
    edges = [60.0] * 2 + [-1.0] * 70
    card = run(case(days=3, scores=np.sign(edges) * 0.9, edges=edges, stop=1.0)).card
    assert card.trades["reason"].to_list() == ["closed"]


def test_a_position_is_held_until_its_label_ends_even_when_forecasts_change(case):
    edges = [60.0] + [-60.0] * 71
    card = run(case(days=3, horizon="4h", scores=np.sign(edges) * 0.9, edges=edges, stop=1.0)).card
    first = card.trades.row(0, named=True)
    assert first["exit_time"] - first["entry_time"] == 4 * HOUR_MS


def test_spot_never_goes_short(case):
    world = steady(case, side=-1.0, market="spot")
    assert run(world, allow_short=False).card.trades.is_empty()


def falling(case, **options):
    world = steady(case, stop=0.005, **options)
    time = world.bars.frame["open_time"].to_numpy()
    price = 100.0 * np.exp(-0.002 * np.arange(time.size))
    frame = world.bars.frame.with_columns(
        pl.Series("open", price), pl.Series("close", price * np.exp(-0.002)), pl.lit(0, pl.Int32).alias("flags")
    )
    object.__setattr__(world.bars, "frame", frame)
    return world


def test_daily_loss_stop_closes_at_the_next_open_and_stays_flat_until_the_next_day(case):
    card = run(falling(case)).card
    trades = card.trades
    assert trades["reason"].to_list() == ["stopped"] * trades.height
    assert trades["entry_time"].to_list() == [(START_DAY + day) * DAY_MS for day in range(trades.height)]
    assert card.daily["net_bps"].to_list() == pytest.approx([card.daily["net_bps"][0]] * card.daily.height, rel=0.01)
    first = trades.row(0, named=True)
    loss = -(card.daily["net_bps"][0])
    bar_move = first["position"] * 20 * 2
    assert 50.0 <= loss <= 50.0 + 2 * bar_move
    assert any("stop" in note for note in card.notes)


def test_fills_in_panic_minutes_pay_the_stress_spread(case):
    calm = steady(case, stop=1.0)
    frame = calm.bars.frame
    object.__setattr__(calm.bars, "frame", frame.with_columns(pl.lit(0, pl.Int32).alias("flags")))
    paid = run(calm).card.daily["spread_bps"].sum()
    object.__setattr__(calm.bars, "frame", frame.with_columns(pl.lit(PANIC, pl.Int32).alias("flags")))
    assert run(calm).card.daily["spread_bps"].sum() == pytest.approx(10 * paid)


def test_unknown_funding_costs_the_worst_rate_for_either_side_and_is_noted(case):
    for side in (1.0, -1.0):
        card = run(steady(case, side=side, stop=1.0, funding_known=False)).card
        position = card.trades["position"][0]
        assert card.daily["funding_bps"][1] == pytest.approx(30.0 * position)
        assert any("funding unknown" in note for note in card.notes)


def test_a_hole_in_the_settlements_costs_the_worst_rate_for_its_time_alone(case):
    """Seven of eight hourly settlements of 5 bps are missing: what is charged is what was paid in truth, or more."""
    whole = steady(case, side=1.0, stop=1.0)
    hours = np.arange(whole.bars.funding["funding_time"][0], whole.bars.frame["open_time"][-1], HOUR_MS)
    truth = pl.DataFrame({"funding_time": hours, "rate": 5e-4, "interval_hours": 1.0}, schema=FUNDING_SCHEMA)
    position = run(whole).card.trades["position"][0]
    for kept, side in itertools.product((1, 4, 8), (1.0, -1.0)):
        world = steady(case, side=side, stop=1.0)
        seen = truth.filter(pl.col("funding_time") // HOUR_MS % 8 < kept)
        holes = funding_holes(
            seen,
            int(hours[0]),
            int(world.bars.frame["open_time"][-1]),
            IngestConfig(interval_ms=world.bars.interval_ms),
        )
        assert holes["missing"].sum() == truth.height - seen.height
        for name, value in (("funding", seen), ("funding_holes", holes), ("funding_known", holes.is_empty())):
            object.__setattr__(world.bars, name, value)
        card = run(world).card
        charged = card.daily["funding_bps"][1]
        paid = position * 24 * 5.0
        share = (8 - kept) / 8
        assert charged == pytest.approx(paid if side > 0 else paid * share - paid * (1 - share))
        assert any("funding unknown in" in note for note in card.notes) == (kept < 8)


def test_funding_is_booked_on_the_position_held_at_settlement_and_signed_by_its_side(case):
    long, short = (run(steady(case, side=side, stop=1.0)).card for side in (1.0, -1.0))
    world = steady(case, stop=1.0)
    rates = world.bars.funding["rate"].to_numpy() * 1e4
    position = long.trades["position"][0]
    second_day = rates[4:7].sum()  # 08:00 and 16:00 of the day and 00:00 that ends it
    assert long.daily["funding_bps"][1] == pytest.approx(position * second_day)
    assert short.daily["funding_bps"][1] == pytest.approx(-long.daily["funding_bps"][1])


def test_days_without_a_position_are_zero_and_kept(case):
    world = case(days=4, scores=np.zeros(96), edges=np.zeros(96))
    daily = run(world).card.daily
    assert daily.height == 3
    assert daily["net_bps"].to_list() == [0.0] * 3
    assert daily["valid"].all()


def test_the_last_day_is_scored_only_when_the_next_days_first_price_is_known_and_never_changes(case):
    full = steady(case, days=4)
    shorter = steady(case, days=4)
    cut = (START_DAY + 3) * DAY_MS
    object.__setattr__(shorter.bars, "frame", shorter.bars.frame.filter(pl.col("open_time") <= cut))
    object.__setattr__(shorter.labels, "frame", shorter.labels.frame.filter(pl.col("decision_time") <= cut))
    with pytest.raises(DataError):
        run(shorter)
    early = pl.col("decision_time") < cut
    object.__setattr__(shorter.path, "frame", shorter.path.frame.filter(early))
    now, later = run(shorter, end=5).card.daily, run(full, end=5).card.daily
    assert now["day"].to_list() == [START_DAY, START_DAY + 1, START_DAY + 2]
    assert later["day"].to_list() == now["day"].to_list()
    assert now.equals(later)


def test_a_day_with_too_few_bars_is_void_and_a_whole_hole_is_marked_at_the_last_close(case):
    world = steady(case, days=5, stop=1.0)
    day = pl.col("open_time") // DAY_MS - START_DAY
    frame = world.bars.frame
    kept = frame.filter((day != 1) & ~((day == 3) & (pl.col("open_time") % DAY_MS < 2 * HOUR_MS)))
    object.__setattr__(world.bars, "frame", kept)
    missing = world.labels.frame["decision_time"].to_numpy() // DAY_MS - START_DAY == 1
    missing |= (world.labels.frame["decision_time"].to_numpy() - (START_DAY + 3) * DAY_MS) // (2 * HOUR_MS) == 0
    labels = world.labels.frame.with_columns(pl.when(~pl.Series(missing)).then(pl.col("fill_time")).alias("fill_time"))
    object.__setattr__(world.labels, "frame", labels)
    card = run(world).card
    assert card.daily["valid"].to_list() == [True, False, True, False]
    position = card.trades["position"][0]
    hole_open, before = kept.filter(day == 2)["open"][0], kept.filter(day == 0)["close"][-1]
    assert card.daily["gross_bps"][1] == pytest.approx(position * (hole_open / before - 1) * 1e4)


def test_no_real_bar_at_all_gives_an_empty_scorecard(case):
    world = steady(case)
    object.__setattr__(world.bars, "frame", world.bars.frame.with_columns(pl.lit(0.0).alias("volume")))
    labels = world.labels.frame.with_columns(pl.lit(None, pl.Int64).alias("fill_time"))
    object.__setattr__(world.labels, "frame", labels)
    card = run(world).card
    assert card.panel.is_empty()
    assert card.daily.is_empty()
    assert card.metrics["sharpe_ratio"] is None
    assert card.costs["net"] is None


def test_a_fill_that_is_not_at_a_real_bars_open_is_refused(case):
    world = steady(case)
    labels = world.labels.frame.with_columns(pl.col("fill_time") + MINUTE_MS)
    object.__setattr__(world.labels, "frame", labels)
    with pytest.raises(DataError, match="open of a real bar"):
        run(world)


def test_size_falls_with_volatility_and_never_exceeds_the_declared_cap(case):
    card = run(case(seed=3, days=3, stop=1.0)).card
    case_ = case(seed=3, days=3)
    cap = case_.recipe.sizing.largest_position(case_.horizon)
    assert card.panel["position"].abs().max() <= cap


def test_simulated_decisions_give_a_scorecard_with_metrics_and_costs(case):
    world = case(seed=8, days=3)
    card = simulate_decisions(
        **world.arguments, allow_short=True, start_day=START_DAY, end_day=START_DAY + 2, coin="SOL"
    ).card
    assert card.metrics["round_trips"] == card.trades.height > 3
    assert card.metrics["win_rate"] == card.metrics["hit_rate"]
    assert card.metrics["without_best_day"]["days"] == card.metrics["days"] - 1
    costs = card.costs
    assert costs["net"] == pytest.approx(
        costs["gross"] - costs["fees"] - costs["spread"] - costs["slippage"] - costs["funding"]
    )
    assert costs["fees"] == pytest.approx(10.0, rel=0.2)
    assert costs["p10"] <= costs["p50"] <= costs["p90"]
    assert any("next bar" in note for note in card.notes)


def test_a_position_in_a_contract_that_died_is_charged_no_settlement_after_its_last_bar(case):
    cards = []
    for ghosts in (0.0, 0.5):
        world = steady(case, days=4, stop=1.0)
        died = START_DAY * DAY_MS + 2 * DAY_MS + 5 * HOUR_MS
        late, fill = pl.col("funding_time") > died, pl.col("fill_time")
        bars, labels = world.bars.frame, world.labels.frame
        settled = world.bars.funding.with_columns(rate=pl.when(late).then(pl.lit(ghosts)).otherwise("rate"))
        object.__setattr__(world.bars, "frame", bars.filter(pl.col("open_time") < died))
        object.__setattr__(world.bars, "funding", settled)
        object.__setattr__(world.labels, "frame", labels.with_columns(fill_time=pl.when(fill < died).then(fill)))
        cards.append(run(world, end=4).card)
    assert cards[0].daily["funding_bps"].abs().sum() > 0
    assert cards[0].daily.equals(cards[1].daily)
    assert cards[0].panel.equals(cards[1].panel)
