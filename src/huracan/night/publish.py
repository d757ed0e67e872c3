"""Step 9 over all pairs: bundles, what is kept from yesterday, the check of it all, and the signed set."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from huracan.domain.bundle import DoNotTrade
from huracan.domain.ids import result_key
from huracan.domain.night_rows import PublishedRow, RunError, StoredMember
from huracan.domain.records import Skip, SkipCode
from huracan.errors import AlteredArtefactError, DiskFullError, HuracanError
from huracan.export import BundleFiles
from huracan.night.account import check_complete
from huracan.night.bundles import assemble, cell_of, confidence, net_edge_bps
from huracan.night.carry_over import CarriedOver, ChampionRow, carry_over
from huracan.night.config import NightConfig
from huracan.night.delistings import vanished
from huracan.night.jobs.train import cell_frame, cell_model
from huracan.night.ports import NightPorts
from huracan.night.promote import Assignment, Promoted
from huracan.night.retention import prune
from huracan.night.state import Night


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """What became of a (coin, horizon): a champion, or the code and reason of its skip."""

    coin: str
    horizon: str
    error: str = ""

    def as_dict(self) -> dict[str, bool | str]:
        """As the documented result has it."""
        if self.error:
            return {"success": False, "error": self.error}
        return {"success": True, "coin": self.coin, "horizon": self.horizon}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """The night after step 9; champions, candidates and results by result key.

    `blocked` is the set's do-not-trade list.
    """

    night: Night
    champions: dict[str, ChampionRow]
    candidates: dict[str, PublishedRow]
    export_results: dict[str, ExportResult]
    blocked: tuple[DoNotTrade, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Assembled:
    """Bundles and result rows by result key, of what could be assembled, and the night with a skip for what could
    not.
    """

    night: Night
    bundles: dict[str, BundleFiles]
    rows: dict[str, PublishedRow]


def publish(ports: NightPorts, config: NightConfig, promoted: Promoted) -> Exported:
    """Sign and store tonight's set; in a dry run everything is assembled and nothing is written.

    Raises IncompleteError, before anything is written, where the night's accounts do not add up.
    """
    assembled = _assembled(ports, config, promoted)
    carried = carry_over(ports.release, assembled.night, promoted.verdict)
    night, rows = carried.night, assembled.rows
    blocked = _do_not_trade(promoted, carried, _champions(rows, carried))
    account = check_complete(night, promoted.verdict, _champions(rows, carried), blocked)
    if not config.dry_run:
        staying = [(row.coin, row.horizon) for row in carried.rows]
        members = ports.release.publish(list(assembled.bundles.values()), night, blocked, staying, account)
        rows = {key: _stored(row, members.get(key), promoted) for key, row in rows.items()}
        prune(ports.pair.artefacts.store, ports.ledger, night)
    champions = _champions(rows, carried)
    return Exported(
        night=night,
        champions=dict(sorted(champions.items())),
        candidates={key: row for key, row in sorted(rows.items()) if not row.champion},
        export_results=export_results(night, champions),
        blocked=tuple(blocked),
    )


def _champions(rows: Mapping[str, PublishedRow], carried: CarriedOver) -> dict[str, ChampionRow]:
    """Tonight's champions by result key, those that are carried over among them."""
    made: dict[str, ChampionRow] = {key: row for key, row in rows.items() if row.champion}
    return made | {result_key(row.coin, row.horizon): row for row in carried.rows}


def export_results(night: Night, champions: Iterable[str]) -> dict[str, ExportResult]:
    """Every (coin, horizon) by result key."""
    results = {
        result_key(skip.coin, skip.horizon): ExportResult(
            coin=skip.coin, horizon=skip.horizon, error=f"{skip.code}: {skip.reason}"
        )
        for skip in night.skips
    }
    names = {result_key(coin, horizon): (coin, horizon) for coin in night.pairs for horizon in night.plan.horizons}
    for key in champions:
        coin, horizon = names[key]
        results[key] = ExportResult(coin=coin, horizon=horizon)
    return dict(sorted(results.items()))


