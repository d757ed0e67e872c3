"""`huracan doctor`: the preflight as a table a person reads from top to bottom, or as JSON."""

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import stamina.instrumentation
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from huracan.cli.cards import terminal
from huracan.cli.opening import demo_variables, named_workdir
from huracan.cli.output import print_json
from huracan.operations.doctor import Circumstances, Finding, diagnose, verdict_status
from huracan.settings import load_settings

MARKS: Final = {"right": "[green]✓[/green]", "doubtful": "[yellow]![/yellow]", "wrong": "[red]✗[/red]"}


def run_doctor(*, config: Path | None, overrides: Sequence[str], workdir: Path | None, as_json: bool) -> int:
    """Check everything a night needs and print it; the exit status is that of the first thing that is wrong."""
    stamina.instrumentation.set_on_retry_hooks(())  # what came of the retries is in the finding
    settings = load_settings(config, overrides, os.environ)
    folder, named = named_workdir(workdir)
    here = Circumstances(
        settings=settings,
        workdir=folder,
        environ=demo_variables(folder, named=named),
        now_ms=time.time_ns() // 1_000_000,
    )
    findings = asyncio.run(diagnose(here))
    status = verdict_status(findings)
    if as_json:
        print_json({"success": status == 0, "findings": findings, "exit_status": status})
    else:
        print_findings(findings, terminal())
    return status


def print_findings(findings: Sequence[Finding], console: Console) -> None:
    """One line a finding, what to do below it where there is something to do, and the sum in words."""
    table = Table(box=box.SIMPLE_HEAD, show_header=False, show_edge=False, pad_edge=False)
    for name in ("area", "mark", "what"):
        table.add_column(name, no_wrap=True)
    table.add_column("seen", overflow="fold")
    area = ""
    for finding in findings:
        first = "" if finding.area == area else f"[bold]{escape(finding.area)}[/bold]"
        if area and first:
            table.add_section()
        area = finding.area
        code = f"[red]{finding.code}[/red] " if finding.code else ""
        advice = f"\n[dim]→ {escape(finding.advice)}[/dim]" if finding.advice else ""
        table.add_row(first, MARKS[finding.state], escape(finding.what), f"{code}{escape(finding.seen)}{advice}")
    console.print(table)
    wrong, doubt = (sum(finding.state == state for finding in findings) for state in ("wrong", "doubtful"))
    if wrong:
        console.print(f"\n[red]{wrong} wrong[/red], {doubt} doubtful: see to these before the night")
    elif doubt:
        console.print(f"\n[green]A night can run[/green]; {doubt} doubtful")
    else:
        console.print("\n[green]All is well.[/green]")
