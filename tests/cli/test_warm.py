"""Warming compiles every kernel there is, so that nothing is left for the first night."""

import json
import subprocess
import sys

import pytest

from huracan.cli import warm

KERNELS = """
import json, sys
from numba.core.registry import CPUDispatcher
from huracan.cli.warm import warm
warm()
kernels = {}
for name, module in list(sys.modules.items()):
    if name.startswith("huracan."):
        kernels |= {id(value): value for value in vars(module).values() if isinstance(value, CPUDispatcher)}
reached = set()
for kernel in kernels.values():
    code, names = kernel.py_func.__code__, kernel.py_func.__globals__
    if kernel.signatures:
        reached |= {id(names[name]) for name in code.co_names if id(names.get(name)) in kernels}
cold = [kernel.py_func.__qualname__ for key, kernel in kernels.items() if not kernel.signatures and key not in reached]
print(json.dumps({"kernels": len(kernels), "cold": cold}))
"""


@pytest.mark.slow
def test_warming_reaches_every_kernel():
    done = subprocess.run([sys.executable, "-c", KERNELS], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert told["kernels"] > 40
    assert told["cold"] == []


def test_a_cache_that_is_not_private_is_not_warmed(monkeypatch, capsys):
    monkeypatch.setattr(warm, "CACHED", False)
    monkeypatch.setattr(warm, "warm", lambda: pytest.fail("nothing can be kept"))
    warm.main()
    assert "not private" in capsys.readouterr().err


def test_a_private_cache_is_warmed(monkeypatch):
    called = []
    monkeypatch.setattr(warm, "CACHED", True)
    monkeypatch.setattr(warm, "warm", lambda: called.append(True))
    warm.main()
    assert called
