"""The loader: precedence, and what it refuses by name, line and value."""

import contextlib
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from huracan.domain.ids import content_hash
from huracan.errors import ConfigError
from huracan.settings import SECTIONS, Settings, load_settings, resolved_dict

BASE = Path(__file__).parents[2] / "config" / "base.yaml"


@pytest.fixture
def load(tmp_path):
    def load(text: str | None = None, *overrides: str, **environ: str) -> Settings:
        file = None
        if text is not None:
            file = tmp_path / "settings.yaml"
            file.write_text(text)
        return load_settings(file, overrides, environ)

    return load


def test_the_shipped_file_says_exactly_the_defaults():
    assert load_settings(BASE, (), {}) == Settings() == load_settings(None, (), {})


def test_the_shipped_file_names_every_documented_key():
    shipped = yaml.safe_load(BASE.read_text())
    assert shipped.keys() == {
        "training", "consensus", "regime_gate", "dropbox", "publish", "hamilton", "metrics", "telemetry", "promotion",
        "storage", "vendors", "costs",
    }  # fmt: skip
    assert shipped["training"].keys() == {
        "lookback_days", "horizons", "risk_preset", "dry_run", "min_liquidity_gbp", "max_spread_bps",
        "min_edge_after_cost_bps", "training_backend", "max_concurrent_jobs", "max_coins",
    }  # fmt: skip
    assert shipped["consensus"].keys() == {"adaptive_threshold", "min_consensus_score", "correlation_penalty_weight"}
    assert shipped["regime_gate"].keys() == {"min_win_rate", "min_sharpe", "min_sample_size", "enable_all_by_default"}
    assert next(iter(shipped)) == "costs"
    for name in ("costs", "metrics", "telemetry", "storage", "vendors"):
        assert shipped[name].keys() == SECTIONS[name].model_fields.keys()
    assert shipped["dropbox"].keys() == {"base_path"}
    assert shipped["hamilton"].keys() == {
        "model_base_path", "ranking_coins", "ranking_horizons", "ranking_regimes",
    }  # fmt: skip


def test_set_wins_over_environment_over_file_over_default(load):
    text = "training:\n  lookback_days: 60\n  seed: 1\n  max_coins: 5\n"
    environ = {"HURACAN_TRAINING__SEED": "2", "HURACAN_TRAINING__MAX_COINS": "6"}
    training = load(text, "training.max_coins=7", **environ).training
    assert (training.lookback_days, training.seed, training.max_coins) == (60, 2, 7)
    assert training.history_days == 1095


@pytest.mark.parametrize("text", ["1h,4h", "[1h, 4h]", '["1h", "4h"]'])
def test_lists_may_be_written_with_and_without_brackets(load, text):
    assert load(None, f"training.horizons={text}").training.horizons == ("1h", "4h")
    assert load(HURACAN_TRAINING__HORIZONS=text).training.horizons == ("1h", "4h")


def test_null_means_none_only_where_none_is_allowed(load):
    assert load("training:\n  max_coins: 3\n", "training.max_coins=null").training.max_coins is None
    assert load(HURACAN_HAMILTON__RANKING_COINS="none").hamilton.ranking_coins is None
    with pytest.raises(ConfigError, match=r"training\.seed is 'null'"):
        load(None, "training.seed=null")


def test_a_value_with_an_equals_sign_stays_whole(load):
    assert load(None, "binance.rest_url=http://127.0.0.1:1/?a=b").binance.rest_url == "http://127.0.0.1:1/?a=b"


