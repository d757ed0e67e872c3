"""Nights that publish to remote stores: taken over, pushed, pending, fenced, and only talked about in a dry run."""

import json
import shutil
import threading

import pytest
from nights import (
    accounted,
    in_this_process,
    later,
    night_settings,
    run_pipeline,
    small_world,
    trust_variables,
    variables,
)

from huracan import HamiltonInterface
from huracan.adapters.telemetry import RecordingTelemetry
from huracan.app import open_source
from huracan.app.mirrors import publish_exit
from huracan.operations.publish import publish_store
from huracan.worlds.exchange import ReplayExchange

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tomorrow():
    return later(small_world(), 1)


@pytest.fixture
def yesterday(finished_night, tmp_path):
    """A copy of the shared night to go on from, the next day."""
    folder = tmp_path / "night"
    shutil.copytree(finished_night.folder, folder)
    return folder


def night(folder, world, stress, **changes):
    with ReplayExchange(world, stress_file=stress) as exchange, in_this_process():
        return run_pipeline(folder, night_settings(exchange.urls, publish__operation_s=0.5, **changes))


def publish_now(folder, url):
    telemetry = RecordingTelemetry()
    settings = night_settings(
        dict.fromkeys(("rest", "futures", "archive", "stress"), "http://127.0.0.1:9"), publish__urls=url
    )
    with variables(trust_variables(folder)):
        return publish_store(folder / "workdir" / "store", settings, telemetry)


def hamilton(folder, url, name="reader"):
    source = open_source(url, trusted_root=folder / "trust" / "root.json", cache=folder / name, every_s=None)
    return HamiltonInterface(
        source=source, trusted_root=folder / "trust" / "root.json", state_dir=folder / f"{name}-state"
    )


def test_a_night_is_published_and_a_fresh_machine_goes_on_from_it(yesterday, tomorrow, bucket, tmp_path):
    result, telemetry = night(yesterday, tomorrow, yesterday / "stress.json", publish__urls=bucket)
    assert result["success"], result.get("error")
    accounted(result)
    assert result["publish_state"] == result["summary"]["publish_state"] == {bucket: {"state": "PUBLISHED"}}
    assert publish_exit(result["publish_state"]) == 0
    assert telemetry.named("push_finished")[0]["store"] == bucket
    assert telemetry.at_level("error") == []
    row = next(iter(result["champions"].values()))
    prediction = hamilton(yesterday, bucket).predict(row["coin"], row["horizon"], row["live_features"])
    assert prediction.edge_bps == row["live"]["edge_bps"]

    rented = tmp_path / "rented"
    for name in ("keys", "trust", "workdir/lake", "workdir/artefacts"):  # data to save the time; no store, no ledger
        shutil.copytree(yesterday / name, rented / name)
    result, telemetry = night(rented, tomorrow, yesterday / "stress.json", publish__urls=bucket)
    assert telemetry.named("store_adopted")[0]["timestamp"] == 2
    assert (result["success"], result["code"]) == (False, "LEDGER_BEHIND")  # it would judge those nights again
    shutil.copy(yesterday / "workdir" / "ledger.sqlite", rented / "workdir" / "ledger.sqlite")
    result, telemetry = night(rented, tomorrow, yesterday / "stress.json", publish__urls=bucket)
    assert result["success"], result.get("error")
    assert result["publish_state"] == {bucket: {"state": "PUBLISHED"}}
    store = rented / "workdir" / "store"
    assert json.loads((store / "metadata" / "timestamp.json").read_text())["signed"]["version"] == 3
    with open_source(bucket, trusted_root=rented / "trust" / "root.json", cache=tmp_path / "c", every_s=None) as source:
        source.refresh()
        summaries = [path for path in source._remote.files("summaries") if path.endswith("_summary.json")]
    assert len(summaries) == 3  # the shared night's, and one of each of these two


