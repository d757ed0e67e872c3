"""Many small files in few calls: bytes go into upload sessions, and a thousand sessions become files by one commit."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from dropbox import exceptions, files
from dropbox.content_hash import content_hash

from huracan.adapters.publishers.dropbox_calls import LATER, DropboxCalls, TransientError, api_failure, tags
from huracan.errors import FencedError, PublishError

PIECE_BYTES: Final = 8 << 20
HEADER_BYTES: Final = 6000
"""What a call's argument may measure: it travels in a header, and servers limit those."""

ROUNDS: Final = 6


@dataclass(slots=True)
class _Upload:
    """One file on its way: its session, and whether that took all its bytes."""

    path: str
    data: bytes
    digest: str
    session: str = ""
    broken: bool = False

    def cursor(self, offset: int) -> Any:
        return files.UploadSessionCursor(session_id=self.session, offset=offset)


@dataclass(slots=True)
class _Piece:
    """Some bytes of a file at an offset of its session; the last piece closes it."""

    upload: _Upload
    offset: int
    data: bytes = field(repr=False)

    @property
    def last(self) -> bool:
        return self.offset + len(self.data) == len(self.upload.data)


def upload_new(calls: DropboxCalls, given: Sequence[tuple[str, bytes]], deadline: float) -> None:
    """Make new files at remote paths, at most a thousand by one commit; those that stand there with the same bytes
    stay.

    Raises FencedError where a path holds other bytes, PublishError when the deadline passed or the service refuses.
    """
    waiting = [_Upload(path, data, content_hash(data)) for path, data in given]
    for _ in range(ROUNDS):
        _open_sessions(calls, waiting, deadline)
        for group in _groups(piece for upload in waiting for piece in _pieces(upload)):
            _append(calls, group, deadline)
        _finish(calls, waiting, deadline)
        waiting = [upload for upload in waiting if upload.broken]
        if not waiting:
            return
    raise PublishError(
        f"Dropbox: {len(waiting)} files did not arrive whole in {ROUNDS} rounds, among them {waiting[0].path}. {LATER}"
    )


def _open_sessions(calls: DropboxCalls, uploads: Sequence[_Upload], deadline: float) -> None:
    started = calls.run(
        "opening upload sessions", lambda client: client.files_upload_session_start_batch(len(uploads)), deadline
    )
    for upload, session in zip(uploads, started.session_ids, strict=True):
        upload.session, upload.broken = session, False


def _pieces(upload: _Upload) -> Iterator[_Piece]:
    for offset in range(0, max(1, len(upload.data)), PIECE_BYTES):
        yield _Piece(upload, offset, upload.data[offset : offset + PIECE_BYTES])


def _groups(pieces: Iterable[_Piece]) -> Iterator[list[_Piece]]:
    group: list[_Piece] = []
    size = header = 0
    for piece in pieces:
        cost = 100 + len(piece.upload.session)
        if group and (size + len(piece.data) > PIECE_BYTES or header + cost > HEADER_BYTES):
            yield group
            group, size, header = [], 0, 0
        group.append(piece)
        size, header = size + len(piece.data), header + cost
    if group:
        yield group


def _append(calls: DropboxCalls, group: Sequence[_Piece], deadline: float) -> None:
    left = [piece for piece in group if not piece.upload.broken]

    def append(client: Any) -> None:
        nonlocal left
        entries = [
            files.UploadSessionAppendBatchArgEntry(
                cursor=piece.upload.cursor(piece.offset), length=len(piece.data), close=piece.last
            )
            for piece in left
        ]
        body = b"".join(piece.data for piece in left)
        outcomes = _refused_only(lambda: client.files_upload_session_append_batch(body, entries).entries)
        left = [
            rest
            for piece, outcome in zip(left, outcomes, strict=True)
            if outcome.is_failure() and (rest := _rest(piece, outcome.get_failure())) is not None
        ]
        if left:
            raise TransientError(f"{len(left)} upload sessions did not take all their bytes")

    if left:
        calls.run("uploading", append, deadline)


def _refused_only(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except exceptions.ApiError as error:
        found = tags(error.error)
    if "content_hash_mismatch" in found or "length_mismatch" in found:
        raise TransientError(f"bytes changed on the way ({found[-1]})")
    raise api_failure(found)


def _rest(piece: _Piece, failure: Any) -> _Piece | None:
    """What is still to be sent of a piece; None when it is there, or its session is lost and the file starts anew."""
    end = piece.offset + len(piece.data)
    if failure.is_closed() and piece.last:
        return None  # an earlier call arrived, its answer did not
    if failure.is_incorrect_offset():
        reached = failure.get_incorrect_offset().correct_offset
        if reached == end and not piece.last:
            return None
        if piece.offset < reached <= end:
            return _Piece(piece.upload, reached, piece.data[reached - piece.offset :])
    piece.upload.broken = True
    return None


def _finish(calls: DropboxCalls, uploads: Sequence[_Upload], deadline: float) -> None:
    left = [upload for upload in uploads if not upload.broken]

    def finish(client: Any) -> None:
        nonlocal left
        entries = [
            files.UploadSessionFinishArg(
                cursor=upload.cursor(len(upload.data)), commit=files.CommitInfo(path=upload.path, mute=True)
            )
            for upload in left
        ]
        outcomes = client.files_upload_session_finish_batch_v2(entries).entries
        left = [
            upload for upload, outcome in zip(left, outcomes, strict=True) if not _finished(client, upload, outcome)
        ]
        if left:
            raise TransientError(f"too_many_write_operations for {len(left)} files")

    if left:
        calls.run("finishing uploads", finish, deadline)


def _finished(client: Any, upload: _Upload, outcome: Any) -> bool:
    """Whether there is nothing more to finish; a session that is gone or a file that is damaged marks it as broken."""
    if outcome.is_success():
        metadata = outcome.get_success()
        if metadata.content_hash != upload.digest:
            client.files_delete_v2(upload.path, parent_rev=metadata.rev)
            upload.broken = True
        return True
    failure = outcome.get_failure()
    if failure.is_lookup_failed():
        # Perhaps an earlier call became files and its answer was lost; writing the same bytes again changes nothing.
        upload.broken = True
        return True
    found = tags(failure)
    if "conflict" in found:
        raise FencedError(
            f"{upload.path} in Dropbox already holds other bytes; it is immutable, and another run owns that name"
        )
    problem = api_failure(found)
    if isinstance(problem, TransientError):
        return False
    raise problem
