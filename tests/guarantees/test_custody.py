"""The chain from the archive's checksum to the signed bundle (docs/custody.md): each link broken in turn, and who notices."""

import asyncio
import json
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from altered import flipped
from buckets import s3_apart, s3_apart_process
from invariants import served
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
from remotes import make_bucket, s3_variables

from huracan.adapters.artefacts import open_artefacts
from huracan.adapters.keys import load_keys
from huracan.adapters.publishers.folder import FolderStore
from huracan.adapters.publishers.trees import existing_tree
from huracan.adapters.telemetry import RecordingTelemetry
from huracan.app import TrainingPipeline, TrainingPipelineConfig
from huracan.domain.codec import from_bytes
from huracan.domain.ids import sha256_hex
from huracan.domain.night_records import PrepareRecord, TrainRecord
from huracan.errors import ModelLoadError
from huracan.hamilton.source import FolderSource
from huracan.worlds.exchange import ReplayExchange
from huracan.worlds.faults import FaultPlan, FaultRule

__all__ = ["s3_apart", "s3_apart_process"]

pytestmark = pytest.mark.slow

SIZES = {
    "training__base_interval": "1h",
    "training__lookback_days": 34,
    "training__min_history_days": 38,
    "training__quote_assets": "USDT",
}
HOW = ("flipped bit", "replaced file", "older copy", "empty file")


def broken(how, key, now, older, rng):
    """What is put in a file's place: never its own bytes. `now` and `older` are files of its kind, tonight and the night before."""
    data = now[key]
    if how == "flipped bit":
        return flipped(data, rng)
    if how == "empty file":
        return b""
    source = now if how == "replaced file" and len(now) > 1 else older
    return rng.choice([of for _, of in sorted(source.items()) if of != data])


class Chain:
    """Two nights in one place, and the second one again after whatever was done to it."""

    def __init__(self, folder, world, bucket=None):
        self.folder, self.workdir = folder, folder / "workdir"
        self.places = {name: f"{bucket or self.workdir}/{name}" for name in ("lake", "artefacts")}
        self.changes = {f"storage__{name}_url": place for name, place in self.places.items()} if bucket else {}
        with ReplayExchange(later(world, -1), stress_file=folder / "stress.json") as exchange:
            assert self.run(exchange)[0]["success"]
        self.before = {name: self.contents(name) for name in ("lake", "artefacts", "store")}
        self.older_ledger = (self.workdir / "ledger.sqlite").read_bytes()
        self.exchange = ReplayExchange(world, stress_file=folder / "stress.json").__enter__()
        result, _ = self.run()
        assert result["success"], result.get("error")
        self.bundles, self.evidence = self.published(), ledger_rows(self.workdir / "ledger.sqlite")
        assert self.bundles

    def run(self, exchange=None):
        with in_this_process():
            return run_pipeline(self.folder, night_settings((exchange or self.exchange).urls, **SIZES, **self.changes))

    def close(self):
        self.exchange.__exit__(None, None, None)

    def store(self, name):
        return open_artefacts(self.places.get(name, str(self.workdir / name)), allow_http=True)

    def contents(self, name):
        store = self.store(name)
        return {key: store.get(key) for key in store.list("") if ".lock" not in key}

    def files(self, name, wanted):
        """Files of a link: those that tonight's run reads, and those of the night before."""
        found = {key: data for key, data in self.contents(name).items() if wanted(key)}
        older = {key: data for key, data in self.before[name].items() if wanted(key)}
        tonight = {key: data for key, data in found.items() if name != "artefacts" or key not in older}
        assert tonight
        assert older
        return tonight, older

    def published(self):
        return tree_hashes(self.workdir / "store" / "models")

    def root(self):
        return (self.folder / "trust" / "root.json").read_bytes()


@pytest.fixture(scope="module")
def world():
    return small_world(name="null", coins=3, days=46, interval_minutes=60)


@pytest.fixture(scope="module")
def here(tmp_path_factory, world):
    chain = Chain(tmp_path_factory.mktemp("chain"), world)
    yield chain
    chain.close()


