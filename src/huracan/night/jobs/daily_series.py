"""Daily returns and volumes of one pair, as its record carries them: copies of another series are found by these."""

import base64
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from huracan.domain.night_records import EncodedSeries
from huracan.features import DailyPrices, DailyVolume

_FLOAT: Final = np.dtype("<f4")


@dataclass(frozen=True, slots=True, kw_only=True)
class DailySeries:
    """What a copy is found by, day by day from `first_day` on, shape (n,) each.

    `returns` are logarithms of close over close of the day before, NaN where either is unknown. `volume_gbp` is the
    median quote volume of the 30 days up to that one.
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

    def encoded(self) -> EncodedSeries:
        """The series as text; `decoded` reads it back."""
        return EncodedSeries(first_day=self.first_day, returns=_text(self.returns), volume_gbp=_text(self.volume_gbp))

    @classmethod
    def decoded(cls, series: EncodedSeries) -> Self:
        """The series that `encoded` wrote."""
        return cls(first_day=series.first_day, returns=_array(series.returns), volume_gbp=_array(series.volume_gbp))


def _text(values: NDArray[np.float32]) -> str:
    return base64.b64encode(values.astype(_FLOAT).tobytes()).decode()


def _array(text: str) -> NDArray[np.float32]:
    return np.frombuffer(base64.b64decode(text), _FLOAT).astype(np.float32)
