"""The live page: what a workdir says of the running night, the last one and the ledger, as records; and its HTML.

The page loads nothing but two style sheets and htmx from where it came, has no inline script or style, and every name
in it is escaped. Its parts are rendered one by one too, for htmx to fetch.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from huracan.domain.time import DAY_MS, HOUR_MS, MINUTE_MS, iso
from huracan.reports import tables
from huracan.reports.night import NightReport
from huracan.reports.story import read_morning, refused_headline
from huracan.reports.templating import template_environment

if TYPE_CHECKING:
    from jinja2 import Environment

Row = Mapping[str, Any]

PARTS: Final = ("tonight", "morning", "store", "evidence", "champions", "skips", "nights")
SHOWN_JOBS: Final = 24
SHOWN_CHAMPIONS: Final = 60
SHOWN_COINS: Final = 6
STAGES: Final = {
    "universe": ("Universe", "step 1"),
    "ingest": ("Ingest", "step 2"),
    "prepare": ("Features, labels", "steps 3-4"),
    "train": ("Train, score, vote", "steps 5-7"),
    "judge": ("Judge", "step 8"),
    "publish": ("Publish", "step 9"),
}
EVENTS: Final = {
    "universe_built": "universe built",
    "job_retried": "job starts again",
    "job_failed": "job failed",
    "worker_lost": "worker lost",
    "backend_lost": "backend lost",
    "pool_frozen": "pool frozen",
    "export_failed": "export failed",
    "set_published": "set published",
    "keys_created": "signing keys made",
    "root_key_unprotected": "root key unprotected",
    "champion_demoted": "champion demoted",
}
LIVE_TABLES: Final = {
    "jobs": ["Pair", "Work", "Attempt", "For"],
    "nights": ["Night", "Status", "Started", "Took", "Champions", "Candidates", "Skips", "Report"],
    "skips": ["Code", "Step", "Skips", "Reason", "Coins"],
}
"""Heads of the tables that only the live page has; a narrow screen names each cell by them."""
_UNTOLD: Final = dict.fromkeys(
    ("run_id", "started_ms", "members", "pairs", "backend", "workers", "retried", "failed", "code", "error")
)
_BAD: Final = frozenset({"job_failed", "worker_lost", "backend_lost", "pool_frozen", "export_failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreState:
    """What a store serves: the verified set, or why none verifies. `problem` is None for a good one."""

    place: str
    problem: str | None = None
    version: int | None = None
    run_id: str | None = None
    signed_ms: int | None = None
    expires_ms: int | None = None
    champions: int = 0
    candidates: int = 0
    do_not_trade: int = 0
    copies: tuple[tuple[str, str], ...] = ()  # remote stores, each with its publish state


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveView:
    """All that the page shows. Times are ms UTC; `now_ms` is the machine's clock when the files were read.

    Fields
    ------
    progress : the record of `progress.json`, None where there is none.
    locked : whether a process holds the store's lock; None where this machine does not tell.
    summary : the newest night's summary, None before the first.
    nights : rows of the ledger, newest first: run_id, started_ms, finished_ms, status, now, champions, candidates,
        skips, page (whether its report is here).
    store : the publish state. problems : sentences about files that could not be read.
    """

    now_ms: int
    workdir: str
    progress: Row | None = None
    locked: bool | None = None
    summary: Row | None = None
    nights: tuple[Row, ...] = ()
    store: StoreState | None = None
    problems: tuple[str, ...] = field(default_factory=tuple)

    @property
    def state(self) -> str:
        """``running``, ``interrupted`` (it was ended or died; the next run goes on), ``finished``, ``refused``, ``failed`` or ``none``."""
        told = str((self.progress or {}).get("state") or "none")
        if told == "running" and self.locked is False:
            return "interrupted"
        return told if told in {"running", "interrupted", "finished", "refused", "failed"} else "none"


def live_page(view: LiveView) -> str:
    """The whole page; it says everything without scripts too."""
    return _environment().get_template("live.html").render(_facts(view))


def live_part(view: LiveView, name: str) -> str:
    """One part of the page by a name of PARTS."""
    template = _environment().get_template("live_parts.html")
    return str(getattr(template.make_module(_facts(view)), f"{name}_part")())


def style_sheets() -> str:
    """The style of the night's page, and what the live page adds."""
    loader = _environment().loader
    assert loader is not None
    sheets = [loader.get_source(_environment(), name)[0] for name in ("night.css", "live.css")]
    empty = NightReport(run_id="", data_cutoff="")
    drawn = [tables.lineage_table(empty), tables.champion_table((), "champions")]
    titles = {**{table.name: [title for title, _ in table.headers] for table in drawn}, **LIVE_TABLES}
    return "\n".join([*sheets, *(tables.card_labels(name, of) for name, of in titles.items())])


