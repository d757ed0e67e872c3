"""Whole nights that lose a champion at the last step, demote a recipe, or lose count: what is served, told and blocked."""

import json
import shutil
from dataclasses import replace

import pytest
from nights import (
    accounted,
    in_this_process,
    later,
    night_settings,
    small_world,
    tree_hashes,
    trust_variables,
    variables,
)

from huracan.adapters.ledger import SqliteLedger
from huracan.adapters.telemetry import RecordingTelemetry
from huracan.app import TrainingPipeline, TrainingPipelineConfig
from huracan.cli.explain import explain_coin
from huracan.errors import BundleFormatError
from huracan.hamilton import HamiltonInterface
from huracan.night import publish as publication
from huracan.night.bundles import assemble as assemble_bundle
from huracan.night.state import Night
from huracan.promotion import NOTHING, NightContext, evaluate_night
from huracan.promotion.evaluation import open_evaluation
from huracan.worlds.exchange import ReplayExchange
from huracan.worlds.faults import Fault

pytestmark = pytest.mark.slow


@pytest.fixture
def yesterday(finished_night, tmp_path):
    """A copy of the shared night, all of whose champions follow one recipe, to go on from the next day."""
    folder = tmp_path / "night"
    shutil.copytree(finished_night.folder, folder)
    assert {"ALFA_1h", "BRAVO_1h", "DELTA_1h"} <= set(finished_night.result["champions"])
    return folder


@pytest.fixture
def unwritable(monkeypatch):
    """Bundles of two coins have no form that could be signed."""

    def assemble(store, rules, night, item):
        if item.coin in {"ALFA", "BRAVO"}:
            raise BundleFormatError("model.safetensors: a weight is not finite")
        return assemble_bundle(store, rules, night, item)

    monkeypatch.setattr(publication, "assemble", assemble)


def lost(path):
    """ALFA's bars cannot be fetched: a reason that says nothing about its edge."""
    return Fault(status=403) if "ALFAUSDT" in path and ("klines" in path or "data/" in path) else None


async def next_night(folder, telemetry=None, **serving):
    told = telemetry or RecordingTelemetry()
    with (
        ReplayExchange(later(small_world(), 1), stress_file=folder / "stress.json", **serving) as exchange,
        in_this_process(),
        variables(trust_variables(folder)),
    ):
        settings = night_settings(exchange.urls)
        config = TrainingPipelineConfig.from_settings(settings, workdir=folder / "workdir")
        return await TrainingPipeline(config, telemetry=told).run()


def hamilton(folder):
    return HamiltonInterface(
        folder / "workdir" / "store", trusted_root=folder / "trust" / "root.json", state_dir=folder / "state"
    )


def skip_of(result, coin):
    (skip,) = [skip for skip in result["skipped"] if skip["coin"] == coin]
    return skip


async def test_a_bundle_that_cannot_be_assembled_costs_no_coin_its_place_in_silence(yesterday, unwritable, capsys):
    """ALFA keeps yesterday's champion; BRAVO's of yesterday is damaged too, so it is blocked."""
    (yesterday / "workdir" / "store" / "models" / "BRAVO" / "1h" / "v1" / "model.safetensors").write_bytes(b"torn")
    result = await next_night(yesterday)
    assert result["success"], result.get("error")
    accounted(result)
    errors = {(row["coin"], row["code"]) for row in result["summary"]["errors"]}
    assert {("ALFA", "EXPORT_FAILED"), ("BRAVO", "EXPORT_FAILED")} <= errors
    alfa = result["champions"]["ALFA_1h"]
    assert (alfa["version"], alfa["status"]) == (1, "kept")
    assert "EXPORT_FAILED" not in alfa["reason"]
    assert "model.safetensors" in alfa["reason"]
    assert (result["champions"]["DELTA_1h"]["version"], result["champions"]["DELTA_1h"]["status"]) == (2, "refreshed")
    skip = skip_of(result, "BRAVO")
    assert (skip["step"], skip["code"]) == (9, "EXPORT_FAILED")
    assert result["export_results"]["BRAVO_1h"] == {"success": False, "error": f"EXPORT_FAILED: {skip['reason']}"}
    assert result["export_results"]["ALFA_1h"] == {"success": True, "coin": "ALFA", "horizon": "1h"}
    door = hamilton(yesterday)
    assert door.load_model("ALFA", "1h")[1].version == 1
    assert not door.is_coin_blocked("ALFA")
    assert "model.safetensors" in door.blocked_reason("BRAVO")
    assert "yesterday's champion is retired: its files in the store" in door.blocked_reason("BRAVO")
    assert explain_coin(yesterday / "workdir", "BRAVO", None, as_json=True) == 0
    (told,) = json.loads(capsys.readouterr().out)["skipped"]
    assert told["reason"] == skip["reason"]


def demote(folder):
    """A verdict that a night recorded before it was lost: nothing is proven any more where `linear` was champion."""
    with SqliteLedger(folder / "workdir" / "ledger.sqlite") as ledger:
        state = ledger.load_state()
        tonight = NightContext(day=state.evaluated_day, stress_table={})
        evaluation = open_evaluation(state, [], tonight)
        for place in list(evaluation.incumbents):
            evaluation.change_champion(
                place, tonight.day, NOTHING, lineage_id=None, reason="demoted", detail="detector at 1200, alarm at 1000"
            )
        ledger.append_verdict(replace(evaluate_night(state, [], tonight), events=tuple(evaluation.changes)))


async def test_a_champion_of_a_demoted_recipe_goes_although_its_coin_could_not_be_read(yesterday):
    demote(yesterday)
    result = await next_night(yesterday, faults=lost)
    assert result["success"], result.get("error")
    accounted(result)
    assert result["champions"] == {}
    skip = skip_of(result, "ALFA")
    assert skip["code"] == "UPSTREAM"
    assert "yesterday's champion is retired: um-" in skip["reason"]
    assert "follows no recipe tonight" in skip["reason"]
    door = hamilton(yesterday)
    assert door.blocked_reason("ALFA") == f"UPSTREAM: {skip['reason']}"
    assert [member for member in door.get_members() if member.status == "champion"] == []


async def test_a_night_that_loses_a_coin_publishes_nothing(yesterday, monkeypatch):
    """A path that forgets to say why: jobs that fail leave no skip."""
    monkeypatch.setattr(Night, "failing", lambda night, coin, failed, step: night)
    store = yesterday / "workdir" / "store"
    before = tree_hashes(store)
    telemetry = RecordingTelemetry()
    result = await next_night(yesterday, telemetry, faults=lost)
    assert (result["success"], result["code"]) == (False, "INCOMPLETE")
    assert "ALFA 1h has neither a champion nor a reason" in result["error"]
    assert "ALFA leaves the set and is not on the do-not-trade list" in result["error"]
    assert tree_hashes(store) == before
    assert [row["code"] for row in telemetry.named("run_refused")] == ["INCOMPLETE"]
    with SqliteLedger(yesterday / "workdir" / "ledger.sqlite") as ledger:
        assert ledger.runs()[-1].status == "refused"
    assert hamilton(yesterday).load_model("ALFA", "1h")[1].version == 1
