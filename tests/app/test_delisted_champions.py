"""Champions of coins that left: one delisted while the night ran, one whose ticker was given away, one no longer listed."""

import shutil
from dataclasses import replace

import pytest
from changing import ChangingExchange, ChangingMarket
from invariants import Case
from nights import accounted, in_this_process, later, night_settings, small_world, trust_variables, variables

from huracan.adapters.telemetry import RecordingTelemetry
from huracan.app import TrainingPipeline, TrainingPipelineConfig
from huracan.domain.time import HOUR_MS
from huracan.export.trust import verify_tree
from huracan.hamilton import HamiltonInterface
from huracan.hamilton.source import FolderSource
from huracan.night.stages import STEPS
from huracan.worlds.faults import Fault

pytestmark = pytest.mark.slow


class Reshuffled(ChangingMarket):
    """BRAVO's contract was listed hours ago, under a ticker that had another owner; CHARLIE is listed nowhere."""

    def instruments(self):
        found = (item for item in super().instruments() if item.instrument.base != "CHARLIE")
        return tuple(self._anew(item) if item.id == "BRAVOUSDT-um" else item for item in found)

    def _anew(self, item):
        listed = self.inner.now_ms - 3 * HOUR_MS
        return replace(item, onboard_ms=listed, instrument=replace(item.instrument, listed_ms=listed))


class DelistingAtTheEnd(RecordingTelemetry):
    """ALFA is delisted when the last step begins."""

    def __init__(self, exchange):
        super().__init__()
        self.exchange = exchange

    def event(self, name, **fields):
        super().event(name, **fields)
        if name == "stage_started" and fields["number"] == len(STEPS):
            self.exchange.happen("delisting")


def lost(path):
    """BRAVO's bars cannot be fetched: a reason that would excuse a champion."""
    return Fault(status=500) if "BRAVOUSDT" in path and ("klines" in path or "data/" in path) else None


@pytest.mark.guarantee("R11")
async def test_no_champion_outlives_its_listing(finished_night, tmp_path, counted):
    folder = tmp_path / "night"
    shutil.copytree(finished_night.folder, folder)
    for link in folder.rglob("*.lock"):
        link.unlink()
    coins = ("ALFA", "BRAVO", "CHARLIE")
    assert {f"{coin}_1h" for coin in coins} <= set(finished_night.result["champions"])
    market = Reshuffled(later(small_world(), 1), "ALFAUSDT-um")
    with (
        ChangingExchange(market, stress_file=folder / "stress.json", faults=lost) as exchange,
        in_this_process(),
        variables(trust_variables(folder)),
    ):
        settings = night_settings(exchange.urls, binance__total_timeout_s=1)
        config = TrainingPipelineConfig.from_settings(settings, workdir=folder / "workdir")
        result = await TrainingPipeline(config, telemetry=DelistingAtTheEnd(exchange)).run()
        assert result["success"], result.get("error")
        accounted(result)
        hamilton = HamiltonInterface(str(folder / "workdir" / "store"))
        blocked = hamilton.get_do_not_trade_list()
    case = Case(folder)
    current = verify_tree(FolderSource(case.store).read, case.root).current
    reasons = {row.coin: (row.code, row.reason) for row in current.do_not_trade}
    for coin in coins:
        assert f"{coin}_1h" not in result["champions"]
        assert f"{coin}_1h" not in current.members
        assert reasons[coin][0] == "DELISTED"
        assert coin in blocked
        counted()
    assert "stopped trading during the night" in reasons["ALFA"][1]
    assert "earlier listing" in reasons["BRAVO"][1]
    assert "no longer among the listed pairs" in reasons["CHARLIE"][1]
    assert result["champions"]["DELTA_1h"]["version"] == 2
