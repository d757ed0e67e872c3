# ruff: noqa: INP001
"""Draw deploy/grafana/huracan.json from a real Prometheus: every panel's queries through its HTTP API, on Grafana's own
grid.

    python tools/render_dashboard.py --prometheus http://127.0.0.1:9090 --job huracan-textfile --out page.html --png
    page.png

This is our rendering of the dashboard's definition, for machines without Grafana; Grafana itself draws the same file
nicer.
"""

import argparse
import html
import json
import math
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

DASHBOARD = Path(__file__).parents[1] / "deploy" / "grafana" / "huracan.json"
POINTS = 240
ROW_PX = 34
PAGE_PX = 1476
PALETTE = ("#73BF69", "#F2CC0C", "#8AB8FF", "#FF9830", "#F2495C", "#B877D9", "#5794F2", "#CA95E5")
COLOURS = {"green": "#56A64B", "orange": "#FF780A", "red": "#E02F44", "blue": "#3274D9"}
NANO = ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("min", 60.0), ("h", 3600.0), ("d", 86400.0)
BYTES = ("B", 1.0), ("KiB", 2.0**10), ("MiB", 2.0**20), ("GiB", 2.0**30), ("TiB", 2.0**40)

Series = list[tuple[str, list[tuple[float, float]]]]


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """Panels that show something, in the order of the file."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expression(target: dict[str, Any], job: str) -> str:
    """A target's PromQL with the dashboard's variables filled in."""
    return str(target["expr"]).replace("$job", job)


def ask(prometheus: str, path: str, **parameters: Any) -> list[dict[str, Any]]:
    """The result list of one API call; raises urllib.error.HTTPError for an expression Prometheus refuses."""
    url = f"{prometheus}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - the caller names the server
        result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
    return result


def answers(prometheus: str, panel: dict[str, Any], job: str, start: float, end: float) -> Series:
    """Every series of a panel by its legend; an instant query has one point."""
    found: Series = []
    for target in panel["targets"]:
        query = expression(target, job)
        if target["instant"]:
            rows = ask(prometheus, "query", query=query, time=end)
        else:
            rows = ask(prometheus, "query_range", query=query, start=start, end=end, step=(end - start) / POINTS)
        for row in rows:
            points = row.get("values") or [row["value"]]
            numbers = [(float(at), float(value)) for at, value in points if math.isfinite(float(value))]
            if numbers:
                found.append((legend(target["legendFormat"], row["metric"]), numbers))
    return found


def legend(template: str, labels: dict[str, str]) -> str:
    """A legend with its ``{{label}}`` filled in."""
    for name, value in labels.items():
        template = template.replace(f"{{{{{name}}}}}", value)
    return template


def shown(value: float, field: dict[str, Any]) -> str:
    """A value with its unit, as the panel wants it."""
    for mapping in field["mappings"]:
        text = mapping["options"].get(f"{value:g}")
        if text:
            return str(text["text"])
    digits = field.get("decimals")
    match field["unit"]:
        case "percentunit":
            return f"{value * 100:.{1 if digits is None else digits}f} %"
        case "s":
            return _scaled(value, NANO)
        case "bytes":
            return _scaled(value, BYTES)
    return f"{value:,.{digits}f}" if digits is not None else f"{value:,.4g}" if value % 1 else f"{value:,.0f}"


def _scaled(value: float, units: tuple[tuple[str, float], ...]) -> str:
    fitting = [(name, size) for name, size in units if abs(value) >= size] or [
        (("s", 1.0) if units is NANO else units[0])
    ]
    name, size = fitting[-1]
    return f"{value / size:.3g} {name}"


def colour(value: float, field: dict[str, Any]) -> str:
    """The colour of the highest threshold that the value has reached."""
    chosen = "green"
    for step in field["thresholds"]["steps"]:
        if step["value"] is None or value >= step["value"]:
            chosen = step["color"]
    return COLOURS[chosen]


def field_of(panel: dict[str, Any], name: str) -> dict[str, Any]:
    """A series' unit, decimals and the like: the panel's, with what it overrides for a series of this name."""
    field = dict(panel["fieldConfig"]["defaults"])
    for override in panel["fieldConfig"]["overrides"]:
        if override["matcher"] == {"id": "byName", "options": name}:
            field |= {given["id"]: given["value"] for given in override["properties"]}
    return field


def stat(series: Series, panel: dict[str, Any]) -> str:
    """Tiles, one a series."""
    tiles = []
    for name, points in series:
        value, field = points[-1][1], field_of(panel, name)
        caption = f"<small>{html.escape(name)}</small>" if len(series) > 1 else ""
        tiles.append(
            f'<div class="tile" style="background:{colour(value, field)}">{caption}{shown(value, field)}</div>'
        )
    return f'<div class="tiles">{"".join(tiles)}</div>'


def bargauge(series: Series, field: dict[str, Any]) -> str:
    """Horizontal bars, one a series."""
    most = field.get("max") or max((points[-1][1] for _, points in series), default=1.0) or 1.0
    rows = []
    for name, points in series:
        value = points[-1][1]
        width = max(0.5, min(100.0, 100.0 * value / most))
        rows.append(
            f'<div class="bar"><span>{html.escape(name)}</span><i><b style="width:{width:.1f}%;'
            f'background:{colour(value, field)}"></b></i><em>{shown(value, field)}</em></div>'
        )
    return f'<div class="bars">{"".join(rows)}</div>'


def timeseries(series: Series, panel: dict[str, Any], start: float, end: float) -> str:
    """Lines in an SVG with a scale, clock times and a legend."""
    field = panel["fieldConfig"]["defaults"]
    log = field["custom"].get("scaleDistribution", {}).get("type") == "log"
    values = [value for _, points in series for _, value in points]
    low, high = _limits(values, field, log=log)
    grid = panel["gridPos"]
    width, height = grid["w"] / 24 * PAGE_PX - 26.0, grid["h"] * (ROW_PX + 6) - 66.0
    left, bottom = 64.0, 22.0

    def x(at: float) -> float:
        return left + (at - start) / (end - start) * (width - left - 8)

    def y(value: float) -> float:
        place = (_log(value) - _log(low)) / (_log(high) - _log(low)) if log else (value - low) / (high - low)
        return height - bottom - place * (height - bottom - 10)

    lines, keys = [], []
    for tick in _ticks(low, high, log=log, binary=field["unit"] == "bytes"):
        lines.append(f'<path d="M{left} {y(tick):.1f}H{width - 8}" stroke="#2c3235"/>')
        lines.append(f'<text x="{left - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{shown(tick, field)}</text>')
    parts = 4 if width > 420 else 2
    for part in range(parts + 1):
        at = start + (end - start) * part / parts
        clock = time.strftime("%H:%M:%S", time.gmtime(at))
        anchor = {0: "start", parts: "end"}.get(part, "middle")
        lines.append(f'<text x="{x(at):.1f}" y="{height - 5}" text-anchor="{anchor}">{clock}</text>')
    for at, (name, points) in enumerate(series):
        dash = ' stroke-dasharray="7 6"' if name.endswith("needed") else ""
        tint = PALETTE[at % len(PALETTE)]
        gaps = [True, *(later[0] - before[0] > 1.5 * (end - start) / POINTS for before, later in pairwise(points))]
        path = "".join(f"{'M' if gap else 'L'}{x(t):.1f} {y(v):.1f}" for gap, (t, v) in zip(gaps, points, strict=True))
        lines.append(f'<path d="{path}" fill="none" stroke="{tint}" stroke-width="2"{dash}/>')
        keys.append(f'<span><b style="background:{tint}"></b>{html.escape(name)} {shown(points[-1][1], field)}</span>')
    drawing = f'<svg viewBox="0 0 {width:.0f} {height:.0f}" preserveAspectRatio="xMidYMid meet">{"".join(lines)}</svg>'
    return f'{drawing}<div class="keys">{"".join(keys)}</div>'


def _limits(values: list[float], field: dict[str, Any], *, log: bool) -> tuple[float, float]:
    if log:
        positive = [value for value in values if value > 0] or [1.0]
        return min(1.0, *positive), max(10.0, *positive)
    low = field.get("min", min(values))
    high = field.get("max", max(values) * 1.05)
    return low, high if high > low else low + 1.0


def _log(value: float) -> float:
    return math.log10(max(value, 1e-12))


def _ticks(low: float, high: float, *, log: bool, binary: bool) -> Iterator[float]:
    if log:
        powers = range(math.floor(_log(low)), math.ceil(_log(high)) + 1)
        yield from (10.0**power for power in powers if low <= 10.0**power <= high)
    else:
        rough = (high - low) / 4
        step = 2.0 ** math.ceil(math.log2(rough)) if binary else 10.0 ** math.floor(math.log10(rough))
        step *= 1 if binary else next(size for size in (1, 2, 5, 10) if size * step >= rough)
        yield from (low + step * k for k in range(int((high - low) / step + 1e-9) + 1))


def body(panel: dict[str, Any], series: Series, start: float, end: float) -> str:
    """What stands inside a panel; without data, what the panel says then."""
    field = panel["fieldConfig"]["defaults"]
    if not series:
        return f'<div class="none">{html.escape(field.get("noValue", "no data"))}</div>'
    if panel["type"] == "stat":
        return stat(series, panel)
    return bargauge(series, field) if panel["type"] == "bargauge" else timeseries(series, panel, start, end)


def page(dashboard: dict[str, Any], prometheus: str, job: str, start: float, end: float) -> str:
    """The whole dashboard as one HTML page without scripts."""
    boxes = []
    for panel in dashboard["panels"]:
        grid = panel["gridPos"]
        place = f"grid-column:{grid['x'] + 1}/span {grid['w']};grid-row:{grid['y'] + 1}/span {grid['h']}"
        title = html.escape(panel["title"])
        if panel["type"] == "row":
            boxes.append(f'<h2 style="{place}">{title}</h2>')
            continue
        inside = body(panel, answers(prometheus, panel, job, start, end), start, end)
        boxes.append(
            f'<section style="{place}" title="{html.escape(panel["description"])}"><h3>{title}</h3>{inside}</section>'
        )
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(end))
    head = f"{html.escape(dashboard['title'])} <small>{when}, source {html.escape(job)}; our rendering of deploy/grafana/huracan.json</small>"
    return f'<!doctype html><meta charset="utf-8"><title>Huracan</title><style>{STYLE}</style><h1>{head}</h1><main>{"".join(boxes)}</main>'


STYLE = f"""
body{{margin:0;padding:12px;background:#111217;color:#ccccdc;font:13px/1.3 Inter,"DejaVu Sans",sans-serif}}
h1{{font-size:20px;margin:0 0 8px}} h1 small{{font-weight:400;color:#8e8e9e;font-size:13px;margin-left:8px}}
main{{display:grid;grid-template-columns:repeat(24,1fr);grid-auto-rows:{ROW_PX}px;gap:6px}}
h2{{font-size:14px;margin:6px 0 0;align-self:center}} h3{{font-size:12px;margin:0;font-weight:500;white-space:nowrap;overflow:hidden}}
section{{background:#181b1f;border:1px solid #24262b;border-radius:3px;padding:6px 8px;display:flex;flex-direction:column;min-width:0;min-height:0}}
.tiles{{display:flex;flex-direction:column;gap:4px;flex:1;margin-top:4px;min-height:0}}
.tile{{flex:1;display:flex;flex-direction:column;align-items:center;justify-content:center;font-size:20px;font-weight:600;color:#fff;border-radius:2px}}
.tile small{{font-size:11px;font-weight:400}}
.bars{{display:flex;flex-direction:column;justify-content:space-around;flex:1;min-height:0}}
.bar{{display:grid;grid-template-columns:minmax(84px,38%) 1fr auto;gap:6px;align-items:center}} .bar span{{white-space:nowrap;overflow:hidden}}
.bar i{{background:#24262b;height:12px}} .bar b{{display:block;height:12px}} .bar em{{font-style:normal;min-width:36px;text-align:right}}
.none{{flex:1;display:flex;align-items:center;justify-content:center;color:#8e8e9e}}
svg{{flex:1;min-height:0;width:100%}} svg text{{fill:#8e8e9e;font-size:11px}}
.keys{{display:flex;flex-wrap:wrap;gap:2px 12px;font-size:11px}} .keys b{{display:inline-block;width:10px;height:3px;margin-right:4px;vertical-align:middle}}
"""


def picture(file: Path, png: Path, dashboard: dict[str, Any]) -> None:
    """Photograph the page with headless Chromium."""
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"])
    chromium = shutil.which("chromium") or "chromium"
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--screenshot={png}"]
    size = f"--window-size=1500,{rows * (ROW_PX + 6) + 60}"
    subprocess.run([*command, size, file.absolute().as_uri()], check=True, capture_output=True, timeout=120)  # noqa: S603


def main() -> None:
    """Render to a file, and photograph it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prometheus", required=True)
    parser.add_argument("--job", default="huracan")
    parser.add_argument("--start", type=float, help="Unix seconds; default: 15 minutes before the end")
    parser.add_argument("--end", type=float, help="Unix seconds; default: now")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--png", type=Path)
    given = parser.parse_args()
    end = given.end or time.time()
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    text = page(dashboard, given.prometheus, given.job, given.start or end - 900, end)
    given.out.write_text(text, encoding="utf-8")
    if given.png is not None:
        picture(given.out, given.png, dashboard)


if __name__ == "__main__":
    main()
