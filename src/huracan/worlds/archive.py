"""The exchange's public archive over a MarketSource: zipped CSV files, their checksums, and an S3-style listing.

Monthly files exist for finished months, daily ones for the days before now's day; funding rates are monthly only.
Spot files have no header and, from 2025-01-01, microseconds; USD-M files have a header and milliseconds.
"""

import os
import threading
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Final

import polars as pl

from huracan.domain.ids import Market, path_segment, sha256_hex
from huracan.domain.time import DAY_MS, iso
from huracan.worlds.archive_edits import edited
from huracan.worlds.faults import Change
from huracan.worlds.rest import settlement_jitter_ms
from huracan.worlds.s3_xml import list_xml
from huracan.worlds.source import INTERVALS, ListedInstrument, Listings, MarketSource, bars_of

MICROSECONDS_FROM_MS: Final = 1_735_689_600_000
"""2025-01-01: spot files of this day and later count microseconds."""

UM_HEADER: Final = [
    *("open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume"),
    *("count", "taker_buy_volume", "taker_buy_quote_volume", "ignore"),
]

CHECKSUM: Final = ".CHECKSUM"

_FIXED_DATE: Final = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """One archive file by its name: of an instrument, klines of an interval or (None) funding, and its time span."""

    listed: ListedInstrument
    folder: str
    stem: str
    interval: str | None
    start_ms: int
    end_ms: int

    @property
    def key(self) -> str:
        return f"{self.folder}{self.stem}.zip"


class Archive:
    """Builds files when first asked for and keeps them below `folder`, where no other user may write."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._listings = folder, Listings()
        self._building: dict[str, threading.Lock] = {}
        self._edits: list[Change] = []
        self._guard = threading.Lock()

    def edit(self, change: Change) -> None:
        """From now on files whose key contains `change.path` (with or without ``.CHECKSUM``) have other bytes."""
        with self._guard:
            self._edits.append(replace(change, path=change.path.removesuffix(CHECKSUM)))

    def get(self, view: MarketSource, key: str) -> bytes | None:
        """The bytes of a file or of its ``.CHECKSUM``; None where the archive has none (yet)."""
        wanted = key.removesuffix(CHECKSUM)
        item = next((item for item in self._files(view, wanted) if item.key == wanted), None)
        data = None if item is None else self._zip(view, item)
        if data is None or not key.endswith(CHECKSUM):
            return data
        name = wanted.rpartition("/")[2]
        return f"{sha256_hex(data)}  {name}".encode()

    def listing(self, view: MarketSource, params: Mapping[str, str]) -> bytes:
        """One page of an S3 ListObjects answer (XML), version 1 (`marker`) or 2 (`continuation-token`)."""
        prefix, delimiter = params.get("prefix", ""), params.get("delimiter", "")
        second = params.get("list-type") == "2"
        after = params.get("continuation-token", params.get("start-after", "")) if second else params.get("marker", "")
        most = min(int(params.get("max-keys", "1000")), 1000)
        entries = self._entries(view, prefix, delimiter)
        page: list[tuple[str, bytes | None, str]] = []
        cut = False
        for key in sorted(key for key in entries if key > after):
            if len(page) == most:
                cut = True
                break
            found = entries[key]
            data = None if found is None else self.get(view, key)
            if found is None or data is not None:
                page.append((key, data, "" if found is None else iso(found.end_ms)))
        return list_xml(prefix, delimiter, page, cut=cut, most=most, after=after, second=second)

    def _entries(self, view: MarketSource, prefix: str, delimiter: str) -> dict[str, _File | None]:
        """Keys below a prefix with their files; None for the folders that a delimiter folds."""
        entries: dict[str, _File | None] = {}
        for folder in self._folders(view, prefix):
            inner = folder[len(prefix) :] if folder.startswith(prefix) else ""
            if delimiter and delimiter in inner:
                entries[prefix + inner.partition(delimiter)[0] + delimiter] = None
                continue
            for item in self._files(view, folder):
                for key in (item.key, item.key + CHECKSUM):
                    if key.startswith(prefix):
                        entries[key] = item
        return entries

    def _folders(self, view: MarketSource, prefix: str) -> Iterator[str]:
        """Folders of files that the prefix leads to or lies in."""
        for root in _ROOTS:
            if not (root.folder.startswith(prefix) or prefix.startswith(root.folder)):
                continue
            listed = self._listings.of(view, root.market)
            name, slash, _ = prefix[len(root.folder) :].partition("/")
            symbols = [name] if slash else [symbol for symbol in listed if symbol.startswith(name)]
            for symbol in symbols:
                for folder, _ in _folders_of(listed.get(symbol), root):
                    if folder.startswith(prefix) or prefix.startswith(folder):
                        yield folder

    def _files(self, view: MarketSource, key: str) -> Iterator[_File]:
        """Files that may exist now in the folder of a key (or in the key itself, a folder)."""
        root = next((root for root in _ROOTS if key.startswith(root.folder)), None)
        if root is None:
            return
        symbol = key[len(root.folder) :].partition("/")[0]
        item = self._listings.of(view, root.market).get(symbol)
        for folder, interval in _folders_of(item, root):
            if item is not None and key.startswith(folder):
                first_ms = item.onboard_ms if item.archived_ms is None else item.archived_ms
                for name, start, end in _periods(first_ms, view.now_ms, monthly=root.monthly):
                    stem = f"{symbol}-{interval or 'fundingRate'}-{name}"
                    yield _File(listed=item, folder=folder, stem=stem, interval=interval, start_ms=start, end_ms=end)

    def _zip(self, view: MarketSource, item: _File) -> bytes | None:
        with self._guard:
            edits = [edit for edit in self._edits if edit.path in "/" + item.key]
            path = self._folder / (path_segment(item.key) + f"~{len(edits)}" * bool(edits))
            lock = self._building.setdefault(path.name, threading.Lock())
        with lock:
            if path.exists():
                return path.read_bytes() or None
            text = _funding_csv(view, item) if item.interval is None else _klines_csv(view, item)
            for edit in edits if text is not None else ():
                text = edited(text or b"", edit.kind, klines=item.interval is not None)
            data = b"" if text is None else _zipped(f"{item.stem}.csv", text)
            scratch = path.with_suffix(".part")
            scratch.write_bytes(data)
            os.replace(scratch, path)  # noqa: PTH105  (Path.replace is the same call)
            return data or None


@dataclass(frozen=True, slots=True)
class _Root:
    """A folder of symbols: of a market's monthly or daily klines, or of its settlements."""

    market: Market
    folder: str
    monthly: bool
    funding: bool = False


