"""The one decorator for compiled functions, with a cache that only the user can write.

Numba's on-disk cache holds machine code, so a folder somebody else can write to would run foreign code. It also
looks only at the file a function stands in: a kernel would go on running the old code of one it calls. So every kernel
is cached under a fingerprint of all it reaches: kernels, constants, and the fields of named tuples.

Where numba is not installed, as in a trading process that only predicts, a kernel is the plain function with the same
results.
"""

import functools
import hashlib
import os
import stat
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import CodeType
from typing import Any, Final, ParamSpec, TypeVar, cast

import numpy as np

from huracan.domain.homes import below_home
from huracan.errors import ConfigError

P = ParamSpec("P")
R = TypeVar("R")


def _compiler() -> Any | None:
    """Numba, or None where it is not installed; one that is there and broken is an error, and no slow night."""
    try:
        return import_module("numba")
    except ModuleNotFoundError as error:
        if error.name != "numba":
            raise
        return None


_NUMBA: Final = _compiler()


def _private_cache() -> str:
    """What keeps compiled kernels from being stored, in words; nothing where they are."""
    if _NUMBA is None:
        return "numba is not installed, so nothing is compiled: pip install 'huracan-engine[hamilton]'"
    try:
        root = below_home(os.environ, "XDG_CACHE_HOME", ".cache", instead="XDG_CACHE_HOME") / "huracan"
        folder = root / "kernels"
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except ConfigError as error:
        return str(error)
    except OSError as error:
        return (
            f"{error.filename}: {error.strerror}; give this user the folder, or set XDG_CACHE_HOME to one it may write"
        )
    if hasattr(os, "getuid") and not _is_private(status):
        return f"{folder} is not private to this user: chmod 700 it, if it is yours"
    _NUMBA.config.CACHE_DIR = str(folder)
    return ""


def _is_private(status: os.stat_result) -> bool:
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077


NOT_CACHED = _private_cache()
"""Why kernels are compiled in memory at every start; empty where they are stored."""
CACHED = not NOT_CACHED


_fingerprints: dict[int, str] = {}  # by id of the compiled function, which lives as long as its module


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a plain function on arrays; `.py_func` stays the plain-Python twin for tests.

    IEEE semantics are kept (no fast-math), so a result does not depend on the batch it is computed in.
    """
    if _NUMBA is None:
        return _plain(function)
    compile_: Any = _NUMBA.njit(cache=CACHED, error_model="numpy", nogil=True)
    mark = _fingerprint(function)
    folder = _NUMBA.config.CACHE_DIR
    if CACHED:
        _NUMBA.config.CACHE_DIR = str(Path(folder) / mark[:16])
    try:
        compiled = compile_(function)
    finally:
        _NUMBA.config.CACHE_DIR = folder
    _fingerprints[id(compiled)] = mark
    return cast("Callable[P, R]", compiled)


def _plain(function: Callable[P, R]) -> Callable[P, R]:
    """The function itself, with numbers beyond the largest as silent as in compiled code."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with np.errstate(all="ignore"):
            return function(*args, **kwargs)

    run.py_func = function  # type: ignore[attr-defined]
    return run


def _fingerprint(function: Callable[..., Any]) -> str:
    """Hex sha256 over a function's code, and of every kernel and constant it names."""
    parts = [_code_text(function.__code__)]
    parts += [f"{name}:{_layout(value)}" for name, value in function.__annotations__.items()]
    for name in sorted(_names(function.__code__)):
        value = function.__globals__.get(name)
        if id(value) in _fingerprints:
            parts.append(f"{name}={_fingerprints[id(value)]}")
        elif isinstance(value, int | float | str | tuple):
            parts.append(f"{name}={value!r}")
        else:
            parts.append(f"{name}:{_layout(value)}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _layout(kind: object) -> str:
    """The fields of a named tuple, also of those in it, in order: compiled code knows them by their place."""
    fields: dict[str, object] = getattr(kind, "__annotations__", {}) if hasattr(kind, "_fields") else {}
    return ",".join(f"{name}({_layout(inner)})" for name, inner in fields.items())


def _names(code: CodeType) -> set[str]:
    inner = (const for const in code.co_consts if isinstance(const, CodeType))
    return set(code.co_names).union(*(_names(part) for part in inner))


def _code_text(code: CodeType) -> str:
    consts = [_code_text(const) if isinstance(const, CodeType) else repr(const) for const in code.co_consts]
    return "|".join((code.co_name, code.co_code.hex(), *consts, *code.co_names, *code.co_varnames))
