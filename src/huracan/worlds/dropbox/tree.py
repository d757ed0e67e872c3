"""The files of one account: case-insensitive paths, revisions, content hashes, conflicts, a quota, a history."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Literal, get_args

from huracan.domain.json import JsonObject
from huracan.worlds.dropbox.argument import Argument
from huracan.worlds.dropbox.refusals import PathLookupError, PathWriteError

BLOCK: Final = 4 << 20
WriteMode = Literal["add", "overwrite", "update"]
_MODES: Final[tuple[WriteMode, ...]] = get_args(WriteMode)
_DISALLOWED: Final = {"desktop.ini", "thumbs.db", ".ds_store", "icon\r", ".dropbox", ".dropbox.attr"}


def content_hash(data: bytes) -> str:
    """Hex sha256 over the sha256 of each 4 MiB block.

    >>> content_hash(b"") == hashlib.sha256(b"").hexdigest()
    True
    """
    blocks = (hashlib.sha256(data[start : start + BLOCK]).digest() for start in range(0, len(data), BLOCK))
    return hashlib.sha256(b"".join(blocks)).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file, or a folder where `data` is None. `path` has the case it was made with."""

    path: str
    id: str
    data: bytes | None = None
    rev: str = ""
    digest: str = ""
    modified: str = ""

    def metadata(self) -> JsonObject:
        """FileMetadata or FolderMetadata."""
        common = {"name": self.path.rpartition("/")[2], "path_display": self.path, "path_lower": self.path.lower()}
        if self.data is None:
            return {".tag": "folder", "id": self.id, **common}
        return {
            ".tag": "file",
            "id": self.id,
            **common,
            "client_modified": self.modified,
            "server_modified": self.modified,
            "rev": self.rev,
            "size": len(self.data),
            "is_downloadable": True,
            "content_hash": self.digest,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """How a file is written: CommitInfo without the path."""

    mode: WriteMode = "add"
    rev: str = ""
    autorename: bool = False
    strict: bool = False

    @classmethod
    def of(cls, commit: Argument) -> "Write":
        """From a route's argument; a mode is a tag, alone or in an object."""
        tag = commit.tag("mode", "add")
        mode = next((mode for mode in _MODES if mode == tag), None)
        if mode is None:
            raise TypeError(f"mode: unknown tag {tag!r}")
        rev = commit.part("mode").optional_text("update") if mode == "update" else None
        return cls(
            mode=mode, rev=rev or "", autorename=commit.flag("autorename"), strict=commit.flag("strict_conflict")
        )


class Tree:
    """All entries by lower-case path; every change is kept, so that the past can be listed. `used` counts bytes."""

    def __init__(self, quota: int) -> None:
        self.quota = quota
        self._entries: dict[str, Entry] = {}
        self._log: list[tuple[str, Entry | None]] = []
        self._marks: list[int] = []
        self._made = 0
        self.used = 0

    @property
    def position(self) -> int:
        """How many changes there were."""
        return len(self._log)

    def mark(self) -> None:
        """A commit starts here."""
        self._marks.append(len(self._log))

    def files(self) -> dict[str, bytes]:
        """Bytes of every file by path."""
        return {entry.path: entry.data for entry in self._entries.values() if entry.data is not None}

    def get(self, path: str) -> Entry:
        """What is at a path; PathLookupError not_found."""
        entry = self._entries.get(_lower(path))
        if entry is None:
            raise PathLookupError("not_found")
        return entry

    def write(self, path: str, data: bytes, how: Write) -> Entry:
        """The file after writing: unchanged where the same bytes were already there and `how` is not strict."""
        there = self._entries.get(self._writable(path))
        if _in_conflict(there, data, how):
            if not how.autorename:
                raise PathWriteError("conflict", "folder" if there is not None and there.data is None else "file")
            path, there = self._free_name(path, "conflicted copy" if how.mode == "update" else ""), None
        if there is not None and there.data == data:
            return there
        if self.used + len(data) - _size(there) > self.quota:
            raise PathWriteError("insufficient_space")
        written = Entry(
            path=path,
            id=there.id if there else self._id(),
            data=data,
            rev=self._number(),
            digest=content_hash(data),
            modified=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
        return self._put(path, written)

    def make_folder(self, path: str, *, autorename: bool) -> Entry:
        """A new folder; PathWriteError conflict where something has its name."""
        there = self._entries.get(self._writable(path))
        if there is not None:
            if not autorename:
                raise PathWriteError("conflict", "folder" if there.data is None else "file")
            path = self._free_name(path, "")
        return self._put(path, Entry(path=path, id=self._id()))

    def delete(self, path: str, parent_rev: str | None = None) -> Entry:
        """What was at a path, removed with everything below; PathWriteError when it is not that revision any more."""
        entry = self.get(path)
        if parent_rev is not None and entry.rev != parent_rev:
            raise PathWriteError("conflict", "file")
        for lower in self._below(entry.path):
            self._change(lower, None)
        self._change(entry.path.lower(), None)
        return entry

    def move(self, source: str, target: str, *, autorename: bool) -> Entry:
        """The entry at its new place, with everything below it."""
        entry = self.get(source)
        if self._entries.get(self._writable(target)) is not None:
            if not autorename:
                raise PathWriteError("conflict", "file")
            target = self._free_name(target, "")
        inside = [self._entries[lower] for lower in self._below(entry.path)]
        self.delete(source)
        moved = self._put(target, replace(entry, path=target))
        for child in inside:
            self._put(target + child.path[len(entry.path) :], child)
        return moved

    def listing(self, path: str, *, recursive: bool, commits_ago: int = 0) -> list[JsonObject]:
        """Metadata of everything in a folder ("" is the root); PathLookupError where there is none."""
        entries = self._as_of(commits_ago)
        if path:
            folder = entries.get(_lower(path))
            if folder is None or folder.data is not None:
                raise PathLookupError("not_found" if folder is None else "not_folder")
        start = f"{path.lower()}/"
        return [
            entry.metadata()
            for lower, entry in sorted(entries.items())
            if lower.startswith(start) and (recursive or "/" not in lower[len(start) :])
        ]

    def changes(self, position: int, path: str, *, recursive: bool) -> list[JsonObject]:
        """Metadata of what changed in a folder since a position; removed paths as DeletedMetadata."""
        start = f"{path.lower()}/"
        found: list[JsonObject] = []
        for lower in dict.fromkeys(lower for lower, _ in self._log[position:]):
            if lower.startswith(start) and (recursive or "/" not in lower[len(start) :]):
                entry = self._entries.get(lower)
                gone: JsonObject = {
                    ".tag": "deleted",
                    "name": lower.rpartition("/")[2],
                    "path_lower": lower,
                    "path_display": lower,
                }
                found.append(gone if entry is None else entry.metadata())
        return found

    def _as_of(self, commits_ago: int) -> dict[str, Entry]:
        if commits_ago == 0:
            return self._entries
        entries = dict(self._entries)
        marks = self._marks[-commits_ago:]
        for lower, before in reversed(self._log[marks[0] if marks else len(self._log) :]):
            if before is None:
                entries.pop(lower, None)
            else:
                entries[lower] = before
        return entries

    def _put(self, path: str, entry: Entry) -> Entry:
        parent, _, name = path.rpartition("/")
        if parent and parent.lower() not in self._entries:
            self._put(parent, Entry(path=parent, id=self._id()))
        where = self._entries[parent.lower()].path if parent else ""
        there = self._entries.get(path.lower())
        placed = replace(entry, path=there.path if there else f"{where}/{name}")
        self._change(path.lower(), placed)
        return placed

    def _change(self, lower: str, entry: Entry | None) -> None:
        before = self._entries.get(lower)
        self._log.append((lower, before))
        self.used += _size(entry) - _size(before)
        if entry is None:
            del self._entries[lower]
        else:
            self._entries[lower] = entry

    def _below(self, path: str) -> list[str]:
        return [lower for lower in self._entries if lower.startswith(f"{path.lower()}/")]

    def _writable(self, path: str) -> str:
        try:
            lower = _lower(path)
        except PathLookupError as error:
            raise PathWriteError(error.tag) from None
        parts = lower.split("/")[1:]
        if any(part in _DISALLOWED for part in parts):
            raise PathWriteError("disallowed_name")
        for depth in range(1, len(parts)):
            above = self._entries.get(f"/{'/'.join(parts[:depth])}")
            if above is not None and above.data is not None:
                raise PathWriteError("conflict", "file_ancestor")
        return lower

    def _free_name(self, path: str, words: str) -> str:
        folder, _, name = path.rpartition("/")
        stem, dot, ending = name.rpartition(".") if "." in name else (name, "", "")
        return next(
            candidate
            for mark in _marks(words)
            if (candidate := f"{folder}/{stem} ({mark}){dot}{ending}").lower() not in self._entries
        )

    def _number(self) -> str:
        self._made += 1
        return f"{self._made:015x}"

    def _id(self) -> str:
        return f"id:{self._number()}"


def _size(entry: Entry | None) -> int:
    return 0 if entry is None or entry.data is None else len(entry.data)


def _in_conflict(there: Entry | None, data: bytes, how: Write) -> bool:
    if there is None:
        return how.mode == "update" and how.strict
    if there.data is None:
        return True
    if how.mode == "overwrite" or (how.mode == "update" and there.rev == how.rev):
        return False
    return how.strict or there.data != data


def _lower(path: str) -> str:
    parts = path.split("/")
    if parts[0] or any(not part or len(part) > 255 or re.search(r"[\\\0]", part) for part in parts[1:]):
        raise PathLookupError("malformed_path")
    return path.lower()


def _marks(words: str) -> Iterator[str]:
    if words:
        yield words
    number = 0
    while True:
        number += 1
        yield f"{words} {number}".strip()
