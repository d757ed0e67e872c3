"""The budget keeps every window under its limit, obeys pauses, and is silent while banned."""

import asyncio
import json
import sqlite3
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.adapters.binance.budget import LIMITS, WeightBudget
from huracan.adapters.binance.retries import asked_seconds
from huracan.errors import BannedError, ConfigError, DiskFullError


async def test_a_window_never_holds_more_than_its_share(make_budget):
    budget = make_budget(limits={"um": (100, 60.0)}, share=0.5)
    sent = []
    for _ in range(40):
        await budget.spend("um", 7)
        sent.append(budget.elapsed[0])
    for when in sent:
        assert 7 * sum(when - 60 < other <= when for other in sent) <= 50


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 40), st.floats(0, 30)), max_size=40))
async def test_any_traffic_stays_below_the_limit(traffic):
    now = [0.0]

    async def sleep(seconds):
        assert seconds > 0
        now[0] += seconds

    budget = WeightBudget({"spot": (50, 60.0)}, share=1.0, clock=lambda: now[0], sleep=sleep)
    sent = []
    for weight, pause in traffic:
        now[0] += pause
        await budget.spend("spot", weight)
        sent.append((now[0], weight))
    for when, _ in sent:
        assert sum(weight for other, weight in sent if when - 60 < other <= when) <= 50


async def test_a_request_heavier_than_the_limit_goes_alone(make_budget):
    budget = make_budget(limits={"um": (10, 60.0)})
    await budget.spend("um", 40)
    await budget.spend("um", 1)
    assert budget.elapsed[0] == 60.0


async def test_hosts_without_a_limit_never_wait(make_budget):
    budget = make_budget()
    for _ in range(10_000):
        await budget.spend("archive", 1)
    budget.observe("archive", 10**9)
    assert budget.elapsed[0] == 0.0


async def test_the_count_of_the_exchange_is_believed_when_larger(make_budget):
    budget = make_budget(limits={"um": (100, 60.0)}, share=1.0)
    await budget.spend("um", 5)
    budget.observe("um", 99)
    budget.observe("um", 3)
    await budget.spend("um", 2)
    assert budget.elapsed[0] == 60.0


async def test_a_pause_delays_its_pool_alone_and_a_shorter_one_does_not_end_it(make_budget):
    budget = make_budget()
    budget.pause("um", 20)
    budget.pause("um", 5)
    await budget.spend("spot", 1)
    assert budget.elapsed[0] == 0.0
    await budget.spend("um", 1)
    assert budget.elapsed[0] == 20.0


async def test_after_a_ban_every_pool_refuses_and_says_until_when(make_budget):
    budget = make_budget()
    error = budget.ban(120)
    for pool in (*LIMITS, "archive"):
        with pytest.raises(BannedError, match="418") as caught:
            await budget.spend(pool, 1)
        assert caught.value.until_ms == error.until_ms
    assert budget.ban(1).until_ms == error.until_ms


async def test_a_ban_that_is_over_is_over(make_budget):
    budget = make_budget()
    budget.ban(-1)
    await budget.spend("spot", 1)


SPENDER = """
import asyncio, json, sys, time
from pathlib import Path
from huracan.adapters.binance.budget import WeightBudget

async def main():
    budget = WeightBudget({"um": (12, 1.0)}, share=1.0, file=Path(sys.argv[1]), scope="x")
    sent = []
    for _ in range(10):
        await budget.spend("um", 2)
        sent.append(time.time())
    print(json.dumps(sent))

asyncio.run(main())
"""


