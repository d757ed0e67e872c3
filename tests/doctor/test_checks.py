"""Every check of the doctor: what it calls right, doubtful and wrong, and that it changes nothing."""

import asyncio
import fcntl
import json
import os
import shutil
import sqlite3
import time
from contextlib import closing

import pytest
from nights import night_overrides, small_world, tree_hashes
from pydantic import SecretStr

from huracan.adapters.keys import init_keys, install_trusted_root
from huracan.adapters.ledger import SqliteLedger
from huracan.app.clock import clock_skew_ms
from huracan.domain.time import DAY_MS, HOUR_MS
from huracan.errors import ClockSkewError, FencedError, LockedError, PublishError
from huracan.operations.doctor import CHECKS, diagnose, machine, market, places, trust, verdict_status
from huracan.operations.doctor.finding import doubtful, right, wrong
from huracan.worlds.exchange import ReplayExchange

pytestmark = pytest.mark.slow

NOW_MS = 1_780_000_000_000


def run(check, circumstances):
    return {finding.what: finding for finding in asyncio.run(check(circumstances))}


def states(found):
    return {name: finding.state for name, finding in found.items()}


def test_this_machine_is_fit(here):
    assert states(run(machine.interpreter, here())) == {"Python": "right"}
    assert states(run(machine.cores, here())) == {"cores": "right"}
    assert states(run(machine.kernel_cache, here())) == {"kernel cache": "right"}
    assert states(run(machine.extras, here())) == {"extras": "right"}


def test_more_workers_than_cores_are_doubtful(here):
    found = run(machine.cores, here("training.num_workers=4000"))["cores"]
    assert found.state == "doubtful"
    assert "training.num_workers" in found.advice


def test_an_old_python_and_an_open_kernel_cache_are_called_so(here, monkeypatch):
    monkeypatch.setattr(machine, "OLDEST_PYTHON", (9, 9))
    assert run(machine.interpreter, here())["Python"].exit_status == 2
    monkeypatch.setattr("huracan.stats.kernel.NOT_CACHED", "it is not private to this user: chmod 700 it")
    found = run(machine.kernel_cache, here())["kernel cache"]
    assert (found.state, found.advice) == ("doubtful", "until then kernels are compiled at every start")
    assert "chmod 700" in found.seen


def test_memory_counts_what_the_control_group_leaves(here, tmp_path):
    proc = tmp_path / "meminfo"
    proc.write_text("MemTotal: 9 kB\nMemAvailable: 16777216 kB\n")
    group = tmp_path / "cgroup"
    assert machine.available_bytes(proc, group) == 16 << 30
    group.mkdir()
    (group / "memory.current").write_text("1073741824")
    (group / "memory.max").write_text("max\n")
    assert machine.available_bytes(proc, group) == 16 << 30
    (group / "memory.max").write_text("2147483648\n")
    assert machine.available_bytes(proc, group) == 1 << 30
    small = asyncio.run(machine.memory(here("training.num_workers=2"), proc, group))[0]
    assert (small.state, "1.0 GB free, 3 processes" in small.seen) == ("doubtful", True)
    on_a_cluster = asyncio.run(machine.memory(here("training.training_backend=ray"), proc, group))[0]
    assert on_a_cluster.state == "right"
    assert asyncio.run(machine.memory(here(), tmp_path / "none", group))[0].state == "doubtful"


def test_a_missing_extra_has_the_code_of_what_it_would_stop(here, monkeypatch):
    monkeypatch.setattr(machine, "find_spec", lambda _name: None)
    backend = run(machine.extras, here("training.training_backend=dask"))["extra dask"]
    assert (backend.state, backend.exit_status) == ("wrong", 4)
    assert "huracan-engine[dask]" in backend.seen
    circumstances = here()
    with_token = type(circumstances)(
        **{
            **{name: getattr(circumstances, name) for name in ("workdir", "environ", "now_ms")},
            "settings": circumstances.settings.model_copy(update={"dropbox_refresh_token": SecretStr("x" * 20)}),
        }
    )
    assert run(machine.extras, with_token)["extra dropbox"].exit_status == 2


def test_without_keys_the_first_night_makes_them(here):
    assert states(run(trust.signing_keys, here())) == {"signing keys": "doubtful", "trusted root": "doubtful"}


def keys_in(circumstances, passphrase=None, at_ms=NOW_MS):
    from pathlib import Path

    folder = Path(circumstances.environ["HURACAN_KEYS_DIR"])
    keys = init_keys(folder, passphrase, wall_clock_ms=at_ms)
    install_trusted_root(keys, Path(circumstances.environ["HURACAN_TRUSTED_ROOT"]))
    return keys, folder, Path(circumstances.environ["HURACAN_TRUSTED_ROOT"])


