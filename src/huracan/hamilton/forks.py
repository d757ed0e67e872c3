"""What a fork leaves behind: the child has no thread of its parent's, and every lock as it stood at that moment.

Raw bars are computed by polars, whose threads start with its first work. A child of a process where they ran would wait
for them for ever, so it is refused at once. A child of one where they never ran starts its own and works.
"""

import os
import sys
import weakref
from pathlib import Path
from typing import Final, Protocol

from huracan.errors import ForkedProcessError

_TASKS: Final = Path("/proc/self/task")
_POOL: Final = "polars-"


class OutlivesForks(Protocol):
    """Holds locks that a child must not inherit."""

    def after_fork(self) -> None:
        """In the child: locks anew, since nobody is left to free the old ones."""
        ...


class _State:
    pool_ran = False
    orphaned = False


_renewed: "weakref.WeakSet[OutlivesForks]" = weakref.WeakSet()


def renew_in_children(owner: OutlivesForks) -> None:
    """Have `after_fork` called in every child, for as long as the owner lives."""
    _renewed.add(owner)


def refuse_lost_threads() -> None:
    """Raises ForkedProcessError in a process whose polars would wait for ever."""
    if _State.orphaned:
        raise ForkedProcessError(
            f"process {os.getpid()} was forked from one in which polars had been at work, and threads do not survive a fork:"
            " features from raw bars would never come. Start workers by spawn (multiprocessing.get_context('spawn')), or open"
            " HamiltonInterface and read bars in the worker alone (gunicorn: without --preload, or in post_fork)."
            " predict(features) works here"
        )


def pool_is_running() -> bool:
    """Whether polars' threads have started; where threads cannot be listed, whether it was imported."""
    if "polars" not in sys.modules:
        return False
    try:
        names = [(task / "comm").read_text().strip() for task in _TASKS.iterdir()]
    except OSError:
        return True
    return any(name.startswith(_POOL) and name.removeprefix(_POOL).isdigit() for name in names)


def _before() -> None:
    _State.pool_ran = pool_is_running()


def _in_child() -> None:
    _State.orphaned = _State.orphaned or _State.pool_ran
    for owner in list(_renewed):
        owner.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_child=_in_child)
