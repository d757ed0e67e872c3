"""Every event and every metric there is: names, levels, labels, units. Nothing else may be emitted or counted.

Labels are bounded: a wave, a step, a code, a horizon, a recipe; never a coin. Counters count from the start of the
night, since a night is a process: their plain value is "tonight", and `rate()` is for watching a night while it runs.
"""

from dataclasses import dataclass
from typing import Final, Literal

Level = Literal["debug", "info", "warning", "error"]

EVENTS: Final[dict[str, Level]] = {
    "artefact_mismatched": "warning",
    "backend_awaited": "info",
    "backend_started": "info",
    "bars_repaired": "info",
    "candidate_published": "info",
    "champion_demoted": "info",
    "champion_kept": "info",
    "champion_promoted": "info",
    "champion_refreshed": "info",
    "champion_set_refused": "warning",
    "clock_not_kept": "warning",
    "consensus_reached": "info",
    "copy_found": "info",
    "data_aged": "info",
    "decision_made": "debug",
    "export_failed": "error",
    "job_cancelled": "info",
    "job_failed": "error",
    "job_finished": "debug",
    "job_refused": "info",
    "job_retried": "info",
    "job_started": "debug",
    "keys_created": "info",
    "labels_made": "info",
    "lake_fill_started": "info",
    "lake_filled": "info",
    "lake_table_quarantined": "warning",
    "lake_unproven": "info",
    "ledger_unnamed": "warning",
    "lineage_admitted": "info",
    "lineage_expired": "info",
    "listing_unknown": "warning",
    "member_delisted": "warning",
    "metrics_served": "info",
    "mirror_awaited": "info",
    "pair_failed": "error",
    "pair_ingested": "info",
    "pair_skipped": "debug",
    "pairs_trained": "info",
    "pool_evaluated": "info",
    "pool_frozen": "error",
    "pool_promoted": "info",
    "push_failed": "error",
    "push_finished": "info",
    "push_planned": "info",
    "recipe_scored": "info",
    "report_written": "info",
    "root_key_unprotected": "info",
    "run_crashed": "error",
    "run_finished": "info",
    "run_interrupted": "warning",
    "run_refused": "error",
    "run_started": "info",
    "set_published": "info",
    "settlements_unshared": "warning",
    "skips_counted": "debug",
    "stage_failed": "info",
    "stage_finished": "info",
    "stage_started": "info",
    "store_adopted": "info",
    "store_renumbered": "info",
    "symbol_filled": "info",
    "symbol_refused": "error",
    "telemetry_failed": "error",
    "traces_lost": "error",
    "universe_built": "info",
    "wave_finished": "info",
    "wave_started": "info",
    "workdir_opened": "info",
    "worker_lost": "error",
}
"""Every event there is, with its level: past-tense names in snake case. Repaired data is information, not a warning.

A stage that failed is information: the run that was refused for it is the error, and is emitted once.
"""

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSpec:
    """What a metric is; `unit` is the base unit its name ends with (before ``_total``), empty for plain counts."""

    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    buckets: tuple[float, ...] = ()


def _count(help_: str, *labels: str) -> MetricSpec:
    return MetricSpec(kind="counter", help=help_, labels=labels)


def _gauge(help_: str, *labels: str, unit: str = "") -> MetricSpec:
    return MetricSpec(kind="gauge", help=help_, labels=labels, unit=unit)


