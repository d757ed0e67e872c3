"""The Dropbox-compatible server, driven by the official SDK as it comes."""

import json
import os
import subprocess
import sys
import threading

import dropbox
import pytest
import requests
import trustme
from dropbox import exceptions, files
from dropbox.content_hash import content_hash as official_content_hash
from dropboxes import sdk_on
from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.errors import ConfigError
from huracan.worlds.dropbox import ALL_SCOPES, App, DropboxServer, Fault, FaultPlan, content_hash, load_fault_plan
from huracan.worlds.dropbox.tokens import Tokens

ADD, OVERWRITE, UPDATE = files.WriteMode.add, files.WriteMode.overwrite, files.WriteMode.update


@pytest.fixture(scope="module")
def running():
    with DropboxServer() as server:
        yield server


@pytest.fixture
def server(running, monkeypatch):
    running.faults = FaultPlan()
    running.account.clear()
    monkeypatch.setattr(running, "tokens", Tokens(App()))
    return running


@pytest.fixture
def client(server):
    made = sdk_on(server)
    yield made
    made.close()


def refused(call):
    """The error union a call is refused with, as text: its tags in order."""
    with pytest.raises(exceptions.ApiError) as caught:
        call()
    return str(caught.value.error)


def names(result):
    return [entry.name for entry in result.entries]


def finish(session, size, path, **commit):
    cursor = files.UploadSessionCursor(session_id=session, offset=size)
    return files.UploadSessionFinishArg(cursor=cursor, commit=files.CommitInfo(path=path, **commit))


def piece(session, offset, size, close=True):
    cursor = files.UploadSessionCursor(session_id=session, offset=offset)
    return files.UploadSessionAppendBatchArgEntry(cursor=cursor, length=size, close=close)


@pytest.mark.slow
def test_the_sdk_untouched_finds_the_server_by_its_own_variables(server):
    code = (
        "import sys, dropbox\n"
        "client = dropbox.Dropbox(oauth2_refresh_token='refresh-token', app_key='app-key', app_secret='app-secret',"
        " ca_certs=sys.argv[1])\n"
        "client.files_upload(b'abc', '/A/b.txt')\n"
        "print(client.files_download('/a/B.TXT')[1].content.decode(), client.users_get_current_account().email)\n"
    )
    kept = {name: value for name, value in os.environ.items() if name not in {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}}
    hosts = {"DROPBOX_API_HOST": server.host, "DROPBOX_API_CONTENT_HOST": server.host, "NO_PROXY": "*"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(server.ca_file)],
        env={**kept, **hosts},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout == "abc owner@example.test\n", done.stderr


def test_certificates_may_be_brought_along(tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    with DropboxServer(certificates=(tmp_path / "ca.pem", tmp_path / "server.pem")) as server:
        assert sdk_on(server).check_user("hello").result == "hello"


def test_a_port_that_is_taken_is_a_configuration_error(server):
    with pytest.raises(ConfigError, match="cannot be opened"):
        DropboxServer(port=int(server.host.partition(":")[2]))


def test_its_key_is_readable_by_nobody_else_and_goes_with_it():
    server = DropboxServer()
    folder = server.ca_file.parent
    assert (folder / "server.pem").stat().st_mode & 0o077 == 0
    server.close()
    assert not folder.exists()


@given(st.binary(max_size=200), st.integers(0, 3))
@settings(max_examples=25, deadline=None)
def test_content_hashes_are_those_of_the_official_hasher(data, blocks):
    long = data + bytes(4 << 20) * blocks if blocks < 3 else data * 30_000
    assert content_hash(long) == official_content_hash(long)


# Tokens and scopes


def test_a_refresh_token_gives_access_tokens_that_end(server, client):
    client.check_user()
    server.tokens.expire()
    client.check_user()
    assert server.tokens.refreshed == 2
    token = server.tokens.issue()
    alone = sdk_on(server, oauth2_refresh_token=None, oauth2_access_token=token)
    alone.check_user()
    server.tokens.expire()
    with pytest.raises(exceptions.AuthError) as caught:
        alone.check_user()
    assert caught.value.error.is_expired_access_token()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"oauth2_refresh_token": "other"}, exceptions.AuthError),
        ({"app_key": "other"}, exceptions.BadInputError),
        ({"app_secret": "other"}, exceptions.BadInputError),
        ({"oauth2_refresh_token": None, "oauth2_access_token": "sl.other"}, exceptions.AuthError),
        ({"oauth2_refresh_token": None, "oauth2_access_token": "not a token"}, exceptions.BadInputError),
    ],
)
def test_wrong_credentials_are_refused(server, changes, error):
    with pytest.raises(error):
        sdk_on(server, **changes).check_user()


