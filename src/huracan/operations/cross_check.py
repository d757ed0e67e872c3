"""The lake against other sources: the exchange's own REST on a day that came from the archive, and a second venue."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypedDict

import polars as pl

from huracan.adapters.binance import BinanceMarketData
from huracan.adapters.lake import DeltaLake
from huracan.adapters.vendors.second_venue import SecondVenue
from huracan.domain.ids import Instrument, random_seed
from huracan.domain.time import DAY_MS, Horizon, day_iso, iso
from huracan.errors import BannedError, HuracanError
from huracan.ingest.venues import compare_bars, known_restatement

AT_ONCE: Final = 8
LISTED_TIMES: Final = 20
APART_SHARE: Final = 0.01
"""Share of close-to-close moves that may differ by more than the tolerance before a second venue counts as a
mismatch.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What is compared: a lake of one interval, the exchange, and another venue if one is named."""

    lake: DeltaLake
    interval: str
    market: BinanceMarketData
    venue: SecondVenue | None = None
    tolerance_bps: float = 50.0


class Failed(TypedDict):
    """A comparison that could not be made."""

    instrument: str
    code: str
    error: str


class Comparison(TypedDict):
    """One day of an instrument against another source."""

    instrument: str
    against: str
    day: str
    bars: int
    mismatch: bool


class RestComparison(Comparison):
    """The same day by the exchange's REST: bars that differ, bars that were restated, and bars of one side alone."""

    differing: int
    restated: int
    only_ours: int
    only_theirs: int
    times: list[str]


class VenueComparison(Comparison):
    """The same day on a second venue: whether it is the same market, and how far closes and moves are apart."""

    venue: str
    same: float
    volume_ratio: float | None
    close_bps: float
    moves_apart: int


class CheckedLake(TypedDict):
    """All comparisons of one check, as JSON."""

    checked: str
    interval: str
    venue: str | None
    tolerance_bps: float
    compared: int
    failed: list[Failed]
    comparisons: list[RestComparison | VenueComparison]
    mismatches: list[RestComparison | VenueComparison]


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one instrument gave: its comparisons, or why there are none."""

    compared: tuple[RestComparison | VenueComparison, ...] = ()
    failed: Failed | None = None


async def check_lake(check: Check, instruments: Sequence[Instrument]) -> CheckedLake:
    """Compare one sampled day of every instrument; what each comparison found, as JSON values.

    The day is drawn by a hash of instrument and newest archive day from those that came whole from the archive: the
    same lake gives the same days, the next night's others. An instrument whose sources fail has a code instead of
    numbers, and the others go on; only a ban ends the check.
    """
    now_ms = await check.market.server_time()
    names = await _assets(check, now_ms)
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(instrument: Instrument) -> _Answer:
        async with gate:
            return await _guarded(check, names.get(instrument.id, instrument))

    answers = await asyncio.gather(*(one(instrument) for instrument in instruments))
    compared = [row for answer in answers for row in answer.compared]
    return {
        "checked": iso(now_ms),
        "interval": check.interval,
        "venue": check.venue.name if check.venue else None,
        "tolerance_bps": check.tolerance_bps,
        "compared": len(compared),
        "failed": [answer.failed for answer in answers if answer.failed is not None],
        "comparisons": compared,
        "mismatches": [row for row in compared if row["mismatch"]],
    }


async def _assets(check: Check, now_ms: int) -> dict[str, Instrument]:
    """Instruments with their base and quote asset, by id: another venue is asked by these. Not needed without one."""
    if check.venue is None:
        return {}
    snapshot = await check.market.snapshot(now_ms)
    return {instrument.id: instrument for instrument in snapshot.instruments}


async def _guarded(check: Check, instrument: Instrument) -> _Answer:
    try:
        day = sampled_day(check.lake, instrument, Horizon.parse(check.interval).ms)
        if day is None:
            return _Answer()
        ours = check.lake.bars(instrument, day * DAY_MS, (day + 1) * DAY_MS)
        rows: list[RestComparison | VenueComparison] = [await _against_rest(check, instrument, day, ours)]
        if check.venue is not None:
            found = await _against_venue(check, check.venue, instrument, day, ours)
            rows += [] if found is None else [found]
    except BannedError:
        raise
    except HuracanError as error:
        return _Answer(failed={"instrument": instrument.id, "code": error.code, "error": str(error)})
    return _Answer(compared=tuple(rows))


def sampled_day(lake: DeltaLake, instrument: Instrument, interval_ms: int) -> int | None:
    """UTC day number of the day to compare, None where no whole day came from the archive."""
    stored = lake.provenance(instrument).with_columns(day=pl.col("open_time") // DAY_MS)
    whole = (
        stored.group_by("day")
        .agg(pl.len(), (pl.col("source") == "archive").all().alias("archived"))
        .filter(pl.col("archived") & (pl.col("len") == DAY_MS // interval_ms))["day"]
        .sort()
    )
    if whole.is_empty():
        return None
    return int(whole[random_seed(int(whole[-1]), "check", instrument.id) % whole.len()])


async def _against_rest(check: Check, instrument: Instrument, day: int, ours: pl.DataFrame) -> RestComparison:
    theirs = await check.market.rest_bars(instrument, day * DAY_MS, (day + 1) * DAY_MS)
    both = ours.join(theirs, on="open_time", suffix="_rest")
    names = [name for name in ours.columns if name != "open_time"]
    differs = pl.any_horizontal(pl.col(name).ne(pl.col(f"{name}_rest")).fill_null(value=False) for name in names)
    apart = both.filter(differs)["open_time"].to_list()
    changed = check.lake.provenance(instrument).filter("restated")["open_time"].implode()
    explained = [time for time in apart if known_restatement(instrument.market, time)]
    explained += ours.filter(pl.col("open_time").is_in(apart) & pl.col("open_time").is_in(changed))[
        "open_time"
    ].to_list()
    unexplained = sorted(set(apart) - set(explained))
    missing = (ours.height - both.height, theirs.height - both.height)
    return {
        "instrument": instrument.id,
        "against": "rest",
        "day": day_iso(day),
        "bars": both.height,
        "differing": len(unexplained),
        "restated": len(set(explained)),
        "only_ours": missing[0],
        "only_theirs": missing[1],
        "times": [iso(time) for time in unexplained[:LISTED_TIMES]],
        "mismatch": bool(unexplained or any(missing)),
    }


async def _against_venue(
    check: Check, venue: SecondVenue, instrument: Instrument, day: int, ours: pl.DataFrame
) -> VenueComparison | None:
    span = (day * DAY_MS, (day + 1) * DAY_MS)
    theirs = await asyncio.to_thread(venue.bars, instrument, check.interval, *span)
    if theirs is None:
        return None
    found = compare_bars(ours, theirs, check.tolerance_bps)
    itself = found.venue == "same" and not venue.name.startswith("binance")
    return {
        "instrument": instrument.id,
        "against": venue.name,
        "day": day_iso(day),
        "bars": found.bars,
        "venue": found.venue,
        "same": found.same,
        "volume_ratio": found.volume_ratio,
        "close_bps": found.close_bps,
        "moves_apart": found.moves_apart,
        "mismatch": itself or found.apart_share > APART_SHARE or found.close_bps > check.tolerance_bps,
    }
