"""Reports on disk: written whole or not at all, and a summary never over another."""

import io
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import MISSING, fields
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from huracan.adapters.disk import disk_errors, sync_folder
from huracan.domain.ids import path_segment
from huracan.domain.json import JsonObject
from huracan.reports import (
    CostReport,
    DataIntegrityReport,
    DecisionLog,
    MetricsReport,
    RegimeMapReport,
    daily_summary,
    json_text,
    plain,
)
from huracan.reports.html import PLOTLY_FILE, night_page
from huracan.reports.night import NightReport

Report = MetricsReport | CostReport | DataIntegrityReport
R = TypeVar("R", MetricsReport, CostReport, DataIntegrityReport)

READABLE = 0o644  # reports are for people; nothing in them is secret


class ReportsGenerator:
    """The documented writer of reports: ``{output_dir}/{coin}/{horizon}/*.json`` and ``{output_dir}/summaries/``.

    The first three take a report record, or (coin, horizon, values) with the record's fields as a mapping; a field that
    is missing is a ValueError and never a made-up value. `timestamp` may be left out of values: the time of writing.
    """

    def __init__(self, output_dir: str | Path) -> None:
        self.output_dir = Path(output_dir)

    def generate_metrics_report(
        self, coin: str | MetricsReport, horizon: str | None = None, metrics: JsonObject | None = None
    ) -> Path:
        """Write ``metrics.json``; `win_rate` may stand for `hit_rate`."""
        if metrics is not None and "hit_rate" not in metrics and "win_rate" in metrics:
            metrics = {**metrics, "hit_rate": metrics["win_rate"]}
        return self._write(_report(MetricsReport, coin, horizon, metrics), "metrics.json")

    def generate_cost_report(
        self, coin: str | CostReport, horizon: str | None = None, costs: JsonObject | None = None
    ) -> Path:
        """Write ``cost_report.json``."""
        return self._write(_report(CostReport, coin, horizon, costs), "cost_report.json")

    def generate_data_integrity_report(
        self, coin: str | DataIntegrityReport, horizon: str | None = None, integrity: JsonObject | None = None
    ) -> Path:
        """Write ``data_integrity.json``."""
        return self._write(_report(DataIntegrityReport, coin, horizon, integrity), "data_integrity.json")

    def generate_decision_logs(self, coin: str, horizon: str, logs: Sequence[DecisionLog | JsonObject]) -> Path:
        """Write ``decision_logs.json``: a list, in the order given."""
        rows = [log.as_dict() if isinstance(log, DecisionLog) else plain(log) for log in logs]
        return write_atomically(self._folder(coin, horizon) / "decision_logs.json", json_text(rows).encode())

    def generate_regime_map(self, coin: str, regime_data: RegimeMapReport | JsonObject) -> Path:
        """Write ``{coin}/regime_map.json``; a mapping is the report's `horizons`."""
        if not isinstance(regime_data, RegimeMapReport):
            regime_data = RegimeMapReport(coin, dict(regime_data), _now())
        target = self.output_dir / path_segment(coin) / "regime_map.json"
        return write_atomically(target, json_text(regime_data.as_dict()).encode())

    def generate_daily_summary(
        self,
        coins_processed: int | Sequence[str],
        champions_exported: int | Sequence[str] | JsonObject,
        skipped_coins: Sequence[object] | Mapping[str, object],
        errors: Sequence[object] = (),
    ) -> Path:
        """Write ``summaries/{YYYYMMDD_HHMMSS}_summary.json``.

        Counts or the things counted; skips as Skip records, mappings, names, or names to reasons. `success_rate` is
        champions over champions and skips, None where there is neither.
        """
        now = datetime.now(UTC)
        skips = _skips(skipped_coins)
        champions = _count(champions_exported)
        total = champions + len(skips)
        summary = daily_summary(
            timestamp=now.isoformat().replace("+00:00", "Z"),
            run_id=None,
            coin_universe_size=_count(coins_processed),
            coins_processed=_count(coins_processed),
            champions_count=champions,
            export_results=champions_exported if isinstance(champions_exported, Mapping) else {},
            skips=skips,
            errors=errors,
            extra={
                "champions_exported": champions,
                "skipped_coins": skipped_coins,
                "success_rate": champions / total if total else None,
            },
        )
        return write_summary(self.output_dir / "summaries", summary, now)

    def _folder(self, coin: str, horizon: str) -> Path:
        return self.output_dir / path_segment(coin) / path_segment(horizon)

    def _write(self, report: Report, name: str) -> Path:
        return write_atomically(self._folder(report.coin, report.horizon) / name, json_text(report.as_dict()).encode())


