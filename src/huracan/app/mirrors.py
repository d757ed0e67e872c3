"""Remote copies of a store during one run: fenced while it works, brought up to date when its set stands."""

import json
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, NotRequired, TypedDict

from huracan.adapters.keys import KeySet
from huracan.adapters.publishers.folder import FolderStore
from huracan.adapters.publishers.mirror import (
    adopt,
    push,
    push_files,
    read_fence,
    remote_tree,
    reserved_names,
)
from huracan.adapters.publishers.naming import MIRRORS_FILE
from huracan.adapters.publishers.pull import incomplete, manifests, pull_bundles
from huracan.adapters.publishers.remotes import open_remote, publish_targets
from huracan.adapters.publishers.renumber import renumber_set
from huracan.adapters.publishers.sets import earlier_set
from huracan.adapters.publishers.trees import existing_tree
from huracan.app.fencing import LINE_EVERY_S, Copy, Fencing, UntilClosed, newest_first
from huracan.domain.bundle import BUNDLE_FILES
from huracan.domain.ids import canonical_json, sha256_hex
from huracan.errors import ConfigError, FencedError, HuracanError, MirrorFaultError, PublishError
from huracan.export.trust import TIMESTAMP_PATH
from huracan.ports import Clock, RemoteStore, Telemetry
from huracan.settings import Settings

State = Literal["PUBLISHED", "PUBLISH_PENDING", "FENCED", "DRY_RUN"]


class PushState(TypedDict):
    """Whether a remote store took the set: code and error where it did not, and what a dry run would have sent."""

    state: State
    code: NotRequired[str | None]
    error: NotRequired[str | None]
    bundles: NotRequired[list[str]]
    files_at_most: NotRequired[int]


class MirrorRecord(PushState):
    """The last state of a remote store, and the hash of the pointer that was pushed last."""

    pointer: NotRequired[str]


_STATUS: dict[str, int] = {"PUBLISHED": 0, "DRY_RUN": 0, "PUBLISH_PENDING": 5, "FENCED": 6}

OpenRemote = Callable[[str], RemoteStore]


