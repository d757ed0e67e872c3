"""`huracan explain [COIN] [H]`: the latest night's story, or its verdict on a coin, in words."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huracan.cli.output import number, print_json
from huracan.cli.places import no_workdir, short, workdir_of
from huracan.domain.coin_names import CoinNames, did_you_mean
from huracan.domain.time import Horizon
from huracan.errors import ConfigError
from huracan.reports.story import KEY, entries_closed, read_morning
from huracan.reports.story.words import horizon_order, listed


def latest_summary(workdir: Path | None) -> dict[str, Any]:
    """The newest summary below a workdir; ConfigError where no night has been run."""
    place = workdir_of(workdir)
    folder = place / "summaries"
    files = sorted(folder.glob("*_summary*.json"))
    if not files:
        raise no_workdir(f"no summary in {short(folder)}", place)
    try:
        summary: dict[str, Any] = json.loads(files[-1].read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"summary {files[-1]} cannot be read ({error}); run a night again, or remove it") from error
    return summary


def explain_night(workdir: Path | None, *, details: bool, as_json: bool) -> int:
    """Print the story of the latest night; with `details` its evidence table and all its skips instead."""
    summary = latest_summary(workdir)
    story = read_morning(summary)
    if as_json:
        told = {"evidence": summary["evidence"], "skipped": summary["skipped"]}
        print_json(told if details else {KEY: summary.get(KEY), "verdict": summary.get("verdict")})
        return 0
    from huracan.cli.morning import print_morning
    from huracan.cli.tables import print_details, terminal

    if details:
        print_details(summary)
    elif story is None:
        raise ConfigError(
            f"the night of {summary.get('data_cutoff')} was told by an earlier version; run a night, or see `huracan explain --details`"
        )
    else:
        print_morning(story, terminal())
    return 0


def explain_coin(workdir: Path | None, coin: str, horizon: str | None, *, as_json: bool) -> int:
    """Print why a coin has, or has not, a champion; status 2 when the night did not know the coin."""
    summary = latest_summary(workdir)
    horizon = None if horizon is None else str(Horizon.parse(horizon))
    names = _names(summary)
    name = names.resolve(coin)
    champions = [row for row in summary["champions"] if row["coin"] == name and horizon in {None, row["horizon"]}]
    skips = [row for row in summary["skipped"] if row["coin"] == name and horizon in {None, row["horizon"]}]
    if not champions and not skips:
        told = f"the night of {summary['data_cutoff']}"
        if name in names.coins:
            raise ConfigError(
                f"{told} has nothing of {name} at {horizon}; its horizons: {', '.join(_horizons(summary))}"
            )
        raise ConfigError(f"{told} does not know {coin!r}; {did_you_mean(coin, names)}")
    pools = {row["pool"] for row in summary["pools"] if name in row["members"]}
    lineages = [row for row in summary["evidence"] if row["pool"] in pools and horizon in {None, row["horizon"]}]
    closed = entries_closed(summary).get(name)
    if as_json:
        found = {"champions": champions, "skipped": skips, "evidence": lineages, "entries_closed": closed}
        print_json({"coin": name, **found})
        return 0
    _print(summary, name, champions, skips, lineages, horizon)
    return 0


def _horizons(summary: dict[str, Any]) -> list[str]:
    return sorted({row["horizon"] for name in ("skipped", "champions") for row in summary[name]})


def _names(summary: dict[str, Any]) -> CoinNames:
    return CoinNames({}, {row["coin"] for name in ("skipped", "champions") for row in summary[name]})


def _print(
    summary: dict[str, Any],
    coin: str,
    champions: list[dict[str, Any]],
    skips: list[dict[str, Any]],
    lineages: list[dict[str, Any]],
    horizon: str | None,
) -> None:
    from rich.console import Console

    from huracan.cli.morning import coin_lines, print_warning

    console = Console(highlight=False)
    story = read_morning(summary)
    print_warning(story, console)
    console.print(f"[bold]{coin}[/bold], night of {summary['data_cutoff']}")
    for row in champions:
        console.print(
            f"  {row['horizon']}: [green]champion[/green] v{row['version']}, net edge "
            f"{number(row['edge_after_cost_bps'])} bps a round trip after costs ({row['status']})"
        )
    for row in skips:
        seen = (
            f" measured {number(row['measured'], 3)}, wanted {number(row['wanted'], 3)}"
            if row["measured"] is not None
            else ""
        )
        console.print(f"  {row['horizon']}: step {row['step']} {row['code']}: {row['reason']}.{seen}", markup=False)
    closed = entries_closed(summary).get(coin)
    if closed is not None and any(row["code"] != closed["code"] for row in skips):
        where = listed(sorted({row["horizon"] for row in summary["skipped"] if _is_of(row, closed)}, key=horizon_order))
        console.print(
            f"  no entry at any horizon: {closed['code']}{f' at {where}' if where else ''}: {closed['reason']}",
            markup=False,
        )
    if story is not None:
        coin_lines(story, sorted({row["pool"] for row in lineages}), horizon, console)
        return
    for row in lineages:
        console.print(
            f"  pool {row['pool']} {row['horizon']} {row['recipe']}: e {number(row['e'], 2)} of {number(row['needed'], 0)}, "
            f"{_standing(row)}",
            markup=False,
        )


def _is_of(skip: dict[str, Any], closed: Mapping[str, Any]) -> bool:
    """Whether a skip is what the do-not-trade list names."""
    return (skip["coin"], skip["code"]) == (closed["coin"], closed["code"])


def _standing(row: dict[str, Any]) -> str:
    """How far a recipe is, in words."""
    if row["reigns"]:
        return "champion"
    if not row["observed_days"]:
        walked = (
            f", walked {row['walk_days']} days at {number(row['walk_mean_bps'])} bps" if row.get("walk_days") else ""
        )
        return f"{row['status']}, no day counts as evidence so far{walked}"
    nights = row["nights_until_decidable"]
    return f"{row['status']}, " + ("never at this pace" if nights is None else f"{nights:.0f} nights missing")
