"""Two sizes of one test: what the default run affords, and the full numbers of the table of guarantees."""

import os
from typing import Final

FULL: Final = os.environ.get("HURACAN_TEST_FULL") == "1"


def size(default: int, full: int) -> int:
    """The number of cases for this run."""
    return full if FULL else default
