"""A night made up for the page: lineages at every stage, curves with history, hostile names."""

from dataclasses import replace

import numpy as np

from huracan.reports import Curve, NightReport, curve_from_daily
from huracan.reports.morning import Morning
from huracan.reports.night_integrity import Counts, InstrumentRow, LostFileRow, NightIntegrity, OutageRow, RuleRow
from huracan.reports.night_summary import (
    Costs,
    ErrorRow,
    HypothesisRow,
    Metrics,
    SkippedRow,
    SummaryRow,
    WithoutBestDay,
)

HOSTILE = "<script>alert('x')</script>"
RECIPES = ("linear", "boosted")
HORIZONS = ("1h", "4h", "1d")


def hypothesis(pool: str, horizon: str, recipe: str, e: float, needed: float, **fields) -> HypothesisRow:
    row = HypothesisRow(
        pool=pool,
        horizon=horizon,
        recipe=recipe,
        recipe_id=f"{recipe}-0a1b2c",
        status="open",
        e=e,
        needed=needed,
        bound_over_sd=9.4,
        mean_bps=3.21,
        nights_until_decidable=83.4,
        confidence_nothing_bps=(-4.2, 11.9),
        history_days=85,
        live_days=12,
        observed_days=97,
    )
    return replace(row, **fields)


def metrics(sharpe: float, drawdown: float | None = 0.042) -> Metrics:
    return Metrics(
        sharpe_ratio=sharpe,
        max_drawdown=drawdown,
        hit_rate=0.537,
        capacity_estimate=1_250_000.0,
        without_best_day=WithoutBestDay(sharpe_ratio=sharpe - 0.4),
    )


def costs(gross: float) -> Costs:
    parts = {"fees": 10.0, "spread": 1.1, "slippage": 0.6, "funding": -0.4}
    return Costs(**parts, gross=gross, net=gross - sum(parts.values()), break_even=gross + 0.4, round_trips=212)


def curves(rng: np.random.Generator, days: int = 97) -> list[Curve]:
    made = []
    for horizon, drift in zip(HORIZONS, (4.0, 1.0, -2.0), strict=True):
        for recipe in RECIPES:
            net = rng.normal(drift, 40, days)
            valid = rng.random(days) > 0.03
            made.append(
                curve_from_daily(
                    "um-A",
                    horizon,
                    recipe,
                    days=list(range(20454, 20454 + days)),
                    net_bps=net.tolist(),
                    valid=valid.tolist(),
                    live_from=20454 + 85,
                )
            )
    return made


def integrity(coins: int) -> NightIntegrity:
    outage = OutageRow(
        kind="missing bars",
        market="spot",
        start="2026-04-02T01:00:00Z",
        end="2026-04-02T03:00:00Z",
        instruments=16,
        share=1.0,
    )
    return NightIntegrity(
        instruments=tuple(
            InstrumentRow(
                coin=f"COIN{n:02d}", vendor="binance", rows_in=172_800 - n, rows_out=172_800, repaired=n,
                counts=Counts(gaps=n % 3, outlier=1), quality=1 - n / 1000,
            )
            for n in range(coins)
        ),
        rules=(RuleRow(rule="ohlc", action="cut", meaning="open or close outside low and high", found=3, instruments=1),),
        outages=(outage,),
        lost_files=(LostFileRow(coin=HOSTILE, file="X-1m-2026-03.zip", start="2026-03-01", end="2026-04-01"),),
    )  # fmt: skip


def sample_night(*, proven: bool = True, coins: int = 16) -> NightReport:
    rng = np.random.default_rng(7)
    champions, candidates, skips = [], [], []
    for place in range(coins):
        coin = "币安人生" if place == 3 else HOSTILE if place == 4 else f"COIN{place:02d}"
        for horizon in HORIZONS:
            row = SummaryRow(
                coin=coin,
                horizon=horizon,
                recipe="linear",
                pool="um-A",
                edge_after_cost_bps=float(rng.normal(8, 9)),
                metrics=metrics(float(rng.normal(1.2, 0.8))),
                costs=costs(float(rng.normal(18, 8))),
                e_value=14.2,
                nights_missing=83.4,
            )
            if proven and horizon != "1d" and place % 2 == 0:
                champions.append(replace(row, status="promoted", version=3))
            else:
                candidates.append(replace(row, status="candidate", version=1))
                skips.append(
                    SkippedRow(
                        coin=coin, horizon=horizon, step=8, code="NOT_PROVEN", reason="e 14.2 of 120", measured=14.2, wanted=120.0
                    )
                )  # fmt: skip
    for code, reason, measured, wanted, count in (
        ("ILLIQUID", "24 h volume", 812_000.0, 10_000_000.0, 9),
        ("SPREAD_TOO_WIDE", "quoted spread", 80.0, 8.0, 3),
        ("SHORT_HISTORY", "days of bars", 10.0, 40.0, 3),
        ("NOT_TRADING", "status", "SETTLING", "TRADING", 3),
    ):
        skips += [
            SkippedRow(
                coin=f"ODD{n}", horizon=HORIZONS[n % 3], step=1, code=code, reason=reason, measured=measured, wanted=wanted
            )
            for n in range(count)
        ]  # fmt: skip
    hypotheses = [
        hypothesis(
            "um-A", "1h", "linear", 163.0, 120.0, status="promoted", is_champion=True, nights_until_decidable=0.0
        )
        if proven
        else hypothesis("um-A", "1h", "linear", 14.2, 120.0),
        hypothesis(
            "um-A", "4h", "linear", 3.4, 120.0, nights_until_decidable=188.0, closed_gates=("observed days 58 of 60",)
        ),
        hypothesis("um-A", "1d", "linear", 0.62, 120.0, nights_until_decidable=None, mean_bps=-2.4),
        hypothesis("um-A", "1h", "boosted", 1.7, 480.0, nights_until_decidable=402.0),
        hypothesis("um-A", "1d", HOSTILE, 0.01, 2400.0, status="expired", reason="log e below -4"),
    ]
    return NightReport(
        run_id="20260501T0000-18f2",
        data_cutoff="2026-05-01T00:00:00Z",
        created="2026-05-01T00:14:09Z",
        horizons=HORIZONS,
        universe_size=22,
        coins_processed=coins,
        hypotheses=tuple(hypotheses),
        champions=tuple(champions),
        candidates=tuple(candidates),
        curves=tuple(curves(rng)),
        skips=tuple(skips),
        integrity=integrity(coins),
        errors=(ErrorRow(code="WORKER_LOST", coin=HOSTILE, step="5", error="worker 4711 ended with status -9"),),
        notes=("The root key is unprotected: set a passphrase.", HOSTILE),
        story=Morning(night="2026-05-01", mood="plain", headline=f"Nothing is proven, says {HOSTILE}.", remarks=(HOSTILE,)),
    )  # fmt: skip
