"""Remote copies of a store during one run: fenced when it begins, brought up to date when its set stands."""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from huracan.adapters.keys import KeySet
from huracan.adapters.publishers.folder import FolderStore
from huracan.adapters.publishers.mirror import (
    Fence,
    Verified,
    adopt,
    push,
    push_files,
    read_fence,
    remote_tree,
    taken_names,
)
from huracan.adapters.publishers.naming import MIRRORS_FILE
from huracan.adapters.publishers.pull import incomplete, manifests, pull_bundles
from huracan.adapters.publishers.remotes import open_remote, publish_targets
from huracan.adapters.publishers.renumber import renumber_set
from huracan.adapters.publishers.sets import earlier_set
from huracan.adapters.publishers.trees import existing_tree
from huracan.domain.bundle import BUNDLE_FILES
from huracan.domain.ids import canonical_json, sha256_hex
from huracan.errors import FencedError, HuracanError, PublishError
from huracan.export.trust import TIMESTAMP_PATH
from huracan.ports import Clock, RemoteStore, Telemetry
from huracan.settings import Settings

State = Literal["PUBLISHED", "PUBLISH_PENDING", "FENCED", "DRY_RUN"]

_STATUS: dict[str, int] = {"PUBLISHED": 0, "DRY_RUN": 0, "PUBLISH_PENDING": 5, "FENCED": 6}

OpenRemote = Callable[[str], RemoteStore]


@dataclass(slots=True)
class _Copy:
    """One remote and what this run knows of it."""

    url: str
    remote: RemoteStore
    fence: Fence | None = None
    found: Verified | None = None
    problem: HuracanError | None = None

    @property
    def kind(self) -> str:
        """What sort of store it is: s3, gs, az or dropbox."""
        return self.url.partition(":")[0]


