"""`huracan lake ...`: the commands that judge what is stored; those that keep it in order stand in `main`."""

from pathlib import Path
from typing import Annotated

import typer

from huracan.cli.options import ConfigFile, Interval, Json, Only, Overrides, Workdir

lake_app = typer.Typer(help="Raw market data on disk.", no_args_is_help=True)


@lake_app.command("audit")
def lake_audit(
    workdir: Workdir = None,
    candles: Annotated[
        Path | None, typer.Option("--candles", help="A folder <spot|um>[-name]/<SYMBOL>/<interval>.parquet instead.")
    ] = None,
    interval: Interval = None,
    only: Only = None,
    json_: Json = False,
) -> None:
    """Every gap and halt with its cause, swaps, reused tickers, delistings, duplicates, restated bars."""
    from huracan.cli.audit import show_audit

    raise typer.Exit(show_audit(workdir, candles, interval, only, as_json=json_))


@lake_app.command("check")
def lake_check(
    workdir: Workdir = None,
    interval: Interval = None,
    only: Only = None,
    venue: Annotated[
        str | None, typer.Option("--venue", help="Another exchange as ccxt names it, such as bybit; costs requests.")
    ] = None,
    venue_options: Annotated[
        Path | None, typer.Option("--venue-options", help="JSON object that ccxt's class is built with.")
    ] = None,
    tolerance_bps: Annotated[
        float, typer.Option("--tolerance-bps", min=0, help="How far two venues' moves may differ.")
    ] = 50.0,
    config: ConfigFile = None,
    overrides: Overrides = None,
    json_: Json = False,
) -> None:
    """One archived day of every instrument against REST, and against another venue if one is named."""
    from huracan.cli.check import run_check

    status = run_check(
        workdir=workdir,
        interval=interval,
        only=only,
        venue=venue,
        venue_options=venue_options,
        tolerance_bps=tolerance_bps,
        config=config,
        overrides=list(overrides or []),
        as_json=json_,
    )
    raise typer.Exit(status)