METRICS: Final[dict[str, MetricSpec]] = {
    "huracan_run_active": _gauge("1 while a night runs, 0 when it has ended."),
    "huracan_run_start_timestamp_seconds": _gauge("When tonight's run began.", unit="seconds"),
    "huracan_run_duration_seconds": _gauge("How long tonight's run took, from its start to its end.", unit="seconds"),
    "huracan_last_success_timestamp_seconds": _gauge(
        "When a night last ended with champions decided; carried over from the ledger until tonight's does.",
        unit="seconds",
    ),
    "huracan_stage_duration_seconds": _gauge("How long a step of tonight's run took.", "step", unit="seconds"),
    "huracan_stage_job_seconds": _gauge(
        "How long jobs worked for a step of tonight's run, over all pairs and workers.", "step", unit="seconds"
    ),
    "huracan_job_duration_seconds": MetricSpec(
        kind="histogram",
        help="Time a worker spent on one pair's job, cached answers included.",
        labels=("wave",),
        unit="seconds",
        buckets=(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0),
    ),
    "huracan_jobs_started_total": _count("Starts of jobs, repeated ones included.", "wave"),
    "huracan_jobs_completed_total": _count("Jobs that gave a record.", "wave"),
    "huracan_jobs_failed_total": _count("Jobs given up.", "wave", "code"),
    "huracan_jobs_retried_total": _count("Attempts that failed and were repeated.", "wave", "code"),
    "huracan_jobs_cancelled_total": _count("Jobs cancelled before their end.", "wave", "code"),
    "huracan_deadline_misses_total": _count("Jobs that the deadline ended; their pairs keep yesterday's champion."),
    "huracan_jobs_waiting": _gauge("Jobs of the current wave that wait for a worker."),
    "huracan_jobs_running": _gauge("Jobs at work now."),
    "huracan_worker_slots": _gauge("How many jobs can run at once."),
    "huracan_workers_lost_total": _count("Worker processes that died while they worked on a job."),
    "huracan_errors_total": _count("Failures of jobs, exports, runs and telemetry, by stable code.", "code"),
    "huracan_runs_refused_total": _count("Runs that ended without a result, by stable code.", "code"),
    "huracan_cache_lookups_total": _count(
        "Jobs that could be answered from artefacts, and whether they were.", "wave", "outcome"
    ),
    "huracan_driver_resident_bytes": _gauge("Resident memory of the driver now.", unit="bytes"),
    "huracan_worker_peak_resident_bytes": _gauge(
        "Largest resident memory any worker has reached tonight.", unit="bytes"
    ),
    "huracan_machine_memory_bytes": _gauge("Physical memory of the driver's machine.", unit="bytes"),
    "huracan_disk_free_bytes": _gauge("Free space on the file system of the workdir.", unit="bytes"),
    "huracan_disk_size_bytes": _gauge("Size of the file system of the workdir.", unit="bytes"),
    "huracan_data_age_seconds": _gauge(
        "Age of the newest bar over all pairs with bars, seen from the exchange's clock.", "statistic", unit="seconds"
    ),
    "huracan_bars_repaired_total": _count("Bars filled in small gaps, flagged and never traded."),
    "huracan_pairs": _gauge(
        "Pairs the exchange lists, members of the universe, and members that were trained.", "state"
    ),
    "huracan_skips": _gauge("Pairs x horizons without a champion tonight, by reason.", "code"),
    "huracan_champions": _gauge("Champions of tonight's set, by how they came to be there.", "status"),
    "huracan_candidates": _gauge("Candidates for paper trading in tonight's set."),
    "huracan_promotions_total": _count("Recipes promoted in a pool tonight.", "horizon"),
    "huracan_demotions_total": _count("Champions demoted in a pool tonight.", "horizon"),
    "huracan_pools_frozen": _gauge("Pools whose promotions are frozen until a person has looked."),
    "huracan_e_value_max": _gauge("Largest e-value of a recipe over all pools.", "horizon", "recipe"),
    "huracan_e_value_needed": _gauge("E-value at which that pool's recipe is proven.", "horizon", "recipe"),
    "huracan_nights_until_decidable": _gauge(
        "Fewest nights until a recipe can be proven in some pool, at its measured edge; absent when never.",
        "horizon",
        "recipe",
    ),
    "huracan_publish_pending": _gauge("1 while a finished night waits to be published to a target.", "target"),
    "huracan_published_version": _gauge("Version of the signed set last published to a target.", "target"),
}
"""Every metric there is."""

OTHER: Final = "other"
"""What a label says once it has shown more values than a label may have."""
MOST_VALUES: Final = 64
"""How many values one label of one metric may show; users name recipes and targets, so the values are counted."""
