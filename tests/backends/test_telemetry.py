"""Telemetry: one line a fact, bounded names, no secrets."""

import base64
import json

import numpy as np
import pytest

from huracan.adapters.telemetry import (
    EVENTS,
    RecordingTelemetry,
    SilentTelemetry,
    StructlogTelemetry,
    redact,
    secrets_in,
)


def lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_an_event_is_one_json_line_on_stderr(capsys):
    StructlogTelemetry(secrets=()).event("universe_built", members=3, now="2026-01-01")
    out, err = capsys.readouterr()
    (line,) = lines(err)
    assert out == ""
    assert {k: line[k] for k in ("event", "level", "members", "now")} == {
        "event": "universe_built", "level": "info", "members": 3, "now": "2026-01-01",
    }  # fmt: skip
    assert line["timestamp"].endswith("Z")


def test_bound_fields_are_on_every_event_and_only_there(capsys):
    telemetry = StructlogTelemetry(secrets=())
    bound = telemetry.bind(run_id="r1").bind(coin="BTC", horizon="1h")
    bound.event("pair_trained", engine="trend")
    telemetry.event("run_finished")
    first, second = lines(capsys.readouterr().err)
    assert (first["run_id"], first["coin"], first["horizon"], first["engine"]) == ("r1", "BTC", "1h", "trend")
    assert "run_id" not in second


def test_values_json_cannot_hold_never_break_a_line(capsys):
    StructlogTelemetry(secrets=()).event(
        "recipe_scored", nan=float("nan"), inf=[np.float64("inf")], one=np.int64(1), nested={"a": (float("-inf"), 2.5)}, who=ValueError("x")
    )  # fmt: skip
    (line,) = lines(capsys.readouterr().err)
    assert (line["nan"], line["inf"], line["one"], line["nested"], line["who"]) == (
        None,
        [None],
        1,
        {"a": [None, 2.5]},
        "x",
    )


def test_failures_are_errors_and_repairs_are_information(capsys):
    telemetry = StructlogTelemetry(secrets=())
    for name in ("worker_lost", "bars_repaired", "decision_made"):
        telemetry.event(name)
    seen = {line["event"]: line["level"] for line in lines(capsys.readouterr().err)}
    assert seen == {"worker_lost": "error", "bars_repaired": "info"}


def test_debug_events_appear_when_asked_for(capsys):
    StructlogTelemetry(secrets=(), level="debug").event("decision_made", coin="BTC")
    assert lines(capsys.readouterr().err)[0]["level"] == "debug"


def test_lines_are_appended_to_a_file(tmp_path, capsys):
    file = tmp_path / "logs" / "run.jsonl"
    for number in range(2):
        telemetry = StructlogTelemetry(file=file, secrets=())
        telemetry.event("run_started", number=number)
        telemetry.close()
    assert [line["number"] for line in lines(file.read_text())] == [0, 1]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("as_json", [True, False])
def test_no_form_of_a_secret_reaches_a_line(capsys, monkeypatch, as_json):
    secret = 'sl.u"7\\+canary/ü'
    monkeypatch.setenv("DROPBOX_ACCESS_TOKEN", secret)
    data = secret.encode()
    telemetry = StructlogTelemetry(as_json=as_json).bind(bound=secret)
    telemetry.event(
        "run_refused",
        error=f"401 for Bearer {secret}!",
        nested={"header": [secret]},
        coded=base64.b64encode(data).decode(),
        hexed=data.hex(),
        basic=base64.b64encode(b"user:" + data + b"@").decode(),
        url=f"https://x/?t={'sl.u%227%5C%2Bcanary%2F%C3%BC'}",
        shown=ValueError(secret),
    )
    text = capsys.readouterr().err
    assert "[redacted]" in text
    for form in (
        secret,
        "canary",
        data.hex(),
        base64.b64encode(data)[:-4].decode(),
        base64.b64encode(b"user:" + data)[8:-4].decode(),
    ):
        assert form not in text


def test_secrets_are_found_by_the_names_of_variables():
    environ = {"DROPBOX_APP_KEY": "k", "MY_PASSWORD": "p", "HURACAN_ROOT_PASSPHRASE": "r", "HOME": "h"}
    assert set(secrets_in(environ)) == {"k", "p", "r"}


def test_a_secret_too_short_to_be_one_garbles_nothing():
    assert redact("a banana", ["a"]) == "a banana"


def test_a_terminal_gets_readable_lines(capsys):
    StructlogTelemetry(as_json=False, secrets=()).event("champion_promoted", coin="BTC", edge_bps=7.5)
    text = capsys.readouterr().err
    assert "champion_promoted" in text
    assert "coin=BTC" in text
    assert not text.startswith("{")


def test_progress_is_shown_on_request_and_silent_otherwise(capsys):
    shown, hidden = StructlogTelemetry(progress=True, secrets=()), StructlogTelemetry(secrets=())
    for done in range(3):
        shown.progress("train", done + 1, 3)
        hidden.progress("ingest", done + 1, 3)
    shown.close()
    hidden.close()
    text = capsys.readouterr().err
    assert "train" in text
    assert "3/3" in text
    assert "ingest" not in text


def test_the_recorder_keeps_facts_and_refuses_unlisted_names():
    telemetry = RecordingTelemetry()
    telemetry.event("champion_promoted", coin="BTC")
    telemetry.event("worker_lost", pid=1)
    telemetry.progress("train", 1, 2)
    assert telemetry.named("champion_promoted") == [{"coin": "BTC"}]
    assert telemetry.at_level("warning", "error") == [("worker_lost", {"pid": 1})]
    assert telemetry.stages == [("train", 1, 2)]
    with pytest.raises(ValueError, match="'promoting' is not listed"):
        telemetry.event("promoting")


def test_silence_says_nothing(capsys):
    telemetry = SilentTelemetry()
    telemetry.event("run_started")
    telemetry.progress("train", 1, 2)
    assert capsys.readouterr() == ("", "")


def test_event_names_are_snake_case_facts():
    assert all(name == name.lower() and name.replace("_", "").isalpha() for name in EVENTS)
    assert list(EVENTS) == sorted(EVENTS)
