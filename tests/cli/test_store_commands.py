"""What a person and a program learn of a store: list, show, verify, predict, explain, and keys."""

import json
import re
import shutil

import pytest

from huracan.domain.time import parse_iso
from huracan.hamilton import HamiltonInterface
from huracan.reports.story import entries_closed, read_morning
from huracan.reports.summary import summary_of


@pytest.fixture
def champion(reader):
    row = next(iter(reader.result["champions"].values()))
    return row["coin"], row["horizon"], row["live_features"]


@pytest.fixture
def features(champion, tmp_path):
    file = tmp_path / "features.json"
    file.write_text(json.dumps(champion[2]), encoding="utf-8")
    return file


def test_the_list_holds_the_whole_set(huracan, reader):
    answer = huracan("champions", "list", "--store", reader.store, "--json")
    assert answer.status == 0
    told = {(row["coin"], row["horizon"]): row["status"] for row in answer.json["models"]}
    wanted = {(row["coin"], row["horizon"]): "champion" for row in reader.result["champions"].values()}
    wanted |= {(row["coin"], row["horizon"]): "candidate" for row in reader.result["candidates"].values()}
    assert told == wanted
    assert all(row["e_value"] is not None for row in answer.json["models"] if row["status"] == "champion")
    spoken = huracan("champions", "list", "--store", reader.store)
    assert f"{len(wanted)} models" in spoken.out


def test_one_model_is_shown_with_its_features_and_decision(huracan, reader, champion):
    coin, horizon, row = champion
    answer = huracan("champions", "show", coin, horizon, "--store", reader.store, "--json")
    assert answer.json["metadata"]["coin"] == coin
    assert sorted(answer.json["features"]) == sorted(row)
    assert answer.json["decision"]["cost_bps"] > 0
    assert coin in huracan("champions", "show", coin, horizon, "--store", reader.store).out


def test_before_and_after_costs_add_up_on_the_card(huracan, reader):
    """All numbers of the sum stand on the card, each to a tenth."""
    added = 0
    for row in (*reader.result["champions"].values(), *reader.result["candidates"].values()):
        card = " ".join(huracan("champions", "show", row["coin"], row["horizon"], "--store", reader.store).out.split())
        found = re.search(r"measured (\S+) after costs, (\S+) before holding .*? adds (\S+) costs (.*?) bps", card)
        if found is None:
            assert "measured – after costs, – before" in card
            continue
        after, before, held = (float(text.replace(",", "")) for text in found.groups()[:3])
        costs = [float(part.split()[1].replace(",", "")) for part in found[4].split(", ")]
        assert len(costs) == 4
        assert before + held - sum(costs) == pytest.approx(after, abs=0.05 * 7)
        added += held != 0
    assert added


def test_a_candidate_s_e_value_is_called_its_pool_s(huracan, reader, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    assert "pool's e-value" in huracan("champions", "list", "--store", reader.store).out
    row = next(iter(reader.result["champions"].values()))
    told = huracan("champions", "show", row["coin"], row["horizon"], "--store", reader.store).out
    assert f"pool {row['pool']} proven: e-value" in told


def test_verifying_checks_every_model(huracan, reader):
    answer = huracan("champions", "verify", "--store", reader.store, "--json")
    assert answer.status == 0
    assert len(answer.json["verified"]) == len(reader.result["champions"]) + len(reader.result["candidates"])
    assert answer.json["refused"] == []
    assert "0 refused" in huracan("champions", "verify", "--store", reader.store).out


def test_a_tampered_bundle_is_refused_by_verify_and_predict(huracan, reader, champion, features, tmp_path):
    coin, horizon, _ = champion
    store = tmp_path / "store"
    shutil.copytree(reader.store, store)
    file = next((store / "models" / coin / horizon).rglob("model.safetensors"))
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.chmod(0o644)
    file.write_bytes(bytes(data))
    answer = huracan("champions", "verify", "--store", store, "--json")
    assert answer.status == 1
    assert [row["code"] for row in answer.json["refused"]] == ["BUNDLE_SIGNATURE"]
    assert f"{coin}_{horizon}: BUNDLE_SIGNATURE" in huracan("champions", "verify", "--store", store).out
    refused = huracan("predict", coin, horizon, "--features", features, "--store", store, "--json")
    assert (refused.status, refused.json["code"]) == (1, "BUNDLE_SIGNATURE")


def test_a_prediction_equals_the_training_side_s(huracan, reader, champion, features):
    coin, horizon, _ = champion
    answer = huracan("predict", coin, horizon, "--features", features, "--store", reader.store, "--json")
    assert answer.status == 0
    assert answer.json["edge_bps"] == reader.result["champions"][f"{coin}_{horizon}"]["live"]["edge_bps"]
    spoken = huracan("predict", coin, horizon, "--features", features, "--store", reader.store)
    assert json.loads(spoken.out)["direction"] == answer.json["direction"]


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        (lambda row: row.pop("ret_60"), 1, "ret_60"),
        (lambda row: row.update(moon_phase=1.0), 1, "moon_phase"),
        (lambda row: row.update(ret_60=None), 1, "ret_60"),
        (lambda row: row.update(ret_60=float("nan")), 2, "NaN"),
    ],
    ids=["missing", "unknown", "null", "NaN"],
)
def test_features_must_be_exactly_the_model_s(huracan, reader, champion, tmp_path, change, status, words):
    coin, horizon, row = champion
    row = dict(row)
    change(row)
    file = tmp_path / "changed.json"
    file.write_text(json.dumps(row), encoding="utf-8")
    answer = huracan("predict", coin, horizon, "--features", file, "--store", reader.store, "--json")
    assert (answer.status, answer.json["code"]) == (status, "FEATURES" if status == 1 else "CONFIG")
    assert words in answer.json["error"]


