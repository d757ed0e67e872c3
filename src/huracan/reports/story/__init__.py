"""The story of a night in sentences: the terminal, `explain`, both pages and the summary tell it from here."""

from huracan.reports.story.build import KEY, morning_of, read_morning, refused_morning
from huracan.reports.story.facts import entries_closed
from huracan.reports.story.headline import refused_headline
from huracan.reports.story.records import Marks, Mood, Morning, Pick, PoolCard, State, TestLine
from huracan.reports.story.sections import DataFacts, Spent

__all__ = [
    "KEY",
    "DataFacts",
    "Marks",
    "Mood",
    "Morning",
    "Pick",
    "PoolCard",
    "Spent",
    "State",
    "TestLine",
    "entries_closed",
    "morning_of",
    "read_morning",
    "refused_headline",
    "refused_morning",
]
