"""Files of the public archive: what its list says there is; checksum first, then the zip, verified before it is
parsed.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import polars as pl

from huracan.adapters.binance.budget import ARCHIVE
from huracan.adapters.binance.byte_budget import ByteBudget
from huracan.adapters.binance.http import Ask, HttpClient, list_url
from huracan.adapters.binance.plan import (
    CHECKSUM,
    ArchiveFile,
    FilePlan,
    Folder,
    Span,
    first_day_to_list,
    klines_root,
    months_and_days,
    months_of,
    plan_files,
    without_days_before,
)
from huracan.adapters.binance.s3_listing import ArchiveListing
from huracan.adapters.binance.strict_zip import MAX_ZIP_BYTES, unzip_single
from huracan.domain.ids import Instrument, Market, sha256_hex
from huracan.domain.time import DAY_MS
from huracan.errors import ChecksumError
from huracan.ports import FetchedFile
from huracan.sections import BinanceSettings

FETCHES: Final = 3
BYTES_IN_FLIGHT: Final = 32 << 20
"""Zips that are on their way or being parsed, all together; a month of minutes has 2 MB, and 6 MB unzipped."""
_CHECKSUM_LINE: Final = re.compile(rb"([0-9a-f]{64}) [ *](\S+)\s*")

Parser = Callable[[bytes, str, Span], pl.DataFrame]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedFile:
    """Rows of one file whose bytes had the published sha256; None where the lake holds exactly those bytes' rows."""

    rows: pl.DataFrame | None
    file: FetchedFile


class Archive:
    """The archive behind one base URL, and its list. Raises DataError subclasses only."""

    def __init__(self, http: HttpClient, settings: BinanceSettings) -> None:
        self._http, self._base = http, settings.archive_url.rstrip("/")
        self._listing = ArchiveListing(http, list_url(settings))
        self._in_flight = ByteBudget(BYTES_IN_FLIGHT)

    async def symbols(self, market: Market) -> list[str]:
        """Every symbol of which there ever were klines, sorted; one listed this month has daily files alone."""
        folders = [await self._listing.folders(klines_root(market, period)) for period in ("monthly", "daily")]
        return sorted(set().union(*folders))

    async def plan_klines(
        self, instrument: Instrument, interval: str, window: Span, known: Mapping[str, FetchedFile]
    ) -> FilePlan:
        """Monthly files of a window, and daily ones for what no month covers: one or two requests."""
        months, days = Folder.klines(instrument, interval, "monthly"), Folder.klines(instrument, interval, "daily")
        listed: dict[str, ArchiveFile] = {}
        if any(after <= window[1] for _, after in months_of(*window)):
            listed = await self._listed(months, next(months_of(*window))[0])
        whole, single = months_and_days(months, days, window, listed, known)
        single = without_days_before(instrument.listed_ms, whole, single)
        first_day = first_day_to_list(single, window[1], known)
        if first_day is not None:
            listed |= await self._listed(days, first_day)
        wanted = sorted([*whole, *single], key=lambda file: file.span)
        return plan_files(wanted, listed, known, end_ms=window[1], listed_ms=instrument.listed_ms)

    async def plan_funding(self, instrument: Instrument, window: Span, known: Mapping[str, FetchedFile]) -> FilePlan:
        """Monthly files of settlements that are over before the window ends: one request, or none."""
        folder = Folder.funding(instrument)
        wanted = [folder.file(first) for first, after in months_of(*window) if after <= window[1]]
        listed = await self._listed(folder, wanted[0].span[0]) if wanted else {}
        return plan_files(wanted, listed, known, end_ms=window[1], listed_ms=instrument.listed_ms)

    async def newest_day(self, instrument: Instrument, interval: str, since_ms: int) -> str | None:
        """Name of the newest daily file from a day on, None where there is none."""
        published = await self._listed(Folder.klines(instrument, interval, "daily"), since_ms // DAY_MS * DAY_MS)
        return max(published, default=None)

    async def read(self, file: ArchiveFile, parse: Parser, stored: FetchedFile | None = None) -> VerifiedFile | None:
        """Rows of a file, None where it is gone since it was listed. Checksum and zip are fetched up to three times.

        Raises ChecksumError when the bytes never match, SchemaError when verified bytes are no zip or table of ours.
        """
        problem = ""
        for _ in range(FETCHES):
            line = await self._http.get(Ask(pool=ARCHIVE, url=f"{self._base}/{file.path}{CHECKSUM}", cap=4096))
            if line is None:
                return None
            match = _CHECKSUM_LINE.fullmatch(line)
            if match is None or match[2].decode("utf-8", "replace") != file.name:
                problem = f"its {CHECKSUM} is not a checksum of it: {line[:100]!r}"
                continue
            sha256 = match[1].decode()
            if stored is not None and stored.sha256 == sha256:
                return VerifiedFile(rows=None, file=replace(stored, stamp=file.stamp))
            async with self._in_flight.hold(file.size):
                data = await self._http.get(Ask(pool=ARCHIVE, url=f"{self._base}/{file.path}", cap=MAX_ZIP_BYTES))
                if data is None:
                    return None
                seen = sha256_hex(data)
                if seen == sha256:
                    rows = await asyncio.to_thread(_rows, data, file, parse)
                    record = FetchedFile(name=file.name, sha256=sha256, rows=rows.height, stamp=file.stamp)
                    return VerifiedFile(rows=rows, file=record)
            problem = f"sha256 {seen[:16]}... differs from the published checksum"
        message = f"{file.name}: {problem}, in {FETCHES} fetches"
        raise ChecksumError(message)

    async def _listed(self, folder: Folder, first_ms: int) -> dict[str, ArchiveFile]:
        return folder.published(await self._listing.files(folder.prefix, folder.marker(first_ms)))


def _rows(data: bytes, file: ArchiveFile, parse: Parser) -> pl.DataFrame:
    return parse(unzip_single(data, file.member), file.name, file.span)
