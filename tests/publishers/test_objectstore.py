"""Object stores against a real S3 server on loopback: conditional writes, faults, refusals, no secret in any message."""

import json
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from threading import Thread

import pytest
from remote_store_conformance import RemoteStoreConformance
from remotes import MemoryRemote, s3_variables

from huracan.adapters import refusals
from huracan.adapters.publishers.objectstore import ObjectStore
from huracan.errors import BundleFormatError, ConfigError, FencedError, PublishError

pytestmark = pytest.mark.slow


@pytest.fixture
def store(bucket, monkeypatch):
    monkeypatch.setattr(refusals, "_PAUSE_S", 0.01)
    return ObjectStore(bucket, allow_http=True, deadline_s=5, request_s=1)


class TestObjectStore(RemoteStoreConformance):
    @pytest.fixture
    def store(self, bucket):
        return ObjectStore(bucket, allow_http=True, deadline_s=20)

    rival = store


class TestMemoryRemote(RemoteStoreConformance):
    """The reference that other tests interleave: it must be a remote store as well."""

    @pytest.fixture
    def store(self):
        return MemoryRemote()

    @pytest.fixture
    def rival(self, store):
        return store


# What every remote store does


def test_files_are_written_read_listed_swapped_and_removed(remote):
    assert remote.files("") == {}
    assert remote.read("a/b", 10) is None
    assert remote.write_new([("a/b", b"1"), ("a/c", b"22"), ("d", b"")]) == 3
    assert {path: file.size for path, file in remote.files("").items()} == {"a/b": 1, "a/c": 2, "d": 0}
    assert set(remote.files("a")) == {"a/b", "a/c"}
    data, file = remote.read("a/c", 2)
    assert (data, file.path, file.size) == (b"22", "a/c", 2)
    first = remote.swap("p", b"one", None)
    assert remote.read("p", 10)[1].revision == first
    second = remote.swap("p", b"two", first)
    assert second != first
    assert remote.read("p", 10)[0] == b"two"
    remote.remove(["a/b", "never/was", "p"])
    assert set(remote.files("")) == {"a/c", "d"}
    remote.close()


def test_an_immutable_file_accepts_the_same_bytes_and_no_others(remote):
    remote.write_new([("a", b"1")])
    assert remote.write_new([("a", b"1"), ("b", b"2")]) == 1
    for other in (b"2", b"11", b""):
        with pytest.raises(FencedError, match="holds other bytes"):
            remote.write_new([("a", other)])
    assert remote.read("a", 1)[0] == b"1"


def test_the_pointer_moves_only_from_the_revision_that_was_seen(remote):
    first = remote.swap("p", b"one", None)
    with pytest.raises(FencedError, match="p"):
        remote.swap("p", b"two", None)
    second = remote.swap("p", b"three", first)
    with pytest.raises(FencedError):
        remote.swap("p", b"four", first)
    assert remote.read("p", 9)[0] == b"three"
    remote.remove(["p"])
    with pytest.raises(FencedError):
        remote.swap("p", b"five", second)


def test_more_bytes_than_allowed_are_refused(remote):
    remote.write_new([("a", b"12345")])
    with pytest.raises(BundleFormatError, match="a"):
        remote.read("a", 4)
    assert remote.read("a", 5)[0] == b"12345"


def test_preflight_leaves_nothing_behind(remote):
    remote.preflight()
    assert remote.files("") == {}


def test_a_failing_source_of_files_ends_the_upload(remote):
    def files():
        yield "a", b"1"
        raise PublishError("deadline")

    with pytest.raises(PublishError, match="deadline"):
        remote.write_new(files())


# S3


def test_of_many_writers_at_once_exactly_one_creates_a_file(store):
    def write(number):
        try:
            return store.write_new([("claim", f"writer {number}".encode())])
        except FencedError:
            return 0

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(write, range(8))) == 1


def test_the_prefix_is_kept_apart_from_its_neighbours(bucket):
    one = ObjectStore(bucket, allow_http=True)
    two = ObjectStore(f"{bucket}-2/", allow_http=True)
    one.write_new([("a", b"1")])
    two.write_new([("a", b"2")])
    assert (one.read("a", 1)[0], two.read("a", 1)[0]) == (b"1", b"2")
    assert list(one.files("")) == ["a"]
    assert two.identity == f"{bucket}-2"


def test_what_the_listing_shows_unchanged_is_not_sent_again(store, s3):
    store.write_new([("a", b"1")])
    store.files("")
    s3.requests.clear()
    assert store.write_new([("a", b"1")]) == 0
    assert s3.requests == []


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_store_that_recovers_in_time_is_waited_for(store, s3, status):
    calls = count()
    s3.fault = lambda _method, _path: status if next(calls) % 3 else None
    store.write_new([("a", b"1"), ("b", b"2")])
    revision = store.swap("p", b"one", None)
    store.swap("p", b"two", revision)
    assert store.read("p", 3)[0] == b"two"
    assert set(store.files("")) == {"a", "b", "p"}
    store.remove(["a"])
    assert set(store.files("")) == {"b", "p"}


