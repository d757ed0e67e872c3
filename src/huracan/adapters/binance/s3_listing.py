"""The archive's own list of its files: S3 ListObjects pages, read strictly.

Only what a page must hold to be believed is looked at, and all of it must be right: a list that lies by omission would
make files look lost. Document types and entities are refused, so a page is never larger than its bytes.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final
from xml.parsers import expat

from huracan.adapters.binance.budget import ARCHIVE
from huracan.adapters.binance.http import Ask, HttpClient
from huracan.errors import UpstreamError

MAX_PAGES: Final = 100
"""Of one prefix. A page has a thousand keys, and the largest folder (every spot symbol) has four of them."""
_ROOT: Final = "ListBucketResult"
_DEEPEST: Final = 4  # <Contents><Owner><ID>


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedFile:
    """One object: its key, its size in bytes, and a stamp that changes when its bytes do."""

    key: str
    size: int
    stamp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPage:
    """One page, ascending by key; `after` is where the next one starts, None on the last."""

    files: tuple[ListedFile, ...]
    folders: tuple[str, ...]
    after: str | None


class ArchiveListing:
    """The listing behind one URL. Raises UpstreamError when it does not answer, or its answer is invalid."""

    def __init__(self, http: HttpClient, url: str) -> None:
        self._http, self._url = http, url

    async def files(self, prefix: str, after: str = "") -> list[ListedFile]:
        """Every object whose key starts with `prefix` and sorts behind `after`."""
        return [file async for page in self._pages(prefix, after, "") for file in page.files]

    async def folders(self, prefix: str) -> list[str]:
        """Names of the folders right below `prefix`, which ends in a slash."""
        pages = self._pages(prefix, "", "/")
        return [folder[len(prefix) :].rstrip("/") async for page in pages for folder in page.folders]

    async def _pages(self, prefix: str, after: str, delimiter: str) -> AsyncIterator[ListPage]:
        asked: str | None = after
        for _ in range(MAX_PAGES):
            params = {"prefix": prefix, "marker": asked, "delimiter": delimiter}
            ask = Ask(pool=ARCHIVE, url=self._url, params={name: text for name, text in params.items() if text})
            body = await self._http.get(ask)
            if body is None:
                message = f"{self._url}: status 404 for a listing of {prefix}; is binance.listing_url right?"
                raise UpstreamError(message)
            page = read_page(body, prefix, asked or "", self._url)
            yield page
            asked = page.after
            if asked is None:
                return
        message = f"{self._url}: more than {MAX_PAGES} pages below {prefix}"
        raise UpstreamError(message)


def read_page(body: bytes, prefix: str, after: str, url: str) -> ListPage:
    """One page of the objects below `prefix` and behind `after`; UpstreamError for anything else."""
    reader = _Reader()
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler = reader.text.append
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(body, True)
        return _page(reader, prefix, after)
    except (expat.ExpatError, ValueError, KeyError) as error:
        message = f"{url}: no S3 listing of {prefix} ({error}); it starts {body[:120]!r}"
        raise UpstreamError(message) from error


@dataclass(slots=True)
class _Reader:
    """Texts of the document by element: those of the page, and those of each entry in it."""

    path: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    page: dict[str, str] = field(default_factory=dict)
    entry: dict[str, str] = field(default_factory=dict)
    files: list[dict[str, str]] = field(default_factory=list)
    folders: list[dict[str, str]] = field(default_factory=list)

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        self.path.append(name)
        self.text.clear()
        if self.path[0] != _ROOT or len(self.path) > _DEEPEST:
            message = f"unexpected element {'/'.join(self.path)}"
            raise ValueError(message)

    def end(self, name: str) -> None:
        depth, text = len(self.path), "".join(self.text)
        self.path.pop()
        self.text.clear()
        if depth == 3:
            _set(self.entry, name, text)
        elif depth == 2 and name in {"Contents", "CommonPrefixes"}:
            (self.files if name == "Contents" else self.folders).append(self.entry)
            self.entry = {}
        elif depth == 2:
            _set(self.page, name, text)
            self.entry = {}


def _page(reader: _Reader, prefix: str, after: str) -> ListPage:
    if reader.page["Prefix"] != prefix:
        message = f"it lists {reader.page['Prefix'][:200]!r}"
        raise ValueError(message)
    more = {"true": True, "false": False}[reader.page["IsTruncated"]]
    files = tuple(_file(entry) for entry in reader.files)
    folders = tuple(entry["Prefix"] for entry in reader.folders)
    for keys in ([file.key for file in files], list(folders)):
        _check_order(keys, prefix, after)
    last = max([*(file.key for file in files[-1:]), *folders[-1:]], default="")
    following = reader.page.get("NextMarker") or last
    if more and following <= after:
        message = "it goes on, but not behind where this page began"
        raise ValueError(message)
    return ListPage(files=files, folders=folders, after=following if more else None)


def _file(entry: dict[str, str]) -> ListedFile:
    size, tag = entry["Size"], entry["ETag"].strip('"')
    if not (size.isascii() and size.isdigit() and len(size) < 16) or not tag:
        message = f"size {size[:40]!r} and ETag {tag[:40]!r} of {entry['Key'][:200]!r}"
        raise ValueError(message)
    return ListedFile(key=entry["Key"], size=int(size), stamp=f"{tag}/{int(size)}")


def _check_order(keys: list[str], prefix: str, after: str) -> None:
    before = after
    for key in keys:
        if not key.startswith(prefix) or key <= before:
            message = f"key {key[:200]!r} does not belong behind {before[:200]!r}"
            raise ValueError(message)
        before = key


def _set(target: dict[str, str], name: str, text: str) -> None:
    if name in target:
        message = f"element {name} twice"
        raise ValueError(message)
    target[name] = text


def _refuse_doctype(*_declaration: Any) -> None:
    message = "a document type"
    raise ValueError(message)
