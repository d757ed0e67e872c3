"""What a person sees of a night while it runs, counted from its events alone."""

import io

import pytest
from rich.console import Console

from huracan.adapters.telemetry import EVENTS
from huracan.adapters.telemetry.run_log import KEPT, RunLog
from huracan.cli.following import STEP_WORDS, Following, ended_in_words
from huracan.cli.notices import ELSEWHERE, WORDS, Notices
from huracan.cli.panel import picture
from huracan.cli.watching import PlainLines
from huracan.night.stages import STEPS

MB = 1 << 20


class Clock:
    """A clock that a test moves."""

    def __init__(self):
        self.at = 1000.0

    def __call__(self):
        return self.at


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def night(clock):
    """A night in its fifth step, with ten jobs of which none has ended."""
    told = Following(clock)
    told.event("run_started", run_id="20260302T0000-19c", horizons=("1h",), dry_run=False)
    told.event("universe_built", members=10, pairs=12, former=0, now="", source="")
    told.event("skips_counted", skips=2, cells=12)
    told.event("stage_started", step="train", number=5)
    told.event("wave_started", wave="train", jobs=10)
    return told


def start(night, *coins):
    for coin in coins:
        night.event("job_started", coin=coin, wave="train", attempt=1)


def finish(night, *coins, cached=False, peak=300 * MB):
    for coin in coins:
        night.event("job_finished", coin=coin, wave="train", seconds=1.0, peak_memory_bytes=peak, cached=cached)


def drawn(night, width, log=None):
    console = Console(file=io.StringIO(), width=width, force_terminal=False, legacy_windows=False)
    for part in picture(night, log, 512 * MB):
        console.print(part)
    return console.file.getvalue().splitlines()


def test_every_step_has_plain_words():
    assert tuple(STEP_WORDS) == STEPS


def test_the_panel_says_step_jobs_pairs_skips_and_memory(night):
    start(night, "BTC", "ETH", "SOL")
    finish(night, "BTC")
    text = "\n".join(drawn(night, 80))
    for words in ("step 5 of 9", "train and test every pair", "1 of 10 jobs", "ETH, SOL", "2 of 12 so far"):
        assert words in text
    assert "driver 512 MB, worker 300 MB" in text


def test_no_time_is_promised_before_jobs_are_measured(night, clock):
    start(night, "BTC", "ETH")
    assert night.left_s() is None
    assert "ETA after the first jobs" in "\n".join(drawn(night, 80))
    clock.at += 30.0
    finish(night, "BTC", "ETH")
    # Two at a time took half a minute each: eight more are four rounds.
    assert night.left_s() == pytest.approx(120.0)
    assert "about 2 min in this step" in "\n".join(drawn(night, 80))


def test_answers_from_the_cache_promise_nothing_about_the_others(night, clock):
    start(night, "BTC", "ETH", "SOL", "ADA")
    finish(night, "BTC", "ETH", "SOL", "ADA", cached=True)
    assert night.left_s() is None
    start(night, "DOGE")
    clock.at += 20.0
    finish(night, "DOGE")
    start(night, "XRP")
    clock.at += 20.0
    finish(night, "XRP")
    assert night.left_s() == pytest.approx(4 * 20.0 / 4)


@pytest.mark.parametrize("width", [20, 40, 80, 140])
def test_no_line_of_the_panel_is_wider_than_the_terminal_or_breaks(night, width):
    start(night, *(f"COIN{number}USDT-um" for number in range(9)))
    lines = drawn(night, width)
    assert len(lines) == 7
    assert max(map(len, lines)) <= width


