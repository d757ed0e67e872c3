"""Old data, old sets and a clock that was set back close entries; a position that is held is answered all the same."""

import json

import numpy as np
import pytest
from sizes import FULL

from huracan.domain.bundle import Manifest
from huracan.errors import BundleFormatError, ModelLoadError
from huracan.hamilton.clock import TOLERANCE_MS, VALID_MS

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
EDGES = (SECOND, 299 * SECOND, 300 * SECOND, 301 * SECOND, HOUR, DAY, 30 * DAY)
STEPS = (*EDGES, *np.geomspace(SECOND, 30 * DAY, 300).astype(int).tolist()) if FULL else EDGES


def wants_to_trade(factory, hamilton):
    return next(
        given
        for seed in range(500)
        if hamilton.predict("BTC", "1h", given := factory.features(seed)).direction != "hold"
    )


@pytest.fixture
def given(world, factory):
    world.publish(factory.bundle())
    return wants_to_trade(factory, world.hamilton(state_dir=world.folder / "elsewhere"))


def closed_for(result, fresh, code):
    """No new entry for this reason; the numbers that answer an exit are those of a fresh prediction."""
    assert (result.direction, result.position_fraction, result.entries_open) == ("hold", 0.0, False)
    assert code in result.blocked_codes
    assert f"{code}: " in result.blocked_reason
    assert (result.score, result.edge_bps, result.votes) == (fresh.score, fresh.edge_bps, fresh.votes)
    return True


# Data past their time


@pytest.mark.guarantee("H8")
@pytest.mark.parametrize("age_days", [2, 3, 210])
def test_a_set_signed_today_from_old_data_is_stale_and_closed(world, factory, given, age_days, counted):
    fresh = world.hamilton(state_dir=world.folder / "elsewhere").predict("BTC", "1h", given)
    world.now = factory.NOW + age_days * DAY
    world.publish(factory.bundle())
    for reader in (world.hamilton(), world.hamilton()):
        result = reader.predict("BTC", "1h", given)
        assert closed_for(result, fresh, "STALE")
        assert result.stale
        assert result.blocked_codes == ("STALE",)
        assert "data were good until 2027-01-17T06:00:00Z" in result.blocked_reason
        counted()
    _, metadata = reader.load_model("BTC", "1h")
    assert metadata.valid_until == result.valid_until == factory.CUTOFF + 48 * HOUR < world.now


@pytest.mark.guarantee("H8")
def test_data_are_good_until_the_last_millisecond_of_their_time(world, factory, given):
    hamilton = world.hamilton()
    world.now = factory.CUTOFF + 40 * HOUR
    world.publish(factory.bundle())
    world.now = factory.CUTOFF + VALID_MS
    assert hamilton.predict("BTC", "1h", given).entries_open
    world.now += 1
    assert hamilton.predict("BTC", "1h", given).blocked_codes == ("STALE",)


def test_instants_that_no_calendar_knows_are_refused(factory):
    manifest = json.loads(factory.bundle().manifest.to_bytes())
    for wrong in (-1, 10**18, 1.5, None):
        with pytest.raises(BundleFormatError):
            Manifest.from_bytes(json.dumps({**manifest, "data_cutoff_ms": wrong}).encode())


# The clock


@pytest.mark.guarantee("H8")
def test_a_clock_that_goes_back_closes_entries_until_it_is_right_again(world, factory, given, counted):
    later = factory.NOW + 20 * HOUR
    for number, step in enumerate(STEPS):
        state = world.folder / f"state-{number}"
        world.now = later
        hamilton = world.hamilton(state_dir=state)
        fresh = hamilton.predict("BTC", "1h", given)
        assert fresh.entries_open
        world.now = later - step
        for reader in (hamilton, world.hamilton(state_dir=state)):  # in the same process, and after a restart
            result = reader.predict("BTC", "1h", given)
            if step > TOLERANCE_MS:
                assert closed_for(result, fresh, "CLOCK")
                assert str(state) in result.blocked_reason or "was signed at" in result.blocked_reason
            else:
                assert result == fresh
            counted()
        world.now = later
        assert reader.predict("BTC", "1h", given) == fresh


