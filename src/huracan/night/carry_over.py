"""Champions of yesterday whose coin failed tonight: those the verdict still stands behind stay, the others are
retired.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from huracan.domain.night_rows import PublishedRow, ServedChampion
from huracan.domain.records import Skip, SkipCode
from huracan.night.delistings import retire_stale, why_stale
from huracan.night.ports import ChampionStore
from huracan.night.state import Night
from huracan.promotion import PoolHorizon, Verdict

EXCUSES: Final = frozenset(
    {
        SkipCode.STALE,
        SkipCode.UPSTREAM,
        SkipCode.CHECKSUM,
        SkipCode.SCHEMA,
        SkipCode.BANNED,
        SkipCode.JOB_FAILED,
        SkipCode.WORKER_LOST,
        SkipCode.TIMED_OUT,
        SkipCode.DEADLINE,
        SkipCode.EXPORT_FAILED,
    }
)
"""Reasons that say nothing about a coin's edge: yesterday's champion may stay."""

Key = tuple[str, str]
"""Coin and horizon."""


ChampionRow = PublishedRow | ServedChampion
"""A champion of tonight: made now, or carried over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedOver:
    """The night without the skips of champions that stay, those champions, and what was served yesterday."""

    night: Night
    rows: tuple[ServedChampion, ...]
    served: frozenset[Key]


def carry_over(store: ChampionStore, night: Night, verdict: Verdict) -> CarriedOver:
    """What of the current set stays in tonight's.

    A champion stays where its coin failed for reasons that say nothing about the edge, is still the instrument and
    listing it was trained on, where tonight's verdict names its recipe for its pool and horizon and does not suspend
    it, and where its files verify. Any other champion is retired: its skip says both why the coin failed and why the
    champion went.
    """
    champions = _with_pools(store.current_champions(), verdict)
    sound = [row for row in champions if not row.damage]
    night = retire_stale(night, _excused(night, sound, EXCUSES - {SkipCode.EXPORT_FAILED}))
    excused = _excused(night, champions, EXCUSES)
    retired = {_key(row): why for row in excused if (why := _why_retired(night, row, verdict))}
    staying = [row for row in excused if _key(row) not in retired]
    retired |= {key: f"its files in the store: {why}" for key, why in store.damaged(map(_key, staying)).items()}
    reasons = {(skip.coin, skip.horizon): skip.reason for skip in night.skips}
    rows = [replace(row, status="kept", reason=reasons[_key(row)]) for row in staying if _key(row) not in retired]
    names = {_key(row) for row in rows}
    skips = tuple(_retiring(skip, retired) for skip in night.skips if (skip.coin, skip.horizon) not in names)
    # A remote copy may have brought a newer set since the night looked at what is served.
    served = frozenset(map(_key, champions))
    incumbents = night.incumbents | {coin for coin, _ in served}
    return CarriedOver(night=replace(night, skips=skips, incumbents=incumbents), rows=tuple(rows), served=served)


def _with_pools(champions: Iterable[ServedChampion], verdict: Verdict) -> list[ServedChampion]:
    """The rows with the pool each champion follows: as its bundle says, or the ledger's lineage behind it; else ''."""
    records = verdict.state.records
    rows = []
    for row in champions:
        record = records.get(row.lineage)
        rows.append(replace(row, pool=row.pool or (record.lineage.pool if record else "")))
    return rows


def _excused(night: Night, champions: Iterable[ServedChampion], codes: frozenset[SkipCode]) -> list[ServedChampion]:
    excused = {(skip.coin, skip.horizon) for skip in night.skips if skip.code in codes}
    return [row for row in champions if _key(row) in excused]


def _why_retired(night: Night, row: ServedChampion, verdict: Verdict) -> str | None:
    """Why a champion of yesterday may not stay, or None."""
    # A coin that trained tonight keeps its other horizons, so a stale champion is retired at this one alone.
    return row.damage or why_stale(night, row) or _why_demoted(row, verdict)


def _why_demoted(row: ServedChampion, verdict: Verdict) -> str | None:
    """Why the verdict does not stand behind a champion of yesterday, or None."""
    pool, horizon, recipe = row.pool, row.horizon, row.recipe_id
    if not pool:
        return f"the ledger does not know the pool that recipe {recipe} was proven in"
    place = PoolHorizon(pool, horizon)
    named = verdict.champions.get(place)
    if named != recipe:
        event = next((one for one in verdict.demotions if one.pool_horizon == place), None)
        why = f" ({event.reason.replace('_', ' ')}: {event.detail})" if event is not None else ""
        now = f"recipe {named}" if named is not None else "no recipe"
        return f"{pool} at {horizon} follows {now} tonight, and it is of recipe {recipe}{why}"
    if place in verdict.suspended:
        return f"the drawdown breaker of {pool} at {horizon} has tripped"
    return None


def _retiring(skip: Skip, retired: Mapping[Key, str]) -> Skip:
    why = retired.get((skip.coin, skip.horizon))
    return skip if why is None else replace(skip, reason=f"{skip.reason}; yesterday's champion is retired: {why}")


def _key(row: ServedChampion) -> Key:
    return row.coin, row.horizon
