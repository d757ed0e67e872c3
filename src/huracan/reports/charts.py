"""The figures of the page as plotly.js dicts; colours are left to the page, which knows whether it is dark."""

from collections.abc import Callable, Sequence
from html import escape
from itertools import groupby
from typing import Final

from huracan.domain.json import Json
from huracan.reports.night import Curve, NightReport
from huracan.reports.night_summary import Costs
from huracan.reports.tables import CostRow, cost_rows, skip_counts

Figure = dict[str, Json]

COLOURED: Final = 6
DASHES: Final = ("solid", "dash", "dot", "dashdot")
COST_BARS: Final = 20
COST_PARTS: Final[tuple[tuple[str, Callable[[Costs], float | None]], ...]] = (
    ("Fees", lambda costs: costs.fees),
    ("Spread", lambda costs: costs.spread),
    ("Slippage", lambda costs: costs.slippage),
    ("Funding", lambda costs: costs.funding),
)


def equity_figure(night: NightReport) -> Figure | None:
    """Sum of daily results per pool and recipe against doing nothing, one panel a horizon; None without curves."""
    panels = _panels(night)
    if not panels:
        return None
    traces: list[Figure] = []
    shapes: list[Figure] = []
    notes: list[Figure] = []
    layout: Figure = {"height": 300 if len(panels) == 1 else 260 * len(panels), "hovermode": "x unified"}
    pools = list(dict.fromkeys(curve.pool for curve in night.curves))
    recipes = list(dict.fromkeys(curve.recipe for curve in night.curves))
    for place, (horizon, curves) in enumerate(panels, start=1):
        suffix = "" if place == 1 else str(place)
        top, bottom = _domain(place, len(panels))
        layout[f"xaxis{suffix}"] = {"anchor": f"y{suffix}", "type": "date", "matches": "x"}
        layout[f"yaxis{suffix}"] = {
            "domain": [bottom, top],
            "anchor": f"x{suffix}",
            "title": _title("bps of capital"),
        }
        traces += [_trace(curve, suffix, pools.index(curve.pool), recipes.index(curve.recipe)) for curve in curves]
        traces[-len(curves) :] = _legend_once(traces, len(curves))
        shapes.append(_line(suffix, y=0.0))
        live = min((curve.live_from for curve in curves if curve.live_from), default=None)
        if live is not None:
            shapes.append(_line(suffix, x=live))
            notes.append(_note("live →", f"x{suffix}", live, f"y{suffix} domain", 1.15, anchor="left"))
        notes.append(
            _note(f"<b>{escape(horizon)}</b>", f"x{suffix} domain", 0.0, f"y{suffix} domain", 1.15, anchor="left")
        )
    legend: Figure = {"orientation": "h", "x": 1, "xanchor": "right", "y": 1, "yanchor": "bottom"}
    layout |= {"shapes": shapes, "annotations": notes, "legend": legend}
    return {"data": traces, "layout": layout}


def skip_figure(night: NightReport) -> Figure | None:
    """How often each reason occurred; None without skips."""
    counts = skip_counts(night)[::-1]
    if not counts:
        return None
    trace: Figure = {
        "type": "bar",
        "orientation": "h",
        "y": [escape(code) for code, _ in counts],
        "x": [count for _, count in counts],
        "text": [f"{count:,}" for _, count in counts],
        "textposition": "outside",
        "cliponaxis": False,
        "hovertemplate": "%{y}: %{x:,}<extra></extra>",
    }
    layout: Figure = {
        "height": 40 + 26 * len(counts),
        "bargap": 0.45,
        "xaxis": {"visible": False},
        "yaxis": {"automargin": True, "ticks": ""},
        "margin": {"t": 8, "r": 60, "b": 8},
    }
    return {"data": [trace], "layout": layout}


