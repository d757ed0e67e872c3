"""The live page over HTTP: reads a workdir and a store, writes nothing, answers GET only."""

from huracan.adapters.dashboard.access import Access, checked_access
from huracan.adapters.dashboard.reading import WorkdirReader

__all__ = ["Access", "WorkdirReader", "checked_access"]
