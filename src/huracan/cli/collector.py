"""The cyclic garbage collector, kept out of the way of commands that end within seconds.

It walks over everything that was imported, again and again, and once more when the interpreter ends. Measured for
`huracan predict`: .35 of 3.0 s, and nothing worth freeing (docs/measurements/predict.md).
"""

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """No collection meanwhile, for work that is over in seconds. What no cycle holds is freed as ever."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def end_without_collecting() -> None:
    """Leave what is alive at the interpreter's end to the operating system, without a last walk over it."""
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)