def test_an_app_with_a_public_client_needs_no_secret(server):
    sdk_on(server, app_secret=None).check_user()


@pytest.mark.parametrize("scope", sorted(ALL_SCOPES))
def test_a_missing_scope_is_named(server, monkeypatch, scope):
    monkeypatch.setattr(server, "tokens", Tokens(App(scopes=ALL_SCOPES - {scope})))
    client = sdk_on(server)
    call = {
        "account_info.read": client.users_get_space_usage,
        "files.metadata.read": lambda: client.files_list_folder(""),
        "files.content.read": lambda: client.files_download("/x"),
        "files.content.write": lambda: client.files_upload(b"", "/x"),
    }[scope]
    with pytest.raises(exceptions.AuthError) as caught:
        call()
    assert caught.value.error.get_missing_scope().required_scope == scope


def test_requests_that_are_none_are_refused(server):
    def post(route, **options):
        return requests.post(f"https://{server.host}/{route}", verify=str(server.ca_file), timeout=5, **options)

    bearer = {"Authorization": f"Bearer {server.tokens.issue()}"}
    assert post("2/files/get_metadata").status_code == 400
    assert post("2/files/nothing_like_it", headers=bearer).status_code == 404
    assert post("2/files/get_metadata", headers=bearer, data=b"{").status_code == 400
    assert post("2/files/get_metadata", headers=bearer, data=b"{}").status_code == 400
    assert post("2/files/list_folder", headers=bearer, json={"path": "/"}).status_code == 400
    assert post("oauth2/token", data={"client_id": "app-key", "grant_type": "other"}).status_code == 400
    basic = post(
        "oauth2/token", auth=("app-key", "app-secret"), data={"grant_type": "refresh_token", "refresh_token": "x"}
    )
    assert (basic.status_code, basic.json()["error"]) == (400, "invalid_grant")


# Files


def test_a_file_has_a_revision_a_hash_and_one_path_in_any_case(client):
    made = client.files_upload(b"abc", "/Models/BTC/x.json")
    assert (made.size, made.content_hash) == (3, official_content_hash(b"abc"))
    assert client.files_get_metadata("/models/btc/X.JSON") == made
    again = client.files_upload(b"abcd", "/models/btc/x.JSON", OVERWRITE)
    assert again.path_display == "/Models/BTC/x.json"
    assert again.id == made.id
    assert again.rev != made.rev
    metadata, response = client.files_download("/models/btc/x.json")
    assert (metadata.rev, response.content) == (again.rev, b"abcd")


def test_adding_the_same_bytes_is_no_conflict_and_no_revision(client):
    made = client.files_upload(b"abc", "/a.b/x.json")
    assert client.files_upload(b"abc", "/a.b/x.json") == made
    assert client.files_upload(b"abc", "/a.b/x.json", OVERWRITE) == made
    assert "conflict" in refused(lambda: client.files_upload(b"abc", "/a.b/x.json", strict_conflict=True))
    assert "conflict" in refused(lambda: client.files_upload(b"other", "/a.b/x.json"))
    assert client.files_upload(b"other", "/a.b/x.json", autorename=True).path_display == "/a.b/x (1).json"
    assert client.files_upload(b"third", "/a.b/x.json", autorename=True).path_display == "/a.b/x (2).json"


