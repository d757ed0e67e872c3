"""The safetensors container, read by ourselves: a header of names, types, shapes and offsets, then raw numbers.

Native parsers are not memory-safe on damaged files, so Hamilton reaches none; this reader is slices and checks.
"""

import json
from collections.abc import Mapping
from typing import TypeGuard

import numpy as np

from huracan.domain.arrays import F64, I64
from huracan.domain.json import Json
from huracan.domain.strict import strict_json
from huracan.errors import BundleFormatError

Tensor = F64 | I64

_DTYPES = {"F64": "<f8", "I64": "<i8"}
_MAX_HEADER = 4 * 1024 * 1024
_MAX_DIMENSIONS = 3


def write_tensors(tensors: Mapping[str, Tensor], metadata: str) -> bytes:
    """Safetensors bytes of float64 and int64 arrays, with one metadata string; equal input, equal bytes."""
    from safetensors.numpy import save

    arrays = {name: np.ascontiguousarray(array) for name, array in sorted(tensors.items())}
    # One entry only: the writer keeps metadata in a hash map, so the order of several would vary.
    return bytes(save(arrays, metadata={"huracan": metadata}))


def read_tensors(data: bytes) -> tuple[dict[str, Tensor], str]:
    """Arrays (own memory, writable) and the metadata string; raises BundleFormatError for anything irregular.

    The tensors must cover the data part without hole or overlap, and be float64 or int64 of at most 3 dimensions.
    """
    header, body = _split(data)
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict) or set(metadata) != {"huracan"} or not isinstance(metadata["huracan"], str):
        raise BundleFormatError("model file: no huracan metadata in the header")
    spans: list[tuple[int, int]] = []
    tensors: dict[str, Tensor] = {}
    for name, entry in header.items():
        start, end, dtype, shape = _entry(name, entry, len(body))
        spans.append((start, end))
        tensors[name] = np.frombuffer(body[start:end], dtype=dtype).astype(dtype[1:]).reshape(shape)
    position = 0
    for start, end in sorted(spans):
        if start != position:
            raise BundleFormatError(f"model file: tensors overlap or leave a hole at byte {position}")
        position = end
    if position != len(body):
        raise BundleFormatError(f"model file: {len(body) - position} bytes belong to no tensor")
    return tensors, metadata["huracan"]


def _split(data: bytes) -> tuple[dict[str, Json], memoryview]:
    if len(data) < 8:
        raise BundleFormatError(f"model file: {len(data)} bytes, wanted at least 8")
    length = int.from_bytes(data[:8], "little")
    if length > min(_MAX_HEADER, len(data) - 8):
        raise BundleFormatError(f"model file: header of {length} bytes in a file of {len(data)}")
    header = strict_json(data[8 : 8 + length], _MAX_HEADER, what="model file header")
    if not isinstance(header, dict):
        raise BundleFormatError("model file: the header is not an object")
    return header, memoryview(data)[8 + length :]


def _entry(name: str, entry: Json, size: int) -> tuple[int, int, str, tuple[int, ...]]:
    where = f"model file: tensor {json.dumps(name[:60])}"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise BundleFormatError(f"{where}: wanted exactly dtype, shape and data_offsets")
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not isinstance(entry["dtype"], str) or entry["dtype"] not in _DTYPES:
        raise BundleFormatError(f"{where}: dtype {str(entry['dtype'])[:20]!r}, wanted F64 or I64")
    if not _naturals(shape) or len(shape) > _MAX_DIMENSIONS or not _naturals(offsets) or len(offsets) != 2:
        raise BundleFormatError(f"{where}: shape or offsets are not lists of natural numbers")
    start, end = offsets
    count = 1
    for length in shape:
        count *= length
    if not start <= end <= size or end - start != 8 * count:
        raise BundleFormatError(f"{where}: offsets {start}-{end} do not fit shape {shape} in {size} bytes")
    return start, end, _DTYPES[entry["dtype"]], tuple(shape)


def _naturals(value: Json) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 2**40 for item in value)
