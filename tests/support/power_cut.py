"""What a disk may hold after the power went: every write and name that nothing has synced may be there, or not, or in part.

The model is more pessimistic than today's file systems: data survive only by fsync of their file, names only by fsync of their
folder, and whatever is unsynced may be lost in any combination and order. Names change atomically; a write may be torn.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from syscall_gate import Call

_OPEN_TRUNCATE = 0x200


class Recorder:
    """Stands at the gate, lets everything pass, and keeps what the disk was asked to do."""

    def __init__(self) -> None:
        self.operations: list[dict[str, Any]] = []

    def __call__(self, call: Call) -> None:
        kind, fields = _KINDS[call.name](call)
        self.operations.append({"kind": kind, "paths": list(call.paths), "data": b"", **fields})


def _write(call: Call) -> tuple[str, dict[str, Any]]:
    offset = call.arguments[3] if call.name == "pwrite64" else _position(call)
    return "write", {"data": call.memory(call.arguments[1], call.arguments[2]), "offset": offset}


def _writev(call: Call) -> tuple[str, dict[str, Any]]:
    data = b""
    for number in range(call.arguments[2]):
        entry = call.memory(call.arguments[1] + 16 * number, 16)
        data += call.memory(int.from_bytes(entry[:8], "little"), int.from_bytes(entry[8:], "little"))
    return "write", {"data": data, "offset": _position(call)}


def _position(call: Call) -> int:
    with Path(f"/proc/{call.thread}/fdinfo/{call.arguments[0]}").open() as facts:
        return int(facts.readline().split()[1])


def _named(kind: str) -> Any:
    return lambda _call: (kind, {})


def _open(call: Call) -> tuple[str, dict[str, Any]]:
    flags = call.arguments[2] if call.name == "openat" else call.arguments[1]
    return "open", {"offset": int(bool(flags & _OPEN_TRUNCATE))}


def _truncate(call: Call) -> tuple[str, dict[str, Any]]:
    return "truncate", {"offset": call.arguments[1]}


_KINDS = {
    "write": _write, "pwrite64": _write, "writev": _writev, "fsync": _named("sync"), "fdatasync": _named("sync"),
    "rename": _named("rename"), "renameat": _named("rename"), "renameat2": _named("rename"), "link": _named("link"),
    "linkat": _named("link"), "unlink": _named("unlink"), "unlinkat": _named("unlink"), "rmdir": _named("unlink"),
    "mkdir": _named("mkdir"), "mkdirat": _named("mkdir"), "openat": _open, "open": _open, "ftruncate": _truncate,
    "truncate": _truncate,
}  # fmt: skip


@dataclass(slots=True)
class _File:
    """An inode: what is on the disk for certain, and writes since."""

    safe: bytearray = field(default_factory=bytearray)
    loose: list[tuple[str, int, bytes]] = field(default_factory=list)

    def sync(self) -> None:
        self.safe = self.after([1.0] * len(self.loose))
        self.loose = []

    def after(self, shares: list[float]) -> bytearray:
        """Content when of each loose write this share (0 to 1) arrived."""
        content = bytearray(self.safe)
        for (kind, offset, data), share in zip(self.loose, shares, strict=True):
            if share <= 0:
                continue
            if kind == "truncate":
                del content[offset:]
                content.extend(bytes(offset - len(content)))
                continue
            arrived = data[: int(len(data) * share)]
            content.extend(bytes(max(0, offset - len(content))))
            content[offset : offset + len(arrived)] = arrived
        return content


@dataclass(slots=True)
class _Name:
    """A change of one folder's entry that is not synced yet; `file` None removes the name."""

    path: str
    file: Any


class Disk:
    """Replays operations in order; `image` is one of the things a power cut may leave at this moment."""

    def __init__(self, folder: str, before: dict[str, bytes], folders: set[str]) -> None:
        self.folder = folder
        self._now: dict[str, Any] = {path: _File(safe=bytearray(data)) for path, data in before.items()}
        self._now |= dict.fromkeys(folders, "folder")
        self._safe: dict[str, Any] = dict(self._now)
        self._loose: list[_Name] = []

    def apply(self, operation: dict[str, Any]) -> None:
        """One operation, as it succeeded."""
        kind, paths = operation["kind"], operation["paths"]
        path = paths[-1]
        if kind == "open":
            file = self._now.get(path)
            if file is None:
                self._change(path, _File())
            elif operation["offset"] and isinstance(file, _File):
                file.loose.append(("truncate", 0, b""))
        elif kind in {"write", "truncate"}:
            file = self._now.get(path)
            if isinstance(file, _File):  # else it was unlinked while open
                file.loose.append((kind, operation["offset"], operation["data"]))
        elif kind == "sync":
            self._sync(path)
        elif kind == "mkdir":
            if path not in self._now:
                self._change(path, "folder")
        elif kind == "unlink":
            if path in self._now:
                self._change(path, None)
        elif paths[0] in self._now:
            if kind == "rename" or path not in self._now:
                self._change(path, self._now[paths[0]])
            if kind == "rename":
                self._change(paths[0], None)

    def image(self, rng: random.Random) -> dict[str, bytes]:
        """Files by path relative to the folder."""
        names = dict(self._safe)
        luck = rng.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        for change in self._loose:
            if rng.random() < luck:
                names[change.path] = change.file
        contents: dict[int, bytes] = {}
        found: dict[str, bytes] = {}
        for path, file in names.items():
            if isinstance(file, _File) and self._reachable(names, path):
                if id(file) not in contents:
                    contents[id(file)] = bytes(file.after([_share(rng, luck) for _ in file.loose]))
                found[path.removeprefix(f"{self.folder}/")] = contents[id(file)]
        return found

    def _change(self, path: str, file: Any) -> None:
        if file is None:
            self._now.pop(path, None)
        else:
            self._now[path] = file
        self._loose.append(_Name(path, file))

    def _sync(self, path: str) -> None:
        file = self._now.get(path)
        if isinstance(file, _File):
            file.sync()
            return
        mine = [change for change in self._loose if str(PurePosixPath(change.path).parent) == path]
        for change in mine:
            self._safe[change.path] = change.file
        self._loose = [change for change in self._loose if change not in mine]

    def _reachable(self, names: dict[str, Any], path: str) -> bool:
        parent = PurePosixPath(path).parent
        while str(parent) != self.folder:
            if names.get(str(parent)) != "folder":
                return False
            parent = parent.parent
        return True


def _share(rng: random.Random, luck: float) -> float:
    draw = rng.random()
    return 1.0 if draw < luck else rng.random() if draw < luck + (1 - luck) / 2 else 0.0


def moments(operations: list[dict[str, Any]], disk: Disk) -> Iterator[int]:
    """The disk after each operation: yields how many were applied (from 0)."""
    yield 0
    for number, operation in enumerate(operations, start=1):
        disk.apply(operation)
        yield number
