"""A coin that is delisted stays in the evidence of the days it lived, to its last price; one that is only quiet, too."""

import asyncio
from dataclasses import replace

import polars as pl
import polars.testing
import pytest
from changing import ChangingExchange, ChangingMarket, StrictRest
from nights import in_this_process, night_settings, small_world, trust_variables, variables

from huracan.adapters.telemetry import RecordingTelemetry
from huracan.app import TrainingPipeline, TrainingPipelineConfig
from huracan.domain.records import SkipCode
from huracan.domain.time import DAY_MS, HOUR_MS, iso
from huracan.night.evidence.historical import constituent_counts
from huracan.night.jobs.train import cell_frame

pytestmark = pytest.mark.slow

DEAD = "CHARLIEUSDT-um"
OUTLIVED = "ALFAUSDT-um"
"""Its spot pair trades on."""
SIZES = {"training__base_interval": "1h", "training__lookback_days": 34, "training__num_workers": 2}


class Mortal(ChangingMarket):
    """A perpetual loses nine tenths of its price within the last three hours of its life, six hours into its last day."""

    def __init__(self, inner, ended_ms, dead=DEAD):
        super().__init__(inner, dead)
        self.ended_ms = ended_ms
        if inner.now_ms > ended_ms:
            self.event = "delisting"

    def klines(self, id, start_ms, end_ms):  # noqa: A002
        if id != self.victim:
            return super().klines(id, start_ms, end_ms)
        frame = super().klines(id, start_ms, min(end_ms, self.ended_ms))
        crash = pl.when(pl.col("open_time") >= self.ended_ms - 3 * HOUR_MS).then(0.1).otherwise(1.0)
        return frame.with_columns(pl.col("low", "close") * crash)

    def funding(self, id):  # noqa: A002
        frame = super().funding(id)
        return frame.filter(pl.col("funding_time") < self.ended_ms) if id == self.victim else frame

    def _changed(self, item):
        changed = super()._changed(item)
        return replace(changed, delivery_ms=self.ended_ms) if self.event == "delisting" else changed


class Forgetful(StrictRest):
    """Does not list CHARLIE any more; the archive keeps what it has."""

    def listed(self, view, market):
        return {symbol: item for symbol, item in super().listed(view, market).items() if item.id != DEAD}


class Reborn(Mortal):
    """Thirty hours after its death CHARLIE's ticker is another coin's, at fifty times the price."""

    def __init__(self, inner, ended_ms):
        super().__init__(inner, ended_ms)
        self.event, self.reborn_ms = None, ended_ms + 30 * HOUR_MS

    def klines(self, id, start_ms, end_ms):  # noqa: A002
        before = super().klines(id, start_ms, end_ms)
        if id != DEAD:
            return before
        after = self.inner.klines(id, max(start_ms, self.reborn_ms), end_ms)
        return pl.concat([before, after.with_columns(pl.col("open", "high", "low", "close") * 50.0)])

    def funding(self, id):  # noqa: A002
        after = self.inner.funding(id).filter(pl.col("funding_time") >= self.reborn_ms)
        return pl.concat([super().funding(id), after]) if id == DEAD else super().funding(id)

    def book(self, id):  # noqa: A002
        """Nobody quotes it yet: the tier's spread is that of the others, as where CHARLIE is dead."""
        return None if id == DEAD else super().book(id)

    def _changed(self, item):
        instrument = replace(item.instrument, listed_ms=self.reborn_ms)
        return replace(item, onboard_ms=self.reborn_ms, archived_ms=item.onboard_ms, instrument=instrument)


def cut_for_time(night):
    """The night as it would be if its former pairs had not been trained before the deadline."""
    failed = dict.fromkeys(night.historical.trained, SkipCode.DEADLINE.value)
    return replace(night, historical=replace(night.historical, trained={}, failed=failed))


