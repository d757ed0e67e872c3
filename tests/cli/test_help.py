"""`--help` is quick because it loads nothing heavy, and names every command."""

import subprocess
import sys

import pytest

import huracan as package

HEAVY = ("numpy", "polars", "numba", "lightgbm", "scipy", "pyarrow", "plotly", "httpx2", "rich.console")


@pytest.mark.parametrize(
    "command", [(), ("run",), ("demo",), ("exchange", "serve"), ("predict",), ("champions", "list")]
)
def test_help_imports_none_of_the_heavy_libraries(command):
    code = (
        "import sys; from huracan.cli.main import main\n"
        f"try: main([*{command!r}, '--help'])\n"
        f"finally: sys.stderr.write(' '.join(name for name in {HEAVY!r} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: huracan")
    assert done.stderr == ""


def test_help_names_every_command(huracan):
    answer = huracan("--help")
    assert answer.status == 0
    for command in ("demo", "run", "exchange", "champions", "predict", "explain", "keys"):
        assert f"\n  {command}" in answer.out


def test_version_is_the_package_s(huracan):
    answer = huracan("--version")
    assert (answer.status, answer.out) == (0, f"huracan {package.__version__}\n")


def test_no_command_shows_the_help_and_counts_as_usage_error(huracan):
    answer = huracan()
    assert answer.status == 2
    assert "Usage: huracan" in answer.out + answer.err
