"""Remote copies asked beside the work of a night: training waits for no store behind a network, and signing only so
long.

Every copy is asked in a thread of its own, again and again while it does not answer. What is newer there is taken over
by one more thread, the newest first among those that answer soon, so that the others are compared with what was taken
over.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from huracan.adapters.publishers.mirror import Fence, Verified
from huracan.errors import FencedError, HuracanError, PublishError
from huracan.ports import RemoteFile, RemoteStore

PAUSE_S: Final = 60.0
"""Between two questions to a store that did not answer."""
LINE_EVERY_S: Final = 60.0
"""How often an event says that a store is still awaited."""


@dataclass(slots=True, eq=False)
class Copy:
    """One remote and what this run knows of it."""

    url: str
    remote: RemoteStore
    fence: Fence | None = None
    found: Verified | None = None
    problem: HuracanError | None = None
    logged: bool = False
    """Whether a failure of this run was logged; later ones of the same store are not, until it is pushed to."""
    awaited_since: float | None = None
    """When this run began to wait for it, in monotonic seconds; None while it does not."""

    @property
    def kind(self) -> str:
        """What sort of store it is: s3, gs, az or dropbox."""
        return self.url.partition(":")[0]

    @contextmanager
    def awaited(self) -> Iterator[None]:
        """While it is waited for."""
        self.awaited_since = time.monotonic()
        try:
            yield
        finally:
            self.awaited_since = None


class UntilClosed:
    """A remote store for one thread beside the night: raises PublishError for every call once the night goes on without
    it.
    """

    def __init__(self, remote: RemoteStore, closed: threading.Event) -> None:
        self._remote, self._closed = remote, closed

    @property
    def identity(self) -> str:
        """As that of the store."""
        return self._remote.identity

    def files(self, prefix: str) -> dict[str, RemoteFile]:
        """As the store has them."""
        return self._open().files(prefix)

    def read(self, path: str, limit: int) -> tuple[bytes, RemoteFile] | None:
        """As the store does."""
        return self._open().read(path, limit)

    def preflight(self) -> None:
        """As the store does."""
        self._open().preflight()

    def write_new(self, files: Iterable[tuple[str, bytes]]) -> int:
        """As the store does."""
        return self._open().write_new(files)

    def swap(self, path: str, data: bytes, revision: str | None) -> str:
        """As the store does."""
        return self._open().swap(path, data, revision)

    def remove(self, paths: Iterable[str]) -> None:
        """As the store does."""
        self._open().remove(paths)

    def close(self) -> None:
        """Release connections."""
        self._remote.close()

    def _open(self) -> RemoteStore:
        if self._closed.is_set():
            raise PublishError(f"{self.identity}: given up; the night went on without it")
        return self._remote


@dataclass(kw_only=True)
class Fencing:
    """Asks every copy in the background. `ask` sets a copy's fence or its problem; `take` may write to the local store.

    Neither raises. `patience_s` bounds how long `settle` waits for answers, `longest_s` how long for what is being
    taken over.
    """

    copies: Sequence[Copy]
    ask: Callable[[Copy], None]
    take: Callable[[Copy], None]
    patience_s: float
    longest_s: float
    pause_s: float = PAUSE_S
    closed: threading.Event = field(default_factory=threading.Event)
    _last_call: threading.Event = field(default_factory=threading.Event)
    _done: threading.Event = field(default_factory=threading.Event)
    _taking: threading.Lock = field(default_factory=threading.Lock)
    _answers: "queue.SimpleQueue[Copy]" = field(default_factory=queue.SimpleQueue)
    _answered: "set[Copy]" = field(default_factory=set)

    def start(self) -> None:
        """Begin to ask; returns at once. The threads never keep a process alive."""
        for copy in self.copies:
            threading.Thread(target=self._ask, args=(copy,), name="huracan-fence", daemon=True).start()
        threading.Thread(target=self._take_over, name="huracan-adopt", daemon=True).start()

    def settle(self) -> list[Copy]:
        """Ask once more where a store did not answer, wait for what can be known by now, and end; those without an
        answer.

        Nothing is written by `take` afterwards.
        """
        self._last_call.set()
        if not self._done.wait(self.patience_s) and self._taking.acquire(timeout=self.longest_s):
            self._taking.release()
        self.closed.set()
        with self._taking:  # a store that was closed in the middle of it fails at its next call
            return [copy for copy in self.copies if copy not in self._answered]

    def _ask(self, copy: Copy) -> None:
        while not self.closed.is_set():
            last = self._last_call.is_set()
            with copy.awaited():
                self.ask(copy)
                if copy.problem is None or isinstance(copy.problem, FencedError) or last:
                    break
                self._last_call.wait(self.pause_s)
        self._answers.put(copy)

    def _take_over(self) -> None:
        # The half, so that what is known by then is taken over before `settle` may end.
        waiting, until = len(self.copies), time.monotonic() + self.patience_s / 2
        early: list[Copy] = []
        while len(early) < waiting:
            try:
                early.append(self._answers.get(timeout=max(0.0, until - time.monotonic())))
            except queue.Empty:
                break
        self._take(early)
        for _ in range(waiting - len(early)):
            self._take([self._answers.get()])
        self._done.set()

    def _take(self, copies: Sequence[Copy]) -> None:
        with self._taking:
            for copy in newest_first(copies):
                if self.closed.is_set():
                    return
                self._answered.add(copy)
                if copy.problem is None:
                    with copy.awaited():
                        self.take(copy)


def newest_first(copies: Iterable[Copy]) -> list[Copy]:
    """The order in which copies are taken over: later ones are compared with what was taken over before."""
    return sorted(copies, key=lambda copy: -(copy.fence.version if copy.fence else 0))
