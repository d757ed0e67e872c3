"""From a cell's artefacts to a bundle: model, recipe, golden rows and the five reports, as bytes that depend on content
alone.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Final

import numpy as np
from polars.exceptions import PolarsError

from huracan.domain.bundle import RankRow, model_from_bytes
from huracan.domain.frames import REGIMES
from huracan.domain.json import Json, JsonObject
from huracan.domain.model import ChampionModel
from huracan.domain.night_records import CellRecord
from huracan.domain.regime_edges import RegimeEdge
from huracan.domain.time import iso, parse_iso
from huracan.errors import BundleFormatError
from huracan.export import BundleFiles, Provenance, build_manifest, bundle_files, golden_rows
from huracan.night.config import NightConfig
from huracan.night.jobs.artefacts import Artefacts
from huracan.night.jobs.train import cell_frame, cell_model
from huracan.night.promote import Assignment
from huracan.night.state import Night
from huracan.reports import Scored, bundle_reports
from huracan.stats.evaluate import REGIME_FEATURE

Scalar = float | int | str | bool | None
LOGGED_DECISIONS: Final = 500
_HOW = "(`huracan lake check` does, with vendors.second_venue)"


def assemble(store: Artefacts, config: NightConfig, night: Night, item: Assignment) -> BundleFiles:
    """The bundle of one (coin, horizon), champion or candidate, from files whose hashes its workers have sent.

    Raises BundleFormatError or DataError for what cannot be read, or has no form in a bundle.
    """
    try:
        return _assemble(store, config, night, item)
    except (PolarsError, ValueError) as error:  # pydantic's ValidationError is a ValueError
        raise BundleFormatError(f"{item.coin} {item.horizon}: {type(error).__name__}: {str(error)[:300]}") from error


def _assemble(store: Artefacts, config: NightConfig, night: Night, item: Assignment) -> BundleFiles:
    cell = cell_of(night, item)
    ingested, prepared = night.ingested[item.coin], night.prepared[item.coin]
    model_bytes = cell_model(store, cell)
    model = model_from_bytes(model_bytes)
    golden = np.ascontiguousarray(cell_frame(store, cell, "golden").to_numpy(), dtype=np.float64)
    files = bundle_files(
        model_bytes,
        golden=golden_rows(model, golden),
        recipe=asdict(item.recipe),
        reports=bundle_reports(
            coin=item.coin,
            horizon=item.horizon,
            timestamp=iso(night.plan.cutoff_ms),
            scored=Scored(metrics=cell.metrics, costs=cell.costs, notes=cell.notes, decisions=cell.decisions),
            events=cell_frame(store, cell, "events").tail(LOGGED_DECISIONS),
            gate=asdict(cell.gate),
            integrity={**asdict(ingested.report), **vendor_comparison(night, ingested.report.instrument_id)},
            path=cell_frame(store, cell, "path"),
            edges=cell_frame(store, cell, "edges"),
        ),
    )
    net, regimes = net_edge_bps(item, cell), _regimes(item, cell)
    provenance = Provenance(
        coin=item.coin,
        horizon=item.horizon,
        instrument=night.plan.member(item.coin).instrument.id,
        status="champion" if item.champion else "candidate",
        window_start_ms=cell.window_ms[0],
        window_end_ms=cell.window_ms[1],
        regime=cell.regime,
        data_cutoff_ms=night.plan.cutoff_ms,
        features_hash=prepared.recipe_id,
        code_hash=night.plan.code_hash,
        config_hash=config.config_hash,
        data_hash=ingested.data_hash,
        recipe_id=item.recipe.id,
        seed=night.plan.seed,
        metrics={**_flat(cell.metrics), "net_edge_bps": net, "confidence": confidence(cell)},
        evidence=_proof(item),
    )
    return BundleFiles(
        manifest=build_manifest(provenance, files),
        files=files,
        ranking=_ranking(item, cell, model, regimes),
        regimes=regimes,
    )


def cell_of(night: Night, item: Assignment) -> CellRecord:
    """What was trained for an assignment; ValueError where nothing was."""
    cell = night.trained[item.coin].cell(item.recipe.id, item.horizon)
    if cell is None:
        raise ValueError(f"{item.coin} {item.horizon} was not trained with recipe {item.recipe.id}")
    return cell


def _proof(item: Assignment) -> dict[str, Scalar]:
    """What the pool's test says, and of a candidate that its pool's champion did not let in, the coin's own edge."""
    view = item.evidence.view if item.evidence is not None else None
    pooled: dict[str, Scalar] = {
        "lineage": view.lineage_id if view else None,
        "e_value": view.e if view else None,
        "nights_missing": view.nights_until_decidable if view else None,
        "needed": view.needed if view else None,
        "observed_days": view.observed_days if view else None,
        "history_days": view.history_days if view else None,
        "live_days": view.live_days if view else None,
        "bound_over_sd": view.bound_over_sd if view else None,
        "pool": item.pool,
    }
    edge = item.edge
    if item.champion or edge is None:
        return pooled
    own = {"edge_round_trips": edge.n, "edge_lower_bps": edge.lower_bps, "edge_wanted_bps": edge.wanted_bps}
    return {**pooled, **own}


