"""Files of the public archive: checksum first, then the zip, verified before it is parsed."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import polars as pl

from huracan.adapters.binance.budget import ARCHIVE
from huracan.adapters.binance.http import Ask, HttpClient
from huracan.adapters.binance.plan import ArchiveFile, Span
from huracan.adapters.binance.strict_zip import MAX_ZIP_BYTES, unzip_single
from huracan.domain.ids import sha256_hex
from huracan.errors import ChecksumError, UpstreamError
from huracan.ports import FetchedFile

FETCHES: Final = 3
_CHECKSUM = re.compile(rb"([0-9a-f]{64}) [ *](\S+)\s*")

Parser = Callable[[bytes, str, Span], pl.DataFrame]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedFile:
    """Rows of one file whose bytes had the published sha256."""

    rows: pl.DataFrame
    file: FetchedFile


class Archive:
    """The archive behind one base URL."""

    def __init__(self, http: HttpClient, base_url: str) -> None:
        self._http, self._base = http, base_url.rstrip("/")

    async def checksum(self, file: ArchiveFile) -> str | None:
        """Published sha256 of a file, None where there is none (yet): without it the file is not read."""
        url = f"{self._base}/{file.path}.CHECKSUM"
        body = await self._http.get(Ask(pool=ARCHIVE, url=url, cap=4096))
        if body is None:
            return None
        match = _CHECKSUM.fullmatch(body)
        if match is None or match[2].decode("utf-8", "replace") != file.name:
            message = f"{url}: not a checksum of {file.name}: {body[:100]!r}"
            raise UpstreamError(message)
        return match[1].decode()

    async def fetch(self, file: ArchiveFile, parse: Parser, sha256: str | None = None) -> VerifiedFile | None:
        """Rows of a file, None where it is not published. Checksum and zip are fetched again up to three times.

        Raises ChecksumError when the bytes never match, SchemaError when verified bytes are no zip or table of ours.
        """
        seen = ""
        for attempt in range(FETCHES):
            wanted = sha256 if sha256 and not attempt else await self.checksum(file)
            if wanted is None:
                return None
            data = await self._http.get(Ask(pool=ARCHIVE, url=f"{self._base}/{file.path}", cap=MAX_ZIP_BYTES))
            if data is None:
                return None
            seen = sha256_hex(data)
            if seen == wanted:
                rows = parse(unzip_single(data, file.member), file.name, file.span)
                return VerifiedFile(rows=rows, file=FetchedFile(name=file.name, sha256=seen, rows=rows.height))
        message = f"{file.name}: sha256 {seen[:16]}... differs from the published checksum in {FETCHES} fetches"
        raise ChecksumError(message)