def test_a_step_that_is_over_says_what_it_counted(night, clock):
    start(night, "BTC", "ETH")
    finish(night, "BTC")
    night.event("job_retried", coin="ETH", wave="train", attempt=1, code="X", error="")
    start(night, "ETH")
    night.event("job_failed", coin="ETH", wave="train", attempt=2, code="X", error="")
    night.event("skips_counted", skips=3, cells=12)
    night.event("stage_finished", step="train", number=5, seconds=61.0)
    assert ended_in_words(night.steps[-1]) == (
        "1 min 1 s, 2 jobs, 1 without a result, 1 repeated, skips so far 3 of 12"
    )
    night.event("stage_started", step="promote", number=8)
    night.event("stage_failed", step="promote", number=8, seconds=2.0, code="INTERRUPTED")
    assert ended_in_words(night.steps[-1]) == "stopped after 2.0 s: interrupted"
    assert "stopping after Ctrl-C" in "\n".join(drawn(night, 80))


def test_through_a_pipe_a_step_is_one_plain_line(night, capsys):
    night.event("stage_finished", step="train", number=5, seconds=4.0)
    PlainLines(night).event("stage_finished", step="train", number=5, seconds=4.0)
    (line,) = capsys.readouterr().err.splitlines()
    assert "step 5 of 9: train and test every pair, 4.0 s, 0 jobs" in line
    assert line.isprintable()


def test_every_warning_and_error_has_a_sentence_or_is_said_elsewhere():
    wordless = {name for name, level in EVENTS.items() if level in {"warning", "error"}} - set(WORDS) - ELSEWHERE
    assert wordless == set()
    assert set(WORDS) <= set(EVENTS)


def test_notices_are_said_once_and_many_of_a_kind_are_counted():
    notices = Notices()
    for _ in range(2):
        notices.event("root_key_unprotected", folder="/keys")
    for number in range(5):
        notices.event("job_failed", coin=f"C{number}", wave="train", code="X", error=f"broke\n{number}")
    notices.event("job_finished", coin="BTC")
    root, first, second = notices.sentences()
    assert root.startswith("the root key in /keys has no passphrase")
    assert "C0 failed" in first
    assert second.endswith("broke 1 (and 3 more of this kind, see the log)")


def test_a_demo_says_nothing_of_the_keys_it_made_for_itself():
    from huracan.cli.demo import OF_ITS_KEYS

    notices = Notices(but=OF_ITS_KEYS)
    notices.event("root_key_unprotected", folder="/demo/keys")
    notices.event("keys_created", folder="/demo/keys", trusted_root="/demo/root.json")
    notices.event("pool_frozen", pool="um-A")
    (said,) = notices.sentences()
    assert said.startswith("promotions of um-A are frozen")


def test_the_log_is_named_after_the_run_and_holds_what_was_told_before_it_opened(tmp_path):
    log = RunLog()
    log.event("metrics_served", address="http://127.0.0.1:1")
    assert log.path is None
    log.event("workdir_opened", folder=str(tmp_path), last_success_ms=None)
    log.event("run_started", run_id="20260302T0000-19c", horizons=("1h",), dry_run=False)
    log.event("run_finished", run_id="20260302T0000-19c", champions=0)
    log.close()
    (file,) = (tmp_path / "logs").iterdir()
    assert file == log.path == tmp_path / "logs" / "20260302T0000-19c.log"
    lines = file.read_text().splitlines()
    wanted = ("metrics_served", "workdir_opened", "run_started", "run_finished")
    assert all(event in line for event, line in zip(wanted, lines, strict=True))


def test_a_run_that_never_held_its_workdir_leaves_no_log(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    log = RunLog()
    log.event("run_refused", code="LOCKED", error="another run")
    log.close()
    assert log.path is None
    assert list(tmp_path.iterdir()) == []


def test_logs_of_the_last_nights_are_kept(tmp_path):
    import os

    (tmp_path / "logs").mkdir()
    for number in range(KEPT + 5):
        old = tmp_path / "logs" / f"night{number:02}.log"
        old.touch()
        os.utime(old, (number, number))
    log = RunLog()
    log.event("workdir_opened", folder=str(tmp_path), last_success_ms=None)
    log.close()
    left = sorted(file.name for file in (tmp_path / "logs").iterdir())
    assert len(left) == KEPT
    assert "night05.log" not in left
    assert f"night{KEPT + 4}.log" in left
