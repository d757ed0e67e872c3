"""What each kind of morning says, from verdicts of the ledger's own code."""

import json
import re
from dataclasses import replace
from datetime import date, timedelta

import pytest
from mornings import MORNINGS, first, fortieth, half_missing, promoted, refused

from huracan.reports import night_page, plain
from huracan.reports.live import LiveView, live_page
from huracan.reports.night_integrity import InstrumentRow, NightIntegrity
from huracan.reports.night_summary import Costs, Metrics, SkippedRow, SummaryRow
from huracan.reports.story import KEY, Marks, morning_body, morning_of, read_morning, refused_morning
from huracan.reports.story.cards import when_words
from huracan.reports.story.ranking import share_of
from huracan.reports.story.sections import FEWEST_TRIPS, changes, losses_of, shortlist
from huracan.reports.summary import summary_of

JARGON = re.compile(r"\b(lineages?|e-values?|B/sd|um-[ABC]|spot-[ABC]|gamma|cohort|log e|NOT_PROVEN|\be \d)\b")

HEADLINES = {
    "night-1": "Night 1 of at least 61: nothing can be promoted before 27 December, because days that the makers looked at do not count.",
    "night-40": "Night 40 of at least 61: nothing can be promoted before 27 December, because 39 of the 60 days that are needed are observed.",
    "promoted": "Promoted tonight: linear at 1h in perpetuals over 100 M GBP a day. 14 coins may be traded.",
    "suspended": "Suspended: linear at 1h in perpetuals over 100 M GBP a day. Close what is open and enter nothing; the drawdown breaker tripped.",
    "demoted": "Demoted tonight: linear at 1h in perpetuals over 100 M GBP a day. Enter nothing new on its account.",
    "frozen": "Promotions are frozen in perpetuals over 100 M GBP a day: on three days many recipes broke their bounds at once.",
    "half-missing": "24 of 46 pairs gave no usable data, so tonight does not count for any of 3 pools.",
    "refused": "The night was refused (STALE): the newest bars of 31 of 46 pairs are older than 180 minutes, at most 20% of the pairs may be.",
}  # fmt: skip


def sentences(story):
    """Everything that a reader sees first."""
    cards = [text for card in story.cards for text in (card.title, card.state_words, card.progress_words, card.when, card.why, card.measured)]  # fmt: skip
    lines = [
        text for card in story.cards for line in card.lines for text in (line.when, line.observed, line.backtested)
    ]
    picks = [pick.sentence for pick in story.shortlist]
    return [story.headline, *story.needed, *story.todo, *cards, *lines, *picks, story.shortlist_note, *story.changes, *story.missing, *story.cost]  # fmt: skip


def text_of(page):
    body = re.split(r"<body[^>]*>", page)[1].partition("<script>")[0]
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


