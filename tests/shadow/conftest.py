"""Planted daily results, and a stress table that bounds them, for the tests of the shadow room."""

import numpy as np
import polars as pl
import pytest

from huracan.domain.frames import DAILY_SCHEMA
from huracan.domain.recipe import EngineUse, Recipe
from huracan.shadow.book import NightContext
from huracan.shadow.series import PoolEvidence

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


@pytest.fixture
def make():
    return Maker()
