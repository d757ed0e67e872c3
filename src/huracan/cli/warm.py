"""Compile the kernels into the user's private cache, so that the first night and the first prediction do not pay for
it.
"""

import hashlib
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import numba

from huracan.stats.kernel import CACHED
from huracan.training.jobs import compute_code_hash


def main() -> None:
    """Warm the cache once for this code; says so on stderr where the cache folder is not private and nothing can be
    kept.
    """
    if not CACHED:
        sys.stderr.write("the kernel cache is not private to this user: kernels are compiled at every start\n")
        return
    mark = Path(numba.config.CACHE_DIR) / f"warmed-{_state()}"  # type: ignore[attr-defined]
    if not mark.exists():
        from huracan.cli.small_night import run_small_night

        run_small_night()
        mark.touch()


def _state() -> str:
    """What compiled code depends on: sources, compiler, interpreter, machine."""
    parts = (compute_code_hash(), version("numba"), version("numpy"), sys.version, platform.platform())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


if __name__ == "__main__":
    main()
