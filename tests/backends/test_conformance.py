"""The three backends under one suite, each real: worker processes, a Dask cluster and a Ray cluster on this machine."""

import pytest
import pytest_asyncio
from conformance import SECRETS, BackendConformance, job, lifecycle, make_backend

from huracan.adapters.backends import ClusterBackend, TrainingOrchestrator
from huracan.errors import BackendError
from huracan.training.jobs import TrainingConfig

pytestmark = pytest.mark.slow

KINDS = ("asyncio", "dask", "ray")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=KINDS)
async def backend(request):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SECRETS.items():
            patch.setenv(name, value)
        made = make_backend(request.param)
        await made.start()
        yield made
        await made.stop()


@pytest.mark.asyncio(loop_scope="module")
class TestBackends(BackendConformance):
    pass


@pytest.mark.parametrize("kind", KINDS)
async def test_starting_is_once_and_stopping_ends_jobs_that_run(kind, tmp_path):
    await lifecycle(kind, tmp_path)


@pytest.mark.parametrize(("kind", "module"), [("dask", "distributed"), ("ray", "ray")])
async def test_a_missing_extra_is_an_error_that_names_it(kind, module, tmp_path, monkeypatch):
    (tmp_path / f"{module}.py").write_text(f'raise ImportError("No module named {module}")')
    monkeypatch.syspath_prepend(tmp_path)
    made = TrainingOrchestrator(TrainingConfig(backend=kind))
    with pytest.raises(BackendError, match=rf"needs its extra: pip install 'huracan-engine\[{kind}\]'.*{module}"):
        await made.initialize()
    await made.shutdown()


@pytest.mark.parametrize("kind", ["dask", "ray"])
async def test_an_address_where_nobody_answers_is_named(kind, monkeypatch):
    backend = ClusterBackend(kind=kind, address="127.0.0.1:9")
    with pytest.raises(BackendError, match=r"127\.0\.0\.1:9"):
        await backend.start()
    assert backend.pid is None


@pytest.mark.parametrize("kind", ["dask", "ray"])
async def test_a_function_that_no_worker_could_import_is_refused_and_runs_nowhere_else(kind):
    with pytest.raises(BackendError, match=r"cannot be imported by a worker of the .* backend"):
        await ClusterBackend(kind=kind).run(lambda item: item, job())
