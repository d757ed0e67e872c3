"""The market context of an hour, kept in this user's cache: the hour's next coin is decided without making it anew.

An entry lies under a hash over all that it was made of: the members' stored bytes as they were checked a moment ago,
the moment, the code, the libraries and the processor. So what was made of other bars is not found. It is read only
where its own sha256 is right, and nothing is kept where somebody else may write.
"""

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import polars as pl
from pydantic import TypeAdapter

from huracan.domain.frames import MarketContext
from huracan.domain.homes import below_home
from huracan.domain.ids import content_hash, sha256_hex
from huracan.domain.tensors import read_tensors, write_tensors
from huracan.errors import BundleFormatError, ConfigError, SchemaError
from huracan.hamilton import LiveInputs
from huracan.hamilton.live import HISTORY_DAYS

FORMAT: Final = 1
KEPT: Final = 8
"""Entries that stay, the newest: hours that are asked about again."""
LARGEST: Final = 64 << 20
_MADE_BY: Final = ("domain", "stats", "ingest", "regimes", "features", "hamilton", "adapters", "operations")
_LIBRARIES: Final = ("numpy", "polars", "numba", "dataframely")
_DIGEST: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class HourContext:
    """A market context, and of each member's bars (by instrument id) how many there were and when the newest opened."""

    context: MarketContext
    bars: Mapping[str, int]
    newest_ms: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """What an entry says beside its columns."""

    key: str
    source: str
    members: tuple[str, ...]
    context_hash: str
    bars: Mapping[str, int]
    newest_ms: Mapping[str, int]


def context_key(inputs: LiveInputs, until_ms: int, digests: Mapping[str, str]) -> str:
    """Hex sha256 over everything that the context is made of; `digests` are those of the members' checked bytes."""
    return content_hash(
        FORMAT, _code(), _machine(), inputs.as_extras(), until_ms, HISTORY_DAYS, sorted(digests.items())
    )


def read_context(key: str, environ: Mapping[str, str]) -> HourContext | None:
    """The entry of a key; None where there is none, or one that is not as it was written."""
    folder = _private_folder(environ)
    if folder is None:
        return None
    try:
        with (folder / key).open("rb") as stream:
            data = stream.read(LARGEST + 1)
        return _decoded(key, data)
    except (OSError, BundleFormatError, SchemaError, KeyError, ValueError):
        return None


def write_context(key: str, made: HourContext, environ: Mapping[str, str]) -> None:
    """Keep an entry, whole or not at all; a folder that takes none costs the next command its time and nothing else."""
    folder = _private_folder(environ)
    if folder is None:
        return
    data = _encoded(key, made)
    staged = folder / f".{uuid4().hex}"
    with suppress(OSError):
        try:
            descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
            staged.replace(folder / key)
        finally:
            staged.unlink(missing_ok=True)
        entries = sorted(folder.iterdir(), key=lambda entry: entry.stat().st_mtime_ns)
        for old in entries[:-KEPT]:
            old.unlink(missing_ok=True)


def _private_folder(environ: Mapping[str, str]) -> Path | None:
    """The folder of the entries, which this user alone may write; None where there is no such place."""
    try:
        folder = below_home(environ, "XDG_CACHE_HOME", ".cache", instead="XDG_CACHE_HOME") / "huracan" / "context"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
    except (ConfigError, OSError):
        return None
    private = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077
    return folder if private else None


def _encoded(key: str, made: HourContext) -> bytes:
    frame, context = made.context.frame, made.context
    columns = {name: frame[name].fill_null(float("nan")).to_numpy() for name in ("market_close", "dispersion")}
    head = _Head(
        key=key,
        source=context.source,
        members=context.members,
        context_hash=context.context_hash,
        bars=made.bars,
        newest_ms=made.newest_ms,
    )
    text = TypeAdapter(_Head).dump_json(head).decode()
    body = write_tensors({"open_time": frame["open_time"].to_numpy(), **columns}, text)
    return sha256_hex(body).encode() + body


def _decoded(key: str, data: bytes) -> HourContext:
    """Raises ValueError, or what `read_tensors` raises, for anything else than what was written under this key."""
    body = data[_DIGEST:]
    if sha256_hex(body).encode() != data[:_DIGEST]:
        raise ValueError("an entry does not have its own sha256")
    columns, text = read_tensors(body)
    head = TypeAdapter(_Head).validate_json(text)
    if head.key != key:
        raise ValueError("an entry of another key")
    series = [pl.Series(name, columns[name], nan_to_null=name != "open_time") for name in MarketContext.schema]
    context = MarketContext(
        frame=pl.DataFrame(series),
        source=head.source,
        members=head.members,
        context_hash=head.context_hash,
    )
    return HourContext(context=context, bars=head.bars, newest_ms=head.newest_ms)


@cache
def _code() -> str:
    """Hash of the sources that make a context of stored bytes, and of the libraries they do it with."""
    package = files("huracan")
    sources = [
        (f"{name}/{source.name}", source.read_bytes())
        for name in _MADE_BY
        for source in sorted(package.joinpath(name).iterdir(), key=lambda source: source.name)
        if source.name.endswith(".py")
    ]
    return content_hash(sources, [(name, version(name)) for name in _LIBRARIES])


@cache
def _machine() -> str:
    """The processor: libraries pick their instructions by it, and sums of another one may differ in the last digit."""
    codegen: Any = import_module("numba.core.codegen")
    return content_hash(codegen.ll.get_host_cpu_name(), codegen.get_host_cpu_features())
