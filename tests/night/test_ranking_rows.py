"""What is ranked of a (coin, horizon): the regime of the cut-off, its own edge, and nothing that the gate closes."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import verdicts
from hypothesis import given
from hypothesis import strategies as st
from memory_store import in_memory, stored_cell
from plans import make_plan
from records import NO_GATE, cell, trained

from huracan.domain.frames import REGIMES, TRADE_SCHEMA
from huracan.domain.night_records import LiveDecision, RegimeVotes
from huracan.domain.records import Universe
from huracan.hamilton import HamiltonInterface
from huracan.night.bundles import _ranking, _regimes
from huracan.night.edges import MeasuredEdges, PoolEdges
from huracan.night.state import Night
from huracan.promotion import CoinEdge, coin_filter

RECIPE = verdicts.MAKE.recipe()


def trades(means, n=40, seed=1):
    """Round trips around a mean net edge in each regime named."""
    rng = np.random.default_rng(seed)
    net = np.concatenate([mean + rng.normal(size=n) * 5 for mean in means.values()])
    regime = np.repeat([REGIMES.index(name) for name in means], n)
    empty = {name: [None] * net.size for name in TRADE_SCHEMA}
    return pl.DataFrame({**empty, "net_bps": net, "regime": regime}, schema=TRADE_SCHEMA)


def edges(frames):
    store = in_memory()
    cells = {coin: stored_cell(store, f"train/{coin}", RECIPE.id, trades=frame) for coin, frame in frames.items()}
    night = Night(
        run_id="r",
        plan=make_plan(recipes=(RECIPE,)),
        universe=Universe(now_ms=0, members=(), skips=()),
        pairs=tuple(frames),
        trained={coin: trained(coin, one) for coin, one in cells.items()},
    )
    return PoolEdges(store=store, night=night, coins=tuple(frames), horizon="1h")


def edge(shrunk, n=40):
    return CoinEdge(
        coin="A", n=n, measured_bps=shrunk, shrunk_bps=shrunk, lower_bps=shrunk, wanted_bps=0.0, passed=True
    )


def ranked(measured, regime, *, open_in=REGIMES, features=("regime", "x")):
    item = SimpleNamespace(coin="A", horizon="1h", edge=None, measured=measured)
    held = None if regime is None or regime < 0 else REGIMES[regime]
    live = None
    if regime is not None:
        live = LiveDecision(score=0.5, edge_bps=9.0, confidence=0.7, side=1, regime=regime)
    votes = {name: RegimeVotes(enabled_engines=(), engine_count=int(name in open_in)) for name in REGIMES}
    one = cell(
        regime=held if "regime" in features else "all",
        live=live,
        gate=replace(NO_GATE, regimes=votes),
        metrics={"capacity_estimate": 1e6},
        costs={"net": 3.0},
    )
    regimes = _regimes(item, one)
    return _ranking(item, one, SimpleNamespace(feature_names=features), regimes), regimes


def test_each_regime_has_the_edge_of_its_own_round_trips_shrunken_to_the_pool():
    frames = {
        "A": trades({"trend": 60.0, "range": -20.0}),
        "B": trades({"trend": 40.0, "range": 10.0}, seed=2),
        "C": trades({"trend": 50.0}, seed=3),
    }
    pool = edges(frames)
    for coin in frames:
        for code, name in enumerate(REGIMES):
            inside = {other: rows.filter(pl.col("regime") == code) for other, rows in frames.items()}
            assert pool.of(RECIPE.id, coin).regimes[name] == coin_filter(inside, 5.0)[coin]
    trend, range_ = (pool.of(RECIPE.id, "A").regimes[name].shrunk_bps for name in ("trend", "range"))
    assert 50.0 < trend < 62.0
    assert -22.0 < range_ < 0.0
    assert pool.of(RECIPE.id, "C").regimes["range"].n == 0
    assert pool.of("unknown-recipe", "A") == MeasuredEdges()


@given(
    st.integers(-1, 3), st.sets(st.sampled_from(REGIMES)), st.dictionaries(st.sampled_from(REGIMES), st.floats(-99, 99))
)
def test_one_row_of_the_regime_that_holds_where_the_gate_is_open(regime, open_in, told):
    by_name = {name: edge(told[name]) if name in told else edge(None, n=3) for name in REGIMES}
    rows, regimes = ranked(MeasuredEdges(overall=edge(7.0), regimes=by_name), regime, open_in=open_in)
    held = REGIMES[regime] if regime >= 0 else None
    assert {name: of.open for name, of in regimes.items()} == {name: name in open_in for name in REGIMES}
    if held not in open_in:
        assert rows == ()
        return
    (row,) = rows
    assert (row.coin, row.horizon, row.regime) == ("A", "1h", held)
    assert row.net_edge_bps == told.get(held, 7.0)
    assert regimes[held].net_edge_bps == told.get(held)


@pytest.mark.parametrize("overall", [None, edge(None, n=4)])
def test_a_candidate_with_too_few_round_trips_is_ranked_by_what_its_manifest_says(overall):
    measured = MeasuredEdges(overall=overall, regimes={name: edge(None, n=2) for name in REGIMES})
    ((row,), _) = ranked(measured, 0)
    assert row.net_edge_bps == 3.0


def test_nothing_is_ranked_without_a_row_at_the_cut_off():
    assert ranked(MeasuredEdges(overall=edge(7.0), regimes={name: edge(7.0) for name in REGIMES}), None)[0] == ()


def test_a_model_that_does_not_look_at_the_regime_is_ranked_by_its_edge_over_all():
    measured = MeasuredEdges(overall=edge(7.0), regimes={name: edge(50.0) for name in REGIMES})
    ((row,), _) = ranked(measured, 0, features=("x",))
    assert (row.regime, row.net_edge_bps) == ("all", 7.0)


def gate_of(row):
    told = json.loads((Path(row["path"]) / "regime_map.json").read_bytes())
    return told["horizons"][row["horizon"]]["regimes"]


def test_a_night_ranks_each_champion_once_in_the_regime_of_its_cut_off(finished_night, tmp_path):
    folder, result = finished_night.folder, finished_night.result
    door = HamiltonInterface(
        finished_night.store, trusted_root=folder / "trust" / "root.json", state_dir=tmp_path, allow_candidates=True
    )
    table = {f"{row.coin}_{row.horizon}": row for row in door.get_ranking_table()}
    assert len(table) == len(door.get_ranking_table())
    members = {**result["champions"], **result["candidates"]}
    blocked = {coin for coin in door.get_do_not_trade_list() if not door.blocked_reason(coin).startswith("NOT_PROVEN")}
    for key, row in members.items():
        trips = pl.read_parquet(folder / "workdir" / "artefacts" / row["root"] / "trades.parquet")
        counts = dict(trips.group_by("regime").len().iter_rows())
        is_open = gate_of(row)[row["regime"]]["engine_count"] > 0
        if not is_open or (row["coin"] in blocked):
            assert key not in table
            continue
        entry = table[key]
        assert (entry.regime, entry.status) == (row["regime"], "champion" if row["champion"] else "candidate")
        assert {name: of.trips for name, of in entry.regimes.items()} == {
            name: counts.get(code, 0) for code, name in enumerate(REGIMES)
        }
        own = entry.regimes[row["regime"]].net_edge_bps
        if own is not None:
            measured = trips.filter(pl.col("regime") == REGIMES.index(row["regime"]))["net_bps"].mean()
            assert entry.net_edge_bps == own
            assert abs(own) <= abs(measured) + 1e-9 or own > measured
    statuses = [row.status for row in table.values()]
    assert statuses == sorted(statuses, reverse=True) != []