def judged(folder, exchange, trained=lambda night: night, **changes):
    """A night up to its verdict, `trained` put between."""

    async def steps():
        settings = night_settings(exchange.urls, **SIZES, **changes)
        config = TrainingPipelineConfig.from_settings(settings, workdir=folder / "workdir")
        pipeline = TrainingPipeline(config, telemetry=RecordingTelemetry())
        try:
            night = await pipeline.step1_build_coin_universe()
            night = await pipeline.step2_ingest_and_validate_data(night)
            night = await pipeline.step3_generate_features(night)
            night = await pipeline.step4_label_forward_returns(night)
            night = await pipeline.step5_train_models(night)
            night = trained(night)
            promoted = await pipeline.step8_shadow_test_challengers(night)
            panels = {}
            for coin, record in {**night.trained, **night.historical.trained}.items():
                for cell in record.cells:
                    store = pipeline._open.pair_ports.artefacts
                    panels[coin, f"{cell.recipe_id}/{cell.horizon}"] = (
                        cell_frame(store, cell, "daily"),
                        cell_frame(store, cell, "trades"),
                    )
            return promoted, panels
        finally:
            await pipeline.aclose()

    with variables(trust_variables(folder)), in_this_process():
        return asyncio.run(steps())


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    """A night after CHARLIE's last day: remembered by the exchange, forgotten by it, and over survivors alone."""
    folder = tmp_path_factory.mktemp("former")
    world = small_world(coins=5, days=50, interval_minutes=60)
    ended_ms = world.now_ms - 3 * DAY_MS + 6 * HOUR_MS
    found = {"ended_ms": ended_ms}
    stress = {"stress_file": folder / "stress.json"}
    for name, rest in (("remembered", StrictRest), ("forgotten", Forgetful)):
        with ChangingExchange(Mortal(world, ended_ms), **stress) as exchange:
            exchange.rest = rest()
            found[name] = judged(folder / name, exchange)
            if name == "remembered":
                found["cut"] = judged(folder / "cut", exchange, cut_for_time)
                found["survivors"] = judged(folder / "survivors", exchange, promotion__former_pairs=False)
    with ChangingExchange(Reborn(world, ended_ms), **stress) as exchange:
        found["reborn"] = judged(folder / "reborn", exchange)
    with ChangingExchange(Mortal(world, ended_ms, OUTLIVED), **stress) as exchange:
        found["outlived"] = judged(folder / "outlived", exchange)
    return found


def daily(promoted, pool="um-A"):
    return next(frame for key, frame in sorted(promoted.dailies.items()) if key.pool_horizon == (pool, "1h"))


@pytest.mark.parametrize("name", ["remembered", "forgotten"])
def test_the_dead_are_walked_over_to_their_last_price(nights, name):
    promoted, panels = nights[name]
    night, last_day = promoted.night, nights["ended_ms"] // DAY_MS
    assert "CHARLIE" not in night.trained
    assert {skip.code for skip in night.skips if skip.coin == "CHARLIE"} == (
        {SkipCode.NOT_TRADING} if name == "remembered" else set()
    )
    assert "CHARLIE" not in {item.coin for item in promoted.assignments}
    assert "CHARLIE" in night.historical.drawn
    row = next(row for row in promoted.evidence if row.view.pool == "um-A")
    assert "CHARLIE" in row.former
    assert "CHARLIE" not in row.members
    (own, trades), *_ = [frames for (coin, _), frames in panels.items() if coin == "CHARLIE"]
    assert own["day"][-1] == last_day
    assert own["valid"][-1]
    assert trades["exit_time"].max() <= nights["ended_ms"] - 1
    assert "end" not in trades["reason"].to_list()


def test_a_day_of_the_pool_is_the_mean_of_those_who_lived_it(nights):
    """No cap binds in this world, so the pool's day is the plain mean: over five to the day CHARLIE died, over four after it."""
    promoted, panels = nights["remembered"]
    row = next(row for row in promoted.evidence if row.view.pool == "um-A")
    nets = {coin: frames[0] for (coin, _), frames in panels.items() if coin in {*row.members, *row.former}}
    assert len(nets) == len(row.members) + 1
    last_day = nights["ended_ms"] // DAY_MS
    assert nets["CHARLIE"].filter(pl.col("day") <= last_day)["net_bps"].abs().max() > 1
    pool = daily(promoted)
    assert pool["day"][-1] > last_day
    for day, net in zip(pool["day"], pool["net_bps"], strict=True):
        own = [frame.filter(pl.col("day") == day)["net_bps"].item() for frame in nets.values() if day in frame["day"]]
        assert len(own) == len(nets) - (day > last_day)
        assert net == pytest.approx(sum(own) / len(own), abs=1e-6)


