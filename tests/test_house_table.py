"""The table of tools/house.py counts what it says, on a project small enough to count by hand."""

import subprocess
import sys
from pathlib import Path

TOOL = Path(__file__).parents[1] / "tools" / "house.py"


def table(*folders):
    done = subprocess.run([sys.executable, TOOL, *folders], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_a_project_is_counted_without_docstrings_and_with_its_tests_beside(tmp_path):
    package = tmp_path / "mill" / "src" / "mill"
    package.mkdir(parents=True)
    long_body = "\n".join(f"    {name} = 1" for name in (f"a{number}" for number in range(51)))
    source = (
        f'def short():\n    """One line,\n\n    and more.\n    """\n    return {{}}\n\n\ndef long():\n{long_body}\n'
    )
    source += "x: dict[str, Any] = {}  # " + "y" * 120 + "\n"
    (package / "__init__.py").write_text(source, encoding="utf-8")
    tests = tmp_path / "mill" / "tests"
    tests.mkdir()
    (tests / "test_mill.py").write_text("\n" * 61, encoding="utf-8")
    lines = len(source.splitlines())
    code, out, _ = table(tmp_path / "mill")
    expected = f"| mill | 1 / 51 | 1 | {1000 / lines:.1f} | {1000 / lines:.1f} | {61 / lines:.2f} |"
    assert code == 0
    assert out.splitlines()[2] == expected
    assert "| httpx | 22 / 128 | 8 |" in out


def test_a_folder_without_python_is_named(tmp_path):
    code, out, error = table(tmp_path)
    assert (code, out) == (2, "")
    assert str(tmp_path) in error
