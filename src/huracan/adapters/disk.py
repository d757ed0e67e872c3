"""Which failures of a native library mean that the disk is full."""

import re

_FULL = re.compile(r"os error (?:28|122)\b|No space left on device|[Dd]isk quota exceeded")


def is_disk_full(error: BaseException) -> bool:
    """True for ENOSPC and EDQUOT, also where a native library only left the words."""
    return getattr(error, "errno", None) in {28, 122} or _FULL.search(str(error)) is not None