def test_updating_needs_the_revision_that_stands(client):
    first = client.files_upload(b"1", "/pointer")
    second = client.files_upload(b"2", "/pointer", UPDATE(first.rev), strict_conflict=True)
    assert "conflict" in refused(lambda: client.files_upload(b"3", "/pointer", UPDATE(first.rev), strict_conflict=True))
    assert "conflict" in refused(lambda: client.files_upload(b"3", "/pointer", UPDATE(first.rev)))
    assert client.files_upload(b"2", "/pointer", UPDATE(first.rev)) == second
    assert "conflict" in refused(lambda: client.files_upload(b"2", "/pointer", UPDATE(first.rev), strict_conflict=True))
    copy = client.files_upload(b"3", "/pointer", UPDATE(first.rev), autorename=True)
    assert copy.path_display == "/pointer (conflicted copy)"
    client.files_delete_v2("/pointer")
    assert "conflict" in refused(
        lambda: client.files_upload(b"4", "/pointer", UPDATE(second.rev), strict_conflict=True)
    )
    client.files_upload(b"4", "/pointer", UPDATE(second.rev))


def test_names_that_cannot_be_are_refused(client):
    client.files_upload(b"x", "/file")
    client.files_create_folder_v2("/folder")
    assert "file_ancestor" in refused(lambda: client.files_upload(b"x", "/file/below"))
    assert "folder" in refused(lambda: client.files_upload(b"x", "/folder"))
    assert "disallowed_name" in refused(lambda: client.files_upload(b"x", "/a/Desktop.ini"))
    assert "malformed_path" in refused(lambda: client.files_upload(b"x", f"/{'n' * 256}"))
    assert "not_file" in refused(lambda: client.files_download("/folder"))
    assert "not_found" in refused(lambda: client.files_get_metadata("/absent"))
    assert "not_folder" in refused(lambda: client.files_list_folder("/file"))


def test_bytes_that_changed_on_the_way_are_refused(client):
    wrong = official_content_hash(b"others")
    assert "content_hash_mismatch" in refused(lambda: client.files_upload(b"x", "/a", content_hash=wrong))
    assert "content_hash_mismatch" in refused(lambda: client.files_upload_session_start(b"x", content_hash=wrong))


def test_folders_are_made_listed_moved_and_deleted(client):
    assert client.files_create_folder_v2("/A/B").metadata.path_display == "/A/B"
    assert "conflict" in refused(lambda: client.files_create_folder_v2("/a/b"))
    assert client.files_create_folder_v2("/A/B", autorename=True).metadata.path_display == "/A/B (1)"
    client.files_upload(b"1", "/A/B/x")
    client.files_upload(b"2", "/A/B/C/y")
    assert names(client.files_list_folder("")) == ["A"]
    assert names(client.files_list_folder("/a/b")) == ["C", "x"]
    assert names(client.files_list_folder("/A/B", recursive=True)) == ["C", "y", "x"]
    assert client.files_move_v2("/A/B", "/Moved/There").metadata.path_display == "/Moved/There"
    assert client.files_download("/moved/there/c/y")[1].content == b"2"
    assert "not_found" in refused(lambda: client.files_move_v2("/A/B", "/C"))
    assert "conflict" in refused(lambda: client.files_move_v2("/Moved/There/x", "/Moved/There/C/y"))
    renamed = client.files_move_v2("/Moved/There/x", "/Moved/There/C/y", autorename=True)
    assert renamed.metadata.path_display == "/Moved/There/C/y (1)"
    assert "nested" in refused(lambda: client.files_move_v2("/Moved", "/Moved/Within"))
    client.files_delete_v2("/Moved")
    assert names(client.files_list_folder("", recursive=True)) == ["A", "B (1)"]


def test_deleting_may_depend_on_the_revision(client):
    made = client.files_upload(b"1", "/x")
    client.files_upload(b"2", "/x", OVERWRITE)
    assert "conflict" in refused(lambda: client.files_delete_v2("/x", parent_rev=made.rev))
    assert "not_found" in refused(lambda: client.files_delete_v2("/y"))


