"""Every name that a command prints is taken back by every command that takes such a name."""

import json
import re

import pytest
from every_command import NO_NETWORK
from nights import trust_variables, variables

from huracan.domain.time import iso

pytestmark = pytest.mark.slow


@pytest.fixture
def night(finished_night, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    state = {"HURACAN_STATE_DIR": str(tmp_path / "state")}
    with variables({**trust_variables(finished_night.folder), **state, **NO_NETWORK}):
        yield finished_night


@pytest.fixture
def members(huracan, night):
    return huracan("champions", "list", "--store", night.store, "--json").json["models"]


def printed_names(huracan, night, members):
    """Names by the coin they mean: those of JSON and of cards, and the ways in which people write them."""
    by_coin = {}
    for row in members:
        card = huracan("champions", "show", row["coin"], row["horizon"], "--store", night.store).out
        symbol, market = row["instrument"].rsplit("-", 1)
        base, quote = symbol.removesuffix("USDT"), "USDT"
        names = {row["coin"], *re.findall(r"\S+-(?:um|spot)\b", card), row["instrument"], f"{base}-{market}"}
        if row["coin"] == base:  # the preferred instrument is meant where no market is named
            names |= {symbol, f"{base}/{quote}", f"{base}/{quote}:{quote}"}
        by_coin.setdefault(row["coin"], set()).update(names)
    return by_coin


def test_a_coin_is_found_by_all_its_names_in_every_command_that_takes_one(huracan, night, members):
    workdir, horizons = night.folder / "workdir", {row["coin"]: row["horizon"] for row in members}
    names = printed_names(huracan, night, members)
    assert {market for row in members for market in [row["market"]]} == {"um", "spot"}
    for coin, every in names.items():
        for name in [*sorted(every), min(every).lower()]:
            shown = huracan("champions", "show", name, horizons[coin], "--store", night.store, "--json")
            assert (shown.status, shown.json["metadata"]["coin"]) == (0, coin), name
            explained = huracan("explain", name, "--workdir", workdir, "--json")
            assert (explained.status, explained.json["coin"]) == (0, coin), name
            covered = huracan("lake", "coverage", "--workdir", workdir, "--instrument", name, "--json")
            assert covered.status == 0, (name, covered.err)
            stored = {
                row["instrument"] for row in next(value for value in covered.json.values() if isinstance(value, list))
            }
            assert stored == {row["instrument"] for row in members if row["coin"] == coin}, name


def test_predict_takes_the_same_names(huracan, night, members):
    cutoff = json.loads((night.folder / "workdir" / "plan.json").read_text())["plan"]["cutoff_ms"]
    row = next(row for row in members if row["market"] == "spot")
    for name in (row["instrument"], row["instrument"].lower(), f"{row['coin']}_{row['horizon']}"):
        horizon = () if "_" in name else (row["horizon"],)
        told = huracan("predict", name, *horizon, "--store", night.store, "--at", iso(cutoff), "--candidates", "--json")
        assert (told.status, told.json["instrument"]) == (0, row["instrument"]), told.err


def test_the_keys_that_verify_prints_are_taken_back(huracan, night):
    verified = huracan("champions", "verify", "--store", night.store, "--json").json["verified"]
    assert verified
    for key in verified:
        shown = huracan("champions", "show", key, "--store", night.store, "--json")
        assert f"{shown.json['metadata']['coin']}_{shown.json['metadata']['horizon']}" == key
        explained = huracan("explain", key, "--workdir", night.folder / "workdir", "--json")
        assert (explained.status, explained.json["coin"]) == (0, shown.json["metadata"]["coin"])


def test_a_coin_without_a_horizon_is_asked_for_one(huracan, night, members):
    answer = huracan("champions", "show", members[0]["coin"], "--store", night.store, "--json")
    assert (answer.status, answer.json["code"]) == (2, "USAGE")
    assert "which horizon" in answer.json["error"]


def test_the_spot_pair_is_never_answered_with_the_perpetual(huracan, night, members):
    alone = {row["coin"] for row in members} - {
        row["coin"].removesuffix("USDT-spot") for row in members if row["market"] == "spot"
    }
    coin = next(coin for coin in sorted(alone) if "-" not in coin)
    row = next(row for row in members if row["coin"] == coin)
    answer = huracan("champions", "show", f"{coin}USDT-spot", row["horizon"], "--store", night.store, "--json")
    assert (answer.status, answer.json["success"]) == (1, False)


def test_the_run_that_is_printed_names_its_page(huracan, night):
    runs = {night.result["run_id"], huracan("report", "--workdir", night.folder / "workdir", "--json").json["run_id"]}
    for run_id in runs:
        told = huracan("report", "--workdir", night.folder / "workdir", "--run-id", run_id, "--json")
        assert (told.status, told.json["run_id"]) == (0, run_id)


def test_a_pool_is_known_by_its_printed_name_in_any_case(huracan, night, tmp_path):
    import shutil

    shutil.copytree(night.folder / "workdir", tmp_path / "workdir")
    pools = {
        row["pool"] for row in huracan("ledger", "show", "--workdir", tmp_path / "workdir", "--json").json["lineages"]
    }
    assert pools
    for pool in pools:
        told = huracan(
            "ledger", "unfreeze", pool.upper(), "--note", "names", "--workdir", tmp_path / "workdir", "--json"
        )
        assert told.status == 0, told.err


def test_an_engine_that_is_listed_can_be_checked(huracan):
    listed = huracan("engines", "list", "--json").json["engines"]
    told = huracan("engines", "check", listed[0]["name"], "--json")
    assert told.status == 0, told.err
