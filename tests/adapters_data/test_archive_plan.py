"""Which files are asked for, and which stretches are left to REST."""

from hypothesis import given
from hypothesis import strategies as st

from huracan.adapters.binance.plan import plan_funding, plan_klines, uncovered
from huracan.domain.ids import Instrument
from huracan.domain.time import DAY_MS, parse_iso

UM = Instrument(market="um", symbol="BTCUSDT", base="BTC", quote="USDT")
SPOT = Instrument(market="spot", symbol="币安人生USDT", base="币安人生", quote="USDT")


def names(plans):
    return [(plan.month and plan.month.name, [day.name for day in plan.days]) for plan in plans]


def test_finished_months_have_a_file_and_the_running_month_has_days():
    plans = plan_klines(UM, "1m", parse_iso("2025-12-30"), parse_iso("2026-01-03T04:00:00Z"))
    assert names(plans) == [
        ("BTCUSDT-1m-2025-12.zip", ["BTCUSDT-1m-2025-12-30.zip", "BTCUSDT-1m-2025-12-31.zip"]),
        (None, ["BTCUSDT-1m-2026-01-01.zip", "BTCUSDT-1m-2026-01-02.zip"]),
    ]


def test_paths_are_the_published_ones_with_names_escaped():
    (plan,) = plan_klines(UM, "15m", parse_iso("2025-06-01"), parse_iso("2025-07-01"))
    assert plan.month.path == "data/futures/um/monthly/klines/BTCUSDT/15m/BTCUSDT-15m-2025-06.zip"
    assert plan.month.member == "BTCUSDT-15m-2025-06.csv"
    assert plan.month.span == (parse_iso("2025-06-01"), parse_iso("2025-07-01"))
    assert plan.days[0].path == "data/futures/um/daily/klines/BTCUSDT/15m/BTCUSDT-15m-2025-06-01.zip"
    (spot,) = plan_klines(SPOT, "1m", parse_iso("2025-06-01"), parse_iso("2025-06-02"))
    escaped = "%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT"
    assert spot.days[0].path == f"data/spot/daily/klines/{escaped}/1m/{escaped}-1m-2025-06-01.zip"


def test_funding_has_whole_months_only():
    (file,) = plan_funding(UM, parse_iso("2025-06-10"), parse_iso("2025-07-10"))
    assert file.path == "data/futures/um/monthly/fundingRate/BTCUSDT/BTCUSDT-fundingRate-2025-06.zip"


def test_nothing_is_planned_for_a_part_of_one_day():
    (plan,) = plan_klines(UM, "1m", parse_iso("2025-06-10T01:00:00Z"), parse_iso("2025-06-10T09:00:00Z"))
    assert (plan.month, plan.days) == (None, ())


INSTANTS = st.integers(parse_iso("2019-01-01"), parse_iso("2027-01-01"))


@given(INSTANTS, st.integers(0, 400 * DAY_MS))
def test_no_planned_file_reaches_past_the_end_and_whole_days_are_planned_once(start, length):
    end = start + length
    plans = plan_klines(UM, "1m", start, end)
    files = [file for plan in plans for file in (plan.month, *plan.days) if file]
    assert all(file.span[1] <= end for file in files)
    days = [day.span for plan in plans for day in plan.days]
    assert days == sorted(set(days))
    holes = uncovered(start, end, days)
    assert sum(high - low for low, high in holes) <= 2 * DAY_MS


@given(
    st.integers(0, 50),
    st.integers(0, 50),
    st.lists(st.tuples(st.integers(-5, 55), st.integers(0, 20)).map(lambda s: (s[0], s[0] + s[1])), max_size=6),
)
def test_uncovered_is_exactly_what_no_span_covers(start, end, spans):
    inside = {t for low, high in uncovered(start, end, spans) for t in range(low, high)}
    assert inside == {t for t in range(start, end) if not any(low <= t < high for low, high in spans)}