def test_keys_are_right_once_the_root_key_has_been_moved_away(here):
    circumstances = here()
    _, folder, _ = keys_in(circumstances)
    found = run(trust.signing_keys, circumstances)
    assert states(found) == {
        "signing keys": "right", "root key": "doubtful", "root expiry": "right", "trusted root": "right",
    }  # fmt: skip
    assert "unprotected" in found["root key"].seen
    for file in folder.glob("root-*.pem"):
        file.unlink()
    assert run(trust.signing_keys, circumstances)["root key"].state == "right"


def test_a_root_key_behind_a_passphrase_should_still_be_moved(here):
    circumstances = here()
    keys_in(circumstances, SecretStr("correct horse"))
    found = run(trust.signing_keys, circumstances)["root key"]
    assert (found.state, found.seen) == ("doubtful", "here, behind a passphrase")


@pytest.mark.parametrize(("days", "state"), [(100, "right"), (340, "doubtful"), (366, "wrong")])
def test_the_root_must_be_renewed_in_time(here, days, state):
    keys_in(here())
    found = run(trust.signing_keys, here(now_ms=NOW_MS + days * DAY_MS))["root expiry"]
    assert found.state == state
    assert state == "right" or "huracan keys rotate" in found.advice


def test_keys_that_others_may_read_are_wrong(here):
    circumstances = here()
    _, folder, _ = keys_in(circumstances)
    next(folder.glob("online-*.pem")).chmod(0o644)
    found = run(trust.signing_keys, circumstances)["signing keys"]
    assert (found.state, found.exit_status) == ("wrong", 2)
    assert "chmod 600" in found.seen
    for damaged in ("{", "[]", '{"signed": {"_type": "root", "version": 1}}'):
        (folder / "1.root.json").write_text(damaged)
        assert "no keys of ours" in run(trust.signing_keys, circumstances)["signing keys"].seen


def test_a_trusted_root_that_cannot_be_trusted_is_wrong(here, tmp_path):
    circumstances = here()
    _, _, trusted = keys_in(circumstances)
    trusted.chmod(0o646)
    assert "written by others" in run(trust.signing_keys, circumstances)["trusted root"].seen
    trusted.chmod(0o600)
    trusted.write_text("another")
    assert "other keys" in run(trust.signing_keys, circumstances)["trusted root"].seen
    inside = circumstances.store / "root.json"
    inside.parent.mkdir(parents=True)
    inside.write_text("x")
    found = run(trust.signing_keys, here(HURACAN_TRUSTED_ROOT=str(inside)))["trusted root"]
    assert "inside the store" in found.seen


def test_folders_are_tried_and_nothing_stays_behind(here, tmp_path):
    found = run(places.folders, here())
    assert states(found) == {"workdir": "right", "store": "right"}
    assert "made by the first night" in found["workdir"].seen
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_and_a_synchronised_folder_are_wrong(here, tmp_path):
    (tmp_path / "file").write_text("")
    assert run(places.folders, here(workdir=tmp_path / "file"))["workdir"].exit_status == 2
    (tmp_path / ".dropbox.cache").mkdir()
    assert "synchronised" in run(places.folders, here())["store"].seen


def test_a_read_only_folder_is_wrong(here, monkeypatch):
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(places.tempfile, "NamedTemporaryFile", refuse)
    found = run(places.folders, here())["workdir"]
    assert (found.state, found.exit_status) == ("wrong", 2)


