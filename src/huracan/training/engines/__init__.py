"""One module per engine; `ENGINES` is the visible mapping, `EngineSpec` what an outsider provides."""

from huracan.training.engines.registry import ENGINES, all_engines, engine_of, parameters_of, problems
from huracan.training.engines.spec import FEWEST_COLUMNS, EngineSpec

__all__ = ["ENGINES", "FEWEST_COLUMNS", "EngineSpec", "all_engines", "engine_of", "parameters_of", "problems"]
