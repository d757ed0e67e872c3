"""The last word on a night: in the ledger, and to those who listen."""

from typing import Any

from huracan.adapters.ledger import SqliteLedger
from huracan.app.observing import Observers
from huracan.app.results import traced
from huracan.errors import HuracanError
from huracan.night.publish import Exported
from huracan.night.stages import is_interruption
from huracan.ports import Telemetry


def finish(
    ledger: SqliteLedger, telemetry: Telemetry, finished_ms: int, summary: dict[str, Any], exported: Exported
) -> None:
    """Record the end of the run in the ledger, and emit its outcome as events."""
    counts = {key: summary[key] for key in ("champions_count", "candidates_count", "coins_processed", "skip_counts")}
    fields = {**counts, "dry_run": summary["dry_run"]}
    ledger.finish_run(summary["run_id"], finished_ms=finished_ms, status="finished", summary=fields)
    for row in exported.champions.values():
        name = {"promoted": "champion_promoted", "refreshed": "champion_refreshed"}.get(row.status, "champion_kept")
        telemetry.event(name, coin=row.coin, horizon=row.horizon, version=row.version)
    for made in exported.candidates.values():
        place = {"coin": made.coin, "horizon": made.horizon}
        telemetry.event("candidate_published", **place, recipe=made.recipe, version=made.version)
    for skip in summary["skipped"]:
        telemetry.event("pair_skipped", **{key: skip[key] for key in ("coin", "horizon", "step", "code")})
    telemetry.event("run_finished", run_id=summary["run_id"], champions=summary["champions_count"])


def unfinished(error: BaseException | None, left: str | None) -> dict[str, str]:
    """What the ledger keeps of a run without a result; `left` says after which step, where no error ended it."""
    if error is None:
        return {"status": "interrupted", "reason": left or ""}
    if is_interruption(error):
        return {"status": "interrupted", "reason": "interrupted; start again to go on"}
    return {"status": "refused", "reason": f"{type(error).__name__}: {error}"}


def emit_refusal(telemetry: Telemetry, error: HuracanError) -> None:
    """Emit that a night was refused, with the code that says what to do about it."""
    telemetry.event("run_refused", code=error.code, error=str(error), **traced(error))


def emit_end(observers: Observers, error: BaseException | None, left: str | None) -> None:
    """Emit how a night ended that was not concluded, and stop listening; `left` says after which step it was left."""
    if isinstance(error, HuracanError):
        emit_refusal(observers.telemetry, error)
        observers.close()
        return
    if error is None and left is not None:
        observers.telemetry.event("run_interrupted", advice=left)
    observers.__exit__(type(error) if error else None, error, None)
