"""What a night makes of instruments that stop, move or change under it: no model of one asset speaks for another."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from huracan.domain.bundle import DoNotTrade
from huracan.domain.night_rows import ServedChampion
from huracan.domain.records import Skip, SkipCode
from huracan.domain.time import iso
from huracan.night.promote import Promoted
from huracan.night.state import Night

VANISHED: Final = "had a champion and is no longer among the listed pairs"


def without_delisted(promoted: Promoted, gone: Mapping[str, str]) -> Promoted:
    """The night without models of these coins; by coin the reason, which takes the place of every other one."""
    assignments = tuple(item for item in promoted.assignments if item.coin not in gone)
    return replace(promoted, night=_retired(promoted.night, gone), assignments=assignments)


def retire_stale(night: Night, champions: Iterable[ServedChampion]) -> Night:
    """The night with a DELISTED skip for every coin whose champion of an earlier night was trained on another
    instrument, or on an earlier listing of the symbol.
    """
    known = {member.instrument.coin for member in night.plan.members}
    reasons = ((row.coin, why_stale(night, row)) for row in champions if row.coin in known)
    return _retired(night, {coin: reason for coin, reason in reasons if reason})


def vanished(night: Night) -> list[DoNotTrade]:
    """Coins with a champion in the store that the exchange does not list at all tonight."""
    gone = sorted(night.incumbents - set(night.pairs))
    return [DoNotTrade(coin=coin, code=SkipCode.DELISTED.value, reason=VANISHED) for coin in gone]


def why_stale(night: Night, row: ServedChampion) -> str | None:
    """Why a champion of an earlier night is of another instrument or listing than the coin is tonight, or None."""
    instrument = night.plan.member(row.coin).instrument
    if row.instrument != instrument.id:
        return f"its champion was trained on {row.instrument}, and the coin is {instrument.id} tonight"
    record = night.ingested.get(row.coin)
    relisted = record.relisted_ms if record is not None else None
    began = max(instrument.listed_ms or 0, relisted or 0)
    if began > row.data_cutoff_ms:
        return f"its champion was trained on an earlier listing of {instrument.symbol}: this one began {iso(began)}"
    return None


def _retired(night: Night, reasons: Mapping[str, str]) -> Night:
    others = tuple(skip for skip in night.skips if skip.coin not in reasons)
    skips = [
        Skip(coin=coin, horizon="*", step=9, code=SkipCode.DELISTED, reason=reason) for coin, reason in reasons.items()
    ]
    return replace(night, skips=others).skipping(skips)