@cache
def _environment() -> "Environment":
    environment = template_environment()
    environment.filters |= {"clock": _clock, "moment": _moment, "span": span}
    return environment


def _facts(view: LiveView) -> dict[str, Any]:
    summary = view.summary or {}
    night = _night(summary)
    progress = {**_UNTOLD, **(view.progress or {})}
    return {
        "view": view,
        "state": view.state,
        "progress": progress,
        "tiles": _tiles(summary),
        "story": read_morning(summary),
        "verdict": str(summary.get("verdict") or ""),
        "refused": refused_headline(str(progress["code"]), str(progress["error"])) if view.state == "refused" else "",
        "cutoff": str(summary.get("data_cutoff") or ""),
        "cached": _cached(summary),
        "stages": _stages(progress, view.state, view.now_ms),
        "jobs": _jobs(progress, view.now_ms),
        "told": _told(progress),
        "lineages": tables.lineage_table(night),
        "champions": tables.champion_table(night.champions[:SHOWN_CHAMPIONS], "champions"),
        "more_champions": max(0, len(night.champions) - SHOWN_CHAMPIONS),
        "skips": _skip_groups(_rows(summary, "skipped")),
        "skipped": len(_rows(summary, "skipped")),
        "publication": _publication(view),
        "parts": PARTS,
    }


def _night(summary: Row) -> NightReport:
    return NightReport(
        run_id=str(summary.get("run_id") or ""),
        data_cutoff=str(summary.get("data_cutoff") or ""),
        lineages=_rows(summary, "evidence"),
        champions=tuple(
            sorted(
                _rows(summary, "champions"),
                key=lambda row: -_number(row.get("edge_after_cost_bps")),
            )
        ),
    )


def _rows(summary: Row, name: str) -> tuple[Row, ...]:
    rows = summary.get(name)
    return tuple(row for row in rows if isinstance(row, Mapping)) if isinstance(rows, list) else ()


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else -math.inf


def _tiles(summary: Row) -> list[tuple[str, str]]:
    if not summary:
        return []
    names = (
        ("Pairs listed", summary.get("coin_universe_size")),
        ("Pairs trained", summary.get("coins_processed")),
        ("Champions", summary.get("champions_count")),
        ("Candidates, paper only", summary.get("candidates_count")),
        ("Skipped pair-horizons", summary.get("skipped_count")),
        ("Errors", len(_rows(summary, "errors"))),
    )
    return [(name, tables.number_cell(value, 0).text) for name, value in names]


def _cached(summary: Row) -> str:
    counts = summary.get("cache")
    if not isinstance(counts, Mapping) or not counts.get("total"):
        return ""
    return f"{counts.get('hits') or 0} of {counts['total']} jobs from cache"


def _stages(progress: Row, state: str, now_ms: int) -> list[dict[str, Any]]:
    """Every stage with what is known of it; those not begun are waiting."""
    seen = {str(row.get("name")): row for row in _rows(progress, "stages")}
    begun = [name for name in STAGES if name in seen]
    rows = []
    for name, (title, steps) in STAGES.items():
        row = seen.get(name, {})
        current = bool(begun) and name == begun[-1] and state not in {"finished", "none"}
        done, total = row.get("done"), row.get("total")
        started = row.get("started_ms")
        end = row.get("ended_ms") or (now_ms if state == "running" else progress.get("updated_ms"))
        rows.append(
            {
                "title": title,
                "steps": steps,
                "state": ("now" if state == "running" else "stopped") if current else "done" if row else "waiting",
                "done": done,
                "total": total,
                "time": span(end - started) if isinstance(started, int) and isinstance(end, int) else "",
            }
        )
    return rows


def _jobs(progress: Row, now_ms: int) -> dict[str, Any]:
    rows = sorted(_rows(progress, "running"), key=lambda row: row.get("since_ms") or 0)
    shown = [
        {
            "coin": str(row.get("coin")),
            "wave": STAGES.get(str(row.get("wave")), (str(row.get("wave")), ""))[0],
            "attempt": row.get("attempt"),
            "time": span(now_ms - row["since_ms"]) if isinstance(row.get("since_ms"), int) else "",
        }
        for row in rows[:SHOWN_JOBS]
    ]
    return {"rows": shown, "more": max(0, len(rows) - SHOWN_JOBS), "count": len(rows)}


