"""Which files are read, kept or lost, and which stretches are left to REST."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from huracan.adapters.binance.plan import (
    LATE_DAYS,
    WATCHED_DAYS,
    Folder,
    first_day_to_list,
    months_and_days,
    months_of,
    plan_files,
    uncovered,
    without_days_before,
)
from huracan.adapters.binance.s3_listing import ListedFile
from huracan.domain.ids import Instrument
from huracan.domain.time import DAY_MS, parse_iso
from huracan.ports import FetchedFile

UM = Instrument(market="um", symbol="BTCUSDT", base="BTC", quote="USDT")
SPOT = Instrument(market="spot", symbol="币安人生USDT", base="币安人生", quote="USDT")
MONTHS, DAYS = Folder.klines(UM, "1m", "monthly"), Folder.klines(UM, "1m", "daily")


def listed(folder, *firsts, sums=True):
    """The list of a folder that has the files beginning then."""
    keys = [folder.prefix + folder.file(parse_iso(first)).name for first in firsts]
    return [
        ListedFile(key=k + end, size=9, stamp="x/9") for k in keys for end in (("", ".CHECKSUM") if sums else ("",))
    ]


def published(folder, *firsts, **more):
    return folder.published(listed(folder, *firsts, **more))


def known(*names, sha="a"):
    return {name: FetchedFile(name=name, sha256=sha, rows=1) for name in names}


def names(files):
    return [file.name for file in files]


def test_finished_months_come_whole_and_the_running_month_by_day():
    window = (parse_iso("2025-12-30"), parse_iso("2026-01-03T04:00:00Z"))
    whole, single = months_and_days(MONTHS, DAYS, window, published(MONTHS, "2025-12-01"), {})
    assert names(whole) == ["BTCUSDT-1m-2025-12.zip"]
    assert names(single) == ["BTCUSDT-1m-2026-01-01.zip", "BTCUSDT-1m-2026-01-02.zip"]
    _, late = months_and_days(MONTHS, DAYS, window, {}, {})
    assert names(late) == [*(f"BTCUSDT-1m-2025-12-{day}.zip" for day in (30, 31)), *names(single)]


def test_a_month_whose_days_are_stored_stays_in_days_and_a_stored_month_stays_whole():
    window = (parse_iso("2025-12-30"), parse_iso("2026-01-01"))
    days = ["BTCUSDT-1m-2025-12-30.zip", "BTCUSDT-1m-2025-12-31.zip"]
    monthly = published(MONTHS, "2025-12-01")
    assert names(months_and_days(MONTHS, DAYS, window, monthly, known(*days))[1]) == days
    assert names(months_and_days(MONTHS, DAYS, window, monthly, known(days[0]))[0]) == ["BTCUSDT-1m-2025-12.zip"]
    both = known(*days, "BTCUSDT-1m-2025-12.zip")
    assert names(months_and_days(MONTHS, DAYS, window, {}, both)[0]) == ["BTCUSDT-1m-2025-12.zip"]


def test_paths_are_the_published_ones_with_names_escaped():
    file = Folder.klines(UM, "15m", "monthly").file(parse_iso("2025-06-01"))
    assert file.path == "data/futures/um/monthly/klines/BTCUSDT/15m/BTCUSDT-15m-2025-06.zip"
    assert file.member == "BTCUSDT-15m-2025-06.csv"
    assert file.span == (parse_iso("2025-06-01"), parse_iso("2025-07-01"))
    day = Folder.klines(SPOT, "1m", "daily").file(parse_iso("2025-06-01"))
    escaped = "%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT"
    assert day.path == f"data/spot/daily/klines/{escaped}/1m/{escaped}-1m-2025-06-01.zip"
    funding = Folder.funding(UM).file(parse_iso("2025-06-01"))
    assert funding.path == "data/futures/um/monthly/fundingRate/BTCUSDT/BTCUSDT-fundingRate-2025-06.zip"


def test_a_file_is_published_once_its_checksum_is_and_only_under_a_name_of_ours():
    assert names(published(MONTHS, "2025-06-01").values()) == ["BTCUSDT-1m-2025-06.zip"]
    assert published(MONTHS, "2025-06-01", sums=False) == {}
    for other in ("2025-13", "2025-02-30", "2025-6", "2025-06-01", "latest", "2025-06.csv", "٢٠٢٥-06"):
        key = f"{MONTHS.prefix}BTCUSDT-1m-{other}.zip"
        assert MONTHS.published([ListedFile(key=k, size=1, stamp="x") for k in (key, key + ".CHECKSUM")]) == {}


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_a_marker_parts_the_older_keys_from_a_file_and_the_newer_ones(first, other):
    for folder in (DAYS, MONTHS):
        begin = parse_iso("2018-01-01") + (first * DAY_MS if folder is DAYS else 0)
        then = parse_iso("2018-01-01") + (other * DAY_MS if folder is DAYS else 0)
        key = folder.prefix + folder.file(then).name
        assert (key > folder.marker(begin)) == (then >= begin)
        assert (key + ".CHECKSUM" > folder.marker(begin)) == (then >= begin)


def test_days_are_listed_from_the_first_unknown_or_still_watched_one():
    end = parse_iso("2026-06-01")
    days = [DAYS.file(end - back * DAY_MS) for back in range(WATCHED_DAYS + 5, 0, -1)]
    stored = known(*names(days))
    assert first_day_to_list(days, end, stored) == end - WATCHED_DAYS * DAY_MS
    del stored[days[2].name]
    assert first_day_to_list(days, end, stored) == days[2].span[0]
    assert first_day_to_list(days[:3], end, known(*names(days))) is None
    assert 2 * WATCHED_DAYS <= 1000, "one page of the list"


def test_a_file_is_lost_only_between_others_and_when_it_is_too_late_to_be_late():
    start = parse_iso("2026-01-01")
    days = [DAYS.file(start + day * DAY_MS) for day in range(6)]
    have = published(DAYS, "2026-01-02", "2026-01-04")

    def lost(end_ms, listed_ms=None, stored=()):
        plan = plan_files(days, have, known(*stored), end_ms=end_ms, listed_ms=listed_ms)
        assert names(plan.published) == ["BTCUSDT-1m-2026-01-02.zip", "BTCUSDT-1m-2026-01-04.zip"]
        return [name[-6:-4] for name in names(plan.lost)]

    late = parse_iso("2026-01-04") + LATE_DAYS * DAY_MS
    assert lost(late - 1) == []
    assert lost(late) == lost(late + 99 * DAY_MS) == ["03"]
    assert lost(late, listed_ms=start) == ["01", "03"]
    assert lost(late, stored=["BTCUSDT-1m-2026-01-06.zip"]) == ["03"]
    assert lost(late + 9 * DAY_MS, stored=["BTCUSDT-1m-2026-01-06.zip"]) == ["03", "05"]


def test_between_two_listings_no_file_is_lost_and_within_the_earlier_one_some_may_be():
    start, listed = parse_iso("2026-01-01"), parse_iso("2026-01-08")
    days = [DAYS.file(start + day * DAY_MS) for day in range(12)]
    have = published(DAYS, *(f"2026-01-{day:02}" for day in (2, 4, 8, 10)))
    plan = plan_files(days, have, {}, end_ms=parse_iso("2026-06-01"), listed_ms=listed)
    assert [name[-6:-4] for name in names(plan.lost)] == ["03", "09"]


def test_days_before_a_listing_are_wanted_where_a_month_before_it_has_a_file():
    days = [DAYS.file(parse_iso("2026-03-01") + day * DAY_MS) for day in range(31)]
    listed = parse_iso("2026-03-20") + 5
    assert without_days_before(None, [], days) == days
    assert without_days_before(listed, [], days) == days[19:]
    assert without_days_before(listed, [MONTHS.file(parse_iso("2026-03-01"))], days) == days[19:]
    assert without_days_before(listed, [MONTHS.file(parse_iso("2026-02-01"))], days) == days


def test_a_stored_file_that_the_list_has_no_more_is_kept_and_a_lost_one_that_turns_up_is_read():
    days = [DAYS.file(parse_iso("2026-01-01") + day * DAY_MS) for day in range(2)]
    plan = plan_files(days, {}, known(*names(days)), end_ms=parse_iso("2026-06-01"), listed_ms=None)
    assert (names(plan.kept), plan.published, plan.lost) == (names(days), (), ())
    turned_up = published(DAYS, "2026-01-01")
    plan = plan_files(days, turned_up, known(*names(days), sha=""), end_ms=parse_iso("2026-06-01"), listed_ms=None)
    assert (names(plan.published), names(plan.kept)) == (names(days[:1]), names(days[1:]))


INSTANTS = st.integers(parse_iso("2019-01-01"), parse_iso("2027-01-01"))


@given(INSTANTS, st.integers(0, 400 * DAY_MS), st.sets(st.integers(0, 13)), st.sets(st.integers(0, 400)))
def test_no_wanted_file_reaches_past_the_end_and_whole_days_are_wanted_once(start, length, have, stored):
    end = start + length
    firsts = [first for first, _ in months_of(start, end)]
    monthly = {MONTHS.file(first).name: MONTHS.file(first) for place, first in enumerate(firsts) if place in have}
    days = known(*(DAYS.file(start // DAY_MS * DAY_MS + day * DAY_MS).name for day in stored))
    whole, single = months_and_days(MONTHS, DAYS, (start, end), monthly, days)
    spans = sorted(file.span for file in (*whole, *single))
    assert all(high <= end for _, high in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    holes = uncovered(start, end, spans)
    assert sum(high - low for low, high in holes) <= 2 * DAY_MS


@given(
    st.integers(0, 50),
    st.integers(0, 50),
    st.lists(st.tuples(st.integers(-5, 55), st.integers(0, 20)).map(lambda s: (s[0], s[0] + s[1])), max_size=6),
)
def test_uncovered_is_exactly_what_no_span_covers(start, end, spans):
    inside = {t for low, high in uncovered(start, end, spans) for t in range(low, high)}
    assert inside == {t for t in range(start, end) if not any(low <= t < high for low, high in spans)}
