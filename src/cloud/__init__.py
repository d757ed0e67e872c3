"""The documented import paths: explicit re-exports of `huracan`, and nothing else."""

import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("huracan") is None:  # a bare checkout: the sources stand beside this package
    sys.path.append(str(Path(__file__).parents[1]))
