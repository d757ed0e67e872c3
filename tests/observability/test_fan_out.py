"""Many listeners: everybody hears everything, nobody can hurt the night."""

import pytest

from huracan.adapters.telemetry import FanOut, RecordingTelemetry, SilentTelemetry


class Broken(SilentTelemetry):
    def event(self, name, **fields):
        raise OSError("disk full")

    def progress(self, stage, done, total):
        raise ZeroDivisionError


def test_everybody_hears_facts_and_progress_in_order():
    first, second = RecordingTelemetry(), RecordingTelemetry()
    both = FanOut({"a": first, "b": second})
    both.event("universe_built", members=1)
    both.progress("train", 1, 2)
    assert first.events == second.events == [("universe_built", {"members": 1})]
    assert first.stages == second.stages == [("train", 1, 2)]


def test_what_names_the_run_is_on_everything_told_after_its_start():
    heard = RecordingTelemetry()
    telemetry = FanOut({"log": heard})
    telemetry.event("workdir_opened", folder="w")
    telemetry.event("run_started", run_id="r1", dry_run=False)
    telemetry.event("job_started", coin="BTC")
    telemetry.event("run_finished", run_id="r1")
    assert heard.events == [
        ("workdir_opened", {"folder": "w"}),
        ("run_started", {"run_id": "r1", "dry_run": False}),
        ("job_started", {"run_id": "r1", "coin": "BTC"}),
        ("run_finished", {"run_id": "r1"}),
    ]


def test_a_listener_that_fails_is_reported_once_and_the_others_hear_on():
    heard, after = RecordingTelemetry(), RecordingTelemetry()
    telemetry = FanOut({"before": heard, "metrics": Broken(), "after": after})
    for _ in range(3):
        telemetry.event("run_finished")
    telemetry.progress("train", 1, 2)
    report = ("telemetry_failed", {"listener": "metrics", "error": "OSError: disk full"})
    assert heard.events == [("run_finished", {}), report, ("run_finished", {}), ("run_finished", {})]
    assert after.events == heard.events
    assert after.stages == [("train", 1, 2)]


def test_if_everybody_fails_the_night_goes_on():
    telemetry = FanOut({"a": Broken(), "b": Broken()})
    telemetry.event("run_started", run_id="r")
    telemetry.progress("train", 1, 2)


def test_only_exceptions_are_kept_from_the_night():
    class Ended(SilentTelemetry):
        def event(self, name, **fields):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        FanOut({"a": Ended()}).event("run_finished")
