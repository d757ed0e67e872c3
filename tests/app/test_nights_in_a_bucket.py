"""A whole night whose lake and artefacts lie in a bucket: the bytes of a local one, and no secret anywhere."""

import json

import pytest
from buckets import SECRET
from nights import accounted, night_settings, run_pipeline, small_world, tree_hashes

from huracan.adapters.artefacts import BucketArtefacts
from huracan.adapters.lake import DeltaLake
from huracan.cli.upkeep import show_coverage, tidy_lake
from huracan.training.jobs import compute_code_hash
from huracan.worlds.exchange import ReplayExchange

SIZES = {"training__base_interval": "1h", "training__lookback_days": 34, "training__num_workers": 2}


@pytest.fixture(scope="module")
def urls(tmp_path_factory):
    world = small_world(name="null", coins=3, days=45, interval_minutes=60)
    with ReplayExchange(world, stress_file=tmp_path_factory.mktemp("world") / "stress.json") as exchange:
        yield exchange.urls


@pytest.mark.slow
def test_a_night_in_a_bucket_has_the_bytes_of_a_local_one_and_tells_no_secret(urls, tmp_path, lake_bucket, capfd):
    sources = compute_code_hash.__wrapped__()
    places = {"storage__lake_url": f"{lake_bucket}/lake", "storage__artefacts_url": f"{lake_bucket}/artefacts"}
    bundles = {}
    for where, storage in (("folder", {}), ("bucket", places)):
        result, telemetry = run_pipeline(tmp_path / where, night_settings(urls, **SIZES, **storage))
        assert result["success"], result["error"]
        accounted(result)
        bundles[where] = tree_hashes(tmp_path / where / "workdir" / "store" / "models")
        assert SECRET not in repr(result) + repr(telemetry.__dict__)
    if compute_code_hash.__wrapped__() != sources:
        pytest.skip("somebody edits src/ while this runs: another code hash in every manifest")
    assert bundles["folder"] == bundles["bucket"] != {}

    workdir = tmp_path / "bucket" / "workdir"
    assert not any((workdir / "lake").iterdir())
    assert not any((workdir / "artefacts").iterdir())
    assert DeltaLake(f"{lake_bucket}/lake/1h", allow_http=True).instruments()
    artefacts = BucketArtefacts(f"{lake_bucket}/artefacts", allow_http=True)
    assert artefacts.list("train/")
    stored = b"".join(artefacts.get(key) or b"" for key in artefacts.list("") if key.endswith(".json"))
    files = b"".join(path.read_bytes() for path in workdir.rglob("*") if path.is_file())
    assert SECRET.encode() not in stored + files + repr(capfd.readouterr()).encode()

    settings = night_settings(urls, **SIZES, **places)
    assert show_coverage(settings, workdir, "1h", None, as_json=True) == 0
    assert json.loads(capfd.readouterr().out)["lake"] == f"{lake_bucket}/lake/1h"
    assert tidy_lake(settings, workdir, "1h", None, vacuum=True, as_json=True) == 0
    assert json.loads(capfd.readouterr().out)["bytes_after"] > 0