@dataclass(kw_only=True)
class Mirrors:
    """The remote stores of `publish.urls` (and Dropbox where a token is set), in step with one folder store.

    `begin` raises ConfigError for a URL that cannot be opened; a store that does not answer, or that another run owns, is
    recorded and never stops a night. `taken` are numbers that new files must stay above.
    """

    store: FolderStore
    targets: list[str]
    open: OpenRemote
    deadline_s: float
    clock: Clock
    telemetry: Telemetry
    taken: dict[str, int] = field(default_factory=dict)
    _copies: list[_Copy] = field(default_factory=list)

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
            clock=clock,
            telemetry=telemetry,
        )

    @classmethod
    def none(cls, store: FolderStore, clock: Clock, telemetry: Telemetry) -> "Mirrors":
        """No remote copies at all."""
        return cls.of(Settings(), store, clock, telemetry, {})

    def begin(self, keys: KeySet | None) -> None:
        """Fence every remote, take over what is newer there, and give way to names that dead runs left."""
        self._copies = [_Copy(url, self.open(url)) for url in self.targets]
        for copy in self._copies:
            self._try(copy, partial(self._fence, copy, keys))
        # The newest first, so that the others are compared with what was taken over.
        for copy in sorted(self._copies, key=lambda copy: -(copy.fence.version if copy.fence else 0)):
            if copy.problem is None and keys is not None:
                self._try(copy, partial(self._adopt, copy, keys))

    def push(self, keys: KeySet) -> dict[str, dict[str, Any]]:
        """Copy the signed set to every remote; by identity: state, and code and error where it is not PUBLISHED."""
        states: dict[str, dict[str, Any]] = {}
        for copy in self._copies:
            states[copy.remote.identity] = self._pushed(copy, keys)
        return states

    def push_summaries(self) -> None:
        """Copy daily summaries to the remotes that took the set; one that is missed goes along the next time."""
        for copy in self._copies:
            if copy.problem is None and copy.fence is not None:
                self._try(copy, partial(push_files, self.store, copy.remote, "summaries"))

    def planned(self, bundles: Iterable[str]) -> dict[str, dict[str, Any]]:
        """What a dry run would push, by URL: at most so many files, since unchanged bundles are not sent. Opens nothing."""
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
        for copy in self._copies:
            copy.remote.close()
        self._copies = []

    def _fence(self, copy: _Copy, keys: KeySet | None) -> None:
        copy.fence = read_fence(copy.remote)
        if keys is not None:
            copy.found = remote_tree(copy.remote, copy.fence, keys)
        elif copy.fence.pointer is not None:
            raise PublishError(
                f"{copy.remote.identity} is signed by keys that are not on this machine; bring them (the folder of"
                " HURACAN_KEYS_DIR), or publish to an empty place"
            )

    def _adopt(self, copy: _Copy, keys: KeySet) -> None:
        assert copy.fence is not None
        remote, name = copy.remote, copy.remote.identity
        outcome = adopt(remote, copy.fence, self.store, keys, last=self._last(name), found=copy.found)
        if outcome == "adopted":
            self.telemetry.event("store_adopted", store=name, timestamp=copy.fence.version)
        if outcome in {"adopted", "same"}:
            self._record(name, {"pointer": copy.fence.digest, "state": "PUBLISHED"})
        self._give_way(copy, keys)

    def _give_way(self, copy: _Copy, keys: KeySet) -> None:
        theirs = copy.found[0] if copy.found else None
        taken = taken_names(copy.remote, theirs, self.store, copy.remote.files(""))
        for family, number in taken.items():
            self.taken[family] = max(number, self.taken.get(family, 0))
        if taken and self.store.read(TIMESTAMP_PATH) is not None:
            files = theirs.files if theirs else {}
            signed = renumber_set(self.store, keys, taken, files, wall_clock_ms=self.clock.now_ms())
            if signed is not None:
                self.telemetry.event("store_renumbered", store=copy.remote.identity, set=signed)

    def _pushed(self, copy: _Copy, keys: KeySet) -> dict[str, Any]:
        if not isinstance(copy.problem, FencedError):
            copy.problem = None  # a store that did not answer when the run began may do so now
            self._try(copy, partial(self._push, copy, keys))
        name, state = copy.remote.identity, _state(copy.problem)
        if copy.problem is not None:
            self._record(name, state)
        return state

    def _push(self, copy: _Copy, keys: KeySet) -> None:
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
        self._record(name, {"pointer": sha256_hex(pointer or b""), "state": "PUBLISHED"})
        facts = {"version": pushed.version, "files": pushed.sent, "pruned": pushed.pruned}
        self.telemetry.event("push_finished", target=copy.kind, store=name, **facts)

    def _try(self, copy: _Copy, action: Callable[[], object]) -> None:
        try:
            action()
        except HuracanError as error:
            copy.problem = error
            facts = {"target": copy.kind, "store": copy.remote.identity}
            self.telemetry.event("push_failed", **facts, code=error.code, error=str(error))

    def _records(self) -> dict[str, dict[str, Any]]:
        data = self.store.read(MIRRORS_FILE)
        records: dict[str, dict[str, Any]] = {} if data is None else json.loads(data)
        return records

    def _last(self, name: str) -> str | None:
        return self._records().get(name, {}).get("pointer")

    def _record(self, name: str, facts: Mapping[str, Any]) -> None:
        records = self._records()
        records[name] = {**records.get(name, {}), "code": None, "error": None, **facts}
        self.store.replace(MIRRORS_FILE, canonical_json(records))


def publish_exit(states: Mapping[str, Mapping[str, Any]]) -> int:
    """The exit status that publication states ask for: 6 when one is fenced, 5 when one is pending."""
    return max((_STATUS[state["state"]] for state in states.values()), default=0)


def _state(problem: HuracanError | None) -> dict[str, Any]:
    if problem is None:
        return {"state": "PUBLISHED"}
    state: State = "FENCED" if isinstance(problem, FencedError) else "PUBLISH_PENDING"
    return {"state": state, "code": problem.code, "error": str(problem)}