def test_a_batch_of_deletions_is_a_job_with_a_result_for_each(server, client, monkeypatch):
    client.files_upload(b"1", "/x")
    job = client.files_delete_batch([files.DeleteArg("/x"), files.DeleteArg("/absent")]).get_async_job_id()
    states = [client.files_delete_batch_check(job) for _ in range(1 + server.account.job_asks)]
    assert states[-1].is_complete()
    assert [entry.is_success() for entry in states[-1].get_complete().entries] == [True, False]
    assert "invalid_async_job_id" in refused(lambda: client.files_delete_batch_check("dbjid:none"))
    monkeypatch.setattr(server.account, "job_asks", 3)
    job = client.files_delete_batch([files.DeleteArg("/x")]).get_async_job_id()
    states = [client.files_delete_batch_check(job) for _ in range(3)]
    assert [state.is_in_progress() for state in states] == [True, True, False]
    monkeypatch.setattr(server.account, "job_asks", 0)
    assert client.files_delete_batch([files.DeleteArg("/x")]).is_complete()


def test_a_listing_comes_in_pages_and_its_cursor_then_tells_of_changes(server, client):
    for number in range(7):
        client.files_upload(b"%d" % number, f"/f/{number}")
    page, seen = client.files_list_folder("/f", limit=3), []
    while True:
        seen += names(page)
        if not page.has_more:
            break
        page = client.files_list_folder_continue(page.cursor)
    assert seen == [str(number) for number in range(7)]
    client.files_delete_v2("/f/3")
    client.files_upload(b"new", "/f/7")
    client.files_upload(b"elsewhere", "/g/0")
    changes = client.files_list_folder_continue(page.cursor)
    assert [(type(entry).__name__, entry.name) for entry in changes.entries] == [
        ("DeletedMetadata", "3"),
        ("FileMetadata", "7"),
    ]
    assert client.files_list_folder_continue(changes.cursor).entries == []
    assert "reset" in refused(lambda: client.files_list_folder_continue("unknown"))


def test_a_quota_is_a_limit_of_all_bytes(server, client, monkeypatch):
    monkeypatch.setattr(server.account.tree, "quota", 10)
    client.files_upload(b"123456", "/a")
    assert "insufficient_space" in refused(lambda: client.files_upload(b"12345", "/b"))
    client.files_upload(b"1234567890", "/a", OVERWRITE)
    usage = client.users_get_space_usage()
    assert (usage.used, usage.allocation.get_individual().allocated) == (10, 10)
    client.files_delete_v2("/a")
    assert client.users_get_space_usage().used == 0


# Upload sessions


def test_a_session_takes_bytes_at_its_offset_only(client):
    session = client.files_upload_session_start(b"one").session_id
    cursor = files.UploadSessionCursor(session, 5)
    with pytest.raises(exceptions.ApiError) as caught:
        client.files_upload_session_append_v2(b"two", cursor)
    assert caught.value.error.get_incorrect_offset().correct_offset == 3
    client.files_upload_session_append_v2(b"two", files.UploadSessionCursor(session, 3), close=True)
    assert "closed" in refused(
        lambda: client.files_upload_session_append_v2(b"x", files.UploadSessionCursor(session, 6))
    )
    commit = files.CommitInfo(path="/x")
    assert "incorrect_offset" in refused(
        lambda: client.files_upload_session_finish(b"", files.UploadSessionCursor(session, 3), commit)
    )
    made = client.files_upload_session_finish(b"", files.UploadSessionCursor(session, 6), commit)
    assert made.content_hash == official_content_hash(b"onetwo")
    assert "not_found" in refused(
        lambda: client.files_upload_session_finish(b"", files.UploadSessionCursor(session, 6), commit)
    )


def test_finishing_may_bring_the_last_bytes_and_meet_a_conflict(client):
    session = client.files_upload_session_start(b"one").session_id
    made = client.files_upload_session_finish(
        b"two", files.UploadSessionCursor(session, 3), files.CommitInfo(path="/x")
    )
    assert made.size == 6
    session = client.files_upload_session_start(b"other").session_id
    assert "conflict" in refused(
        lambda: client.files_upload_session_finish(
            b"", files.UploadSessionCursor(session, 5), files.CommitInfo(path="/x")
        )
    )


