"""From raw bars to the features of this moment, by the very code of training: validate, market context, features.

What a live caller must know of the night stands in the signed set (`LiveInputs`): the members of the market context,
the length of a bar, how often one decides, and the caps of the recipes.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field, ValidationError

from huracan.domain.bundle import Record
from huracan.domain.extras import require_extra
from huracan.domain.ids import Instrument, Market
from huracan.domain.json import Json, JsonObject
from huracan.domain.time import DAY_MS, MINUTE_MS, iso
from huracan.errors import FeatureError, FeatureSkewError, HuracanError, ModelLoadError
from huracan.hamilton.forks import refuse_lost_threads

if TYPE_CHECKING:
    import polars as pl

    from huracan.domain.frames import Bars, FeatureFrame, MarketContext

EXTRAS_KEY: Final = "live"
HISTORY_DAYS: Final = 40
"""Days of bars from which a row equals that of training: regime quantiles span 30, averages a few half-lives more."""


class _Carried(Record):
    """`LiveInputs` as the extras of a set carry them."""

    context: list[Annotated[list[str], Field(min_length=2, max_length=2)]]
    interval_ms: int
    decision_ms: int
    latency_s: int
    net_cap_share: float
    gross_cap_share: float
    daily_loss_stop: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveInputs:
    """What the night says to whoever trades its champions; read from the signed set.

    `context` maps coin to instrument id, the most liquid first. Shares are of the largest position of a horizon, over
    the mean position of its coins; `daily_loss_stop` is a fraction of capital.
    """

    context: dict[str, str]
    interval_ms: int
    decision_ms: int
    latency_s: int
    net_cap_share: float
    gross_cap_share: float
    daily_loss_stop: float

    def as_extras(self) -> JsonObject:
        """The form in which the set carries it; the order of `context` counts, so it is a list there."""
        return {
            EXTRAS_KEY: {
                "context": [[coin, name] for coin, name in self.context.items()],
                "interval_ms": self.interval_ms,
                "decision_ms": self.decision_ms,
                "latency_s": self.latency_s,
                "net_cap_share": self.net_cap_share,
                "gross_cap_share": self.gross_cap_share,
                "daily_loss_stop": self.daily_loss_stop,
            }
        }

    @classmethod
    def from_extras(cls, extras: Mapping[str, Json]) -> "LiveInputs":
        """Read a set's extras; raises ModelLoadError where a night without them (or another version's) made the set."""
        try:
            carried = _Carried.model_validate(extras[EXTRAS_KEY])
        except (KeyError, ValidationError) as error:
            seen = error.errors(include_url=False)[0]["msg"] if isinstance(error, ValidationError) else "nothing"
            raise ModelLoadError(
                f"the set does not say what live features need ({seen}): it was signed by an older run, or one with a"
                " data loader or feature builder of its own. Run a night with this version, or use predict(features)."
            ) from error
        return cls(**{**dict(carried), "context": {row[0]: row[1] for row in carried.context}})


def instrument_of(text: str) -> Instrument:
    """The instrument of an id such as ``BTCUSDT-um``; raises ModelLoadError for another form.

    >>> instrument_of("LUNAUSDT-spot~20220513").listing_end, instrument_of("BTCUSDT-spot").market
    (20220513, 'spot')
    """
    name, _, listing_end = text.partition("~")
    symbol, _, market = name.rpartition("-")
    kinds: dict[str, Market] = {"spot": "spot", "um": "um"}
    if not symbol or market not in kinds or not (listing_end or "0").isdigit():
        raise ModelLoadError(f"{text[:100]!r} is not the id of an instrument, such as BTCUSDT-um")
    return Instrument(market=kinds[market], symbol=symbol, base="", quote="", listing_end=int(listing_end or 0))


def clean_bars(
    instrument: Instrument, raw: "pl.DataFrame", funding: "pl.DataFrame | None", interval_ms: int, until_ms: int
) -> "Bars":
    """Raw rows (BAR_SCHEMA) before `until_ms`, validated, flagged and repaired as step 2 does it."""
    refuse_lost_threads()
    require_extra("hamilton", "a prediction from raw bars")
    from huracan.domain.frames import FUNDING_SCHEMA, empty
    from huracan.ingest import IngestConfig, validate_bars

    first = raw["open_time"].min() if raw.height else None
    start_ms = int(first) if isinstance(first, int) else until_ms
    settled = empty(FUNDING_SCHEMA) if funding is None else funding
    bars, _ = validate_bars(
        instrument,
        raw,
        settled,
        IngestConfig(interval_ms=interval_ms),
        start_ms=start_ms,
        end_ms=until_ms,
        vendor="live",
    )
    return bars


def observed_bars(
    instrument: Instrument, raw: "pl.DataFrame", funding: "pl.DataFrame | None", interval_ms: int, decision_ms: int
) -> "tuple[Bars, str | None]":
    """Clean bars up to a decision, and the reason why nobody may enter on them, if the market is halted.

    Halted: no real bar (`traded_bars`, as for labels and fills) closed within `patience_ms`. An exchange sends flat
    bars then, or none: where none came for up to a day, flat ones stand in, and both ways give the same answer.
    """
    bars = clean_bars(instrument, raw, funding, interval_ms, decision_ms)
    from huracan.domain.frames import patience_ms, silence_ms

    silent = silence_ms(bars, decision_ms)
    if bars.frame.is_empty() or silent < patience_ms(interval_ms):
        return bars, None
    since = "in any of these bars" if math.isinf(silent) else f"for {silent / MINUTE_MS:.0f} minutes"
    reason = (
        f"HALTED: {instrument.id} was not traded {since} before {iso(decision_ms)}, wanted a trade within"
        f" {patience_ms(interval_ms) // MINUTE_MS} minutes; no new entries, and nothing fills until it trades again"
    )
    missing = (decision_ms - int(bars.frame["open_time"][-1])) // interval_ms - 1
    if not patience_ms(interval_ms) <= missing * interval_ms <= DAY_MS:
        return bars, reason
    import polars as pl

    flat = pl.concat([raw, _flat_bars(bars.frame, missing, interval_ms)])
    return clean_bars(instrument, flat, funding, interval_ms, decision_ms), reason


def _flat_bars(clean: "pl.DataFrame", missing: int, interval_ms: int) -> "pl.DataFrame":
    """As many raw bars after the last clean one, at its close and without volume."""
    import polars as pl

    from huracan.domain.frames import BAR_SCHEMA

    last = clean.row(-1, named=True)
    nothing = {name: None if last[name] is None else 0.0 for name in BAR_SCHEMA}
    price = dict.fromkeys(("open", "high", "low", "close"), last["close"])
    rows = [{**nothing, **price, "open_time": last["open_time"] + step * interval_ms} for step in range(1, missing + 1)]
    return pl.DataFrame(rows, schema=BAR_SCHEMA)


def market_context(raw: "Mapping[str, pl.DataFrame]", inputs: LiveInputs, until_ms: int) -> "MarketContext":
    """The market from the raw bars of the context's members, by coin; raises FeatureError naming those that are
    missing.
    """
    missing = [coin for coin in inputs.context if coin not in raw]
    if missing:
        raise FeatureError(f"the market context wants bars of {', '.join(missing)} as well (LiveInputs.context)")
    members = {
        coin: clean_bars(instrument_of(name), raw[coin], None, inputs.interval_ms, until_ms)
        for coin, name in inputs.context.items()
    }
    from huracan.features import build_context

    return build_context(members, list(inputs.context))


def live_row(
    bars: "Bars", context: "MarketContext", names: Sequence[str], recipe: str, decision_ms: int
) -> dict[str, float]:
    """The model's features at a decision time.

    Raises FeatureSkewError where the model was trained on another feature recipe, FeatureError where a value is not
    known at that time: too few days of bars, or the newest bar is too old.
    """
    from huracan.features import RECIPE_ID, build_features

    where = f"{bars.instrument.id} at {iso(decision_ms)}"
    if recipe != RECIPE_ID:
        raise FeatureSkewError(f"{where}: the model was trained on features {recipe}, this version makes {RECIPE_ID}")
    if bars.frame.is_empty():
        raise FeatureError(f"{where}: no usable bar")
    import numpy as np

    try:
        frame = build_features(bars, context, np.array([decision_ms], dtype=np.int64))
    except HuracanError as error:
        raise FeatureError(f"{where}: {error}") from error
    return _checked(frame, names, where, bars, decision_ms)


def _checked(
    features: "FeatureFrame", names: Sequence[str], where: str, bars: "Bars", decision_ms: int
) -> dict[str, float]:
    absent = [name for name in names if name not in features.names]
    if absent:
        raise FeatureError(
            f"{where}: these bars cannot tell {', '.join(absent)} (taker volume, funding or market missing)"
        )
    row: dict[str, float] = features.frame.row(0, named=True)
    unknown = [name for name in names if not math.isfinite(row[name])]
    if unknown:
        times = bars.frame["open_time"]
        age = (decision_ms - int(times[-1]) - bars.interval_ms) / MINUTE_MS
        days = (int(times[-1]) - int(times[0])) / DAY_MS
        raise FeatureError(
            f"{where}: not known yet: {', '.join(unknown[:8])}; {days:.1f} days of bars (give {HISTORY_DAYS}), the newest "
            f"closed {age:.0f} minutes before"
        )
    return {name: row[name] for name in names}
