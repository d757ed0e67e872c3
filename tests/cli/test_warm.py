"""Warming compiles every kernel there is, so that nothing is left for the first night."""

import json
import subprocess
import sys

import pytest

from huracan.cli import small_night, warm

KERNELS = """
import json, sys
from numba.core.registry import CPUDispatcher
from huracan.cli.small_night import run_small_night
run_small_night()
kernels = {}
for name, module in list(sys.modules.items()):
    if name.startswith("huracan."):
        kernels |= {id(value): value for value in vars(module).values() if isinstance(value, CPUDispatcher)}
waiting, reached = [kernel for kernel in kernels.values() if kernel.signatures], set()
while waiting:
    kernel = waiting.pop()
    reached.add(id(kernel))
    names = kernel.py_func.__globals__
    called = [names[name] for name in kernel.py_func.__code__.co_names if id(names.get(name)) in kernels]
    waiting += [inner for inner in called if id(inner) not in reached]
cold = [kernel.py_func.__qualname__ for key, kernel in kernels.items() if key not in reached]
print(json.dumps({"kernels": len(kernels), "cold": cold}))
"""


@pytest.mark.slow
def test_warming_reaches_every_kernel():
    done = subprocess.run([sys.executable, "-c", KERNELS], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert told["kernels"] > 40
    assert told["cold"] == []


@pytest.fixture
def nights(monkeypatch, tmp_path):
    """Counts the small nights that run, with a cache folder of the test's own."""
    ran = []
    monkeypatch.setattr(warm.numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(small_night, "run_small_night", lambda: ran.append(True))
    return ran


def test_a_cache_that_is_not_private_is_not_warmed(monkeypatch, capsys, nights):
    monkeypatch.setattr(warm, "CACHED", False)
    warm.main()
    assert nights == []
    assert "not private" in capsys.readouterr().err


def test_a_private_cache_is_warmed_once_for_each_state_of_the_code(monkeypatch, nights):
    monkeypatch.setattr(warm, "CACHED", True)
    warm.main()
    warm.main()
    assert nights == [True]
    monkeypatch.setattr(warm, "compute_code_hash", lambda: "changed")
    warm.main()
    assert nights == [True, True]


def test_a_warming_that_failed_is_tried_again(monkeypatch, nights):
    def fails():
        raise OSError("no space")

    monkeypatch.setattr(warm, "CACHED", True)
    monkeypatch.setattr(small_night, "run_small_night", fails)
    with pytest.raises(OSError, match="no space"):
        warm.main()
    monkeypatch.setattr(small_night, "run_small_night", lambda: nights.append(True))
    warm.main()
    assert nights == [True]
