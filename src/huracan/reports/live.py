"""The live page: what a workdir says of the running night, the last one and the ledger, as records; and its HTML.

The page loads nothing but two style sheets and htmx from where it came, has no inline script or style, and every name
in it is escaped. Its parts are rendered one by one too, for htmx to fetch.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from huracan.domain.time import iso
from huracan.reports import tables
from huracan.reports.live_lines import (
    NightLine,
    StoreState,
    event_lines,
    job_lines,
    publication_of,
    skip_groups,
    span,
    stage_lines,
)
from huracan.reports.night import NightReport
from huracan.reports.night_summary import NightSummary, SummaryRow
from huracan.reports.progress import Progress
from huracan.reports.story import refused_headline
from huracan.reports.templating import template_environment

if TYPE_CHECKING:
    from jinja2 import Environment

PARTS: Final = ("tonight", "morning", "store", "evidence", "champions", "skips", "nights")
SHOWN_CHAMPIONS: Final = 60
LIVE_TABLES: Final = {
    "jobs": ["Pair", "Work", "Attempt", "For"],
    "nights": ["Night", "Status", "Started", "Took", "Champions", "Candidates", "Skips", "Report"],
    "skips": ["Code", "Step", "Skips", "Reason", "Coins"],
}
"""Heads of the tables that only the live page has; a narrow screen names each cell by them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveView:
    """All that the page shows. Times are ms UTC; `now_ms` is the machine's clock when the files were read.

    `locked` says whether a process holds the store's lock, None where this machine does not know. `summary` is the
    newest night's, `nights` are those of the ledger, newest first. `problems` are sentences about files that could not
    be read.
    """

    now_ms: int
    workdir: str
    progress: Progress | None = None
    locked: bool | None = None
    summary: NightSummary | None = None
    nights: tuple[NightLine, ...] = ()
    store: StoreState | None = None
    problems: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """``running``, ``interrupted``, ``finished``, ``refused``, ``failed`` or ``none``.

        An interrupted night was ended or died; the next run goes on.
        """
        state = self.progress.state if self.progress else "none"
        if state == "running" and self.locked is False:
            return "interrupted"
        return state if state in {"running", "interrupted", "finished", "refused", "failed"} else "none"


def live_page(view: LiveView) -> str:
    """The whole page; it says everything without scripts too."""
    return _environment().get_template("live.html").render(_values(view))


def live_part(view: LiveView, name: str) -> str:
    """One part of the page by a name of PARTS."""
    template = _environment().get_template("live_parts.html")
    return str(getattr(template.make_module(_values(view)), f"{name}_part")())


def style_sheets() -> str:
    """The style of the night's page, and what the live page adds."""
    loader = _environment().loader
    assert loader is not None
    sheets = [loader.get_source(_environment(), name)[0] for name in ("night.css", "live.css")]
    empty = NightReport(run_id="", data_cutoff="")
    drawn = [tables.hypothesis_table(empty), tables.champion_table((), "champions")]
    titles = {**{table.name: [title for title, _ in table.headers] for table in drawn}, **LIVE_TABLES}
    return "\n".join([*sheets, *(tables.card_labels(name, of) for name, of in titles.items())])


@cache
def _environment() -> "Environment":
    environment = template_environment()
    environment.filters |= {"clock": _clock, "moment": _moment, "span": span}
    return environment


def _values(view: LiveView) -> dict[str, object]:
    summary, progress = view.summary or NightSummary(), view.progress or Progress()
    champions = sorted(summary.champions, key=_by_edge)
    night = NightReport(run_id="", data_cutoff="", hypotheses=summary.hypotheses)
    return {
        "view": view,
        "state": view.state,
        "progress": progress,
        "tiles": [] if view.summary is None else _tiles(summary),
        "story": summary.morning,
        "verdict": summary.verdict,
        "refused": refused_headline(str(progress.code), str(progress.error)) if view.state == "refused" else "",
        "cutoff": summary.data_cutoff,
        "cached": _cached(summary),
        "stages": stage_lines(progress, view.state, view.now_ms),
        "jobs": job_lines(progress, view.now_ms),
        "events": event_lines(progress),
        "hypotheses": tables.hypothesis_table(night),
        "champions": tables.champion_table(champions[:SHOWN_CHAMPIONS], "champions"),
        "more_champions": max(0, len(champions) - SHOWN_CHAMPIONS),
        "skips": skip_groups(summary.skipped),
        "skipped": len(summary.skipped),
        "publication": publication_of(view.store, view.nights, view.now_ms),
        "parts": PARTS,
    }


def _by_edge(row: SummaryRow) -> float:
    edge = row.edge_after_cost_bps
    return math.inf if edge is None or not math.isfinite(edge) else -edge


def _tiles(summary: NightSummary) -> list[tuple[str, str]]:
    names = (
        ("Pairs listed", summary.coin_universe_size),
        ("Pairs trained", summary.coins_processed),
        ("Champions", summary.champions_count),
        ("Candidates, paper only", summary.candidates_count),
        ("Skipped pair-horizons", summary.skipped_count),
        ("Errors", len(summary.errors)),
    )
    return [(name, tables.number_cell(value, 0).text) for name, value in names]


def _cached(summary: NightSummary) -> str:
    return f"{summary.cache.hits} of {summary.cache.total} jobs from cache" if summary.cache.total else ""


def _moment(ms: int | None) -> str:
    """Day and minute of an instant, UTC."""
    return "–" if ms is None else iso(ms)[:16].replace("T", " ")


def _clock(ms: int | None) -> str:
    """Time of day of an instant, UTC."""
    return "–" if ms is None else iso(ms)[11:19]
