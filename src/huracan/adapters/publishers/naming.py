"""Names in a store: which version a path belongs to, and which names are older than everything signed."""

import re
from collections.abc import Iterable
from typing import Final

from huracan.domain.bundle import MANIFEST_FILE
from huracan.export.trust import TrustedTree

KEEP_VERSIONS: Final = 14
"""Versions of each champion, and sets, that stay listed: any of them can be rolled back to."""

MIRRORS_FILE: Final = ".mirrors.json"
"""In the folder store: by remote store, its publish state and the last pointer both had in common."""

MANIFEST_PATH: Final = re.compile(r"(models/[^/]+/[^/]+)/v([1-9][0-9]*)/manifest\.json")
SET_PATH: Final = re.compile(r"sets/([1-9][0-9]*)\.json")

_VERSION_PATH = re.compile(r"(models/[^/]+/[^/]+)/v([1-9][0-9]*)/")
_METADATA_PATH = re.compile(r"metadata/([1-9][0-9]*)\.(?:targets|snapshot)\.json")


def version_of(path: str) -> tuple[str, int] | None:
    """The numbered family of a file and its number: ("models/BTC/1h", 3), ("sets", 7); None for other files.

    Lists and sets are numbered together, so both belong to "sets".

    >>> version_of("models/BTC/1h/v3/golden.json")
    ('models/BTC/1h', 3)
    >>> version_of("metadata/7.targets.json"), version_of("metadata/1.root.json")
    (('sets', 7), None)
    """
    if (match := _VERSION_PATH.match(path)) is not None:
        return match[1], int(match[2])
    match = SET_PATH.fullmatch(path) or _METADATA_PATH.fullmatch(path)
    return None if match is None else ("sets", int(match[1]))


def newest_versions(files: Iterable[str]) -> dict[str, int]:
    """The highest version of each bundle folder among signed manifests."""
    newest: dict[str, int] = {}
    for path in files:
        match = MANIFEST_PATH.fullmatch(path)
        if match is not None:
            newest[match[1]] = max(newest.get(match[1], 0), int(match[2]))
    return newest


def outdated_places(paths: Iterable[str], tree: TrustedTree) -> list[str]:
    """As `outdated`, a bundle version as its folder; sorted."""
    to_delete = set()
    for path in outdated(paths, tree):
        family, number = version_of(path) or ("", 0)
        to_delete.add(path if family == "sets" else f"{family}/v{number}")
    return sorted(to_delete)


def outdated(paths: Iterable[str], tree: TrustedTree) -> set[str]:
    """Files that no signed list names and that are older than what the lists hold.

    Newer ones are left alone: they are orphans of a crashed run, or of one that publishes right now.
    """
    newest, oldest_set = newest_versions(tree.files), min(tree.seen.targets, tree.seen.snapshot) - KEEP_VERSIONS
    found = set()
    for path in paths:
        family, number = version_of(path) or ("", 0)
        if family == "sets":
            old = path not in tree.files and number <= oldest_set
        else:
            listed = f"{family}/v{number}/{MANIFEST_FILE}" in tree.files
            old = family != "" and not listed and number < newest.get(family, 0)
        if old:
            found.add(path)
    return found
