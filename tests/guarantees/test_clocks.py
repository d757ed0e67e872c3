"""Clocks that lie: a skewed one refuses the run, a jumping one cannot show the future or another day."""

import random

import pytest
from nights import in_this_process, later, night_settings, run_pipeline, small_world, tree_hashes
from sizes import size

from huracan.adapters.lake import DeltaLake
from huracan.app.config import TrainingPipelineConfig
from huracan.app.training_pipeline import _OpenNight
from huracan.domain.ids import Instrument
from huracan.domain.time import DAY_MS, HOUR_MS, MINUTE_MS
from huracan.errors import ClockSkewError
from huracan.night.custom.injected import Injected
from huracan.night.plan import cutoff
from huracan.settings import load_settings
from huracan.worlds.exchange import ReplayExchange

SCHEDULES = size(300, 1_000)
JUMPING_NIGHTS = size(3, 40)
NOW = 1_790_000_000_000


class Clock:
    """Shows what it is told to."""

    def __init__(self, now_ms):
        self.shown = now_ms

    def now_ms(self):
        return self.shown


def opened(url, tmp_path):
    settings = load_settings(None, [f"binance.rest_url={url}"], {})
    return _OpenNight(
        TrainingPipelineConfig.from_settings(settings, workdir=tmp_path / "w"),
        Injected(),
        None,  # type: ignore[arg-type]
    )


@pytest.mark.guarantee("R7")
def test_a_skew_of_more_than_five_seconds_is_refused_unless_the_exchange_is_this_machine(tmp_path, counted):
    rng = random.Random(7)
    far = opened("https://api.binance.com", tmp_path)
    near = [opened(url, tmp_path) for url in ("http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1")]
    not_near = opened("http://127.evil.example:1", tmp_path)
    for _ in range(SCHEDULES):
        skew = rng.choice((0, 4_999, 5_000, 5_001, rng.randrange(10_000), rng.randrange(DAY_MS * 400))) * rng.choice(
            (-1, 1)
        )
        for night in (far, not_near, *near):
            night.clock = Clock(NOW + skew)
            if abs(skew) > 5_000 and night not in near:
                with pytest.raises(ClockSkewError, match="at most 5 s"):
                    night._check_clock(NOW)
            else:
                night._check_clock(NOW)
        counted()


@pytest.mark.guarantee("R7")
def test_the_cutoff_is_a_decision_time_that_has_passed_and_the_scored_day_is_over(counted):
    rng = random.Random(8)
    for _ in range(SCHEDULES):
        edge = NOW // DAY_MS * DAY_MS + rng.randrange(-3, 3) * DAY_MS
        now = edge + rng.choice((-1, 0, 1, rng.randrange(DAY_MS)))
        interval = rng.choice((15, 60))
        at = cutoff(now, interval)
        assert at <= now < at + interval * MINUTE_MS
        assert at % (interval * MINUTE_MS) == 0
        counted()


@pytest.mark.slow
@pytest.mark.guarantee("R7")
def test_a_system_clock_that_jumps_changes_no_bar_no_day_and_no_bundle(tmp_path, monkeypatch, counted):
    """Data and days come from the exchange's time alone; the wall clock only signs."""
    from huracan.app import training_pipeline
    from huracan.app.wiring import SystemClock

    real = SystemClock()
    world = small_world(name="null", coins=2, days=42, interval_minutes=60)
    models = []
    with ReplayExchange(world, stress_file=tmp_path / "stress.json") as exchange, in_this_process():
        settings = night_settings(
            exchange.urls, training__base_interval="1h", training__lookback_days=34, training__min_history_days=38
        )
        for number, jump in enumerate((0, 25 * HOUR_MS, -40 * DAY_MS)):
            steps = iter(range(10**6))
            clock = Clock(0)
            clock.now_ms = lambda jump=jump, steps=steps: real.now_ms() + jump * (next(steps) % 3)
            monkeypatch.setattr(training_pipeline, "SystemClock", lambda clock=clock: clock)
            result, _ = run_pipeline(tmp_path / str(number), settings)
            assert result["success"], result.get("error")
            assert result["summary"]["data_cutoff"] == models[0][0] if models else True
            models.append(
                (result["summary"]["data_cutoff"], tree_hashes(tmp_path / str(number) / "workdir/store/models"))
            )
            counted()
    assert models[0] == models[1] == models[2]
    assert models[0][1]


SNAPSHOT_REQUESTS = 8
"""The clock, three questions on each of two markets, the clock again."""


class JumpingMarket:
    """A market whose exchange shows another moment from some request on."""

    def __init__(self, world):
        self.honest, self.shown, self.seen = world, world, 0

    def __getattr__(self, name):
        return getattr(self.shown, name)

    def jump(self, after, by_ms):
        self.shown, self.seen, self._after, self._by_ms = self.honest, 0, after, by_ms

    def hear(self, _request):
        self.seen += 1
        if self.seen == self._after:
            self.shown = self.honest.at(self.honest.now_ms + self._by_ms)


@pytest.mark.slow
@pytest.mark.guarantee("R7")
def test_an_exchange_whose_clock_jumps_in_mid_run_shows_no_bar_of_the_future(tmp_path, counted):
    rng = random.Random(9)
    market = JumpingMarket(later(small_world(name="null", coins=2, days=46, interval_minutes=60), -3))
    smallest = {"training__base_interval": "1h", "training__lookback_days": 34, "training__min_history_days": 38}
    with (
        ReplayExchange(market, faults=market.hear, stress_file=tmp_path / "stress.json") as exchange,
        in_this_process(),
    ):
        settings = night_settings(exchange.urls, **smallest)

        def night(name):
            result, _ = run_pipeline(tmp_path / name, settings)
            lake = DeltaLake(str(tmp_path / name / "workdir" / "lake" / "1h"))
            return result, tree_hashes(tmp_path / name / "workdir/store/models"), newest_bar(lake)

        market.jump(0, 0)
        unbroken, models, newest = night("unbroken")
        requests, cutoff_ms = market.seen, newest + HOUR_MS
        assert unbroken["success"]
        assert models
        for number in range(JUMPING_NIGHTS):
            by_ms = rng.choice((HOUR_MS, 25 * HOUR_MS, 3 * DAY_MS, -HOUR_MS, -25 * HOUR_MS))
            market.jump(rng.randrange(2, requests), by_ms)
            result, seen, newest = night(f"jump-{number}")
            assert newest is None or newest < cutoff_ms
            if result.get("code") == "SKEW":  # the listing would have been of two moments
                assert market._after <= SNAPSHOT_REQUESTS
            elif by_ms > 0:  # what was closed stays closed: the same night to the byte
                assert result["success"], result.get("error")
                assert seen == models
            if result["success"]:
                assert result["summary"]["data_cutoff"] == unbroken["summary"]["data_cutoff"]
            else:
                assert result["code"] in {"STALE", "UPSTREAM", "SKEW"}, result
            counted()


def newest_bar(lake):
    """Open time of the newest bar of any instrument."""
    held = [found for name in lake.instruments() for found in lake.coverage(instrument(name)) if found.kind == "bars"]
    return max((found.last_ms for found in held), default=None)


def instrument(identity):
    symbol, _, market = identity.rpartition("-")
    return Instrument(market=market, symbol=symbol, base="", quote="")
