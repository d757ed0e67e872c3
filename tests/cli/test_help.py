"""`--help` is quick because it loads nothing heavy, and names every command."""

import subprocess
import sys
from pathlib import Path

import pytest

import huracan as package

HEAVY = ("numpy", "polars", "numba", "lightgbm", "scipy", "pyarrow", "plotly", "httpx2", "rich.console")


@pytest.mark.slow
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


def commands(app=None, path=()):
    """Every command and group of the app with the words that name it; what is added is found by itself."""
    import typer

    from huracan.cli.main import app as whole

    node = typer.main.get_command(whole) if app is None else app
    yield path, node
    for name, child in getattr(node, "commands", {}).items():
        yield from commands(child, (*path, name))


COMMANDS = {" ".join(path): node for path, node in commands()}


@pytest.mark.parametrize("line", COMMANDS)
def test_help_is_whole_at_eighty_columns_and_says_something_of_every_option(huracan, monkeypatch, line):
    monkeypatch.setenv("COLUMNS", "80")
    short, long = huracan(*line.split(), "-h"), huracan(*line.split(), "--help")
    assert (short.status, short.out) == (0, long.out)
    assert max(len(text) for text in long.out.splitlines()) <= 80
    assert "..." not in long.out.partition("\n")[2]
    wordless = [name for param in COMMANDS[line].params for name in param.opts[:1] if not getattr(param, "help", None)]
    assert wordless == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (("rn",), "Did you mean 'run'? See: huracan --help"),
        (("champions", "lst"), "Did you mean 'list'?"),
        (("run", "--workdr", "x"), "No such option: --workdr. Did you mean --workdir? See: huracan run --help"),
        (("predict", "BTC", "1h", "--jsn"), "Did you mean --json"),
        (("run", "--zzzzzz"), "No such option: --zzzzzz. See: huracan run --help"),
        (("run", "--max-coins", "many"), "--max-coins"),
        (("predict",), "Missing argument 'coin'"),
    ],
)
def test_a_misspelt_word_gets_one_line_with_the_nearest_one(huracan, line, words):
    answer = huracan(*line)
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.startswith("USAGE: ")
    assert words in answer.err
    assert answer.err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("huracan cham", ["champions"]),
        ("huracan champions ", ["list", "show", "verify", "rollback"]),
        ("huracan run --back", ["--backend"]),
        ("huracan completion z", ["zsh"]),
    ],
)
def test_bash_completes_commands_and_options(tmp_path, typed, wanted):
    place = Path(sys.executable).parent
    words = typed + ("''" if typed.endswith(" ") else "")
    ask = (
        f'eval "$(huracan completion bash)"; COMP_WORDS=({words}); '
        'COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _huracan_completion huracan; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", ask], env={"PATH": f"{place}:/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == wanted, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shell", "asked", "wanted"),
    [
        ("zsh", {"_TYPER_COMPLETE_ARGS": "huracan lake f"}, '"fill":'),
        ("fish", {"_TYPER_COMPLETE_ARGS": "huracan lake f", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}, "fill\t"),
    ],
)
def test_the_lines_of_the_other_shells_ask_a_question_that_is_answered(huracan, shell, asked, wanted):
    lines = huracan("completion", shell)
    assert lines.status == 0
    assert f"_HURACAN_COMPLETE=complete_{shell}" in lines.out
    done = subprocess.run(
        [sys.executable, "-m", "huracan.cli.main"],
        env={"_HURACAN_COMPLETE": f"complete_{shell}", **asked}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert wanted in done.stdout


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (("run", "--workdir", ""), "word 3 of the command is empty after --workdir"),
        (("run", "--workdir="), "word 2 of the command is empty in --workdir="),
        (("explain", "B\0TC"), "word 2 of the command holds a NUL character"),
    ],
)
def test_a_word_that_says_nothing_is_refused(huracan, line, words):
    answer = huracan(*line)
    assert (answer.status, answer.out) == (2, "")
    assert words in answer.err


def test_a_reader_that_goes_away_is_no_fault():
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m huracan.cli.main --help | true"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
