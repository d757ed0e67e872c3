"""The exchange: does it answer, do the clocks agree, is the archive there, and what a night of it needs on disk."""

import shutil
from pathlib import Path
from typing import Final

from huracan.adapters.binance import BinanceMarketData
from huracan.app.clock import MAX_SKEW_MS, clock_skew_ms
from huracan.app.exchange import adapter_places, market_data
from huracan.app.night_config import night_rules
from huracan.domain.records import Snapshot, Universe
from huracan.domain.time import DAY_MS, MINUTE_MS, iso
from huracan.errors import ClockSkewError, DataError, DiskFullError, HuracanError
from huracan.night.custom.injected import Injected
from huracan.operations.doctor.finding import Circumstances, Finding, doubtful, right, wrong
from huracan.settings import Settings
from huracan.universe import build_universe

AREA: Final = "exchange"
ROW_BYTES: Final = 28
"""Of a bar in the lake (measured on the demo: 24)."""
PREPARED_BYTES: Final = 23_500
CELL_BYTES: Final = 3_200
"""Features and labels of a pair's day with hourly decisions, and one (recipe, horizon) of it (measured on the demo)."""
KEPT_RUNS: Final = 2
ARCHIVE_LAG_DAYS: Final = 3  # by then a day's file is published


async def exchange(here: Circumstances) -> list[Finding]:
    """Reach the exchange as a night would, and say what tonight would be about."""
    market = market_data(adapter_places(here.settings, here.workdir))
    try:
        server_ms = await market.server_time()
        found = [_clock(here, server_ms)]
        snapshot = await market.snapshot(server_ms)
        universe = _universe(here.settings, snapshot)
        found += [
            _listing(here.settings, snapshot, universe),
            await _archive(market, universe, server_ms),
        ]
        return [*found, disk(here, len(universe.members))]
    except HuracanError as error:
        return [wrong(AREA, "exchange", error, "check the network, binance.rest_url and binance.futures_url")]
    finally:
        await market.aclose()


def _clock(here: Circumstances, server_ms: int) -> Finding:
    skew = clock_skew_ms(here.settings.binance.rest_url, server_ms, here.now_ms)
    if skew is None:
        return right(AREA, "clock", "a replay on loopback keeps its own time")
    if skew > MAX_SKEW_MS:
        return wrong(
            AREA, "clock", ClockSkewError(f"{skew / 1000:.1f} s off, at most 5 s allowed"), "synchronise it (NTP)"
        )
    return right(AREA, "clock", f"{skew / 1000:.1f} s off the exchange")


def _universe(settings: Settings, snapshot: Snapshot) -> Universe:
    rules = night_rules(settings, None, Injected())
    return build_universe(snapshot, rules.universe, rules.horizons)


def _listing(settings: Settings, snapshot: Snapshot, universe: Universe) -> Finding:
    seen = f"{len(snapshot.instruments)} instruments listed, {len(universe.members)} pass tonight's filters"
    if universe.members:
        return right(AREA, "universe", seen)
    limits = f"min_liquidity_gbp {settings.training.min_liquidity_gbp:g}, max_spread_bps {settings.training.max_spread_bps:g}"
    return doubtful(AREA, "universe", seen, f"nothing would be trained; loosen training.{limits}")


async def _archive(market: BinanceMarketData, universe: Universe, now_ms: int) -> Finding:
    if not universe.members:
        return doubtful(AREA, "archive", "not asked: no member to ask for", "loosen the filters first")
    day = (now_ms // DAY_MS - ARCHIVE_LAG_DAYS) * DAY_MS
    largest = max(universe.members, key=lambda member: member.volume_24h_gbp).instrument
    try:
        newest = await market.newest_archived_day(largest, day)
    except DataError as error:
        return wrong(AREA, "archive", error, "check binance.archive_url and binance.listing_url")
    if newest is None:
        seen = f"no daily file of {largest.symbol} since {iso(day)[:10]}"
        return doubtful(AREA, "archive", seen, "bars will come by REST, which is slow and weighs")
    return right(AREA, "archive", f"{newest} is there")


def disk(here: Circumstances, pairs: int) -> Finding:
    """Free space of the workdir's disk against what this many pairs will come to need."""
    needed = max(0, forecast_bytes(here.settings, pairs) - _present(here.workdir))
    free = shutil.disk_usage(_existing(here.workdir)).free
    seen = f"{_gb(free)} free, {_gb(needed)} more wanted for {pairs} pairs x {_days(here.settings)} days"
    if free < needed:
        error = DiskFullError(seen)
        return wrong("disk", "space", error, "free some space, or lower training.history_days or training.max_coins")
    if free < 2 * needed:
        return doubtful("disk", "space", seen, "it will fit, but not twice; watch it")
    return right("disk", "space", seen)


def forecast_bytes(settings: Settings, pairs: int) -> int:
    """Bytes of lake and artefacts once the whole history of this many pairs is there."""
    training = settings.training
    bars = DAY_MS // (
        int(training.base_interval[:-1]) * MINUTE_MS * (60 if training.base_interval.endswith("h") else 1)
    )
    cells = len(training.horizons) * len(training.recipes)
    rows_an_hour = 60 // training.decision_interval_minutes
    artefacts = KEPT_RUNS * rows_an_hour * (PREPARED_BYTES + CELL_BYTES * cells)
    return pairs * _days(settings) * (bars * ROW_BYTES + artefacts)


def _days(settings: Settings) -> int:
    return max(settings.training.history_days, settings.training.lookback_days)


def _present(workdir: Path) -> int:
    folders = (workdir / "lake", workdir / "artefacts")
    return sum(file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file())


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)


def _gb(size: float) -> str:
    return f"{size / 2**30:,.1f} GB"
