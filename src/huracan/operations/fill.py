"""Filling the lake from the archive: every symbol that ever had bars, a few at a time, in bounded memory.

Everybody shares the client's one budget of connections and its one budget of bytes in flight. What a symbol has read is
committed every few months of bars, rows and file names in one step, so a run that was killed goes on where it stopped.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from huracan.adapters.binance import BinanceMarketData
from huracan.adapters.lake import DeltaLake
from huracan.domain.coin_names import CoinNames, did_you_mean
from huracan.domain.ids import Instrument
from huracan.domain.time import DAY_MS, iso
from huracan.errors import ConfigError, DamagedTableError, DataError
from huracan.ports import FetchedFile, FetchedRows, Telemetry
from huracan.universe import archived_instruments, split_symbol

CHUNK_ROWS: Final = 150_000
"""Rows of one symbol that wait for a commit: some hundred days of minutes, 12 MB."""
THREADS: Final = 2
"""Files parsed and chunks committed at once, all together: each needs several times its rows' memory."""
STAGE: Final = "fill"


@dataclass(frozen=True, slots=True, kw_only=True)
class FillOrder:
    """What to fill: instruments of these quote assets on these markets, or these symbols alone; start <= time < end.

    Symbols and tickers are in capitals.
    With `verify` every byte that is stored is read first, and what is damaged is fetched again.
    """

    markets: tuple[Any, ...]
    quote_assets: tuple[str, ...]
    start_ms: int
    end_ms: int
    symbols: tuple[str, ...] = ()
    verify: bool = False


