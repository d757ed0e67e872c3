"""`huracan config`: what is in force, where it came from, and all there is."""

import pytest

from huracan.settings_table import setting_rows


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """No variables of the machine that the tests run on."""
    import os

    for name in [name for name in os.environ if name.startswith(("HURACAN_", "DROPBOX_"))]:
        monkeypatch.delenv(name)


def test_show_tells_value_unit_and_origin_of_every_setting(huracan, tmp_path, monkeypatch):
    monkeypatch.setenv("HURACAN_TRAINING__SEED", "7")
    file = tmp_path / "mine.yaml"
    file.write_text("costs:\n  um_taker_bps: 4\n")
    answer = huracan("config", "show", "--config", file, "--set", "training.market=um", "--json")
    told = {row["setting"]: row for row in answer.json["settings"]}
    assert set(told) == {row.path for row in setting_rows()}
    assert told["costs.um_taker_bps"] == {
        "setting": "costs.um_taker_bps",
        "value": "4",
        "origin": f"{file} line 2",
        "default": "5",
        "unit": "bps",
        "environment": "HURACAN_COSTS__UM_TAKER_BPS",
    }
    assert told["training.seed"]["origin"] == "environment variable HURACAN_TRAINING__SEED"
    spoken = huracan("config", "show", "--config", file).out
    assert "um_taker_bps                4 bps" in spoken
    assert spoken.startswith("costs: ")


def test_show_changed_tells_only_what_is_no_default(huracan):
    answer = huracan("config", "show", "--changed", "--set", "costs.um_taker_bps=4")
    assert "um_taker_bps" in answer.out
    assert "spot_taker_bps" not in answer.out
    assert "every setting is at its default" in huracan("config", "show", "--changed").out


def test_a_value_that_a_file_names_and_that_is_the_default_is_not_changed(huracan, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("costs:\n  um_taker_bps: 5.0\n  spot_taker_bps: 9\n", encoding="utf-8")
    answer = huracan("config", "show", "--changed", "--config", file)
    assert "spot_taker_bps" in answer.out
    assert "um_taker_bps" not in answer.out
    told = huracan("config", "show", "--changed", "--config", file, "--json").json["settings"]
    assert [row["setting"] for row in told] == ["costs.spot_taker_bps"]


def test_a_secret_is_never_shown(huracan, monkeypatch):
    monkeypatch.setenv("DROPBOX_APP_SECRET", "do-not-print-me")
    for words in (("config", "show"), ("config", "show", "--json")):
        answer = huracan(*words)
        assert answer.status == 0
        assert "[set, not shown]" in answer.out
        assert "do-not-print-me" not in answer.out + answer.err


def test_a_wrong_value_is_told_by_its_line_and_not_shown_as_in_force(huracan, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("costs:\n  um_taker_bps: -4\n")
    answer = huracan("config", "show", "--config", file)
    assert answer.status == 2
    assert f"{file} line 2" in answer.err


def test_schema_names_every_setting_with_its_variable(huracan):
    spoken = huracan("config", "schema").out
    for row in setting_rows():
        assert row.environment in spoken
        assert row.description in spoken
    assert "HURACAN_WORKDIR" in spoken
    assert huracan("config", "schema", "--json").json["title"] == "Huracan configuration"
