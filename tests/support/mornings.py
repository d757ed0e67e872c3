"""Mornings as a reader meets them, from judged verdicts: the ledger's own code decides, only names and costs are made up.

``python tests/support/mornings.py FOLDER`` writes the page of each below a folder, and its summary beside it.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from verdicts import MAKE

from huracan.adapters.reports import write_night_page, write_page_summary
from huracan.app.results import budget_of, with_story
from huracan.domain.recipe import SHIPPED_SEEN
from huracan.domain.time import DAY_MS, iso
from huracan.errors import StaleDataError
from huracan.night.hypotheses import hypothesis_rows
from huracan.promotion import LedgerState, PoolEvidence, Verdict, evaluate_night
from huracan.reports import NightReport, curve_from_daily, daily_summary
from huracan.reports.night import night_report
from huracan.reports.night_integrity import integrity_of
from huracan.reports.night_summary import ErrorRow
from huracan.reports.story import Morning, Spent, read_morning, refused_morning
from huracan.reports.summary import summary_of

COINS = [
    "BTC",
    "ETH",
    "SOL",
    "XRP",
    "DOGE",
    "BNB",
    "ADA",
    "LINK",
    "AVAX",
    "LTC",
    "TRX",
    "DOT",
    "BCH",
    "NEAR",
    "UNI",
    "APT",
    "FIL",
    "ARB",
    "OP",
    "SUI",
    "INJ",
    "ETC",
    "ATOM",
    "AAVE",
    "TON",
]
SMALL = ["ALGO", "VET", "SAND", "MANA", "GALA", "AXS", "CHZ", "ENJ", "ZIL", "KSM", "DASH", "COMP"]
HORIZONS = ("1h", "4h", "1d")
HISTORY = 300
LOOKED_AT = (("2020-01-01", "2040-01-01"),)
POOLS = (
    ("um-A", "um", "A", COINS),
    ("um-B", "um", "B", SMALL),
    ("spot-A", "spot", "A", [f"{c}USDT-spot" for c in COINS[:9]]),
)
SPENT = Spent(
    seconds=734.0, stages=(("listing", 11.0), ("data", 301.0), ("features", 140.0), ("training", 262.0)), workers=8
)


@dataclass(frozen=True, kw_only=True)
class Told:
    """A morning's summary, its page's record, and its story."""

    summary: dict[str, Any]
    report: NightReport

    @property
    def story(self) -> Morning:
        story = read_morning(self.summary) if self.summary else self.report.story
        assert story is not None
        return story


def world(days: int, *, seen: Any = LOOKED_AT, sharpe: float = 0.05, pools: Any = POOLS) -> list[PoolEvidence]:
    """Evidence of two recipes in each pool at three horizons; the same days whatever their number."""
    found = []
    for place, (pool, market, tier, coins) in enumerate(pools):
        for at, horizon in enumerate(HORIZONS):
            for number, name in enumerate(("linear", "boosted")):
                net = MAKE.planted(1200, sharpe - 0.02 * at, seed=100 * place + 10 * at + number)[:days]
                piece = MAKE.evidence(
                    net, pool=pool, market=market, tier=tier, horizon=horizon, recipe=MAKE.recipe(name, seen=seen)
                )
                found.append(replace(piece, members=tuple(coins)))
    return found


def judged(state: LedgerState, evidence: list[PoolEvidence], days: int) -> Verdict:
    """The night whose data are so many days."""
    return evaluate_night(state, evidence, MAKE.tonight(days))


def told(
    verdict: Verdict,
    evidence: list[PoolEvidence],
    *,
    champions: tuple[dict[str, Any], ...] = (),
    skips: tuple[dict[str, Any], ...] = (),
    lost: frozenset[str] = frozenset(),
    before: Morning | None = None,
    integrity: Mapping[str, Any] | None = None,
) -> Told:
    """A night's summary with its story, as the pipeline puts it together."""
    rows = tuple(row.as_dict() for row in hypothesis_rows(verdict.table, evidence))
    pools = {piece.pool: piece.members for piece in evidence}
    trained = sorted({coin for coins in pools.values() for coin in coins} - lost)
    cutoff = iso((verdict.day + 1) * DAY_MS)
    named = {(row["coin"], row["horizon"]) for row in champions}
    unproven = tuple(
        {"coin": coin, "horizon": horizon, "step": 8, "code": "NOT_PROVEN", "reason": "no recipe is proven in this coin's pool", "measured": 1.0, "wanted": 120.0}
        for coin in trained for horizon in HORIZONS if (coin, horizon) not in named
    )  # fmt: skip
    candidates = tuple(row for coin in trained[:12] for row in _candidates(coin, pools, named))
    summary = daily_summary(
        timestamp=cutoff,
        run_id=f"{cutoff[:10].replace('-', '')}T0000-1a2b",
        coin_universe_size=len(trained) + len({row["coin"] for row in skips}),
        coins_processed=len(trained),
        champions_count=len(champions),
        export_results={},
        skips=(*skips, *unproven),
        evidence=rows,
        extra={
            "now": cutoff, "data_cutoff": cutoff, "dry_run": False, "publish_state": {}, "horizons": HORIZONS,
            "candidates_count": len(candidates), "champions": champions, "candidates": candidates,
            "pools": [{"pool": name, "members": [c for c in coins if c not in lost], "panel": coins} for name, coins in pools.items()],
            "waiting": verdict.waiting, "promotions": verdict.promotions, "demotions": verdict.demotions,
            "suspended": verdict.suspended, "frozen_pools": verdict.frozen_pools, "budget": budget_of(verdict),
            "cache": {"hits": 14, "total": 92}, "notes": verdict.notes,
        },
    )  # fmt: skip
    found = integrity or {}
    summary = with_story(summary, before=before, integrity=dict(found), spent=SPENT)
    return Told(summary=summary, report=_report(summary, evidence, found))


