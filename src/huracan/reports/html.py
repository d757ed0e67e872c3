"""The page of a night as one HTML text; it wants `plotly.min.js` beside it and nothing else."""

from functools import cache
from typing import TYPE_CHECKING, Final

from huracan.reports import charts, tables
from huracan.reports.morning import Morning
from huracan.reports.night import NightReport
from huracan.reports.templating import template_environment

if TYPE_CHECKING:
    from jinja2 import Template

PLOTLY_FILE: Final = "plotly.min.js"
UNTOLD: Final = "Of this night only its tables are known."


def night_page(night: NightReport) -> str:
    """The page; every name in it is escaped, it loads nothing from any network, and it works without scripts."""
    shown: dict[str, tables.Table] = {
        "hypotheses": tables.hypothesis_table(night),
        "champions": tables.champion_table(night.champions, "champions"),
        "candidates": tables.champion_table(night.candidates, "candidates"),
        "skips": tables.skip_table(night),
        "costs": tables.cost_table(night),
        "integrity": tables.integrity_table(night),
        "rules": tables.rule_table(night),
        "outages": tables.outage_table(night),
        "lost_files": tables.lost_file_table(night),
        "errors": tables.error_table(night),
    }
    values: dict[str, object] = {
        **shown,
        "night": night,
        "story": night.story or Morning(night=night.data_cutoff[:10], mood="plain", headline=UNTOLD),
        "refused": night.refused,
        "alpha": next((f"{row.alpha:.0%}" for row in night.hypotheses if row.alpha), ""),
        "labels": "\n".join(
            tables.card_labels(table.name, [title for title, _ in table.headers]) for table in shown.values()
        ),
        "tiles": _tiles(night),
        "figures": {
            "equity": charts.equity_figure(night),
            "skips": charts.skip_figure(night),
            "costs": charts.cost_figure(night),
        },
        "plotly": PLOTLY_FILE,
    }
    return _template().render(values)


@cache
def _template() -> "Template":
    return template_environment().get_template("night.html")


def _tiles(night: NightReport) -> list[tuple[str, str]]:
    return [
        ("Pairs listed", f"{night.universe_size:,}"),
        ("Pairs trained", f"{night.coins_processed:,}"),
        ("Champions", f"{len(night.champions):,}"),
        ("Candidates, paper only", f"{len(night.candidates):,}"),
        ("Skipped pair-horizons", f"{len(night.skips):,}"),
        ("Errors", f"{len(night.errors):,}"),
    ]