def test_a_batch_of_sessions_becomes_files_by_one_commit_with_a_result_for_each(server, client):
    client.files_upload(b"taken", "/taken")
    sessions = client.files_upload_session_start_batch(5).session_ids
    body = b"a" + b"bb" + b"" + b"dddd"
    entries = [piece(session, 0, size, size != 4) for session, size in zip(sessions, (1, 2, 0, 4), strict=False)]
    outcomes = client.files_upload_session_append_batch(body, entries).entries
    assert all(outcome.is_success() for outcome in outcomes)
    before = server.commits.get("files/upload_session/finish_batch_v2", 0)
    results = client.files_upload_session_finish_batch_v2(
        [
            finish(sessions[0], 1, "/f/a"),
            finish(sessions[1], 2, "/taken"),
            finish(sessions[2], 0, "/f/empty"),
            finish(sessions[3], 4, "/f/open"),
            finish("unknown", 4, "/f/unknown"),
        ]
    ).entries
    assert [result.is_success() for result in results] == [True, False, True, False, False]
    told = [str(result.get_failure()) for result in results if result.is_failure()]
    assert ["conflict" in told[0], "not_closed" in told[1], "not_found" in told[2]] == [True, True, True]
    assert server.commits["files/upload_session/finish_batch_v2"] == before + 1


def test_appending_in_a_batch_tells_each_session_what_is_wrong(client):
    first, second = client.files_upload_session_start_batch(2).session_ids
    client.files_upload_session_append_batch(b"abcd", [piece(first, 0, 2), piece(second, 0, 2, close=False)])
    outcomes = client.files_upload_session_append_batch(
        b"xyz", [piece(first, 2, 1), piece(second, 0, 1), piece("unknown", 0, 1)]
    ).entries
    assert outcomes[0].get_failure().is_closed()
    assert outcomes[1].get_failure().get_incorrect_offset().correct_offset == 2
    assert outcomes[2].get_failure().is_not_found()
    assert "length_mismatch" in refused(lambda: client.files_upload_session_append_batch(b"xyz", [piece(second, 2, 1)]))


def test_batches_have_a_size_and_sessions_one_kind(client):
    with pytest.raises(exceptions.BadInputError, match="sequential"):
        client.files_upload_session_start(b"", session_type=files.UploadSessionType.concurrent)
    client.files_upload_session_start(b"", session_type=files.UploadSessionType.sequential)


def test_two_commits_at_once_are_one_too_many(server, client, monkeypatch):
    client.check_user()
    monkeypatch.setattr(server.account, "commit_s", 0.5)
    other = sdk_on(server)
    other.check_user()
    slow = threading.Thread(target=lambda: other.files_upload(b"1", "/1"))
    slow.start()
    while not server.account._writing.locked():
        pass
    with pytest.raises(exceptions.RateLimitError) as caught:
        client.files_upload(b"2", "/2")
    slow.join()
    assert caught.value.error.reason.is_too_many_write_operations()
    assert caught.value.backoff == 1
    assert server.commits == {"files/upload": 1}


# Faults


@pytest.mark.parametrize("reason", ["too_many_requests", "too_many_write_operations"])
def test_a_limit_says_its_reason_and_how_long_to_wait(server, client, reason):
    server.faults = FaultPlan([Fault(kind=reason, path="upload", retry_after_s=7)])
    with pytest.raises(exceptions.RateLimitError) as caught:
        client.files_upload(b"1", "/1")
    assert caught.value.backoff == 7
    assert getattr(caught.value.error.reason, f"is_{reason}")()
    client.files_upload(b"1", "/1")