def _told(progress: Row) -> list[dict[str, Any]]:
    """The newest events first, each in a few words."""
    rows = []
    for row in reversed(_rows(progress, "recent")):
        name = str(row.get("event"))
        fields = [f"{key} {value}" for key, value in row.items() if key not in {"event", "at_ms", "run_id"}]
        rows.append(
            {
                "at_ms": row.get("at_ms"),
                "name": EVENTS.get(name, name),
                "text": ", ".join(fields)[:240],
                "bad": name in _BAD,
            }
        )
    return rows


def _skip_groups(skips: tuple[Row, ...]) -> list[dict[str, Any]]:
    """One row a code and step, the most frequent first, with its commonest reason and a few of its coins."""
    groups: dict[tuple[str, Any], list[Row]] = {}
    for row in skips:
        groups.setdefault((str(row.get("code")), row.get("step")), []).append(row)
    found = []
    for (code, step), rows in groups.items():
        coins = sorted({str(row.get("coin")) for row in rows})
        reasons = Counter(str(row.get("reason")) for row in rows)
        found.append(
            {
                "code": code,
                "step": step,
                "count": len(rows),
                "share": len(rows) / len(skips),
                "reason": reasons.most_common(1)[0][0],
                "other_reasons": len(reasons) - 1,
                "coins": coins[:SHOWN_COINS],
                "more": max(0, len(coins) - SHOWN_COINS),
            }
        )
    return sorted(found, key=lambda row: (-row["count"], row["code"]))


def _publication(view: LiveView) -> dict[str, Any]:
    """The store against the newest night, in one word and one sentence."""
    store = view.store
    if store is None or (store.version is None and store.problem is None):
        return {"word": "nothing published", "style": "dim", "text": "The store holds no signed set yet."}
    if store.problem is not None:
        return {"word": "not served", "style": "bad", "text": store.problem}
    assert store.signed_ms is not None
    assert store.expires_ms is not None
    newest = next((row for row in view.nights if row.get("status") == "finished" and not row.get("dry_run")), None)
    if view.now_ms > store.expires_ms:
        return {
            "word": "expired",
            "style": "bad",
            "text": "Hamilton takes no new entries: the metadata have expired; run a night",
        }
    if (
        newest is not None
        and newest.get("run_id") != store.run_id
        and (newest.get("started_ms") or 0) > store.signed_ms
    ):
        return {
            "word": "behind",
            "style": "bad",
            "text": f"The newest finished night is {newest['run_id']}; it is not in the store.",
        }
    waiting = [f"{name} is {state}" for name, state in store.copies if state != "PUBLISHED"]
    if waiting:
        return {
            "word": "copies behind",
            "style": "bad",
            "text": f"{'; '.join(waiting)}: `huracan publish` finishes it.",
        }
    if view.now_ms > store.signed_ms + 26 * HOUR_MS:
        return {"word": "stale", "style": "bad", "text": "Signed more than 26 hours ago; Hamilton flags it as stale."}
    return {"word": "current", "style": "good", "text": "Signed, verified from the trusted root, not stale."}


def span(ms: float) -> str:
    """A length of time in words of one or two units.

    >>> span(4_200), span(64_000), span(7_500_000), span(200_000_000)
    ('4 s', '1 min 4 s', '2 h 5 min', '2 d 7 h')
    """
    ms = max(0, int(ms))
    if ms < MINUTE_MS:
        return f"{ms // 1000} s"
    if ms < HOUR_MS:
        return f"{ms // MINUTE_MS} min {ms % MINUTE_MS // 1000} s"
    if ms < DAY_MS:
        return f"{ms // HOUR_MS} h {ms % HOUR_MS // MINUTE_MS} min"
    return f"{ms // DAY_MS} d {ms % DAY_MS // HOUR_MS} h"


def _moment(ms: Any) -> str:
    """Day and minute of an instant, UTC."""
    return iso(ms)[:16].replace("T", " ") if isinstance(ms, int) else "–"


def _clock(ms: Any) -> str:
    """Time of day of an instant, UTC."""
    return iso(ms)[11:19] if isinstance(ms, int) else "–"
