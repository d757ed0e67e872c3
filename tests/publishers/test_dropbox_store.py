"""The store in Dropbox: the behaviours of every remote store, and what only Dropbox has."""

import logging
import re
import sys
from dataclasses import replace

import pytest
from dropboxes import IMPATIENT, POINTER, access, sdk_on, store_on
from pydantic import SecretStr
from remote_store_conformance import RemoteStoreConformance

from huracan.adapters.publishers.dropbox_access import DropboxAccess, DropboxEndpoint, Patience
from huracan.adapters.publishers.dropbox_calls import api_failure
from huracan.adapters.publishers.dropbox_store import DropboxStore, open_dropbox_store
from huracan.errors import ConfigError, FencedError, PublishError
from huracan.settings import load_settings
from huracan.worlds.dropbox import ALL_SCOPES, App, Fault, FaultPlan, uploads
from huracan.worlds.dropbox.tokens import Tokens

pytestmark = pytest.mark.slow

FILES = {f"models/BTC/1h/v1/{name}.json": name.encode() for name in ("metrics", "cost_report", "manifest")}


class TestDropboxStore(RemoteStoreConformance):
    @pytest.fixture
    def store(self, dropbox_server):
        made = store_on(dropbox_server)
        yield made
        made.close()

    @pytest.fixture
    def rival(self, dropbox_server):
        made = store_on(dropbox_server)
        yield made
        made.close()


class TestDropboxStoreAtTheRoot(RemoteStoreConformance):
    MANY = 40

    @pytest.fixture
    def store(self, dropbox_server):
        made = store_on(dropbox_server, "/")
        yield made
        made.close()

    rival = store


@pytest.fixture
def store(dropbox_server):
    made = store_on(dropbox_server)
    yield made
    made.close()


def test_a_thousand_files_cost_one_commit(store, dropbox_server):
    store.write_new((f"models/C{number}/1h/v1/manifest.json", b"%d" % number) for number in range(1000))
    assert dropbox_server.commits == {"files/upload_session/finish_batch_v2": 1}


def test_paths_that_differ_only_in_case_are_refused_before_anything_is_sent(store, dropbox_server):
    with pytest.raises(PublishError, match="differ only in case"):
        store.write_new([("models/abc/x", b"1"), ("models/ABC/x", b"1")])
    store.write_new([("models/ABC/x", b"1")])
    with pytest.raises(PublishError, match="differ only in case"):
        store.write_new([("models/abc/x", b"1")])
    assert list(dropbox_server.files()) == ["/HuracanEngine/models/ABC/x"]


def test_names_keep_their_case_where_the_base_folder_was_made_in_another(store, dropbox_server):
    sdk_on(dropbox_server).files_create_folder_v2("/huracanengine")
    store.write_new(FILES.items())
    assert store.files("").keys() == FILES.keys()
    assert store.files("models/BTC").keys() == FILES.keys()


def test_a_listing_that_lags_behind_neither_loses_nor_fences_a_file(store, dropbox_server):
    store.write_new(FILES.items())
    store.write_new([("sets/2.json", b"two")])
    dropbox_server.faults = FaultPlan([Fault(kind="stale_listing", times=None, commits=2)])
    assert store.files("") == {}
    assert store.write_new(FILES.items()) == 3  # sent again, changed nothing
    assert len(dropbox_server.files()) == 4


def test_a_listing_that_still_shows_what_was_removed_does_not_keep_it_from_being_written(store, dropbox_server):
    store.write_new(FILES.items())
    store.remove(FILES)
    dropbox_server.faults = FaultPlan([Fault(kind="stale_listing", times=None)])
    assert store.write_new(FILES.items()) == 3
    assert len(dropbox_server.files()) == 3


def test_other_bytes_in_a_listing_that_lags_behind_are_asked_for_by_name(store, dropbox_server):
    store.write_new([("sets/2.json", b"old")])
    other = store_on(dropbox_server)
    other.remove(["sets/2.json"])
    other.write_new([("sets/2.json", b"new")])
    dropbox_server.faults = FaultPlan([Fault(kind="stale_listing", times=None, commits=2)])
    assert store.write_new([("sets/2.json", b"new")]) == 0