_ROOTS: Final = (
    _Root("spot", "data/spot/monthly/klines/", monthly=True),
    _Root("spot", "data/spot/daily/klines/", monthly=False),
    _Root("um", "data/futures/um/monthly/klines/", monthly=True),
    _Root("um", "data/futures/um/daily/klines/", monthly=False),
    _Root("um", "data/futures/um/monthly/fundingRate/", monthly=True, funding=True),
)


def _folders_of(listed: ListedInstrument | None, root: _Root) -> Iterator[tuple[str, str | None]]:
    """(folder, interval) of what a symbol has below a root; the interval of settlements is None."""
    if listed is None:
        return
    symbol = listed.instrument.symbol
    if root.funding:
        if listed.funding_hours is not None:
            yield f"{root.folder}{symbol}/", None
        return
    for interval, length in INTERVALS.items():
        if length % listed.interval_ms == 0:
            yield f"{root.folder}{symbol}/{interval}/", interval


def _periods(first_ms: int, now_ms: int, *, monthly: bool) -> Iterator[tuple[str, int, int]]:
    """(name, start, end) of every finished month or day since `first_ms`."""
    moment = datetime.fromtimestamp(first_ms / 1000, tz=UTC)
    start = _ms(moment.year, moment.month, 1 if monthly else moment.day)
    while True:
        day = datetime.fromtimestamp(start / 1000, tz=UTC)
        end = _ms(day.year + day.month // 12, day.month % 12 + 1, 1) if monthly else start + DAY_MS
        if end > now_ms:
            return
        yield f"{day:%Y-%m}" if monthly else f"{day:%Y-%m-%d}", start, end
        start = end


def _ms(year: int, month: int, day: int) -> int:
    return round(datetime(year, month, day, tzinfo=UTC).timestamp() * 1000)


def _klines_csv(view: MarketSource, item: _File) -> bytes | None:
    bars = bars_of(view, item.listed, item.start_ms, item.end_ms, INTERVALS[item.interval or ""])
    if bars.height == 0:
        return None
    spot = item.listed.instrument.market == "spot"
    unit = 1000 if spot and item.start_ms >= MICROSECONDS_FROM_MS else 1
    length = INTERVALS[item.interval or ""]
    count = pl.col("trades").cast(pl.Int64)
    table = bars.select(
        pl.col("open_time") * unit, "open", "high", "low", "close", "volume",
        ((pl.col("open_time") + length) * unit - 1).alias("close_time"), "quote_volume", count, "taker_base",
        "taker_quote", pl.lit(0, pl.Int64).alias("ignore"),
    )  # fmt: skip
    table.columns = UM_HEADER
    return _csv(table, header=not spot)


def _funding_csv(view: MarketSource, item: _File) -> bytes | None:
    symbol = item.listed.instrument.symbol
    rows = view.funding(item.listed.id)
    rows = rows.filter(pl.col("funding_time").is_between(item.start_ms, item.end_ms - 1))
    if rows.height == 0:
        return None
    times = [time + settlement_jitter_ms(symbol, time) for time in rows["funding_time"].to_list()]
    hours = pl.Series([item.listed.funding_hours] * rows.height, dtype=pl.Int64)
    table = pl.DataFrame({"calc_time": times, "funding_interval_hours": hours, "last_funding_rate": rows["rate"]})
    return _csv(table, header=True)


def _csv(table: pl.DataFrame, *, header: bool) -> bytes:
    floats = table.select(pl.selectors.float())
    # The fast float writer uses exponents for extreme values only; the exchange's files never have any.
    tiny = any(
        column.len() and bool(((column.abs() < 1e-3) & (column != 0) | (column.abs() > 1e14)).any())
        for column in floats
    )
    out = BytesIO()
    table.write_csv(out, include_header=header, float_scientific=False if tiny else None)
    return out.getvalue()


def _zipped(name: str, text: bytes) -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        info = zipfile.ZipInfo(name, date_time=_FIXED_DATE)
        info.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(info, text, compresslevel=1)
    return out.getvalue()