@pytest.mark.slow
def test_processes_that_share_a_file_stay_below_the_limit_together(tmp_path):
    line = [sys.executable, "-c", SPENDER, str(tmp_path / "budget.sqlite")]
    spenders = [subprocess.Popen(line, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    sent = sorted(when for spender in spenders for when in json.loads(spender.communicate(timeout=60)[0]))
    assert len(sent) == 30
    # A moment is taken just after its booking, so a window may seem to hold one request more than was booked in it.
    assert max(sum(when - 0.9 < other <= when for other in sent) for when in sent) <= 7
    assert sent[-1] - sent[0] >= 3.5


async def test_a_ban_outlives_its_process_and_is_its_exchange_s_alone(tmp_path):
    file = tmp_path / "state" / "budget.sqlite"
    first = WeightBudget(file=file, scope="one")
    error = first.ban(300)
    first.close()
    again, other = WeightBudget(file=file, scope="one"), WeightBudget(file=file, scope="two")
    with pytest.raises(BannedError) as caught:
        await again.spend("archive", 1)
    assert caught.value.until_ms == error.until_ms
    assert error.until_ms > time.time() * 1000
    await other.spend("spot", 1)
    assert (file.stat().st_mode & 0o077, file.parent.stat().st_mode & 0o077) == (0, 0)
    again.close()
    other.close()


async def test_a_clock_that_was_set_back_delays_by_one_window_at_most(make_budget):
    budget = make_budget(limits={"um": (10, 60.0)}, share=1.0)
    budget.elapsed[0] = 10_000.0
    await budget.spend("um", 10)
    budget.elapsed[0] = 100.0
    await budget.spend("um", 1)
    assert budget.elapsed[0] == 160.0


def test_a_file_that_is_no_budget_is_told_and_left_alone(tmp_path):
    file = tmp_path / "budget.sqlite"
    file.write_bytes(b"something else entirely, long enough to be read as a page" * 50)
    before = file.read_bytes()
    with pytest.raises(ConfigError, match=r"budget\.sqlite cannot be used .*not a database"):
        WeightBudget(file=file)
    assert file.read_bytes() == before


async def test_two_tasks_that_wait_for_one_budget_take_turns(make_budget):
    budget = make_budget(limits={"um": (10, 60.0)}, share=1.0)
    await asyncio.gather(*(budget.spend("um", 10) for _ in range(3)))
    assert budget.elapsed[0] >= 120.0


async def test_a_disk_that_fills_up_is_told_as_such_and_the_budget_goes_on_afterwards(tmp_path):
    budget = WeightBudget({"um": (10**9, 3600.0)}, file=tmp_path / "budget.sqlite")
    pages = budget._table.execute("PRAGMA page_count").fetchone()[0]
    budget._table.execute(f"PRAGMA max_page_count = {pages + 1}")

    async def spend_all():
        for _ in range(2000):
            await budget.spend("um", 1)

    with pytest.raises(DiskFullError, match="free some space"):
        await spend_all()
    budget._table.execute("PRAGMA max_page_count = 100000")
    await budget.spend("um", 1)
    budget.close()


def test_a_journal_that_cannot_be_made_in_a_folder_of_ours_is_a_full_disk(tmp_path):
    file = tmp_path / "budget.sqlite"
    (tmp_path / "budget.sqlite-journal").mkdir()
    with pytest.raises(DiskFullError, match="unable to open"):
        WeightBudget(file=file)


async def test_no_ban_lasts_longer_than_the_three_days_that_are_published(make_budget, tmp_path):
    budget = make_budget(file=tmp_path / "budget")
    error = budget.ban(9_999_999)
    assert error.until_ms == round((budget.elapsed[0] + 3 * 86_400) * 1000)
    assert "1970-01-04T00:00:00" in str(error)
    assert budget.pause("um", 9_999_999) == 3_600


async def test_a_ban_of_an_earlier_release_or_of_another_clock_ends_within_three_days(tmp_path):
    now, file = [1_000_000.0], tmp_path / "budget"

    def opened():
        return WeightBudget(file=file, clock=lambda: now[0])

    opened().close()
    with sqlite3.connect(file) as table:
        table.execute("INSERT INTO closed VALUES ('/ban', 99999999999)")
        table.execute("INSERT INTO closed VALUES ('/um', 99999999999)")
    table.close()
    for days in (0.0, 1.0, 2.9):
        now[0] = 1_000_000 + days * 86_400
        with pytest.raises(BannedError) as caught:
            opened().check_ban()
        assert caught.value.until_ms == (1_000_000 + 3 * 86_400) * 1000
    now[0] = 1_000_000 + 3 * 86_400
    opened().check_ban()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        ("1.5", 1.5),
        ("9999999999", 9_999_999_999),
        ("Sat, 28 Nov 2026 00:02:00 GMT", 120),
        ("Sat, 28 Nov 2026 00:02:00 -0000", 120),
        ("Fri, 27 Nov 2026 00:00:00 GMT", 30),
        ("0", 30),
        ("-5", 30),
        ("", 30),
        ("soon", 30),
        ("1e9", 30),
        ("inf", 30),
        ("nan", 30),
        ("٣", 30),
        ("1" * 400, 30),
        ("Sat, 99 Nov 99999 00:02:00 GMT", 30),
    ],
)
def test_a_wait_that_is_asked_for_is_read_or_the_default(header, seconds):
    sent = "Sat, 28 Nov 2026 00:00:00 GMT"
    assert asked_seconds(header, 30.0, sent=sent, now_s=0.0) == seconds


@given(st.text(), st.text())
def test_any_header_gives_a_finite_wait_above_zero(header, sent):
    assert 0 < asked_seconds(header, 30.0, sent=sent, now_s=0.0) < float("inf")
