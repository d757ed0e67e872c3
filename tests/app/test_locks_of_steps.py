"""The store's lock: a whole run holds it from its start, single steps from the second to the end, and none after an error."""

import pytest
from nights import in_this_process, night_settings, small_world, trust_variables, variables

from huracan.adapters.publishers.folder import FolderStore
from huracan.adapters.telemetry import RecordingTelemetry
from huracan.app import TrainingPipeline, TrainingPipelineConfig
from huracan.errors import LockedError
from huracan.worlds.exchange import ReplayExchange

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exchange(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exchange")
    with ReplayExchange(small_world(), stress_file=folder / "stress.json") as served, in_this_process():
        yield served


@pytest.fixture
def pipeline_of(exchange, tmp_path):
    def made(**changes):
        settings = night_settings(exchange.urls, **changes)
        config = TrainingPipelineConfig(settings=settings, workdir=tmp_path / "workdir")
        return TrainingPipeline(config, telemetry=RecordingTelemetry())

    with variables(trust_variables(tmp_path)):
        yield made


@pytest.fixture
def other(tmp_path):
    """Another run's hand on the same store."""
    store = FolderStore(tmp_path / "workdir" / "store")
    yield store
    store.close()


async def test_the_first_step_alone_holds_nothing_when_it_is_done(pipeline_of, other):
    pipeline = pipeline_of()
    universe = await pipeline.step1_build_coin_universe()
    assert universe.pairs
    other.acquire()
    with pytest.raises(LockedError, match="another run holds the store"):
        await pipeline.step2_ingest_and_validate_data(universe)
    other.close()
    ingested = await pipeline.step2_ingest_and_validate_data(universe)
    with pytest.raises(LockedError):
        other.acquire()
    await pipeline.aclose()
    other.acquire()
    assert ingested.pairs == universe.pairs


async def test_the_context_manager_frees_the_lock_after_an_error_too(pipeline_of, other):
    async def steps():
        async with pipeline_of() as pipeline:
            await pipeline.step2_ingest_and_validate_data(await pipeline.step1_build_coin_universe())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await steps()
    other.acquire()


async def test_a_first_step_that_fails_holds_nothing_and_may_be_called_again(pipeline_of, other):
    broken = pipeline_of(binance__rest_url="http://127.0.0.1:9", binance__total_timeout_s=0.5)
    for _ in range(2):
        with pytest.raises(Exception, match=r"127\.0\.0\.1:9"):
            await broken.step1_build_coin_universe()
        other.acquire()
        other.close()
    pipeline = pipeline_of()
    first = await pipeline.step1_build_coin_universe()
    again = await pipeline.step1_build_coin_universe()
    assert first.pairs == again.pairs
    await pipeline.aclose()
    await pipeline.aclose()


@pytest.mark.parametrize("whole", [True, False])
async def test_a_second_run_is_locked_out_before_it_asks_for_anything(pipeline_of, other, exchange, whole):
    other.acquire()
    pipeline = pipeline_of()
    if whole:
        result = await pipeline.run()
        assert (result["success"], result["code"]) == (False, "LOCKED")
    else:
        with pytest.raises(LockedError):
            await pipeline.step1_build_coin_universe()
    assert not pipeline.telemetry.named("stage_started")
    assert not (other.root.parent / "progress.json").exists()


async def test_a_run_that_rests_leaves_the_account_of_another_alone(pipeline_of, other):
    pipeline = pipeline_of()
    await pipeline.step1_build_coin_universe()
    other.acquire()
    account = other.root.parent / "progress.json"
    account.write_text("of the other run")
    await pipeline.aclose(ValueError("given up"))
    assert account.read_text() == "of the other run"