@pytest.mark.parametrize(
    ("kind", "error", "done"),
    [
        ("server_error", exceptions.InternalServerError, False),
        ("html", AssertionError, False),
        ("drop", requests.ConnectionError, False),
        ("timeout", requests.RequestException, False),
        ("lost_reply", requests.ConnectionError, True),
        ("truncated", requests.RequestException, True),
        ("insufficient_space", exceptions.ApiError, False),
    ],
)
def test_a_fault_happens_at_the_call_it_was_planned_for(server, client, kind, error, done):
    client.check_user()
    server.faults = FaultPlan([Fault(kind=kind, call=2)])
    client.check_user()
    with pytest.raises(error):
        client.files_upload(b"abc", "/x")
    assert ("/x" in server.files()) == done
    assert server.faults.calls == ["check/user", "files/upload"]
    client.files_upload(b"abc", "/x")


def test_a_broken_upload_leaves_half_its_bytes_in_the_session(server, client):
    session = client.files_upload_session_start(b"").session_id
    server.faults = FaultPlan([Fault(kind="partial_upload", call=1)])
    with pytest.raises(requests.ConnectionError):
        client.files_upload_session_append_v2(b"abcdef", files.UploadSessionCursor(session, 0), close=True)
    with pytest.raises(exceptions.ApiError) as caught:
        client.files_upload_session_append_v2(b"abcdef", files.UploadSessionCursor(session, 0), close=True)
    assert caught.value.error.get_incorrect_offset().correct_offset == 3


def test_a_stale_listing_is_that_of_some_commits_ago(server, client):
    for number in range(3):
        client.files_upload(b"x", f"/{number}")
    client.files_delete_v2("/0")
    server.faults = FaultPlan([Fault(kind="stale_listing", commits=ago) for ago in (1, 2, 9)])
    listed = [names(client.files_list_folder("")) for _ in range(4)]
    assert listed == [["0", "1", "2"], ["0", "1"], [], ["1", "2"]]


def test_a_corrupted_byte_is_not_noticed_by_the_service(server, client):
    server.faults = FaultPlan([Fault(kind="corrupt", path="/x")])
    made = client.files_upload(b"abc", "/x")
    assert made.content_hash == official_content_hash(server.files()["/x"]) != official_content_hash(b"abc")


def test_a_plan_is_read_from_a_file_and_a_wrong_one_is_named(tmp_path, server, client):
    plan = tmp_path / "faults.json"
    plan.write_text(json.dumps([{"kind": "server_error", "path": "files/upload", "times": 2}]))
    server.faults = load_fault_plan(plan)
    for _ in range(2):
        with pytest.raises(exceptions.InternalServerError):
            client.files_upload(b"1", "/1")
    client.files_upload(b"1", "/1")
    for text in ('[{"kind": "meteor"}]', "[{]", '[{"kind": "drop", "when": 1}]'):
        plan.write_text(text)
        with pytest.raises(ConfigError, match=r"faults\.json"):
            load_fault_plan(plan)
    with pytest.raises(ConfigError, match=r"absent\.json"):
        load_fault_plan(tmp_path / "absent.json")


def test_the_sdk_waits_out_a_limit_by_itself(server):
    patient = dropbox.Dropbox(
        oauth2_access_token=server.tokens.issue(), session=sdk_on(server)._session, timeout=5, max_retries_on_error=0
    )
    server.faults = FaultPlan([Fault(kind="too_many_requests", times=3)])
    patient.check_user()
    assert len(server.faults.calls) == 4


@pytest.mark.parametrize(
    ("route", "argument"),
    [
        ("files/get_metadata", {}),
        ("files/get_metadata", {"path": 7}),
        ("files/delete_batch", {"entries": ["/a"]}),
        ("files/list_folder", {"path": "", "recursive": "yes"}),
        ("files/upload_session/start_batch", {"num_sessions": "2"}),
        ("files/upload_session/finish_batch_v2", {"entries": [{"cursor": {"session_id": "a"}, "commit": {}}]}),
    ],
)
def test_a_field_that_is_missing_or_of_another_type_is_a_bad_request(server, route, argument):
    answer = requests.post(
        f"https://{server.host}/2/{route}",
        headers={"Authorization": f"Bearer {server.tokens.issue()}"},
        json=argument,
        verify=str(server.ca_file),
        timeout=10,
    )
    assert answer.status_code == 400
    assert "missing or wrong field" in answer.text