def test_a_name_that_a_late_listing_does_not_show_fences_the_writer_all_the_same(store, dropbox_server):
    store_on(dropbox_server).write_new([("sets/2.json", b"theirs")])
    dropbox_server.faults = FaultPlan([Fault(kind="stale_listing", times=None)])
    with pytest.raises(FencedError, match=r"sets/2\.json"):
        store.write_new([("sets/2.json", b"ours")])
    assert list(dropbox_server.files().values()) == [b"theirs"]


def test_a_listing_whose_cursor_the_service_forgot_starts_anew(store, dropbox_server, monkeypatch):
    store.write_new((f"sets/{number}.json", b"%d" % number) for number in range(9))
    monkeypatch.setattr(dropbox_server.account, "page", 2)
    following, forgotten = dropbox_server.account.next_listing, []

    def forget_once(cursor):
        if not forgotten:
            forgotten.append(cursor)
            dropbox_server.account._cursors.clear()
        return following(cursor)

    monkeypatch.setattr(dropbox_server.account, "next_listing", forget_once)
    assert len(store.files("")) == 9
    assert forgotten


def test_files_that_change_between_two_pages_are_listed_as_they_are_now(store, dropbox_server, monkeypatch):
    store.write_new((f"sets/{number}.json", b"%d" % number) for number in range(9))
    monkeypatch.setattr(dropbox_server.account, "page", 4)
    client, seen = sdk_on(dropbox_server), []
    page = client.files_list_folder("/HuracanEngine", recursive=True)
    client.files_delete_v2("/HuracanEngine/sets/1.json")
    while True:
        seen += page.entries
        if not page.has_more and len(seen) > 10:
            break
        page = client.files_list_folder_continue(page.cursor)
    assert [entry.name for entry in seen if type(entry).__name__ == "DeletedMetadata"] == ["1.json"]
    assert len(store.files("")) == 8


@pytest.mark.parametrize("kind", ["partial_upload", "lost_reply"])
def test_large_files_go_in_pieces_and_a_piece_cut_short_is_completed(store, dropbox_server, kind):
    large = bytes(range(256)) * (72 << 10)
    dropbox_server.faults = FaultPlan([Fault(kind=kind, path="append_batch", times=2)])
    store.write_new([("a/large", large)])
    assert dropbox_server.files() == {"/HuracanEngine/a/large": large}


def test_sessions_the_service_lost_are_opened_anew(store, dropbox_server, monkeypatch):
    sessions = dropbox_server.account.sessions
    append, calls = sessions.append, []

    def lose_once(cursor, data, *, close=False):
        calls.append(cursor)
        if len(calls) == 2:
            sessions.forget(cursor)
        append(cursor, data, close=close)

    monkeypatch.setattr(sessions, "append", lose_once)
    assert store.write_new(FILES.items()) == 3
    assert len(dropbox_server.files()) == 3
    assert len(calls) == 4


def test_bytes_that_changed_on_the_way_are_sent_again(store, dropbox_server, monkeypatch):
    right, wrong = uploads.content_hash, iter(["0" * 64])
    monkeypatch.setattr(uploads, "content_hash", lambda data: next(wrong, None) or right(data))
    store.write_new(FILES.items())
    assert len(dropbox_server.files()) == 3
    assert next(wrong, None) is None


def test_a_download_that_does_not_have_its_hash_is_not_handed_out(dropbox_server):
    store = store_on(dropbox_server, patience=Patience(answer_s=5, total_s=1, first_wait_s=0.05, longest_wait_s=0.1))
    store.write_new(FILES.items())
    entries = dropbox_server.account.tree._entries
    for lower, entry in entries.items():
        entries[lower] = replace(entry, digest="0" * 64)
    # On a busy machine the deadline may fall into a request instead of a pause: then its error is the last one.
    with pytest.raises(PublishError, match=r"metrics\.json"):
        store.read("models/BTC/1h/v1/metrics.json", 100)


