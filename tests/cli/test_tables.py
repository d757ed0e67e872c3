"""Tables that a person can read at 80 and at 160 columns: nothing cut, nothing empty, the truth about what does not count."""

import io
from dataclasses import replace

import pytest
from mornings import MORNINGS
from rich.console import Console

from huracan.cli.demo_ending import Ending
from huracan.cli.demo_outcome import BoundRatio, Demo, FirstPrediction, Found
from huracan.cli.morning import print_morning
from huracan.cli.run_result import copy_states, run_result
from huracan.cli.tables import print_copies, print_demo, print_details, print_night, show
from huracan.reports.summary import summary_of

WIDTHS = (80, 160)
PLANTED = ("ALFA", "BRAVO")
NOTE = "Simulated. A planted edge of this size is far stronger than any real market's."


def evidence(recipe="boosted", horizon="1h", **changes):
    row = {
        "pool": "spot-A",
        "horizon": horizon,
        "recipe": recipe,
        "champion_id": "none",
        "status": "promoted",
        "reigns": True,
        "members": ["ALFA", "BRAVO", "BTC"],
        "observed_days": 66,
        "mean_bps": 34.64,
        "sharpe_day": 2.2,
        "bound_over_sd": 9.9,
        "e": 412_251.9,
        "needed": 343.0,
        "nights_until_decidable": 1554.0,
        "walk_days": 66,
        "walk_mean_bps": 34.64,
    }
    return {**row, **changes}


def uncounted(**changes):
    none = dict.fromkeys(("mean_bps", "sharpe_day", "bound_over_sd", "nights_until_decidable"))
    walk = {"observed_days": 0, "e": 1.0, "walk_days": 912, "walk_mean_bps": -3.21}
    return evidence(**{**none, **walk, "reigns": False, "status": "open", **changes})


def champion(coin, horizon="1h", **changes):
    row = {"coin": coin, "horizon": horizon, "edge_after_cost_bps": 446.0, "lower_bps": 393.3, "version": 1}
    return {**row, "status": "promoted", **changes}


def skip(coin, reason="quoted spread too wide", code="SPREAD_TOO_WIDE", horizon="1h"):
    return {"coin": coin, "horizon": horizon, "step": 1, "code": code, "reason": reason}


def night(rows=(), champions=(), skipped=(), notes=(), dry_run=False):
    summary = {
        "evidence": list(rows),
        "skipped": list(skipped),
        "notes": list(notes),
        "verdict": "Nothing is proven yet [really].",
        "coin_universe_size": 7,
        "cache": {"hits": 1, "total": 4},
        "dry_run": dry_run,
    }
    named = {f"{row['coin']}_{row['horizon']}": row for row in champions}
    places = {"report": "/work/" + "long/" * 30 + "index.html", "store": "/work/store"}
    return run_result({
        "summary": summary, "champions": named, "candidates": {}, "horizons": ["1h", "4h", "1d"], "duration_seconds": 101.0,
        "publish_state": {}, **places
    })  # fmt: skip


def details(*rows, skipped=()):
    return summary_of({"evidence": list(rows), "skipped": list(skipped)})


def demo(found=PLANTED, others=(), planted=PLANTED, prediction=None, bounds=None):
    return Demo(
        world="demo",
        seed=0,
        days=100,
        truth={"planted": list(planted), "strength_bps_per_hour": 65.0, "note": NOTE},
        regular=("ALFA", "BRAVO", "BTC", "KILO"),
        champions_by_horizon={"1h": Found(planted=tuple(found), others=tuple(others))},
        bound_over_sd=bounds or {},
        prediction=prediction,
        seconds=134.2,
        next=Ending(commands=("huracan champions list --workdir demo",), python="print(1)", once="export A=1"),
    )


def printed(function, *arguments, width=80):
    console = Console(file=io.StringIO(), width=width, highlight=False)
    function(*arguments, console)
    text = console.file.getvalue()
    assert "…" not in text
    return text


def line_of(text, *words):
    return next(line for line in text.splitlines() if all(word in line for word in words))


@pytest.mark.parametrize("width", WIDTHS)
def test_the_widest_evidence_fits_and_keeps_its_words_whole(width):
    rows = [evidence("injected"), uncounted(recipe="injected", horizon="4h")]
    text = printed(print_details, details(*rows), width=width)
    assert all(len(line) <= width for line in text.splitlines() if not line.startswith(("report", "store")))
    row = line_of(text, "injected", "1h").split()
    assert row[:3] == ["spot-A", "1h", "injected"]
    assert row[-5:] == ["9.9", "412,252", "343", "1,554", "champion"]
    assert line_of(text, "B/sd", "needed", "nights", "status")


