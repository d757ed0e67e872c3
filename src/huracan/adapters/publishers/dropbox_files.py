"""Single files in Dropbox by the official SDK: list, ask, download, swap, delete. Needs the extra [dropbox]."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from dropbox import exceptions, files
from dropbox.content_hash import content_hash

from huracan.adapters.publishers.dropbox_access import DropboxAccess, DropboxEndpoint, Patience
from huracan.adapters.publishers.dropbox_calls import DropboxCalls, TransientError, api_failure, tags
from huracan.adapters.publishers.dropbox_upload import upload_new
from huracan.errors import BundleFormatError, FencedError, PublishError
from huracan.ports import RemoteFile

_POLL_S: Final = 0.2
_T = TypeVar("_T")


class DropboxFiles:
    """Calls on remote paths (absolute, as Dropbox has them); deadlines are monotonic seconds."""

    def __init__(self, access: DropboxAccess, endpoint: DropboxEndpoint, patience: Patience) -> None:
        self._calls = DropboxCalls(access, endpoint, patience)
        self.deadline, self.asking, self.close = self._calls.deadline, self._calls.asking, self._calls.close

    def probe(self, path: str, data: bytes) -> None:
        """Write, ask for, read and delete a file: PublishError names what is not allowed."""
        deadline, mode = self.deadline(), files.WriteMode.overwrite
        # Another run's probe may delete the file at any moment; what counts is that we may ask.
        self._calls.run("preflight", lambda client: client.files_upload(data, path, mode, mute=True), deadline)
        self.stat(path, deadline)
        self.download(path, len(data), deadline)
        self._calls.run("preflight", lambda client: _unless_absent(lambda: client.files_delete_v2(path)), deadline)

    def entries(self, folder: str, deadline: float) -> dict[str, tuple[str, RemoteFile | None]]:
        """Name, and file or None for a folder, of everything below a folder, by lower-case path; over all pages."""
        found: list[Any] = []
        what, ask = f"listing {folder or '/'}", partial(_first_page, folder=folder)
        while (page := self._calls.run(what, ask, deadline)) is not None:
            found += page.entries
            if not page.has_more:
                break
            ask = partial(_next_page, cursor=page.cursor)
            deadline = max(deadline, self.asking())  # a long listing that goes on is no silence
        else:
            # Either there is no such folder, or the service forgot its cursor and all pages are to be asked for anew.
            return self.entries(folder, deadline) if found else {}
        latest = {entry.path_lower: entry for entry in found}  # later pages hold changes since the first
        return {
            lower: (entry.name, _remote_file(entry))
            for lower, entry in latest.items()
            if not isinstance(entry, files.DeletedMetadata)
        }

    def stat(self, path: str, deadline: float) -> RemoteFile | None:
        """The file that is at a path now."""
        return self._calls.run(f"asking for {path}", lambda client: _stat(client, path), deadline)

    def download(self, path: str, limit: int, deadline: float) -> tuple[bytes, RemoteFile] | None:
        """Bytes that have the content hash of their metadata, and those; None if absent."""

        def download(client: Any) -> tuple[bytes, RemoteFile] | None:
            answer = _unless_absent(lambda: client.files_download(path))
            if answer is None:
                return None
            metadata, response = answer
            with response:
                if metadata.size > limit:
                    raise BundleFormatError(f"{path}: {metadata.size} bytes, at most {limit} allowed")
                data = bytearray()
                for chunk in response.iter_content(1 << 16):
                    data += chunk
                    if len(data) > metadata.size or time.monotonic() > deadline:
                        raise TransientError(f"{path}: more than its {metadata.size} bytes, or not in time")
            if content_hash(bytes(data)) != metadata.content_hash:
                raise TransientError(f"{path}: the bytes that arrived do not have its content hash")
            return bytes(data), _remote_file(metadata)

        return self._calls.run(f"reading {path}", download, deadline)

    def upload_new(self, given: Sequence[tuple[str, bytes]], deadline: float) -> None:
        """Make new files, at most a thousand, by one commit; see `dropbox_upload.upload_new`."""
        upload_new(self._calls, given, deadline)

    def swap(self, path: str, data: bytes, revision: str | None, deadline: float) -> str:
        """The new revision of a file replaced while it had this one (None: while it was absent).

        After a lost answer the service is asked: either our bytes are there, or the old revision is and we try again,
        or another run's are and this is a FencedError.
        """
        digest, unsure = content_hash(data), False

        def swap(client: Any) -> str:
            nonlocal revision, unsure
            if unsure:
                there = _stat(client, path)
                if (there.revision if there else None) != revision:
                    return _ours(path, there, digest)
            was_unsure, unsure = unsure, True
            mode = files.WriteMode.add if revision is None else files.WriteMode.update(revision)
            try:
                new = client.files_upload(data, path, mode, mute=True, strict_conflict=True)
            except exceptions.ApiError as error:
                if "conflict" not in tags(error.error):
                    raise
                new = None
            if new is None:
                return _ours(path, _stat(client, path) if was_unsure else None, digest)
            if new.content_hash != digest:
                revision = new.rev
                raise TransientError("the file does not have the content hash of what was sent")
            return str(new.rev)

        return self._calls.run(f"swapping {path}", swap, deadline)

    def delete(self, paths: Sequence[str], deadline: float) -> None:
        """Delete files, at most a thousand; absent ones are no error."""

        def delete(client: Any) -> None:
            launch = client.files_delete_batch([files.DeleteArg(path) for path in paths])
            status = launch
            while not status.is_complete():
                if status is not launch and not status.is_in_progress():
                    raise api_failure(tags(status))
                if time.monotonic() > deadline:
                    raise TransientError("the service is still deleting")
                time.sleep(_POLL_S)
                status = client.files_delete_batch_check(launch.get_async_job_id())
            for path, entry in zip(paths, status.get_complete().entries, strict=True):
                if entry.is_failure() and "not_found" not in tags(entry.get_failure()):
                    failure = api_failure(tags(entry.get_failure()))
                    raise failure if isinstance(failure, TransientError) else PublishError(f"{path}: {failure}")

        self._calls.run(f"deleting {len(paths)} files", delete, deadline)


def _first_page(client: Any, folder: str) -> Any:
    return _unless_absent(lambda: client.files_list_folder(folder, recursive=True))


def _next_page(client: Any, cursor: str) -> Any:
    """None where the service has forgotten its cursor: the listing starts anew."""
    try:
        return client.files_list_folder_continue(cursor)
    except exceptions.ApiError as error:
        if not error.error.is_reset():
            raise
    return None


def _stat(client: Any, path: str) -> RemoteFile | None:
    there = _unless_absent(lambda: client.files_get_metadata(path))
    return _remote_file(there) if isinstance(there, files.FileMetadata) else None


def _ours(path: str, there: RemoteFile | None, digest: str) -> str:
    """The revision of our bytes; FencedError when they are not what is there."""
    if there is None or there.digest != digest:
        raise FencedError(f"{path} in Dropbox was replaced by another run meanwhile; this one publishes nothing")
    return there.revision


def _unless_absent(call: Callable[[], _T]) -> _T | None:
    try:
        return call()
    except exceptions.ApiError as error:
        if tags(error.error)[-1] not in {"not_found", "not_file", "not_folder"}:
            raise
    return None


def _remote_file(metadata: Any) -> Any:
    """RemoteFile under the path as Dropbox shows it, None for a folder."""
    if not isinstance(metadata, files.FileMetadata):
        return None
    return RemoteFile(
        path=metadata.path_display, size=metadata.size, revision=metadata.rev, digest=metadata.content_hash
    )
