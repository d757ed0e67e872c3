"""The daily summary: one JSON object whose counts add up."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from huracan.domain.records import Skip
from huracan.reports.plain import plain


def daily_summary(
    *,
    timestamp: str,
    run_id: str | None,
    coin_universe_size: int,
    coins_processed: int,
    champions_count: int,
    export_results: Mapping[str, Any],
    skips: Iterable[Skip | Mapping[str, Any]],
    errors: Sequence[Any] = (),
    evidence: Sequence[Mapping[str, Any]] = (),
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The summary as JSON types: every skip with step, code, reason, measured and wanted, and counts by reason.

    `evidence` is the lineage table. `extra` adds keys and may not replace any.
    """
    skipped = [plain(skip) for skip in skips]
    counts = Counter(row["code"] for row in skipped)
    summary = {
        "timestamp": timestamp,
        "run_id": run_id,
        "coin_universe_size": coin_universe_size,
        "coins_processed": coins_processed,
        "champions_count": champions_count,
        "skipped_count": len(skipped),
        "skip_counts": dict(sorted(counts.items())),
        "export_results": plain(export_results),
        "skipped": skipped,
        "errors": plain(list(errors)),
        "evidence": plain(list(evidence)),
    }
    doubled = sorted(set(summary) & set(extra or {}))
    if doubled:
        raise ValueError(f"extra keys {doubled} are the summary's own; give them other names")
    return {**summary, **plain(dict(extra or {}))}
