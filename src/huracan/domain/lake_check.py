"""The last comparison of the lake with other sources, as its file has it."""

from typing import TypedDict


class ComparedDay(TypedDict):
    """One instrument's day against another source; `mismatch` says whether they disagree."""

    instrument: str
    against: str
    mismatch: bool


class LakeCheck(TypedDict):
    """When what was compared (`checked`, ISO), with which second venue (None: with none), and what came of it."""

    checked: str
    venue: str | None
    comparisons: list[ComparedDay]
    mismatches: list[ComparedDay]
