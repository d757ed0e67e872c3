"""Earlier listings of a symbol as instruments: they ended, no member is one of them, and their days are evidence.

LUNA before LUNA is the coin that fell from 80 to nothing within a week; its holders of May 2022 lost everything.
"""

from collections.abc import Iterable
from dataclasses import replace

from huracan.domain.ids import DELISTED, Instrument
from huracan.domain.records import Candidate, EarlierListing
from huracan.domain.time import DAY_MS, day_iso


def earlier_candidates(newest: Instrument, listings: Iterable[EarlierListing]) -> list[Candidate]:
    """Candidates of the earlier listings of a symbol, oldest first; what lived less than a day is no evidence.

    So no two of them end on one day: ids stay what they are when bars of old days are no longer, or not yet, known.
    """
    return [_candidate(newest, one) for one in listings if one.last_ms - one.first_ms >= DAY_MS]


def _candidate(newest: Instrument, listing: EarlierListing) -> Candidate:
    ended = int(day_iso(listing.last_ms // DAY_MS).replace("-", ""))
    one = replace(newest, status=DELISTED, listed_ms=None, listing_end=ended, until_ms=listing.until_ms)
    return Candidate(instrument=replace(one, coin=one.id), volume_24h_gbp=0.0, spread_bps=None)