@pytest.fixture(scope="module")
def there(tmp_path_factory, world, s3_apart):
    """The same with lake and artefacts on an S3 server."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3_variables(s3_apart).items():
            patch.setenv(name, value)
        make_bucket(s3_apart, "custody")
        chain = Chain(tmp_path_factory.mktemp("bucket"), world, "s3://custody/some/prefix")
        yield chain
        chain.close()


def of_bars(key):
    return key.startswith("1h/bars/")


MENDED = (
    {
        "file of the lake": ("lake", lambda key: of_bars(key) and key.endswith(".parquet")),
        "features": ("artefacts", lambda key: key.endswith("features.parquet")),
        "model": ("artefacts", lambda key: key.endswith("model.safetensors")),
        "prior": ("artefacts", lambda key: key.startswith("prior/")),
    },
    {
        "log of the lake": ("lake", lambda key: of_bars(key) and "_delta_log/" in key and key.endswith("json")),
        "context": ("artefacts", lambda key: key.endswith("context.parquet")),
        "record": ("artefacts", lambda key: key.startswith("train/") and key.endswith("result.json")),
    },
)
"""Links whose files the night makes again; those of one group are broken in one night."""


@pytest.mark.guarantee("R22", "R23")
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("place", ["folder", "bucket"])
def test_a_link_that_breaks_in_the_lake_or_the_artefacts_is_noticed_counted_and_mended(place, how, request, counted):
    chain, rng = request.getfixturevalue("here" if place == "folder" else "there"), random.Random(how)
    for group in MENDED:
        keys = {}
        for what, (name, wanted) in group.items():
            now, older = chain.files(name, wanted)
            keys[what] = rng.choice(sorted(now)) if what != "log of the lake" else max(now)
            chain.store(name).replace(keys[what], broken(how, keys[what], now, older, rng))
        result, told = chain.run()
        assert result["success"], (how, group, result.get("error"))
        assert result["summary"]["lake"]["set_aside_count"] >= 1, keys
        mismatched = {event["key"] for event in told.named("artefact_mismatched")}
        assert {key for what, key in keys.items() if group[what][0] == "artefacts"} <= mismatched
        assert result["summary"]["artefacts"]["mismatched"] >= len(group) - 1
        assert chain.published() == chain.bundles, f"{how}: something else was signed"
        assert ledger_rows(chain.workdir / "ledger.sqlite") == chain.evidence
        counted(len(group))


@pytest.mark.guarantee("R24")
@pytest.mark.parametrize("how", HOW)
def test_a_broken_ledger_is_refused_before_anything_is_signed(here, how, tmp_path, counted):
    ledger = here.workdir / "ledger.sqlite"
    kept = shutil.copy(ledger, tmp_path / "kept.sqlite")
    broken, codes = {
        "flipped bit": (with_a_flipped_head(here), {"LEDGER", "LEDGER_BEHIND"}),
        "replaced file": (another_ledger(tmp_path), {"LEDGER_BEHIND"}),
        "older copy": (here.older_ledger, {"LEDGER_BEHIND"}),
        "empty file": (b"", {"LEDGER_BEHIND"}),
    }[how]
    ledger.write_bytes(broken)
    try:
        result, _ = here.run()
        assert (result["success"], result["code"] in codes) == (False, True), result["error"]
        assert result["exception"].exit_status == 3
        assert here.published() == here.bundles
    finally:
        shutil.copy(kept, ledger)
    assert here.run()[0]["success"]
    counted()


@pytest.mark.guarantee("R24")
@pytest.mark.parametrize("table", ["records", "artefacts"])
def test_a_record_s_hash_that_was_edited_is_refused_before_anything_is_signed(here, table, tmp_path, counted):
    ledger = here.workdir / "ledger.sqlite"
    kept = shutil.copy(ledger, tmp_path / "kept.sqlite")
    key, sha256 = next(iter(sorted(entered(ledger).items())))
    statement = {
        "records": "UPDATE records SET body = replace(body, :old, :new)",
        "artefacts": "UPDATE artefacts SET sha256 = :new WHERE key = :key",
    }[table]
    with closing(sqlite3.connect(ledger)) as connection, connection:
        assert connection.execute(statement, {"old": sha256, "new": "0" * 64, "key": key}).rowcount
    try:
        result, _ = here.run()
        assert (result["success"], result["code"]) == (False, "LEDGER"), result["error"]
        assert here.published() == here.bundles
    finally:
        shutil.copy(kept, ledger)
    assert here.run()[0]["success"]
    counted()


def entered(ledger):
    """Sha256 by key of the records that the newest list in the ledger names."""
    with closing(sqlite3.connect(ledger)) as connection:
        (body,) = connection.execute("SELECT body FROM records ORDER BY number DESC LIMIT 1").fetchone()
    return json.loads(body)


def test_a_signed_set_leads_to_the_hash_of_every_file_that_it_was_made_from(here):
    """Set -> head -> list of records -> record -> files, each by the sha256 that the one before names."""
    with FolderStore(here.workdir / "store") as store:
        named = existing_tree(store, load_keys(here.folder / "keys")).current.ledger
    with closing(sqlite3.connect(here.workdir / "ledger.sqlite")) as connection:
        query = "SELECT hash, json_extract(entries, '$.records') FROM nights WHERE number = ?"
        head, of_list = connection.execute(query, (named.number,)).fetchone()
        (body,) = connection.execute("SELECT body FROM records WHERE number = ?", (named.number,)).fetchone()
    assert (head, sha256_hex(body.encode())) == (named.hash, of_list)
    stored, records = here.contents("artefacts"), json.loads(body)
    assert {key: sha256_hex(stored[key]) for key in records} == records
    trained = [from_bytes(TrainRecord, stored[key]) for key in records if key.startswith("train/")]
    assert trained
    for record in trained:
        files = dict(record.stored())
        assert any(key.endswith("model.safetensors") for key in files)
        assert {key: sha256_hex(stored[key]) for key in files} == files


def with_a_flipped_head(chain):
    """The ledger with one bit of its newest night's hash the other way."""
    head = max(chain.evidence["nights"])[-1].encode()
    data = (chain.workdir / "ledger.sqlite").read_bytes()
    assert head in data
    return data.replace(head, bytes([head[0] ^ 1]) + head[1:])