def _report(summary: dict[str, Any], evidence: list[PoolEvidence], integrity: Mapping[str, Any]) -> NightReport:
    curves = [
        curve_from_daily(
            piece.pool, piece.horizon, piece.recipe.name,
            days=piece.daily["day"].to_list(), net_bps=piece.daily["net_bps"].to_list(),
            valid=piece.daily["valid"].to_list(), live_from=None,
        )
        for piece in evidence
    ]  # fmt: skip
    created = summary["data_cutoff"].replace("00:00:00", "00:12:14")
    return night_report(summary_of(summary), integrity_of(integrity), curves, created=created)


def _candidates(coin: str, pools: Mapping[str, Any], named: set[tuple[str, str]]) -> list[dict[str, Any]]:
    pool = next(name for name, coins in pools.items() if coin in coins)
    rng = np.random.default_rng(sum(map(ord, coin)))
    return [
        _row_of_store(coin, horizon, pool, rng, status="candidate")
        for horizon in HORIZONS
        if (coin, horizon) not in named
    ]


def champion(coin: str, horizon: str, status: str = "promoted") -> dict[str, Any]:
    """A champion's row of the summary."""
    return _row_of_store(coin, horizon, "um-A", np.random.default_rng(sum(map(ord, coin))), status=status)


def _row_of_store(coin: str, horizon: str, pool: str, rng: np.random.Generator, *, status: str) -> dict[str, Any]:
    fees, spread, slippage = 10.0, float(rng.uniform(0.4, 3)), float(rng.uniform(0.2, 2))
    funding, net = float(rng.normal(0, 0.9)), float(rng.normal(4, 9))
    if status != "candidate":
        net = abs(net) + 6.0
    return {
        "coin": coin, "horizon": horizon, "recipe": "linear", "recipe_id": MAKE.recipe("linear").id, "pool": pool, "regime": "trend",
        "edge_bps": net, "edge_after_cost_bps": net, "lower_bps": net - 3.0, "confidence": 0.6, "status": status, "version": 1,
        "metrics": {"sharpe_ratio": net / 6.0, "max_drawdown": float(rng.uniform(0.01, 0.09)), "hit_rate": 0.53, "capacity_estimate": 2e6},
        "costs": {"fees": fees, "spread": spread, "slippage": slippage, "funding": funding, "gross": net + fees + spread + slippage + funding,
                  "net": net, "break_even": net + 12.0, "round_trips": int(rng.integers(12, 160))},
        "e_value": 1.0, "nights_missing": None,
    }  # fmt: skip


@cache
def first() -> Told:
    """Night 1: everything that was walked had been looked at."""
    evidence = world(HISTORY)
    return told(judged(LedgerState(), evidence, HISTORY), evidence)


@cache
def _until(nights: int) -> tuple[Verdict, list[PoolEvidence]]:
    start = judged(LedgerState(), world(HISTORY), HISTORY)
    days = HISTORY + nights - 1
    return judged(start.state, world(days), days), world(days)


@cache
def fortieth() -> Told:
    """Night 40: 39 days observed, still nothing proven, and no way around that."""
    before, old = _until(39)
    verdict, evidence = _until(40)
    return told(verdict, evidence, before=told(before, old).story)


@cache
def _promoted(days: int = 85) -> tuple[Verdict, list[PoolEvidence]]:
    evidence = world(days, seen=SHIPPED_SEEN)
    good = replace(MAKE.evidence(MAKE.planted(85, 1.5), recipe=MAKE.recipe(seen=SHIPPED_SEEN)), members=tuple(COINS))
    evidence = [good if _is_best(piece) else piece for piece in evidence]
    return judged(LedgerState(), evidence, days), evidence


def _is_best(piece: PoolEvidence) -> bool:
    return (piece.pool, piece.horizon, piece.recipe.name) == ("um-A", "1h", "linear")


@cache
def promoted() -> Told:
    """A recipe is promoted tonight, and coins follow it."""
    verdict, evidence = _promoted()
    return told(verdict, evidence, champions=tuple(champion(coin, "1h") for coin in COINS[:14]))