def cost_figure(night: NightReport) -> Figure | None:
    """What round trips cost and what they earned before costs, the largest gross edges first; None without costs."""
    found = [(row, row.costs.gross) for row in cost_rows(night) if row.costs.gross is not None]
    found = sorted(found, key=lambda item: -item[1])[:COST_BARS]
    if not found:
        return None
    rows, earned = [row for row, _ in found], [gross for _, gross in found]
    names = [escape(f"{row.coin} {row.horizon} {row.recipe}".strip()) for row in rows]
    bars: list[Figure] = [
        {"type": "bar", "name": title, "x": names, "y": [part(row.costs) for row in rows], "meta": "category"}
        for title, part in COST_PARTS
    ]
    low, high = _cost_range(rows, earned)
    marks: Figure = {
        "type": "scatter",
        "mode": "markers+text",
        "name": "Gross edge",
        "x": names,
        "y": [min(max(gross, low), high) for gross in earned],
        "customdata": earned,
        "text": ["" if low <= gross <= high else f"{gross:,.0f}" for gross in earned],
        "textposition": ["top center" if gross < 0 else "bottom center" for gross in earned],
        "hovertemplate": "%{customdata:,.1f}",
        "marker": {"symbol": "line-ew-open", "size": 14, "line": {"width": 3}},
        "meta": "ink",
    }
    layout: Figure = {
        "height": 380,
        "barmode": "relative",
        "yaxis": {"title": _title("bps of notional per round trip"), "range": [1.12 * low, 1.12 * high]},
        "xaxis": {"automargin": True, "tickangle": -40},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
        "hovermode": "x unified",
    }
    return {"data": [*bars, marks], "layout": layout}


def _cost_range(rows: Sequence[CostRow], gross: Sequence[float]) -> tuple[float, float]:
    """Lowest and highest value drawn: costs must stay readable, so a gross edge of many times the costs is cut."""
    parts = [[part(row.costs) or 0.0 for _, part in COST_PARTS] for row in rows]
    room = 3.0 * max(1.0, *(sum(max(part, 0.0) for part in cost) for cost in parts))
    income = min(sum(min(part, 0.0) for part in cost) for cost in parts)
    return min(0.0, income, max(min(gross), -room / 2)), min(max(*gross, room / 2), room)


def _panels(night: NightReport) -> list[tuple[str, list[Curve]]]:
    place = {horizon: number for number, horizon in enumerate(night.horizons)}
    curves = sorted((c for c in night.curves if c.days), key=lambda c: (place.get(c.horizon, len(place)), c.horizon))
    return [(horizon, list(group)) for horizon, group in groupby(curves, key=lambda curve: curve.horizon)]


def _trace(curve: Curve, suffix: str, pool: int, recipe: int) -> Figure:
    """A line whose colour says the pool and whose dash says the recipe."""
    total, sums = 0.0, []
    for net in curve.net_bps:
        total += net or 0.0
        sums.append(round(total, 3))
    name = f"{curve.pool} {curve.recipe}"
    return {
        "type": "scatter",
        "mode": "lines",
        "name": escape(name),
        "legendgroup": escape(name),
        "x": list(curve.days),
        "y": sums,
        "xaxis": f"x{suffix}",
        "yaxis": f"y{suffix}",
        "line": {"width": 1.8, "dash": DASHES[recipe % len(DASHES)]},
        "meta": f"series {pool}" if pool < COLOURED else "other",
        "hovertemplate": "%{y:,.0f} bps",
    }


def _legend_once(traces: Sequence[Figure], newest: int) -> list[Figure]:
    """Show a name in the legend at its first panel only."""
    earlier = {trace["name"] for trace in traces[:-newest]}
    return [{**trace, "showlegend": trace["name"] not in earlier} for trace in traces[-newest:]]


def _domain(place: int, count: int) -> tuple[float, float]:
    """Top and bottom of a panel, the first on top, with room for its title."""
    height = 1.0 / count
    top = 1.0 - (place - 1) * height
    below = 0.0 if place == count else 0.1 * height
    return round(top - 0.14 * height, 6), round(top - height + below, 6)


def _line(suffix: str, *, x: str | None = None, y: float | None = None) -> Figure:
    """A line across a panel: upright at `x`, or level at `y` (doing nothing)."""
    place: Figure
    if x is not None:
        place = {"x0": x, "x1": x, "xref": f"x{suffix}", "y0": 0, "y1": 1, "yref": f"y{suffix} domain"}
        return {"type": "line", **place, "line": {"width": 1, "dash": "dot"}}
    place = {"x0": 0, "x1": 1, "xref": f"x{suffix} domain", "y0": y, "y1": y, "yref": f"y{suffix}"}
    return {"type": "line", **place, "line": {"width": 1.2}}


def _title(text: str) -> Figure:
    return {"text": text, "font": {"size": 12}}


def _note(text: str, xref: str, x: str | float, yref: str, y: float, *, anchor: str) -> Figure:
    place: Figure = {"xref": xref, "x": x, "yref": yref, "y": y, "xanchor": anchor, "yanchor": "top"}
    return {"text": text, "showarrow": False, **place}
