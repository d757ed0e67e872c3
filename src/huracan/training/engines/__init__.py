"""One module per engine; `ENGINES` is the visible mapping, `EngineSpec` what an outsider provides."""

from huracan.training.engines.registry import (
    ENGINES,
    EXAMPLE,
    Installed,
    all_engines,
    engine_of,
    installed_engines,
    nearest,
    parameters_of,
    problems,
    use_of,
)
from huracan.training.engines.spec import FEWEST_COLUMNS, EngineSpec

__all__ = [
    "ENGINES",
    "EXAMPLE",
    "FEWEST_COLUMNS",
    "EngineSpec",
    "Installed",
    "all_engines",
    "engine_of",
    "installed_engines",
    "nearest",
    "parameters_of",
    "problems",
    "use_of",
]
