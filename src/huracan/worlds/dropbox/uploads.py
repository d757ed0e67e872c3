"""The routes that bring bytes: single uploads, sessions, batches."""

from itertools import accumulate
from typing import Any, Final

from huracan.worlds.dropbox.refusals import (
    PathWriteError,
    RefusedError,
    SessionError,
    bad_request,
    nested,
    route_error,
)
from huracan.worlds.dropbox.routes import Reply, Request, Route
from huracan.worlds.dropbox.tree import Write, content_hash

BATCH: Final = 1000
PAYLOAD: Final = 150 << 20
_WRITE: Final = "files.content.write"


def upload(request: Request) -> Reply:
    """files/upload."""
    _check_bytes(request)
    with request.account.commit(request.route, request.fault) as tree:
        try:
            entry = tree.write(request.arg["path"], request.stored, Write.of(request.arg))
        except PathWriteError as error:
            failed = {".tag": "path", "reason": nested(*error.tags), "upload_session_id": ""}
            raise route_error(failed) from None
    return Reply(_file(entry.metadata()))


def start(request: Request) -> Reply:
    """files/upload_session/start."""
    _refuse_concurrent(request)
    _check_bytes(request)
    session = request.account.sessions.start(request.stored, close=request.arg.get("close", False))
    return Reply({"session_id": session})


def start_batch(request: Request) -> Reply:
    """files/upload_session/start_batch."""
    _refuse_concurrent(request)
    number = request.arg["num_sessions"]
    if not 1 <= number <= BATCH:
        raise bad_request(request.route, f"num_sessions: {number} is not within 1 and {BATCH}")
    return Reply({"session_ids": [request.account.sessions.start() for _ in range(number)]})


def append(request: Request) -> Reply:
    """files/upload_session/append_v2."""
    _check_bytes(request)
    try:
        cursor = request.arg["cursor"]
        request.account.sessions.append(cursor, request.stored, close=request.arg.get("close", False))
    except SessionError as error:
        raise route_error(error.error) from None
    return Reply(None)


def append_batch(request: Request) -> Reply:
    """files/upload_session/append_batch: the bytes of many sessions, one after the other."""
    _check_bytes(request)
    entries = request.arg["entries"]
    ends = list(accumulate(entry["length"] for entry in entries))
    if ends and ends[-1] != len(request.body):
        raise route_error({".tag": "length_mismatch"})
    results: list[dict[str, Any]] = []
    for entry, end in zip(entries, ends, strict=True):
        data = request.stored[end - entry["length"] : end]
        try:
            request.account.sessions.append(entry["cursor"], data, close=entry.get("close", False))
            results.append({".tag": "success"})
        except SessionError as error:
            results.append({".tag": "failure", "failure": error.error})
    return Reply({"entries": results})


def append_part(request: Request) -> None:
    """What is left of an upload that broke off in the middle: half of its bytes, in their sessions."""
    if request.route == "files/upload_session/append_v2":
        entries = [{"cursor": request.arg["cursor"], "length": len(request.body)}]
    elif request.route == "files/upload_session/append_batch":
        entries = request.arg["entries"]
    else:
        return
    start_at, left = 0, len(request.body) // 2
    for entry in entries:
        taken = min(entry["length"], left)
        part = request.body[start_at : start_at + taken]
        whole = taken == entry["length"] and entry.get("close", False)
        try:
            request.account.sessions.append(entry["cursor"], part, close=whole)
        except SessionError:
            return
        start_at, left = start_at + entry["length"], left - taken
        if left == 0:
            return


def finish(request: Request) -> Reply:
    """files/upload_session/finish, with the last bytes."""
    _check_bytes(request)
    sessions, cursor = request.account.sessions, request.arg["cursor"]
    with request.account.commit(request.route, request.fault):
        try:
            if request.body:
                sessions.append(cursor, request.stored)
                cursor = {**cursor, "offset": cursor["offset"] + len(request.body)}
            return Reply(_finished(request, cursor, request.arg["commit"], closed=False))
        except SessionError as error:
            raise route_error(_lookup_failed(error)) from None
        except PathWriteError as error:
            raise route_error(nested("path", *error.tags)) from None


def finish_batch(request: Request) -> Reply:
    """files/upload_session/finish_batch_v2: one commit, a result for each entry."""
    entries = request.arg["entries"]
    if not 1 <= len(entries) <= BATCH:
        raise bad_request(request.route, f"entries: {len(entries)}, wanted 1 to {BATCH}")
    results: list[dict[str, Any]] = []
    with request.account.commit(request.route, request.fault):
        for entry in entries:
            try:
                metadata = _finished(request, entry["cursor"], entry["commit"], closed=True)
                results.append({".tag": "success", **metadata})
            except SessionError as error:
                results.append({".tag": "failure", "failure": _lookup_failed(error)})
            except PathWriteError as error:
                results.append({".tag": "failure", "failure": nested("path", *error.tags)})
    return Reply({"entries": results})


UPLOADS: Final[dict[str, Route]] = {
    "files/upload": Route(upload, _WRITE, "upload", commits=True),
    "files/upload_session/start": Route(start, _WRITE, "upload"),
    "files/upload_session/start_batch": Route(start_batch, _WRITE),
    "files/upload_session/append_v2": Route(append, _WRITE, "upload"),
    "files/upload_session/append_batch": Route(append_batch, _WRITE, "upload"),
    "files/upload_session/finish": Route(finish, _WRITE, "upload", commits=True),
    "files/upload_session/finish_batch_v2": Route(finish_batch, _WRITE, commits=True),
}


def _finished(request: Request, cursor: dict[str, Any], commit: dict[str, Any], *, closed: bool) -> dict[str, Any]:
    account = request.account
    data = account.sessions.content(cursor, closed=closed)
    entry = account.tree.write(commit["path"], data, Write.of(commit))
    account.sessions.forget(cursor)
    return _file(entry.metadata())


def _lookup_failed(error: SessionError) -> dict[str, Any]:
    return {".tag": "lookup_failed", "lookup_failed": error.error}


def _file(metadata: dict[str, Any]) -> dict[str, Any]:
    """Without the tag: the route's type is FileMetadata itself."""
    return {name: value for name, value in metadata.items() if name != ".tag"}


def _refuse_concurrent(request: Request) -> None:
    kind = request.arg.get("session_type") or {".tag": "sequential"}
    if kind != "sequential" and kind[".tag"] != "sequential":
        raise bad_request(request.route, "session_type: this server knows sequential sessions only")


def _check_bytes(request: Request) -> None:
    if len(request.body) > PAYLOAD:
        raise RefusedError(413, "payload too large")
    wanted = request.arg.get("content_hash")
    if wanted is not None and wanted != content_hash(request.body):
        raise route_error({".tag": "content_hash_mismatch"})
