"""Cached machine code is never older than anything it runs."""

from typing import NamedTuple

import numba
import pytest

from huracan.stats import kernel as module
from huracan.stats.kernel import kernel


@pytest.fixture(autouse=True)
def in_memory(monkeypatch):
    """Functions made from text have no file, hence no cache."""
    monkeypatch.setattr(module, "CACHED", False)


def build(inner="return 2.0 * x", constant=1.0, outer="return inner(x) + CONSTANT"):
    """A kernel that calls another one, as two modules would have them."""
    below: dict = {}
    exec(f"def inner(x):\n    {inner}", below)
    above = {"inner": kernel(below["inner"]), "CONSTANT": constant}
    exec(f"def outer(x):\n    {outer}", above)
    return above["outer"]


def test_the_fingerprint_is_stable():
    assert module._fingerprint(build()) == module._fingerprint(build())


@pytest.mark.parametrize(
    "change",
    [
        {"inner": "return 3.0 * x"},
        {"inner": "return abs(x)"},
        {"constant": 2.0},
        {"outer": "return inner(x) - CONSTANT"},
    ],
)
def test_a_change_in_whatever_a_kernel_reaches_changes_its_fingerprint(change):
    assert module._fingerprint(build()) != module._fingerprint(build(**change))


def of_records(*fields):
    """A kernel that reads a named tuple in a named tuple, and one that makes it."""
    inner = NamedTuple("inner", [(name, float) for name in fields])

    class Outer(NamedTuple):
        one: inner

    def reads(record: Outer) -> float:
        return record.one.open

    below: dict = {"inner": inner}
    exec("def makes(x):\n    return inner(x, x)", below)
    return module._fingerprint(reads), module._fingerprint(below["makes"])


def test_the_order_of_a_named_tuples_fields_is_part_of_the_code():
    reads, makes = of_records("open", "close")
    assert (reads, makes) == of_records("open", "close")
    assert reads != of_records("close", "open")[0]
    assert makes != of_records("close", "open")[1]


def test_comprehensions_are_part_of_the_code():
    one, two = {}, {}
    exec("def f(x):\n    return [a + 1 for a in x]", one)
    exec("def f(x):\n    return [a + 2 for a in x]", two)
    assert module._fingerprint(one["f"]) != module._fingerprint(two["f"])


def test_decorating_leaves_the_cache_folder_as_it_was():
    before = numba.config.CACHE_DIR
    build()
    assert before == numba.config.CACHE_DIR
