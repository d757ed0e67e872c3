"""The same instrument from two sources: whether they are one venue, and where they disagree."""

from dataclasses import dataclass
from typing import Final, Literal

import polars as pl

from huracan.domain.ids import Market
from huracan.domain.time import HOUR_MS, iso

Venue = Literal["same", "other", "unclear"]

FEWEST_BARS: Final = 30
"""Traded bars that two sources must share before anything is said of their venues."""
SAME_SHARE: Final = 0.9
OTHER_SHARE: Final = 0.1
"""Two downloads from one exchange agree on all but a few bars; two exchanges have the same volume almost never."""

KNOWN_RESTATEMENTS: Final = ("2020-12-21T13:00", "2021-01-11T08:00", "2021-04-23T01:00")
"""Hours whose bars Binance changed afterwards for all spot coins: old and new downloads differ there, and neither is
damaged.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two tables of bars at their common times; shares are of the bars that were traded in either.

    same : share with equal close and equal volume. same_close : share with equal close. volume_ratio : median of ours
    over theirs where both traded, None without such a bar. close_bps : median distance of the closes. moves_apart :
    bars whose close-to-close moves differ by more than the tolerance, and `moves` how many could be compared.
    """

    bars: int
    same: float
    same_close: float
    volume_ratio: float | None
    close_bps: float
    moves: int
    moves_apart: int

    @property
    def venue(self) -> Venue:
        """Whether both tables come from one exchange."""
        if self.bars < FEWEST_BARS or OTHER_SHARE < self.same < SAME_SHARE:
            return "unclear"
        return "same" if self.same >= SAME_SHARE else "other"

    @property
    def apart_share(self) -> float:
        """Share of the moves that differ by more than the tolerance."""
        return self.moves_apart / self.moves if self.moves else 0.0


def compare_bars(ours: pl.DataFrame, theirs: pl.DataFrame, tolerance_bps: float = 50.0) -> Comparison:
    """Compare ascending bars (open_time, close, volume and more) at the times that both have."""
    both = ours.select("open_time", "close", "volume").join(
        theirs.select("open_time", "close", "volume"), on="open_time", suffix="_o"
    )
    close, volume = pl.col("close"), pl.col("volume")
    move = (close.log().diff() - pl.col("close_o").log().diff()).abs() * 1e4
    adjacent = pl.col("open_time").diff() == pl.col("open_time").diff().min()
    apart = both.select(move.filter(adjacent).alias("move"))["move"].drop_nulls()
    traded = both.filter((volume > 0) | (pl.col("volume_o") > 0))
    same_volume = (volume - pl.col("volume_o")).abs() <= 1e-9 * pl.max_horizontal(volume, "volume_o")
    said = traded.select(
        bars=pl.len(),
        same=((close == pl.col("close_o")) & same_volume).mean(),
        same_close=(close == pl.col("close_o")).mean(),
        ratio=(volume / pl.col("volume_o")).filter((volume > 0) & (pl.col("volume_o") > 0)).median(),
        level=((close / pl.col("close_o")).log().abs() * 1e4).median(),
    ).row(0, named=True)
    return Comparison(
        bars=said["bars"],
        same=said["same"] or 0.0,
        same_close=said["same_close"] or 0.0,
        volume_ratio=said["ratio"],
        close_bps=said["level"] or 0.0,
        moves=apart.len(),
        moves_apart=int((apart > tolerance_bps).sum()),
    )


def known_restatement(market: Market, open_ms: int) -> bool:
    """Whether a bar lies in an hour that the exchange is known to have changed.

    >>> from huracan.domain.time import parse_iso
    >>> known_restatement("spot", parse_iso("2021-01-11T08:59"))
    True
    >>> known_restatement("um", parse_iso("2021-01-11T08:59"))
    False
    """
    return market == "spot" and iso(open_ms // HOUR_MS * HOUR_MS)[:16] in KNOWN_RESTATEMENTS
