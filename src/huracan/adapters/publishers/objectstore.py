"""S3, Google Cloud Storage and Azure as remote stores, through obstore.

Credentials come from the environment as each cloud names them (AWS_*, GOOGLE_*, AZURE_*), or from the machine's role;
an endpoint of one's own from AWS_ENDPOINT_URL. `put` with a condition is atomic in all three clouds: that is the fence.
"""

import hashlib
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Final, TypeVar

import obstore
from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store, from_url

from huracan.adapters.publishers.paths import inside
from huracan.adapters.refusals import CONDITION, GivenUpError, NothingChangedError, Refusal, patiently
from huracan.errors import BundleFormatError, ConfigError, FencedError, PublishError
from huracan.ports import RemoteFile

if TYPE_CHECKING:
    from obstore import ObjectMeta, PutMode, PutResult, UpdateVersion
    from obstore.store import ClientConfig

T = TypeVar("T")
Cloud = S3Store | GCSStore | AzureStore
SCHEMES: Final = ("s3", "gs", "az")
WRITERS: Final = 8
"""Files written at once."""

_NO_BUCKET: Final = "NoSuchBucket"
_MD5 = re.compile('"?([0-9a-f]{32})"?')


class ObjectStore:
    """Implements `ports.RemoteStore` on a bucket; `deadline_s` bounds each operation with all its repetitions.

    `allow_http` is for servers on loopback. Raises ConfigError for another kind of URL.
    """

    def __init__(
        self,
        url: str,
        *,
        deadline_s: float = 120.0,
        request_s: float = 30.0,
        allow_http: bool = False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._url = checked_url(url)
        self._deadline_s = deadline_s
        self._sleep = sleep
        self._store = _opened(self._url, request_s, allow_http)
        self._known: dict[str, str] = {}

    @property
    def identity(self) -> str:
        """The store's URL, which holds no secrets."""
        return self._url

    def preflight(self) -> None:
        """Write, read and remove a test file; raises PublishError that names what is missing.

        Conditional writes are tried too, because a server that ignores the condition would let two runs overwrite each
        other.
        """
        path, data = f".huracan-preflight/{uuid.uuid4().hex}", b"huracan"
        self._create(path, data)
        with self._removed_after(path):
            found = self.read(path, len(data))
            if found is None or found[0] != data:
                raise PublishError(f"{self._url}: a file just written is not read back; this is no consistent store")
            if not self._refuses(path, "create") or not self._refuses(path, "update"):
                raise PublishError(
                    f"{self._url}: the server ignores conditional writes (If-None-Match, If-Match), so two runs could"
                    " overwrite each other; use one that honours them"
                )

    def files(self, prefix: str) -> dict[str, RemoteFile]:
        """Every file below a prefix, by store path."""
        try:
            listed = self._call(lambda: obstore.list(self._store, prefix or None).collect())
        except FileNotFoundError as error:
            raise self._no_bucket() from error
        found = {}
        for meta in listed:
            found[meta["path"]] = self._file(meta["path"], meta)
        self._known.update({path: file.digest for path, file in found.items() if file.digest})
        return found

    def read(self, path: str, limit: int) -> tuple[bytes, RemoteFile] | None:
        """A file's bytes and its revision, None if absent; more than `limit` bytes is a BundleFormatError."""
        try:
            return self._call(lambda: self._read(path, limit))
        except FileNotFoundError as error:
            if Refusal.of(error).code == _NO_BUCKET:
                raise self._no_bucket() from error
            return None

    def write_new(self, files: Iterable[tuple[str, bytes]]) -> int:
        """Write immutable files; those that stand there with the same bytes are left alone. Returns how many were sent.

        FencedError where a path holds other bytes: another run owns that name.
        """
        sent, waiting = 0, set[Future[bool]]()
        with ThreadPoolExecutor(WRITERS, thread_name_prefix="huracan-push") as pool:
            try:
                for path, data in files:
                    waiting.add(pool.submit(self._write_new, path, data))
                    if len(waiting) >= 2 * WRITERS:
                        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                        sent += sum(future.result() for future in done)
                sent += sum(future.result() for future in waiting)
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
        return sent

    def swap(self, path: str, data: bytes, revision: str | None) -> str:
        """Replace a file only while it still has this revision (None: only while it is absent); returns the new one."""
        mode: PutMode = "create" if revision is None else self._only(revision)
        tries = count()

        def put() -> str:
            repeated = next(tries) > 0
            try:
                return self._revision(obstore.put(self._store, inside(path), data, mode=mode))
            except (*CONDITION, FileNotFoundError) as error:
                found = self._standing(path, max(len(data), 1 << 20))
                if (repeated or Refusal.of(error).conflict) and found is not None and found[0] == data:
                    return found[1].revision  # our own write had worked, and only its answer was lost
                if (found[1].revision if found is not None else None) != revision:
                    raise FencedError(f"{self._url}: {path} was replaced meanwhile by another run") from error
                raise NothingChangedError(error) from error

        return self._call(put)

    def remove(self, paths: Iterable[str]) -> None:
        """Delete files that no signed set lists; absent ones are no error."""
        for path in paths:
            with suppress(FileNotFoundError):
                self._call(partial(obstore.delete, self._store, inside(path)))

    def close(self) -> None:
        """Nothing is held open."""

    def _read(self, path: str, limit: int) -> tuple[bytes, RemoteFile]:
        result = obstore.get(self._store, inside(path))
        if result.meta["size"] > limit:
            raise BundleFormatError(f"{path} in {self._url}: {result.meta['size']} bytes, at most {limit} allowed")
        return bytes(result.bytes()), self._file(path, result.meta)

    def _write_new(self, path: str, data: bytes) -> bool:
        digest = f"md5:{hashlib.md5(data, usedforsecurity=False).hexdigest()}"
        if self._known.get(path) == digest:
            return False
        return self._create(path, data)

    def _create(self, path: str, data: bytes) -> bool:
        """Whether it was made; False where it stood there with these bytes."""

        def put() -> bool:
            try:
                obstore.put(self._store, inside(path), data, mode="create")
            except CONDITION as error:
                found = self._standing(path, len(data))
                if found is None:
                    raise NothingChangedError(error) from error
                if found[0] != data:
                    raise FencedError(
                        f"{self._url}: {path} holds other bytes; another run owns that name. `huracan publish` numbers"
                        " this set anew when that run is over."
                    ) from error
                return False
            return True

        try:
            return self._call(put)
        except FileNotFoundError as error:
            raise self._no_bucket() from error

    def _standing(self, path: str, limit: int) -> tuple[bytes | None, RemoteFile] | None:
        """What stands at a path whose condition was refused, None where nothing does; its bytes are None over the
        limit.
        """
        try:
            return self._read(path, limit)
        except BundleFormatError:
            return None, self._file(path, obstore.head(self._store, inside(path)))
        except FileNotFoundError as error:
            if Refusal.of(error).code == _NO_BUCKET:
                raise self._no_bucket() from error
            return None

    @contextmanager
    def _removed_after(self, path: str) -> Iterator[None]:
        """The file goes in any case; the error before it is raised, not a failure to remove it."""
        try:
            yield
        except PublishError:
            with suppress(PublishError):
                self.remove([path])
            raise
        self.remove([path])

    def _no_bucket(self) -> PublishError:
        return PublishError(f"{self._url}: the bucket does not exist; make it first, Huracan never does")

    def _refuses(self, path: str, how: str) -> bool:
        """Whether a write that must not happen is refused."""
        mode: PutMode = "create" if how == "create" else self._only("1" if self._is_gcs else '"0"')

        def put() -> bool:
            try:
                obstore.put(self._store, path, b"another", mode=mode)
            except CONDITION as error:
                if Refusal.of(error).conflict:
                    raise NothingChangedError(error) from error
                return True
            return False

        return self._call(put)

    @property
    def _is_gcs(self) -> bool:
        return isinstance(self._store, GCSStore)

    def _only(self, revision: str) -> "UpdateVersion":
        return {"version": revision} if self._is_gcs else {"e_tag": revision}

    def _revision(self, meta: "ObjectMeta | PutResult") -> str:
        # Google compares generations, the others e-tags.
        return (meta["version"] if self._is_gcs else meta["e_tag"]) or ""

    def _file(self, path: str, meta: "ObjectMeta") -> RemoteFile:
        digest = _MD5.fullmatch(meta["e_tag"] or "") if isinstance(self._store, S3Store) else None
        return RemoteFile(
            path=path,
            size=meta["size"],
            revision=self._revision(meta),
            digest=f"md5:{digest[1]}" if digest else None,
        )

    def _call(self, operation: Callable[[], T]) -> T:
        try:
            return patiently(operation, self._deadline_s, self._sleep)
        except GivenUpError as error:
            raise PublishError(f"{self._url}: {error}") from None


def checked_url(url: str) -> str:
    """An object store's URL without a closing slash; raises ConfigError for other schemes, and for one without
    bucket.
    """
    scheme, separator, rest = url.partition("://")
    parts = rest.rstrip("/").split("/")
    if scheme not in SCHEMES or not separator or "@" in rest or "?" in rest or any(p in {"", ".", ".."} for p in parts):
        shown = url if "@" not in url and "?" not in url else f"{scheme}://..."
        raise ConfigError(
            f"{shown!r} is not an object store: wanted s3://bucket/prefix, gs://bucket/prefix or az://container/prefix,"
            " without credentials (they come from the environment). A local folder is the folder store's, which every run"
            " writes."
        )
    return f"{scheme}://{'/'.join(parts)}"


def _opened(url: str, request_s: float, allow_http: bool) -> Cloud:
    options: ClientConfig = {
        "connect_timeout": timedelta(seconds=5),
        "timeout": timedelta(seconds=request_s),
        "allow_http": allow_http,
    }
    try:
        store = from_url(url, client_options=options, retry_config={"max_retries": 0})
    except (BaseError, ValueError, TypeError) as error:
        raise ConfigError(f"{url} cannot be opened: {Refusal.of(error).text}") from None
    assert isinstance(store, S3Store | GCSStore | AzureStore)
    return store
