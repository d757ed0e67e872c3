"""The example with an owner's own data, features and model: it runs as it stands, and the page about it quotes it."""

import ast
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "own_model.py"
PAGE = ROOT / "docs" / "own-model.md"


@pytest.mark.slow
def test_the_example_runs_a_whole_night_offline(tmp_path):
    command = [sys.executable, str(EXAMPLE), "--folder", str(tmp_path / "own")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    told = done.stdout.splitlines()
    assert "GBP 1h: PEGGED, GBP is pegged to a currency" in told
    assert any(line.startswith("BTC 1h: NOT_PROVEN, no recipe is proven in this coin's pool") for line in told)
    (candidates,) = [line for line in told if line.startswith("candidates for paper trading: ")]
    assert "BTC_1h" in candidates
    assert any(line.endswith("hold, edge +0.0 bps") for line in told)
    assert "9 of 9 steps in" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["own"]


@pytest.mark.slow
def test_the_example_passes_the_check_before_a_night():
    command = [sys.executable, "-m", "huracan.cli.main", "engines", "check", str(EXAMPLE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("right  feature_builder") == 4
    assert done.stdout.count("right  model_trainer") == 3


def test_every_python_snippet_of_the_page_stands_in_the_example_or_runs():
    source = EXAMPLE.read_text(encoding="utf-8")
    snippets = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(snippets) >= 4
    for snippet in snippets:
        if not set(pieces(snippet)) <= set(pieces(source)):
            assert snippet.startswith("from huracan import EngineSpec"), snippet
            exec(compile(snippet, str(PAGE), "exec"), {})


def pieces(text):
    """Top-level statements of a source, without their indentation."""
    return [ast.unparse(node) for node in ast.parse(textwrap.dedent(text)).body]