def test_a_held_lock_is_told_with_its_holder(here, monkeypatch):
    circumstances = here()
    assert run(places.lock, circumstances)["lock"].state == "right"
    circumstances.store.mkdir(parents=True)
    handle = os.open(circumstances.store / ".lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        found = run(places.lock, circumstances)["lock"]
        assert (found.state, str(os.getpid()) in found.seen) == ("doubtful", True)
    finally:
        os.close(handle)

    def untold(_store):
        raise OSError("no table")

    monkeypatch.setattr(places, "lock_holder", untold)
    assert run(places.lock, circumstances)["lock"].state == "doubtful"


def test_a_damaged_or_open_ledger_is_wrong(here):
    circumstances = here()
    assert run(places.ledger, circumstances)["ledger"].seen == "none yet"
    circumstances.workdir.mkdir()
    path = circumstances.workdir / "ledger.sqlite"
    with SqliteLedger(path) as ledger:
        ledger.record_run("r", started_ms=1, facts={})
    assert run(places.ledger, circumstances)["ledger"].seen == "sound, 0 nights evaluated"
    with closing(sqlite3.connect(path)) as connection:
        for number, judged in enumerate((True, False), start=1):
            entries = json.dumps({"entries": [], "judged": judged})
            connection.execute("INSERT INTO nights VALUES (?, 20550, ?, '', ?)", (number, entries, str(number)))
        connection.commit()
    assert run(places.ledger, circumstances)["ledger"].seen == "sound, 1 night evaluated"
    path.chmod(0o666)
    assert "chmod 600" in run(places.ledger, circumstances)["ledger"].advice
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE nights")
    found = run(places.ledger, circumstances)["ledger"]
    assert (found.state, found.code, found.exit_status) == ("wrong", "LEDGER", 3)


def test_the_store_of_a_night_is_right_then_stale_then_expired(here, finished_night):
    trusted = str(finished_night.folder / "trust" / "root.json")
    now = time.time_ns() // 1_000_000
    for hours, state in ((0, "right"), (27, "doubtful"), (49, "doubtful")):
        circumstances = here(
            workdir=finished_night.folder / "workdir", now_ms=now + hours * HOUR_MS, HURACAN_TRUSTED_ROOT=trusted
        )
        found = run(places.published, circumstances)["signed set"]
        assert found.state == state
    assert "expired" in found.seen
    assert states(run(places.interrupted, circumstances)) == {"last night": "right"}
    broken = here(workdir=finished_night.folder / "workdir")
    assert run(places.published, broken)["signed set"].exit_status == 5
    assert run(places.published, here())["signed set"].seen == "none yet"


def test_how_the_last_night_ended_is_told(here):
    import json

    circumstances = here()
    assert run(places.interrupted, circumstances)["last night"].seen == "none yet"
    circumstances.workdir.mkdir()
    for state, wanted in (("running", "doubtful"), ("refused", "doubtful"), ("finished", "right")):
        body = {"format": "huracan-progress/1", "state": state, "run_id": "r", "code": "STALE", "error": "too old"}
        (circumstances.workdir / "progress.json").write_text(json.dumps(body))
        assert run(places.interrupted, circumstances)["last night"].state == wanted


def test_a_dashboard_open_to_the_network_is_wrong(here):
    assert run(places.dashboard, here())["dashboard"].state == "right"
    found = run(places.dashboard, here("dashboard.host=0.0.0.0", HURACAN_DASHBOARD_TOKEN="a-token-of-some-length"))
    assert found["dashboard"].exit_status == 2
    assert "tls_cert" in found["dashboard"].seen


class Remote:
    """A store that answers its preflight as told."""

    def __init__(self, error=None):
        self.error, self.closed = error, False

    def close(self):
        self.closed = True

    def preflight(self):
        if self.error is not None:
            raise self.error


def test_remote_stores_are_asked_one_by_one(here):
    problem = PublishError("the scope files.content.write is missing")
    remotes = {"s3://a/b": Remote(), "dropbox:/c": Remote(problem)}
    found = run(
        places.remote_stores,
        here("publish.urls=s3://a/b,dropbox:/c", open_remote=lambda url, settings, environ: remotes[url]),
    )
    assert states(found) == {"s3://a/b": "right", "dropbox:/c": "wrong"}
    assert found["dropbox:/c"].code == "PUBLISH_PENDING"
    assert all(remote.closed for remote in remotes.values())


def test_a_remote_store_that_cannot_be_opened_is_wrong(here):
    found = run(places.remote_stores, here("publish.urls=dropbox:/c"))
    assert (found["dropbox:/c"].state, found["dropbox:/c"].code) == ("wrong", "CONFIG")
    assert "DROPBOX_REFRESH_TOKEN" in found["dropbox:/c"].seen


@pytest.fixture(scope="module")
def replay(tmp_path_factory):
    folder = tmp_path_factory.mktemp("replay")
    with ReplayExchange(small_world(), stress_file=folder / "stress.json") as exchange:
        yield exchange.urls


def test_the_exchange_is_reached_and_the_disk_forecast(here, replay):
    found = run(market.exchange, here(*night_overrides(replay)))
    assert states(found) == {"clock": "right", "universe": "right", "archive": "right", "space": "right"}
    assert "keeps its own time" in found["clock"].seen


def test_filters_that_let_nobody_pass_are_doubtful(here, replay):
    found = run(market.exchange, here(*night_overrides(replay, training__min_liquidity_gbp=1e15)))
    assert (found["universe"].state, found["archive"].state) == ("doubtful", "doubtful")


def test_an_exchange_that_is_away_is_wrong_with_its_code(here):
    found = run(
        market.exchange, here("binance.rest_url=http://127.0.0.1:1", "binance.total_timeout_s=0.5")
    )["exchange"]  # fmt: skip
    assert (found.state, found.code, found.exit_status) == ("wrong", "UPSTREAM", 3)


def test_an_archive_that_is_away_or_does_not_list_is_wrong(here, replay):
    found = run(
        market.exchange,
        here(*night_overrides(replay, binance__archive_url="http://127.0.0.1:1", binance__total_timeout_s=4)),
    )
    assert found["archive"].exit_status == 3
    elsewhere = replay["archive"] + "/nothing-here"
    found = run(market.exchange, here(*night_overrides(replay, binance__archive_url=elsewhere)))["archive"]
    assert (found.state, found.code) == ("wrong", "UPSTREAM")


def test_an_archive_that_lags_is_doubtful(here, replay, monkeypatch):
    monkeypatch.setattr(market, "ARCHIVE_LAG_DAYS", 0)
    found = run(market.exchange, here(*night_overrides(replay)))["archive"]
    assert (found.state, found.seen[:13]) == ("doubtful", "no daily file")


def test_a_clock_that_is_off_is_wrong_but_not_on_loopback(here):
    url = "binance.rest_url=https://api.example.com"
    assert market._clock(here(url), NOW_MS + 4_000).state == "right"
    found = market._clock(here(url), NOW_MS - 6_000)
    assert (found.state, found.code, found.exit_status) == ("wrong", ClockSkewError.code, 3)
    assert market._clock(here("binance.rest_url=http://127.0.0.1:9"), 0).state == "right"
    assert clock_skew_ms("https://127.0.0.1.example.com", 0, 1) == 1


def test_the_disk_is_measured_against_the_forecast(here, monkeypatch, tmp_path):
    circumstances = here("training.history_days=100", "training.lookback_days=100")
    wanted = market.forecast_bytes(circumstances.settings, 2_000)
    cells = len(circumstances.settings.training.horizons) * len(circumstances.settings.training.recipes)
    assert wanted == 2_000 * 100 * (1440 * 28 + 2 * (23_500 + 3_200 * cells))
    free = shutil.disk_usage(tmp_path)._replace(free=wanted - 1)
    monkeypatch.setattr(market.shutil, "disk_usage", lambda _path: free)
    assert market.disk(circumstances, 2_000).exit_status == 5
    (circumstances.workdir / "lake").mkdir(parents=True)
    (circumstances.workdir / "lake" / "bars").write_bytes(b"12")
    assert market.disk(circumstances, 2_000).state == "doubtful"
    assert market.disk(circumstances, 900).state == "right"


def test_the_forecast_knows_intervals(here):
    hourly = here("training.base_interval=1h", "training.history_days=100", "training.lookback_days=100").settings
    assert market.forecast_bytes(hourly, 1) == 100 * (24 * 28 + 2 * (23_500 + 3_200 * 6))


def test_the_first_thing_that_is_wrong_decides_the_status(here):
    async def locked(_here):
        raise LockedError("held")

    async def fenced(_here):
        return [doubtful("a", "b", "c", "d"), wrong("a", "b", FencedError("x")), wrong("a", "b", "text")]

    async def fine(_here):
        return [right("a", "b", "c")]

    found = asyncio.run(diagnose(here(), (fine, locked, fenced)))
    assert [finding.state for finding in found] == ["right", "wrong", "doubtful", "wrong", "wrong"]
    assert found[1].what == "locked"
    assert verdict_status(found) == 6
    assert verdict_status(found[:1]) == verdict_status([found[2]]) == 0


def test_looking_changes_nothing(here, finished_night):
    folder = finished_night.folder / "workdir"
    trusted = str(finished_night.folder / "trust" / "root.json")
    before = {name: digest for name, digest in tree_hashes(folder).items() if not name.startswith("ledger.sqlite-")}
    circumstances = here("binance.rest_url=http://127.0.0.1:1", "binance.total_timeout_s=0.2", workdir=folder)
    asyncio.run(diagnose(type(circumstances)(
        settings=circumstances.settings, workdir=folder, now_ms=NOW_MS,
        environ={**circumstances.environ, "HURACAN_TRUSTED_ROOT": trusted},
    )))  # fmt: skip
    after = {name: digest for name, digest in tree_hashes(folder).items() if not name.startswith("ledger.sqlite-")}
    assert after == before
    assert len(CHECKS) == 16


def test_a_socks_proxy_is_one_row_and_all_others_are_there(here, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    found = asyncio.run(
        diagnose(here("binance.rest_url=http://exchange.invalid", "binance.futures_url=http://exchange.invalid"))
    )
    (row,) = [finding for finding in found if finding.state == "wrong"]
    assert (row.code, row.exit_status) == ("CONFIG", 2)
    assert "ALL_PROXY" in row.seen
    assert "pip install socksio" in row.seen
    assert {"machine", "keys", "places"} <= {finding.area for finding in found}


async def test_a_check_that_stumbles_hides_no_other(here):
    async def stumbling(_here):
        raise ZeroDivisionError("of the check")

    found = await diagnose(here(), [machine.cores, stumbling, machine.interpreter])
    assert [finding.what for finding in found] == ["cores", "stumbling", "Python"]
    assert "ZeroDivisionError: of the check (test_checks.py line" in found[1].seen
    assert verdict_status(found) == 1
