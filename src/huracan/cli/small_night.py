"""A night of one coin and forty days in this process, in which every kernel meets the types that it meets at night."""

import asyncio
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from huracan.adapters.ledger import SqliteLedger
from huracan.adapters.publishers.folder import FolderStore
from huracan.adapters.snapshots import SnapshotArchive
from huracan.adapters.telemetry import SilentTelemetry
from huracan.app.exchange import adapter_places
from huracan.app.night_config import night_rules
from huracan.app.pair_adapters import pair_ports
from huracan.app.release import FolderRelease
from huracan.app.wiring import SystemClock
from huracan.cli.demo import private_trust
from huracan.domain.arrays import F64
from huracan.domain.night_records import Done, Failed, IngestTask, PrepareTask, Task, Wave
from huracan.domain.night_rows import PublishedRow
from huracan.domain.records import SkipCode
from huracan.features import ALL_NAMES
from huracan.hamilton import HamiltonInterface
from huracan.night.custom.injected import Injected
from huracan.night.jobs.ingest import ingest_pair
from huracan.night.jobs.inputs import PairPorts
from huracan.night.jobs.prepare import prepare_pair
from huracan.night.jobs.train import train_pair
from huracan.night.plan import NightPlan
from huracan.night.ports import NightPorts
from huracan.night.publish import Exported
from huracan.night.run import NightPipeline, all_steps
from huracan.night.state import PairOutcome, PairWork
from huracan.settings import load_settings
from huracan.stats.bootstrap import drawdown_quantile, max_drawdown
from huracan.stats.evalues import confidence_sequence
from huracan.worlds.exchange import ReplayExchange, Urls
from huracan.worlds.simulated import simulate
from huracan.worlds.spec import WorldSpec

DAYS = 40
COINS: Final = {Wave.INGEST: ("ALFA", "BTC", "GAPPY"), Wave.PREPARE: ("ALFA", "GAPPY"), Wave.TRAIN: ("ALFA",)}
"""By wave. BTC is there for the market context; repaired bars of GAPPY lie in memory otherwise, which is another
type.
"""


def run_small_night() -> None:
    """Run every room once, small: a world, its exchange, a night with both recipes, Hamilton, and the tests of a
    pool.
    """
    source = simulate(WorldSpec(name="demo", coins=2, days=DAYS))
    with tempfile.TemporaryDirectory(prefix="huracan-warm-") as name:
        folder = Path(name)
        with private_trust(folder), ReplayExchange(source) as exchange:
            exported = asyncio.run(_night(folder, exchange.urls))
            hamilton = HamiltonInterface(model_base_path=folder / "store", allow_candidates=True)
            for row in _made(exported):
                hamilton.predict(row.coin, row.horizon, row.live_features)
    _evaluate_a_pool()
    simulate(WorldSpec(name="skewed", coins=1, days=2)).store.bars("BTCUSDT-um")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Here:
    """Waves in this process, one pair after the other."""

    ports: PairPorts

    async def run(self, plan: NightPlan, work: list[PairWork]) -> list[PairOutcome]:
        return [await self._outcome(plan, item) for item in work]

    async def _outcome(self, plan: NightPlan, item: PairWork) -> PairOutcome:
        if item.coin not in COINS[item.task.wave]:
            missing = Failed(code=SkipCode.DEADLINE, error="not wanted to warm kernels")
            return PairOutcome(coin=item.coin, result=missing)
        return PairOutcome(coin=item.coin, result=await self._done(plan, item.coin, item.task))

    async def _done(self, plan: NightPlan, coin: str, task: Task) -> Done:
        if isinstance(task, IngestTask):
            return await ingest_pair(self.ports, plan, coin, task)
        if isinstance(task, PrepareTask):
            return prepare_pair(self.ports, plan, coin, task)
        return train_pair(self.ports, plan, coin, task)


def _made(exported: Exported) -> list[PublishedRow]:
    rows = (*exported.champions.values(), *exported.candidates.values())
    return [row for row in rows if isinstance(row, PublishedRow)]


async def _night(folder: Path, urls: Urls) -> Exported:
    overrides = (
        f"binance.rest_url={urls['rest']}",
        f"binance.futures_url={urls['futures']}",
        f"binance.archive_url={urls['archive']}",
        f"promotion.stress_table={urls['stress']}",
        f"training.leak_exempt={json.dumps(list(ALL_NAMES))}",
        f"training.min_history_days={DAYS - 2}",
        "training.quote_assets=USDT",
        "training.horizons=1h",
    )
    settings = load_settings(None, overrides, {})
    for name in ("lake", "artefacts"):
        (folder / name).mkdir()
    clock, telemetry, pair = SystemClock(), SilentTelemetry(), pair_ports(adapter_places(settings, folder))
    store, ledger = FolderStore(folder / "store"), SqliteLedger(folder / "ledger.sqlite")
    store.acquire()
    ports = NightPorts(
        pair=pair,
        snapshots=SnapshotArchive(folder / "snapshots"),
        waves=_Here(ports=pair),
        ledger=ledger,
        release=FolderRelease(store, clock, telemetry, os.environ),
        telemetry=telemetry,
        clock=clock,
        check_clock=lambda _server_ms: None,
        workdir=folder,
    )
    try:
        exported = await all_steps(NightPipeline(ports, night_rules(settings, None, Injected())))
    finally:
        await pair.market.aclose()
        ledger.close()
        store.close()
    return exported


def _evaluate_a_pool() -> None:
    """What step 8 computes on the days of a pool: one coin has no pool that is large enough to be evaluated."""
    days = np.linspace(-20.0, 30.0, 40)
    for values in (days, _read_only(days)):
        max_drawdown(values)
        confidence_sequence(values, 100.0, 0.05)
    drawdown_quantile(days, length=60, quantile=0.95, paths=2, mean_block=5.0, rng=np.random.default_rng(0))


def _read_only(values: F64) -> F64:
    frozen = values.copy()
    frozen.flags.writeable = False
    return frozen
