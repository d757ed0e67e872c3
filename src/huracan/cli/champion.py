"""`huracan champions show COIN HORIZON`: one model as a card."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from huracan.cli.model_reports import Gate, ModelCosts, ModelMetrics, costs_in, gate_in, metrics_in
from huracan.cli.output import number, print_json
from huracan.cli.predict import paper_only

if TYPE_CHECKING:
    from rich.text import Text

    from huracan.domain.bundle import Manifest
    from huracan.domain.model import ChampionModel

_SPREADS: Final = {"book": "its own order book", "edge": "estimated from its bars", "tier": "the median of its tier"}

Row = tuple[str, "str | Text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One model, with the reports in its bundle."""

    manifest: "Manifest"
    model: "ChampionModel"
    metrics: ModelMetrics
    costs: ModelCosts
    gate: Gate


def show_champion(
    store: str | None,
    coin: str,
    horizon: str,
    *,
    workdir: Path | None = None,
    with_features: bool,
    raw: bool,
    as_json: bool,
) -> int:
    """Print one model: what it earned, cost and risked in simulation, how proven it is, and what it is made of."""
    from huracan.cli.opening import open_hamilton

    hamilton = open_hamilton(store, workdir=workdir)
    model, metadata = hamilton.load_model(coin, horizon)
    manifest = hamilton.manifest(coin, horizon)
    if raw:
        sys.stdout.write(json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n")
        return 0
    if as_json:
        body = {
            "metadata": metadata,
            "engines": list(model.engines),
            "features": list(model.feature_names),
            "decision": model.decision,
        }
        print_json(body)
        return 0
    card = Card(
        manifest=manifest,
        model=model,
        metrics=metrics_in(hamilton.report(coin, horizon, "metrics.json")),
        costs=costs_in(hamilton.report(coin, horizon, "cost_report.json")),
        gate=gate_in(hamilton.report(coin, horizon, "regime_map.json"), manifest.horizon),
    )
    _print(card, served=hamilton.current_set().version, with_features=with_features)
    return 0


def _print(card: Card, *, served: int, with_features: bool) -> None:
    from rich.text import Text

    from huracan.cli.cards import market_words, print_card, terminal

    manifest, model = card.manifest, card.model
    rows: list[Row] = [
        *_worth(card),
        ("", ""),
        *_proof(manifest),
        ("", ""),
        *_regimes(card.gate),
        (
            "engines",
            ", ".join(f"{name} {weight:.0%}" for name, weight in zip(model.engines, model.weight, strict=True)),
        ),
        ("features", _features(model, with_features=with_features)),
        ("window", f"{manifest.training_window_start[:10]} to {manifest.training_window_end[:10]}"),
        ("model", f"version {manifest.version} in set {served}, recipe {manifest.recipe_id}"),
        *(("note", note) for note in card.metrics.details.notes),
    ]
    if manifest.status == "candidate":
        rows.append(("note", Text(paper_only(manifest), style="yellow")))
    title = f"{manifest.coin} {manifest.horizon}  {market_words(manifest.instrument)} {manifest.instrument}  {manifest.status}"
    print_card(terminal(), title, rows)


def _worth(card: Card) -> list[Row]:
    """Edge, costs, trades and risk of the simulation."""
    metrics, costs, details = card.metrics, card.costs, card.metrics.details
    edge = card.manifest.metrics.get("net_edge_bps")
    parts = ", ".join(f"{name} {number(value)}" for name, value in costs.parts)
    spread = _SPREADS.get(costs.spread_source or "", costs.spread_source or "unknown")
    quantiles = " / ".join(number(value) for value in (costs.p10_bps, costs.p50_bps, costs.p90_bps))
    trips = costs.round_trips if details.round_trips is None else details.round_trips
    return [
        (
            "edge",
            f"{number(edge if isinstance(edge, int | float) else None)} bps a round trip after costs, shrunk for luck",
        ),
        (
            "",
            f"measured {number(costs.net_edge_after_cost_bps)} after costs, {number(costs.gross_edge_bps)} before",
        ),
        *_rebalance(costs),
        ("costs", f"{parts} bps"),
        ("", f"10% / half / 90% of round trips cost up to {quantiles}; spread: {spread}"),
        ("", f"the edge is gone at {number(costs.break_even_cost_bps)} bps a round trip"),
        (
            "trades",
            f"{number(trips, 0)} round trips on {number(details.days, 0)} days, {_share(metrics.hit_rate)} won",
        ),
        (
            "",
            f"gains {number(metrics.profit_factor, 2)} times losses, {number(details.net_bps_a_day)} bps a day",
        ),
        ("drawdown", f"{_share(metrics.max_drawdown, 1)} of the coin's capital at worst"),
        (
            "Sharpe",
            f"{number(metrics.sharpe_ratio, 2)} a year, Sortino {number(metrics.sortino_ratio, 2)}",
        ),
        ("capacity", f"{number(metrics.capacity_estimate, 0)} in quote currency"),
    ]


def _rebalance(costs: ModelCosts) -> list[Row]:
    """What lies between before and after besides the costs; before + this - the costs = after."""
    if costs.rebalance_bps is None:
        return []
    return [("", f"holding a constant share of capital from day to day adds {costs.rebalance_bps:+,.1f}")]


def _proof(manifest: "Manifest") -> list[Row]:
    """How proven a model is; the evidence is its pool's, not the coin's own."""
    from huracan.domain.proof import evidence_number, pool_is_proven

    evidence = manifest.evidence
    e_value, needed, days = evidence.get("e_value"), evidence.get("needed"), evidence.get("observed_days")
    if not isinstance(e_value, int | float) or not isinstance(needed, int | float):
        return [("evidence", "none: it was never a challenger in the ledger")]
    pool = f" {evidence['pool']}" if evidence.get("pool") else ""
    said = "proven" if pool_is_proven(evidence) or manifest.status == "champion" else "not proven"
    rows: list[Row] = [
        ("evidence", f"pool{pool} {said}: e-value {evidence_number(e_value)}, wanted {number(needed, 0)}"),
        ("", f"from {number(days if isinstance(days, int | float) else 0, 0)} observed days of the pool"),
    ]
    missing = evidence.get("nights_missing")
    if isinstance(missing, int | float) and missing > 0:
        rows.append(("", f"{missing:.0f} nights are missing at this pace"))
    return rows


def _regimes(gate: Gate) -> list[Row]:
    """Which engines may vote in which regime."""
    rows: list[Row] = [
        (
            "" if place else "regimes",
            f"{name}: {', '.join(item.enabled_engines) or 'no entry, every engine is closed'}",
        )
        for place, (name, item) in enumerate(sorted(gate.regimes.items()))
    ]
    return rows


def _features(model: "ChampionModel", *, with_features: bool) -> str:
    names = model.feature_names
    return f"{len(names)}: {', '.join(names)}" if with_features else f"{len(names)} (--features lists them)"


def _share(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{value:.{digits}%}"
