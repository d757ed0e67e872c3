"""How long a job takes for each of the steps it does."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class StepClock:
    """Seconds by step number, summed over all the stretches that were measured."""

    seconds: dict[int, float] = field(default_factory=dict)

    @contextmanager
    def step(self, number: int) -> Iterator[None]:
        """Count the time within to a step, after an error too."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[number] = self.seconds.get(number, 0.0) + time.perf_counter() - began
