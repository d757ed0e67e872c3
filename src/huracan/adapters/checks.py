"""The last comparison of the lake with other sources, kept in the workdir for the nights after it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from huracan.adapters.reports import write_atomically
from huracan.domain.lake_check import LakeCheck
from huracan.domain.time import parse_iso
from huracan.errors import ConfigError
from huracan.reports import json_text

CHECK_FILE: Final = "vendor-check.json"
_ROW: Final = frozenset({"instrument", "against", "mismatch"})
"""Fields of every comparison."""


def keep_check(workdir: Path, body: Mapping[str, object]) -> Path:
    """Replace the last comparison."""
    return write_atomically(workdir / CHECK_FILE, json_text(body).encode())


def last_check(workdir: Path) -> LakeCheck | None:
    """The last comparison, None where there was none or its file is damaged: no night fails for it."""
    try:
        body: LakeCheck = json.loads((workdir / CHECK_FILE).read_text(encoding="utf-8"))
        parse_iso(body["checked"])
        whole = all(row.keys() >= _ROW for row in (*body["comparisons"], *body["mismatches"])) and "venue" in body
    except (OSError, ValueError, TypeError, AttributeError, KeyError, ConfigError):
        return None
    return body if whole else None
