"""Blocks of the pages that say they run do run, in a fresh folder and a fresh home, in the order of their page."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from nights import night_overrides, small_world, trust_variables
from pages import Block, blocks

from huracan.app.demos import DemoMark, write_mark
from huracan.domain.time import parse_iso
from huracan.settings import PREFIX
from huracan.worlds.exchange import ReplayExchange

BY_PAGE: dict[str, list[Block]] = {}
for one in blocks():
    BY_PAGE.setdefault(one.page, []).append(one)
BIN = Path(sys.executable).parent


def user(home: Path) -> dict[str, str]:
    """The environment of somebody who has just installed Huracan, and nothing else."""
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    kept.setdefault("XDG_CACHE_HOME", str(Path.home() / ".cache"))  # compiled kernels alone are shared with this user
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "HOME": str(home), "PATH": path, "COLUMNS": "80", "NO_COLOR": "1", "BROWSER": "true"}


def as_variables(overrides: list[str]) -> dict[str, str]:
    """``section.key=value`` as variables of the environment."""
    pairs = (text.partition("=") for text in overrides)
    return {f"{PREFIX}{path.replace('.', '__').upper()}": value for path, _, value in pairs}


def run(block: Block, folder: Path, environment: dict[str, str]) -> None:
    """One block, as a user would run it."""
    command = [sys.executable, "-c", block.script] if block.kind == "python" else ["bash", "-euc", block.script]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{block.page}:\n{block.script}\n\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("page", BY_PAGE)
def test_blocks_that_say_they_run_do(page, finished_night, tmp_path):
    """`night`: a finished night in ./huracan-work, its exchange on loopback. `demo`: the same as a demo's folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    for name in {"night": "huracan-work", "demo": "huracan-demo"}.values():
        shutil.copytree(finished_night.folder / "workdir", folder / name)
        for part in ("keys", "trust"):
            shutil.copytree(finished_night.folder / part, folder / name / part)
    now_ms = parse_iso(finished_night.result["summary"]["now"])
    write_mark(DemoMark(workdir=folder / "huracan-demo", world="demo", now_ms=now_ms))
    trusted = {**trust_variables(folder / "huracan-demo"), "HURACAN_STATE_DIR": str(tmp_path / "state")}
    environment = user(tmp_path / "home")
    with ReplayExchange(small_world(), stress_file=tmp_path / "stress.json") as exchange:
        of_the_night = as_variables(night_overrides(exchange.urls))
        for block in BY_PAGE[page]:
            more = {"empty": {}, "demo": {}, "night": {**trusted, **of_the_night}}[block.where]
            run(block, folder, {**environment, **more})


def test_the_pages_that_a_newcomer_follows_have_blocks_that_run():
    assert {"docs/getting-started.md", "docs/backup.md", "docs/first-week.md"} <= set(BY_PAGE)
    assert sum(len(found) for found in BY_PAGE.values()) >= 8
