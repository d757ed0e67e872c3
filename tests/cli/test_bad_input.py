"""What a command line or a configuration can get wrong: status 2 (or 3, 4), the words that help, one JSON object."""

import json
import socket

import pytest

from huracan.cli import night
from huracan.cli.output import number, plain
from huracan.errors import (
    BackendError,
    ConfigError,
    DataError,
    DiskFullError,
    FencedError,
    HuracanError,
    LockedError,
    ModelLoadError,
    PublishError,
)

pytestmark = pytest.mark.slow

NOTHING_LISTENS = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _own_place(own_trust, monkeypatch):
    monkeypatch.chdir(own_trust)


BAD_LINES = {
    "unknown option": (("run", "--nope"), 2, "USAGE", "--nope"),
    "no number": (("run", "--max-coins", "many"), 2, "USAGE", "--max-coins"),
    "missing argument": (("predict", "BTC"), 2, "USAGE", "horizon"),
    "too few days": (("demo", "--days", "3"), 2, "USAGE", "70"),
    "unknown world of the demo": (("demo", "--world", "moon"), 2, "CONFIG", "demo, null"),
    "unknown world": (("exchange", "serve", "--world", "moon"), 2, "CONFIG", "demo, null, skewed"),
    "no market": (("exchange", "serve"), 2, "CONFIG", "exactly one"),
    "two markets": (("exchange", "serve", "--world", "null", "--candles", "."), 2, "CONFIG", "exactly one"),
    "unknown key": (("run", "--set", "training.lookback=90"), 2, "CONFIG", "did you mean 'training.lookback_days'"),
    "no key": (("run", "--set", "nonsense"), 2, "CONFIG", "section.key=value"),
    "value out of range": (("run", "--set", "training.lookback_days=3"), 2, "CONFIG", "lookback_days"),
    "unknown backend": (("run", "--backend", "spark"), 2, "CONFIG", "asyncio"),
    "the last day there is": (
        ("lake", "fill", "--from", "2020-01-01", "--to", "9999-12-31"),
        2,
        "CONFIG",
        "9999-12-31",
    ),
    "no moment": (("run", "--as-of", "yesterday"), 2, "CONFIG", "yesterday"),
    "a moment past the calendar": (("run", "--as-of", "9999-12-31T23:59:59-12:00"), 2, "CONFIG", "ISO 8601"),
    "a moment before the calendar": (("run", "--as-of", "0001-01-01T00:00:00+12:00"), 2, "CONFIG", "ISO 8601"),
    "a moment of the far future": (("run", "--as-of", "9999-12-31"), 2, "CONFIG", "2200-01-01"),
    "a moment before any market": (("run", "--as-of", "1969-07-20"), 2, "CONFIG", "2017-07-14, when Binance opened"),
    "a day past the calendar": (("lake", "fill", "--to", "9999-12-31T23:59:59-12:00"), 2, "CONFIG", "ISO 8601"),
    "no such file": (("run", "--config", "absent.yaml"), 2, "CONFIG", "absent.yaml"),
    "no store": (("champions", "list", "--store", "nowhere"), 2, "CONFIG", "nothing was published there"),
    "no store to verify": (("champions", "verify", "--store", "nowhere"), 2, "CONFIG", "nowhere"),
    "no night": (("explain", "BTC", "--workdir", "nowhere"), 2, "CONFIG", "run a night first"),
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_a_bad_command_line_is_told_as_json_and_in_words(huracan, name):
    line, status, code, words = BAD_LINES[name]
    answer = huracan(*line, "--json")
    assert answer.status == status
    assert answer.json["success"] is False
    assert answer.json["code"] == code
    assert words in answer.json["error"]
    assert words in answer.err

    spoken = huracan(*line)
    assert (spoken.status, spoken.out) == (status, "")
    assert words in spoken.err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("training:\n  seed: 1\n  lookback: 3\n", "line 3: unknown key 'training.lookback'"),
        ("training:\n  seed: 1\n  seed: 2\n", "given twice, on lines 2 and 3"),
        ("trainings:\n  seed: 1\n", "line 1: unknown section 'trainings'"),
        ("training: [\n", "is not YAML"),
    ],
)
def test_a_bad_configuration_names_key_and_line(huracan, tmp_path, text, words):
    file = tmp_path / "night.yaml"
    file.write_text(text, encoding="utf-8")
    answer = huracan("run", "--config", file, "--json")
    assert (answer.status, answer.json["code"]) == (2, "CONFIG")
    assert words in answer.json["error"]


def test_an_exchange_that_does_not_answer_is_refused_data(huracan, tmp_path):
    urls = [f"--set=binance.{name}_url={NOTHING_LISTENS}" for name in ("rest", "futures", "archive")]
    urls.append("--set=binance.total_timeout_s=1")
    answer = huracan("run", "--workdir", tmp_path / "work", *urls, "--json")
    assert (answer.status, answer.json["code"]) == (3, "UPSTREAM")
    assert answer.json["champions"] == {}
    spoken = huracan("run", "--workdir", tmp_path / "work", *urls)
    assert spoken.status == 3
    assert spoken.out.startswith("report ")  # a refused night leaves a page
    assert "UPSTREAM: " in spoken.err
    assert "check the network, binance.rest_url and binance.futures_url; `huracan doctor` tries them" in spoken.err


def test_a_taken_port_is_a_usage_error(huracan):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        answer = huracan(
            "exchange", "serve", "--world", "null", "--coins", "1", "--days", "2", "--port", port, "--json"
        )
    assert (answer.status, answer.json["code"]) == (2, "CONFIG")
    assert str(port) in answer.json["error"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConfigError, 2),
        (DataError, 3),
        (BackendError, 4),
        (PublishError, 5),
        (DiskFullError, 5),
        (LockedError, 6),
        (FencedError, 6),
        (ModelLoadError, 1),
        (HuracanError, 1),
    ],
)
def test_each_reason_of_a_failed_night_has_its_exit_status(huracan, monkeypatch, tmp_path, error, status):
    from huracan.app.results import failure

    monkeypatch.setattr(night, "execute", lambda config, **_: failure(config, error("the reason"), 0.5))
    told = huracan("run", "--workdir", tmp_path, "--json")
    assert (told.status, told.json["success"], told.json["code"]) == (status, False, error.code)
    assert "the reason" in told.json["error"]
    assert "exception" not in told.json
    spoken = huracan("run", "--workdir", tmp_path)
    assert (spoken.status, spoken.out) == (status, "")
    assert "the reason" in spoken.err


def test_a_fault_of_ours_is_an_object_on_stdout_and_still_a_traceback(huracan, monkeypatch, tmp_path, capsys):
    def broken(config, **_):
        raise ZeroDivisionError("of ours")

    from huracan.cli.main import main

    monkeypatch.setattr(night, "execute", broken)
    with pytest.raises(ZeroDivisionError):
        main(["run", "--workdir", str(tmp_path), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told == {"success": False, "code": "UNEXPECTED", "error": "ZeroDivisionError: of ours"}


def test_json_has_no_nan_and_names_what_it_does_not_know():
    import numpy as np

    assert plain({1: (float("nan"), np.float64(2.5), np.int64(3)), "kind": {LockedError}}) == {
        "1": [None, 2.5, 3],
        "kind": [str(LockedError)],
    }


def test_a_cell_without_a_number_is_a_dash():
    assert [number(value) for value in (None, float("inf"), 1234.56, "text")] == ["–", "–", "1,234.6", "text"]
