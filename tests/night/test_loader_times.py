"""Times of an owner's own loader: any unit that tells itself, and else the pair is refused with what was seen."""

import polars as pl
import pytest

from huracan.domain.time import parse_iso
from huracan.night.custom.frames import InvalidOutput, bars_from

START = parse_iso("2025-11-06")


def answer(times):
    return pl.DataFrame(
        {"open_time": times, **{name: [1.0, 2.0] for name in ("open", "high", "low", "close", "volume")}}
    )


@pytest.mark.parametrize("factor", [1e-3, 1, 1e3, 1e6])
def test_seconds_to_nanoseconds_are_told_by_their_size(factor):
    times = [int(START * factor), int((START + 60_000) * factor)]
    assert bars_from(answer(times))["open_time"].to_list() == [START, START + 60_000]


@pytest.mark.parametrize("times", [[1, 2], [START, START * 1000], ["a", "b"]])
def test_other_times_are_refused_with_what_was_seen(times):
    with pytest.raises(InvalidOutput, match=r"column open_time holds .* wanted datetimes, or whole s, ms, us or ns"):
        bars_from(answer(times))
