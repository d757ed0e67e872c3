"""The carrier of a night loses no pair and the plan survives its file."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plans import HORIZONS, make_plan
from records import done, failed, ingested, prepared

from huracan.domain.codec import from_json, to_bytes
from huracan.domain.night_records import Failed
from huracan.domain.records import Skip, SkipCode, Universe
from huracan.night.plan import NightPlan, cutoff, prepare_key, train_key
from huracan.night.state import Night

COINS = ("BTC", "ETH", "测试币", "ALFAUSDT-spot")
FAULTS = {"JOB_FAILED", "WORKER_LOST", "TIMED_OUT", "CHECKSUM", "SCHEMA", "BANNED"}


def make_night():
    universe = Universe(now_ms=0, members=(), skips=())
    return Night(run_id="r", plan=make_plan(), universe=universe, pairs=COINS)


skips = st.lists(
    st.builds(
        Skip,
        coin=st.sampled_from(COINS),
        horizon=st.sampled_from((*HORIZONS, "*")),
        step=st.integers(1, 9),
        code=st.sampled_from(SkipCode),
        reason=st.text(min_size=1, max_size=5),
    ),
    max_size=12,
)


@given(st.lists(skips, max_size=4))
def test_each_pair_and_horizon_is_skipped_once_and_the_first_reason_stands(batches):
    night, first = make_night(), {}
    for batch in batches:
        night = night.skipping(batch)
        for skip in batch:
            for horizon in HORIZONS if skip.horizon == "*" else (skip.horizon,):
                first.setdefault((skip.coin, horizon), (skip.code, skip.reason, skip.step))
    assert {(s.coin, s.horizon): (s.code, s.reason, s.step) for s in night.skips} == first
    assert len(night.skips) == len(first)


@given(skips)
def test_skipping_twice_is_skipping_once(batch):
    once = make_night().skipping(batch)
    assert once.skipping(batch) == once


@given(st.sampled_from([*SkipCode.__members__, "UNHEARD_OF", ""]), st.text(max_size=5))
def test_a_failed_job_skips_all_horizons_and_only_faults_count_as_errors(code, text):
    night = make_night().failing("BTC", Failed(code=code, error=text), 5)
    known = code if code in SkipCode.__members__ else "JOB_FAILED"
    assert {(s.coin, s.horizon) for s in night.skips} == {("BTC", horizon) for horizon in HORIZONS}
    assert {s.code for s in night.skips} == {known}
    assert {s.reason for s in night.skips} == {text or code}
    assert bool(night.errors) == (known in FAULTS)


@given(st.lists(st.booleans()))
def test_cache_hits_are_counted_over_the_whole_night(cached):
    first = [done(prepared(f"C{n}"), cached=hit, seconds_by_step={3: 0.5}) for n, hit in enumerate(cached)]
    night = make_night().counting(first, members=[outcome.coin for outcome in first])
    night = night.counting([done(prepared("X"), cached=True), done(prepared("DEAD"), cached=True)], members=["X"])
    assert night.cache == (sum(cached) + 1, len(cached) + 1)
    assert night.job_seconds == ({3: 0.5 * len(cached)} if cached else {})


def test_what_jobs_moved_out_of_the_lake_is_known_by_coin_over_all_waves():
    waves = (done(ingested("A"), quarantined=("a",)), done(prepared("A"), quarantined=("b", "c")), failed("B", "DATA"))
    night = make_night().counting(waves, members=())
    assert night.quarantined == {"A": ("a", "b", "c")}


def test_a_plan_survives_its_json_to_the_last_bit():
    plan = make_plan()
    again = from_json(NightPlan, json.loads(to_bytes(plan)))
    assert again == plan
    assert to_bytes(again) == to_bytes(plan)
    assert again.recipes[0].id == plan.recipes[0].id


@given(st.integers(0, 2**41), st.sampled_from((15, 60)))
def test_the_cut_off_is_the_last_decision_time_at_or_before_now(now, minutes):
    at = cutoff(now, minutes)
    assert at % (minutes * 60_000) == 0
    assert 0 <= now - at < minutes * 60_000


def test_a_plan_knows_its_members_its_first_bar_and_its_last_whole_day():
    plan = make_plan()
    assert plan.member("BTC").instrument.symbol == "BTCUSDT"
    with pytest.raises(KeyError, match="DOGE"):
        plan.member("DOGE")
    day = 86_400_000
    assert plan.end_day == plan.cutoff_ms // day
    assert plan.start_ms == (plan.end_day - plan.history_days) * day


@pytest.mark.parametrize(
    "change",
    [{"code_hash": "d"}, {"horizons": ("1h",)}, {"leak_exempt": ()}, {"cutoff_ms": 1_774_994_400_000}],
)
def test_what_changes_features_or_labels_changes_the_key_of_their_artefacts(change):
    keys = {
        prepare_key(plan, "BTCUSDT-um", "data", "context", (2.0, "book")) for plan in (make_plan(), make_plan(**change))
    }
    assert len(keys) == 2


def test_data_context_spread_prior_and_seed_are_part_of_the_keys():
    plan = make_plan()
    arguments = ("BTCUSDT-um", "data", "context", (2.0, "book"))
    other = [
        ("ETHUSDT-um", *arguments[1:]),
        ("BTCUSDT-um", "new", "context", (2.0, "book")),
        (*arguments[:2], "", (2.0, "book")),
    ]
    keys = {
        prepare_key(plan, *given)
        for given in (arguments, *other, (*arguments[:3], (None, "book")), (*arguments[:3], (2.0, "tier")))
    }
    assert len(keys) == 6
    trained = {train_key(plan, "k", "p"), train_key(plan, "k", "q"), train_key(make_plan(seed=8), "k", "p")}
    assert len(trained) == 3
    assert prepare_key(make_plan(seed=8), *arguments) in keys
