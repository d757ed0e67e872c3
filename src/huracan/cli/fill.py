"""`huracan lake fill`: bars and settlements of every symbol the archive ever had, into the lake."""

import asyncio
import os
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from huracan.cli.output import print_json
from huracan.cli.places import workdir_of
from huracan.cli.upkeep import alone
from huracan.errors import ConfigError, DataError


def fill_from_archive(
    *,
    config: Path | None,
    overrides: Sequence[str],
    workdir: Path | None,
    first: str | None,
    last: str | None,
    market: str,
    quotes: str | None,
    symbols: str | None,
    verify: bool,
    as_json: bool,
) -> int:
    """Fill the lake and print the totals; the status of bad data where a symbol failed, 0 otherwise."""
    from huracan.settings import load_settings

    settings = load_settings(config, overrides, os.environ)
    order = replace(_order(settings, first, last, market, quotes, symbols), verify=verify)
    began = time.monotonic()
    with alone(workdir):
        filled = _run(settings, workdir_of(workdir), order, as_json=as_json)
    _print(filled, time.monotonic() - began, as_json=as_json)
    return DataError.exit_status if filled.failed else 0


def _order(
    settings: Any, first: str | None, last: str | None, market: str, quotes: str | None, symbols: str | None
) -> Any:
    """Days and names of the command line; ConfigError for what cannot be meant."""
    from huracan.app.config import LAST_MOMENT_MS
    from huracan.domain.time import DAY_MS, day_iso, parse_iso
    from huracan.operations.fill import FillOrder

    markets = {"um": ("um",), "spot": ("spot",), "all": ("spot", "um")}.get(market)
    if markets is None:
        raise ConfigError(f"--market is {market!r}, wanted um, spot or all")
    today = time.time_ns() // 1_000_000 // DAY_MS
    end = today if last is None else parse_iso(last) // DAY_MS + 1
    start = end - settings.training.history_days if first is None else parse_iso(first) // DAY_MS
    latest = LAST_MOMENT_MS // DAY_MS
    if end > latest:
        raise ConfigError(f"--to {last} lies after {day_iso(latest)}; leave it out for all days up to yesterday")
    if start >= end:
        raise ConfigError(f"nothing lies between --from {day_iso(start)} and --to {day_iso(end - 1)}")
    return FillOrder(
        markets=markets,
        quote_assets=_names(quotes) or settings.training.quote_assets,
        symbols=_names(symbols),
        start_ms=start * DAY_MS,
        end_ms=end * DAY_MS,
    )


def _run(settings: Any, workdir: Path, order: Any, *, as_json: bool) -> Any:
    import stamina.instrumentation

    from huracan.adapters.endpoints import loopback_endpoint
    from huracan.adapters.lake import DeltaLake
    from huracan.adapters.telemetry import StructlogTelemetry
    from huracan.app.exchange import adapter_places, market_data
    from huracan.operations.fill import fill_lake

    stamina.instrumentation.set_on_retry_hooks(())
    places = adapter_places(settings, workdir)
    lake = DeltaLake(places["lake"], allow_http=loopback_endpoint(os.environ))

    async def run(telemetry: StructlogTelemetry) -> Any:
        market = market_data(places)
        try:
            return await fill_lake(market, lake, order, telemetry)
        finally:
            await market.aclose()

    with closing(StructlogTelemetry(as_json=as_json or None, progress=False if as_json else None)) as telemetry:
        return asyncio.run(run(telemetry))


def _print(filled: Any, seconds: float, *, as_json: bool) -> None:
    from huracan.adapters.telemetry.memory import peak_resident_bytes

    spent = {"seconds": round(seconds, 3), "peak_memory_bytes": peak_resident_bytes()}
    if as_json:
        from dataclasses import asdict

        counts = asdict(filled)
        counts["set_aside"] = counts.pop("quarantined")  # the key that programs read
        print_json({"success": not filled.failed, **counts, **spent})
        return
    from huracan.cli.cards import terminal

    console = terminal()
    console.print(
        f"{filled.symbols:,} symbols: {filled.files:,} files, {filled.rows:,} rows, {filled.bytes / 1e6:,.1f} MB received,"
        f" {filled.holes:,} lost files, {filled.restated:,} rows restated; {seconds:,.1f} s,"
        f" {spent['peak_memory_bytes'] / 1e6:,.0f} MB of memory",
        markup=False,
    )
    if filled.quarantined:
        console.print(
            f"{filled.quarantined:,} damaged files or tables of the lake quarantined and fetched again", markup=False
        )
    for title, counts in (("left out", filled.left_out), ("failed", filled.failed)):
        if counts:
            listed = ", ".join(f"{code} {count:,}" for code, count in counts.most_common())
            console.print(f"{title}: {listed}", markup=False)


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(
        name for part in (text or "").split(",") if (name := part.strip().upper().partition(":")[0].replace("/", ""))
    )