def test_an_unreachable_store_leaves_the_night_pending_and_publish_finishes_it(yesterday, tomorrow, bucket, s3):
    s3.fault = lambda _method, _path: 503
    result, telemetry = night(yesterday, tomorrow, yesterday / "stress.json", publish__urls=bucket)
    assert result["success"], result.get("error")
    accounted(result)
    state = result["publish_state"][bucket]
    assert (state["state"], state["code"]) == ("PUBLISH_PENDING", "PUBLISH_PENDING")
    assert "no answer" in state["error"]
    assert publish_exit(result["publish_state"]) == 5
    assert telemetry.named("push_failed")
    s3.fault = lambda _method, _path: None
    assert publish_now(yesterday, bucket)["publish_state"] == {bucket: {"state": "PUBLISHED"}}
    s3.requests.clear()
    account = publish_now(yesterday, bucket)
    assert account["publish_state"] == {bucket: {"state": "PUBLISHED"}}
    assert not [request for request in s3.requests if request[0] == "PUT"]
    assert {key: version for key, version in account["members"].items() if key in result["champions"]} == {
        key: row["version"] for key, row in result["champions"].items()
    }
    assert len(hamilton(yesterday, bucket).get_members()) == len(account["members"])


def test_no_step_waits_for_a_store_that_does_not_answer(yesterday, tomorrow, bucket, s3):
    at_work, asked = threading.Event(), []

    class Working:
        """Bars are asked for: step 2 is under way."""

        def __init__(self, world):
            self.world = world

        def __getattr__(self, name):
            if name == "klines":
                at_work.set()
            return getattr(self.world, name)

    def silent_until_then(method, path):
        asked.append(at_work.is_set())
        at_work.wait(120)

    s3.fault = silent_until_then
    result, _ = night(yesterday, Working(tomorrow), yesterday / "stress.json", publish__urls=bucket)
    assert result["success"], result.get("error")
    assert asked[0] is False
    assert result["publish_state"] == {bucket: {"state": "PUBLISHED"}}


def test_a_store_that_another_machine_moved_fences_the_night(yesterday, finished_night, tomorrow, bucket, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(finished_night.folder, other)
    assert publish_now(other, bucket)["publish_state"] == {bucket: {"state": "PUBLISHED"}}

    meddled = []

    class Meddling:
        """While this night trains, another machine with the same keys publishes."""

        def __init__(self, world):
            self.world = world

        def __getattr__(self, name):
            if name == "klines" and not meddled:
                meddled.append(True)
                with variables(trust_variables(other)):
                    from huracan.adapters.keys import keys_folder, load_keys
                    from huracan.adapters.publishers.folder import FolderStore
                    from huracan.adapters.publishers.sets import resign_set

                    with FolderStore(other / "workdir" / "store") as store:
                        resign_set(store, load_keys(keys_folder()), wall_clock_ms=1_900_000_000_000)
                publish_now(other, bucket)
            return getattr(self.world, name)

    result, _ = night(yesterday, Meddling(tomorrow), yesterday / "stress.json", publish__urls=bucket)
    assert meddled
    assert result["success"], result.get("error")
    state = result["publish_state"][bucket]
    assert (state["state"], state["code"]) == ("FENCED", "FENCED")
    assert publish_exit(result["publish_state"]) == 6
    account = publish_now(yesterday, bucket)
    assert account["publish_state"][bucket]["state"] == "FENCED"
    assert "move the local store folder away" in account["publish_state"][bucket]["error"]


def test_a_dry_run_touches_no_store_and_says_what_it_would_push(yesterday, tomorrow, bucket, s3):
    s3.requests.clear()
    result, telemetry = night(
        yesterday, tomorrow, yesterday / "stress.json", publish__urls=bucket, training__dry_run=True
    )
    assert result["success"], result.get("error")
    assert s3.requests == []
    state = result["publish_state"][bucket]
    assert state["state"] == "DRY_RUN"
    assert state["bundles"] == sorted({**result["champions"], **result["candidates"]})
    assert telemetry.named("push_planned")[0]["store"] == bucket
    assert publish_exit(result["publish_state"]) == 0


def test_a_url_that_no_store_understands_refuses_the_night(yesterday, tomorrow):
    result, _ = night(yesterday, tomorrow, yesterday / "stress.json", publish__urls="ftp://host/x")
    assert (result["success"], result["code"]) == (False, "CONFIG")
    assert "dropbox:/path" in result["error"]