def test_deletions_are_waited_for_and_tried_again_when_the_job_fails(store, dropbox_server, monkeypatch):
    store.write_new(FILES.items())
    monkeypatch.setattr(dropbox_server.account, "job_asks", 3)
    job, failed = dropbox_server.account.job, []

    def fail_once(name):
        if not failed:
            failed.append(name)
            return {".tag": "failed", "failed": {".tag": "too_many_write_operations"}}
        return job(name)

    monkeypatch.setattr(dropbox_server.account, "job", fail_once)
    store.remove(FILES)
    assert dropbox_server.files() == {}
    assert dropbox_server.commits["files/delete_batch"] == 2


def test_a_file_that_arrives_damaged_is_taken_back_and_sent_again(store, dropbox_server):
    dropbox_server.faults = FaultPlan([Fault(kind="corrupt", path="append_batch")])
    store.write_new(FILES.items())
    assert dropbox_server.files() == {f"/HuracanEngine/{path}": data for path, data in FILES.items()}


def test_files_that_never_arrive_whole_are_an_error_and_do_not_stay(store, dropbox_server):
    dropbox_server.faults = FaultPlan([Fault(kind="corrupt", path="append_batch", times=None)])
    with pytest.raises(PublishError, match=r"1 files did not arrive whole .*manifest\.json"):
        store.write_new(FILES.items())
    assert "/HuracanEngine/models/BTC/1h/v1/manifest.json" not in dropbox_server.files()


def test_another_writers_commits_are_waited_for(dropbox_server, monkeypatch):
    from concurrent.futures import ThreadPoolExecutor

    monkeypatch.setattr(dropbox_server.account, "commit_s", 0.1)
    patience = Patience(answer_s=5, total_s=30, first_wait_s=0.05, longest_wait_s=0.2)
    stores = [store_on(dropbox_server, patience=patience) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        sent = list(pool.map(lambda n: stores[n].write_new([(f"sets/{n}.json", b"%d" % n)]), range(3)))
    assert sent == [1, 1, 1]
    assert len(dropbox_server.files()) == 3


def test_the_service_may_say_per_file_that_there_are_too_many_writes(store, dropbox_server, monkeypatch):
    from huracan.worlds.dropbox.refusals import PathWriteError

    tree, refused = dropbox_server.account.tree, []
    write = tree.write

    def busy_once(path, data, how):
        if path.endswith("metrics.json") and not refused:
            refused.append(path)
            raise PathWriteError("too_many_write_operations")
        return write(path, data, how)

    monkeypatch.setattr(tree, "write", busy_once)
    assert store.write_new(FILES.items()) == 3
    assert refused
    assert len(dropbox_server.files()) == 3


def test_a_wait_the_service_asks_for_is_kept_when_it_fits_and_given_up_when_not(dropbox_server):
    store = store_on(dropbox_server, patience=Patience(answer_s=2, total_s=3, first_wait_s=0.001, longest_wait_s=0.01))
    dropbox_server.faults = FaultPlan([Fault(kind="too_many_requests", path="list_folder", retry_after_s=60)])
    with pytest.raises(PublishError, match=r"too_many_requests.*deadline 3 s") as caught:
        store.files("")
    assert caught.value.code == "PUBLISH_PENDING"
    assert dropbox_server.faults.calls == ["oauth2/token", "files/list_folder"]


@pytest.mark.parametrize("kind", ["too_many_requests", "too_many_write_operations", "server_error", "drop", "html"])
def test_a_service_that_stays_ill_ends_at_the_deadline(dropbox_server, kind):
    store = store_on(dropbox_server, patience=Patience(answer_s=1, total_s=1, first_wait_s=0.01, longest_wait_s=0.02))
    dropbox_server.faults = FaultPlan([Fault(kind=kind, times=None)])
    with pytest.raises(PublishError, match=r"deadline 1 s.*huracan publish") as caught:
        store.write_new(FILES.items())
    assert caught.value.code == "PUBLISH_PENDING"
    assert len(dropbox_server.faults.calls) >= 2


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (("path", "upload_traffic_limit_reached"), "upload limit of this month"),
        (("path", "no_write_permission"), r"may not write.*base_path"),
        (("path", "team_folder_insufficient_space"), "full"),
        (("path", "operation_suppressed"), "refuses: path/operation_suppressed"),
    ],
)
def test_what_the_service_refuses_is_said_in_words(found, words):
    failure = api_failure(found)
    assert isinstance(failure, PublishError)
    assert re.search(words, str(failure))


