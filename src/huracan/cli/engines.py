"""`huracan engines`: which engines there are, and whether one is fit for a night."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from huracan.cli.groups import group
from huracan.cli.options import ConfigFile, Json, Overrides
from huracan.errors import ConfigError

engines_app = group("Engines, built-in and of other distributions.")


@engines_app.command("list")
def engines_list(config: ConfigFile = None, overrides: Overrides = None, json_: Json = False) -> None:
    """Every engine: who offers it, what it wants, and which recipes use it."""
    raise typer.Exit(run_list(config=config, overrides=overrides or (), as_json=json_))


@engines_app.command("check")
def engines_check(
    target: Annotated[
        str | None, typer.Argument(help="A Python file, or an engine's name; default: every engine.")
    ] = None,
    json_: Json = False,
) -> None:
    """Try engines, or a file's own features and model, on an invented pair: form, repeatable, no look ahead.

    A file's code is run.
    """
    raise typer.Exit(run_check(target, as_json=json_))


def run_list(*, config: Path | None, overrides: Sequence[str], as_json: bool) -> int:
    """Print the engines; the exit status is a ConfigError's where one is broken, since no night would start."""
    from huracan.cli.cards import terminal
    from huracan.cli.output import print_json
    from huracan.cli.tables import show
    from huracan.operations.engines import engine_rows
    from huracan.settings import load_settings

    rows = engine_rows(load_settings(config, overrides, os.environ))
    status = ConfigError.exit_status if any(row.wrong for row in rows) else 0
    if as_json:
        print_json({"success": status == 0, "engines": rows, "exit_status": status})
        return status
    console = terminal()
    cells = [
        [row.name, row.origin, str(row.version or "–"), row.estimator or "broken", ", ".join(row.recipes) or "none"]
        for row in rows
    ]
    show(console, "engines", ["engine", "from", "version", "estimator", "recipes"], cells)
    for row in rows:
        if row.wrong:
            console.print(row.wrong, markup=False)
    return status


def run_check(target: str | None, *, as_json: bool) -> int:
    """Print what every check saw; the exit status is a ConfigError's where one failed."""
    from rich.text import Text

    from huracan.cli.cards import terminal
    from huracan.cli.output import print_json
    from huracan.operations.engines import examined

    found = examined(target)
    status = 0 if all(one.passed for one in found) else ConfigError.exit_status
    if as_json:
        print_json({"success": status == 0, "checks": found, "exit_status": status})
        return status
    console = terminal()
    for one in found:
        line = Text(f"{'right' if one.passed else 'WRONG'}  {one.engine} {one.check}: {one.seen}")
        console.print(line, style=None if one.passed else "red")
    return status
