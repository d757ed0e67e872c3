"""What an engine is: one idea about price, the features that express it, and the estimator that weighs them."""

from dataclasses import dataclass, field
from typing import Literal

Estimator = Literal["ridge", "lightgbm"]

FEWEST_COLUMNS = 2
"""An engine left with fewer columns than this has lost its idea and abstains."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSpec:
    """One engine. `version` is raised by hand whenever its forecasts change.

    wants: features in order; those the data cannot support are dropped. Empty: every feature there is.
    required: features without which the idea is gone, so the engine abstains. `parameters` are defaults that a
    recipe's EngineUse may override; ridge engines have none of their own.
    """

    name: str
    version: int
    estimator: Estimator
    idea: str
    wants: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    parameters: tuple[tuple[str, float], ...] = field(default_factory=tuple)

    def columns(self, available: tuple[str, ...]) -> tuple[str, ...]:
        """The features this engine uses of those available, in its own order; empty when it abstains.

        >>> spec = EngineSpec(name="x", version=1, estimator="ridge", idea="", wants=("a", "b", "c"), required=("b",))
        >>> spec.columns(("c", "b")), spec.columns(("a", "c"))
        (('b', 'c'), ())
        """
        if any(name not in available for name in self.required):
            return ()
        used = tuple(name for name in self.wants if name in available) if self.wants else available
        return used if len(used) >= FEWEST_COLUMNS else ()
