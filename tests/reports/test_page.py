"""The page of a night: what it says, that it escapes, that it needs nothing from outside."""

import dataclasses
import html.parser
import json
import re

import plotly.graph_objects as go
import pytest
from sample_night import HOSTILE, sample_night

from huracan.reports import Curve, NightReport, curve_from_daily, night_page
from huracan.reports.charts import COLOURED, cost_figure, equity_figure, skip_figure
from huracan.reports.html import UNTOLD
from huracan.reports.night_summary import Costs, HypothesisRow, SkippedRow, SummaryRow
from huracan.reports.tables import (
    DASH,
    SHOWN_ROWS,
    champion_table,
    cost_table,
    hypothesis_table,
    integrity_table,
    number_cell,
    skip_counts,
    skip_table,
)

EMPTY = NightReport(run_id="r", data_cutoff="2026-05-01T00:00:00Z")


def night(*rows: HypothesisRow, **fields) -> NightReport:
    return dataclasses.replace(EMPTY, hypotheses=rows, **fields)


class Page(html.parser.HTMLParser):
    """Tags, attributes and visible text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.texts: list[str] = []
        self.inside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "input", "br", "link"}:
            self.inside.append(tag)

    def handle_endtag(self, tag):
        assert self.inside.pop() == tag

    def handle_data(self, data):
        if self.inside and self.inside[-1] not in {"script", "style"}:
            self.texts.append(data.strip())


@pytest.mark.parametrize("made", [sample_night(), sample_night(proven=False), EMPTY])
def test_the_page_is_well_formed_and_asks_nothing_of_the_network(made):
    text = night_page(made)
    page = Page(text)
    assert page.inside == []
    sources = [attributes.get("src") or attributes.get("href") for _, attributes in page.tags]
    assert [source for source in sources if source] == ["summary.json", "integrity.json"]
    assert 'plotlyFile = "plotly.min.js"' in text
    assert not re.search(r"https?://|//cdn|url\(|@import|fetch\(|XMLHttpRequest|eval\(", text)
    assert (made.story.headline if made.story else UNTOLD) in re.sub(r"\s+", " ", " ".join(page.texts))


def test_hostile_names_stay_text_everywhere():
    text = night_page(sample_night())
    page = Page(text)
    assert sum(tag == "script" for tag, _ in page.tags) == 2
    assert HOSTILE in page.texts
    assert "<script>alert" not in text
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    embedded = re.search(r"const figures = (.*);</script>", text)[1]
    assert "<" not in embedded
    assert "</script" not in embedded
    names = json.dumps(json.loads(embedded), ensure_ascii=False)
    assert "&lt;script&gt;" in names
    assert HOSTILE not in names


def test_every_section_says_so_when_there_is_nothing():
    texts = " ".join(Page(night_page(EMPTY)).texts)
    for sentence in ("No hypothesis has been admitted yet", "No pool has daily results", "No champion tonight", "No candidate tonight", "Nothing was skipped", "No round trip was simulated", "No data were read"):  # fmt: skip
        assert sentence in texts
    assert "Errors" not in [t for t in Page(night_page(EMPTY)).texts if t == "Errors"][1:]


def test_a_dry_run_says_that_nothing_was_written():
    assert "dry run, nothing was written" in night_page(dataclasses.replace(EMPTY, dry_run=True))
    assert "dry run" not in night_page(EMPTY)


def test_the_same_night_gives_the_same_page():
    assert night_page(sample_night()) == night_page(sample_night())


def test_plotly_accepts_every_figure():
    made = sample_night()
    for figure in (equity_figure(made), skip_figure(made), cost_figure(made)):
        go.Figure(figure)
    assert equity_figure(EMPTY) is skip_figure(EMPTY) is cost_figure(EMPTY) is None


def test_equity_sums_days_skips_void_ones_and_stands_beside_zero():
    curve = Curve(pool="p", horizon="1h", recipe="r", days=("2026-01-01", "2026-01-02", "2026-01-03"), net_bps=(5.0, None, -7.5), live_from="2026-01-03")  # fmt: skip
    figure = equity_figure(dataclasses.replace(EMPTY, curves=(curve,)))
    assert figure["data"][0]["y"] == [5.0, 5.0, -2.5]
    zero, live = figure["layout"]["shapes"]
    assert (zero["y0"], zero["y1"], live["x0"]) == (0.0, 0.0, "2026-01-03")


def test_panels_follow_the_order_of_horizons_and_a_name_is_in_the_legend_once():
    figure = equity_figure(sample_night())
    titles = [note["text"] for note in figure["layout"]["annotations"] if note["text"].startswith("<b>")]
    assert titles == ["<b>1h</b>", "<b>4h</b>", "<b>1d</b>"]
    shown = [trace["name"] for trace in figure["data"] if trace["showlegend"]]
    assert shown == ["um-A linear", "um-A boosted"]


def test_more_pools_than_colours_stay_grey_and_recipes_differ_by_dash():
    curves = tuple(
        Curve(pool=f"p{n}", horizon="1h", recipe=f"r{n % 2}", days=("2026-01-01",), net_bps=(1.0,)) for n in range(9)
    )
    traces = equity_figure(dataclasses.replace(EMPTY, curves=curves))["data"]
    paints = [trace["meta"] for trace in traces]
    assert [trace["line"]["dash"] for trace in traces[:4]] == ["solid", "dash", "solid", "dash"]
    assert paints == [f"series {n}" for n in range(COLOURED)] + ["other"] * 3
    assert "shapes" in equity_figure(dataclasses.replace(EMPTY, curves=curves[:1]))["layout"]


def test_a_curve_from_daily_results_voids_days_that_do_not_count():
    curve = curve_from_daily(
        "p", "1h", "r", days=[20454, 20455, 20456], net_bps=[1.0, 2.0, float("nan")], valid=[True, False, True], live_from=None
    )  # fmt: skip
    assert curve == Curve(pool="p", horizon="1h", recipe="r", days=("2026-01-01", "2026-01-02", "2026-01-03"), net_bps=(1.0, None, None))  # fmt: skip
    with pytest.raises(ValueError, match="3 days and 1 results"):
        dataclasses.replace(curve, net_bps=(1.0,))


def test_lineages_are_ordered_by_progress_with_ended_ones_last():
    table = hypothesis_table(sample_night())
    assert [row[2].text for row in table.rows][-1] == HOSTILE
    shares = [row[6].sort for row in table.rows][:-1]
    assert shares == sorted(shares, reverse=True)
    assert table.rows[0][3].text == "champion"


def test_a_lineage_row_that_lacks_numbers_is_drawn_with_dashes():
    bare = HypothesisRow(pool="p", horizon="1h", recipe="r")
    (row,) = hypothesis_table(night(bare)).rows
    assert [cell.text for cell in row] == ["p", "1h", "r", *[DASH] * 8, "0 + 0", DASH]
    low = dataclasses.replace(bare, e=-1.0, needed=120.0, confidence_nothing_bps=(None, 1.0), suspended=True)
    (row,) = hypothesis_table(night(low)).rows
    assert row[3].text == "suspended"
    assert row[6].text == DASH


def test_gross_edges_beyond_the_frame_are_cut_and_say_their_number():
    rows = tuple(
        SummaryRow(coin=coin, horizon="1h", costs=Costs(fees=10.0, spread=1.0, slippage=1.0, funding=-2.0, gross=gross))
        for coin, gross in (("A", 900.0), ("B", 15.0), ("C", -700.0))
    )
    figure = cost_figure(dataclasses.replace(EMPTY, champions=rows))
    marks = figure["data"][-1]
    assert marks["customdata"] == [900.0, 15.0, -700.0]
    assert marks["text"] == ["900", "", "-700"]
    assert marks["y"] == [36.0, 15.0, -18.0]
    low, high = figure["layout"]["yaxis"]["range"]
    assert all(low < y < high for y in marks["y"])


@pytest.mark.parametrize(
    ("value", "digits", "options", "text", "style"),
    [
        (None, 1, {}, DASH, ""),
        (float("nan"), 1, {}, DASH, ""),
        (True, 1, {}, DASH, ""),
        ("12", 1, {}, DASH, ""),
        (1234.5, 0, {}, "1,234", ""),
        (-0.04, 1, {}, "0.0", ""),
        (-0.06, 1, {}, "-0.1", "negative"),
        (0.0123, 3, {}, "0.0123", ""),
        (163.4, 3, {}, "163", ""),
        (12345.6, 3, {}, "12,346", ""),
        (0.537, 0, {"percent": True}, "54%", ""),
        (83.01, 0, {"up": True}, "84", ""),
    ],
)
def test_numbers_are_shown_with_their_digits(value, digits, options, text, style):
    cell = number_cell(value, digits, **options)
    assert (cell.text, cell.style) == (text, style)


def test_candidates_say_how_many_nights_are_missing_and_champions_do_not():
    made = sample_night()
    assert "Nights missing" in [title for title, _ in champion_table(made.candidates, "candidates").headers]
    assert "Nights missing" not in [title for title, _ in champion_table(made.champions, "champions").headers]
    (row,) = champion_table([SummaryRow(coin="BTC", horizon="1h")], "champions").rows
    assert row[0].text == "BTC"
    assert row[-1].text == DASH


def test_skips_keep_what_was_measured_and_wanted_whatever_its_kind():
    rows = (
        SkippedRow(coin="A", code="X", measured="SETTLING", wanted="TRADING"),
        SkippedRow(coin="B", code="X", measured=80.0),
    )
    first, second = skip_table(dataclasses.replace(EMPTY, skips=rows)).rows
    assert [cell.text for cell in first[-2:]] == ["SETTLING", "TRADING"]
    assert [cell.text for cell in second[-2:]] == ["80", DASH]
    assert skip_counts(sample_night())[0] == ("NOT_PROVEN", 32)


def test_long_tables_are_cut_and_say_so():
    rows = tuple(SkippedRow(coin=f"C{n}", code="X") for n in range(SHOWN_ROWS + 7))
    made = dataclasses.replace(EMPTY, skips=rows)
    assert skip_table(made).left_out == 7
    assert "7 more rows stand in summary.json and integrity.json beside this page" in night_page(made)


def test_a_model_without_costs_has_no_row_of_them():
    rows = (
        SummaryRow(coin="X", horizon="1h"),
        SummaryRow(coin="Y", horizon="1h", costs=Costs()),
    )
    assert len(cost_table(sample_night()).rows) == 48
    made = dataclasses.replace(EMPTY, champions=rows)
    assert [row[0].text for row in cost_table(made).rows] == ["Y"]
    assert cost_figure(made) is None


def test_the_worst_data_stand_first():
    qualities = [row[-1].text for row in integrity_table(sample_night()).rows]
    assert qualities[0] == "98.50%"
    assert qualities[-1] == "100.00%"
