"""An earlier listing of a symbol as an instrument: what it is called, and which rows are its own."""

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.domain.ids import DELISTED, Instrument
from huracan.domain.records import EarlierListing
from huracan.domain.time import HOUR_MS, parse_iso
from huracan.ingest import IngestConfig
from huracan.ingest.listings import part_listings
from huracan.night.jobs.listings import earlier_candidates

CONFIG = IngestConfig(interval_ms=HOUR_MS)
LUNA = Instrument(market="spot", symbol="LUNAUSDT", base="LUNA", quote="USDT", listed_ms=7, coin="LUNA")


def listing(first, last, until):
    first_ms, last_ms, until_ms = (parse_iso(text) for text in (first, last, until))
    return EarlierListing(first_ms=first_ms, last_ms=last_ms, until_ms=until_ms, bars=1)


def test_it_is_called_by_the_day_it_ended_and_does_not_trade():
    (one,) = earlier_candidates(LUNA, [listing("2020-08-21", "2022-05-13", "2022-05-31T06:00:00Z")])
    old = one.instrument
    assert (old.id, old.coin, old.ticker) == ("LUNAUSDT-spot~20220513", "LUNAUSDT-spot~20220513", LUNA.id)
    assert (old.status, old.listed_ms, old.until_ms) == (DELISTED, None, parse_iso("2022-05-31T06:00:00Z"))
    assert not old.trades
    assert one.spread_bps is None


def test_what_lived_less_than_a_day_is_nobodys_evidence():
    short = listing("2022-05-13", "2022-05-13T23:00:00Z", "2022-05-14T02:00:00Z")
    assert earlier_candidates(LUNA, [short]) == []


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 70), st.integers(1, 60), st.sampled_from([1.0, 50.0])), min_size=2, max_size=8),
    st.integers(0, 400),
)
def test_names_are_unique_and_the_same_however_far_back_the_bars_reach(steps, start):
    hours: list[int] = []
    prices: list[float] = []
    for silent, lived, price in steps:
        begin = (hours[-1] if hours else 0) + silent
        hours += range(begin, begin + lived)
        prices += [price] * lived
    level = np.array(prices)
    frame = pl.DataFrame({"open_time": np.array(hours) * HOUR_MS, "open": level, "close": level, "volume": level})

    def names(rows):
        return [one.instrument.id for one in earlier_candidates(LUNA, part_listings(rows, CONFIG).earlier)]

    every, later = names(frame), names(frame.filter(pl.col("open_time") >= start * HOUR_MS))
    assert len(set(every)) == len(every)
    assert later == every[len(every) - len(later) :]
