"""Settlements of the last days, read once for all perpetuals: the exchange allows few requests for them, and one names
all.
"""

from dataclasses import replace
from typing import Final

import polars as pl

from huracan.domain.frames import FUNDING_SCHEMA
from huracan.domain.ids import Instrument, content_hash
from huracan.domain.night_records import ArtefactRef, SharedSettlements
from huracan.domain.time import DAY_MS
from huracan.errors import AlteredArtefactError, DataError
from huracan.ingest import IngestConfig, clean_settlements
from huracan.ingest.funding import funding_holes
from huracan.night.jobs.artefacts import Artefacts
from huracan.night.plan import NightPlan
from huracan.ports import KnownSettlements, Lake, MarketData, Telemetry

RECENT_DAYS: Final = 3
"""A pair whose newest stored settlement is older is asked for by itself: a new one, or one that nights have missed."""
SHARED_FROM: Final = 12
"""So many perpetuals cost more requests one by one than together: three days of the whole market are about ten
pages.
"""
STORED_DAYS: Final = 60


async def share_settlements(
    market: MarketData, store: Artefacts, telemetry: Telemetry, plan: NightPlan
) -> SharedSettlements | None:
    """Where the market's last settlements lie, and since when; None where each pair asks alone.

    A read that fails is logged and costs nothing but requests: every pair then asks for its own.
    """
    perpetuals = [one for one in (*plan.members, *plan.historical) if one.instrument.market == "um"]
    if len(perpetuals) < SHARED_FROM:
        return None
    since_ms = plan.cutoff_ms - RECENT_DAYS * DAY_MS
    try:
        found = await market.recent_settlements(since_ms, plan.cutoff_ms)
    except DataError as error:
        telemetry.event("settlements_unshared", code=error.code, error=str(error))
        return None
    named = content_hash(since_ms, plan.cutoff_ms, found.hash_rows(seed=0).to_numpy().tobytes())
    key = f"settlements/{named}.parquet"
    return SharedSettlements(artefact=ArtefactRef(key=key, sha256=store.write_frame(key, found)), since_ms=since_ms)


def known_settlements(
    lake: Lake, store: Artefacts, plan: NightPlan, instrument: Instrument, shared: SharedSettlements | None
) -> KnownSettlements | None:
    """What a perpetual's job knows before it asks: what the lake has stored, and what was read for all.

    Where that file is not the one the driver has written, the pair asks alone.
    """
    if instrument.market != "um":
        return None
    stored = lake.funding(instrument, plan.cutoff_ms - STORED_DAYS * DAY_MS, plan.cutoff_ms)
    alone = KnownSettlements(
        stored=_last_stretch(stored, IngestConfig(interval_ms=plan.interval_ms)), since_ms=plan.cutoff_ms, rows=None
    )
    if shared is None:
        return alone
    try:
        of_all = store.frame(shared.artefact.key, shared.artefact.sha256)
    except AlteredArtefactError:
        return alone
    own = of_all.filter(pl.col("symbol") == instrument.symbol).select(list(FUNDING_SCHEMA))
    return replace(alone, since_ms=shared.since_ms, rows=own if own.height else None)


def _last_stretch(stored: pl.DataFrame, rules: IngestConfig) -> tuple[int, int] | None:
    """First and last of the settlements at the end that none is missing between: what is missing is asked for again."""
    settled = clean_settlements(stored, rules).frame
    if settled.is_empty():
        return None
    times = settled["funding_time"]
    first, last = int(times[0]), int(times[-1])
    holes = funding_holes(settled, first, last, rules)
    return (first if holes.is_empty() else int(times.filter(times > holes["start_ms"][-1])[0])), last
