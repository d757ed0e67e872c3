"""Which archive files cover a stretch of time, and which stretch no file covers."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from huracan.domain.ids import Instrument
from huracan.domain.time import DAY_MS, utc_day

Span = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveFile:
    """One published zip: its name, its path below the archive's root, and the time it covers (ms, half open)."""

    name: str
    path: str
    span: Span

    @property
    def member(self) -> str:
        """Name of the CSV inside."""
        return self.name.removesuffix(".zip") + ".csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthPlan:
    """One month: its file where the month is over, else (or where that is missing) its days."""

    month: ArchiveFile | None
    days: tuple[ArchiveFile, ...]


def plan_klines(instrument: Instrument, interval: str, start_ms: int, end_ms: int) -> list[MonthPlan]:
    """Months that touch [start_ms, end_ms). A file is planned only when all of it lies before end_ms, so an as-of run
    never sees a later row; the first month may reach back before start_ms.
    """
    plans = []
    for first, after in _months(start_ms, end_ms):
        month = _klines_file(instrument, interval, "monthly", (first, after)) if after <= end_ms else None
        days = range(utc_day(max(first, start_ms)), utc_day(min(after, end_ms) - 1) + 1)
        spans = ((day * DAY_MS, (day + 1) * DAY_MS) for day in days)
        files = tuple(_klines_file(instrument, interval, "daily", span) for span in spans if span[1] <= end_ms)
        plans.append(MonthPlan(month=month, days=files))
    return plans


def plan_funding(instrument: Instrument, start_ms: int, end_ms: int) -> list[ArchiveFile]:
    """Months of settlements that are over before end_ms; there are no daily files."""
    return [
        _file(
            instrument,
            "monthly/fundingRate",
            f"{instrument.symbol}-fundingRate-{_text(first, '%Y-%m')}",
            (first, after),
        )
        for first, after in _months(start_ms, end_ms)
        if after <= end_ms
    ]


def uncovered(start_ms: int, end_ms: int, covered: Iterable[Span]) -> list[Span]:
    """Stretches of [start_ms, end_ms) outside all covered ones, ascending.

    >>> uncovered(0, 10, [(2, 4), (3, 5), (8, 12)])
    [(0, 2), (5, 8)]
    """
    holes, at = [], start_ms
    for low, high in sorted(covered):
        if low > at:
            holes.append((at, min(low, end_ms)))
        at = max(at, high)
    if at < end_ms:
        holes.append((at, end_ms))
    return [(low, high) for low, high in holes if low < high]


def newest(names: Sequence[ArchiveFile], count: int) -> frozenset[str]:
    """Names of the files that cover the latest time."""
    latest = sorted(names, key=lambda file: file.span[1], reverse=True)[:count]
    return frozenset(file.name for file in latest)


def _klines_file(instrument: Instrument, interval: str, period: str, span: Span) -> ArchiveFile:
    stem = f"{instrument.symbol}-{interval}-{_text(span[0], '%Y-%m' if period == 'monthly' else '%Y-%m-%d')}"
    return _file(instrument, f"{period}/klines", stem, span, interval)


def _file(instrument: Instrument, kind: str, stem: str, span: Span, *below: str) -> ArchiveFile:
    market = "spot" if instrument.market == "spot" else "futures/um"
    folder = "/".join(("data", market, kind, quote(instrument.symbol, safe=""), *below))
    return ArchiveFile(name=f"{stem}.zip", path=f"{folder}/{quote(stem, safe='')}.zip", span=span)


def _months(start_ms: int, end_ms: int) -> Iterator[Span]:
    moment = datetime.fromtimestamp(start_ms / 1000, tz=UTC)
    year, month = moment.year, moment.month
    while (first := _first_of(year, month)) < end_ms:
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
        yield first, _first_of(year, month)


def _first_of(year: int, month: int) -> int:
    return round(datetime(year, month, 1, tzinfo=UTC).timestamp() * 1000)


def _text(time_ms: int, form: str) -> str:
    return datetime.fromtimestamp(time_ms / 1000, tz=UTC).strftime(form)
