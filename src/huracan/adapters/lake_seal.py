"""The seal of a table: every data file with its sha256, every archive file, every double, and one digest over all of
it.

Each commit carries the whole seal of the state that it leaves, in the same atomic step as the rows. A reader believes
the seal and nothing else. So a bit that flips in a data file, in the log or in a checkpoint is seen before any row is.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from huracan.adapters.lake_doubles import Run
from huracan.domain.ids import content_hash, sha256_hex
from huracan.ports import FetchedFile

SEAL_KEY: Final = "huracan_seal"
FORMER_KEY: Final = "huracan_files"
"""Where releases without hashes kept the list of archive files alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """One Parquet file of a table: sha256 and number of its bytes, its rows, and its first and last time (ms; None: no
    rows).

    Without a sha256 it was written by a release that had none. `late` says that rows came from such a file, so the hash
    shows changes since they were first sealed alone. `restated` counts rows that the exchange has changed.
    """

    path: str
    sha256: str
    size: int
    rows: int
    first_ms: int | None
    last_ms: int | None
    restated: int | None = None
    late: bool = False

    def may_hold(self, low: int, high: int) -> bool:
        """Whether it can have a row with low <= time <= high."""
        return self.first_ms is None or self.last_ms is None or (self.last_ms >= low and self.first_ms <= high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """The whole state of a table: data files by path, archive files by name, doubles by their source."""

    data: Mapping[str, DataFile] = field(default_factory=dict)
    archive: Mapping[str, FetchedFile] = field(default_factory=dict)
    doubles: Mapping[str, tuple[Run, ...]] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether every data file has its hash."""
        return all(file.sha256 for file in self.data.values())


def seal_text(seal: Seal) -> str:
    """The form in a commit: a sha256 and the JSON that it is of."""
    body = json.dumps(
        {
            "data": [
                [
                    file.path,
                    file.sha256,
                    file.size,
                    file.rows,
                    file.first_ms,
                    file.last_ms,
                    file.restated,
                    int(file.late),
                ]
                for _, file in sorted(seal.data.items())
            ],
            "archive": {name: [file.sha256, file.rows, file.stamp] for name, file in sorted(seal.archive.items())},
            "doubles": {source: list(runs) for source, runs in sorted(seal.doubles.items())},
        },
        separators=(",", ":"),
    )
    return f"{sha256_hex(body.encode())} {body}"


def seals_hash(seals: Iterable[Seal]) -> str:
    """One sha256 over the states of an instrument's tables: over every archive checksum and every data file's hash."""
    return content_hash(*(seal_text(seal) for seal in seals))


def read_seal(text: object) -> Seal:
    """The seal in a commit; ValueError where it is not the one that was written."""
    digest, _, body = str(text).partition(" ")
    if sha256_hex(body.encode("utf-8", "replace")) != digest:
        raise ValueError("the seal of its newest commit does not have its own sha256")
    entries = json.loads(body)
    files = (_data_file(entry) for entry in entries["data"])
    return Seal(
        data={file.path: file for file in files},
        archive=archive_files(entries["archive"]),
        doubles={source: tuple(map(tuple, runs)) for source, runs in entries.get("doubles", {}).items()},
    )


ArchiveEntry: TypeAlias = tuple[str, int] | tuple[str, int, str | None]
"""sha256, rows and stamp of an archive file; older seals have no stamp."""


def archive_files(entries: Mapping[str, ArchiveEntry]) -> dict[str, FetchedFile]:
    """Archive files by name; older records have no stamp."""
    return {name: _archive_file(name, *entry) for name, entry in entries.items()}


def _data_file(entry: tuple[str, str, int, int, int | None, int | None, int | None, int]) -> DataFile:
    path, sha256, size, rows, first_ms, last_ms, restated, late = entry
    return DataFile(
        path=path,
        sha256=sha256,
        size=size,
        rows=rows,
        first_ms=first_ms,
        last_ms=last_ms,
        restated=restated,
        late=bool(late),
    )


def _archive_file(name: str, sha256: str, rows: int, stamp: str | None = None) -> FetchedFile:
    return FetchedFile(name=name, sha256=sha256, rows=rows, stamp=stamp)