@pytest.mark.parametrize(("width", "counted"), [(80, "0/912"), (160, "912")])
def test_days_that_do_not_count_still_say_what_they_gave(width, counted):
    text = printed(print_details, details(uncounted()), width=width)
    assert {counted, "-3.21", "1.00", "343", "open"} <= set(line_of(text, "boosted").split())
    assert "days inside the makers' sample do not count as evidence" in text
    assert "nights" not in text
    assert "–" not in text


def test_a_fresh_count_against_a_new_champion_is_no_matter_of_the_makers_sample():
    text = printed(print_details, details(evidence(), uncounted(recipe="linear", champion_id="boosted-1")))
    assert "makers' sample" not in text
    assert "against a new champion the counting starts afresh" in text


def test_days_that_count_need_no_remark():
    text = printed(print_details, details(evidence()))
    assert "66" in line_of(text, "boosted").split()
    assert "makers' sample" not in text
    assert "afresh" not in text


def test_champions_stand_one_line_a_coin():
    rows = [champion("ALFA"), champion("ALFA", "1d", version=None, lower_bps=None), champion("BTC", status="kept")]
    text = printed(print_night, night(champions=rows))
    assert "3 champions (1 kept, 2 promoted)" in text
    assert line_of(text, "ALFA").split() == ["ALFA", "446.0", ">", "393.3", "v1", "446.0"]
    assert line_of(text, "BTC").split()[-1] == "–"


def test_a_long_list_of_champions_says_how_many_are_not_shown():
    text = printed(
        print_night, night(champions=[champion(f"C{k:02}", edge_after_cost_bps=float(k)) for k in range(30)])
    )
    assert "and 10 more coins: huracan champions list" in text
    assert "C29" in text
    assert "C09" not in text


@pytest.mark.parametrize(("width", "named"), [(80, 3), (160, 6)])
def test_skips_are_grouped_by_reason(width, named):
    rows = [skip(f"C{k}", horizon=horizon) for k in range(8) for horizon in ("1h", "4h")]
    text = printed(print_details, details(skipped=[*rows, skip("测试币", "status BREAK", "NOT_TRADING")]), width=width)
    assert "17 skips" in text
    assert line_of(text, "SPREAD_TOO_WIDE").split()[2] == "16"
    assert f"and {8 - named} more" in " ".join(text.split())
    assert "测试币" in line_of(text, "NOT_TRADING")


def test_words_from_outside_are_never_markup():
    text = printed(print_details, details(evidence(pool="[red]x"), skipped=[skip("[bold]", "[/bold] closes")]))
    text += printed(print_night, night())
    assert "[red]x" in text
    assert "[/bold] closes" in " ".join(text.split())
    assert "Nothing is proven yet [really]." in text


def test_a_path_stays_on_one_line():
    text = printed(print_night, night())
    assert line_of(text, "report").endswith("index.html")


def test_a_dry_run_is_told_and_where_the_rest_stands():
    text = printed(print_night, night(dry_run=True))
    assert "nothing was written to the store" in " ".join(text.split())
    assert "huracan explain --details" in text


@pytest.mark.parametrize("width", [80, 140])
@pytest.mark.parametrize("name", ["night-1", "suspended", "half-missing", "refused"])
def test_a_morning_fits_the_terminal_and_is_the_story_of_the_summary(name, width):
    told = MORNINGS[name]()
    text = printed(print_morning, told.story, width=width)
    assert all(len(line) <= width for line in text.splitlines())
    words = " ".join(text.split())
    assert told.story.headline in words
    for sentence in (*told.story.needed, *told.story.missing, *told.story.cost):
        assert sentence.split(":")[0] in words
    assert words.count("Not evidence.") == sum(
        bool(card.measured) and not card.is_evidence for card in told.story.cards
    )


def test_a_simulated_night_says_so_above_its_headline():
    story = replace(MORNINGS["refused"]().story, warning="Simulated market (demo): nothing here is evidence.")
    text = " ".join(printed(print_morning, story).split())
    assert text.index(story.warning) < text.index("The night was refused")


