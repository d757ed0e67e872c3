"""One workdir through several nights: rehearsed, real, repeated, step by step, a day later, after missed nights."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from nights import (
    accounted,
    in_this_process,
    later,
    ledger_rows,
    night_settings,
    run_pipeline,
    small_world,
    tree_hashes,
    trust_variables,
    variables,
)

from huracan.adapters.ledger import SqliteLedger
from huracan.adapters.telemetry import RecordingTelemetry
from huracan.app import TrainingPipeline, TrainingPipelineConfig
from huracan.hamilton import HamiltonInterface
from huracan.worlds.exchange import ReplayExchange

pytestmark = pytest.mark.slow


def judged(ledger):
    with SqliteLedger(ledger) as opened:
        return opened.load_state()


async def step_by_step(config):
    """The nine public steps one by one."""
    telemetry = RecordingTelemetry()
    pipeline = TrainingPipeline(config, telemetry=telemetry)
    night = await pipeline.step1_build_coin_universe()
    night = await pipeline.step2_ingest_and_validate_data(night)
    night = await pipeline.step3_generate_features(night)
    night = await pipeline.step4_label_forward_returns(night)
    night = await pipeline.step5_train_models(night)
    night = await pipeline.step6_score_edge_after_costs(night)
    night = await pipeline.step7_run_consensus(night)
    promoted = await pipeline.step8_shadow_test_challengers(night)
    return await pipeline.step9_export_champions(promoted), telemetry


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    """Everything that happened, in order; each test looks at one part of it."""
    folder = tmp_path_factory.mktemp("row")
    workdir, seen = folder / "workdir", SimpleNamespace(folder=folder)
    world = small_world()
    with in_this_process():
        with ReplayExchange(world, stress_file=folder / "stress.json") as exchange:
            real = night_settings(exchange.urls)
            seen.rehearsal, seen.rehearsal_told = run_pipeline(
                folder, night_settings(exchange.urls, training__dry_run=True)
            )
            seen.store_after_rehearsal = sorted(p for p in (workdir / "store").rglob("*") if p.is_file())
            seen.keys_after_rehearsal = (folder / "keys").exists()
            seen.ledger_after_rehearsal = ledger_rows(workdir / "ledger.sqlite")
            seen.first, seen.first_told = run_pipeline(folder, real)
            seen.models, seen.rows = tree_hashes(workdir / "store" / "models"), ledger_rows(workdir / "ledger.sqlite")
            seen.again, seen.again_told = run_pipeline(folder, real)
            seen.models_again = tree_hashes(workdir / "store" / "models")
            seen.rows_again = ledger_rows(workdir / "ledger.sqlite")
            with variables(trust_variables(folder)):
                config = TrainingPipelineConfig.from_settings(real, workdir=workdir)
                seen.stepped, seen.stepped_told = asyncio.run(step_by_step(config))
            seen.models_stepped = tree_hashes(workdir / "store" / "models")
        with ReplayExchange(later(world, 2), stress_file=folder / "stress.json") as exchange:
            seen.before = judged(workdir / "ledger.sqlite")
            seen.later, seen.later_told = run_pipeline(folder, night_settings(exchange.urls))
            seen.after = judged(workdir / "ledger.sqlite")
            seen.past, _ = run_pipeline(folder, night_settings(exchange.urls), as_of="2026-03-20T00:00:00Z")
            seen.future, _ = run_pipeline(folder, night_settings(exchange.urls), as_of="2027-03-20T00:00:00Z")
            seen.models_after_past = tree_hashes(workdir / "store" / "models")
        with variables(trust_variables(folder)):
            hamilton = HamiltonInterface(model_base_path=workdir / "store")
            seen.served = {(m.coin, m.horizon): m.version for m in hamilton.get_members() if m.status == "champion"}
    return seen


# A rehearsal


def test_a_dry_run_writes_no_model_no_metadata_no_key_and_no_verdict(nights):
    assert [path.name for path in nights.store_after_rehearsal] == [".lock"]
    assert not nights.keys_after_rehearsal
    assert not any(nights.ledger_after_rehearsal.values())
    assert nights.rehearsal_told.named("set_published") == []


def test_a_dry_run_finds_exactly_what_the_real_run_finds(nights):
    dry, real = nights.rehearsal["summary"], nights.first["summary"]
    for name in (
        "evidence",
        "skipped",
        "skip_counts",
        "champions_count",
        "candidates_count",
        "coins_processed",
        "pools",
    ):
        assert dry[name] == real[name], name
    assert set(nights.rehearsal["champions"]) == set(nights.first["champions"]) != set()
    for key, row in nights.first["champions"].items():
        rehearsed = nights.rehearsal["champions"][key]
        assert rehearsed["model"] == row["model"]
        assert (rehearsed["live"], rehearsed["metrics"], rehearsed["costs"]) == (
            row["live"],
            row["metrics"],
            row["costs"],
        )
        assert rehearsed["version"] is None
    assert dry["dry_run"] is True
    assert real["dry_run"] is False


@pytest.mark.parametrize("name", ["rehearsal", "first", "again", "later"])
def test_counts_of_every_night_add_up(nights, name):
    result = getattr(nights, name)
    assert result["success"], result.get("error")
    accounted(result)
    assert getattr(nights, f"{name}_told").at_level("warning", "error") == []


# The same data again


def test_a_second_run_on_the_same_data_takes_every_cell_from_the_cache(nights):
    cache = nights.again["summary"]["cache"]
    assert cache["hits"] == cache["total"] > 0


def test_a_second_run_on_the_same_data_keeps_every_bundle_byte_for_byte(nights):
    assert nights.models_again == nights.models != {}
    assert {row["version"] for row in nights.again["champions"].values()} == {1}
    assert set(nights.again["champions"]) == set(nights.first["champions"])


def test_a_second_run_on_the_same_data_adds_nothing_to_the_ledger(nights):
    assert nights.rows_again == nights.rows
    assert any(nights.rows.values())


# Step by step


def test_the_public_steps_one_by_one_give_what_run_gives(nights):
    assert set(nights.stepped.champions) == set(nights.first["champions"])
    for key, row in nights.stepped.champions.items():
        assert row.model == nights.first["champions"][key]["model"]
        assert row.version == 1
    assert nights.models_stepped == nights.models
    assert nights.stepped_told.at_level("warning", "error") == []


def test_a_step_before_the_first_says_which_one_is_missing(tmp_path):
    pipeline = TrainingPipeline(TrainingPipelineConfig(workdir=tmp_path))
    with pytest.raises(RuntimeError, match="step1_build_coin_universe first"):
        asyncio.run(pipeline.step2_ingest_and_validate_data(None))


# Days go by


def test_missed_nights_are_caught_up_one_day_at_a_time(nights):
    assert nights.after.evaluated_day == nights.before.evaluated_day + 2
    old, new = (set(map(repr, state.champions)) for state in (nights.before, nights.after))
    assert old <= new
    kept = ledger_rows(nights.folder / "workdir" / "ledger.sqlite")
    assert all(set(rows) <= set(kept[name]) for name, rows in nights.rows.items())
    added = {row[:2] for row in set(kept["lineage_rows"]) - set(nights.rows["lineage_rows"])}
    latest = {lineage: day for lineage, day, *_ in nights.rows["lineage_rows"]}
    assert len(added) >= 2
    assert all(day > latest[lineage] for lineage, day in added if lineage in latest)


def test_new_data_refresh_champions_in_a_new_version_and_never_change_an_old_one(nights):
    assert nights.later["champions"]
    now = tree_hashes(nights.folder / "workdir" / "store" / "models")
    assert all(now[path] == digest for path, digest in nights.models.items())
    for key, row in nights.later["champions"].items():
        if key in nights.first["champions"]:
            assert (row["version"], row["status"]) == (2, "refreshed")
            assert row["model"] != nights.first["champions"][key]["model"]


def test_hamilton_serves_the_newest_version_of_each_champion(nights):
    wanted = {(row["coin"], row["horizon"]): row["version"] for row in nights.later["champions"].values()}
    assert nights.served == wanted


def test_every_night_keeps_what_the_exchange_said_and_none_looks_into_the_future(nights):
    kept = sorted(int(path.stem) for path in (nights.folder / "workdir" / "snapshots").iterdir())
    assert len(kept) == 2  # one of each moment at which the exchange was asked; none of the night in the past
    assert nights.first["summary"]["universe_source"] == "asked"
    assert (nights.future["success"], nights.future["code"]) == (False, "CONFIG")
    assert "lies in the future" in nights.future["error"]


def test_a_night_in_the_past_is_refused_by_the_ledger_and_changes_no_champion(nights):
    assert (nights.past["success"], nights.past["code"]) == (False, "LEDGER")
    assert nights.models_after_past == tree_hashes(nights.folder / "workdir" / "store" / "models")


def test_every_run_left_its_own_summary_and_the_ledger_names_them_all(nights):
    finished = [nights.rehearsal, nights.first, nights.again, nights.later]
    ids = {*(result["run_id"] for result in finished), nights.stepped.night.run_id}
    on_disk = [json.loads(path.read_bytes())["run_id"] for path in (nights.folder / "workdir" / "summaries").iterdir()]
    assert len(ids) == 5
    assert set(on_disk) == ids
    with SqliteLedger(nights.folder / "workdir" / "ledger.sqlite") as ledger:
        runs = {run.run_id: run for run in ledger.runs()}
    assert {runs[run_id].status for run_id in ids} == {"finished"}


def test_the_reports_of_a_dry_run_lie_in_the_workdir_alone(nights):
    assert Path(nights.rehearsal["report"]).is_file()
    stored = [
        json.loads(path.read_bytes())["dry_run"]
        for path in (nights.folder / "workdir" / "store" / "summaries").iterdir()
    ]
    assert set(stored) == {False}
