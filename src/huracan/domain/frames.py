"""What flows between steps: polars frames inside frozen dataclasses, schema checked once when built.

All times are int64 milliseconds UTC. All prices are in quote currency, volumes say their asset.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final

import numpy as np
import polars as pl

from huracan.domain.arrays import Bool
from huracan.domain.ids import Instrument
from huracan.domain.time import HOUR_MS, MINUTE_MS, Horizon
from huracan.errors import SchemaError

Schema = Mapping[str, pl.DataType | type[pl.DataType]]
"""Columns of a frame in their order, with their types."""

# Bar flags, added up in the `flags` column.
REPAIRED: Final = 1  # filled by us: never a fill, never a label price
HALT: Final = 2  # part of a run of flat, silent bars
PANIC: Final = 4  # extreme but real; kept
OUTLIER: Final = 8  # suspicious, kept and counted
UNREAL: Final = REPAIRED | HALT  # nothing happened in it: its price repeats the last real one

PATIENCE_MS: Final = 10 * MINUTE_MS
"""How far from a decision a price may lie: a fill waits no longer for a trade, and a market silent for as long is
halted.
"""

REGIMES: Final = ("trend", "range", "panic", "illiquid")
REGIME_CODE: Final = {name: code for code, name in enumerate(REGIMES)}

BAR_SCHEMA: Final[Schema] = {
    "open_time": pl.Int64,  # start of the bar
    "open": pl.Float64,
    "high": pl.Float64,
    "low": pl.Float64,
    "close": pl.Float64,
    "volume": pl.Float64,  # base asset
    "quote_volume": pl.Float64,  # quote asset; null where the source has none
    "trades": pl.Float64,  # count; null where the source has none
    "taker_base": pl.Float64,  # taker buy volume, base asset; null where the source has none
    "taker_quote": pl.Float64,  # taker buy volume, quote asset; null where the source has none
}
"""Rows as the exchange publishes them; what the lake stores (plus `vendor`)."""

CLEAN_SCHEMA: Final[Schema] = {
    **BAR_SCHEMA,
    "flags": pl.Int32,
    "segment": pl.Int32,  # rises by one after every hole longer than a day; features start afresh there
}

FUNDING_SCHEMA: Final[Schema] = {
    "funding_time": pl.Int64,  # settlement, rounded to the minute
    "rate": pl.Float64,  # fraction of notional; positive: longs pay
    "interval_hours": pl.Float64,  # from consecutive settlements, null for the first
}
HOLES_SCHEMA: Final[Schema] = {
    "start_ms": pl.Int64,
    "end_ms": pl.Int64,  # the stretch of time whose funding is not known
    "missing": pl.Int64,  # settlements that lie in it
    "worst_bps_per_day": pl.Float64,  # of the settlements nearby, either sign; 0 where there are none
}
"""Where a perpetual's settlements are missing: ascending, without overlap."""
LONGEST_FUNDING_MS: Final = 8 * HOUR_MS
"""The longest a perpetual goes without settling; a longer gap is a hole."""


def empty(schema: Schema) -> pl.DataFrame:
    """A frame without rows of the given schema."""
    return pl.DataFrame(schema=schema)