@pytest.mark.guarantee("H8")
def test_a_clock_that_goes_ahead_closes_what_is_too_old_by_it(world, factory, given, counted):
    for number, step in enumerate(STEPS):
        world.now = factory.NOW + step
        result = world.hamilton(state_dir=world.folder / f"state-{number}").predict("BTC", "1h", given)
        assert result.entries_open is (world.now <= factory.CUTOFF + VALID_MS)
        assert result.blocked_codes == (() if result.entries_open else ("STALE",))
        counted()


def test_a_step_ahead_that_was_wrong_is_remembered_until_its_file_is_removed(world, factory, given):
    world.now = factory.NOW + 30 * DAY
    world.hamilton().predict("BTC", "1h", given)
    world.now = factory.NOW + HOUR
    result = world.hamilton().predict("BTC", "1h", given)
    assert result.blocked_codes == ("CLOCK",)
    (kept,) = (world.folder / "state").rglob("clock.json")
    assert str(kept) in result.blocked_reason
    kept.unlink()
    assert world.hamilton().predict("BTC", "1h", given).entries_open


def test_a_clock_behind_the_time_of_signing_is_behind_on_a_new_host_too(world, factory, given):
    world.now = factory.NOW - 2 * HOUR
    result = world.hamilton().predict("BTC", "1h", given)
    assert result.blocked_codes == ("CLOCK",)
    assert "the set was signed at 2027-01-15T08:00:00Z" in result.blocked_reason
    world.now = factory.NOW - TOLERANCE_MS
    assert world.hamilton().predict("BTC", "1h", given).entries_open


def test_a_replay_of_the_past_is_judged_by_the_clock_it_is_given(world, factory):
    world.now = factory.NOW + 210 * DAY
    world.publish(factory.bundle())
    world.now = factory.NOW
    hamilton = world.hamilton()
    assert hamilton.predict("BTC", "1h", wants_to_trade(factory, hamilton)).entries_open


@pytest.mark.guarantee("H8")
def test_a_restart_forgets_a_minute_at_most(world, factory, given):
    hamilton = world.hamilton()
    for minute in range(0, 200, 3):
        world.now = factory.NOW + minute * MINUTE
        hamilton._fresh_until_ns = 0
        hamilton.predict("BTC", "1h", given)
    seen = world.now
    world.now = seen - TOLERANCE_MS - MINUTE - 1
    assert world.hamilton().predict("BTC", "1h", given).blocked_codes == ("CLOCK",)


def test_a_state_folder_that_cannot_be_used_any_more_is_told_and_does_not_stop_predictions(
    world, factory, given, caplog
):
    hamilton = world.hamilton()
    hamilton.predict("BTC", "1h", given)
    (folder,) = (path.parent for path in (world.folder / "state").rglob("clock.json"))
    (folder / "clock.json").unlink()
    (folder / "clock.json").mkdir()
    world.now += HOUR
    hamilton._fresh_until_ns = 0
    assert hamilton.predict("BTC", "1h", given).entries_open
    assert "clock_not_kept" in caplog.text
    world.now -= HOUR
    assert hamilton.predict("BTC", "1h", given).blocked_codes == ("CLOCK",)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"newest_ms": "x"}', b'{"newest_ms": true}', b"\0"])
def test_a_damaged_file_of_the_clock_is_refused_in_words(world, factory, given, content):
    world.hamilton().predict("BTC", "1h", given)
    (kept,) = (world.folder / "state").rglob("clock.json")
    kept.write_bytes(content)
    with pytest.raises(ModelLoadError, match="damaged"):
        world.hamilton().predict("BTC", "1h", given)
