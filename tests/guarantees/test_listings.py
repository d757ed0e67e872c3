"""R11: a symbol renamed, delisted, given away, new or halted at every step boundary of a night.

The universe is frozen when it has been built: nobody joins, nobody is lost from the account; whatever left before the set
was signed has no model in it and is on the do-not-trade list; all other coins' models are, to the byte, those of a quiet night.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from changing import EVENTS, ChangingExchange, ChangingMarket
from invariants import Case, members_of
from nights import accounted, in_this_process, night_settings, small_world, trust_variables, variables
from sizes import FULL

from huracan.adapters.telemetry import RecordingTelemetry
from huracan.app import TrainingPipeline, TrainingPipelineConfig
from huracan.domain.bundle import ChampionSet
from huracan.export.trust import verify_tree
from huracan.hamilton.source import FolderSource
from huracan.night.stages import STEPS

EXPORT, OVER = len(STEPS), len(STEPS) + 1
BOUNDARIES = range(1, OVER + 1) if FULL else (2, EXPORT)
VICTIM, COIN = "ALFAUSDT-um", "ALFA"


class Interrupting(RecordingTelemetry):
    """Lets something happen when a step begins (OVER: when the last one has ended)."""

    def __init__(self, boundary, happen):
        super().__init__()
        self.boundary, self.happen = boundary, happen

    def event(self, name, **fields):
        super().event(name, **fields)
        begins = name == "stage_started" and fields["number"] == self.boundary
        ends = name == "stage_finished" and fields["number"] == EXPORT and self.boundary == OVER
        if begins or ends:
            self.happen()


@dataclass(frozen=True)
class Outcome:
    """What a night left behind."""

    result: dict[str, Any]
    current: ChampionSet
    models: dict[tuple[str, str], str]
    telemetry: RecordingTelemetry

    @property
    def blocked(self):
        return {row.coin: row.code for row in self.current.do_not_trade}

    @property
    def codes(self):
        return {(skip["coin"], skip["horizon"]): skip["code"] for skip in self.result["skipped"]}


@pytest.fixture(scope="module")
def exchange(tmp_path_factory):
    folder = tmp_path_factory.mktemp("listings")
    world = small_world(name="null", coins=2, days=42, interval_minutes=60)
    with (
        ChangingExchange(ChangingMarket(world, VICTIM), stress_file=folder / "stress.json") as opened,
        in_this_process(),
    ):
        yield opened


@pytest.fixture(scope="module")
def night(exchange, tmp_path_factory):
    """Runs a night in which an event happens at a boundary."""
    settings = night_settings(
        exchange.urls, training__base_interval="1h", training__lookback_days=34, training__min_history_days=38
    )

    def run(event, boundary):
        case = Case(tmp_path_factory.mktemp("night"))
        exchange.happen(None)
        telemetry = Interrupting(boundary, lambda: exchange.happen(event))
        with variables(trust_variables(case.folder)):
            config = TrainingPipelineConfig.from_settings(settings, workdir=case.workdir)
            result = asyncio.run(TrainingPipeline(config, telemetry=telemetry).run())
        assert result["success"], result.get("error")
        accounted(result)
        tree = verify_tree(FolderSource(case.store).read, case.root)
        models = {key: sha256 for key, (_, sha256) in members_of(tree.current, tree).items()}
        return Outcome(result=result, current=tree.current, models=models, telemetry=telemetry)

    return run


@pytest.fixture(scope="module")
def quiet(night):
    """The night in which nothing happens."""
    return night(None, None)


@pytest.mark.slow
@pytest.mark.guarantee("R11")
@pytest.mark.parametrize("event", EVENTS)
def test_what_happens_to_a_symbol_at_a_step_boundary_costs_that_symbol_and_nothing_else(event, night, quiet, counted):
    assert (COIN, "1h") in quiet.models
    for boundary in BOUNDARIES:
        found = night(event, boundary)
        if boundary == 1:
            it_was_so_before_the_night(event, found)
        elif boundary == OVER or event == "new listing":
            nothing_changed(found, quiet)
        else:
            the_coin_is_gone(found, quiet, same_models=boundary > 2)
        counted()


def it_was_so_before_the_night(event, found):
    """No model may speak for the symbol that was; what is listed now is judged as it is."""
    new = {"rename": "RENAMED", "new listing": "BRANDNEW"}.get(event)
    assert new is None or new in found.result["coin_universe"]
    assert not found.telemetry.named("member_delisted")
    if event == "reused ticker":
        assert found.codes[COIN, "1h"] == "ILLIQUID"  # nothing has been traded under it yet
    elif event in {"delisting", "status change"}:
        assert found.codes[VICTIM, "1h"] == "NOT_TRADING"  # and the coin's name is spot's
        assert found.blocked[VICTIM] == "NOT_TRADING"
        assert (VICTIM, "1h") not in found.models


def nothing_changed(found, quiet):
    assert found.models == quiet.models
    assert found.codes == quiet.codes
    assert found.blocked == quiet.blocked
    assert found.result["coin_universe"] == quiet.result["coin_universe"]


def the_coin_is_gone(found, quiet, *, same_models):
    assert found.result["coin_universe"] == quiet.result["coin_universe"]
    assert found.codes[COIN, "1h"] == "DELISTED"
    assert found.blocked[COIN] == "DELISTED"
    assert [row["coin"] for row in found.telemetry.named("member_delisted")] == [COIN]
    others = {key: sha256 for key, sha256 in quiet.models.items() if key[0] != COIN}
    assert set(found.models) == set(others)
    assert not same_models or found.models == others
    assert {key: code for key, code in found.codes.items() if key[0] != COIN} == {
        key: code for key, code in quiet.codes.items() if key[0] != COIN
    }
