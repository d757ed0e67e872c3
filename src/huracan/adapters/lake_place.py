"""Where a lake's tables lie: folders below a folder, or prefixes below a bucket's URL. Names are table paths such as
bars/NAME.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, Protocol, TypeVar

import obstore
from obstore.exceptions import BaseError, NotFoundError

from huracan.adapters.cloud import asked, in_words, open_bucket, table_options, unanswered
from huracan.adapters.endpoints import is_url
from huracan.adapters.publishers.objectstore import checked_url
from huracan.adapters.refusals import GivenUpError
from huracan.errors import ConfigError, DamagedTableError, DataError, UpstreamError

T = TypeVar("T")

DAMAGED: Final = "damaged"
_UNFIT: Final = frozenset("%[]^|\\")
"""Signs that Delta tables take for escapes, hosts or separators in a path: they panic or write somewhere else."""
_READERS: Final = 8
"""Files of a bucket that are on their way at once."""


class LakePlace(Protocol):
    """What the lake asks of the place it lies in."""

    root: str
    options: dict[str, str] | None
    """Storage options of the Delta tables."""

    def may_hold(self, table: str) -> bool:
        """False only where there is no such table for certain; True costs a look at its log."""
        ...

    def names(self, kind: str) -> list[str]:
        """Names of the tables of a kind, sorted."""
        ...

    def fetch(self, files: Sequence[str]) -> Iterator[bytes]:
        """The bytes of files one after the other; raises FileNotFoundError, OSError."""
        ...

    def store(self, file: str, data: bytes) -> None:
        """Write a new file that no reader knows of yet; raises OSError."""
        ...

    def quarantine(self, name: str) -> str:
        """Move a table or one of its files to ``damaged/`` beside the tables; returns where it lies now, or that it is
        gone.
        """
        ...

    def quarantined(self) -> list[str]:
        """Names below ``damaged/``, sorted."""
        ...

    def size(self) -> int:
        """Size of everything below the root."""
        ...

    def failure(self, uri: str, error: BaseException) -> DataError:
        """What a failed read or write of a table means."""
        ...


def place_of(root: str, *, allow_http: bool) -> LakePlace:
    """A folder, or the bucket behind a URL; raises ConfigError for one that cannot hold a lake."""
    return _Bucket(root, allow_http=allow_http) if is_url(root) else _Folder(root)


def _refuse_unfit(root: str, unfit: frozenset[str]) -> None:
    bad = next((sign for sign in root if sign in unfit or not sign.isprintable()), None)
    if bad is not None:
        raise ConfigError(f"lake {root!r} contains {bad!r}, which Delta tables cannot hold; wanted a place without it")


class _Folder:
    options: dict[str, str] | None = None

    def __init__(self, root: str) -> None:
        self.root = str(Path(root).absolute())
        _refuse_unfit(self.root, _UNFIT)

    def may_hold(self, table: str) -> bool:
        return os.path.isdir(f"{self.root}/{table}/_delta_log")  # noqa: PTH112

    def names(self, kind: str) -> list[str]:
        folder = Path(self.root) / kind
        return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []

    def fetch(self, files: Sequence[str]) -> Iterator[bytes]:
        return ((Path(self.root) / file).read_bytes() for file in files)

    def store(self, file: str, data: bytes) -> None:
        path = Path(self.root) / file
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("xb") as out:
                out.write(data)
        except OSError:
            path.unlink(missing_ok=True)
            raise

    def quarantine(self, name: str) -> str:
        number = 1
        while (target := Path(self.root) / DAMAGED / f"{name.replace('/', '-')}-{number}").exists():
            number += 1
        target.parent.mkdir(exist_ok=True)
        try:
            (Path(self.root) / name).rename(target)
        except FileNotFoundError:
            return f"{self.root}/{name} (gone)"
        return str(target)

    def quarantined(self) -> list[str]:
        folder = Path(self.root) / DAMAGED
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    def size(self) -> int:
        return sum(path.stat().st_size for path in Path(self.root).rglob("*") if path.is_file())

    def failure(self, uri: str, error: BaseException) -> DataError:
        line = str(error).strip().partition("\n")[0]
        return DamagedTableError(f"lake table {uri}: {line}; move the folder away and the next run fetches it again")


class _Bucket:
    def __init__(self, url: str, *, allow_http: bool) -> None:
        self.root = checked_url(url)
        _refuse_unfit(self.root, _UNFIT | {"#"})
        self.options: dict[str, str] | None = table_options(allow_http=allow_http)
        self._store = open_bucket(self.root, allow_http=allow_http)

    def may_hold(self, table: str) -> bool:  # noqa: ARG002 - asking costs as much as opening
        return True

    def names(self, kind: str) -> list[str]:
        listed = self._call(kind, lambda: obstore.list_with_delimiter(self._store, f"{kind}/"))
        return sorted(prefix.rstrip("/").rpartition("/")[2] for prefix in listed["common_prefixes"])

    def fetch(self, files: Sequence[str]) -> Iterator[bytes]:
        with ThreadPoolExecutor(_READERS) as pool:
            yield from pool.map(self._get, files)

    def store(self, file: str, data: bytes) -> None:
        try:
            asked(lambda: obstore.put(self._store, file, data))
        except GivenUpError as error:
            raise OSError(str(error)) from None

    def quarantine(self, name: str) -> str:
        number = 1
        while self._keys(target := f"{DAMAGED}/{name.replace('/', '-')}-{number}"):
            number += 1
        for key in self._keys(name):
            moved = f"{target}{key.removeprefix(name)}"
            self._call(name, partial(obstore.rename, self._store, key, moved))
        return f"{self.root}/{target}"

    def quarantined(self) -> list[str]:
        listed = self._call(DAMAGED, lambda: obstore.list_with_delimiter(self._store, f"{DAMAGED}/"))
        keys = (*listed["common_prefixes"], *(str(meta["path"]) for meta in listed["objects"]))
        return sorted(key.rstrip("/").rpartition("/")[2] for key in keys)

    def size(self) -> int:
        chunks = self._call("", lambda: obstore.list(self._store).collect())
        return sum(meta["size"] for meta in chunks)

    def failure(self, uri: str, error: BaseException) -> DataError:
        if unanswered(error):
            return UpstreamError(f"the lake's bucket gives no answer to work with for {uri}: {in_words(error)}")
        return DamagedTableError(f"lake table {uri}: {in_words(error)}; move it away and the next run fetches it again")

    def _get(self, file: str) -> bytes:
        try:
            return obstore.get(self._store, file).bytes().to_bytes()
        except NotFoundError as error:
            raise FileNotFoundError(str(error)) from None
        except BaseError as error:
            raise OSError(str(error)) from None

    def _keys(self, name: str) -> list[str]:
        """What lies below a name, or the file of that name."""
        folder, _, last = name.rpartition("/")
        prefix = f"{folder}/" if "." in last else f"{name}/"
        found = self._call(name, lambda: obstore.list(self._store, prefix).collect())
        keys = (str(meta["path"]) for meta in found)
        return [key for key in keys if key == name or key.startswith(f"{name}/")]

    def _call(self, table: str, operation: Callable[[], T]) -> T:
        try:
            return operation()
        except (BaseError, OSError) as error:
            raise self.failure(f"{self.root}/{table}", error) from None
