"""`huracan run` against a small exchange: the documented result as one JSON object, and as tables."""

import json
import os
import subprocess
import sys

import pytest
from screen import on_terminal

from huracan.worlds.exchange import ReplayExchange

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def settings_file(tmp_path_factory):
    """An exchange with two coins and a configuration that points at it."""
    from nights import small_world

    folder = tmp_path_factory.mktemp("run")
    with ReplayExchange(small_world(name="null", coins=2, days=40), stress_file=folder / "stress.json") as exchange:
        urls = exchange.urls
        file = folder / "night.yaml"
        file.write_text(
            f"""
binance: {{rest_url: "{urls["rest"]}", futures_url: "{urls["futures"]}", archive_url: "{urls["archive"]}"}}
promotion: {{stress_table: "{urls["stress"]}"}}
training:
  base_interval: 15m
  horizons: [1h]
  recipes: [linear]
  lookback_days: 40
  history_days: 40
  min_history_days: 34
  quote_assets: [USDT]
""",
            encoding="utf-8",
        )
        yield file


@pytest.fixture(autouse=True)
def _here(own_trust):
    from nights import in_this_process

    with in_this_process():
        yield


def test_the_result_is_one_object_with_the_documented_keys(huracan, settings_file, tmp_path):
    answer = huracan("run", "--config", settings_file, "--workdir", tmp_path / "work", "--json")
    assert answer.status == 0, answer.err
    told = answer.json
    assert told["success"] is True
    documented = {"success", "duration_seconds", "coin_universe", "champions", "export_results", "summary"}
    assert documented | {"run_id", "workdir", "store", "skipped"} <= set(told)
    assert told["workdir"] == str(tmp_path / "work")
    assert told["candidates"]
    assert all(row["model"] == row["path"] is not None for row in told["candidates"].values())
    assert all(json.loads(line)["event"] for line in answer.err.splitlines())


def test_a_dry_run_prints_tables_and_leaves_no_store_behind(huracan, settings_file, tmp_path):
    work = tmp_path / "work"
    answer = huracan("run", "--config", settings_file, "--workdir", work, "--dry-run", "--max-coins", "1")
    assert answer.status == 0, answer.err
    assert "dry run: nothing was written" in " ".join(answer.out.split())
    assert "can be promoted before" in answer.out
    assert "Data that were missing" in answer.out
    assert not list((work / "store").rglob("manifest.json"))
    assert not (tmp_path / "keys").exists()


def own_process(folder, settings_file, *more):
    command = [sys.executable, "-m", "huracan.cli.main", "run", "--config", str(settings_file)]
    return [*command, "--workdir", str(folder / "work"), *more]


def test_a_night_on_a_terminal_is_one_panel_and_then_its_tables(settings_file, tmp_path):
    command = own_process(tmp_path, settings_file, "--max-coins", "1")
    ran = on_terminal(command, columns=80, environ=dict(os.environ), folder=tmp_path)
    assert ran.status == 0
    pictures = ["\n".join(frame) for frame in ran.frames]
    assert any("step 2 of 9" in text and "fetch and check market data" in text for text in pictures)
    assert any(" of 1 jobs" in text and "log     work/logs/" in text for text in pictures)
    text = "\n".join(ran.screen.lines)
    (log,) = (tmp_path / "work" / "logs").iterdir()
    assert f"log {log.relative_to(tmp_path)}" in text
    assert "9 of 9 steps in" in text
    assert "nothing can be promoted" in " ".join(text.split())
    assert "╭" not in text
    assert " ".join(text.split()).count("has no passphrase") == 1
    assert ran.screen.cursor_shown
    assert {json.loads(line)["event"] for line in log.read_text().splitlines()} >= {"workdir_opened", "run_finished"}


def test_a_night_through_a_pipe_is_about_ten_plain_lines(settings_file, tmp_path):
    command = own_process(tmp_path, settings_file, "--max-coins", "1", "--dry-run")
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert [f"step {number} of 9:" in line for number, line in enumerate(lines[:9], start=1)] == [True] * 9
    assert " pairs, skips so far " in lines[0]
    assert "9 of 9 steps in" in lines[9]
    assert len(lines) <= 12
    assert all(line.isprintable() for line in lines)


def test_a_missing_backend_is_named_with_its_extra(huracan, settings_file, tmp_path, monkeypatch):
    (tmp_path / "distributed.py").write_text("raise ModuleNotFoundError(name='distributed')")
    monkeypatch.syspath_prepend(tmp_path)
    answer = huracan("run", "--config", settings_file, "--workdir", tmp_path / "work", "--backend", "dask", "--json")
    assert (answer.status, answer.json["code"]) == (4, "BACKEND_LOST")
    assert "huracan-engine[dask]" in answer.json["error"]


def test_a_store_in_use_is_locked(huracan, settings_file, tmp_path):
    from huracan.adapters.publishers.folder import FolderStore

    (tmp_path / "work").mkdir()
    holder = FolderStore(tmp_path / "work" / "store")
    holder.acquire()
    try:
        answer = huracan("run", "--config", settings_file, "--workdir", tmp_path / "work", "--json")
    finally:
        holder.close()
    assert (answer.status, answer.json["code"]) == (6, "LOCKED")


def test_coins_that_are_all_stale_refuse_the_night(huracan, settings_file, tmp_path):
    limit = "--set=training.stale_after_minutes=0.001"
    answer = huracan(
        "run",
        "--config",
        settings_file,
        "--workdir",
        tmp_path / "work",
        "--as-of",
        "2026-02-09T23:50:00Z",
        limit,
        "--json",
    )
    assert (answer.status, answer.json["code"]) == (3, "STALE")
