"""`huracan lake check`: one day of every instrument against the exchange's REST, and against another venue if one is
named.
"""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from huracan.cli.output import number, print_json
from huracan.domain.strict import strict_json
from huracan.errors import BundleFormatError, ConfigError

if TYPE_CHECKING:
    from huracan.operations.cross_check import CheckedLake

LARGEST_OPTIONS: Final = 1 << 20


def run_check(
    *,
    workdir: Path | None,
    interval: str | None,
    only: str | None,
    settings: Any,
    as_json: bool,
) -> int:
    """Compare, print, and leave the result in the workdir: the next nights' integrity reports carry it."""
    from huracan.adapters.checks import keep_check
    from huracan.cli.places import workdir_of
    from huracan.cli.upkeep import interval_of, lake_place, open_lake

    vendors = settings.vendors
    place = lake_place(settings, workdir, interval)
    lake, instruments = open_lake(place, only)
    folder = workdir_of(workdir)
    second = _second(vendors.second_venue, vendors.options)
    try:
        body = asyncio.run(_compared(folder, interval_of(place), lake, instruments, settings, second))
    finally:
        if second is not None:
            second.close()
    keep_check(folder, body)
    print_json(body) if as_json else _show(body)
    return 0


def _second(venue: str | None, options: Path | None) -> Any:
    if venue is None:
        if options is not None:
            raise ConfigError(
                "vendors.options (--venue-options) without --venue; name the venue, such as --venue bybit"
            )
        return None
    from huracan.adapters.vendors.second_venue import SecondVenue

    try:
        given = strict_json(options.read_bytes(), LARGEST_OPTIONS, what=options.name) if options else {}
    except (OSError, BundleFormatError) as error:
        raise ConfigError(f"{options} cannot be read as JSON: {error}") from error
    if not isinstance(given, dict):
        raise ConfigError(
            f'{options} holds no JSON object; wanted what ccxt\'s class takes, such as {{"timeout": 20000}}'
        )
    return SecondVenue(venue, given)


async def _compared(
    workdir: Path, interval: str, lake: Any, instruments: list[Any], settings: Any, second: Any
) -> "CheckedLake":
    from huracan.app.exchange import adapter_places, market_data
    from huracan.operations.cross_check import Check, check_lake

    places = adapter_places(settings, workdir) | {"interval": interval}
    market = market_data(places)
    try:
        tolerance_bps = settings.vendors.tolerance_bps
        check = Check(lake=lake, interval=interval, market=market, venue=second, tolerance_bps=tolerance_bps)
        return await check_lake(check, instruments)
    finally:
        await market.aclose()


def _show(body: "CheckedLake") -> None:
    from huracan.cli.cards import terminal
    from huracan.cli.tables import show

    console = terminal()
    sources = "REST" if body["venue"] is None else f"REST and {body['venue']}"
    console.print(f"{body['compared']} comparisons with {sources}, {len(body['mismatches'])} mismatches", markup=False)
    columns = [
        "instrument",
        "against",
        "day",
        "bars",
        "differing",
        "restated",
        "only_ours",
        "only_theirs",
        "close_bps",
        "venue",
    ]
    cells = [[_cell(row.get(name)) for name in columns] for row in body["mismatches"]]
    if cells:
        show(console, "mismatches", columns, cells)
    if body["failed"]:
        failed = [[row["instrument"], row["code"], row["error"]] for row in body["failed"]]
        show(console, "not compared", ["instrument", "code", "error"], failed)


def _cell(value: Any) -> str:
    return number(value, 0 if isinstance(value, int) else 2) if isinstance(value, int | float) else str(value or "")
