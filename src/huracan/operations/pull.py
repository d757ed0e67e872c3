"""Hamilton's champions from a remote store: pulled into a folder of this user, served from there, also offline."""

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from huracan.adapters.publishers.folder import FolderStore
from huracan.adapters.publishers.naming import outdated_places
from huracan.adapters.publishers.pull import RemoteView, pull_tree
from huracan.adapters.publishers.remotes import DROPBOX, open_remote
from huracan.domain.homes import below_home
from huracan.domain.ids import sha256_hex
from huracan.errors import HuracanError, LockedError, ModelLoadError
from huracan.export.trust import MAX_POINTER, TIMESTAMP_PATH, Seen, verify_tree
from huracan.hamilton.source import FolderSource
from huracan.hamilton.verify import read_trusted_root
from huracan.settings import Settings, load_settings

if TYPE_CHECKING:
    from huracan.ports import BundleSource, RemoteStore

EVERY_S: Final = 30.0
"""Seconds between two looks at the remote pointer."""

_PATIENCE_S = 5.0  # for a look that is under way when the source is closed


class PullingSource:
    """Implements `ports.BundleSource` over a remote store and a cache folder that holds whole, verified sets.

    A thread looks at the remote pointer every `every_s` seconds, from the first `version()` on (None: that call looks
    once, and only `refresh` looks again). A new set is verified against the trusted root, brought into the cache file
    by file, and shown by replacing the cached pointer, so readers see the old set or the whole new one. A set that does
    not verify, or is older than the cached one, is left alone, and `problem` says why. What is cached goes on being
    served when the remote does not answer, and after a restart. Hamilton verifies every byte again. Several processes
    may share a cache: one pulls, all read.
    """

    def __init__(
        self, remote: "RemoteStore", cache: Path, trusted_root: Callable[[], bytes], *, every_s: float | None = EVERY_S
    ) -> None:
        self._remote = remote
        self._cache = cache
        self._trusted_root = trusted_root
        self._every_s = every_s
        self._folder = FolderSource(cache)
        self._pulling = threading.Lock()
        self._starting = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._started = False
        self.problem: HuracanError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def identity(self) -> str:
        """What tells this store from others in the user's state folder."""
        return self._remote.identity

    def version(self) -> object:
        """A token that changes when a new set is complete in the cache; the first call may wait for the remote."""
        if not self._started:
            self._start()
        return self._folder.version()

    def read(self, path: str, limit: int) -> bytes | None:
        """A file of the cached tree; earlier versions of a champion, which are not cached, come from the remote.

        Raises ModelLoadError when nothing was ever pulled, or an earlier version cannot be had now.
        """
        data = self._folder.read(path, limit)
        if data is not None:
            return data
        if self._folder.version() is None and self.problem is not None:
            raise ModelLoadError(f"{self.identity} was never pulled on this machine: {self.problem}") from self.problem
        if not path.startswith("models/"):
            return None  # lists and roots belong to the cached set; asking further would mix two moments
        try:
            found = self._remote.read(path, limit)
        except ModelLoadError:
            raise
        except HuracanError as error:
            raise ModelLoadError(f"{path} is not cached, and {self.identity} does not answer: {error}") from error
        return None if found is None else found[0]

    def refresh(self) -> bool:
        """Look at the remote now; True when a new set came. Raises what is in the way; the cached set stays."""
        with self._pulling:
            try:
                changed = self._pull()
            except HuracanError as error:
                self.problem = error
                raise
            self.problem = None
            return changed

    def close(self) -> None:
        """Stop looking; the cache stays."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=_PATIENCE_S)
        self._remote.close()

    def _start(self) -> None:
        with self._starting:
            if self._started:
                return
            if self._every_s is None or self._folder.version() is None:
                self._look()
            if self._every_s is not None:
                self._thread = threading.Thread(
                    target=self._follow, args=(self._every_s,), name="huracan-pull", daemon=True
                )
                self._thread.start()
            self._started = True

    def _follow(self, every_s: float) -> None:
        delay = 0.0  # a cache from before is served at once and brought up to date behind it
        while not self._stop.wait(delay):
            self._look()
            delay = every_s

    def _look(self) -> None:
        try:
            self.refresh()
        except HuracanError:
            return  # kept in `problem`; the next look may succeed

    def _pull(self) -> bool:
        found = self._remote.read(TIMESTAMP_PATH, MAX_POINTER)
        cached = self._folder.read(TIMESTAMP_PATH, MAX_POINTER)
        if found is None or found[0] == cached:
            return False
        root = self._trusted_root()
        view = RemoteView(self._remote, found[0])
        tree = verify_tree(view.read, root, self._floor(root))
        assert tree is not None
        store = FolderStore(self._cache)
        self._cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            store.acquire()
        except LockedError:
            return False  # another process of this user brings it
        try:
            pull_tree(view, tree, store, every_set=False)
            for path in outdated_places(store.list(""), tree):
                store.delete_tree(path)
        finally:
            store.close()
        return True

    def _floor(self, root: bytes) -> Seen | None:
        """Versions of the cached set, which no later one may go below; a cache that does not verify has none."""
        try:
            tree = verify_tree(self._folder.read, root)
        except ModelLoadError:
            return None
        return tree.seen if tree else None


def open_source(
    url: str,
    *,
    trusted_root: str | Path | None = None,
    cache: str | Path | None = None,
    every_s: float | None = EVERY_S,
    settings: Settings | None = None,
    environ: Mapping[str, str] = os.environ,
) -> "BundleSource":
    """What Hamilton reads champions from: ``s3://``, ``gs://``, ``az://``, ``dropbox:/path``, or a folder's path.

    Remote sets are pulled into `cache` (else ``~/.cache/huracan``, one folder a store, 0700) and served from there: the
    pointer is looked at every `every_s` seconds in the background, a half-pulled set is never served, and without the
    remote the last good set goes on. `trusted_root` is as HamiltonInterface takes it; give both the same. Credentials
    come from the environment. Raises ConfigError for a URL that no store understands.

    >>> from huracan import HamiltonInterface
    >>> hamilton = HamiltonInterface(source=open_source("s3://champions/huracan"))  # doctest: +SKIP
    >>> hamilton.predict("BTC", "1h", features)  # doctest: +SKIP
    """
    if "://" not in url and not url.startswith(DROPBOX):
        return FolderSource(url)
    remote = open_remote(url, settings or load_settings(None, (), environ), environ)
    place = Path(cache) if cache is not None else _cache_home(environ) / sha256_hex(remote.identity.encode())[:16]
    return PullingSource(remote, place, lambda: read_trusted_root(trusted_root, None), every_s=every_s)


def _cache_home(environ: Mapping[str, str]) -> Path:
    return below_home(environ, "XDG_CACHE_HOME", ".cache", instead="XDG_CACHE_HOME") / "huracan" / "stores"
