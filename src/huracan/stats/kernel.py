"""The one decorator for compiled functions, with a cache that only the user can write.

Numba's on-disk cache holds machine code, so a folder somebody else can write to would run foreign code.
"""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import numba

P = ParamSpec("P")
R = TypeVar("R")


def _private_cache() -> bool:
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huracan"
    folder = root / "kernels"
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError:
        return False
    private = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077
    if private:
        numba.config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]
    return private


CACHED = _private_cache()
"""False: kernels are compiled in memory at every start, because the cache folder is not private."""


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a plain function on arrays; `.py_func` stays the plain-Python twin for tests.

    IEEE semantics are kept (no fast-math), so a result does not depend on the batch it is computed in.
    """
    compile_: Any = numba.njit(cache=CACHED, error_model="numpy", nogil=True)
    return cast("Callable[P, R]", compile_(function))