@pytest.mark.slow
@pytest.mark.parametrize("name", MORNINGS)
def test_each_morning_begins_with_what_matters(name):
    assert MORNINGS[name]().story.headline == HEADLINES[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", MORNINGS)
def test_no_sentence_needs_a_glossary(name):
    for sentence in sentences(MORNINGS[name]().story):
        without_commands = re.sub(r"`[^`]*`", "", sentence)
        assert not JARGON.search(without_commands), sentence


@pytest.mark.slow
@pytest.mark.parametrize("name", MORNINGS)
def test_page_live_page_and_summary_tell_the_same_sentences(name):
    told = MORNINGS[name]()
    page = text_of(night_page(told.report)).replace("&#39;", "'").replace("&amp;", "&")
    plain_page = page.replace("`", "")
    for text in (told.story.headline, *told.story.needed, *told.story.missing, *told.story.cost):
        assert " ".join(text.replace("`", "").split()) in " ".join(plain_page.split()).replace(" .", ".")
    if not told.summary:
        return
    stored = json.loads(json.dumps(plain(told.summary)))
    assert read_morning(stored) == told.story
    assert stored["verdict"] == told.story.headline
    live = text_of(live_page(LiveView(now_ms=1, workdir="w", summary=summary_of(stored)))).replace("&#39;", "'")
    assert told.story.headline in live
    for card in told.story.cards:
        assert card.title in live


@pytest.mark.slow
def test_the_date_is_the_night_that_judges_the_sixtieth_day():
    story = first().story
    (card, *_) = story.cards
    assert date.fromisoformat(card.earliest) == date.fromisoformat(story.night) + timedelta(days=60)
    assert (card.observed_days, card.wanted_days, card.progress) == (0, 60, 0.0)
    assert "300 backtested days do not count: its makers looked at them" in card.why
    assert card.is_evidence is False
    assert re.search(r"300 days backtested: mean [+-][\d.]+ bps a day, 90% interval .* to ", card.measured)


@pytest.mark.slow
def test_a_lost_day_moves_the_date_by_one_night():
    whole, lost = fortieth().story, half_missing().story
    earliest = {card.pool: date.fromisoformat(card.earliest) for card in whole.cards}
    assert all(date.fromisoformat(card.earliest) == earliest[card.pool] + timedelta(days=1) for card in lost.cards)
    assert "Tonight's day does not count" in lost.cards[0].why
    assert "18 tests gained no day." in lost.changes
    assert any("a day needs valid data of 80%" in text for text in lost.missing)


@pytest.mark.slow
def test_a_night_after_another_says_what_it_added():
    story = fortieth().story
    assert "18 tests gained 1 day." in story.changes
    assert story.missing == ("Nothing: every pair that was wanted gave its data.",)
    assert any("18 of the 39 chances of 2026 are used" in text for text in story.cost)


@pytest.mark.slow
def test_one_alpha_stands_everywhere():
    page = text_of(night_page(promoted().report))
    assert "at most 5% of a year" in page
    assert "(10% in all, with single coins)" in page
    assert page.count("10%") == page.count("(10% in all, with single coins)")
    assert "among pools at 5%" in page


@pytest.mark.slow
def test_a_promoted_morning_counts_coins_and_shows_its_champions_first():
    page = night_page(promoted().report)
    assert page.index('id="champions"') < page.index('id="details"')
    assert promoted().story.mood == "good"
    assert promoted().story.cards[0].state == "proven"


@pytest.mark.slow
def test_too_few_days_are_never_called_enough():
    row = first().report.hypotheses[0]
    few = replace(row, observed_days=55, e=0.4, waits_for="evidence", nights_until_decidable=None)
    assert when_words(few, "2026-10-28").startswith("55 of 60 days are observed; so far they speak against it.")
    enough = replace(row, observed_days=60, e=0.4, waits_for="evidence")
    assert when_words(enough, "2026-10-28").startswith("Enough days are observed; ")


def test_a_refused_night_has_a_page_without_tables():
    page = night_page(refused().report)
    assert "Nothing was promoted and nothing was signed" in page
    assert "Wait for the exchange" in page
    assert 'id="details"' not in page


def candidate(coin, edge, **changes):
    return SummaryRow(
        coin=coin,
        horizon=changes.pop("horizon", "1h"),
        recipe="linear",
        pool="um-A",
        edge_after_cost_bps=edge,
        metrics=Metrics(sharpe_ratio=edge),
        costs=changes.pop("costs", Costs(fees=10.0, spread=1.0, slippage=0.5, funding=-0.7, round_trips=40)),
    )


def test_the_shortlist_takes_each_coin_once_and_none_that_lost():
    few = replace(candidate("E", 9.0).costs, round_trips=FEWEST_TRIPS - 1)
    rows = [candidate("A", 3.0), candidate("A", 5.0), candidate("AUSDT-spot", 4.0), candidate("B", -1.0), candidate("C", 2.0), candidate("E", 9.0, costs=few), candidate("F", None), candidate("G", 1.0, costs=None)]  # fmt: skip
    picks, note = shortlist(rows)
    assert [(pick.coin, pick.edge_bps) for pick in picks] == [("A", 5.0), ("C", 2.0)]
    assert picks[0].cost_bps == pytest.approx(10.8)
    assert "funding 0.7 received" in picks[0].sentence
    assert "such a choice flatters" in note
    assert shortlist([candidate("B", -1.0)])[1].startswith("Nothing to paper-trade")


def test_the_shortlist_names_no_coin_whose_entries_are_closed():
    rows = [candidate("JULIETT", 5.0, horizon="1d"), candidate("KILO", 2.0)]
    assert [pick.coin for pick in shortlist(rows, {"JULIETT"})[0]] == ["KILO"]
    picks, note = shortlist(rows[:1], {"JULIETT"})
    assert picks == ()
    assert note.startswith("Nothing to paper-trade: none of 1 candidate may be entered and earned more than it cost")


@pytest.mark.slow
def test_a_coin_on_the_do_not_trade_list_for_a_leak_is_not_to_be_paper_traded():
    summary = first().summary
    best = read_morning(summary).shortlist[0].coin
    why = {"coin": best, "code": "LEAK", "reason": "feature x predicts too well to be true"}
    story = morning_of(summary_of({**summary, "do_not_trade": [why]}))
    assert best not in {pick.coin for pick in story.shortlist}
    assert story.shortlist
    assert not any(f"predict {best} " in text for text in story.todo)
    unproven = morning_of(summary_of({**summary, "do_not_trade": [{**why, "code": "NOT_PROVEN"}]}))
    assert unproven.shortlist[0].coin == best


@pytest.mark.slow
def test_a_pool_stands_once_in_the_headline_with_its_horizons_ascending():
    summary = promoted().summary
    (crowned,) = summary["promotions"]
    story = morning_of(summary_of({**summary, "promotions": [{**crowned, "horizon": at} for at in ("4h", "1h", "1d")]}))
    assert story.headline.startswith(
        "Promoted tonight: linear at 1h, 4h and 1d in perpetuals over 100 M GBP a day. 14 coins"
    )


def reached(**changes):
    """A summary whose pools have their days, where the nearest test is of linear at 1h."""
    summary = first().summary
    rows = [{**row, "observed_days": 65, "waits_for": "evidence", "earliest_day": "2026-10-29", **changes} for row in summary["evidence"]]  # fmt: skip
    return summary_of({**summary, "evidence": rows})


@pytest.mark.slow
def test_the_bar_shows_the_evidence_once_the_days_are_enough():
    told = reached(e=0.4, nights_until_decidable=None)
    for card in morning_of(told).cards:
        assert card.progress == card.evidence_share == 0.0
        assert card.progress_words == "evidence 0% of what is needed, 65 days observed"
    half = reached(e=11.0, needed=120.0, nights_until_decidable=90.0)
    assert {round(card.progress, 2) for card in morning_of(half).cards} == {0.5}


@pytest.mark.slow
def test_what_is_in_the_way_is_told_in_plain_words():
    gates = ["-0.50 bps a day at 1.5 x costs, more than 0 wanted", "drawdown 12.0%, at most 10.0% wanted"]
    (card, *_) = morning_of(reached(e=0.4, nights_until_decidable=None, closed_gates=gates)).cards
    assert "In the way: at 1.5 times the costs it loses 0.50 bps a day, and it must earn; its deepest fall is 12.0% of capital, and at most 10.0% is allowed." in card.when  # fmt: skip


@pytest.mark.slow
def test_the_date_to_expect_stands_before_the_bound():
    (said, *_) = morning_of(reached(e=2.0, nights_until_decidable=519.0)).needed
    assert said == (
        "Next promotion: about 30 March 2028, 519 more nights at the edge measured so far. Not before 30 October, "
        "if each night until then brings a day that counts and all of them are good."
    )
    (said, *_) = morning_of(reached(e=0.4, nights_until_decidable=None)).needed
    assert said.startswith("Next promotion: at the edges measured so far, none within two years. Not before ")


@pytest.mark.slow
def test_a_simulated_night_says_so_above_every_headline():
    told = first()
    story = morning_of(summary_of(told.summary), simulated=True)
    stored = summary_of(json.loads(json.dumps({**told.summary, KEY: morning_body(story)})))
    said = "Simulated market (demo): nothing here is evidence."
    page = text_of(night_page(replace(told.report, story=story)))
    live = text_of(live_page(LiveView(now_ms=1, workdir="w", summary=stored)))
    for text in (page, live):
        assert text.index(said) < text.index(story.headline)
    assert said not in text_of(night_page(told.report))
    assert refused_morning("2026-12-05", "STALE", "old", how_far="", published=False, simulated=True).warning == said


def test_lost_pairs_are_counted_once_whatever_their_horizons():
    lost = (("A", "STALE"), ("A", "STALE"), ("B", "UPSTREAM"), ("C", "ILLIQUID"))
    rows = [SkippedRow(coin=coin, code=code) for coin, code in lost]
    losses = losses_of(rows, trained=4)
    assert (losses.lost, losses.wanted) == (2, 6)


def test_changes_name_what_came_and_went_and_nights_between():
    before = Marks(pairs=("A", "B"), trained=("A",), champions=("A 1h",), observed={"um-A/1h/linear": 3}, shares={"um-A/1h/linear": 0.1})  # fmt: skip
    now = Marks(pairs=("B", "C"), trained=("A",), champions=(), observed={"um-A/1h/linear": 5}, shares={"um-A/1h/linear": 0.2})  # fmt: skip
    told = changes(now, before, night="2026-03-05", night_before="2026-03-02", ended=())
    assert told == (
        "The night before was that of 2 March; 2 nights between were caught up.",
        "1 may be traded no more: A 1h.",
        "1 test gained 2 days.",
        "The evidence for linear at 1h in perpetuals over 100 M GBP a day went from 10% to 20% of what is needed.",
        "1 joined the exchange's list: C.",
        "1 left the exchange's list: A.",
    )
    assert changes(now, None, night="2026-03-05", night_before="2026-03-05", ended=()) == ("There is no earlier night to compare with.",)  # fmt: skip


@pytest.mark.parametrize("value", [None, 7, "text", [], {}, {"night": 3}, {"headline": "x"}])
def test_a_summary_without_a_story_has_none(value):
    assert read_morning({KEY: value}) is None
    assert read_morning(None) is None


@pytest.mark.slow
def test_evidence_against_a_recipe_is_no_progress():
    row = promoted().report.hypotheses[0]
    assert share_of(replace(row, e=0.2, needed=120.0)) == 0.0
    assert share_of(replace(row, e=121.0, needed=120.0)) == 1.0
    assert share_of(replace(row, e=None)) == 0.0


@pytest.mark.slow
def test_the_page_of_two_thousand_pairs_stays_small_and_says_where_the_rest_is():
    told = first()
    coins = [f"COIN{number:04d}" for number in range(2_000)]
    row, skip = told.report.candidates[0], told.report.skips[0]
    days = tuple(f"{2023 + number // 365}-01-01" for number in range(1_095))
    grown = replace(
        told.report,
        candidates=tuple(replace(row, coin=coin, horizon=horizon) for coin in coins for horizon in ("1h", "4h", "1d")),
        skips=tuple(replace(skip, coin=coin, horizon=horizon) for coin in coins for horizon in ("1h", "4h", "1d")),
        integrity=NightIntegrity(
            instruments=tuple(
                InstrumentRow(coin=coin, rows_in=172_800, rows_out=172_799, quality=0.99) for coin in coins
            )
        ),
        curves=tuple(
            replace(curve, days=days, net_bps=tuple(13.37 + n / 7 for n in range(1_095)))
            for curve in told.report.curves
        ),
    )
    page = night_page(grown)
    assert len(page.encode()) <= 3_000_000
    assert "5800 more rows stand in summary.json and integrity.json beside this page" in page
    assert 'src="plotly' not in page
