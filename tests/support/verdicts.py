"""Planted daily results and a stress table that bounds them; verdicts that promote, demote, roll back and suspend."""

import numpy as np
import polars as pl

from huracan.domain.frames import DAILY_SCHEMA
from huracan.domain.recipe import EngineUse, Recipe
from huracan.promotion import LedgerState, evaluate_night
from huracan.promotion.evaluation import NightContext
from huracan.promotion.series import PoolEvidence

START_DAY = 20454  # 2026-01-01
BOUND = 180.0
TABLE = {"kind": "world", "factor_bps": 800.0, "idio_bps": 1400.0, "one_pair_bps": 4000.0}


class Maker:
    """Builds recipes, daily frames and evidence with a bound of 180 bps of capital."""

    day = START_DAY
    bound = BOUND
    table = TABLE

    def recipe(self, name="linear", *, seen=(), version=1):
        return Recipe(name=name, engines=(EngineUse(name="trend", version=version),), feature_recipe="core", seen=seen)

    def daily(self, net, *, start=START_DAY, cost=1.0, exposure=0.5, valid=None):
        net = np.asarray(net, dtype=np.float64)
        n = net.size
        columns = {name: np.zeros(n) for name in DAILY_SCHEMA}
        columns["day"] = np.arange(start, start + n)
        columns["net_bps"] = net
        columns["gross_bps"] = net + cost
        columns["fees_bps"] = np.full(n, cost)
        columns["exposure"] = np.broadcast_to(exposure, n).astype(np.float64)
        columns["valid"] = np.ones(n, dtype=bool) if valid is None else np.asarray(valid, dtype=bool)
        return pl.DataFrame(columns, schema=DAILY_SCHEMA)

    def evidence(self, net, *, pool="um-A", tier="A", market="um", horizon="1h", recipe=None, members=12, **daily):
        return PoolEvidence(
            pool=pool,
            tier=tier,
            market=market,
            horizon=horizon,
            recipe=recipe or self.recipe(),
            members=tuple(f"C{i}" for i in range(members)),
            daily=self.daily(net, **daily),
            net_cap=0.05,
            gross_cap=0.1,
        )

    def cut(self, evidence, days):
        return replace_daily(evidence, evidence.daily.head(days))

    def tonight(self, days, **changes):
        return NightContext(day=START_DAY + days - 1, stress_table=TABLE, **changes)

    def planted(self, days, sharpe, seed=0, sd=20.0):
        """Bounded noise with exactly this daily Sharpe ratio in expectation; B / sd = 9."""
        noise = np.random.default_rng(seed).standard_normal(days).clip(-4, 4)
        return sd * (noise + sharpe)


def replace_daily(evidence, daily):
    values = {
        f: getattr(evidence, f)
        for f in ("pool", "tier", "market", "horizon", "recipe", "members", "net_cap", "gross_cap")
    }
    return PoolEvidence(daily=daily, **values)


MAKE = Maker()


def _night(linear, boosted, state, nights):
    pools = [MAKE.evidence(linear), MAKE.evidence(boosted, recipe=MAKE.recipe("boosted"))]
    return evaluate_night(state, pools, MAKE.tonight(nights))


def _going_on(linear, boosted, before, nights):
    """The verdict of the night after `before`, on results that begin with the 85 days of `crowned`."""
    good, other = MAKE.planted(85, 1.5), MAKE.planted(85, 0.3, seed=4)
    return _night(np.r_[good, linear], np.r_[other, boosted], before.state, nights)


def crowned():
    """`linear` is promoted over nothing in um-A at 1h on day 85."""
    return _night(MAKE.planted(85, 1.5), MAKE.planted(85, 0.3, seed=4), LedgerState(), 85)


def demoted():
    """`linear` was promoted, lost for long and is demoted tonight."""
    bad, nothing = MAKE.planted(250, -0.5, seed=9), np.zeros(250)
    verdict = _going_on(bad, nothing, crowned(), 335)
    fell = verdict.state.champions[-1].day - MAKE.day + 1
    return _going_on(bad[: fell - 85], nothing[: fell - 85], crowned(), fell)


def rolled_back():
    """`boosted` replaced `linear`, fell behind it, and is rolled back tonight; and the verdict that made it champion."""
    calm, bold = MAKE.planted(400, 0.1, seed=5), np.r_[np.full(120, 90.0), np.full(280, 1.0)]
    reigning = _going_on(calm[:120], bold[:120], crowned(), 205)
    changed = reigning.state.champions[-1].day - MAKE.day - 85
    after, strong = (np.r_[series[: changed + 1], np.full(160, level)] for series, level in ((bold, 1.0), (calm, 60.0)))
    verdict = _going_on(strong, after, crowned(), 85 + strong.size)
    fell = verdict.state.champions[-1].day - MAKE.day + 1
    return _going_on(strong[: fell - 85], after[: fell - 85], crowned(), fell), reigning


def suspended():
    """`linear` is the champion, and the drawdown breaker has tripped."""
    start = crowned()
    limit = start.state.records[start.state.champions[0].lineage_id].last.breaker_bps
    crash = -np.full(int(limit / 100) + 1, 100.0)
    return _going_on(crash, np.zeros(crash.size), start, 85 + crash.size)