def test_a_full_account_is_named_and_leaves_what_stood(store, dropbox_server, monkeypatch):
    store.write_new(FILES.items())
    monkeypatch.setattr(dropbox_server.account.tree, "quota", dropbox_server.account.tree.used + 3)
    revision = store.swap(POINTER, b"old", None)
    for call in (
        lambda: store.write_new([("sets/1.json", b"much")]),
        lambda: store.swap(POINTER, b"longer", revision),
        store.preflight,
    ):
        with pytest.raises(PublishError, match=r"full.*insufficient_space"):
            call()
    assert dropbox_server.files()[f"/HuracanEngine/{POINTER}"] == b"old"


@pytest.mark.parametrize("scope", sorted(ALL_SCOPES - {"account_info.read"}))
def test_a_preflight_names_the_scope_that_is_missing(dropbox_server, monkeypatch, scope):
    monkeypatch.setattr(dropbox_server, "tokens", Tokens(App(scopes=ALL_SCOPES - {scope})))
    with pytest.raises(PublishError, match=rf"lacks the scope {scope}.*Permissions.*new\s+token"):
        store_on(dropbox_server).preflight()


def test_a_preflight_needs_no_scope_of_the_account(dropbox_server, monkeypatch):
    monkeypatch.setattr(dropbox_server, "tokens", Tokens(App(scopes=ALL_SCOPES - {"account_info.read"})))
    store_on(dropbox_server).preflight()


def test_an_expired_token_is_refreshed_once(store, dropbox_server):
    store.write_new(FILES.items())
    dropbox_server.tokens.expire()
    store.write_new([("sets/1.json", b"1")])
    assert dropbox_server.tokens.refreshed == 2


def test_an_app_whose_tokens_are_born_expired_is_refused_with_a_reason(dropbox_server, monkeypatch):
    monkeypatch.setattr(dropbox_server, "tokens", Tokens(App(lifetime_s=0)))
    with pytest.raises(PublishError, match="refreshed just now is expired"):
        store_on(dropbox_server).files("")


