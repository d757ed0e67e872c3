"""What a bundle says of itself, recomputed from other files: its own, the artefacts, and the lake."""

import json

import numpy as np
import polars as pl
import pytest
from nights import trust_variables, variables

from huracan.adapters.artefacts import LocalArtefacts
from huracan.adapters.lake import DeltaLake
from huracan.domain.frames import REGIMES
from huracan.domain.ids import Instrument, result_key
from huracan.domain.time import DAY_MS, HOUR_MS, parse_iso
from huracan.hamilton import HamiltonInterface

LONGEST_1H = 1.0 / 24.0


@pytest.fixture(scope="module")
def published(finished_night):
    """(result row, file name -> content, frame by name) of everything published tonight."""
    store = LocalArtefacts(finished_night.folder / "workdir" / "artefacts")
    found = []
    for row in (*finished_night.result["champions"].values(), *finished_night.result["candidates"].values()):
        files = (finished_night.store / row["path"]).glob("*.json")
        frames = ("edges", "events", "path", "trades", "panel")
        found.append(
            (
                row,
                {file.name: json.loads(file.read_bytes()) for file in files},
                {name: pl.read_parquet(store.get(f"{row['root']}/{name}.parquet")) for name in frames},
            )
        )
    return found


@pytest.fixture(scope="module")
def closes(finished_night, published):
    """Open times and opens of each published instrument, from the lake."""
    lake = DeltaLake(str(finished_night.folder / "workdir" / "lake" / "15m"))
    found = {}
    for _, files, _ in published:
        symbol, _, market = files["manifest.json"]["instrument"].rpartition("-")
        one = Instrument(market=market, symbol=symbol, base=symbol.removesuffix("USDT"), quote="USDT")
        bars = lake.bars(one, 0, files["manifest.json"]["data_cutoff_ms"])
        found[one.id] = bars.filter(pl.col("volume") > 0).select("open_time", "open")
    return found


def test_the_training_window_runs_from_the_first_to_the_last_bar_that_labels_used(published, closes):
    for _, files, frames in published:
        manifest, lookback = files["manifest.json"], files["recipe.json"]["training"]["lookback_days"]
        start, end = (parse_iso(manifest[f"training_window_{side}"]) for side in ("start", "end"))
        cutoff, times = manifest["data_cutoff_ms"], closes[manifest["instrument"]]["open_time"]
        assert start in times
        assert end in times
        assert times[0] <= start < end < cutoff
        assert start >= cutoff - lookback * DAY_MS - 2 * HOUR_MS
        last = frames["edges"].filter(pl.col("decision_time") + 2 * HOUR_MS <= cutoff)["decision_time"].max()
        assert end >= last + HOUR_MS  # the label of a decision that closed before the cut-off is in it


def engine_outcomes(frames, closes, engine):
    """(regime, closing time, net bps) of each vote of an engine, from edges, costs and the lake's prices."""
    bars = closes.sort("open_time")
    step = int(bars["open_time"].diff().min())
    rows = frames["edges"].join(frames["path"].select("decision_time", "cost_bps"), on="decision_time")
    rows = rows.with_columns(fill=pl.col("decision_time"), leave=pl.col("decision_time") + HOUR_MS)
    prices = dict(bars.iter_rows())
    for row in rows.iter_rows(named=True):
        edge, entry, leave = row[engine], prices.get(row["fill"]), prices.get(row["leave"])
        if edge is not None and np.isfinite(edge) and edge != 0.0 and entry and leave and row["regime"] >= 0:
            net = np.sign(edge) * (leave / entry - 1.0) * 1e4 - row["cost_bps"]
            if np.isfinite(net):
                yield row["regime"], row["leave"], net, row["fold_day"], step


def test_the_regime_map_holds_what_the_gate_saw_with_the_sharpe_ratio_over_365_days(published, closes):
    row, files, frames = published[0]
    told = files["regime_map.json"]["horizons"][row["horizon"]]
    cutoff = files["manifest.json"]["data_cutoff_ms"]
    days = sorted(frames["edges"]["fold_day"].unique().to_list())
    moments = np.array([*(day * DAY_MS for day in days), cutoff])
    checked = 0
    for name, seen in told["performance"].items():
        assert seen.keys() == {"win_rate", "sharpe_ratio", "avg_return_bps", "sample_size"}
        regime, _, engine = name.partition("_")
        votes = [
            (closed, net)
            for code, closed, net, *_ in engine_outcomes(frames, closes[files["manifest.json"]["instrument"]], engine)
            if REGIMES[code] == regime and closed < cutoff
        ]
        net = np.array([value for _, value in votes])
        bucket = np.searchsorted(moments, [closed for closed, _ in votes], side="right")
        sums = np.bincount(bucket, weights=net, minlength=moments.size)
        assert seen["sample_size"] == net.size
        assert seen["win_rate"] == pytest.approx((net > 0).mean())
        assert seen["avg_return_bps"] == pytest.approx(net.mean())
        assert seen["sharpe_ratio"] == pytest.approx(sums.mean() / sums.std() * np.sqrt(365), rel=1e-6)
        checked += 1
    assert checked > 10
    assert told["gate"]["min_sample_size"] == 50


