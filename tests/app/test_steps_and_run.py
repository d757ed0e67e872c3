"""Nine steps called one by one are the night that `run` makes: the same folders, ledger, summary, reports and result."""

import json
import re
import shutil
import socket
import sqlite3
from collections import Counter
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from nights import (
    accounted,
    in_this_process,
    later,
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
from huracan.app.wiring import SystemClock
from huracan.errors import HuracanError, IncompleteError
from huracan.night import bundles, publish
from huracan.night.state import Night
from huracan.worlds.exchange import ReplayExchange
from huracan.worlds.faults import Fault

pytestmark = pytest.mark.slow

RANDOM = re.compile(r"part-[0-9a-f-]{36}")
"""Names that the lake's tables give their files."""
SPENT = re.compile(rb"[^>\"]* on \d+ workers?[^<\"]*")
"""What the night cost, as summaries and pages tell it."""
WITH_TIMES = ("exchange.sqlite", "ledger.sqlite", "lake/", "progress.json")
"""What tells in its bytes when and how it came about."""


async def one_by_one(pipeline):
    """The night as the documentation tells it."""
    async with pipeline:
        universe = await pipeline.step1_build_coin_universe()
        ingested = await pipeline.step2_ingest_and_validate_data(universe)
        featured = await pipeline.step3_generate_features(ingested)
        labelled = await pipeline.step4_label_forward_returns(featured)
        trained = await pipeline.step5_train_models(labelled)
        scored = await pipeline.step6_score_edge_after_costs(trained)
        agreed = await pipeline.step7_run_consensus(scored)
        promoted = await pipeline.step8_shadow_test_challengers(agreed)
        exported = await pipeline.step9_export_champions(promoted)
    assert pipeline.result["champions"].keys() == exported.champions.keys()
    return pipeline.result


async def at_once(pipeline):
    return await pipeline.run()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def damaged(path):
    """A file is torn for a while."""
    before = path.read_bytes()
    path.write_bytes(b"torn")
    try:
        yield
    finally:
        path.write_bytes(before)


def world(days=0):
    """Three coins with a strong planted edge beside the odd ones, some days on."""
    return later(small_world(coins=3), days)


@pytest.fixture(scope="module")
def first_night(tmp_path_factory):
    """A night that promoted, to go on from."""
    folder = tmp_path_factory.mktemp("first")
    with ReplayExchange(world(), stress_file=folder / "stress.json") as exchange, in_this_process():
        result, _ = run_pipeline(folder, night_settings(exchange.urls))
    assert len(result["champions"]) == 2
    return folder


@pytest.fixture
def one_clock(monkeypatch):
    """This machine's clock stands, so that run ids and signatures are the same both ways."""
    now_ms = world(1).now_ms
    monkeypatch.setattr(SystemClock, "now_ms", lambda _clock: now_ms)


@pytest.fixture
def next_night(first_night, tmp_path):
    """The night after the first, by either way: each goes on in the same place, and is put aside under its name."""

    async def made(name, way, **serving):
        folder, told = tmp_path / "night", RecordingTelemetry()
        shutil.copytree(first_night, folder)
        with (
            ReplayExchange(world(1), stress_file=folder / "stress.json", port=port, **serving) as exchange,
            in_this_process(),
            variables(trust_variables(folder)),
        ):
            config = TrainingPipelineConfig.from_settings(night_settings(exchange.urls), workdir=folder / "workdir")
            pipeline = TrainingPipeline(config, telemetry=told)
            try:
                result = await way(pipeline)
            except HuracanError as error:
                result = error
        folder.rename(tmp_path / name)
        return Left(folder=tmp_path / name, result=result, told=told)

    port = free_port()
    return made


@dataclass(frozen=True, kw_only=True)
class Left:
    """What a night leaves: folders, the result or the error of its last step, and what it told."""

    folder: Path
    result: Any
    told: RecordingTelemetry

    @cached_property
    def ledger(self):
        """All rows of all tables."""
        file = self.folder / "workdir" / "ledger.sqlite"
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {name: sorted(map(repr, connection.execute(f"SELECT * FROM {name}"))) for name in names}

    @cached_property
    def run(self):
        """The ledger's word on the run."""
        with SqliteLedger(self.folder / "workdir" / "ledger.sqlite", read_only=True) as ledger:
            (run,) = [run for run in ledger.runs() if run.run_id == self.progress["run_id"]]
            return run

    @cached_property
    def files(self):
        """Contents of all files of the workdir by name, without what another run of the same night has otherwise."""
        workdir = self.folder / "workdir"
        found = {}
        for path in sorted(path for path in workdir.rglob("*") if path.is_file()):
            name = RANDOM.sub("part", path.relative_to(workdir).as_posix())
            told = b"" if name.startswith(WITH_TIMES) else path.read_bytes()
            found[name] = SPENT.sub(b"", told) if path.suffix in {".json", ".html"} else told
        return found

    @property
    def progress(self):
        """The last word of the account that is followed while a night runs."""
        told = json.loads((self.folder / "workdir" / "progress.json").read_bytes())
        return {name: told[name] for name in ("state", "code", "error", "run_id", "members", "pairs")}

    @property
    def events(self):
        """How often each event was told; a slow machine tries jobs again."""
        return Counter(name for name, _ in self.told.events if not name.startswith("job_"))

    @cached_property
    def models(self):
        return tree_hashes(self.folder / "workdir" / "store" / "models")


def same(one, other):
    """Assert that two nights left the same."""
    assert one.files.keys() == other.files.keys()
    assert [name for name, told in one.files.items() if told != other.files[name]] == []
    assert one.ledger == other.ledger
    assert one.progress == other.progress
    assert one.events == other.events


def without_times(result):
    return SPENT.sub(b"", json.dumps({**result, "duration_seconds": 0}, default=repr).encode())


async def test_what_is_left_of_a_night_is_the_same_both_ways(next_night, one_clock):
    steps, whole = await next_night("steps", one_by_one), await next_night("whole", at_once)
    same(steps, whole)
    assert without_times(steps.result) == without_times(whole.result)
    assert steps.result["success"]
    assert {row["status"] for row in steps.result["champions"].values()} == {"refreshed"}
    accounted(steps.result)
    assert steps.run.status == "finished"
    assert steps.run.summary["champions_count"] == 2
    assert Path(whole.result["report"]).name == "index.html"
    assert steps.told.named("run_finished")
    assert steps.progress["state"] == "finished"


async def test_a_model_that_cannot_be_read_stays_accounted_both_ways(next_night, first_night, one_clock, monkeypatch):
    """Yesterday's champion of the coin is damaged too, so it is neither served nor forgotten."""

    def torn(store, rules, night, item):
        with monkeypatch.context() as patched:
            if item.coin == "ALFA":
                patched.setattr(bundles, "cell_model", lambda *_: b"torn")
            return assemble(store, rules, night, item)

    assemble = publish.assemble
    monkeypatch.setattr(publish, "assemble", torn)
    with damaged(first_night / "workdir" / "store" / "models" / "ALFA" / "1h" / "v1" / "model.safetensors"):
        steps, whole = await next_night("steps", one_by_one), await next_night("whole", at_once)
    same(steps, whole)
    for night in (steps, whole):
        accounted(night.result)
        assert list(night.result["champions"]) == ["BRAVO_1h"]
        (skip,) = [skip for skip in night.result["skipped"] if skip["coin"] == "ALFA"]
        assert (skip["step"], skip["code"]) == (9, "EXPORT_FAILED")
        assert {row["code"] for row in night.result["summary"]["errors"]} == {"EXPORT_FAILED"}
        assert night.run.status == "finished"


async def test_accounts_that_do_not_add_up_refuse_the_night_both_ways(next_night, first_night, one_clock, monkeypatch):
    monkeypatch.setattr(Night, "failing", lambda night, *_: night)
    lost = {"faults": lambda path: Fault(status=403) if "ALFAUSDT" in path and "klines" in path else None}
    steps, whole = await next_night("steps", one_by_one, **lost), await next_night("whole", at_once, **lost)
    same(steps, whole)
    assert isinstance(steps.result, IncompleteError)
    assert whole.result["error"] == f"INCOMPLETE: {steps.result}"
    assert steps.run.status == "refused"
    assert steps.models == tree_hashes(first_night / "workdir" / "store" / "models")
    assert [row["code"] for row in steps.told.named("run_refused")] == ["INCOMPLETE"]
    assert Path(whole.result["report"]).parent.name == steps.run.run_id


@pytest.mark.parametrize(("steps", "where"), [(1, "after step 1 (universe)"), (2, "after step 2 (ingest)")])
async def test_a_night_that_is_left_says_after_which_step(next_night, steps, where):
    async def leave(pipeline):
        night = await pipeline.step1_build_coin_universe()
        if steps == 2:
            await pipeline.step2_ingest_and_validate_data(night)
        await pipeline.aclose()
        assert pipeline.result is None

    night = await next_night("left", leave)
    left = f"left {where}; start again to go on"
    assert (night.run.status, night.run.summary) == ("interrupted", {"reason": left})
    told = night.progress
    assert (told["state"], told["code"], told["error"]) == ("interrupted", "INTERRUPTED", left)
    assert [row["advice"] for row in night.told.named("run_interrupted")] == [left]
    assert not night.told.named("run_finished")
    assert len(list((night.folder / "workdir" / "summaries").iterdir())) == 1


async def test_a_night_that_is_left_has_no_word_on_one_that_ran_since(next_night):
    async def overtaken(pipeline):
        await pipeline.step1_build_coin_universe()
        result = await TrainingPipeline(pipeline.config, telemetry=RecordingTelemetry()).run()
        await pipeline.aclose()
        return result

    night = await next_night("overtaken", overtaken)
    assert night.result["success"], night.result.get("error")
    told = night.progress
    assert (told["state"], told["run_id"]) == ("finished", night.result["run_id"])
