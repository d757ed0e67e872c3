"""A step is told when it begins and how it ended; its error goes on its way."""

from types import SimpleNamespace

import pytest

from huracan.adapters.telemetry import RecordingTelemetry
from huracan.errors import StaleDataError
from huracan.night.stages import STEPS, Stage


def outcome(error=None):
    heard = RecordingTelemetry()

    def step():
        with Stage(heard, 2):
            if error is not None:
                raise error

    if error is None:
        step()
    else:
        with pytest.raises(type(error)):
            step()
    (begun, begun_facts), (ended, ended_facts) = heard.events
    assert (begun, begun_facts) == ("stage_started", {"step": "ingest", "number": 2})
    assert ended_facts.pop("seconds") >= 0
    return ended, ended_facts


def test_a_step_that_ends_well_is_finished():
    assert outcome() == ("stage_finished", {"step": "ingest", "number": 2, "job_seconds": 0.0})


@pytest.mark.parametrize(("error", "code"), [(StaleDataError("old"), "STALE"), (KeyError("bug"), "KeyError")])
def test_a_step_that_fails_says_its_code(error, code):
    assert outcome(error) == ("stage_failed", {"step": "ingest", "number": 2, "job_seconds": 0.0, "code": code})


def test_there_are_nine_steps():
    assert len(set(STEPS)) == 9


def test_a_step_ends_with_the_seconds_that_jobs_worked_for_it():
    heard, night = RecordingTelemetry(), SimpleNamespace(job_seconds={2: 1.5, 3: 7.0})
    with Stage(heard, 2) as stage:
        assert stage.ending(night) is night
    assert heard.named("stage_finished")[0]["job_seconds"] == 1.5
