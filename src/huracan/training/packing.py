"""Records of arrays as bytes: safetensors with a JSON head, read back strictly. The bytes come from workers."""

import json
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

from huracan.domain.bundle import Record
from huracan.domain.ids import canonical_json
from huracan.errors import SchemaError

Head = TypeVar("Head", bound=Record)

_HEAD = "head"


def pack(kind: str, head: Mapping[str, object], arrays: Mapping[str, np.ndarray[Any, Any]]) -> bytes:
    """Bytes of a record of this kind; equal contents give equal bytes."""
    text = canonical_json({"kind": kind, **head})
    named = {name: np.ascontiguousarray(array) for name, array in sorted(arrays.items())}
    return save({_HEAD: np.frombuffer(text, dtype=np.uint8), **named})


def unpack(
    kind: str, data: bytes, wanted: Mapping[str, tuple[type[np.generic], int]], head_type: type[Head]
) -> tuple[Head, dict[str, np.ndarray[Any, Any]]]:
    """Head and arrays of a packed record; `wanted` gives dtype and number of dimensions of each array.

    Raises SchemaError unless the kind, the head, the names, the types and finiteness are as wanted.
    """
    try:
        arrays = load(data)
        head = json.loads(arrays.pop(_HEAD).tobytes())
    except (SafetensorError, KeyError, ValueError) as error:
        raise SchemaError(f"{kind}: unreadable bytes ({error}); delete the artefact and run again") from error
    if not isinstance(head, dict) or head.get("kind") != kind or set(arrays) != set(wanted):
        raise SchemaError(f"{kind}: bytes hold {sorted(arrays)} of another kind; delete the artefact and run again")
    for name, (dtype, dimensions) in wanted.items():
        array = arrays[name]
        if array.dtype != dtype or array.ndim != dimensions or not np.isfinite(array).all():
            raise SchemaError(f"{kind}: {name} is {array.dtype}{array.shape}, wanted finite {dtype} in {dimensions}-d")
    del head["kind"]
    try:
        return head_type.model_validate(head), arrays
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise SchemaError(
            f"{kind}: head: {problem['loc']}: {problem['msg']}; delete the artefact and run again"
        ) from error