def test_a_write_whose_answer_was_lost_is_recognised_as_ours(store, s3):
    lost = {"/huracan/a": 1, "/huracan/p": 2}

    def fault(method, path):
        name = "/huracan/" + path.rsplit("/", 1)[1]
        if method != "PUT" or not lost.get(name):
            return None
        lost[name] -= 1
        return "lost"

    s3.fault = fault
    store.write_new([("a", b"1")])
    revision = store.swap("p", b"one", None)
    assert store.read("p", 3)[1].revision == revision
    store.swap("p", b"two", revision)
    assert (store.read("a", 1)[0], store.read("p", 3)[0]) == (b"1", b"two")
    assert lost == {"/huracan/a": 0, "/huracan/p": 0}


def test_a_slow_answer_is_given_up_and_asked_for_again(store, s3):
    calls = count()
    s3.fault = lambda method, _path: "slow" if method == "PUT" and next(calls) == 0 else None
    store.write_new([("a", b"1")])
    assert store.read("a", 1)[0] == b"1"


def test_a_store_that_never_answers_is_pending_after_the_deadline(bucket, s3):
    naps = []
    patient = ObjectStore(bucket, allow_http=True, deadline_s=1, sleep=naps.append)
    s3.fault = lambda _method, _path: 503
    for call in (
        lambda: patient.read("a", 1),
        lambda: patient.files(""),
        lambda: patient.write_new([("a", b"1")]),
        lambda: patient.swap("p", b"1", None),
        lambda: patient.remove(["a"]),
        patient.preflight,
    ):
        naps.clear()
        with pytest.raises(PublishError, match="no answer") as caught:
            call()
        assert caught.value.exit_status == 5
        assert naps == sorted(naps)
    assert patient.identity in str(caught.value)


def test_nobody_listening_is_pending(monkeypatch):
    for name, value in s3_variables("http://127.0.0.1:9").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-nobody-should-see")
    away = ObjectStore("s3://nowhere/x", allow_http=True, deadline_s=0.1)
    with pytest.raises(PublishError) as caught:
        away.read("a", 1)
    assert "a-secret" not in repr(caught.value) + repr(away) + repr(caught.value.__context__)


def answer(status, code, message="told by the store"):
    return status, f"<?xml version='1.0'?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()


CONFLICT = answer(409, "ConditionalRequestConflict")
PREFLIGHT = ".huracan-preflight"


def once(s3, fault, *, method="PUT", part=""):
    """Answers one request so; tells how often it did."""
    left = [1]

    def meddle(asked, path):
        if asked == method and part in path and left[0]:
            left[0] -= 1
            return fault
        return None

    s3.fault = meddle
    return left


def test_a_write_that_meets_a_conflict_is_made_again(store, s3):
    for act in (
        lambda: store.write_new([("models/m.json", b"1")]),
        lambda: store.swap("p", b"one", None),
        lambda: store.swap("p", b"two", store.read("p", 9)[1].revision),
        store.preflight,
    ):
        left = once(s3, CONFLICT)
        act()
        assert left == [0]
    assert (store.read("models/m.json", 9)[0], store.read("p", 9)[0]) == (b"1", b"two")
    assert not store.files(PREFLIGHT)


def test_every_conditional_write_of_a_preflight_may_meet_a_conflict(store, s3):
    for number in range(3):
        writes = count()
        s3.fault = lambda method, _path, at=number, seen=writes: (
            CONFLICT if method == "PUT" and next(seen) == at else None
        )
        store.preflight()


@pytest.mark.parametrize("status", [412, 409])
def test_a_refused_condition_is_no_other_run_while_the_file_is_what_it_wants(store, s3, status):
    revision = store.swap("p", b"one", None)
    left = once(s3, answer(status, "PreconditionFailed"))
    revision = store.swap("p", b"two", revision)
    assert store.read("p", 9)[1].revision == revision
    assert left == [0]
    once(s3, answer(status, "PreconditionFailed"))
    assert store.write_new([("a", b"1")]) == 1


def test_a_conflict_that_stays_is_pending_and_never_fenced(store, s3, bucket):
    impatient = ObjectStore(bucket, allow_http=True, deadline_s=0.05)
    s3.fault = lambda method, _path: CONFLICT if method == "PUT" else None
    for act in (
        lambda: impatient.write_new([("a", b"1")]),
        lambda: impatient.swap("p", b"1", None),
        impatient.preflight,
    ):
        with pytest.raises(PublishError, match="ConditionalRequestConflict") as caught:
            act()
        assert not isinstance(caught.value, FencedError)
        assert caught.value.exit_status == 5


