"""Makes the worker functions importable here; worker processes get this import path."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent / "workers"), str(Path(__file__).parent)]