def write_summary(folder: Path, summary: Mapping[str, object], moment: datetime) -> Path:
    """Write ``{YYYYMMDD_HHMMSS}_summary.json`` (UTC); ``_summary_002.json`` and so on where the name is taken."""
    stem = moment.astimezone(UTC).strftime("%Y%m%d_%H%M%S_summary")
    data = json_text(summary).encode()
    number = 1
    while True:
        target = folder / (f"{stem}.json" if number == 1 else f"{stem}_{number:03d}.json")
        with _temporary(target, data) as temporary:
            try:
                os.link(temporary, target)
            except FileExistsError:
                number += 1
                continue
        _finish(target, READABLE)
        return target


def write_night_page(folder: Path, night: NightReport) -> Path:
    """Write ``index.html`` and, beside it, the one script it loads; the page works offline."""
    _place_plotly(folder)
    return write_atomically(folder / "index.html", night_page(night).encode())


def write_page_summary(folder: Path, summary: Mapping[str, object]) -> Path:
    """Write ``summary.json`` beside a page: all rows, where the page shows the first of them."""
    return write_atomically(folder / "summary.json", json_text(summary).encode())


def write_integrity(folder: Path, report: Mapping[str, object]) -> Path:
    """Write ``integrity.json``: what validation found, over all pairs."""
    return write_atomically(folder / "integrity.json", json_text(report).encode())


def write_events(folder: Path, frame: pl.DataFrame) -> Path:
    """Write ``decision_events.parquet``, ascending in time."""
    buffer = io.BytesIO()
    frame.sort("time", maintain_order=True).write_parquet(buffer)
    return write_atomically(folder / "decision_events.parquet", buffer.getvalue())


def write_atomically(target: Path, data: bytes, *, mode: int = READABLE) -> Path:
    """Replace a file durably: readers see the old bytes or the new ones. Raises DiskFullError."""
    with _temporary(target, data) as temporary:
        temporary.replace(target)
    _finish(target, mode)
    return target


def sweep_reports(workdir: Path) -> None:
    """Remove what killed runs left of reports, summaries and snapshots; for the one run that holds the workdir."""
    places = ("summaries/.*.tmp", "reports/*/.*.tmp", "snapshots/.*.tmp")
    for left in (file for place in places for file in workdir.glob(place)):
        left.unlink(missing_ok=True)


@contextmanager
def _temporary(target: Path, data: bytes) -> Iterator[Path]:
    """A synced file with the data beside the target, gone afterwards, that only its owner can read."""
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=target.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)


def _finish(target: Path, mode: int) -> None:
    """Open the file to readers, now that no temporary name is left of it, and make its name last."""
    with disk_errors(target):
        target.chmod(mode)
        sync_folder(target.parent)


def _place_plotly(folder: Path) -> None:
    """Put the script beside the page, as another name of an earlier night's copy where there is one of this version."""
    data = files("huracan.reports").joinpath("static", PLOTLY_FILE).read_bytes()
    target = folder / PLOTLY_FILE
    if target.exists() and target.stat().st_size == len(data):
        return
    with disk_errors(target):
        folder.mkdir(parents=True, exist_ok=True)
    for earlier in sorted(folder.parent.glob(f"*/{PLOTLY_FILE}")):
        if earlier != target and earlier.stat().st_size == len(data):
            target.unlink(missing_ok=True)
            with suppress(OSError):  # a file system without links: write it again
                os.link(earlier, target)
                return
    write_atomically(target, data)


def _report(kind: type[R], coin: str | R, horizon: str | None, values: JsonObject | None) -> R:
    if isinstance(coin, kind):
        return coin
    if not isinstance(coin, str) or horizon is None or values is None:
        raise ValueError(f"wanted a {kind.__name__}, or coin, horizon and values; got {type(coin).__name__}")
    given: dict[str, Any] = {"timestamp": _now(), **values, "coin": coin, "horizon": horizon}
    names = [f.name for f in fields(kind)]
    missing = [name for name in names if name not in given and name in _required(kind)]
    if missing:
        raise ValueError(
            f"{coin} {horizon}: {kind.__name__} lacks {', '.join(missing)}; give a number, or None for undefined"
        )
    return kind(**{name: given[name] for name in names if name in given})


def _required(kind: type[Any]) -> set[str]:
    return {f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING}


def _skips(skipped: Sequence[object] | Mapping[str, object]) -> list[JsonObject]:
    if isinstance(skipped, Mapping):
        return [{"coin": coin, "code": "SKIPPED", "reason": str(reason)} for coin, reason in skipped.items()]
    rows = [plain(item) for item in skipped]
    return [{"code": "SKIPPED", **row} if isinstance(row, dict) else {"coin": row, "code": "SKIPPED"} for row in rows]


def _count(value: int | Sequence[object] | Mapping[str, object]) -> int:
    return value if isinstance(value, int) else len(value)


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