def test_features_must_be_one_readable_object(huracan, reader, champion, tmp_path):
    coin, horizon, _ = champion
    listed = tmp_path / "list.json"
    listed.write_text("[1, 2]", encoding="utf-8")
    for file in (listed, tmp_path / "absent.json"):
        answer = huracan("predict", coin, horizon, "--features", file, "--store", reader.store, "--json")
        assert (answer.status, answer.json["code"]) == (2, "CONFIG")
        assert file.name in answer.json["error"]


@pytest.mark.parametrize(("coin", "horizon"), [("NOPE", "1h"), ("ALFA", "7h"), ("../ALFA", "1h")])
def test_an_unknown_coin_or_horizon_has_no_prediction(huracan, reader, features, coin, horizon):
    answer = huracan("predict", coin, horizon, "--features", features, "--store", reader.store, "--json")
    assert answer.status in {1, 2}
    assert answer.json["success"] is False
    assert coin in answer.json["error"] or horizon in answer.json["error"]


def test_a_candidate_is_served_only_to_who_asks_for_candidates(huracan, reader, tmp_path):
    row = next(iter(reader.result["candidates"].values()))
    file = tmp_path / "row.json"
    file.write_text(json.dumps(row["live_features"]), encoding="utf-8")
    line = ("predict", row["coin"], row["horizon"], "--features", file, "--store", reader.store, "--json")
    assert huracan(*line).status == 1
    assert huracan(*line, "--candidates").json["coin"] == row["coin"]


def test_explain_says_why_a_coin_has_a_champion_or_not(huracan, reader, champion):
    coin, horizon, _ = champion
    workdir = reader.folder / "workdir"
    told = huracan("explain", coin, horizon, "--workdir", workdir, "--json").json
    assert [row["coin"] for row in told["champions"]] == [coin]
    assert told["evidence"]
    assert "champion v" in huracan("explain", f"{coin}/USDT:USDT", horizon, "--workdir", workdir).out
    skip = next(row for row in reader.result["skipped"] if row["measured"] is not None)
    spoken = huracan("explain", skip["coin"], "--workdir", workdir)
    assert spoken.status == 0
    assert skip["code"] in spoken.out
    assert "wanted" in spoken.out


def test_every_printed_name_of_a_coin_is_taken_back_and_case_does_not_matter(huracan, reader, champion):
    coin, horizon, _ = champion
    told = huracan("champions", "show", coin, horizon, "--store", reader.store, "--json").json
    instrument = f"{coin}USDT-um"
    for name in (instrument, instrument.lower(), coin.lower(), f"{coin}USDT", f"{coin}/USDT:USDT"):
        shown = huracan("champions", "show", name, horizon.upper(), "--store", reader.store, "--json")
        assert shown.status == 0, shown.err
        assert shown.json["metadata"] == told["metadata"]
        explained = huracan("explain", name, horizon, "--workdir", reader.folder / "workdir", "--json")
        assert explained.json["coin"] == coin


def test_an_unknown_name_gets_the_nearest_ones(huracan, reader, champion):
    coin, horizon, _ = champion
    wrong = f"{coin}X"
    for line in (
        ("champions", "show", wrong, horizon, "--store", reader.store),
        ("explain", wrong, "--workdir", reader.folder / "workdir"),
    ):
        answer = huracan(*line, "--json")
        assert answer.json["success"] is False
        assert f"did you mean {coin}" in answer.json["error"]


@pytest.mark.parametrize("line", [("NOPE",), ("ALFA", "4h")])
def test_explain_refuses_what_the_night_did_not_know(huracan, reader, line):
    answer = huracan("explain", *line, "--workdir", reader.folder / "workdir", "--json")
    assert (answer.status, answer.json["code"]) == (2, "CONFIG")
    assert line[-1] in answer.json["error"]


def test_keys_are_made_once_and_their_weakness_is_told(huracan, own_trust):
    told = huracan("keys", "init", "--json")
    assert told.status == 0
    assert told.json == {
        "folder": str(own_trust / "keys"),
        "root_protected": False,
        "trusted_root": str(own_trust / "trust" / "root.json"),
    }
    assert huracan("keys", "init", "--json").status == 2


def test_a_passphrase_protects_the_root_key(huracan, own_trust, monkeypatch):
    assert "unprotected" in huracan("keys", "init").out
    monkeypatch.setenv("HURACAN_KEYS_DIR", str(own_trust / "other"))
    monkeypatch.setenv("HURACAN_TRUSTED_ROOT", str(own_trust / "other.json"))
    monkeypatch.setenv("HURACAN_ROOT_PASSPHRASE", "correct horse battery staple")
    answer = huracan("keys", "init", "--json")
    assert answer.json["root_protected"] is True
    assert "horse" not in answer.out + answer.err


def test_everything_on_the_shortlist_may_be_entered_on_paper(huracan, reader, tmp_path):
    summary = reader.result["summary"]
    listed = huracan("champions", "list", "--store", reader.store, "--json").json["do_not_trade"]
    assert sorted(row["coin"] for row in summary["do_not_trade"]) == listed != []
    now_ms = parse_iso(summary["now"])
    door = HamiltonInterface(
        model_base_path=reader.store, allow_candidates=True, state_dir=tmp_path, now_ms=lambda: now_ms
    )
    for row in reader.result["candidates"].values():
        said = door.predict(row["coin"], row["horizon"], row["live_features"])
        assert said.entries_open == (row["coin"] not in entries_closed(summary_of(summary))), said.blocked_reason
    assert not {pick.coin for pick in read_morning(summary).shortlist} & entries_closed(summary_of(summary)).keys()
