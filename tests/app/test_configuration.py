"""What of the configuration decides models, and when a night must end."""

import json
from dataclasses import replace

import pytest

from huracan.app import TrainingPipelineConfig
from huracan.app.night_config import night_rules, stress_table
from huracan.domain.time import parse_iso
from huracan.errors import ConfigError
from huracan.night.custom.injected import Injected
from huracan.settings import load_settings


def config_hash(*overrides):
    return night_rules(load_settings(None, overrides, {}), None, Injected()).config_hash


def test_where_and_how_fast_a_night_runs_does_not_change_what_it_decides():
    same = ("binance.rest_url=http://127.0.0.1:1", "training.num_workers=7", "training.job_timeout_s=5")
    assert config_hash(*same) == config_hash()
    assert config_hash("costs.um_taker_bps=6") != config_hash()
    assert config_hash("training.lookback_days=140") != config_hash()


def test_a_stress_table_decides_by_its_content(tmp_path):
    table = {"kind": "world", "factor_bps": 250.0, "idio_bps": 480.0, "one_pair_bps": 730.0}
    for name, content in (("a", table), ("b", table), ("c", {**table, "idio_bps": 500.0})):
        (tmp_path / name).write_text(json.dumps(content))
    a, b, c = (config_hash(f"promotion.stress_table={tmp_path / name}") for name in "abc")
    assert a == b != c
    assert stress_table(tmp_path / "c")["idio_bps"] == 500.0


def test_an_unusable_stress_table_is_a_configuration_error(tmp_path):
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(ConfigError, match="no 'kind' in it"):
        stress_table(tmp_path / "list.json")
    with pytest.raises(ConfigError, match="wanted the JSON file"):
        stress_table(tmp_path / "missing.json")


def test_a_deadline_is_the_next_such_time_of_the_utc_clock():
    config = TrainingPipelineConfig(deadline="06:00")
    assert config.deadline_ms(parse_iso("2026-05-01T05:00:00")) == parse_iso("2026-05-01T06:00:00")
    assert config.deadline_ms(parse_iso("2026-05-01T06:00:00")) == parse_iso("2026-05-02T06:00:00")
    assert replace(config, deadline=None).deadline_ms(0) is None
    with pytest.raises(ConfigError, match="not HH:MM"):
        replace(config, deadline="6:00").deadline_ms(0)


def test_a_bad_value_is_named():
    with pytest.raises(ConfigError, match="horizon"):
        TrainingPipelineConfig(horizons=["1 hour"]).resolve({})


def test_a_stress_table_of_nested_brackets_is_a_configuration_error(tmp_path):
    file = tmp_path / "deep.json"
    file.write_text("[" * 100_000)
    with pytest.raises(ConfigError, match="stress_table"):
        stress_table(file)
