"""The one decorator for compiled functions, with a cache that only the user can write.

Numba's on-disk cache holds machine code, so a folder somebody else can write to would run foreign code. It also
looks only at the file a function stands in: a kernel would go on running the old code of one it calls. So every kernel
is cached under a fingerprint of all it reaches: kernels, constants, and the fields of named tuples.
"""

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import Any, ParamSpec, TypeVar, cast

import numba

from huracan.domain.homes import below_home
from huracan.errors import ConfigError

P = ParamSpec("P")
R = TypeVar("R")


def _private_cache() -> str:
    """What keeps compiled kernels from being stored, in words; nothing where they are."""
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
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        return f"{folder} is not private to this user: chmod 700 it, if it is yours"
    numba.config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]
    return ""


NOT_CACHED = _private_cache()
"""Why kernels are compiled in memory at every start; empty where they are stored."""
CACHED = not NOT_CACHED


_fingerprints: dict[int, str] = {}  # by id of the compiled function, which lives as long as its module


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a plain function on arrays; `.py_func` stays the plain-Python twin for tests.

    IEEE semantics are kept (no fast-math), so a result does not depend on the batch it is computed in.
    """
    compile_: Any = numba.njit(cache=CACHED, error_model="numpy", nogil=True)
    mark = _fingerprint(function)
    folder = numba.config.CACHE_DIR  # type: ignore[attr-defined]
    if CACHED:
        numba.config.CACHE_DIR = str(Path(folder) / mark[:16])  # type: ignore[attr-defined]
    try:
        compiled = compile_(function)
    finally:
        numba.config.CACHE_DIR = folder  # type: ignore[attr-defined]
    _fingerprints[id(compiled)] = mark
    return cast("Callable[P, R]", compiled)


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