def test_an_expired_access_token_without_refresh_token_says_what_to_set(dropbox_server):
    token = dropbox_server.tokens.issue()
    store = store_on(dropbox_server, refresh_token=None, app_key=None, app_secret=None, access_token=token)
    store.write_new(FILES.items())
    dropbox_server.tokens.expire()
    with pytest.raises(PublishError, match=r"expired.*DROPBOX_REFRESH_TOKEN"):
        store.files("")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"refresh_token": "canary-refresh"}, "DROPBOX_REFRESH_TOKEN is wrong"),
        ({"app_key": "canary-key"}, "DROPBOX_APP_KEY"),
        ({"app_secret": "canary-secret"}, "DROPBOX_APP_SECRET"),
        ({"refresh_token": None, "access_token": "sl.canary"}, "DROPBOX_ACCESS_TOKEN is wrong"),
        ({"refresh_token": None, "access_token": "canary with spaces"}, "Authorization"),
    ],
)
def test_wrong_credentials_are_named_and_never_shown(dropbox_server, changes, words, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    store = store_on(dropbox_server, **changes)
    for call in (store.preflight, lambda: store.files(""), lambda: store.swap(POINTER, b"x", None)):
        with pytest.raises(PublishError, match=words) as caught:
            call()
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
        shown = "".join([str(caught.value), repr(caught.value), repr(store), repr(vars(store)), caplog.text])
        assert "canary" not in shown + "".join(capfd.readouterr())


@pytest.mark.parametrize("kind", ["too_many_requests", "server_error", "drop", "html", "lost_reply", "truncated"])
def test_no_token_is_in_messages_or_logs_of_a_bad_day(dropbox_server, monkeypatch, caplog, capfd, kind):
    app = App(key="canary-key", secret="canary-secret", refresh_token="canary-refresh")
    monkeypatch.setattr(dropbox_server, "tokens", Tokens(app))
    caplog.set_level(logging.DEBUG)
    store_on(dropbox_server).preflight()
    store = store_on(dropbox_server, patience=Patience(answer_s=1, total_s=0.2, first_wait_s=0.01, longest_wait_s=0.02))
    dropbox_server.faults = FaultPlan([Fault(kind=kind, times=None)])
    with pytest.raises(PublishError) as caught:
        store.write_new(FILES.items())
    shown = "".join(
        [str(caught.value), repr(caught.value), repr(access(dropbox_server)), caplog.text, *capfd.readouterr()]
    )
    issued = list(dropbox_server.tokens._expiry)
    assert issued
    assert not any(secret in shown for secret in ["canary", *issued])


def test_a_server_of_another_authority_is_not_talked_to(dropbox_server):
    endpoint = DropboxEndpoint(host=dropbox_server.host)
    with pytest.raises(PublishError, match="certificate does not verify"):
        DropboxStore(access(dropbox_server), endpoint=endpoint, patience=IMPATIENT).files("")
    assert dropbox_server.faults.calls == []


def test_the_environment_cannot_change_whom_the_store_trusts(dropbox_server, monkeypatch, tmp_path):
    (tmp_path / "other.pem").touch()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "other.pem"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert store_on(dropbox_server).files("") == {}


def test_a_configuration_opens_the_store_it_names(dropbox_server):
    app = dropbox_server.tokens.app
    overrides = [
        f"dropbox.api_host={dropbox_server.host}",
        f"dropbox.ca_file={dropbox_server.ca_file}",
        "dropbox.base_path=/Elsewhere",
    ]
    secrets = {"DROPBOX_REFRESH_TOKEN": app.refresh_token, "DROPBOX_APP_KEY": app.key, "DROPBOX_APP_SECRET": app.secret}
    store = open_dropbox_store(load_settings(None, overrides, secrets))
    store.write_new(FILES.items())
    assert store.identity == "dropbox:/Elsewhere"
    assert all(path.startswith("/Elsewhere/models/") for path in dropbox_server.files())


def test_missing_credentials_are_named():
    with pytest.raises(ConfigError, match=r"DROPBOX_REFRESH_TOKEN.*DROPBOX_ACCESS_TOKEN"):
        DropboxAccess()
    with pytest.raises(ConfigError, match="without DROPBOX_APP_KEY"):
        DropboxAccess(refresh_token=SecretStr("x"))


def test_a_missing_extra_is_named(dropbox_server, monkeypatch):
    for module in [name for name in sys.modules if name.startswith("huracan.adapters.publishers.dropbox_")]:
        if module.rpartition("_")[2] in {"files", "calls", "upload"}:
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "dropbox", None)
    with pytest.raises(PublishError, match=r"pip install 'huracan-engine\[dropbox\]'"):
        store_on(dropbox_server)


def test_a_path_whose_ancestor_is_a_file_is_refused_by_name(store):
    store.write_new([("a/b", b"file")])
    with pytest.raises(FencedError, match="a/b/c"):
        store.write_new([("a/b/c", b"x")])


def test_a_name_the_service_does_not_allow_is_refused_with_its_reason(store):
    with pytest.raises(PublishError, match="disallowed_name"):
        store.write_new([("a/desktop.ini", b"x")])