@dataclass(slots=True, kw_only=True)
class Filled:
    """What was done: `rows` new or changed in the lake, of these `restated` by files that were replaced; `bytes`
    received; `holes` are lost files, `quarantined` damaged files and tables of the lake that were fetched again;
    `failed` symbols and `left_out` ones by code.
    """

    symbols: int = 0
    files: int = 0
    rows: int = 0
    bytes: int = 0
    holes: int = 0
    restated: int = 0
    quarantined: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Filled") -> None:
        """Count one symbol's work."""
        for name in ("files", "rows", "holes", "restated"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


async def fill_lake(market: BinanceMarketData, lake: DeltaLake, order: FillOrder, telemetry: Telemetry) -> Filled:
    """Bring the lake up to the archive. A symbol that fails is counted by its code and does not stop the others.

    Raises ConfigError for a symbol that was named and is not there, UpstreamError where the archive does not list its
    symbols, DiskFullError.
    """
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
    instruments, left_out = await _instruments(market, order)
    total = Filled(symbols=len(instruments), left_out=left_out)
    window = {"first": iso(order.start_ms), "end": iso(order.end_ms)}
    telemetry.event("lake_fill_started", symbols=len(instruments), left_out=dict(left_out), **window)
    filling = _Filling(market=market, lake=lake, order=order, telemetry=telemetry, total=total)
    queue = iter(instruments)
    workers = [filling.work(queue) for _ in range(min(market.connections, len(instruments)))]
    await _all_or_none(workers)
    total.bytes = market.bytes_received
    telemetry.event("lake_filled", symbols=total.symbols, files=total.files, rows=total.rows, failed=dict(total.failed))
    return total


async def _instruments(market: BinanceMarketData, order: FillOrder) -> tuple[list[Instrument], Counter[str]]:
    found: list[Instrument] = []
    left_out: Counter[str] = Counter()
    missing, tickers = set(order.symbols), dict[str, str]()
    for name in order.markets:
        symbols = await market.archived_symbols(name)
        tickers |= {f"{symbol}-{name}": f"{symbol}-{name}" for symbol in symbols}
        quotes: Sequence[str] = order.quote_assets
        if order.symbols:
            forms = {symbol: _forms(symbol, name, order.quote_assets) & set(order.symbols) for symbol in symbols}
            symbols = [symbol for symbol, asked in forms.items() if asked]
            missing -= set().union(*forms.values())
            quotes = [parts[1] for symbol in symbols if (parts := split_symbol(symbol))]
        instruments, others = archived_instruments(symbols, name, quotes)
        found += instruments
        left_out += others
    if missing:
        wanted = ", ".join(sorted(missing))
        raise ConfigError(
            f"the archive has no bars of {wanted} on {' or '.join(order.markets)};"
            f" {did_you_mean(min(missing), CoinNames(tickers))} See --symbols, --market."
        )
    return found, left_out


def _forms(symbol: str, market: str, quote_assets: Sequence[str]) -> set[str]:
    """What a symbol may be called, in capitals: itself, and in a wanted quote asset its coin; each with the market or
    without.
    """
    base, quote = split_symbol(symbol) or ("", "")
    coin = base.removeprefix("1000") if quote in quote_assets else ""
    return {
        form for name in {symbol, base if coin else "", coin} if name for form in (name, f"{name}-{market.upper()}")
    }


async def _all_or_none(jobs: Sequence[Awaitable[None]]) -> None:
    """Run jobs to their ends; when one raises, the others are cancelled before the error goes on."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(kw_only=True)
class _Filling:
    market: BinanceMarketData
    lake: DeltaLake
    order: FillOrder
    telemetry: Telemetry
    total: Filled
    done: int = 0

    async def work(self, queue: Iterator[Instrument]) -> None:
        """Fill symbols until none is left."""
        for instrument in queue:
            name = instrument.id
            try:
                filled = await self._one(instrument)
            except DataError as error:
                self.total.failed[error.code] += 1
                self.telemetry.event("symbol_refused", instrument=name, code=error.code, error=str(error))
            else:
                counts = {
                    "files": filled.files,
                    "rows": filled.rows,
                    "holes": filled.holes,
                    "restated": filled.restated,
                }
                self.telemetry.event("symbol_filled", instrument=name, **counts)
            self.done += 1
            self.telemetry.progress(name, 0, 0)
            self.telemetry.progress(STAGE, self.done, self.total.symbols)

    async def _one(self, instrument: Instrument) -> Filled:
        if self.order.verify:
            await self._quarantine(instrument)
        try:
            return await self._fill(instrument)
        except DamagedTableError:
            if not await self._quarantine(instrument):
                raise
            return await self._fill(instrument)

    async def _quarantine(self, instrument: Instrument) -> bool:
        moved = await asyncio.to_thread(self.lake.quarantine, instrument)
        if moved:
            self.telemetry.event("lake_table_quarantined", coin=instrument.id, folders=moved)
            self.total.quarantined += len(moved)
        return bool(moved)

    async def _fill(self, instrument: Instrument) -> Filled:
        """Read what the lake lacks and commit it in chunks; what came before an error is committed, too."""
        order, filled = self.order, Filled()
        known = await asyncio.to_thread(self.lake.files, instrument)
        held: list[FetchedRows] = []
        try:
            async for batch in self.market.fetch_archived(instrument, order.start_ms, order.end_ms, known):
                held.append(batch)
                self._show(instrument, batch)
                if sum(one.rows.height for one in held) >= CHUNK_ROWS:
                    await self._commit(instrument, held, known, filled)
        finally:
            try:
                await self._commit(instrument, held, known, filled)
            finally:
                self.total.add(filled)
        return filled

    async def _commit(
        self, instrument: Instrument, held: list[FetchedRows], known: Mapping[str, FetchedFile], filled: Filled
    ) -> None:
        batches = [batch for batch in held if not _is_restated(batch, known)]
        replaced = [batch for batch in held if _is_restated(batch, known)]
        held.clear()
        rows = await asyncio.to_thread(self.lake.append, instrument, batches, "binance")
        restated = await asyncio.to_thread(self.lake.append, instrument, replaced, "binance")
        files = [batch.file for batch in (*batches, *replaced) if batch.file is not None]
        filled.rows += rows + restated
        filled.restated += restated
        filled.files += sum(not file.lost and _is_new(file, known) for file in files)
        filled.holes += sum(file.lost for file in files)

    def _show(self, instrument: Instrument, batch: FetchedRows) -> None:
        """How far a symbol's bars are, in days of the window."""
        if batch.kind == "bars" and batch.rows.height:
            first, last = self.order.start_ms, int(batch.rows["open_time"][-1])
            days = (self.order.end_ms - first) // DAY_MS
            self.telemetry.progress(instrument.id, min((last - first) // DAY_MS + 1, days), days)


def _is_new(file: FetchedFile, known: Mapping[str, FetchedFile]) -> bool:
    return file.name not in known or known[file.name].sha256 != file.sha256


def _is_restated(batch: FetchedRows, known: Mapping[str, FetchedFile]) -> bool:
    """Whether the rows are those of a file that was in the lake with other bytes."""
    file = batch.file
    return file is not None and file.name in known and not known[file.name].lost and _is_new(file, known)
