"""Eleven names of one coin move no evidence, and a price that somebody holds is no member: seen by a whole night."""

import asyncio
from dataclasses import replace

import polars as pl
import polars.testing
import pytest
from nights import in_this_process, night_settings, small_world, trust_variables, variables

from huracan.adapters.telemetry import RecordingTelemetry
from huracan.app import TrainingPipeline, TrainingPipelineConfig
from huracan.domain.records import SkipCode
from huracan.night.evidence.copies import copy_notes
from huracan.worlds.exchange import ReplayExchange

pytestmark = pytest.mark.slow

SIZES = {"training__base_interval": "1h", "training__lookback_days": 34, "training__num_workers": 2}
LEADER, HELD = "BRAVOUSDT-um", "ZHELDUSDT-um"
CLONES = tuple(f"ZCOPY{n:02}USDT-um" for n in range(11))


class Crowded:
    """A market that lists BRAVO under eleven more names, and once more with its price held at one."""

    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def instruments(self):
        listed = self.inner.instruments()
        own = next(item for item in listed if item.id == LEADER)
        names = [name.removesuffix("USDT-um") for name in (*CLONES, HELD)]
        added = [replace(own.instrument, symbol=f"{name}USDT", base=name, coin="") for name in names]
        return (*listed, *(replace(own, instrument=one) for one in added))

    def klines(self, id, start_ms, end_ms):  # noqa: A002
        frame = self.inner.klines(self._source(id), start_ms, end_ms)
        if id != HELD:
            return frame
        squeezed = [(1.0 + 4e-4 * pl.col(name).sin()).alias(name) for name in ("open", "close")]
        return frame.with_columns(squeezed).with_columns(
            high=pl.max_horizontal("open", "close"), low=pl.min_horizontal("open", "close")
        )

    def funding(self, id):  # noqa: A002
        return self.inner.funding(self._source(id))

    def book(self, id):  # noqa: A002
        return self.inner.book(self._source(id))

    def day(self, id):  # noqa: A002
        return self.inner.day(self._source(id))

    def _source(self, id_):
        return LEADER if id_ in {*CLONES, HELD} else id_


def judged(folder, market):
    """A night up to its verdict, and what it told."""

    async def steps(urls):
        telemetry = RecordingTelemetry()
        config = TrainingPipelineConfig.from_settings(night_settings(urls, **SIZES), workdir=folder / "workdir")
        pipeline = TrainingPipeline(config, telemetry=telemetry)
        try:
            night = await pipeline.step1_build_coin_universe()
            night = await pipeline.step2_ingest_and_validate_data(night)
            night = await pipeline.step3_generate_features(night)
            night = await pipeline.step4_label_forward_returns(night)
            night = await pipeline.step5_train_models(night)
            return await pipeline.step8_shadow_test_challengers(night), telemetry.events
        finally:
            await pipeline.aclose()

    exchange = ReplayExchange(market, stress_file=folder / "stress.json")
    with exchange, variables(trust_variables(folder)), in_this_process():
        return asyncio.run(steps(exchange.urls))


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("copies")
    world = small_world(coins=5, days=50, interval_minutes=60)
    (folder / "alone").mkdir()
    (folder / "crowded").mkdir()
    return judged(folder / "alone", world), judged(folder / "crowded", Crowded(world))


def test_the_evidence_is_that_of_the_market_without_the_copies_to_the_last_bit(nights):
    (alone, _), (crowded, _) = nights
    assert alone.dailies.keys() == crowded.dailies.keys()
    for key, daily in alone.dailies.items():
        polars.testing.assert_frame_equal(daily, crowded.dailies[key], check_exact=True)
    for one, other in zip(alone.evidence, crowded.evidence, strict=True):
        assert one == other
    assert {pool.name: pool.panel for pool in alone.pools} == {pool.name: pool.panel for pool in crowded.pools}


def test_every_copy_is_trained_and_none_is_a_champion(nights):
    crowded, events = nights[1]
    names = {name.removesuffix("USDT-um") for name in CLONES}
    assert crowded.night.copies == dict.fromkeys(sorted(names), "BRAVO")
    assert names <= set(crowded.night.trained)
    skips = [skip for skip in crowded.night.skips if skip.coin in names]
    assert {(skip.coin, skip.step, skip.code) for skip in skips} == {(name, 8, SkipCode.COPY) for name in names}
    assert all("BRAVO" in skip.reason for skip in skips)
    assert {item.champion for item in crowded.assignments if item.coin in names} == {False}
    assert {fields["leader"] for name, fields in events if name == "copy_found"} == {"BRAVO"}
    assert any("BRAVO = " in note for note in copy_notes(crowded.night))


def test_a_price_that_is_held_is_skipped_as_pegged_with_its_widest_day(nights):
    crowded, _ = nights[1]
    skip = next(skip for skip in crowded.night.skips if skip.coin == "ZHELD")
    assert (skip.step, skip.code, skip.wanted) == (2, SkipCode.PEGGED, 20.0)
    assert 0 < skip.measured < 20.0
    assert "ZHELD" not in crowded.night.trained