def test_costs_and_what_is_left_reconcile_with_the_trades_and_their_prices(published):
    for _, files, frames in published:
        report, recipe, trades = files["cost_report.json"], files["recipe.json"], frames["trades"]
        market = files["manifest.json"]["instrument"].rpartition("-")[2]
        maker, taker = next((m, t) for name, m, t in recipe["costs"]["fees_bps"] if name == market)
        if not trades.height:
            assert (report["round_trips"], report["fees_bps"], report["maker_fees_bps"]) == (0, None, None)
            continue
        moves = trades["side"] * (trades["exit_price"] / trades["entry_price"] - 1.0) * 1e4
        assert report["gross_edge_bps"] == pytest.approx(moves.mean())
        paid = sum(report[f"{name}_bps"] for name in ("fees", "spread", "slippage", "funding"))
        assert report["net_edge_after_cost_bps"] == pytest.approx(
            report["gross_edge_bps"] + report["rebalance_bps"] - paid
        )
        assert report["maker_fees_bps"] + report["taker_fees_bps"] == pytest.approx(report["fees_bps"])
        closed = (trades["reason"] != "end").sum()
        assert report["taker_fees_bps"] == pytest.approx(taker * (trades.height + closed) / trades.height, rel=0.02)
        assert (report["maker_rate_bps"], report["taker_rate_bps"]) == (maker, taker)


def test_capacity_is_the_smaller_of_what_impact_and_a_share_of_the_volume_allow(published):
    for _, files, frames in published:
        metrics, y = files["metrics.json"], files["recipe.json"]["costs"]["impact_y"]
        rests = metrics["details"]["capacity"]
        if not frames["trades"].height:
            assert metrics["capacity_estimate"] is rests is None
            continue
        slope = 2.0 * y * rests["sigma_day_bps"]
        law = 4.0 / 9.0 * rests["volume_day_quote"] * (max(rests["edge_before_impact_bps"], 0.0) / slope) ** 2
        believed = 0.1 * LONGEST_1H * rests["volume_day_quote"]
        assert metrics["capacity_estimate"] == pytest.approx(min(law, believed))
        report = files["cost_report.json"]
        assert rests["edge_before_impact_bps"] == pytest.approx(
            report["net_edge_after_cost_bps"] + report["slippage_bps"]
        )
        assert frames["trades"].height == metrics["details"]["round_trips"]


def test_the_log_says_how_many_decisions_there_are_and_the_nights_file_holds_all_of_every_cell(
    published, finished_night
):
    (file,) = (finished_night.folder / "workdir" / "reports").glob("*/decision_events.parquet")
    every = pl.read_parquet(file)
    assert every["time"].is_sorted()
    for row, files, frames in published:
        told = files["metrics.json"]["details"]["decisions"]
        assert told["in_all"] == frames["events"].height
        assert told["logged"] == len(files["decision_logs.json"]) == min(500, told["in_all"])
        mine = every.filter(pl.col("coin") == row["coin"], pl.col("horizon") == row["horizon"])
        assert mine.filter(pl.col("recipe") == row["recipe_id"]).height == told["in_all"]
    cells = finished_night.named("recipe_scored")
    simulated = {(cell["coin"], cell["horizon"], cell["recipe_id"]) for cell in cells}
    assert set(every.select("coin", "horizon", "recipe").unique().iter_rows()) <= simulated
    assert every.height >= sum(files["metrics.json"]["details"]["decisions"]["in_all"] for _, files, _ in published)


def test_nobody_says_that_nothing_differs_where_nothing_was_compared(published):
    for _, files, _ in published:
        report = files["data_integrity.json"]
        assert report["vendor_mismatches"] == []
        assert report["vendor_check"]["checked"] is None
        assert "nothing was compared" in report["vendor_check"]["note"]


def test_one_regime_wherever_one_looks(published, finished_night, tmp_path):
    summary = finished_night.result["summary"]
    listed = {result_key(row["coin"], row["horizon"]): row for row in (*summary["champions"], *summary["candidates"])}
    told = {
        (fields["coin"], fields["horizon"], fields["recipe_id"]): fields
        for fields in finished_night.named("consensus_reached")
    }
    with variables({**trust_variables(finished_night.folder), "HURACAN_STATE_DIR": str(tmp_path)}):
        hamilton = HamiltonInterface(finished_night.store, allow_candidates=True)
        ranked = {(entry.coin, entry.horizon): entry.regime for entry in hamilton.get_ranking_table()}
        for row, files, frames in published:
            key = result_key(row["coin"], row["horizon"])
            regime = row["regime"]
            _, metadata = hamilton.load_model(row["coin"], row["horizon"])
            answer = hamilton.predict(row["coin"], row["horizon"], row["live_features"])
            assert regime == REGIMES[frames["edges"]["regime"][-1]]
            assert files["manifest.json"]["regime"] == metadata.regime == answer.regime == regime
            assert listed[key]["regime"] == told[row["coin"], row["horizon"], row["recipe_id"]]["regime"] == regime
            assert ranked.get((row["coin"], row["horizon"]), regime) in REGIMES


def test_the_metric_counts_the_members_that_were_trained(finished_night):
    (told,) = finished_night.named("pairs_trained")
    assert told["pairs"] == finished_night.result["summary"]["coins_processed"]
    assert told["pairs"] < finished_night.named("universe_built")[0]["members"]