def check_schema(frame: pl.DataFrame, schema: Schema, what: str) -> None:
    """Raise SchemaError unless the frame has exactly these columns, types and order."""
    seen, wanted = dict(frame.schema), dict(schema)
    if list(seen.items()) != list(wanted.items()):
        message = f"{what}: columns {seen}, wanted {wanted}"
        raise SchemaError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """Validated bars of one instrument: ascending `open_time` on the grid, no duplicates, finite prices > 0.

    Holes longer than the repair limit stay holes. `vendor` says who delivered them; `data_hash` covers
    the values and not the file layout. `funding` is empty on spot; `funding_known` is False where any
    of a perpetual's settlements is missing, and `funding_holes` (HOLES_SCHEMA) says where.
    """

    schema: ClassVar[Schema] = CLEAN_SCHEMA

    instrument: Instrument
    interval_ms: int
    frame: pl.DataFrame
    funding: pl.DataFrame = field(default_factory=lambda: empty(FUNDING_SCHEMA))
    funding_known: bool = True
    funding_holes: pl.DataFrame = field(default_factory=lambda: empty(HOLES_SCHEMA))
    vendor: str = "binance"
    data_hash: str = ""

    def __post_init__(self) -> None:
        check_schema(self.frame, CLEAN_SCHEMA, f"bars of {self.instrument.id}")
        check_schema(self.funding, FUNDING_SCHEMA, f"funding of {self.instrument.id}")
        check_schema(self.funding_holes, HOLES_SCHEMA, f"holes in the funding of {self.instrument.id}")


def patience_ms(interval_ms: int) -> int:
    """`PATIENCE_MS`, or one bar where bars are longer: silence shorter than a bar cannot be seen."""
    return max(PATIENCE_MS, interval_ms)


def traded_bars(frame: pl.DataFrame) -> Bool:
    """True where somebody traded: volume, neither repaired nor part of a halt (CLEAN_SCHEMA in).

    The one definition of a real bar. Only such bars fill, label, mark and end a life, and only they make data young.
    """
    return np.asarray((frame["flags"].to_numpy() & UNREAL == 0) & (frame["volume"].to_numpy() > 0.0))