def test_after_a_conflict_the_file_of_another_run_fences(store, s3, bucket):
    rival = ObjectStore(bucket, allow_http=True)
    revision = store.swap("p", b"one", None)

    def overtaken(act):
        def meddle(method, _path):
            if method != "PUT":
                return None
            s3.fault = lambda _method, _path: None
            act()
            return CONFLICT

        return meddle

    s3.fault = overtaken(lambda: rival.swap("p", b"theirs", revision))
    with pytest.raises(FencedError, match="replaced meanwhile"):
        store.swap("p", b"ours", revision)
    s3.fault = overtaken(lambda: rival.write_new([("sets/2.json", b"theirs")]))
    with pytest.raises(FencedError, match="holds other bytes"):
        store.write_new([("sets/2.json", b"ours")])
    assert (store.read("p", 9)[0], store.read("sets/2.json", 9)[0]) == (b"theirs", b"theirs")


REFUSALS = [
    (403, "RequestTimeTooSkewed", "", "clock"),
    (403, "AccessDenied", "", "list, read, write and delete"),
    (403, "InvalidAccessKeyId", "", "AWS_ACCESS_KEY_ID"),
    (403, "SignatureDoesNotMatch", "", "AWS_SECRET_ACCESS_KEY"),
    (403, "InvalidObjectState", "", "archive"),
    (400, "ExpiredToken", "", "session token"),
    (
        400,
        "AuthorizationHeaderMalformed",
        "the region 'us-east-1' is wrong; expecting 'ap-south-1'",
        "AWS_REGION=ap-south-1",
    ),
    (501, "NotImplemented", "", "use one that has it"),
    (507, "InsufficientStorage", "", "full"),
    (404, "NoSuchBucket", "", "does not exist"),
]


@pytest.mark.parametrize(("status", "code", "message", "advice"), REFUSALS, ids=[row[1] for row in REFUSALS])
def test_a_refusal_keeps_the_code_says_what_to_do_and_is_not_repeated(bucket, s3, status, code, message, advice):
    naps = []
    store = ObjectStore(bucket, allow_http=True, sleep=naps.append)
    s3.fault = lambda _method, _path: answer(status, code, message)
    for act in (
        store.preflight,
        lambda: store.read("a", 1),
        lambda: store.files(""),
        lambda: store.swap("p", b"1", None),
    ):
        with pytest.raises(PublishError, match=advice) as caught:
            act()
        assert code in str(caught.value) or status == 404
        assert code == "AccessDenied" or "list, read, write" not in str(caught.value)
    assert naps == []


@pytest.mark.parametrize("status", [301, 307])
def test_a_store_that_only_redirects_is_asked_for_its_region(bucket, s3, status):
    naps = []
    store = ObjectStore(bucket, allow_http=True, sleep=naps.append)
    s3.fault = lambda _method, _path: answer(status, "PermanentRedirect")
    for act in (store.preflight, lambda: store.read("a", 1)):
        with pytest.raises(PublishError, match="set AWS_REGION=eu-west-1"):
            act()
    assert naps == []


@pytest.mark.parametrize(
    ("status", "code"), [(503, "SlowDown"), (502, ""), (400, "RequestTimeout"), (409, "OperationAborted"), (429, "")]
)
def test_what_may_get_better_is_repeated_and_then_told_with_its_code(store, s3, status, code):
    once(s3, answer(status, code), method="GET")
    assert store.read("a", 1) is None
    impatient = ObjectStore(store.identity, allow_http=True, deadline_s=0.05)
    s3.fault = lambda _method, _path: answer(status, code)
    with pytest.raises(PublishError, match=f"no answer.*{code}"):
        impatient.read("a", 1)


def test_what_went_wrong_first_is_told_when_the_test_file_cannot_be_removed_either(store, s3):
    s3.fault = lambda method, _path: {"PUT": "unconditional", "POST": 403}.get(method)
    with pytest.raises(PublishError, match="ignores conditional writes"):
        store.preflight()


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_not_tried_again(bucket, s3, status):
    naps = []
    store = ObjectStore(bucket, allow_http=True, sleep=naps.append)
    s3.fault = lambda _method, _path: status
    with pytest.raises(PublishError, match="list, read, write and delete") as caught:
        store.write_new([("a", b"1")])
    assert naps == []
    assert "test-secret-of-the-bucket" not in repr(caught.value)


