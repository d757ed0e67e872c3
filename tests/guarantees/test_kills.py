"""kill -9 before any durable call of a night, also of the night that recovers; the start path is the recovery path."""

import pytest
from faults import needs_gate
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from invariants import Case, check_agreement, check_private, check_same_end, check_visible, served
from sizes import FULL, size

from huracan.hamilton.source import FolderSource

pytestmark = [pytest.mark.slow, needs_gate]

POINTS = 6
SEQUENCES = size(2, 500)


@pytest.fixture(scope="module")
def unbroken(nights):
    """The case that nobody disturbs, and how many durable calls it made."""
    outcome = nights.run("unbroken")
    assert outcome.status == 0, outcome.told()
    return Case(nights.folder / "unbroken"), outcome.calls


def new_set(unbroken):
    return served(FolderSource(unbroken.store), unbroken.root)


def check_killed(case, allowed):
    """What must hold right after a kill: before anybody started again."""
    check_visible(case, allowed)
    check_private(case.folder)


def check_recovered(case, unbroken):
    check_same_end(case, unbroken)
    check_agreement(case)
    check_private(case.folder)
    assert list((case.store / ".tmp").iterdir()) == []


@pytest.mark.guarantee("R1")
def test_a_night_killed_before_any_durable_call_and_started_again_ends_as_an_unbroken_one(nights, unbroken, counted):
    whole, calls = unbroken
    assert calls > 500
    end = new_set(whole)
    step = 1 if FULL else calls // POINTS
    for at in range(1 if FULL else step // 2, calls + 1, step):
        name = f"kill-{at}"
        killed = nights.run(name, {"kind": "kill", "at": at})
        # The progress file is written by the clock, so one night makes a few calls more than another.
        late = at > calls - 12 and killed.status == 0
        assert killed.killed or late, f"the night ended before durable call {at}: {killed.told()[-500:]}"
        case = Case(nights.folder / name)
        check_killed(case, [None, end])
        again = nights.run(name)
        assert again.status == 0, f"killed before call {at}, then: {again.told()[-2000:]}"
        check_recovered(case, whole)
        nights.forget(name)
        counted()


@pytest.mark.guarantee("R2")
def test_nights_killed_in_recovery_again_and_again_still_end_as_an_unbroken_one(nights, unbroken, counted):
    whole, calls = unbroken
    end = new_set(whole)

    class Kills(RuleBasedStateMachine):
        """Each step starts the night again and kills it; the teardown lets it finish."""

        numbers = iter(range(10**9))

        @initialize()
        def begin(self):
            self.name = f"kills-{next(self.numbers)}"
            self.case = Case(nights.folder / self.name)
            self.finished = False

        @rule(share=st.floats(0.0, 0.999))
        def killed_before_some_call_of_an_unbroken_night(self, share):
            # Drawn over a whole night's calls: later kills fall into recoveries, which make fewer.
            outcome = nights.run(self.name, {"kind": "kill", "at": 1 + int(share * calls)})
            assert outcome.killed or outcome.status == 0, outcome.told()[-2000:]
            check_killed(self.case, [None, end])

        def teardown(self):
            outcome = nights.run(self.name)
            assert outcome.status == 0, outcome.told()[-2000:]
            check_recovered(self.case, whole)
            nights.forget(self.name)
            counted()

    run_state_machine_as_test(
        Kills,
        settings=settings(
            max_examples=SEQUENCES,
            stateful_step_count=4,  # begin and three kills
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
