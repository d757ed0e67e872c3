"""The routes that bring bytes: single uploads, sessions, batches."""

from dataclasses import replace
from itertools import accumulate
from typing import Final

from huracan.domain.json import JsonObject
from huracan.worlds.dropbox.argument import Argument, SessionCursor
from huracan.worlds.dropbox.refusals import (
    PathWriteError,
    RefusedError,
    SessionError,
    bad_request,
    nested,
    route_error,
)
from huracan.worlds.dropbox.routes import Reply, Request, Route, untagged
from huracan.worlds.dropbox.tree import Write, content_hash

BATCH: Final = 1000
PAYLOAD: Final = 150 << 20
_WRITE: Final = "files.content.write"


def upload(request: Request) -> Reply:
    """files/upload."""
    _check_bytes(request)
    with request.account.commit(request.route, request.fault) as tree:
        try:
            entry = tree.write(request.arg.text("path"), request.stored, Write.of(request.arg))
        except PathWriteError as error:
            failed: JsonObject = {".tag": "path", "reason": nested(*error.tags), "upload_session_id": ""}
            raise route_error(failed) from None
    return Reply(untagged(entry.metadata()))


def start(request: Request) -> Reply:
    """files/upload_session/start."""
    _refuse_concurrent(request)
    _check_bytes(request)
    session = request.account.sessions.start(request.stored, close=request.arg.flag("close"))
    return Reply({"session_id": session})


def start_batch(request: Request) -> Reply:
    """files/upload_session/start_batch."""
    _refuse_concurrent(request)
    number = request.arg.number("num_sessions")
    if not 1 <= number <= BATCH:
        raise bad_request(request.route, f"num_sessions: {number} is not within 1 and {BATCH}")
    return Reply({"session_ids": [request.account.sessions.start() for _ in range(number)]})


def append(request: Request) -> Reply:
    """files/upload_session/append_v2."""
    _check_bytes(request)
    try:
        cursor = SessionCursor.of(request.arg)
        request.account.sessions.append(cursor, request.stored, close=request.arg.flag("close"))
    except SessionError as error:
        raise route_error(error.error) from None
    return Reply(None)


def append_batch(request: Request) -> Reply:
    """files/upload_session/append_batch: the bytes of many sessions, one after the other."""
    _check_bytes(request)
    entries = request.arg.parts("entries")
    ends = list(accumulate(entry.number("length") for entry in entries))
    if ends and ends[-1] != len(request.body):
        raise route_error({".tag": "length_mismatch"})
    results: list[JsonObject] = []
    for entry, end in zip(entries, ends, strict=True):
        data = request.stored[end - entry.number("length") : end]
        try:
            request.account.sessions.append(SessionCursor.of(entry), data, close=entry.flag("close"))
            results.append({".tag": "success"})
        except SessionError as error:
            results.append({".tag": "failure", "failure": error.error})
    return Reply({"entries": results})


def append_part(request: Request) -> None:
    """What is left of an upload that broke off in the middle: half of its bytes, in their sessions."""
    if request.route == "files/upload_session/append_v2":
        entries = [(SessionCursor.of(request.arg), len(request.body), False)]
    elif request.route == "files/upload_session/append_batch":
        parts = request.arg.parts("entries")
        entries = [(SessionCursor.of(part), part.number("length"), part.flag("close")) for part in parts]
    else:
        return
    start_at, left = 0, len(request.body) // 2
    for cursor, length, close in entries:
        size = min(length, left)
        data = request.body[start_at : start_at + size]
        try:
            request.account.sessions.append(cursor, data, close=close and size == length)
        except SessionError:
            return
        start_at, left = start_at + length, left - size
        if left == 0:
            return


def finish(request: Request) -> Reply:
    """files/upload_session/finish, with the last bytes."""
    _check_bytes(request)
    sessions, cursor = request.account.sessions, SessionCursor.of(request.arg)
    with request.account.commit(request.route, request.fault):
        try:
            if request.body:
                sessions.append(cursor, request.stored)
                cursor = replace(cursor, offset=cursor.offset + len(request.body))
            return Reply(_finished(request, cursor, request.arg.part("commit"), closed=False))
        except SessionError as error:
            raise route_error(_lookup_failed(error)) from None
        except PathWriteError as error:
            raise route_error(nested("path", *error.tags)) from None


def finish_batch(request: Request) -> Reply:
    """files/upload_session/finish_batch_v2: one commit, a result for each entry."""
    entries = request.arg.parts("entries")
    if not 1 <= len(entries) <= BATCH:
        raise bad_request(request.route, f"entries: {len(entries)}, wanted 1 to {BATCH}")
    results: list[JsonObject] = []
    with request.account.commit(request.route, request.fault):
        for entry in entries:
            try:
                metadata = _finished(request, SessionCursor.of(entry), entry.part("commit"), closed=True)
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


def _finished(request: Request, cursor: SessionCursor, commit: Argument, *, closed: bool) -> JsonObject:
    account = request.account
    data = account.sessions.content(cursor, closed=closed)
    entry = account.tree.write(commit.text("path"), data, Write.of(commit))
    account.sessions.forget(cursor)
    return untagged(entry.metadata())


def _lookup_failed(error: SessionError) -> JsonObject:
    return {".tag": "lookup_failed", "lookup_failed": error.error}


def _refuse_concurrent(request: Request) -> None:
    if request.arg.tag("session_type", "sequential") != "sequential":
        raise bad_request(request.route, "session_type: this server knows sequential sessions only")


def _check_bytes(request: Request) -> None:
    if len(request.body) > PAYLOAD:
        raise RefusedError(413, "payload too large")
    wanted = request.arg.optional_text("content_hash")
    if wanted is not None and wanted != content_hash(request.body):
        raise route_error({".tag": "content_hash_mismatch"})