def silence_ms(bars: Bars, now_ms: int) -> float:
    """Time from the close of the newest real bar to now; infinite without one."""
    real = np.flatnonzero(traded_bars(bars.frame))
    return now_ms - int(bars.frame["open_time"][int(real[-1])]) - bars.interval_ms if real.size else math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketContext:
    """The market as seen from bars before the cut-off; content-addressed, one per night.

    `frame`: open_time, market_close (index level known at the *close* of that bar), dispersion (cross-sectional
    sd of the last hour's returns, fraction). `source` is ``BTC`` or ``equal_weight``.
    """

    schema: ClassVar[Schema] = {"open_time": pl.Int64, "market_close": pl.Float64, "dispersion": pl.Float64}

    frame: pl.DataFrame
    source: str
    members: tuple[str, ...]
    context_hash: str

    def __post_init__(self) -> None:
        check_schema(self.frame, self.schema, "market context")


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureFrame:
    """One row per decision time; every value is known at `decision_time`.

    `frame`: decision_time (int64), then `names` in order (float64). A row that is still warming up has NaN and
    `valid` False. Columns the data cannot support are left out of `names` and listed in `absent`.
    Always among the names: ``regime`` (code, see REGIMES) and ``sigma_day_bps`` (ex-ante daily volatility).
    Side columns, after the names: `spread_bps` (null = unknown), `volume_day_quote` (median daily quote volume
    of the last 30 days), `valid` (bool).
    """

    instrument: Instrument
    recipe_id: str
    names: tuple[str, ...]
    absent: tuple[str, ...]
    frame: pl.DataFrame

    SIDE: ClassVar[Schema] = {"spread_bps": pl.Float64, "volume_day_quote": pl.Float64, "valid": pl.Boolean}

    @property
    def warm(self) -> pl.Series:
        """Rows on which a decision can be made: valid, or past the first valid row with volatility and regime known.

        On the latter another feature is missing: it warms up after a gap, or its source has stopped.
        """
        needed = [name for name in ("regime", "sigma_day_bps") if name in self.names]
        known = pl.all_horizontal(pl.lit(value=bool(needed)), *(pl.col(name).is_finite() for name in needed))
        valid = pl.col("valid").fill_null(value=False)
        warm = valid | (valid.cum_max() & known.fill_null(value=False))
        return self.frame.select(warm.alias("warm")).to_series()

    def __post_init__(self) -> None:
        schema = {"decision_time": pl.Int64, **dict.fromkeys(self.names, pl.Float64), **self.SIDE}
        check_schema(self.frame, schema, f"features of {self.instrument.id}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledSet:
    """Forward returns per decision, row-aligned with the FeatureFrame they were made for.

    `frame`: decision_time, fill_time (open of the first real minute at or after decision + latency), label_end
    (fill_time + horizon), exit_time, fill_price, exit_price, forward_bps (simple return of the price, bps, no
    costs), weight (average uniqueness, 0..1). Null where no real fill exists within ten minutes.
    """

    schema: ClassVar[Schema] = {
        "decision_time": pl.Int64,
        "fill_time": pl.Int64,
        "label_end": pl.Int64,
        "exit_time": pl.Int64,
        "fill_price": pl.Float64,
        "exit_price": pl.Float64,
        "forward_bps": pl.Float64,
        "weight": pl.Float64,
    }

    horizon: Horizon
    frame: pl.DataFrame

    def __post_init__(self) -> None:
        check_schema(self.frame, self.schema, f"labels at {self.horizon}")


FORECAST_SCHEMA_HEAD: Final[Schema] = {"decision_time": pl.Int64, "fold_day": pl.Int64, "regime": pl.Int64}
"""Out-of-fold forecasts start with these; then one float64 column per engine: raw forecast in bps, NaN = abstains."""


PANEL_SCHEMA: Final[Schema] = {
    "time": pl.Int64,  # a fill, a day's first real price, or a stop; ascending
    "position": pl.Float64,  # signed fraction of the coin's capital, held from `time` to the next row
    "return_bps": pl.Float64,  # price move to the next row, bps of notional, unsigned by side
    "funding_bps": pl.Float64,  # funding a long pays until the next row, bps of notional
    "fee_bps": pl.Float64,  # per unit of turnover at `time`, one way
    "spread_bps": pl.Float64,  # half spread per unit of turnover (stress spread in panic minutes)
    "impact_bps": pl.Float64,  # impact per unit of turnover at the traded size
    "open_trade": pl.Int64,  # number of the round trip open after `time`, -1 when flat
}
"""The simulated path of one (coin, horizon, recipe): enough to re-book it at other sizes or costs."""


DAILY_SCHEMA: Final[Schema] = {
    "day": pl.Int64,  # UTC day number
    "net_bps": pl.Float64,  # of capital, marked to market at the day's first real price
    "gross_bps": pl.Float64,
    "fees_bps": pl.Float64,
    "spread_bps": pl.Float64,
    "impact_bps": pl.Float64,
    "funding_bps": pl.Float64,
    "turnover": pl.Float64,  # sum of |change of position|
    "exposure": pl.Float64,  # time-averaged |position|
    "valid": pl.Boolean,  # decided on data integrity alone
}
"""Daily results of a coin or a pool: the observations that promotion looks at."""


TRADE_SCHEMA: Final[Schema] = {
    "entry_time": pl.Int64,
    "exit_time": pl.Int64,
    "side": pl.Int64,  # +1 long, -1 short
    "position": pl.Float64,  # |fraction of capital| at entry
    "entry_price": pl.Float64,
    "exit_price": pl.Float64,
    "gross_bps": pl.Float64,  # what entry and exit price say, of notional at entry
    "rebalance_bps": pl.Float64,  # what holding a constant share of capital from day to day adds to that
    "cost_bps": pl.Float64,  # fees + spread + impact + funding, of notional
    "net_bps": pl.Float64,  # gross + rebalance - cost: what the days were booked with
    "rolls": pl.Int64,  # how often it rolled over at label_end
    "forecast_bps": pl.Float64,
    "score": pl.Float64,  # signed consensus at entry
    "regime": pl.Int64,
    "reason": pl.String,  # closed | turned | stopped | end
}
"""Realised round trips, for reports and the coin filter; promotion never reads them."""