def vendor_comparison(night: Night, instrument_id: str) -> dict[str, object]:
    """What other sources said of an instrument's bars, the last time they were compared; that nothing was compared,
    else.

    A comparison that came after the night's moment is not known to it.
    """
    checked = night.checked
    if checked is None or parse_iso(checked["checked"]) > night.plan.now_ms:
        never: dict[str, object] = {
            "checked": None,
            "compared_with": [],
            "second_venue": None,
            "note": f"nothing was compared {_HOW}",
        }
        return {"vendor_mismatches": [], "vendor_check": never}
    rows = [row for row in checked["comparisons"] if row["instrument"] == instrument_id]
    compared = sorted({row["against"] for row in rows})
    venue = checked["venue"] if checked["venue"] in compared else None
    found: dict[str, object] = {
        "checked": checked["checked"],
        "compared_with": [*compared],
        "second_venue": venue,
        "note": "" if venue else f"no second venue was compared {_HOW}",
    }
    return {"vendor_mismatches": [{**row} for row in rows if row["mismatch"]], "vendor_check": found}


def net_edge_bps(item: Assignment, cell: CellRecord) -> float:
    """What a round trip of this coin earned after costs, shrunken where the pool did; 0 where there was none."""
    if item.edge is not None and item.edge.shrunk_bps is not None:
        return item.edge.shrunk_bps
    net = cell.costs.get("net")
    return float(net) if isinstance(net, int | float) else 0.0


def confidence(cell: CellRecord) -> float:
    """Agreement of the engines at the cut-off, 0 to 1."""
    return cell.live.confidence if cell.live is not None else 0.0


def _flat(metrics: JsonObject) -> dict[str, Json]:
    """The plain numbers of a scorecard; what they rest on is in ``metrics.json``."""
    return {key: value for key, value in metrics.items() if key not in {"capacity", "without_best_day"}}


def _regimes(item: Assignment, cell: CellRecord) -> dict[str, RegimeEdge]:
    """What the coin earned in each regime, and where the gate lets an engine vote."""
    votes = cell.gate.regimes
    return {
        regime: RegimeEdge(net_edge_bps=edge.shrunk_bps, trips=edge.n, open=votes[regime].engine_count > 0)
        for regime, edge in item.measured.regimes.items()
    }


def _ranking(
    item: Assignment, cell: CellRecord, model: ChampionModel, regimes: Mapping[str, RegimeEdge]
) -> tuple[RankRow, ...]:
    """The row of the regime that holds at the cut-off, with that regime's own edge; none where the gate closes it.

    The coin's edge over all regimes stands in where the regime has too few round trips of its own. Nothing is ranked
    whose regime is not known.
    """
    live = cell.live
    if live is None or live.regime < 0:
        return ()
    regime = REGIMES[live.regime]
    here = regimes.get(regime)
    if here is None or not here.open:
        return ()
    looks, own = REGIME_FEATURE in model.feature_names, here.net_edge_bps
    overall = item.measured.overall
    if not looks or own is None:
        own = overall.shrunk_bps if overall is not None else None
    row = RankRow(
        coin=item.coin,
        horizon=item.horizon,
        regime=cell.regime,
        net_edge_bps=own if own is not None else net_edge_bps(item, cell),
        confidence=confidence(cell),
        capacity_estimate=_number(cell.metrics.get("capacity_estimate")),
    )
    return (row,)


def _number(value: Json) -> float | None:
    return float(value) if isinstance(value, int | float) else None
