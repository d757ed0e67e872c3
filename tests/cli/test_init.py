"""`huracan init`: a configuration that loads, units that systemd takes, and commands that exist."""

import os
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import typer

from huracan.cli.init import asked
from huracan.cli.init_files import Choices, configuration
from huracan.cli.main import app
from huracan.errors import ConfigError
from huracan.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith(("HURACAN_", "DROPBOX_"))]:
        monkeypatch.delenv(name)
    folder = tmp_path / "my trading"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_without_any_choice_the_file_says_the_defaults(huracan, here):
    answer = huracan("init")
    assert answer.status == 0
    assert load_settings(here / "huracan.yaml", (), {}) == Settings()
    assert sorted(path.name for path in here.iterdir()) == [
        "huracan-night.service",
        "huracan-night.timer",
        "huracan.yaml",
    ]


def test_quote_assets_are_written_in_capitals(huracan, here):
    assert huracan("init", "--quote", "usdt", "--quote", "Usdc").status == 0
    assert load_settings(here / "huracan.yaml", (), {}).training.quote_assets == ("USDT", "USDC")


def test_every_choice_reaches_the_settings(huracan, here):
    words = [
        "--market",
        "spot",
        "--quote",
        "USDC",
        "--capital",
        "2500000",
        "--vip",
        "1",
        "--store",
        "s3://bucket/models",
    ]
    assert huracan("init", *words, "--store", "dropbox:/Huracan").status == 0
    made = load_settings(here / "huracan.yaml", (), {})
    assert (made.training.market, made.training.quote_assets) == ("spot", ("USDC",))
    costs = made.costs
    assert (costs.spot_maker_bps, costs.spot_taker_bps, costs.um_maker_bps, costs.um_taker_bps) == (9, 10, 1.6, 4)
    assert costs.capital_quote == 2_500_000
    assert made.publish.urls == ("s3://bucket/models", "dropbox:/Huracan")


def test_a_tier_whose_fees_are_not_known_wants_them_given(huracan, here):
    refused = huracan("init", "--vip", "5")
    assert refused.status == 2
    assert "the fees of VIP 5 are not known here" in refused.err
    assert list(here.iterdir()) == []
    assert huracan("init", "--vip", "5", "--spot-taker-bps", "6", "--um-taker-bps", "2.7").status == 0
    costs = load_settings(here / "huracan.yaml", (), {}).costs
    assert (costs.spot_taker_bps, costs.um_taker_bps) == (6, 2.7)
    assert (costs.spot_maker_bps, costs.um_maker_bps) == (6, 2.7)


def test_nothing_is_replaced_without_force(huracan, here):
    (here / "huracan.yaml").write_text("mine\n")
    answer = huracan("init")
    assert answer.status == 2
    assert "huracan.yaml in" in answer.err
    assert "--force replaces them" in answer.err
    assert [path.name for path in here.iterdir()] == ["huracan.yaml"]
    assert (here / "huracan.yaml").read_text() == "mine\n"
    assert huracan("init", "--force").status == 0
    assert "costs:" in (here / "huracan.yaml").read_text()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--market", "coin-m"), "is not one of auto, um, spot"),
        (("--night", "25:00"), "is not HH:MM"),
        (("--capital", "0"), "costs.capital_quote is 0"),
        (("--store", "ftp://x"), "nothing champions can be published to"),
        (("--store", 'x"\ncosts: {}'), "nothing champions can be published to"),
        (("--quote", "us dt"), "wanted names such as USDT"),
    ],
)
def test_a_choice_that_cannot_be_is_told_and_nothing_is_written(huracan, here, words, told):
    answer = huracan("init", *words)
    assert answer.status == 2
    assert told in answer.err
    assert list(here.iterdir()) == []


def test_a_file_in_the_folder_s_place_is_told(huracan, here):
    (here / "file").touch()
    answer = huracan("init", "--out", "file")
    assert answer.status == 2
    assert "Traceback" not in answer.err


@pytest.mark.slow
def test_the_doctor_accepts_what_was_written(huracan, here):
    assert huracan("init").status == 0
    nowhere = [f"--set=binance.{name}_url=http://127.0.0.1:9" for name in ("rest", "futures", "archive")]
    answer = huracan("doctor", "--config", "huracan.yaml", "--json", *nowhere)
    wrong = [row["what"] for row in answer.json["findings"] if row["state"] == "wrong"]
    assert wrong == ["exchange"]


def test_units_pass_systemd_and_start_at_the_hour_that_was_chosen(huracan, here):
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("systemd-analyze is not installed")
    assert huracan("init", "--night", "20:30").status == 0
    units = [here / "huracan-night.service", here / "huracan-night.timer"]
    assert "OnCalendar=*-*-* 20:30:00 UTC" in units[1].read_text()
    assert "--deadline 02:30" in units[0].read_text()
    done = subprocess.run([verify, "verify", "--man=no", *units], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_commands_that_are_printed_exist_and_name_the_files(huracan, here):
    told = huracan("init", "--out", "conf", "--json").json
    doctor, run, units = (shlex.split(line) for line in told["next"])
    command = typer.main.get_command(app)
    for words in (doctor, run):
        assert words[1] in command.commands
        assert Path(words[words.index("--config") + 1]).is_file()
        assert words[words.index("--workdir") + 1] == "conf/huracan-work"
    assert units[:3] == ["systemctl", "--user", "link"]
    assert all(Path(word).is_file() for word in units if word.startswith("/"))


def test_questions_keep_what_stands_there_and_ask_again_for_what_cannot_be(capsys):
    answers = iter(["bad", "um", "", "2,500", "9", "1", "", "7 pm", "19:00"])
    told = asked(Choices(), lambda question, default: next(answers))
    assert told == replace(Choices(), market="um", capital=2500.0, vip=1, night="19:00")
    assert capsys.readouterr().err.count("\n") == 3


def test_fees_are_never_lower_than_the_owner_says():
    with pytest.raises(ConfigError, match="VIP 9"):
        configuration(Choices(vip=9, spot_taker=1.0))