def _assembled(ports: NightPorts, config: NightConfig, promoted: Promoted) -> _Assembled:
    night = promoted.night
    bundles: dict[str, BundleFiles] = {}
    rows: dict[str, PublishedRow] = {}
    for item in promoted.assignments:
        key = result_key(item.coin, item.horizon)
        try:
            row, bundles[key] = _row(ports, night, item), assemble(ports.pair.artefacts, config, night, item)
        except (AlteredArtefactError, DiskFullError):
            raise
        except HuracanError as error:
            night = _not_exported(night, item, error)
            ports.telemetry.event(
                "export_failed", coin=item.coin, horizon=item.horizon, code=error.code, error=str(error)
            )
        else:
            rows[key] = row
    return _Assembled(night=night, bundles=bundles, rows=rows)


def _not_exported(night: Night, item: Assignment, error: HuracanError) -> Night:
    """The night with the failure as an error, and as the skip of a champion; a candidate's cell has its skip
    already.
    """
    text = f"the bundle could not be assembled: {error.code}: {error}"
    skip = Skip(coin=item.coin, horizon=item.horizon, step=9, code=SkipCode.EXPORT_FAILED, reason=text)
    error_of_run = RunError(coin=item.coin, horizon=item.horizon, step=9, code=skip.code.value, error=text)
    return replace(night.skipping([skip]), errors=(*night.errors, error_of_run))


def _row(ports: NightPorts, night: Night, item: Assignment) -> PublishedRow:
    """A champion or candidate, before it is in the store."""
    cell = cell_of(night, item)
    last = cell_frame(ports.pair.artefacts, cell, "golden").tail(1)
    view = item.evidence.view if item.evidence is not None else None
    return PublishedRow(
        coin=item.coin,
        horizon=item.horizon,
        regime=cell.regime,
        edge_bps=cell.live.edge_bps if cell.live is not None else None,
        edge_after_cost_bps=net_edge_bps(item, cell),
        lower_bps=item.edge.lower_bps if item.edge else None,
        confidence=confidence(cell),
        model=cell_model(ports.pair.artefacts, cell),
        metrics=cell.metrics,
        costs=cell.costs,
        recipe=item.recipe.name,
        recipe_id=item.recipe.id,
        pool=item.pool,
        champion=item.champion,
        status="promoted" if item.champion else "candidate",
        e_value=view.e if view is not None else None,
        nights_missing=view.nights_until_decidable if view is not None else None,
        root=cell.root,
        live=cell.live,
        live_features=last.to_dicts()[0] if last.height else {},
    )


def _stored(row: PublishedRow, member: StoredMember | None, promoted: Promoted) -> PublishedRow:
    """A row with its place in the store."""
    if member is None:
        return row
    return replace(row, version=member.version, path=member.path, status=_status(row, member, promoted))


def _status(row: PublishedRow, member: StoredMember, promoted: Promoted) -> str:
    if not row.champion:
        return "candidate"
    if any((event.pool, event.horizon) == (row.pool, row.horizon) for event in promoted.verdict.promotions):
        return "promoted"
    return "kept" if member.action == "kept" else "refreshed"


def _with_numbers(skip: Skip) -> str:
    """A skip's reason, with what the coin's own edge is where that decided."""
    if skip.code is not SkipCode.EDGE_BELOW_MIN or skip.measured is None or skip.wanted is None:
        return skip.reason
    return f"{skip.reason}: {skip.measured:,.1f}, wanted {skip.wanted:,.1f}"


def _do_not_trade(promoted: Promoted, carried: CarriedOver, champions: Mapping[str, ChampionRow]) -> list[DoNotTrade]:
    """Every coin of the universe without any champion tonight, and those that left the listing, each with its reason.

    The reason of a coin that was served is that of a champion it lost; of any other coin, its first one.
    """
    trading = {row.coin for row in champions.values()}
    reasons: dict[str, DoNotTrade] = {gone.coin: gone for gone in vanished(carried.night)}
    for skip in sorted(carried.night.skips, key=lambda skip: (skip.coin, skip.horizon) not in carried.served):
        if skip.coin not in trading and skip.coin not in reasons:
            reasons[skip.coin] = DoNotTrade(coin=skip.coin, code=skip.code.value, reason=_with_numbers(skip))
    for row in champions.values():
        if (row.pool, row.horizon) in promoted.verdict.suspended and row.coin not in reasons:
            reasons[row.coin] = DoNotTrade(
                coin=row.coin, code="SUSPENDED", reason="the pool's drawdown breaker has tripped: exits only"
            )
    return [reasons[coin] for coin in sorted(reasons)]
