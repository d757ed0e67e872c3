"""Artefacts that somebody else writes to: what lies there by kind, and ways to alter it."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace

from huracan.domain.bundle import model_from_bytes, model_to_bytes
from huracan.domain.ids import canonical_json, sha256_hex
from huracan.night.jobs.artefacts import RECORD


def kind_of(key: str) -> str:
    """What a key holds: ``train/model.safetensors``, ``prepare/result.json``, ``prior``."""
    first, _, rest = key.partition("/")
    return first if first == "prior" else f"{first}/{rest.rpartition('/')[2]}"


def root_of(key: str) -> str:
    """The folder of the record that a key belongs to."""
    return "/".join(key.split("/")[:2])


def flipped(data: bytes, rng: random.Random) -> bytes:
    """The bytes with one bit the other way."""
    bit = rng.randrange(8 * len(data))
    return data[: bit // 8] + bytes([data[bit // 8] ^ (1 << bit % 8)]) + data[bit // 8 + 1 :]


def rounds(keys: Iterable[str], wanted: Counter[str], rng: random.Random) -> Iterator[list[str]]:
    """Keys to alter, night by night: one of each record at a time, until each kind has had as many as wanted."""
    left = Counter(wanted)
    by_root: dict[str, list[str]] = defaultdict(list)
    for key in keys:
        by_root[root_of(key)].append(key)
    while left.total() > 0:
        chosen = []
        for of_root in by_root.values():
            kinds = {kind_of(key) for key in of_root}
            kind = max(sorted(kinds), key=lambda name: left[name])
            if left[kind] > 0:
                left[kind] -= 1
                chosen.append(rng.choice([key for key in of_root if kind_of(key) == kind]))
        yield chosen


def with_signs_flipped(model: bytes) -> bytes:
    """A model that loads and forecasts the opposite."""
    read = model_from_bytes(model)
    return model_to_bytes(replace(read, coef=-read.coef))


def forged(record: dict, root: str, files: dict[str, bytes]) -> bytes:
    """A record's bytes that name the sha256 of altered files (by key): what a careful forger writes."""
    for folder, part in ((root, record), *((cell["root"], cell) for cell in record.get("cells", []))):
        for name in part.get("files", {}):
            part["files"][name] = sha256_hex(files[f"{folder}/{name}"])
    return canonical_json(record)


def record_key(root: str) -> str:
    """The key of a root's record."""
    return f"{root}/{RECORD}"