def test_the_demo_sets_what_it_found_against_what_was_planted():
    text = printed(print_demo, night(), demo(found=["ALFA"], others=["KILO"]))
    row = line_of(text, "1h ").split()
    assert row == ["1h", "1", "of", "2", "1", "of", "2", "BRAVO", "KILO"]
    assert "65 bps an hour" in text
    assert "far stronger than any real market's" in " ".join(text.split())


def test_the_demo_says_whether_its_bound_is_what_the_world_is_built_for():
    inside, outside = BoundRatio(ratio=9.7, as_built=True), BoundRatio(ratio=7.9, as_built=False)
    text = printed(print_demo, night(), demo(bounds={"1h": inside}))
    assert "B/sd" not in text
    assert "in standard deviations of a day: 9.7 at 1h; the world is built for 8 to 10 " in f"{' '.join(text.split())} "
    both = {"4h": outside, "1h": inside}
    text = " ".join(printed(print_demo, night(), demo(bounds=both)).split())
    assert "9.7 at 1h, 7.9 at 4h; the world is built for 8 to 10, this seed's is outside" in text


def test_a_world_without_planted_edge_makes_no_claim():
    text = printed(print_demo, night(), demo(found=[], planted=[]))
    assert "0 of 0" in text
    assert "stronger" not in text


@pytest.mark.parametrize(
    ("blocked", "equal", "words"), [(None, True, "; equal to"), ("STALE: x", False, "(blocked: STALE: x); DIFFERENT")]
)
def test_hamilton_s_first_prediction_is_told(blocked, equal, words):
    prediction = FirstPrediction(
        coin="ALFA",
        horizon="1d",
        direction="long",
        edge_bps=34.1,
        net_edge_bps=20.1,
        confidence=0.5,
        position_fraction=0.25,
        blocked_reason=blocked,
        equals_training=equal,
    )
    text = " ".join(printed(print_demo, night(), demo(prediction=prediction)).split())
    assert "Hamilton: ALFA 1d -> long, edge 34.1 bps, position 0.250 of capital" in text
    assert words in text


def test_a_column_of_dashes_is_left_out_and_an_empty_table_keeps_its_heads():
    assert "missed" not in printed(lambda console: show(console, "t", ["horizon", "missed"], [["1h", "–"]]))
    assert "missed" in printed(lambda console: show(console, "t", ["horizon", "missed"], []))


def test_copies_are_told_with_their_state_and_what_to_do():
    states = {
        "s3://a/b": {"state": "PUBLISHED"},
        "s3://c": {"state": "PUBLISH_PENDING", "code": "PUBLISH_PENDING", "error": "s3://c: no answer [500]"},
        "s3://d": {"state": "PUBLISH_PENDING", "code": "DISK_FULL", "error": "quota"},
        "dropbox:/x": {"state": "FENCED", "code": "FENCED", "error": "another run published"},
        "gs://e": {"state": "DRY_RUN", "bundles": ["BTC_1h"], "files_at_most": 13},
    }
    text = printed(print_copies, copy_states(states))
    assert text.splitlines() == [
        "copy   s3://a/b: published",
        "copy   s3://c: PUBLISH_PENDING: no answer [500]; `huracan publish` finishes it",
        "copy   s3://d: PUBLISH_PENDING (DISK_FULL): quota; `huracan publish` finishes it",
        "copy   dropbox:/x: FENCED: another run published",
        "copy   gs://e: dry run: would take up to 1 bundles, at most 13 files",
    ]


def test_spot_and_perpetual_are_told_apart_among_the_champions():
    rows = [champion("ALFA", pool="um-A"), champion("BRAVOUSDT-spot", pool="spot-B")]
    text = printed(print_night, night(champions=rows))
    assert "perpetual" in line_of(text, "ALFA")
    assert line_of(text, "BRAVOUSDT-spot").split()[:2] == ["BRAVOUSDT-spot", "spot"]


@pytest.mark.parametrize("width", [40, 60, 80, 140])
def test_no_name_is_broken_at_any_width(width):
    console = Console(width=width, file=io.StringIO(), highlight=False)
    names = ["1000SHIBUSDT-um~20220513", "BTCUSDT-spot", "20260501T0000-1a22337af4d"]
    show(
        console,
        "names",
        ["coin", "run", "reason", "edge"],
        [[name, names[2], "too wide a spread", "1.0"] for name in names],
    )
    words = console.file.getvalue().split()
    for name in names:
        assert name in words