def another_ledger(tmp_path):
    from huracan.adapters.ledger import SqliteLedger

    with SqliteLedger(tmp_path / "another.sqlite") as ledger:
        ledger.unfreeze("um-A", day=1, note="of another workdir")
        ledger._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return (tmp_path / "another.sqlite").read_bytes()


SIGNED = {
    "pointer": lambda key: key == "metadata/timestamp.json",
    "set": lambda key: key.startswith("sets/"),
    "manifest": lambda key: key.endswith("manifest.json"),
    "model": lambda key: key.endswith(".safetensors"),
}


@pytest.mark.guarantee("H1")
@pytest.mark.parametrize("what", SIGNED)
def test_a_signed_file_that_differs_is_refused_by_its_reader(here, what, counted):
    reader, store, rng = FolderSource(here.workdir / "store"), here.store("store"), random.Random(31)
    now = {key: data for key, data in here.contents("store").items() if SIGNED[what](key)}
    older = {key: data for key, data in here.before["store"].items() if SIGNED[what](key)}
    newest = max(now, key=lambda key: (key not in older, key))
    assert served(reader, here.root())
    for how in HOW:
        if what == "pointer" and how in {"replaced file", "older copy"}:
            continue  # an older pointer was good: only a reader that has seen the newer one can tell (H2)
        store.replace(newest, broken(how, newest, {**older, **now}, older, rng))
        with pytest.raises(ModelLoadError) as refused:
            served(reader, here.root())
        assert refused.value.code in {"BUNDLE_SIGNATURE", "BUNDLE_FORMAT"}
        store.replace(newest, now[newest])
        counted()
    assert served(reader, here.root())


@pytest.mark.guarantee("R9")
def test_an_archive_file_without_its_checksum_s_bytes_is_not_read(tmp_path, world, counted):
    """The first link: the pair whose files differ is skipped by its code, and no row of them is in the lake."""
    faults = FaultPlan([FaultRule(path="BRAVOUSDT-1h", kind="wrong_checksum")])
    with in_this_process(), ReplayExchange(world, stress_file=tmp_path / "stress.json", faults=faults) as exchange:
        result, _ = run_pipeline(tmp_path, night_settings(exchange.urls, **SIZES))
    assert result["success"], result["error"]
    codes = {skip["coin"]: skip["code"] for skip in result["skipped"]}
    assert codes["BRAVO"] == "CHECKSUM"
    counted()


def test_a_message_names_every_file_that_the_driver_signs_from(here):
    """Results travel in messages: no file is signed whose hash the driver was not told."""

    async def trained():
        config = TrainingPipelineConfig.from_settings(night_settings(here.exchange.urls, **SIZES), workdir=here.workdir)
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
        return night

    with in_this_process(), variables(trust_variables(here.folder)):
        night = asyncio.run(trained())
    stored = here.contents("artefacts")
    for _, cell in night.cells():
        below = {key.removeprefix(f"{cell.root}/") for key in stored if key.startswith(f"{cell.root}/")}
        assert below == set(cell.files)
    for coin, record in night.prepared.items():
        assert from_bytes(PrepareRecord, stored[f"{record.key}/result.json"]) == record, coin


def test_the_page_of_the_chain_names_codes_that_exist():
    from invariants import exit_statuses

    page = (Path(__file__).parents[2] / "docs" / "custody.md").read_text()
    words = {word.strip("`.,") for word in page.split() if word.startswith("`")}
    named = {word for word in words if word.isupper() and not word.startswith("HURACAN_")}
    assert {"ALTERED", "LEDGER_BEHIND", "CHECKSUM", "BUNDLE_SIGNATURE"} <= named
    assert named <= set(exit_statuses())