def test_what_the_exchange_forgot_counts_like_what_it_remembers_with_the_worst_funding_where_none_is_known(nights):
    remembered, forgotten = (daily(nights[name][0]) for name in ("remembered", "forgotten"))
    for name in ("day", "valid"):
        assert remembered[name].to_list() == forgotten[name].to_list()
    facts = {name: nights[name][0].night.historical.ingested["CHARLIE"] for name in ("remembered", "forgotten")}
    assert facts["remembered"].terms.funding_known
    assert not facts[
        "forgotten"
    ].terms.funding_known  # its last month is not in the archive yet, and REST tells nothing
    assert facts["forgotten"].pool_days == facts["remembered"].pool_days


def test_an_earlier_listing_of_a_living_ticker_counts_like_a_coin_that_was_forgotten(nights):
    """The new coin is a member too young to be trained; of the old one only its last month of funding is not known yet."""
    promoted, _ = nights["reborn"]
    night, ended = promoted.night, nights["ended_ms"]
    old = f"{DEAD}~{iso(ended)[:10].replace('-', '')}"
    assert {skip.code for skip in night.skips if skip.coin == "CHARLIE"} == {SkipCode.SHORT_HISTORY}
    assert night.ingested["CHARLIE"].relisted_ms == ended + 30 * HOUR_MS
    assert (old in night.historical.drawn, old in night.historical.trained) == (True, True)
    row = next(row for row in promoted.evidence if row.view.pool == "um-A")
    assert old in row.former
    assert "CHARLIE" not in {*row.former, *row.members}
    facts, dead = night.historical.ingested[old], nights["forgotten"][0].night.historical.ingested["CHARLIE"]
    assert facts.terms.tier == dead.terms.tier
    for name in ("data_hash", "ended_ms", "pool_days"):
        assert getattr(facts, name) == getattr(dead, name), name
    assert (facts.terms.spread_bps, facts.terms.funding_known) == (dead.terms.spread_bps, dead.terms.funding_known)
    assert constituent_counts(night).earlier_listings == 1
    pl.testing.assert_frame_equal(daily(promoted), daily(nights["forgotten"][0]), abs_tol=1e-6)


def test_a_perpetual_that_its_spot_pair_outlives_counts_for_its_life_and_the_spot_pair_for_the_days_after_it(nights):
    promoted, panels = nights["outlived"]
    night, last_day = promoted.night, nights["ended_ms"] // DAY_MS
    assert night.plan.member("ALFA").instrument.id == "ALFAUSDT-spot"
    rows = {row.view.pool: row for row in promoted.evidence}
    assert OUTLIVED in rows["um-A"].former
    (spot,) = (row for pool, row in rows.items() if pool.startswith("spot"))
    assert (spot.members, spot.former) == (("ALFA",), ())
    own = daily(promoted, spot.view.pool)
    counted = own.filter("valid")["day"].to_list()
    assert counted == list(range(last_day + 1, daily(promoted)["day"][-1] + 1))
    (dead, _), *_ = [frames for (coin, _), frames in panels.items() if coin == OUTLIVED]
    assert dead["day"][-1] == last_day
    assert daily(promoted)["day"][0] < last_day < daily(promoted)["day"][-1]


def test_an_owner_may_count_survivors_alone_and_the_night_says_so(nights):
    promoted, _ = nights["survivors"]
    assert promoted.night.plan.historical == ()
    assert all(row.former == () for row in promoted.evidence)


def test_a_night_that_cut_its_former_pairs_for_time_admits_nothing_and_counts_them_as_lost(nights):
    promoted, _ = nights["cut"]
    assert (promoted.verdict.lineages, promoted.evidence) == ((), ())
    (note,) = promoted.verdict.notes
    assert "historical constituents were not backtested before the deadline" in note
    panel = {coin for pool in promoted.pools if pool.name == "um-A" for coin in pool.panel}
    reasons = [skip.reason for skip in promoted.night.skips if skip.step == 8 and skip.coin in panel]
    assert reasons
    assert all("the past is of survivors" in reason for reason in reasons)
    whole, lacking = daily(nights["remembered"][0]), daily(promoted)
    assert lacking["valid"].to_list() == whole["valid"].to_list()  # four of five are enough
    before = pl.col("day") <= nights["ended_ms"] // DAY_MS
    assert not lacking.filter(before)["net_bps"].equals(whole.filter(before)["net_bps"])
    pl.testing.assert_frame_equal(lacking.filter(~before), whole.filter(~before), abs_tol=1e-6)
