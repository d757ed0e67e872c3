"""What Hamilton remembers of a store between starts: versions and the newest time seen, and coins blocked by hand.

Lives in the user's state folder and not in the store, because who can write the store must not be able to turn it back.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from huracan.domain.homes import below_home
from huracan.domain.ids import canonical_json
from huracan.domain.strict import strict_json
from huracan.errors import BundleFormatError, ModelLoadError
from huracan.export.private import open_parent
from huracan.export.trust import Seen
from huracan.hamilton.held import OWN_FILE, held

_LIMIT = 1 << 20


def state_home(environ: Mapping[str, str] = os.environ) -> Path:
    """Where this user's Hamilton keeps state: HURACAN_STATE_DIR, else ``~/.local/state/huracan``."""
    if given := environ.get("HURACAN_STATE_DIR"):
        return Path(given)
    return below_home(environ, "XDG_STATE_HOME", ".local/state", instead="HURACAN_STATE_DIR") / "huracan"


def _folder(home: Path, identity: str) -> Path:
    return home / "hamilton" / hashlib.sha256(identity.encode(errors="surrogateescape")).hexdigest()[:16]


def _token(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _larger(before: Seen, now: Seen) -> Seen:
    """What a client does not go below; a newer root with other online keys starts a new count."""
    if before.root > now.root:
        return before
    if before.online_keys != now.online_keys:
        return now
    return Seen(
        root=max(before.root, now.root),
        timestamp=max(before.timestamp, now.timestamp),
        snapshot=max(before.snapshot, now.snapshot),
        targets=max(before.targets, now.targets),
        online_keys=now.online_keys,
    )


class StoreState:
    """State of one store, in files of its own; raises ModelLoadError where it cannot be read or written.

    `name` is what the user calls the store, where that is a link or the like. Versions go by the store itself, so no
    other name for it starts their count anew (a count kept under the name by an earlier version goes on). Blocks go by
    both. A place never seen starts from what was seen of the same store elsewhere, so a moved store or an old copy is
    not new.
    """

    def __init__(self, home: Path, identity: str, name: str | None = None) -> None:
        self._home = home
        self.folder = _folder(home, identity)
        self._named = _folder(home, name or identity)
        self._identity = identity
        self._private = False

    def seen(self) -> Seen:
        """Versions seen before at this place; zeros for a place never seen."""
        return self._seen("seen.json", self.folder, self._named)

    def seen_elsewhere(self, identity: str) -> Seen:
        """Versions seen of this store (`TrustedTree.identity`) wherever it lay; zeros for one never seen, or that names
        none.
        """
        return self._seen("seen.json", self._wherever(identity)) if identity else Seen()

    def remember(self, now: Seen, identity: str = "") -> None:
        """Keep the larger of what is stored and `now`, at this place and of the store itself."""
        with self._locked():
            for folder, before in (
                (self.folder, self.seen()),
                *([(self._wherever(identity), self.seen_elsewhere(identity))] if identity else []),
            ):
                kept = _larger(before, now)
                if kept != before:
                    self._save("seen.json", {**asdict(kept), "store": self._identity}, folder)

    def _wherever(self, identity: str) -> Path:
        return _folder(self._home, f"store {identity}")

    def _seen(self, name: str, *folders: Path) -> Seen:
        record = next((found for folder in folders if (found := self._load(name, folder))), None)
        try:
            return Seen(**{**record, "online_keys": tuple(record.get("online_keys", ()))}) if record else Seen()
        except TypeError as error:
            raise self._damaged(name, error) from error

    @property
    def clock_file(self) -> Path:
        """Where the newest time is kept."""
        return self.folder / "clock.json"

    def newest_time(self, now_ms: int) -> int:
        """The newest of this time and those given before, ms UTC; kept durably."""
        with self._locked():
            record = self._load(self.clock_file.name)
            before = record.get("newest_ms", 0)
            if type(before) is not int:
                raise self._damaged(self.clock_file.name, None)
            if now_ms > before:
                self._save(self.clock_file.name, {"newest_ms": now_ms, "store": self._identity})
        return max(before, now_ms)

    def blocks(self) -> dict[str, str]:
        """Coins blocked by hand, as they were named, with reasons."""
        record = {**self._load("blocked.json", self._named), **self._load("blocked.json")}
        if not all(isinstance(reason, str) for reason in record.values()):
            raise self._damaged("blocked.json", None)
        return record

    def blocks_token(self) -> object:
        """Changes when the blocked coins change, also by another process."""
        return _token(self.folder / "blocked.json"), _token(self._named / "blocked.json")

    def change_blocks(self, add: Mapping[str, str], remove: set[str]) -> None:
        """Add and remove blocked coins, durably."""
        with self._locked():
            kept = {coin: reason for coin, reason in self.blocks().items() if coin not in remove}
            for folder in {self.folder, self._named}:
                self._save("blocked.json", {**kept, **add}, folder)

    def _check_private(self) -> None:
        """Raises ModelLoadError where others could put another memory in the place of this one."""
        if self._private:
            return
        if (folder := open_parent(self.folder / "seen.json")) is not None:
            raise ModelLoadError(
                f"Hamilton's state folder {self.folder}: others may write into {folder} and could make it forget;"
                f" `chmod go-w {folder}`, or set HURACAN_STATE_DIR to a folder of your own"
            )
        self._private = True

    def _load(self, name: str, folder: Path | None = None) -> dict[str, Any]:
        self._check_private()
        try:
            data = ((folder or self.folder) / name).read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._unusable(error) from error
        try:
            record = strict_json(data, _LIMIT, what=name)
        except BundleFormatError as error:
            raise self._damaged(name, error) from error
        if not isinstance(record, dict):
            raise self._damaged(name, None)
        record.pop("store", None)
        return record

    def _save(self, name: str, record: Mapping[str, Any], folder: Path | None = None) -> None:
        into = folder or self.folder
        into.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = into / f".{name}"
        beside.unlink(missing_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | OWN_FILE, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(canonical_json(dict(record)))
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(into / name)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with held(self.folder / ".lock"):
                yield
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> ModelLoadError:
        return ModelLoadError(
            f"Hamilton's state folder {self.folder} is not usable ({error.strerror}); without it a rolled-back store"
            " could not be distinguished from a new one. Make it writable, or set HURACAN_STATE_DIR."
        )

    def _damaged(self, name: str, error: Exception | None) -> ModelLoadError:
        return ModelLoadError(
            f"{self.folder / name} is damaged ({error or 'not what Hamilton writes'}); look into why, then remove it"
        )
