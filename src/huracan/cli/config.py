"""`huracan config ...`: every setting, its value, where that came from, its unit, range and environment name."""

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from huracan.cli.groups import group
from huracan.cli.options import ConfigFile, Json, Overrides

if TYPE_CHECKING:
    from huracan.settings_table import ShownSetting

config_app = group("The settings: what is in force, and all that there are.")


@config_app.command("show")
def config_show(
    config: ConfigFile = None,
    overrides: Overrides = None,
    changed: Annotated[bool, typer.Option("--changed", help="Only what differs from its default.")] = False,
    json_: Json = False,
) -> None:
    """Every setting in force, with its unit and where its value came from."""
    raise typer.Exit(show_settings(config, list(overrides or []), changed=changed, as_json=json_))


@config_app.command("schema")
def config_schema(json_: Json = False) -> None:
    """All settings: default, unit, range and environment name; with --json the JSON schema of a file."""
    raise typer.Exit(show_schema(as_json=json_))


def show_settings(config: Path | None, overrides: list[str], *, changed: bool, as_json: bool) -> int:
    """Print what is in force; returns the exit status."""
    import os

    from huracan.cli.output import print_json
    from huracan.settings import load_with_origins
    from huracan.settings_table import section_words, shown_settings

    shown = [
        one
        for one in shown_settings(*load_with_origins(config, overrides, os.environ))
        if not changed or (one.origin != "default" and one.value != one.row.default)
    ]
    if as_json:
        print_json({"settings": [_shown_json(one) for one in shown]})
        return 0
    from rich.markup import escape

    from huracan.cli.cards import terminal

    console, words = terminal(), section_words()
    for section, members in groupby(shown, lambda one: one.row.section):
        console.print(f"[bold]{section}[/bold]: {escape(words[section])}", soft_wrap=True)
        for one in members:
            line = f"  {one.row.key:<27} {one.with_unit:<22}  {one.origin}"
            console.print(line, markup=False, soft_wrap=True, style=None if one.origin == "default" else "bold green")
    if not shown:
        console.print("every setting is at its default; `huracan config show` lists them")
    return 0


def show_schema(*, as_json: bool) -> int:
    """Print every setting there is; returns the exit status."""
    from huracan.cli.output import print_json
    from huracan.settings_table import json_schema, other_variables, section_words, setting_rows

    if as_json:
        print_json(json_schema())
        return 0
    from rich.markup import escape

    from huracan.cli.cards import terminal

    console, words = terminal(), section_words()
    for section, rows in groupby(setting_rows(), lambda row: row.section):
        console.print(f"\n[bold]{section}[/bold]: {escape(words[section])}", soft_wrap=True)
        for row in rows:
            limits = ", ".join(part for part in (row.kind, row.unit, row.allowed) if part)
            default = "" if row.secret else f" = {row.default}"
            console.print(f"  [bold]{row.key}[/bold]{escape(default)}  ({escape(limits)})", soft_wrap=True)
            console.print(f"      {row.description}\n      {row.environment}", markup=False, soft_wrap=True)
    console.print("\n[bold]variables[/bold]: Read from the environment, and no settings.")
    for name, text in other_variables().items():
        console.print(f"  {name}\n      {text}", markup=False, soft_wrap=True)
    return 0


def _shown_json(one: "ShownSetting") -> dict[str, str | None]:
    row = one.row
    return {
        "setting": row.path,
        "value": one.value,
        "origin": one.origin,
        "default": row.default,
        "unit": row.unit or None,
        "environment": row.environment,
    }