def _going_on(days: int, tail: Any, *, others: float = 0.0) -> tuple[Verdict, list[PoolEvidence]]:
    """The promoted recipe after so many more days."""
    start, _ = _promoted()
    net = np.r_[MAKE.planted(85, 1.5), tail][:days]
    evidence = [
        replace(MAKE.evidence(net, recipe=MAKE.recipe(seen=SHIPPED_SEEN)), members=tuple(COINS)) if _is_best(piece) else piece
        for piece in world(days, seen=SHIPPED_SEEN)
    ]  # fmt: skip
    return judged(start.state, evidence, days), evidence


@cache
def suspended() -> Told:
    """The champion's drawdown breaker has tripped."""
    start, old = _promoted()
    (limit,) = {record.last.breaker_bps for record in start.state.records.values() if record.last.frozen_e} - {
        None
    } or {600.0}
    tail = -np.full(int(limit / 100) + 1, 100.0)
    verdict, evidence = _going_on(85 + tail.size, tail)
    before = told(start, old, champions=tuple(champion(coin, "1h") for coin in COINS[:14])).story
    return told(verdict, evidence, champions=tuple(champion(coin, "1h", "kept") for coin in COINS[:14]), before=before)


@cache
def demoted() -> Told:
    """The champion lost for long; its detector's alarm rang tonight."""
    tail = MAKE.planted(250, -0.5, seed=9)
    verdict, _ = _going_on(335, tail)
    fell = next(event.day for event in verdict.state.champions if event.reason == "demoted") - MAKE.day + 1
    verdict, evidence = _going_on(fell, tail)
    return told(verdict, evidence, before=promoted().story)


@cache
def frozen() -> Told:
    """On three days every recipe of a pool broke its bound."""
    start, old = _until(20)
    days = HISTORY + 25
    evidence = []
    for piece in world(days):
        net = piece.daily["net_bps"].to_numpy().copy()
        net[-4:-1] = -1.1 * MAKE.bound if piece.pool == "um-A" else net[-4:-1]
        made = MAKE.evidence(
            net, pool=piece.pool, market=piece.market, tier=piece.tier, horizon=piece.horizon, recipe=piece.recipe
        )
        evidence.append(replace(made, members=piece.members))
    return told(judged(start.state, evidence, days), evidence, before=told(start, old).story)


@cache
def half_missing() -> Told:
    """Half of the pairs gave nothing tonight, so the day does not count."""
    before, old = _until(39)
    days = HISTORY + 39
    lost = frozenset([*COINS[12:], *SMALL[6:], *(f"{coin}USDT-spot" for coin in COINS[4:9])])
    evidence = []
    for piece in world(days):
        valid = np.ones(days, dtype=bool)
        valid[-1] = False
        daily = piece.daily.with_columns(valid=valid)
        evidence.append(replace(piece, daily=daily, members=tuple(coin for coin in piece.members if coin not in lost)))
    skips = tuple(
        {"coin": coin, "horizon": horizon, "step": 2, "code": code, "reason": "too old", "measured": 900.0, "wanted": 180.0}
        for place, coin in enumerate(sorted(lost)) for horizon in HORIZONS for code in ("UPSTREAM" if place % 4 == 0 else "STALE",)
    )  # fmt: skip
    outages = [
        {
            "kind": "missing bars",
            "market": "um",
            "start": "2026-12-04T18:00:00Z",
            "end": "2026-12-05T00:00:00Z",
            "instruments": 19,
            "share": 0.51,
        }
    ]
    integrity = {"instruments": [], "lost_files": [], "outages": outages}
    return told(
        judged(before.state, evidence, days),
        evidence,
        skips=skips,
        lost=lost,
        before=told(before, old).story,
        integrity=integrity,
    )


@cache
def refused() -> Told:
    """The night was refused: most of the market's bars are old."""
    error = StaleDataError(
        "the newest bars of 31 of 46 pairs are older than 180 minutes, at most 20% of the pairs may be; wait for the exchange, or run with --as-of an earlier moment"
    )
    moment = datetime(2026, 12, 5, 0, 4, tzinfo=UTC)
    story = refused_morning(moment.date().isoformat(), error.code, str(error), how_far="data", published=False)
    report = NightReport(
        run_id="20261205T0000-1a2b",
        data_cutoff=iso(int(moment.timestamp() * 1000)),
        story=story,
        errors=(ErrorRow(code=error.code, error=str(error)),),
    )
    return Told(summary={}, report=report)


MORNINGS: dict[str, Callable[[], Told]] = {
    "night-1": first,
    "night-40": fortieth,
    "promoted": promoted,
    "suspended": suspended,
    "demoted": demoted,
    "frozen": frozen,
    "half-missing": half_missing,
    "refused": refused,
}


def main(folder: Path) -> None:
    """Write every morning's page below a folder."""
    for name, made in MORNINGS.items():
        write_night_page(folder / name, made().report)
        write_page_summary(folder / name, made().summary)
        sys.stdout.write(f"{name}: {made().story.headline}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
