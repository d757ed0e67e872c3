"""From a snapshot of the exchange to tonight's members, by visible thresholds in a fixed order."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from huracan.domain.ids import DELISTED, Instrument
from huracan.domain.records import Candidate, Quote, Skip, SkipCode, Snapshot, Universe
from huracan.universe.historical import historical_constituents
from huracan.universe.names import PERPETUAL, coin_keys
from huracan.universe.pegged import PEGGED
from huracan.universe.spreads import tier_key, tier_medians

STEP = 1
NO_QUOTE = Quote(volume_24h_quote=None, bid=None, ask=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class UniverseConfig:
    """Who may be a member: quote assets in order of interest, 24 h volume in GBP, full quoted spread in bps."""

    quote_assets: tuple[str, ...] = ("USDT", "USDC", "FDUSD")
    market: Literal["auto", "um", "spot"] = "auto"
    min_liquidity_gbp: float = 10_000_000.0
    max_spread_bps: float = 8.0
    max_coins: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    instrument: Instrument
    quote: Quote
    volume_gbp: float | None
    pegged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refusal:
    code: SkipCode
    reason: str
    measured: float | str | None
    wanted: float | str | None


def build_universe(
    snapshot: Snapshot,
    config: UniverseConfig,
    horizons: Sequence[str],
    archived: Iterable[Instrument] = (),
    since_ms: int | None = None,
) -> Universe:
    """Members by falling 24 h volume, and one Skip per horizon for every other pair of the quote assets.

    Instruments of other quote assets are no pairs of ours and leave no trace. A spread that is not quoted passes
    (measured in step 2; `tier_spreads` are the medians of those that are quoted, wide ones included). `max_coins` keeps
    the most liquid. |members| + |skips| / |horizons| = listed pairs. `former` are listed pairs that do not trade any
    more or too little, and what else the archive remembers (`archived`); `since_ms` is the first instant of the
    history.
    """
    pairs = _look(snapshot, config)
    accepted: list[_Seen] = []
    refused: list[tuple[Instrument, _Refusal]] = []
    for seen in pairs:
        refusal = next(filter(None, (check(seen, config) for check in _CHECKS)), None)
        if refusal is None:
            accepted.append(seen)
        else:
            refused.append((seen.instrument, refusal))
    accepted.sort(key=lambda seen: (-(seen.volume_gbp or 0.0), seen.instrument.id))
    kept = accepted[: config.max_coins]
    for place, seen in enumerate(accepted[len(kept) :], start=len(kept) + 1):
        reason = f"{place} by liquidity, beyond max_coins"
        refused.append(
            (seen.instrument, _Refusal(code=SkipCode.MAX_COINS, reason=reason, measured=place, wanted=config.max_coins))
        )
    members = tuple(_candidate(seen) for seen in kept)
    skips = tuple(_skip(instrument, horizon, refusal) for instrument, refusal in refused for horizon in horizons)
    others = [_candidate(seen) for seen in pairs if _fell_out(seen, config)]
    keys = frozenset(seen.instrument.coin for seen in pairs)
    listed = {(one.market, one.symbol) for one in snapshot.instruments}
    forgotten = [
        replace(one, status=DELISTED)
        for one in archived
        if (one.market, one.symbol) not in listed and snapshot.quote_per_gbp.get(one.quote)
    ]
    return Universe(
        now_ms=snapshot.now_ms,
        members=members,
        skips=skips,
        tier_spreads=tuple(_tier_spreads(pairs, config).items()),
        historical=historical_constituents(
            others,
            members,
            forgotten=forgotten,
            taken=keys,
            market=config.market,
            most=config.max_coins,
            since_ms=since_ms,
        ),
    )


def _candidate(seen: _Seen) -> Candidate:
    return Candidate(
        instrument=seen.instrument, volume_24h_gbp=seen.volume_gbp or 0.0, spread_bps=seen.quote.spread_bps
    )


def _fell_out(seen: _Seen, config: UniverseConfig) -> bool:
    """Whether a pair does not trade now, or too little, though it is of the kind that may be a member."""
    if any(check(seen, config) for check in (_contract_type, _pegged)):
        return False
    return _status(seen, config) is not None or (seen.volume_gbp is not None and _liquidity(seen, config) is not None)


def _tier_spreads(pairs: Sequence[_Seen], config: UniverseConfig) -> dict[str, float]:
    """Median spread by tier of all pairs that could be members but for their volume or spread."""
    return tier_medians(
        (tier_key(seen.instrument.market, seen.volume_gbp), seen.quote.spread_bps)
        for seen in pairs
        if seen.volume_gbp is not None and seen.quote.spread_bps is not None
        if not any(check(seen, config) for check in _KIND_CHECKS)
    )


def _look(snapshot: Snapshot, config: UniverseConfig) -> list[_Seen]:
    pairs = [i for i in snapshot.instruments if i.quote in config.quote_assets]
    volumes = {i.id: _volume_gbp(i, snapshot) for i in pairs}
    keys = coin_keys(pairs, config.market, volumes)
    return [
        _Seen(
            instrument=replace(pair, coin=keys[pair.id]),
            quote=snapshot.quotes.get(pair.id, NO_QUOTE),
            volume_gbp=volumes[pair.id],
            pegged=pair.base in PEGGED,
        )
        for pair in pairs
    ]


def _volume_gbp(instrument: Instrument, snapshot: Snapshot) -> float | None:
    volume = snapshot.quotes.get(instrument.id, NO_QUOTE).volume_24h_quote
    rate = snapshot.quote_per_gbp.get(instrument.quote)
    return None if volume is None or not rate else volume / rate


def _status(seen: _Seen, config: UniverseConfig) -> _Refusal | None:
    del config
    status = seen.instrument.status
    if status == "TRADING":
        return None
    if status == DELISTED:
        reason = "the exchange refuses the symbol by now"
        return _Refusal(code=SkipCode.DELISTED, reason=reason, measured=status, wanted="TRADING")
    return _Refusal(code=SkipCode.NOT_TRADING, reason=f"status {status}", measured=status, wanted="TRADING")


def _contract_type(seen: _Seen, config: UniverseConfig) -> _Refusal | None:
    del config
    kind = seen.instrument.contract_type
    if kind in {None, PERPETUAL}:
        return None
    return _Refusal(code=SkipCode.CONTRACT_TYPE, reason=f"contract type {kind}", measured=kind, wanted=PERPETUAL)


def _pegged(seen: _Seen, config: UniverseConfig) -> _Refusal | None:
    del config
    if not seen.pegged:
        return None
    base = seen.instrument.base
    return _Refusal(
        code=SkipCode.PEGGED, reason=f"{base} is pegged to a currency", measured=base, wanted="a free price"
    )


def _liquidity(seen: _Seen, config: UniverseConfig) -> _Refusal | None:
    volume, wanted = seen.volume_gbp, config.min_liquidity_gbp
    if volume is None:
        reason = f"24 h volume in GBP unknown (quote asset {seen.instrument.quote})"
        return _Refusal(code=SkipCode.ILLIQUID, reason=reason, measured=None, wanted=wanted)
    if volume >= wanted:
        return None
    return _Refusal(code=SkipCode.ILLIQUID, reason="24 h volume in GBP too small", measured=volume, wanted=wanted)


def _spread(seen: _Seen, config: UniverseConfig) -> _Refusal | None:
    spread, wanted = seen.quote.spread_bps, config.max_spread_bps
    if spread is None or spread <= wanted:
        return None
    return _Refusal(code=SkipCode.SPREAD_TOO_WIDE, reason="quoted spread too wide", measured=spread, wanted=wanted)


_Check = Callable[[_Seen, UniverseConfig], _Refusal | None]
_KIND_CHECKS: tuple[_Check, ...] = (_status, _contract_type, _pegged)
_CHECKS: tuple[_Check, ...] = (*_KIND_CHECKS, _liquidity, _spread)


def _skip(instrument: Instrument, horizon: str, refusal: _Refusal) -> Skip:
    return Skip(
        coin=instrument.coin,
        horizon=horizon,
        step=STEP,
        code=refusal.code,
        reason=refusal.reason,
        measured=refusal.measured,
        wanted=refusal.wanted,
    )
