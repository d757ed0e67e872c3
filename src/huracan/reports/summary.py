"""The daily summary: one JSON object whose counts add up; and what a stored one says, as a record."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from pydantic import TypeAdapter

from huracan.domain.json import Json, JsonObject
from huracan.domain.records import Skip
from huracan.reports.night_summary import NightSummary
from huracan.reports.plain import plain
from huracan.reports.reading import record_of


def daily_summary(
    *,
    timestamp: str,
    run_id: str | None,
    coin_universe_size: int,
    coins_processed: int,
    champions_count: int,
    export_results: JsonObject,
    skips: Iterable[Skip | JsonObject],
    errors: Sequence[object] = (),
    evidence: Sequence[Mapping[str, object]] = (),
    extra: Mapping[str, object] | None = None,
) -> dict[str, Json]:
    """The summary as JSON types: every skip with step, code, reason, measured and wanted, and counts by reason.

    `evidence` is the table of hypotheses. `extra` adds keys and may not replace any.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSummary:
    """A summary's file: its record, and the JSON object that it was read from."""

    summary: NightSummary
    body: JsonObject


def read_summary(data: bytes) -> StoredSummary:
    """What a summary's file says; ValueError, naming the first field that holds something else, for a damaged one."""
    body = json.loads(data)
    return StoredSummary(summary=summary_of(body), body=body)


def summary_of(body: Mapping[str, object]) -> NightSummary:
    """A summary's record; ValueError, naming the first field that holds something else, for a damaged one."""
    return record_of(_codec(), body)


@cache
def _codec() -> TypeAdapter[NightSummary]:
    return TypeAdapter(NightSummary)
