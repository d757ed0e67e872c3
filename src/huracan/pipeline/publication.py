"""Step 9 over all pairs: bundles, what is kept from yesterday, the signed set, and the account of it."""

from dataclasses import dataclass, replace
from typing import Any

from huracan.domain.bundle import DoNotTrade
from huracan.domain.frames import REGIMES
from huracan.domain.ids import result_key
from huracan.domain.records import Skip, SkipCode
from huracan.errors import BundleFormatError, DataError
from huracan.export import BundleFiles
from huracan.pipeline.artefacts import get_bytes, get_frame
from huracan.pipeline.bundles import assemble, confidence, net_edge_bps
from huracan.pipeline.delistings import retire_strangers, vanished
from huracan.pipeline.night import Night
from huracan.pipeline.promotion import Assignment, Promoted
from huracan.pipeline.retention import prune
from huracan.pipeline.rules import NightPorts, NightRules

KEEP_CODES = frozenset(
    {
        SkipCode.STALE,
        SkipCode.UPSTREAM,
        SkipCode.CHECKSUM,
        SkipCode.SCHEMA,
        SkipCode.BANNED,
        SkipCode.JOB_FAILED,
        SkipCode.WORKER_LOST,
        SkipCode.TIMED_OUT,
        SkipCode.DEADLINE,
    }
)
"""Reasons that say nothing about a coin's edge: yesterday's champion stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """The night after step 9; champions and candidates by result key, as `TrainingPipeline.run` returns them."""

    night: Night
    champions: dict[str, dict[str, Any]]
    candidates: dict[str, dict[str, Any]]
    export_results: dict[str, dict[str, Any]]


def publish(ports: NightPorts, rules: NightRules, promoted: Promoted) -> Exported:
    """Sign and store tonight's set; in a dry run everything is assembled and nothing is written."""
    night = promoted.night
    store = ports.pair.artefacts
    bundles: dict[str, BundleFiles] = {}
    rows: dict[str, dict[str, Any]] = {}
    results: dict[str, dict[str, Any]] = {}
    for item in promoted.assignments:
        key = result_key(item.coin, item.horizon)
        try:
            bundles[key] = assemble(store, rules, night, item)
        except (BundleFormatError, DataError) as error:
            results[key] = {"success": False, "error": f"{error.code}: {error}"}
            ports.telemetry.event(
                "export_failed", coin=item.coin, horizon=item.horizon, code=error.code, error=str(error)
            )
            continue
        rows[key] = _row(ports, night, item)
        results[key] = {"success": True, "coin": item.coin, "horizon": item.horizon}
    night, kept = _keep_yesterday(ports, night)
    blocked = _do_not_trade(promoted, night, rows)
    if not rules.dry_run:
        published = ports.release.publish(
            list(bundles.values()), night, blocked, [(r["coin"], r["horizon"]) for r in kept]
        )
        for key, member in published.items():
            if key in rows:
                rows[key] |= {"version": member["version"], "path": member["path"]}
                rows[key]["status"] = _status(rows[key], member, promoted)
        prune(store, night)
    champions = {key: row for key, row in rows.items() if row["champion"]}
    champions |= {result_key(row["coin"], row["horizon"]): row for row in kept}
    return Exported(
        night=night,
        champions=dict(sorted(champions.items())),
        candidates={key: row for key, row in sorted(rows.items()) if not row["champion"]},
        export_results=dict(sorted(results.items())),
    )


def _row(ports: NightPorts, night: Night, item: Assignment) -> dict[str, Any]:
    """A champion (or candidate) as the documented result has it, with ours beside."""
    cell = night.trained[item.coin]["cells"][f"{item.recipe.id}/{item.horizon}"]
    live = cell["live"]
    last = get_frame(ports.pair.artefacts, f"{cell['root']}/golden.parquet").tail(1)
    return {
        "coin": item.coin,
        "horizon": item.horizon,
        "regime": REGIMES[live["regime"]] if live else None,
        "edge_bps": live["edge_bps"] if live else None,
        "edge_after_cost_bps": net_edge_bps(item, cell),
        "lower_bps": item.edge.lower_bps if item.edge else None,
        "confidence": confidence(cell),
        "model": get_bytes(ports.pair.artefacts, f"{cell['root']}/model.safetensors"),
        "metrics": cell["metrics"],
        "costs": cell["costs"],
        "recipe": item.recipe.name,
        "pool": item.pool,
        "champion": item.champion,
        "status": "promoted" if item.champion else "candidate",
        "version": None,
        "path": None,
        "e_value": item.evidence.get("e"),
        "nights_missing": item.evidence.get("nights_until_decidable"),
        "root": cell["root"],
        "live": live,
        "live_features": last.to_dicts()[0] if last.height else {},
    }


def _status(row: dict[str, Any], member: dict[str, Any], promoted: Promoted) -> str:
    if not row["champion"]:
        return "candidate"
    if any((event.pool, event.horizon) == (row["pool"], row["horizon"]) for event in promoted.verdict.promotions):
        return "promoted"
    return "kept" if member["action"] == "kept" else "refreshed"


def _keep_yesterday(ports: NightPorts, night: Night) -> tuple[Night, list[dict[str, Any]]]:
    """Champions of the current set whose coin failed tonight for reasons that say nothing about its edge, and is still the
    instrument and listing they were trained on.
    """
    champions = ports.release.current_champions()
    night = retire_strangers(night, [row for row in champions if (row["coin"], row["horizon"]) in _excused(night)])
    excused = _excused(night)
    kept = [
        {**row, "champion": True, "status": "kept", "reason": excused[row["coin"], row["horizon"]].reason}
        for row in champions
        if (row["coin"], row["horizon"]) in excused
    ]
    names = {(row["coin"], row["horizon"]) for row in kept}
    return replace(night, skips=tuple(s for s in night.skips if (s.coin, s.horizon) not in names)), kept


def _excused(night: Night) -> dict[tuple[str, str], Skip]:
    return {(skip.coin, skip.horizon): skip for skip in night.skips if skip.code in KEEP_CODES}


def _do_not_trade(promoted: Promoted, night: Night, rows: dict[str, dict[str, Any]]) -> list[DoNotTrade]:
    """Every coin of the universe without any champion tonight, with its first reason, and those that left the listing."""
    trading = {row["coin"] for row in rows.values() if row["champion"]}
    suspended = {(pool, horizon) for pool, horizon in promoted.verdict.suspended}
    reasons: dict[str, DoNotTrade] = {gone.coin: gone for gone in vanished(night)}
    for skip in night.skips:
        if skip.coin not in trading and skip.coin not in reasons:
            reasons[skip.coin] = DoNotTrade(coin=skip.coin, code=skip.code.value, reason=skip.reason)
    for row in rows.values():
        if row["champion"] and (row["pool"], row["horizon"]) in suspended and row["coin"] not in reasons:
            reasons[row["coin"]] = DoNotTrade(
                coin=row["coin"], code="SUSPENDED", reason="the pool's drawdown breaker has tripped: exits only"
            )
    return [reasons[coin] for coin in sorted(reasons)]
