"""The story of a night in sentences: the terminal, `explain`, both pages and the summary take it from here."""

from huracan.reports.morning import (
    KEY,
    Marks,
    Mood,
    Morning,
    Pick,
    PoolCard,
    State,
    TestLine,
    morning_body,
    read_morning,
)
from huracan.reports.story.build import morning_of, refused_morning
from huracan.reports.story.headline import refused_headline
from huracan.reports.story.ranking import entries_closed
from huracan.reports.story.sections import Spent

__all__ = [
    "KEY",
    "Marks",
    "Mood",
    "Morning",
    "Pick",
    "PoolCard",
    "Spent",
    "State",
    "TestLine",
    "entries_closed",
    "morning_body",
    "morning_of",
    "read_morning",
    "refused_headline",
    "refused_morning",
]
