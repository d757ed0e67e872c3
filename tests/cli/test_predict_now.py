"""`huracan predict` without features: the bars are fetched, and the answer is the night's own where the bars are the same."""

import gc
import json
import subprocess
import sys

import pytest
from every_command import NO_NETWORK
from nights import later, small_world, trust_variables, variables

from huracan.domain.time import HOUR_MS, iso
from huracan.hamilton import HamiltonInterface, instrument_of
from huracan.worlds.exchange import ReplayExchange

pytestmark = pytest.mark.slow


@pytest.fixture
def night(finished_night, tmp_path, monkeypatch):
    """The finished night without any network; the user's state lies elsewhere."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    state = {"HURACAN_STATE_DIR": str(tmp_path / "state")}
    with variables({**trust_variables(finished_night.folder), **state, **NO_NETWORK}):
        yield finished_night


@pytest.fixture
def cutoff(night):
    return json.loads((night.folder / "workdir" / "plan.json").read_text())["plan"]["cutoff_ms"]


@pytest.fixture
def ask(huracan, night):
    def asked(coin, horizon, *more, workdir=night.folder / "workdir"):
        return huracan("predict", coin, horizon, "--store", night.store, "--workdir", workdir, "--candidates", *more)

    return asked


def live_rows(night):
    found = {**night.result["candidates"], **night.result["champions"]}
    return [row for row in found.values() if row["live"] is not None]


def at_exchange(exchange):
    return [f"--set=binance.{name}_url={exchange.urls[kind]}" for name, kind in
            (("rest", "rest"), ("futures", "futures"), ("archive", "archive"))] + [
        "--set=binance.total_timeout_s=60"]  # fmt: skip


def one_of_each_market(night):
    by_market = {}
    for row in live_rows(night):
        name = HamiltonInterface(night.store, allow_candidates=True).manifest(row["coin"], row["horizon"]).instrument
        if row["status"] == "champion" or instrument_of(name).market not in by_market:
            by_market[instrument_of(name).market] = (row, name)
    return by_market


def test_a_moment_that_the_model_has_learned_from_is_said_to_be_no_test(night, ask, cutoff):
    row = live_rows(night)[0]
    doubts = {
        at: ask(row["coin"], row["horizon"], "--at", iso(at), "--json").json["doubts"]
        for at in (cutoff - HOUR_MS, cutoff)
    }
    assert doubts[cutoff] == []
    assert doubts[cutoff - HOUR_MS] == [
        f"the model has learned from data up to {iso(cutoff)}: this is no test of that moment"
    ]


def test_the_lake_alone_answers_as_the_night_did_for_every_model(night, ask, cutoff):
    rows = live_rows(night)
    assert len(rows) >= 8
    for row in rows:
        told = ask(row["coin"], row["horizon"], "--at", iso(cutoff), "--json").json
        assert told["edge_bps"] == pytest.approx(row["live"]["edge_bps"], rel=1e-6)
        assert told["confidence"] == pytest.approx(row["live"]["confidence"], rel=1e-6)
        assert (told["decision_ms"], told["fetched"], told["doubts"]) == (cutoff, 0, [])
        assert told["set_version"] == 1
        if not told["blocked_codes"]:
            assert told["direction"] == {1: "long", 0: "hold", -1: "short"}[row["live"]["side"]]


def test_without_a_lake_everything_is_fetched_and_the_answer_is_the_same(night, ask, cutoff, tmp_path):
    """Both markets: funding of a perpetual comes by REST, and a spot pair has none."""
    markets = one_of_each_market(night)
    assert set(markets) == {"spot", "um"}
    with ReplayExchange(small_world()) as exchange:
        for row, name in markets.values():
            ask_for = (row["coin"], row["horizon"])
            stored = ask(*ask_for, "--at", iso(cutoff), "--json").json
            fetched = ask(*ask_for, *at_exchange(exchange), "--json", workdir=tmp_path / "nothing").json
            assert fetched["instrument"] == name
            assert (fetched["stored"], fetched["decision_ms"]) == (0, cutoff)
            assert fetched["fetched"] == stored["stored"]
            for field in ("edge_bps", "score", "regime", "votes", "position_fraction"):
                assert fetched[field] == stored[field], field


def test_hours_after_the_night_only_what_is_new_is_fetched(night, ask, cutoff):
    (row, _), *_ = one_of_each_market(night).values()
    with ReplayExchange(later(small_world(days=98), 0)) as exchange:
        told = ask(row["coin"], row["horizon"], *at_exchange(exchange), "--json").json
    assert told["decision_ms"] > cutoff
    assert told["decision_ms"] % HOUR_MS == 0
    assert 0 < told["fetched"] < told["stored"] / 10
    assert told["holds_until_ms"] == told["decision_ms"] + HOUR_MS


def test_the_card_says_what_to_do_what_it_costs_and_until_when(night, ask, cutoff):
    for market, (row, name) in one_of_each_market(night).items():
        card = ask(row["coin"], row["horizon"], "--at", iso(cutoff)).out
        assert card.startswith(f"{row['coin']} {row['horizon']}  {'perpetual' if market == 'um' else 'spot'} {name}")
        assert max(len(line) for line in card.splitlines()) <= 80
        parts = ["fees", "spread", "slippage", "funding"] if "no round trip" not in " ".join(card.split()) else []
        for word in (
            "before cost",
            "after cost",
            "confidence",
            "position",
            "regime",
            "made at",
            "next one",
            "exit",
            *parts,
        ):
            assert word in card, word
        assert iso(cutoff)[:10] in card


def test_a_candidate_is_for_paper_alone_and_only_when_asked_for(night, huracan, ask, cutoff):
    row = next(row for row in night.result["candidates"].values() if row["live"] is not None)
    assert "paper trading only" in ask(row["coin"], row["horizon"], "--at", iso(cutoff)).out
    line = ("predict", row["coin"], row["horizon"], "--store", night.store, "--at", iso(cutoff))
    refused = huracan(*line)
    assert (refused.status, refused.out) == (1, "")
    assert "candidate" in refused.err


def test_a_blocked_coin_gets_no_entry_and_the_reason(night, ask):
    row = next(iter(night.result["champions"].values()))
    HamiltonInterface(night.store).add_blocked_coin(row["coin"], "the exchange announced a delisting")
    with ReplayExchange(small_world()) as exchange:
        told = ask(row["coin"], row["horizon"], *at_exchange(exchange))
    assert "no entry" in told.out
    assert "the exchange announced a delisting" in " ".join(told.out.split())


def test_no_exchange_and_an_old_lake_are_told_in_one_line(night, ask):
    row = next(iter(night.result["champions"].values()))
    answer = ask(row["coin"], row["horizon"])
    assert (answer.status, answer.out) == (3, "")
    assert answer.err.startswith("UPSTREAM: ")
    assert answer.err.count("\n") == 1


@pytest.mark.parametrize("at", ["yesterday", "9999-12-31T00:00:00Z", "1969-01-01"])
def test_a_moment_that_cannot_be_asked_about_is_refused(night, ask, at):
    row = next(iter(night.result["champions"].values()))
    answer = ask(row["coin"], row["horizon"], "--at", at, "--json")
    assert answer.status in {2, 3}
    assert answer.json["success"] is False


def test_a_moment_and_features_do_not_go_together(night, ask, tmp_path):
    row = next(iter(night.result["champions"].values()))
    file = tmp_path / "row.json"
    file.write_text(json.dumps(row["live_features"]), encoding="utf-8")
    answer = ask(row["coin"], row["horizon"], "--features", file, "--at", "2026-01-01", "--json")
    assert (answer.status, answer.json["code"]) == (2, "CONFIG")


LEFT_OUT = {"httpx2", "stamina", "structlog", "pyarrow", "lightgbm", "jinja2", "pandas"}
LOADED = """
import sys
from huracan.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert not end.code, end.code
print(*sorted(name for name in sys.modules if "." not in name))
"""


def test_a_lake_that_is_whole_costs_no_client_of_the_exchange(night, ask, cutoff):
    """The packages that a decision from stored bars does without are not even imported."""
    row = next(row for row in live_rows(night))
    line = ("predict", row["coin"], row["horizon"], "--store", night.store, "--candidates", "--at", iso(cutoff))
    workdir = ("--workdir", night.folder / "workdir")
    made = subprocess.run(
        [sys.executable, "-c", LOADED, *map(str, (*line, *workdir))], capture_output=True, text=True, check=True
    )
    assert made.stdout.startswith(f"{row['coin']} {row['horizon']}")
    loaded = set(made.stdout.splitlines()[-1].split())
    assert {"polars", "numba", "deltalake"} <= loaded
    assert not loaded & LEFT_OUT


def test_a_command_leaves_the_collector_as_it_was(night, ask, cutoff):
    row = next(row for row in live_rows(night))
    assert gc.isenabled()
    assert ask(row["coin"], row["horizon"], "--at", iso(cutoff)).status == 0
    assert ask("NOSUCHCOIN", row["horizon"], "--at", iso(cutoff)).status == 1
    assert gc.isenabled()
