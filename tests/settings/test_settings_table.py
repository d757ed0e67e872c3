"""Every setting as a row: what a reference page, an editor and `huracan config` say of it."""

import json

import pytest

from huracan.settings import SECRETS, SECTIONS, load_settings, load_with_origins
from huracan.settings_table import as_written, json_schema, other_variables, section_words, setting_rows, shown_settings

ROWS = {row.path: row for row in setting_rows()}


def test_every_setting_and_every_secret_has_a_row_and_costs_come_first():
    paths = {f"{section}.{key}" for section, model in SECTIONS.items() for key in model.model_fields}
    assert set(ROWS) == paths | set(SECRETS.values())
    assert next(iter(ROWS)).startswith("costs.")


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.path)
def test_every_row_says_in_words_what_it_is(row):
    assert row.description
    assert row.section in section_words()
    counted = row.kind in {"whole number", "number"} and row.path != "training.seed"
    assert row.unit or not counted, f"{row.path} counts something and does not say what"


@pytest.mark.parametrize("row", [row for row in ROWS.values() if not row.secret], ids=lambda row: row.path)
def test_the_default_that_is_written_is_read_back_from_a_file_and_from_the_variable(row, tmp_path):
    file = tmp_path / "one.yaml"
    file.write_text(f"{row.section}:\n  {row.key}: {row.default}\n")
    assert load_settings(file, (), {}) == load_settings(None, (), {})
    assert load_settings(None, (), {row.environment: row.default}) == load_settings(None, (), {})


def test_ranges_and_words_are_those_of_the_model():
    assert ROWS["training.lookback_days"].allowed == "from 34 to 2000"
    assert ROWS["training.market"].allowed == "auto, um, spot"
    assert ROWS["costs.um_taker_bps"].unit == "bps"
    assert ROWS["training.max_stale_share"].allowed == "above 0 to 1"


def test_a_value_says_where_it_came_from(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("costs:\n  um_taker_bps: 4\n")
    environ = {"HURACAN_TRAINING__SEED": "3", "DROPBOX_APP_KEY": "very-secret"}
    told = {
        one.row.path: (one.value, one.origin)
        for one in shown_settings(*load_with_origins(file, ["training.market=um"], environ))
    }
    assert told["costs.um_taker_bps"] == ("4", f"{file} line 2")
    assert told["training.seed"] == ("3", "environment variable HURACAN_TRAINING__SEED")
    assert told["training.market"] == ("um", "--set training.market")
    assert told["training.history_days"] == ("1095", "default")
    assert told["dropbox_app_key"] == ("[set, not shown]", "environment variable DROPBOX_APP_KEY")
    assert "very-secret" not in str(told)


def test_a_url_with_a_user_in_it_is_not_shown():
    settings = load_settings(None, ["publish.urls=s3://me:word@bucket/x"], {})
    told = {one.row.path: one.value for one in shown_settings(settings, {})}
    assert told["publish.urls"] == "[redacted]"


def test_the_schema_is_json_and_knows_every_key():
    schema = json.loads(json.dumps(json_schema()))
    keys = {f"{section}.{key}" for section, body in schema["properties"].items() for key in body["properties"]}
    assert keys == {path for path, row in ROWS.items() if not row.secret}
    assert schema["properties"]["costs"]["properties"]["um_taker_bps"]["x-unit"] == "bps"


def test_own_recipes_are_written_as_a_file_holds_them():
    settings = load_settings(None, ["training.recipes=[linear, {mine: [trend, trees]}]"], {})
    assert as_written(settings.training.recipes) == "[linear, {mine: [trend, trees]}]"


def test_variables_that_are_no_settings_are_told():
    assert "HURACAN_WORKDIR" in other_variables()
    assert all(other_variables().values())
