"""What `TrainingPipeline.run` returns: the documented keys, and ours beside them."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from huracan.app.config import TrainingPipelineConfig
from huracan.app.mirrors import PushState
from huracan.domain.time import iso
from huracan.errors import HuracanError, JobFailedError
from huracan.night.carry_over import ChampionRow
from huracan.night.damage import lake_damage
from huracan.night.evidence.copies import copy_notes
from huracan.night.evidence.historical import constituent_counts, survivor_notes
from huracan.night.jobs.artefacts import Artefacts
from huracan.night.jobs.gating import gate_limits, gate_note
from huracan.night.left_out import stopped_notes
from huracan.night.promote import Promoted
from huracan.night.publish import Exported
from huracan.night.state import Night
from huracan.promotion import Verdict
from huracan.promotion.alpha_budget import COHORT_SLOTS, POOL_ALPHA, cohort_of
from huracan.reports import daily_summary
from huracan.reports.night_integrity import integrity_of
from huracan.reports.story import KEY, Morning, Spent, morning_body, morning_of, refused_headline
from huracan.reports.summary import summary_of


def night_summary(
    night: Night,
    promoted: Promoted,
    exported: Exported,
    publish_state: Mapping[str, PushState],
    *,
    artefacts: Artefacts,
    dry_run: bool,
    former_pairs: bool,
) -> dict[str, Any]:
    """The daily summary: counts that add up, every skip with its reason, and how far away everything is.

    `artefacts` counts what was verified on its way; `publish_state` says of every remote store whether it took the set;
    `former_pairs` whether the evidence counts them.
    """
    return daily_summary(
        timestamp=iso(night.plan.cutoff_ms),
        run_id=night.run_id,
        coin_universe_size=len(night.pairs),
        coins_processed=len(night.trained),
        champions_count=len(exported.champions),
        export_results={key: result.as_dict() for key, result in exported.export_results.items()},
        skips=exported.night.skips,
        errors=[error.as_dict() for error in exported.night.errors],
        evidence=[row.as_dict() for row in promoted.evidence],
        extra={
            "now": iso(night.plan.now_ms),
            "data_cutoff": iso(night.plan.cutoff_ms),
            "dry_run": dry_run,
            "publish_state": publish_state,
            "horizons": night.plan.horizons,
            "candidates_count": len(exported.candidates),
            "champions": [_without_model(row) for row in exported.champions.values()],
            "candidates": [_without_model(row) for row in exported.candidates.values()],
            "pools": [{"pool": pool.name, "members": pool.coins, "panel": pool.panel} for pool in promoted.pools],
            "waiting": promoted.verdict.waiting,
            "promotions": promoted.verdict.promotions,
            "demotions": promoted.verdict.demotions,
            "suspended": promoted.verdict.suspended,
            "frozen_pools": promoted.verdict.frozen_pools,
            "do_not_trade": [block.model_dump() for block in exported.blocked],
            "budget": budget_of(promoted.verdict),
            "cache": {"hits": night.cache[0], "total": night.cache[1]},
            "artefacts": {"verified": artefacts.verified, "mismatched": len(artefacts.mismatched)},
            "gbp_source": night.gbp_source,
            "universe_source": night.universe_source,
            "former_pairs": constituent_counts(night).as_dict(),
            "lake": lake_damage(exported.night).as_dict(),
            "copies": night.copies,
            "regime_gate": asdict(gate_limits(night.plan)),
            "notes": (
                *promoted.verdict.notes,
                *survivor_notes(night, counted=former_pairs),
                *copy_notes(night),
                *stopped_notes(night),
                gate_note(night.plan),
                *_altered_notes(len(artefacts.mismatched)),
            ),
        },
    )


def budget_of(verdict: Verdict) -> dict[str, Any]:
    """How much of the year's error budget is spent, for good."""
    year = cohort_of(verdict.day)
    used = sum(record.lineage.cohort == year for record in verdict.state.records.values())
    return {"year": year, "used": used, "slots": COHORT_SLOTS, "alpha": POOL_ALPHA}


def with_story(
    summary: dict[str, Any],
    *,
    before: Morning | None,
    integrity: dict[str, Any],
    spent: Spent,
    simulated: bool = False,
) -> dict[str, Any]:
    """The summary with its story, and the headline as its verdict."""
    story = morning_of(
        summary_of(summary), before=before, data=integrity_of(integrity), spent=spent, simulated=simulated
    )
    return {**summary, "verdict": story.headline, KEY: morning_body(story)}


def success(
    night: Night, exported: Exported, summary: dict[str, Any], seconds: float, places: dict[str, str]
) -> dict[str, Any]:
    """The result of a finished night; `places` are workdir, store and report."""
    return {
        "success": True,
        "duration_seconds": seconds,
        "coin_universe": list(night.pairs),
        "champions": {key: row.as_dict() for key, row in exported.champions.items()},
        "candidates": {key: row.as_dict() for key, row in exported.candidates.items()},
        "export_results": summary["export_results"],
        "summary": summary,
        "publish_state": summary["publish_state"],
        "skipped": summary["skipped"],
        "horizons": list(night.plan.horizons),
        "run_id": night.run_id,
        **places,
    }


def failure(
    config: TrainingPipelineConfig, error: HuracanError, seconds: float, page: Path | None = None
) -> dict[str, Any]:
    """The result of a refused night: the code says what to do about it; `page` says it where it could be written."""
    summary: dict[str, Any] = {
        "timestamp": None,
        "coin_universe_size": 0,
        "champions_count": 0,
        "coins_processed": 0,
        "export_results": {},
        "skipped": [],
        "errors": [{"code": error.code, "error": str(error), **traced(error)}],
        "run_id": None,
        "verdict": refused_headline(error.code, str(error)),
    }
    return {
        "success": False,
        "error": f"{error.code}: {error}",
        "code": error.code,
        "exception": error,
        **traced(error),
        "duration_seconds": seconds,
        "coin_universe": [],
        "champions": {},
        "candidates": {},
        "publish_state": {},
        "export_results": {},
        "skipped": [],
        "horizons": list(config.horizons),
        "summary": summary,
        "run_id": None,
        "workdir": str(config.folder()),
        "store": str(config.folder() / "store"),
        "report": None if page is None else str(page),
    }


def _altered_notes(count: int) -> tuple[str, ...]:
    if not count:
        return ()
    what = "1 artefact was" if count == 1 else f"{count} artefacts were"
    return (f"{what} gone or altered and made again: see who else can write where artefacts lie",)


def traced(error: HuracanError) -> dict[str, str]:
    """The traceback of an error that came from code which is not ours, else nothing."""
    return {"traceback": error.traceback} if isinstance(error, JobFailedError) and error.traceback else {}


def _without_model(row: ChampionRow) -> dict[str, object]:
    return {key: value for key, value in row.as_dict().items() if key not in {"model", "live_features"}}
