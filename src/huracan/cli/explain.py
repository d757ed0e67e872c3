"""`huracan explain [COIN] [H]`: the latest night's story, or its verdict on a coin, in words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from huracan.cli.output import number, print_json
from huracan.cli.places import no_workdir, short, workdir_of
from huracan.domain.coin_names import CoinNames, did_you_mean
from huracan.domain.json import Json
from huracan.domain.time import Horizon
from huracan.errors import ConfigError
from huracan.reports.night_summary import BlockedRow, HypothesisRow, NightSummary, SkippedRow, SummaryRow
from huracan.reports.story import KEY, entries_closed
from huracan.reports.story.words import horizon_order, listed
from huracan.reports.summary import StoredSummary, read_summary


@dataclass(frozen=True, slots=True, kw_only=True)
class CoinNight:
    """What a night says of one coin at one horizon (None: at all)."""

    coin: str
    horizon: str | None
    champions: tuple[SummaryRow, ...]
    skips: tuple[SkippedRow, ...]
    hypotheses: tuple[HypothesisRow, ...]


Row = TypeVar("Row", SummaryRow, SkippedRow, HypothesisRow)


def latest_summary(workdir: Path | None) -> StoredSummary:
    """The newest summary below a workdir; ConfigError where no night has been run."""
    place = workdir_of(workdir)
    folder = place / "summaries"
    files = sorted(folder.glob("*_summary*.json"))
    if not files:
        raise no_workdir(f"no summary in {short(folder)}", place)
    try:
        return read_summary(files[-1].read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"summary {files[-1]} cannot be read ({error}); run a night again, or remove it") from error


def explain_night(workdir: Path | None, *, details: bool, as_json: bool) -> int:
    """Print the story of the latest night; with `details` its evidence table and all its skips instead."""
    stored = latest_summary(workdir)
    summary, body = stored.summary, stored.body
    if as_json:
        names = ("evidence", "skipped") if details else (KEY, "verdict")
        print_json({name: body.get(name) for name in names})
        return 0
    from huracan.cli.cards import terminal
    from huracan.cli.morning import print_morning
    from huracan.cli.tables import print_details

    if details:
        print_details(summary)
    elif summary.morning is None:
        raise ConfigError(
            f"the night of {summary.data_cutoff} was written by an earlier version; run a night, or see `huracan explain --details`"
        )
    else:
        print_morning(summary.morning, terminal())
    return 0


def explain_coin(workdir: Path | None, coin: str, horizon: str | None, *, as_json: bool) -> int:
    """Print why a coin has, or has not, a champion; status 2 when the night did not know the coin."""
    stored = latest_summary(workdir)
    summary = stored.summary
    horizon = None if horizon is None else str(Horizon.parse(horizon))
    name = _known(summary, coin, horizon)
    pools = {row.pool for row in summary.pools if name in row.members}

    def is_of_coin(row: SummaryRow | SkippedRow) -> bool:
        return row.coin == name and horizon in {None, row.horizon}

    def is_of_pools(row: HypothesisRow) -> bool:
        return row.pool in pools and horizon in {None, row.horizon}

    if as_json:
        closed = entries_closed(summary).get(name)
        found = {
            "champions": _as_stored(stored.body.get("champions"), summary.champions, is_of_coin),
            "skipped": _as_stored(stored.body.get("skipped"), summary.skipped, is_of_coin),
            "evidence": _as_stored(stored.body.get("evidence"), summary.hypotheses, is_of_pools),
        }
        print_json({"coin": name, **found, "entries_closed": closed})
        return 0
    _print(
        summary,
        CoinNight(
            coin=name,
            horizon=horizon,
            champions=tuple(filter(is_of_coin, summary.champions)),
            skips=tuple(filter(is_of_coin, summary.skipped)),
            hypotheses=tuple(filter(is_of_pools, summary.hypotheses)),
        ),
    )
    return 0


def _as_stored(body: Json, rows: Sequence[Row], wanted: Callable[[Row], bool]) -> list[Json]:
    """Those of a summary's rows that are wanted, with all that its file has of them."""
    stored = body if isinstance(body, list) else []
    return [whole for whole, row in zip(stored, rows, strict=True) if wanted(row)]


def _known(summary: NightSummary, coin: str, horizon: str | None) -> str:
    """A coin's name as the night has it; ConfigError where the night has nothing of it at that horizon."""
    rows = {(row.coin, row.horizon) for row in summary.skipped} | {(row.coin, row.horizon) for row in summary.champions}
    names = CoinNames({}, {known for known, _ in rows})
    name = names.resolve(coin)
    if any(known == name and horizon in {None, at} for known, at in rows):
        return name
    night = f"the night of {summary.data_cutoff}"
    if name in names.coins:
        horizons = ", ".join(sorted({at for _, at in rows}))
        raise ConfigError(f"{night} has nothing of {name} at {horizon}; its horizons: {horizons}")
    raise ConfigError(f"{night} does not know {coin!r}; {did_you_mean(coin, names)}")


def _print(summary: NightSummary, found: CoinNight) -> None:
    from rich.console import Console

    from huracan.cli.morning import coin_lines, print_warning

    console = Console(highlight=False)
    print_warning(summary.morning, console)
    console.print(f"[bold]{found.coin}[/bold], night of {summary.data_cutoff}")
    for champion in found.champions:
        console.print(
            f"  {champion.horizon}: [green]champion[/green] v{champion.version}, net edge "
            f"{number(champion.edge_after_cost_bps)} bps a round trip after costs ({champion.status})"
        )
    for skip in found.skips:
        console.print(f"  {skip.horizon}: {_why(skip)}", markup=False)
    closed = entries_closed(summary).get(found.coin)
    if closed is not None and any(skip.code != closed.code for skip in found.skips):
        console.print(f"  no entry at any horizon: {_why_closed(summary, closed)}", markup=False)
    if summary.morning is not None:
        coin_lines(summary.morning, sorted({row.pool for row in found.hypotheses}), found.horizon, console)
        return
    for row in found.hypotheses:
        console.print(
            f"  pool {row.pool} {row.horizon} {row.recipe}: e {number(row.e, 2)} of {number(row.needed, 0)}, "
            f"{_standing(row)}",
            markup=False,
        )


def _why(skip: SkippedRow) -> str:
    """Why a coin has no champion at a horizon."""
    seen = "" if skip.measured is None else f" measured {number(skip.measured, 3)}, wanted {number(skip.wanted, 3)}"
    return f"step {skip.step} {skip.code}: {skip.reason}.{seen}"


def _why_closed(summary: NightSummary, closed: BlockedRow) -> str:
    """Why nothing of a coin may be entered, and the horizons that say so."""
    saying = {row.horizon for row in summary.skipped if (row.coin, row.code) == (closed.coin, closed.code)}
    where = listed(sorted(saying, key=horizon_order))
    return f"{closed.code}{f' at {where}' if where else ''}: {closed.reason}"


def _standing(row: HypothesisRow) -> str:
    """How far a recipe is, in words."""
    if row.is_champion:
        return "champion"
    if not row.observed_days:
        days, mean = row.backtest_days, number(row.backtest_mean_bps)
        return f"{row.status}, no day counts as evidence so far{f', backtested over {days} days at {mean} bps' if days else ''}"
    nights = row.nights_until_decidable
    return f"{row.status}, " + ("never at this pace" if nights is None else f"{nights:.0f} nights missing")