def test_an_empty_file_and_an_empty_section_change_nothing(load):
    assert load("") == load("training:\n") == Settings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training:\n  dry_run: true\nconsensus:\ntraining:\n  seed: 1\n", "'training' is given twice, on lines 1 and 4"),
        ("training:\n  dry_run: true\n  dry_run: true\n", "'dry_run' is given twice, on lines 2 and 3"),
        ("training:\n  lookback_dayz: 50\n", "line 2: unknown key 'training.lookback_dayz'.*'training.lookback_days'"),
        ("consensus:\n  max_coins: 5\n", "line 2: unknown key 'consensus.max_coins'.*'training.max_coins'"),
        ("trainin:\n  seed: 1\n", "line 1: unknown section 'trainin'; did you mean 'training'"),
        ("\nmax_coins: 3\n", "line 2: unknown section 'max_coins'; did you mean 'training.max_coins'"),
        ("zzz: 3\n", "unknown section 'zzz'; known are training, consensus"),
        ("dropbox_access_token: x\n", "line 1: 'dropbox_access_token' is a secret; give it as DROPBOX_ACCESS_TOKEN"),
        ("training: 3\n", "line 1: 'training' must hold"),
        ("[1, 2]\n", "line 1: the file must hold"),
        ("training:\n  seed: [1\n", "is not YAML.*line"),
        ("training:\n  seed: !!python/name:os.system x\n", "line 2: training.seed has no plain value"),
        ("training:\n  lookback_days: 5\n", r"training.lookback_days is 5 \(.*line 2\).*34"),
        ("training:\n  risk_preset: wild\n", "training.risk_preset is 'wild'.*line 2.*balanced"),
        ("training:\n  horizons: [15m]\n", "'15m' is shorter than the decision interval"),
        ("training:\n  horizons: [hour]\n", "'hour' is not a number followed by"),
        ("training:\n  horizons: [1h, 1h]\n", "name one twice"),
        ("training:\n  decision_interval_minutes: 30\n", "is 30, wanted 15 or 60"),
        ("training:\n  min_edge_after_cost_bps: .nan\n", "finite"),
        ("regime_gate:\n  min_sharpe: .inf\n", "finite"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_with_key_line_and_value(load, text, message):
    with pytest.raises(ConfigError, match=f"(?s){message}"):
        load(text)


def test_several_bad_values_are_named_together(load):
    with pytest.raises(ConfigError, match=r"training.seed is 'x'.*; consensus.min_consensus_score is 2"):
        load("training:\n  seed: x\nconsensus:\n  min_consensus_score: 2\n")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed=1", "unknown key 'seed'; did you mean 'training.seed'"),
        ("training.sead=1", "did you mean 'training.seed'"),
        ("training.seed", "is not section.key=value"),
        ("training.seed=x", r"training.seed is 'x' \(--set training.seed\)"),
        ("dropbox_access_token=hunter2", "--set dropbox_access_token: a secret"),
    ],
)
def test_a_bad_override_is_refused(load, override, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load(None, override)
    assert "hunter2" not in str(caught.value)


def test_a_misspelt_variable_is_refused_with_the_nearest_name(load):
    with pytest.raises(
        ConfigError, match="HURACAN_TRAINING__LOOKBAK_DAYS; did you mean 'HURACAN_TRAINING__LOOKBACK_DAYS'"
    ):
        load(HURACAN_TRAINING__LOOKBAK_DAYS="90")
    with pytest.raises(ConfigError, match="did you mean 'HURACAN_KEYS_DIR'"):
        load(HURACAN_KEYS_DIRS="x")


def test_variables_of_ours_that_are_no_settings_pass(load):
    names = ("TRUSTED_ROOT", "KEYS_DIR", "STATE_DIR", "ROOT_PASSPHRASE", "WORKDIR", "TEST_FUZZ")
    assert load(**{f"HURACAN_{name}": "x" for name in names}, PATH="/bin") == Settings()


def test_a_bad_variable_is_named_with_its_value(load):
    with pytest.raises(
        ConfigError, match=r"lookback_days is '9' \(environment variable HURACAN_TRAINING__LOOKBACK_DAYS\)"
    ):
        load(HURACAN_TRAINING__LOOKBACK_DAYS="9")


def test_secrets_come_from_the_environment_and_never_print(load):
    settings = load(DROPBOX_ACCESS_TOKEN="hunter2", DROPBOX_REFRESH_TOKEN="", DROPBOX_APP_KEY="key7")
    assert settings.dropbox_access_token.get_secret_value() == "hunter2"
    assert settings.dropbox_refresh_token is None
    assert settings.dropbox_app_key.get_secret_value() == "key7"
    shown = f"{settings!r} {settings} {json.dumps(resolved_dict(settings))} {settings.model_dump_json()}"
    assert "hunter2" not in shown
    assert "key7" not in shown


def test_the_real_environment_is_read_only_when_it_is_given(monkeypatch, load):
    monkeypatch.setenv("HURACAN_TRAINING__SEED", "9")
    assert Settings().training.seed == load().training.seed == 0


def test_a_missing_file_and_bytes_that_are_no_text_are_configuration_errors(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(tmp_path / "none.yaml", (), {})
    broken = tmp_path / "broken.yaml"
    broken.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is not YAML"):
        load_settings(broken, (), {})


def test_the_resolved_settings_have_a_hash_that_follows_every_value_and_no_secret(load):
    plain = content_hash(resolved_dict(load()))
    assert content_hash(resolved_dict(load(DROPBOX_ACCESS_TOKEN="x"))) == plain
    assert content_hash(resolved_dict(load(None, "training.seed=1"))) != plain


def test_every_setting_survives_the_way_through_text(load):
    environ = {}
    for section, model in SECTIONS.items():
        for key in model.model_fields:
            value = getattr(getattr(Settings(), section), key)
            text = ",".join(value) if isinstance(value, tuple) else "null" if value is None else str(value)
            environ[f"HURACAN_{section}__{key}".upper()] = text
    assert load(**environ) == Settings()


@given(st.text(max_size=60))
def test_any_text_as_a_file_loads_or_is_a_configuration_error(tmp_path_factory, text):
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_text(text, encoding="utf-8", errors="replace")
    with contextlib.suppress(ConfigError):
        load_settings(file, (), {})


@pytest.mark.parametrize(
    ("given", "limits"),
    [
        ([], {}),
        (["min_win_rate=0.6"], {"min_win_rate": 0.6}),
        (["min_sharpe=-0.5"], {"min_sharpe": -0.5}),
        (["use_limits=true"], {"min_win_rate": 0.55, "min_sharpe": 1.0}),
        (["use_limits=true", "min_sharpe=2"], {"min_win_rate": 0.55, "min_sharpe": 2.0}),
        (["use_limits=false"], {}),
    ],
)
def test_a_limit_of_the_regime_gate_is_on_where_it_is_set(load, given, limits):
    assert load(None, *(f"regime_gate.{text}" for text in given)).regime_gate.limits == limits


@pytest.mark.parametrize(
    ("given", "message"),
    [(["use_limits=false", "min_sharpe=1"], "leave out one"), (["hysteresis=0.1"], "none is set")],
)
def test_a_setting_of_the_gate_that_would_do_nothing_is_refused(load, given, message):
    with pytest.raises(ConfigError, match=message):
        load(None, *(f"regime_gate.{text}" for text in given))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training:\n  horizons: " + "[" * 3_000 + "]" * 3_000 + "\n", "line 2: nested deeper"),
        ("[" * 100_000, "nested deeper"),
        ("training:\n  horizons: " + "{a: " * 3_000, "line 2: nested deeper"),
        (
            "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
            + "".join(f"{n}: &{n} [{', '.join([f'*{m}'] * 10)}]\n" for m, n in zip("abcdefg", "bcdefgh", strict=True))
            + "training:\n  horizons: *h\n",
            "aliases",
        ),
        ("# " + "x" * (1 << 20), "1024 KiB"),
    ],
    ids=["brackets", "unclosed brackets", "braces", "aliases of aliases", "too large"],
)
def test_a_file_that_would_grow_without_a_bound_is_refused_in_a_line(load, text, message):
    with pytest.raises(ConfigError, match=message) as refused:
        load(text)
    assert len(str(refused.value)) < 500


def test_a_few_aliases_are_plain_yaml(load):
    assert load("training:\n  min_history_days: &days 90\n  lookback_days: *days\n").training.lookback_days == 90


@pytest.mark.slow
def test_what_is_refused_is_shown_in_a_line_however_large(load):
    values = ", ".join(["[1, 2]"] * 5_000)
    with pytest.raises(ConfigError) as refused:
        load(f"training:\n  horizons: [{values}]\n  seed: {'x' * 100_000}\n")
    assert len(str(refused.value)) < 5_000
    assert "more" in str(refused.value)
