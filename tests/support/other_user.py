"""Commands as an ordinary user who has no passwd entry and no home, while the tests are root."""

import os
import shutil
from typing import Final

import pytest

USER: Final = 54321
_MAY_READ: Final = "+dac_read_search"  # an interpreter below another's home can be had
AS_USER: Final = (
    "setpriv",
    f"--reuid={USER}",
    f"--regid={USER}",
    "--clear-groups",
    f"--inh-caps={_MAY_READ}",
    f"--ambient-caps={_MAY_READ}",
)
"""What stands before such a command."""

needs_root = pytest.mark.skipif(os.getuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv")
