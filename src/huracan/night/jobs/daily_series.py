"""Daily returns and volumes of one pair, as its record carries them: copies of another series are found by these."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from huracan.features import DailyPrices, DailyVolume

_FLOAT: Final = np.dtype("<f4")


@dataclass(frozen=True, slots=True, kw_only=True)
class DailySeries:
    """What a copy is told by, day by day from `first_day` on, shape (n,) each.

    `returns` are logarithms of close over close of the day before, NaN where either is unknown. `volume_gbp` is the median
    quote volume of the 30 days up to that one.
    """

    first_day: int
    returns: NDArray[np.float32]
    volume_gbp: NDArray[np.float32]

    @classmethod
    def of(cls, prices: DailyPrices, volume: DailyVolume, quote_per_gbp: float) -> Self:
        """The series of one pair's bars."""
        if not prices.day.size:
            none = np.empty(0, np.float32)
            return cls(first_day=0, returns=none, volume_gbp=none)
        first = int(prices.day[0])
        size = int(prices.day[-1]) - first + 1
        level, median = np.full(size, np.nan), np.full(size, np.nan)
        level[prices.day - first] = np.log(prices.close)
        inside = (volume.day >= first) & (volume.day < first + size)
        median[volume.day[inside] - first] = volume.median[inside] / quote_per_gbp
        returns = np.diff(level, prepend=np.nan)
        return cls(first_day=first, returns=returns.astype(np.float32), volume_gbp=median.astype(np.float32))

    def to_record(self) -> dict[str, Any]:
        """JSON values, about 12 bytes a day; `from_record` reads them back."""
        return {"first_day": self.first_day, **{name: _text(getattr(self, name)) for name in ("returns", "volume_gbp")}}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """The series that `to_record` wrote."""
        returns, volume = (_array(record[name]) for name in ("returns", "volume_gbp"))
        return cls(first_day=record["first_day"], returns=returns, volume_gbp=volume)


def _text(values: NDArray[np.float32]) -> str:
    return base64.b64encode(values.astype(_FLOAT).tobytes()).decode()


def _array(text: str) -> NDArray[np.float32]:
    return np.frombuffer(base64.b64decode(text), _FLOAT).astype(np.float32)
