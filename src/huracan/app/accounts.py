"""The account of a night on disk: the summary, the page, the decisions; in the workdir, and the summary in the store too."""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from huracan.adapters.checks import last_check
from huracan.adapters.reports import write_events, write_integrity, write_night_page, write_summary
from huracan.app.release import FolderRelease
from huracan.errors import AlteredArtefactError
from huracan.pipeline.artefacts import Artefacts
from huracan.pipeline.cells import cell_frame
from huracan.pipeline.integrity import night_integrity
from huracan.pipeline.night import Night
from huracan.pipeline.promotion import Promoted
from huracan.pipeline.publication import Exported
from huracan.ports import Clock, Telemetry
from huracan.reports import Curve, NightReport, curve_from_daily
from huracan.scoring import EVENT_SCHEMA


def write_accounts(
    workdir: Path,
    release: FolderRelease,
    decisions: pl.DataFrame,
    clock: Clock,
    telemetry: Telemetry,
    summary: dict[str, Any],
    promoted: Promoted,
    exported: Exported,
) -> dict[str, str]:
    """Write all reports of a night; returns where workdir, store, report page and summary lie."""
    moment = datetime.fromtimestamp(clock.now_ms() / 1000, tz=UTC)
    folder, integrity = write_findings(workdir, exported.night)
    created = moment.isoformat(timespec="seconds")
    page = write_night_page(folder, night_report(summary, promoted, exported, created, integrity))
    write_events(folder, decisions)
    for decision in _of_published(decisions, exported).iter_rows(named=True):
        telemetry.event("decision_made", **decision)
    path = write_summary(workdir / "summaries", summary, moment)
    telemetry.event("report_written", page=str(page), summary=str(path))
    if not summary["dry_run"]:
        release.summary(summary)
    return {
        "workdir": str(workdir),
        "store": str(release.store.root),
        "report": str(page),
        "summary_path": str(path),
    }


def write_findings(workdir: Path, night: Night) -> tuple[Path, dict[str, Any]]:
    """What validation found, as ``integrity.json`` among the run's reports; the folder, and the findings."""
    folder, integrity = workdir / "reports" / night.run_id, night_integrity(night, last_check(workdir))
    write_integrity(folder, integrity)
    return folder, integrity


def night_report(
    summary: dict[str, Any], promoted: Promoted, exported: Exported, created: str, integrity: dict[str, Any]
) -> NightReport:
    """The page's record, from what the night found."""
    night = exported.night
    return NightReport(
        run_id=summary["run_id"],
        data_cutoff=summary["data_cutoff"],
        created=created,
        dry_run=summary["dry_run"],
        horizons=night.plan.horizons,
        universe_size=len(night.pairs),
        coins_processed=len(night.trained),
        lineages=promoted.evidence,
        champions=tuple(summary["champions"]),
        candidates=tuple(summary["candidates"]),
        curves=tuple(_curves(promoted)),
        skips=tuple(summary["skipped"]),
        integrity=tuple(_integrity(row) for row in integrity["instruments"]),
        integrity_rules=tuple(integrity["rules"]),
        outages=tuple(integrity["outages"]),
        lost_files=tuple(integrity["lost_files"]),
        errors=tuple(night.errors),
        notes=tuple(summary["notes"]),
    )


def _curves(promoted: Promoted) -> list[Curve]:
    names = {recipe.id: recipe.name for recipe in promoted.night.plan.recipes}
    curves = []
    for key, daily in promoted.dailies.items():
        pool, horizon, recipe_id = key.split("/")
        row = next((row for row in promoted.evidence if _is_row(row, pool, horizon, recipe_id)), None)
        live = None if row is None or not row["live_days"] else promoted.verdict.day - row["live_days"] + 1
        days, net, valid = (daily[name].to_list() for name in ("day", "net_bps", "valid"))
        curves.append(curve_from_daily(pool, horizon, names[recipe_id], days, net, valid, live))
    return curves


def _is_row(row: dict[str, Any], pool: str, horizon: str, recipe_id: str) -> bool:
    return (row["pool"], row["horizon"], row["recipe_id"]) == (pool, horizon, recipe_id)


def _integrity(row: dict[str, Any]) -> dict[str, Any]:
    """A pair's row of the page's table."""
    counts, missing = row["counts"], row["missing_bars"]
    numbers = {name: row[name] for name in ("coin", "vendor", "rows_in", "rows_out", "repaired", "cut", "quality")}
    return {
        **numbers,
        "gaps": counts["gaps"] + counts["holes"],
        "exchange_bars": missing.get("exchange", 0),
        "own_bars": sum(missing.values()) - missing.get("exchange", 0),
        "halt": counts["halt"],
        "outliers": counts["panic"] + counts["outlier"],
        "mismatches": len(row["mismatches"]),
    }


def night_decisions(artefacts: Artefacts, night: Night) -> pl.DataFrame:
    """Simulated actions of every cell of the night, published or not, in time order.

    A cell whose file was altered since step 9 has none; it counts as mismatched.
    """
    frames = []
    for _, _, cell in night.cells():
        with suppress(AlteredArtefactError):
            frames.append(cell_frame(artefacts, cell, "events"))
    return pl.concat(frames).sort("time", "coin", "horizon", "recipe") if frames else pl.DataFrame(schema=EVENT_SCHEMA)


def _of_published(decisions: pl.DataFrame, exported: Exported) -> pl.DataFrame:
    """Those of what was published tonight: the log tells no others."""
    rows = (*exported.champions.values(), *exported.candidates.values())
    made = [(row["coin"], row["horizon"], row["recipe_id"]) for row in rows if row.get("root")]
    keys = pl.DataFrame(made, schema=dict.fromkeys(("coin", "horizon", "recipe"), pl.String), orient="row")
    return decisions.join(keys, on=keys.columns, how="semi", maintain_order="left")