@dataclass(kw_only=True)
class Mirrors:
    """The remote stores of `publish.urls` (and Dropbox where a token is set), in step with one folder store.

    `begin` and `begin_beside` raise ConfigError for a URL that cannot be opened; a store that does not answer, that
    another run owns, or whose client fails in whatever way is recorded and never stops a night. `reserved` are numbers
    that new files must stay above. An awaited store is an event once a minute.
    """

    store: FolderStore
    targets: list[str]
    open: OpenRemote
    deadline_s: float
    clock: Clock
    telemetry: Telemetry
    patience_s: float = 60.0
    line_every_s: float = LINE_EVERY_S
    reserved: dict[str, int] = field(default_factory=dict)
    _copies: list[Copy] = field(default_factory=list)
    _left: list[RemoteStore] = field(default_factory=list)
    _fencing: Fencing | None = None
    _over: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def of(
        cls, settings: Settings, store: FolderStore, clock: Clock, telemetry: Telemetry, environ: Mapping[str, str]
    ) -> "Mirrors":
        """The mirrors that the settings name; nothing is opened yet."""
        return cls(
            store=store,
            targets=publish_targets(settings),
            open=lambda url: open_remote(url, settings, environ),
            deadline_s=settings.publish.deadline_s,
            patience_s=settings.publish.patience_s,
            clock=clock,
            telemetry=telemetry,
        )

    @classmethod
    def none(cls, store: FolderStore, clock: Clock, telemetry: Telemetry) -> "Mirrors":
        """No remote copies at all."""
        return cls.of(Settings(), store, clock, telemetry, {})

    def begin(self, keys: KeySet | None) -> None:
        """Fence every remote, take over what is newer there, and give way to names that dead runs left."""
        self._open()
        for copy in self._copies:
            with copy.awaited():
                self._try(copy, partial(self._fence, copy, copy.remote, keys))
        for copy in newest_first(self._copies):
            if copy.problem is None and keys is not None:
                with copy.awaited():
                    self._try(copy, partial(self._adopt, copy, copy.remote, keys))

    def begin_beside(self, keys: KeySet | None) -> None:
        """As `begin`, in threads of its own: returns at once, and `settle` has to come before anything is signed."""
        self._open()
        if not self._copies:
            return
        closed = threading.Event()

        def ask(copy: Copy) -> None:
            copy.problem = None
            self._try(copy, partial(self._fence, copy, UntilClosed(copy.remote, closed), keys))

        def take(copy: Copy) -> None:
            if keys is not None:
                self._try(copy, partial(self._adopt, copy, UntilClosed(copy.remote, closed), keys))

        self._fencing = Fencing(
            copies=self._copies,
            ask=ask,
            take=take,
            patience_s=self.patience_s,
            longest_s=self.deadline_s,
            closed=closed,
        )
        self._fencing.start()

    def settle(self) -> None:
        """Wait, not for long, for the answers that `begin_beside` asked for; afterwards the local store is this run's
        to sign.

        A store without an answer is pending. It is asked once more when it is pushed to, and takes a set then only if
        it holds none, or one that ours follows.
        """
        fencing, self._fencing = self._fencing, None
        for copy in fencing.settle() if fencing is not None else ():
            # Its client may still wait for an answer, in a thread that nothing can end.
            self._left.append(copy.remote)
            url, problem = copy.url, copy.problem
            self._copies[self._copies.index(copy)] = Copy(url, self._opened(url), problem=problem, logged=copy.logged)

    def push(self, keys: KeySet) -> dict[str, PushState]:
        """Copy the signed set to every remote; by identity: state, and code and error where it is not PUBLISHED."""
        return {copy.remote.identity: self._pushed(copy, keys) for copy in self._copies}

    def push_summaries(self) -> None:
        """Copy daily summaries to the remotes that took the set; one that is missed goes along the next time."""
        for copy in self._copies:
            if copy.problem is None and copy.fence is not None:
                with copy.awaited():
                    self._try(copy, partial(push_files, self.store, copy.remote, "summaries"))

    def planned(self, bundles: Iterable[str]) -> dict[str, PushState]:
        """What a dry run would push, by URL. Unchanged bundles are not sent, so it is an upper bound. Opens nothing."""
        names = sorted(bundles)
        files = len(names) * (len(BUNDLE_FILES) + 1) + 4  # the set, its two lists, the pointer
        for url in self.targets:
            self.telemetry.event("push_planned", store=url, bundles=len(names), files_at_most=files)
        return {url: {"state": "DRY_RUN", "bundles": names, "files_at_most": files} for url in self.targets}

    def restore(self, keys: KeySet, to: int | None) -> None:
        """Bring the bundles of the set a rollback returns to, where this machine does not have them all.

        Raises PublishError when a bundle is neither here nor at any remote.
        """
        tree = existing_tree(self.store, keys)
        wanted = [path for path in manifests(earlier_set(self.store, tree, to)) if path in tree.files]
        for copy in self._copies:
            missing = incomplete(tree, self.store, wanted)
            if missing and copy.found is not None:
                self._try(copy, partial(pull_bundles, copy.found[1], tree, self.store, missing))
        if missing := incomplete(tree, self.store, wanted):
            raise PublishError(f"bundles of that set are not whole here nor in a remote store: {missing[:5]}")

    def close(self) -> None:
        """Release connections."""
        self._over.set()
        if self._fencing is not None:
            self._fencing.closed.set()
        for remote in (*self._left, *(copy.remote for copy in self._copies)):
            remote.close()
        self._copies, self._left = [], []

    def _open(self) -> None:
        self._copies = [Copy(url, self._opened(url)) for url in self.targets]
        if self._copies:
            threading.Thread(target=self._tell_awaited, name="huracan-awaited", daemon=True).start()

    def _opened(self, url: str) -> RemoteStore:
        try:
            return self.open(url)
        except HuracanError:
            raise
        except Exception as error:
            raise ConfigError(f"{url} cannot be opened: {type(error).__name__}: {error}") from error

    def _tell_awaited(self) -> None:
        """One line every so often for each store that is waited for."""
        while not self._over.wait(self.line_every_s):
            for copy in list(self._copies):
                since, problem = copy.awaited_since, copy.problem
                seconds = 0.0 if since is None else time.monotonic() - since
                if seconds >= self.line_every_s:
                    self.telemetry.event(
                        "mirror_awaited",
                        target=copy.kind,
                        store=copy.remote.identity,
                        seconds=round(seconds),
                        error=str(problem) if problem else "no answer yet",
                    )

    def _fence(self, copy: Copy, remote: RemoteStore, keys: KeySet | None) -> None:
        fence = read_fence(remote)
        if keys is not None:
            copy.found = remote_tree(remote, fence, keys)
        elif fence.pointer is not None:
            raise PublishError(
                f"{remote.identity} is signed by keys that are not on this machine; bring them (the folder of"
                " HURACAN_KEYS_DIR), or publish to an empty place"
            )
        copy.fence = fence

    def _adopt(self, copy: Copy, remote: RemoteStore, keys: KeySet) -> None:
        assert copy.fence is not None
        name = remote.identity
        outcome = adopt(remote, copy.fence, self.store, keys, last=self._last(name), found=copy.found)
        if outcome == "adopted":
            self.telemetry.event("store_adopted", store=name, timestamp=copy.fence.version)
        if outcome in {"adopted", "same"}:
            self._record(name, {"state": "PUBLISHED"}, copy.fence.digest)
        self._give_way(copy, remote, keys)

    def _give_way(self, copy: Copy, remote: RemoteStore, keys: KeySet) -> None:
        theirs = copy.found[0] if copy.found else None
        reserved = reserved_names(remote, theirs, self.store, remote.files(""))
        for family, number in reserved.items():
            self.reserved[family] = max(number, self.reserved.get(family, 0))
        if reserved and self.store.read(TIMESTAMP_PATH) is not None:
            files = theirs.files if theirs else {}
            signed = renumber_set(self.store, keys, reserved, files, wall_clock_ms=self.clock.now_ms())
            if signed is not None:
                self.telemetry.event("store_renumbered", store=remote.identity, set=signed)

    def _pushed(self, copy: Copy, keys: KeySet) -> PushState:
        if not isinstance(copy.problem, FencedError):
            copy.problem, copy.logged = None, False  # a store that did not answer before may do so now
            with copy.awaited():
                self._try(copy, partial(self._push, copy, keys))
        name, state = copy.remote.identity, _state(copy.problem)
        if copy.problem is not None:
            self._record(name, state)
        return state

    def _push(self, copy: Copy, keys: KeySet) -> None:
        name = copy.remote.identity
        if copy.fence is None:
            copy.fence = read_fence(copy.remote)
        pushed = push(
            self.store,
            copy.remote,
            copy.fence,
            keys,
            last=self._last(name),
            found=copy.found,
            until=time.monotonic() + self.deadline_s,
        )
        pointer = self.store.read(TIMESTAMP_PATH)
        self._record(name, {"state": "PUBLISHED"}, sha256_hex(pointer or b""))
        fields = {"version": pushed.version, "files": pushed.sent, "pruned": pushed.pruned}
        self.telemetry.event("push_finished", target=copy.kind, store=name, **fields)

    def _try(self, copy: Copy, action: Callable[[], object]) -> None:
        """Do it; whatever fails is the problem of this copy alone, and logged once."""
        trace: dict[str, str] = {}
        try:
            action()
        except HuracanError as error:
            copy.problem = error
        except Exception as error:  # the boundary of a mirror: a fault of a client or of ours must not end the night
            trace = {"traceback": traceback.format_exc()}
            copy.problem = MirrorFaultError(
                f"{copy.remote.identity}: {type(error).__name__}: {error}. This is a fault of Huracan or of the store's"
                " client, please report it with its traceback; the set stands in the local store"
            )
        if copy.problem is not None and not copy.logged:
            copy.logged = True
            fields = {"target": copy.kind, "store": copy.remote.identity, "code": copy.problem.code}
            self.telemetry.event("push_failed", **fields, error=str(copy.problem), **trace)

    def _records(self) -> dict[str, MirrorRecord]:
        data = self.store.read(MIRRORS_FILE)
        records: dict[str, MirrorRecord] = {} if data is None else json.loads(data)
        return records

    def _last(self, name: str) -> str | None:
        record = self._records().get(name)
        return None if record is None else record.get("pointer")

    def _record(self, name: str, state: PushState, pointer: str | None = None) -> None:
        records = self._records()
        record: MirrorRecord = {"state": state["state"], "code": state.get("code"), "error": state.get("error")}
        known = records.get(name)
        if pointer is None and known is not None:
            pointer = known.get("pointer")
        if pointer is not None:
            record["pointer"] = pointer
        records[name] = record
        self.store.replace(MIRRORS_FILE, canonical_json(records))


def publish_exit(states: Mapping[str, PushState]) -> int:
    """The exit status that publication states ask for: 6 when one is fenced, 5 when one is pending."""
    return max((_STATUS[state["state"]] for state in states.values()), default=0)


def _state(problem: HuracanError | None) -> PushState:
    if problem is None:
        return {"state": "PUBLISHED"}
    state: State = "FENCED" if isinstance(problem, FencedError) else "PUBLISH_PENDING"
    return {"state": state, "code": problem.code, "error": str(problem)}
