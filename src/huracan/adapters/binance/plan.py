"""Which archive files cover a stretch of time, by the archive's own list, and which stretch no file covers."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Literal
from urllib.parse import quote

from huracan.adapters.binance.s3_listing import ListedFile
from huracan.domain.ids import Instrument, Market
from huracan.domain.time import DAY_MS
from huracan.ports import FetchedFile

Span = tuple[int, int]
Period = Literal["monthly", "daily"]

LATE_DAYS: Final = 14
"""A file may be listed so long after its last bar (a month's on the month's first Monday, a day's has come days later):
until then its absence means "not yet", afterwards the file is lost.
"""
WATCHED_DAYS: Final = 480
"""Stored daily files are watched for replacement so far back: with their checksums they fit one page of the list."""
CHECKSUM: Final = ".CHECKSUM"
_ROOT: Final[dict[Market, str]] = {"spot": "data/spot", "um": "data/futures/um"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveFile:
    """One zip: its name, its path below the archive's root, the time it covers (ms, half open), and its listed size and
    stamp (0 and empty where the list does not have it).
    """

    name: str
    path: str
    span: Span
    size: int = 0
    stamp: str = ""

    @property
    def member(self) -> str:
        """Name of the CSV inside."""
        return self.name.removesuffix(".zip") + ".csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """One folder of the archive: an instrument's klines of one interval, or its settlements, by month or by day."""

    prefix: str
    stem: str
    period: Period

    @classmethod
    def klines(cls, instrument: Instrument, interval: str, period: Period) -> "Folder":
        """Bars of an instrument."""
        prefix = f"{klines_root(instrument.market, period)}{instrument.symbol}/{interval}/"
        return cls(prefix=prefix, stem=f"{instrument.symbol}-{interval}", period=period)

    @classmethod
    def funding(cls, instrument: Instrument) -> "Folder":
        """Settlements of an instrument; there are no daily files."""
        prefix = f"{_ROOT[instrument.market]}/monthly/fundingRate/{instrument.symbol}/"
        return cls(prefix=prefix, stem=f"{instrument.symbol}-fundingRate", period="monthly")

    def file(self, first_ms: int) -> ArchiveFile:
        """The file that begins at a month's or day's first moment, published or not."""
        monthly = self.period == "monthly"
        label = datetime.fromtimestamp(first_ms / 1000, tz=UTC).strftime("%Y-%m" if monthly else "%Y-%m-%d")
        name = f"{self.stem}-{label}.zip"
        span = (first_ms, _next_month(first_ms) if monthly else first_ms + DAY_MS)
        return ArchiveFile(name=name, path=quote(self.prefix + name), span=span)

    def marker(self, first_ms: int) -> str:
        """A text that sorts right before the keys of that file."""
        return self.prefix + self.file(first_ms).name.removesuffix(".zip")

    def published(self, listed: Sequence[ListedFile]) -> dict[str, ArchiveFile]:
        """Files of ours in a list, by name; one without a checksum is not published yet."""
        keys = {file.key for file in listed}
        start, found = self.prefix + self.stem + "-", {}
        for entry in listed:
            first = _moment(entry.key[len(start) :]) if entry.key.startswith(start) else None
            file = None if first is None else self.file(first)
            if file is not None and self.prefix + file.name == entry.key and entry.key + CHECKSUM in keys:
                found[file.name] = replace(file, size=entry.size, stamp=entry.stamp)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePlan:
    """Files of a window, oldest first and no time twice.

    `published` are those the list has: to be read, unless the lake holds them with the same stamp. `kept` are those the
    lake alone has (or whose time it has filled by REST, for a lost file). `lost` are absent, too old to be merely late,
    and lie between others.
    """

    published: tuple[ArchiveFile, ...]
    kept: tuple[ArchiveFile, ...] = ()
    lost: tuple[ArchiveFile, ...] = ()


def months_and_days(
    months: Folder, days: Folder, window: Span, monthly: Mapping[str, ArchiveFile], known: Mapping[str, FetchedFile]
) -> tuple[list[ArchiveFile], list[ArchiveFile]]:
    """A window's months that come as one file, and the days of all others.

    Only files that lie before the window's end count, so an as-of run never sees a later row; the first month may reach
    back. A month whose days are all stored stays in days: fetching it would bring nothing.
    """
    whole: list[ArchiveFile] = []
    single: list[ArchiveFile] = []
    for first, after in months_of(*window):
        month = months.file(first)
        low, high = max(first, window[0]) // DAY_MS * DAY_MS, min(after, window[1])
        inside = [days.file(day) for day in range(low, high, DAY_MS) if day + DAY_MS <= high]
        stored = bool(inside) and all(file.name in known for file in inside)
        if after <= window[1] and (month.name in known or (month.name in monthly and not stored)):
            whole.append(month)
        else:
            single += inside
    return whole, single


def without_days_before(
    listed_ms: int | None, whole: Sequence[ArchiveFile], single: Sequence[ArchiveFile]
) -> list[ArchiveFile]:
    """The single days without those before the listing, unless some month before it has a file: an earlier
    listing's.
    """
    if listed_ms is None or any(file.span[1] <= listed_ms for file in whole):
        return list(single)
    return [file for file in single if file.span[1] > listed_ms]


def first_day_to_list(days: Sequence[ArchiveFile], end_ms: int, known: Mapping[str, FetchedFile]) -> int | None:
    """Where a list of daily files must begin: at the first one that is not stored, or is still watched; None: no
    need.
    """
    watched_from = end_ms - WATCHED_DAYS * DAY_MS
    return next((day.span[0] for day in days if day.name not in known or day.span[0] >= watched_from), None)


def plan_files(
    wanted: Sequence[ArchiveFile],
    listed: Mapping[str, ArchiveFile],
    known: Mapping[str, FetchedFile],
    *,
    end_ms: int,
    listed_ms: int | None,
) -> FilePlan:
    """What is to be done about each wanted file, given the list and what the lake holds.

    A file is lost only between others of one listing (or after the known begin of it and before another): before the
    first one the instrument was not listed, and after the last one it may have ended.
    """
    published = [listed[file.name] for file in wanted if file.name in listed]
    kept = [file for file in wanted if file.name in known and file.name not in listed]
    present = sorted(file.span for file in (*published, *(file for file in kept if not known[file.name].lost)))
    begins = [low for low, _ in present]
    earlier = [low for low in begins if listed_ms is not None and low < listed_ms]
    first = min(begins, default=end_ms) if listed_ms is None else listed_ms
    lives = [(min(earlier), max(earlier)), (first, max(begins))] if earlier else [(first, max(begins, default=0))]
    lost = [
        file
        for file in wanted
        if file.name not in listed
        and file.name not in known
        and any(first <= file.span[0] < last for first, last in lives)
        and file.span[1] + LATE_DAYS * DAY_MS <= end_ms
    ]
    return FilePlan(published=tuple(published), kept=tuple(kept), lost=tuple(lost))


def klines_root(market: Market, period: Period) -> str:
    """Prefix below which every symbol with klines has a folder."""
    return f"{_ROOT[market]}/{period}/klines/"


def uncovered(start_ms: int, end_ms: int, covered: Iterable[Span]) -> list[Span]:
    """Stretches of [start_ms, end_ms) outside all covered ones, ascending.

    >>> uncovered(0, 10, [(2, 4), (3, 5), (8, 12)])
    [(0, 2), (5, 8)]
    """
    holes, at = [], start_ms
    for low, high in sorted(covered):
        if low > at:
            holes.append((at, min(low, end_ms)))
        at = max(at, high)
    if at < end_ms:
        holes.append((at, end_ms))
    return [(low, high) for low, high in holes if low < high]


def months_of(start_ms: int, end_ms: int) -> Iterator[Span]:
    """Months that touch [start_ms, end_ms), whole."""
    moment = datetime.fromtimestamp(start_ms / 1000, tz=UTC)
    first = _first_of(moment.year, moment.month)
    while first < end_ms:
        after = _next_month(first)
        yield first, after
        first = after


def span_of(name: str) -> Span | None:
    """The time that an archive file of this name covers; None for a name of no such file.

    >>> span_of("SOLUSDT-1m-1970-01-02.zip")
    (86400000, 172800000)
    """
    for label, period in ((name[-14:], "daily"), (name[-11:], "monthly")):
        first = _moment(label)
        if first is not None:
            return first, first + DAY_MS if period == "daily" else _next_month(first)
    return None


def _moment(label: str) -> int | None:
    """Start of the month or day in ``2025-06.zip`` or ``2025-06-01.zip``, None for any other text."""
    form = {11: "%Y-%m.zip", 14: "%Y-%m-%d.zip"}.get(len(label), "")
    try:
        return round(datetime.strptime(label, form).replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError:
        return None


def _next_month(first_ms: int) -> int:
    moment = datetime.fromtimestamp(first_ms / 1000, tz=UTC)
    return _first_of(moment.year + moment.month // 12, moment.month % 12 + 1)


def _first_of(year: int, month: int) -> int:
    return round(datetime(year, month, 1, tzinfo=UTC).timestamp() * 1000)
