"use strict";
const dark = window.matchMedia("(prefers-color-scheme: dark)");

function sortBy(header) {
  const body = header.closest("table").tBodies[0];
  const place = header.cellIndex;
  const numeric = header.classList.contains("n");
  const down = header.ariaSort ? header.ariaSort === "ascending" : numeric;
  const key = (row) => {
    const cell = row.cells[place];
    if (!("sort" in cell.dataset)) return null;
    return numeric && !Number.isNaN(Number(cell.dataset.sort)) ? Number(cell.dataset.sort) : cell.dataset.sort;
  };
  const rows = Array.from(body.rows, (row) => [key(row), row]);
  rows.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null);
    const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
    return down ? -order : order;
  });
  body.append(...rows.map(([, row]) => row));
  for (const other of header.parentNode.cells) other.removeAttribute("aria-sort");
  header.ariaSort = down ? "descending" : "ascending";
}

function painted(figure) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue("--" + name).trim();
  const copy = structuredClone(figure);
  copy.data.forEach((trace, place) => {
    const series = /^series (\d+)$/.exec(trace.meta || "");
    const paint = trace.meta === "ink" ? colour("ink") : trace.meta === "other" ? colour("other")
      : colour("s" + (series ? series[1] : trace.meta === "category" ? place : 0));
    if (trace.line) trace.line.color = paint;
    trace.marker = { ...(trace.marker || {}), color: paint };
    if (trace.marker.line) trace.marker.line.color = paint;
  });
  const axis = { gridcolor: colour("line"), linecolor: colour("line"), zerolinecolor: colour("line") };
  for (const name of Object.keys(copy.layout)) {
    if (/^[xy]axis/.test(name)) copy.layout[name] = { ...axis, ...copy.layout[name] };
  }
  for (const shape of copy.layout.shapes || []) shape.line.color = colour(shape.line.dash ? "soft" : "ink");
  copy.layout = {
    margin: { t: 26, r: 18, b: 40, l: 64 }, ...copy.layout, autosize: true,
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12.5, color: colour("ink") },
    hoverlabel: { bgcolor: colour("card"), bordercolor: colour("line"), font: { color: colour("ink") } },
  };
  return copy;
}

let asked = false;

function seen(place) {
  const fold = place.closest("details");
  return !fold || fold.open;
}

function draw() {
  const shown = Object.entries(figures).map(([name, figure]) => [document.getElementById("figure-" + name), figure])
    .filter(([place, figure]) => place && figure && seen(place));
  if (!shown.length) return;
  if (typeof Plotly === "undefined") {
    if (asked) return;
    asked = true;
    const script = document.createElement("script");
    script.src = plotlyFile;
    script.addEventListener("load", draw);
    document.head.append(script);
    return;
  }
  for (const [place, figure] of shown) {
    const { data, layout } = painted(figure);
    place.style.height = layout.height + 14 + "px";
    Plotly.react(place, data, layout, { responsive: true, displaylogo: false, displayModeBar: false });
  }
}

for (const header of document.querySelectorAll("th")) header.firstElementChild.addEventListener("click", () => sortBy(header));
for (const fold of document.querySelectorAll("details.detail")) fold.addEventListener("toggle", draw);
dark.addEventListener("change", draw);
draw();
