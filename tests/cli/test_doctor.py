"""`huracan doctor` as a person and as a program read it."""

import io

import pytest
from nights import night_overrides, small_world
from rich.console import Console

from huracan.cli.doctor import print_findings
from huracan.operations.doctor.finding import doubtful, right, wrong
from huracan.worlds.exchange import ReplayExchange


def printed(*findings, width=80):
    out = io.StringIO()
    print_findings(findings, Console(file=out, width=width, highlight=False))
    return out.getvalue()


def test_every_finding_is_a_line_with_what_to_do_below():
    text = printed(
        right("machine", "Python", "3.11"),
        doubtful("keys", "root key", "[here]", "move it"),
        wrong("disk", "space", "full"),
    )
    assert "✓" in text
    assert "[here]" in text
    assert "→ move it" in text
    assert "CONFIG full" in text
    assert text.rstrip().endswith("1 wrong, 1 doubtful: see to these before the night")
    assert printed(right("a", "b", "c")).rstrip().endswith("All is well.")
    assert "A night can run; 1 doubtful" in printed(doubtful("a", "b", "c", "d"))


@pytest.mark.parametrize("width", [60, 80, 140])
def test_it_fits_the_terminal(width):
    text = printed(doubtful("exchange", "universe", "word " * 60, "advice " * 40), width=width)
    assert max(len(line) for line in text.splitlines()) <= width


def test_a_machine_without_anything_wrong_ends_with_status_zero(huracan, tmp_path, own_trust):
    with ReplayExchange(small_world(), stress_file=tmp_path / "stress.json") as exchange:
        sets = [part for text in night_overrides(exchange.urls) for part in ("--set", text)]
        answer = huracan("doctor", "--workdir", tmp_path / "work", "--json", *sets)
    assert answer.status == 0
    assert answer.json["success"] is True
    assert {row["area"] for row in answer.json["findings"]} == {
        "machine",
        "keys",
        "places",
        "network",
        "recipes",
        "exchange",
        "disk",
    }


def test_something_wrong_ends_with_its_status(huracan, tmp_path, own_trust):
    away = ["--set", "binance.rest_url=http://127.0.0.1:1", "--set", "binance.total_timeout_s=0.3"]
    answer = huracan("doctor", "--workdir", tmp_path / "work", *away)
    assert answer.status == 3
    assert "UPSTREAM" in answer.out
    assert answer.err == ""
