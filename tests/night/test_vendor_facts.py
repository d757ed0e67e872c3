"""What a bundle says of other sources is what the last comparison found, and never an empty list without a reason."""

from types import SimpleNamespace

from huracan.domain.time import HOUR_MS, iso
from huracan.night.bundles import vendor_comparison
from huracan.reports import integrity_report

NOW = 1_775_000_000_000


def night(checked):
    return SimpleNamespace(checked=checked, plan=SimpleNamespace(now_ms=NOW, cutoff_ms=NOW))


def comparison(instrument, against, mismatch):
    return {"instrument": instrument, "against": against, "day": "2026-03-01", "bars": 96, "mismatch": mismatch}


def check(*rows, venue="bybit", ago_ms=HOUR_MS):
    return {"checked": iso(NOW - ago_ms), "venue": venue, "comparisons": list(rows), "mismatches": []}


ROWS = (
    comparison("ADAUSDT-um", "rest", mismatch=False),
    comparison("ADAUSDT-um", "bybit", mismatch=True),
    comparison("BTCUSDT-um", "rest", mismatch=True),
)


def test_mismatches_of_the_last_comparison_are_the_instruments_own():
    told = vendor_comparison(night(check(*ROWS)), "ADAUSDT-um")
    assert told["vendor_mismatches"] == [ROWS[1]]
    assert told["vendor_check"]["compared_with"] == ["bybit", "rest"]
    assert (told["vendor_check"]["second_venue"], told["vendor_check"]["note"]) == ("bybit", "")


def test_one_that_was_not_compared_with_the_second_venue_says_so():
    told = vendor_comparison(night(check(*ROWS)), "BTCUSDT-um")
    assert told["vendor_mismatches"] == [ROWS[2]]
    assert told["vendor_check"]["second_venue"] is None
    assert "no second venue was compared" in told["vendor_check"]["note"]
    nothing = vendor_comparison(night(check(*ROWS)), "SOLUSDT-um")["vendor_check"]
    assert (nothing["compared_with"], nothing["second_venue"]) == ([], None)


def test_a_comparison_from_after_the_nights_moment_is_not_known_to_it():
    for checked in (None, check(*ROWS, ago_ms=-HOUR_MS)):
        told = vendor_comparison(night(checked), "ADAUSDT-um")
        assert told["vendor_mismatches"] == []
        assert told["vendor_check"]["checked"] is None


def test_the_report_carries_both():
    found = {
        "issues": (), "rows_in": 1, "rows_out": 1, "repaired": 0, "cut": 0, "quality": 1.0, "vendor": "binance", "counts": {},
        **vendor_comparison(night(check(*ROWS)), "ADAUSDT-um"),
    }  # fmt: skip
    shown = integrity_report("ADA", "1h", found, iso(NOW)).as_dict()
    assert shown["vendor_mismatches"] == [ROWS[1]]
    assert shown["vendor_check"]["second_venue"] == "bybit"
