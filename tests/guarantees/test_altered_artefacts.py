"""Artefacts that somebody else can write to: what is altered there is made again, counted, and never signed."""

import asyncio
import json
import random
from collections import Counter
from functools import partial

import pytest
from altered import flipped, forged, kind_of, record_key, root_of, rounds, with_signs_flipped
from buckets import lake_bucket, s3_apart, s3_apart_process
from nights import (
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
from sizes import size

from huracan.adapters.artefacts import open_artefacts
from huracan.adapters.ledger import SqliteLedger
from huracan.adapters.telemetry import RecordingTelemetry
from huracan.app import TrainingPipeline, TrainingPipelineConfig
from huracan.domain.night_records import ContextRecord, PrepareRecord, TrainRecord
from huracan.night.jobs.artefacts import Artefacts
from huracan.worlds.exchange import ReplayExchange

__all__ = ["lake_bucket", "s3_apart", "s3_apart_process"]

pytestmark = pytest.mark.slow

FLIPS_A_KIND, READS_A_KIND = size(1, 120), size(5, 1_000)
FLIPS_A_RECORD = size(1, 100)  # of each of the three kinds of record
SIZES = {
    "training__base_interval": "1h",
    "training__lookback_days": 34,
    "training__min_history_days": 38,
    "training__quote_assets": "USDT",
}
KINDS = {
    *(
        f"train/{name}.parquet"
        for name in ("panel", "daily", "trades", "path", "forecasts", "edges", "events", "golden")
    ),
    *("train/model.safetensors", "train/result.json", "prepare/features.parquet", "prepare/labels.parquet", "prior"),
    *("prepare/grams.safetensors", "prepare/result.json", "context/context.parquet", "context/result.json"),
}


class Nights:
    """The same night again and again in one workdir, and how the first one ended."""

    def __init__(self, folder, urls, artefacts_url=None):
        changes = {} if artefacts_url is None else {"storage__artefacts_url": artefacts_url}
        self.folder, self.workdir = folder, folder / "workdir"
        self.settings = night_settings(urls, **SIZES, **changes)
        self.store = open_artefacts(artefacts_url or str(self.workdir / "artefacts"), allow_http=True)
        self.first, _ = run_pipeline(folder, self.settings)
        assert self.first["success"], self.first.get("error")
        assert self.first["summary"]["artefacts"]["mismatched"] == 0
        self.signed, self.evidence = self.published(), ledger_rows(self.workdir / "ledger.sqlite")
        self.files = {key: self.store.get(key) for key in self.store.list("")}
        assert {kind_of(key) for key in self.files} == KINDS
        assert self.signed

    def published(self):
        return tree_hashes(self.workdir / "store" / "models")

    def run(self):
        """The night once more, which must end as the first one did; its summary."""
        result, told = run_pipeline(self.folder, self.settings)
        assert result["success"], result.get("error")
        self.check()
        counts = result["summary"]["artefacts"]
        keys = [event["key"] for event in told.named("artefact_mismatched")]
        assert len(keys) == counts["mismatched"] >= 0 < counts["verified"]
        assert any("gone or altered" in note for note in result["summary"]["notes"]) == bool(keys)
        return result["summary"], keys

    def check(self):
        """The same bundles, no new version, the same evidence; and all artefacts as they were."""
        assert self.published() == self.signed
        assert ledger_rows(self.workdir / "ledger.sqlite") == self.evidence
        assert {key: self.store.get(key) for key in self.store.list("")} == self.files

    def records(self, wave):
        """Roots of a wave's records."""
        return [root_of(key) for key in self.files if kind_of(key) == f"{wave}/result.json"]


@pytest.fixture(scope="module")
def urls(tmp_path_factory):
    world = small_world(name="null", coins=4, days=45, interval_minutes=60)
    folder = tmp_path_factory.mktemp("world")
    with in_this_process(), ReplayExchange(world, stress_file=folder / "stress.json") as exchange:
        yield exchange.urls


@pytest.fixture(scope="module")
def here(tmp_path_factory, urls):
    """Nights whose artefacts lie in a folder."""
    return Nights(tmp_path_factory.mktemp("folder"), urls)


@pytest.fixture(params=["folder", "bucket"])
def nights(request, tmp_path, urls):
    """Nights whose artefacts lie in a folder, or on an S3 server."""
    if request.param == "folder":
        return request.getfixturevalue("here")
    return Nights(tmp_path, urls, request.getfixturevalue("lake_bucket"))


@pytest.mark.guarantee("R23")
def test_the_night_after_any_flipped_bit_ends_with_the_clean_bundles_and_counts_it(nights, counted):
    rng = random.Random(23)
    wanted = Counter({kind: FLIPS_A_RECORD if kind.endswith(".json") else FLIPS_A_KIND for kind in KINDS})
    for keys in rounds(nights.files, wanted, rng):
        for key in keys:
            nights.store.replace(key, flipped(nights.files[key], rng))
        _, mismatched = nights.run()
        assert sorted(mismatched) == sorted(keys)
        counted(len(keys))
    assert nights.run()[0]["artefacts"]["mismatched"] == 0


RECORDS = {"context": ContextRecord, "prepare": PrepareRecord, "train": TrainRecord}


@pytest.mark.guarantee("R23")
def test_no_flipped_bit_of_any_kind_of_file_is_ever_read_as_what_a_job_wrote(here, counted):
    rng = random.Random(24)
    with SqliteLedger(here.workdir / "ledger.sqlite") as ledger:
        for kind in sorted(KINDS):
            keys = [key for key in here.files if kind_of(key) == kind]
            for _ in range(READS_A_KIND):
                key = rng.choice(keys)
                here.store.replace(key, flipped(here.files[key], rng))
                reader = Artefacts(here.store)
                if kind == "prior":
                    assert not reader.holds(key, ledger.artefact(key))
                else:
                    assert (
                        reader.believed(
                            RECORDS[key.partition("/")[0]], root_of(key), ledger.artefact(record_key(root_of(key)))
                        )
                        is None
                    )
                assert reader.mismatched == [key]
                here.store.replace(key, here.files[key])
            counted(READS_A_KIND)
    here.check()


def with_opposite_models(nights):
    """Every model with its signs flipped, in the record of before."""
    return {
        key: with_signs_flipped(data) for key, data in nights.files.items() if kind_of(key) == "train/model.safetensors"
    }


def with_forged_records(nights):
    """The same, and every record names the new model's sha256."""
    files = {**nights.files, **with_opposite_models(nights)}
    for root in nights.records("train"):
        files[record_key(root)] = forged(json.loads(files[record_key(root)]), root, files)
    return files


def of_each_other(wave, nights):
    """The files of two coins (without their records) in each other's place."""
    one, other = nights.records(wave)[:2]
    pairs = {
        **{key: key.replace(one, other) for key in nights.files if root_of(key) == one},
        **{key: key.replace(other, one) for key in nights.files if root_of(key) == other},
    }
    return {key: nights.files[source] for key, source in pairs.items() if not key.endswith(".json")}


def of_each_other_with_records(wave, nights):
    """The same, and the records go along, each with the names of its new place."""
    one, other = nights.records(wave)[:2]
    files = {**nights.files, **of_each_other(wave, nights)}
    for mine, theirs in ((one, other), (other, one)):
        text = nights.files[record_key(theirs)].replace(theirs.encode(), mine.encode())
        files[record_key(mine)] = forged(json.loads(text), mine, files)
    return files


def without_bytes(nights):
    """Every file empty."""
    return dict.fromkeys(nights.files, b"")


ALTERATIONS = {
    "opposite models": with_opposite_models,
    "opposite models with forged records": with_forged_records,
    "two coins' models": partial(of_each_other, "train"),
    "two coins' models with their records": partial(of_each_other_with_records, "train"),
    "two coins' features": partial(of_each_other, "prepare"),
    "two coins' features with their records": partial(of_each_other_with_records, "prepare"),
    "nothing but empty files": without_bytes,
}


@pytest.mark.guarantee("R23")
@pytest.mark.parametrize("what", ALTERATIONS)
def test_what_is_forged_exchanged_or_emptied_is_made_again_and_never_signed(here, what, counted):
    altered = {key: data for key, data in ALTERATIONS[what](here).items() if data != here.files[key]}
    assert altered
    for key, data in altered.items():
        here.store.replace(key, data)
    _, mismatched = here.run()
    assert {root_of(key) for key in mismatched} == {root_of(key) for key in altered}
    counted(len(altered))


@pytest.mark.guarantee("R23")
def test_artefacts_that_are_gone_are_made_again(nights, counted):
    nights.store.delete(nights.files)
    summary, mismatched = nights.run()
    assert set(mismatched) <= set(nights.files)
    assert summary["cache"]["hits"] == 0
    counted(len(nights.files))


@pytest.mark.guarantee("R23")
def test_an_older_copy_of_a_coin_s_files_is_not_taken_for_tonight_s(tmp_path, counted):
    """Whole records of the night before, in the places of tonight's: their hashes are known, but for another key."""
    world = small_world(name="null", coins=4, days=45, interval_minutes=60)
    with in_this_process():
        with ReplayExchange(later(world, -1), stress_file=tmp_path / "stress.json") as exchange:
            before = Nights(tmp_path, exchange.urls)
        with ReplayExchange(world, stress_file=tmp_path / "stress.json") as exchange:
            tonight = Nights.__new__(Nights)
            tonight.folder, tonight.workdir, tonight.store = before.folder, before.workdir, before.store
            tonight.settings = night_settings(exchange.urls, **SIZES)
            run_pipeline(tmp_path, tonight.settings)
            tonight.signed, tonight.evidence = tonight.published(), ledger_rows(tonight.workdir / "ledger.sqlite")
            keys = [key for key in tonight.store.list("") if key not in before.files]
            tonight.files = {key: tonight.store.get(key) for key in keys}
            for wave in ("prepare", "train"):
                old = {coin_of(before, root): root for root in before.records(wave)}
                for root in set(tonight.records(wave)) - set(before.records(wave)):
                    source = old[coin_of(tonight, root)]
                    for key in [key for key in tonight.files if root_of(key) == root]:
                        data = before.files[key.replace(root, source)]
                        tonight.store.replace(key, data.replace(source.encode(), root.encode()))
                    counted()
            _, mismatched = tonight.run()
            assert mismatched


def coin_of(nights, root):
    return json.loads(nights.files[record_key(root)])["coin"]


@pytest.mark.guarantee("R23")
def test_files_altered_while_the_night_runs_are_made_again_before_anything_reads_them(tmp_path, urls, here, counted):
    """After every step all that lies there is altered, in a night that finds nothing in its cache."""
    folder, rng = tmp_path / "running", random.Random(25)
    store = open_artefacts(str(folder / "workdir" / "artefacts"))

    def alter():
        for key in store.list(""):
            store.replace(key, flipped(store.get(key), rng))
            counted()

    async def steps():
        config = TrainingPipelineConfig.from_settings(here.settings, workdir=folder / "workdir")
        pipeline = TrainingPipeline(config, telemetry=RecordingTelemetry())
        night = await pipeline.step1_build_coin_universe()
        for step in (
            pipeline.step2_ingest_and_validate_data,
            pipeline.step3_generate_features,
            pipeline.step4_label_forward_returns,
            pipeline.step5_train_models,
            pipeline.step8_shadow_test_challengers,
        ):
            night = await step(night)
            alter()
        artefacts = pipeline._open.pair_ports.artefacts
        exported = await pipeline.step9_export_champions(night)
        return exported, artefacts

    with variables(trust_variables(folder)):
        exported, artefacts = asyncio.run(steps())
    assert tree_hashes(folder / "workdir" / "store" / "models") == here.signed
    assert ledger_rows(folder / "workdir" / "ledger.sqlite") == here.evidence
    assert len(artefacts.mismatched) >= 5
    assert not exported.night.errors


def test_a_night_that_ended_before_it_published_goes_on_from_all_its_finished_jobs(tmp_path, here):
    folder = tmp_path / "resumed"

    async def most():
        config = TrainingPipelineConfig.from_settings(here.settings, workdir=folder / "workdir")
        pipeline = TrainingPipeline(config, telemetry=RecordingTelemetry())
        night = await pipeline.step1_build_coin_universe()
        for step in (
            pipeline.step2_ingest_and_validate_data,
            pipeline.step3_generate_features,
            pipeline.step4_label_forward_returns,
            pipeline.step5_train_models,
        ):
            night = await step(night)
        await pipeline.aclose()

    with variables(trust_variables(folder)):
        asyncio.run(most())
    result, _ = run_pipeline(folder, here.settings)
    cache = result["summary"]["cache"]
    assert cache["hits"] == cache["total"] > 0
    assert tree_hashes(folder / "workdir" / "store" / "models") == here.signed


def test_artefacts_that_no_ledger_knows_are_made_again(here, tmp_path):
    """A ledger that was lost, or is of a release without hashes: nothing is believed because it lies there."""
    before = dict(here.files)
    with SqliteLedger(here.workdir / "ledger.sqlite") as ledger:
        ledger._connection.execute("DROP TABLE artefacts")
    summary, mismatched = here.run()
    assert (summary["cache"]["hits"], mismatched) == (0, [])
    assert here.files == before
    assert here.run()[0]["cache"]["hits"] > 0
