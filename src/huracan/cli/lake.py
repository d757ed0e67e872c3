"""`huracan lake ...`: what is stored, where it comes from, what it is worth, and how it is kept in order."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from huracan.cli.groups import group
from huracan.cli.options import ConfigFile, Interval, Json, Only, Overrides, Workdir

lake_app = group("Raw market data on disk.")


@lake_app.command("audit")
def lake_audit(
    workdir: Workdir = None,
    candles: Annotated[
        Path | None, typer.Option("--candles", help="A folder <spot|um>[-name]/<SYMBOL>/<interval>.parquet instead.")
    ] = None,
    interval: Interval = None,
    only: Only = None,
    bytes_: Annotated[
        bool, typer.Option("--bytes", help="Read every byte of the lake and compare it with its sha256, instead.")
    ] = False,
    config: ConfigFile = None,
    overrides: Overrides = None,
    json_: Json = False,
) -> None:
    """Every gap and halt with its cause, swaps, reused tickers, delistings, duplicates, restated bars, damage."""
    from huracan.cli.audit import show_audit
    from huracan.cli.lake_bytes import show_bytes

    settings = _settings(config, overrides)
    if bytes_:
        raise typer.Exit(show_bytes(settings, workdir, candles, interval, only, as_json=json_))
    raise typer.Exit(show_audit(settings, workdir, candles, interval, only, as_json=json_))


@lake_app.command("check")
def lake_check(
    workdir: Workdir = None,
    interval: Interval = None,
    only: Only = None,
    venue: Annotated[str | None, typer.Option("--venue", help="Another exchange, vendors.second_venue.")] = None,
    venue_options: Annotated[
        Path | None, typer.Option("--venue-options", help="JSON for ccxt's class, vendors.options.")
    ] = None,
    tolerance_bps: Annotated[
        float | None, typer.Option("--tolerance-bps", help="How far moves may differ, vendors.tolerance_bps.")
    ] = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
    json_: Json = False,
) -> None:
    """One archived day of every instrument against REST, and against another venue if one is named."""
    from huracan.cli.check import run_check

    named = {"second_venue": venue, "options": venue_options, "tolerance_bps": tolerance_bps}
    values = [*(overrides or []), *(f"vendors.{key}={value}" for key, value in named.items() if value is not None)]
    settings = _settings(config, values)
    raise typer.Exit(run_check(workdir=workdir, interval=interval, only=only, settings=settings, as_json=json_))


@lake_app.command("coverage")
def lake_coverage(
    workdir: Workdir = None,
    interval: Interval = None,
    only: Only = None,
    months: Annotated[bool, typer.Option("--months", help="Name the months in which bars are missing.")] = False,
    config: ConfigFile = None,
    overrides: Overrides = None,
    json_: Json = False,
) -> None:
    """What is stored of each instrument, and what is missing inside its span."""
    from huracan.cli.upkeep import show_coverage, show_missing

    show = show_missing if months else show_coverage
    raise typer.Exit(show(_settings(config, overrides), workdir, interval, only, as_json=json_))


@lake_app.command("fill")
def lake_fill(
    first: Annotated[str | None, typer.Option("--from", help="First day; default: training.history_days ago.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last day; default: yesterday.")] = None,
    market: Annotated[str, typer.Option("--market", help="um, spot or all.")] = "all",
    quotes: Annotated[
        str | None, typer.Option("--quote", help="Quote assets, as USDT,USDC; default: training.quote_assets.")
    ] = None,
    symbols: Annotated[str | None, typer.Option("--symbols", help="These alone, as BTCUSDT,ETHUSDT.")] = None,
    interval: Annotated[str | None, typer.Option("--interval", help="1m, 15m or 1h.")] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read all that is stored first, and fetch again what is damaged.")
    ] = False,
    workdir: Workdir = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
    json_: Json = False,
) -> None:
    """Bars and settlements of every symbol the archive ever had, delisted ones included. Safe to stop and repeat."""
    from huracan.cli.fill import fill_from_archive

    values = [*(overrides or []), *([f"training.base_interval={interval}"] if interval else [])]
    status = fill_from_archive(
        config=config,
        overrides=values,
        workdir=workdir,
        first=first,
        last=last,
        market=market,
        quotes=quotes,
        symbols=symbols,
        verify=verify,
        as_json=json_,
    )
    raise typer.Exit(status)


@lake_app.command("compact")
def lake_compact(
    workdir: Workdir = None,
    interval: Interval = None,
    only: Only = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
    json_: Json = False,
) -> None:
    """Merge the small files of every night into few."""
    from huracan.cli.upkeep import tidy_lake

    raise typer.Exit(tidy_lake(_settings(config, overrides), workdir, interval, only, vacuum=False, as_json=json_))


@lake_app.command("vacuum")
def lake_vacuum(
    workdir: Workdir = None,
    interval: Interval = None,
    only: Only = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
    json_: Json = False,
) -> None:
    """Compact, then delete files that no version of the last week needs."""
    from huracan.cli.upkeep import tidy_lake

    raise typer.Exit(tidy_lake(_settings(config, overrides), workdir, interval, only, vacuum=True, as_json=json_))


def _settings(config: Path | None, overrides: Sequence[str] | None) -> Any:
    from huracan.settings import load_settings

    return load_settings(config, list(overrides or []), os.environ)