def test_a_proxy_that_object_stores_cannot_use_is_told_and_not_repeated(bucket, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    naps = []
    with pytest.raises(PublishError, match=r"ALL_PROXY.*not http://") as caught:
        ObjectStore(bucket, allow_http=True, sleep=naps.append).read("a", 1)
    assert naps == []
    assert "refused" in str(caught.value)


def test_a_missing_bucket_is_named(bucket):
    absent = ObjectStore("s3://there-is-no-such-bucket/x", allow_http=True)
    for call in (absent.preflight, lambda: absent.write_new([("a", b"1")]), lambda: absent.files("")):
        with pytest.raises(PublishError, match="bucket does not exist"):
            call()


def test_a_server_that_ignores_conditions_is_found_out(store, s3):
    s3.fault = lambda _method, _path: "unconditional"
    with pytest.raises(PublishError, match="ignores conditional writes"):
        store.preflight()
    s3.fault = lambda _method, _path: None
    assert store.files("") == {}


def test_a_server_that_forgets_what_it_was_given_is_found_out(store, s3):
    s3.fault = lambda method, _path: 404 if method == "GET" else None
    with pytest.raises(PublishError, match="not read back"):
        store.preflight()


@pytest.mark.parametrize(
    "url",
    [
        "file:///tmp/x",
        "http://host/x",
        "s3:bucket",
        "s3://",
        "s3:///x",
        "s3://a/../b",
        "s3://a//b",
        "s3://id:secret@bucket/x",
        "s3://bucket/x?sig=secret",
        "bucket",
    ],
)
def test_other_urls_are_refused_without_repeating_their_secrets(url):
    with pytest.raises(ConfigError, match=r"s3://bucket/prefix") as caught:
        ObjectStore(url)
    assert "secret" not in str(caught.value)


def test_plain_http_needs_permission(bucket):
    with pytest.raises(PublishError):
        ObjectStore(bucket, deadline_s=0.1).read("a", 1)


class Google(BaseHTTPRequestHandler):
    """As much of Google's XML API as the store uses: objects with generations, and writes that depend on them."""

    objects: dict[str, tuple[bytes, int]] = {}  # noqa: RUF012
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        found = self.objects.get(self.path)
        if found is None:
            self.answer(404)
        else:
            self.answer(200, found[0], found[1])

    def do_PUT(self):
        data = self.rfile.read(int(self.headers["Content-Length"]))
        wanted = self.headers.get("x-goog-if-generation-match")
        now = self.objects.get(self.path, (b"", 0))[1]
        if wanted is not None and int(wanted) != now:
            self.answer(412)
            return
        self.objects[self.path] = (data, now + 7)
        self.answer(200, b"", now + 7)

    def do_DELETE(self):
        self.answer(204 if self.objects.pop(self.path, None) else 404)

    def answer(self, status, body=b"", generation=0):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("x-goog-generation", str(generation))
        self.send_header("ETag", f'"{generation}"')
        self.send_header("Last-Modified", "Wed, 25 Nov 2026 00:00:00 GMT")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        return


def test_google_compares_generations(monkeypatch, tmp_path):
    """Not Google's server: what is checked is that the conditions our client sends are those of Google's interface."""
    Google.objects.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Google)
    thread = Thread(target=server.serve_forever)
    thread.start()
    # An account without tokens: nothing asks the machine's metadata service for one.
    account = {"gcs_base_url": f"http://127.0.0.1:{server.server_port}", "disable_oauth": True}
    file = tmp_path / "account.json"
    file.write_text(json.dumps({**account, "client_email": "", "private_key": "", "private_key_id": ""}))
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(file))
    monkeypatch.delenv("GOOGLE_SERVICE_ACCOUNT_KEY", raising=False)
    try:
        store = ObjectStore("gs://bucket/x", allow_http=True, deadline_s=1)
        store.preflight()
        first = store.swap("p", b"one", None)
        assert first == "7"
        assert store.swap("p", b"two", first) == "14"
        for revision in (None, first):
            with pytest.raises(FencedError):
                store.swap("p", b"three", revision)
        assert store.read("p", 3)[1].revision == "14"
        store.remove(["p", "p"])
        assert store.read("p", 3) is None
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_reference_in_memory_answers_as_the_real_server(store):
    """What the other tests rely on: the same calls, the same answers."""

    def transcript(remote):
        told = []
        for call in (
            lambda: remote.write_new([("a", b"1"), ("b", b"2")]),
            lambda: remote.write_new([("a", b"1")]),
            lambda: remote.write_new([("a", b"x")]),
            lambda: sorted(remote.files("")),
            lambda: remote.read("a", 1)[0],
            lambda: remote.read("b", 0),
            lambda: remote.read("c", 0),
            lambda: bool(remote.swap("p", b"1", None)),
            lambda: remote.swap("p", b"2", "wrong"),
            lambda: remote.remove(["a", "zzz"]),
            lambda: sorted(remote.files("")),
        ):
            try:
                told.append(call())
            except (FencedError, BundleFormatError) as error:
                told.append(error.code)
        return told

    assert transcript(store) == transcript(MemoryRemote())
