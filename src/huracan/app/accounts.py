"""The account of a night on disk: the summary, the page, the decisions; in the workdir, and the summary in the store
too.
"""

import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import polars as pl

from huracan.adapters.checks import last_check
from huracan.adapters.progress import ProgressFile
from huracan.adapters.reports import (
    write_events,
    write_integrity,
    write_night_page,
    write_page_summary,
    write_summary,
)
from huracan.app.demos import read_mark
from huracan.app.release import FolderRelease
from huracan.app.results import with_story
from huracan.domain.night_rows import PublishedRow
from huracan.errors import AlteredArtefactError, HuracanError
from huracan.night.integrity import night_integrity
from huracan.night.jobs.artefacts import Artefacts
from huracan.night.jobs.train import cell_frame
from huracan.night.promote import Promoted
from huracan.night.publish import Exported
from huracan.night.state import Night
from huracan.ports import Clock, Telemetry
from huracan.promotion import EvidenceKey
from huracan.reports import Curve, NightReport, curve_from_daily
from huracan.reports.night import night_report
from huracan.reports.night_integrity import integrity_of
from huracan.reports.night_summary import ErrorRow
from huracan.reports.story import Morning, Spent, read_morning, refused_morning
from huracan.reports.summary import summary_of
from huracan.scoring import EVENT_SCHEMA

STAGE_WORDS: Final = {
    "universe": "listing",
    "ingest": "data",
    "prepare": "features",
    "train": "training",
    "judge": "evaluating",
    "publish": "publishing",
}


def with_accounts(
    workdir: Path, summary: dict[str, Any], night: Night, spent: Spent
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The summary with its story, and what validation found, which is on disk by then."""
    _, integrity = write_findings(workdir, night)
    before = morning_before(workdir, summary["data_cutoff"])
    simulated = read_mark(workdir) is not None
    return with_story(summary, before=before, integrity=integrity, spent=spent, simulated=simulated), integrity


def spent_on(progress: ProgressFile, seconds: float) -> Spent:
    """What a night took so far."""
    stages = tuple((STAGE_WORDS.get(name, name), taken) for name, taken in progress.spent())
    return Spent(seconds=seconds, stages=stages, workers=progress.workers)


def morning_before(workdir: Path, data_cutoff: str) -> Morning | None:
    """The story of the last night before the one of a cut-off; None where there is none, or no file has it."""
    for file in sorted((workdir / "summaries").glob("*_summary*.json"), reverse=True):
        try:
            body = json.loads(file.read_bytes())
        except (OSError, ValueError, RecursionError):
            continue
        if not isinstance(body, dict) or body.get("dry_run") or str(body.get("data_cutoff"))[:10] >= data_cutoff[:10]:
            continue
        return read_morning(body)
    return None


def write_refusal(workdir: Path, progress: ProgressFile, error: HuracanError, now_ms: int) -> Path | None:
    """The page of a refused night, in the folder of its run; None where it cannot be written."""
    moment = datetime.fromtimestamp(now_ms / 1000, tz=UTC)
    run_id = progress.run_id or f"refused-{moment:%Y%m%dT%H%M%SZ}"
    report = NightReport(
        run_id=run_id,
        data_cutoff=moment.isoformat(timespec="seconds"),
        story=refusal(error, progress, moment, simulated=read_mark(workdir) is not None),
        errors=(ErrorRow(code=error.code, error=str(error)),),
    )
    with suppress(HuracanError, OSError):  # a full disk is what the refusal says
        return write_night_page(workdir / "reports" / run_id, report)
    return None


def refusal(
    error: HuracanError, progress: ProgressFile | None, moment: datetime, *, simulated: bool = False
) -> Morning:
    """The story of a refused night."""
    entered = [name for name, _ in progress.spent()] if progress is not None else []
    how_far = STAGE_WORDS.get(entered[-1], entered[-1]) if entered else ""
    night = moment.date().isoformat()
    published = "publish" in entered
    return refused_morning(night, error.code, str(error), how_far=how_far, published=published, simulated=simulated)


def write_accounts(
    workdir: Path,
    release: FolderRelease,
    decisions: pl.DataFrame,
    clock: Clock,
    telemetry: Telemetry,
    *,
    summary: dict[str, Any],
    integrity: dict[str, Any],
    promoted: Promoted,
    exported: Exported,
) -> dict[str, str]:
    """Write all reports of a night; returns where workdir, store, report page and summary lie."""
    moment = datetime.fromtimestamp(clock.now_ms() / 1000, tz=UTC)
    folder = workdir / "reports" / exported.night.run_id
    write_page_summary(folder, summary)
    created = moment.isoformat(timespec="seconds")
    page = write_night_page(
        folder, night_report(summary_of(summary), integrity_of(integrity), _curves(promoted), created=created)
    )
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


def _curves(promoted: Promoted) -> list[Curve]:
    names = {recipe.id: recipe.name for recipe in promoted.night.plan.recipes}
    curves = []
    for key, daily in promoted.dailies.items():
        views = (row.view for row in promoted.evidence)
        view = next((view for view in views if EvidenceKey(view.pool, view.horizon, view.recipe_id) == key), None)
        live = None if view is None or not view.live_days else promoted.verdict.day - view.live_days + 1
        days, net, valid = (daily[name].to_list() for name in ("day", "net_bps", "valid"))
        recipe = names[key.recipe_id]
        curves.append(
            curve_from_daily(key.pool, key.horizon, recipe, days=days, net_bps=net, valid=valid, live_from=live)
        )
    return curves


def night_decisions(artefacts: Artefacts, night: Night) -> pl.DataFrame:
    """Simulated actions of every cell of the night, published or not, in time order.

    A cell whose file was altered since step 9 has none; it counts as mismatched.
    """
    frames = []
    for _, cell in night.cells():
        with suppress(AlteredArtefactError):
            frames.append(cell_frame(artefacts, cell, "events"))
    return pl.concat(frames).sort("time", "coin", "horizon", "recipe") if frames else pl.DataFrame(schema=EVENT_SCHEMA)


def _of_published(decisions: pl.DataFrame, exported: Exported) -> pl.DataFrame:
    """Those of what was published tonight: the log has no others."""
    rows = (*exported.champions.values(), *exported.candidates.values())
    made = [(row.coin, row.horizon, row.recipe_id) for row in rows if isinstance(row, PublishedRow)]
    keys = pl.DataFrame(made, schema=dict.fromkeys(("coin", "horizon", "recipe"), pl.String), orient="row")
    return decisions.join(keys, on=keys.columns, how="semi", maintain_order="left")
