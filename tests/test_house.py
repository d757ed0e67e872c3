"""The house rules that no type checker knows: who may import whom, what is never loaded or run, how long things may get."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
FILES = sorted(SOURCE.rglob("*.py"))
FORBIDDEN_MODULES = {"pickle", "cPickle", "_pickle", "joblib", "dill", "cloudpickle", "marshal", "shelve"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
ALLOWED_OUTSIDE: dict[str, tuple[str, ...]] = {
    "os": ("huracan/stats/kernel.py",),  # where the compiled kernels are kept
}
LONGEST_FILE = 420
LONGEST_FUNCTION = 50
MOST_POSITIONAL = 5
DOCUMENTED = {("huracan/regimes/gate.py", "update_performance"), ("huracan/hamilton/interface.py", "__init__")}
"""Public signatures with more positional parameters, which users call as documented."""
FREE_DICTS = 31
"""As many `[str, Any]` as there are; lower it whenever there are fewer."""


@cache
def trees() -> tuple[tuple[str, ast.Module], ...]:
    return tuple((file.relative_to(SOURCE).as_posix(), ast.parse(file.read_text(encoding="utf-8"))) for file in FILES)


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield f"{'.' * node.level}{node.module or ''}"


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def is_kernel(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(isinstance(mark, ast.Name) and mark.id == "kernel" for mark in function.decorator_list)


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body[1:] if ast.get_docstring(function, clean=False) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_rooms_are_imported_in_one_direction():
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--no-cache",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 kept, 0 broken" in done.stdout


def test_every_room_is_a_package_with_a_docstring():
    bare = [name for name, tree in trees() if name.startswith("huracan/") and not ast.get_docstring(tree)]
    assert bare == []


def test_the_package_is_never_imported_by_its_place_on_disk():
    wrong = [(name, module) for name, tree in trees() for module in imported(tree) if module.split(".")[0] == "src"]
    assert [row for row in wrong if not row[0].startswith("cloud/")] == []


def test_nothing_is_unpickled_and_no_text_is_run():
    found = []
    for name, tree in trees():
        found += [(name, module) for module in imported(tree) if module.split(".")[0] in FORBIDDEN_MODULES]
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        found += [
            (name, call.func.id)
            for call in calls
            if isinstance(call.func, ast.Name) and call.func.id in FORBIDDEN_CALLS
        ]
        found += [
            (name, "allow_pickle")
            for call in calls
            for argument in call.keywords
            if argument.arg == "allow_pickle" and getattr(argument.value, "value", True) is not False
        ]
    assert found == []


def test_yaml_is_only_read_safely():
    calls = [
        (name, node.attr)
        for name, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "yaml"
    ]
    unsafe = {"load", "load_all", "full_load", "unsafe_load", "Loader", "FullLoader", "UnsafeLoader"}
    assert [row for row in calls if row[1] in unsafe] == []


@pytest.mark.parametrize(
    "room", ["regimes", "stats", "domain", "features", "labels", "training", "scoring", "consensus"]
)
def test_steps_read_neither_clock_nor_network_nor_environment(room):
    outside = {
        "time",
        "socket",
        "httpx2",
        "requests",
        "urllib.request",
        "os",
        "subprocess",
        "structlog",
        "logging",
        "random",
    }
    found = [
        (name, module)
        for name, tree in trees()
        if name.startswith(f"huracan/{room}/")
        for module in imported(tree)
        if module in outside and name not in ALLOWED_OUTSIDE.get(module, ())
    ]
    assert found == []


def test_files_and_functions_stay_short():
    long_files = [
        (file.relative_to(SOURCE).as_posix(), lines)
        for file in FILES
        if (lines := len(file.read_text(encoding="utf-8").splitlines())) > LONGEST_FILE
    ]
    long_functions = [
        (name, function.name, length)
        for name, tree in trees()
        for function in functions(tree)
        if not is_kernel(function) and (length := body_lines(function)) > LONGEST_FUNCTION
    ]
    assert (long_files, long_functions) == ([], [])


def test_a_function_takes_few_arguments_by_position():
    """A kernel's cannot be keyword-only, and a command's are its options."""
    found = [
        (name, function.name, len(own))
        for name, tree in trees()
        if not name.startswith("huracan/cli/")
        for function in functions(tree)
        if not is_kernel(function) and (name, function.name) not in DOCUMENTED
        for own in [
            [one.arg for one in function.args.posonlyargs + function.args.args if one.arg not in {"self", "cls"}]
        ]
        if len(own) > MOST_POSITIONAL
    ]
    assert found == []


def test_free_dicts_only_become_fewer():
    found = sum(file.read_text(encoding="utf-8").count("[str, Any]") for file in FILES)
    assert found <= FREE_DICTS, "name a record for what crosses a step, a process or a file"


def test_no_todo_and_no_machine_path_is_left():
    found = [
        (file.relative_to(ROOT).as_posix(), word)
        for file in FILES
        for word in ("TODO", "FIXME", "XXX", "/root/", "/home/", "/work/")
        if word in file.read_text(encoding="utf-8")
    ]
    assert found == []


PRIVATE_WORDS = re.compile(
    r"\b(former pairs?|walked|walk_linear|walk_forests|reign\w*|enthron\w*|depos(?!it)\w*|crown\w*|judg\w*|told|heard"
    r"|strangers?|nonsense|doomed|set[_ ]aside|facts|epochs?)\b"
)
"""Words that this project once had of its own, where the field has others."""
STORED_WORDS = {
    "huracan/adapters/dashboard/reading.py": {"facts"},
    "huracan/adapters/ledger_chain.py": {"judged"},
    "huracan/adapters/ledger_file.py": {"facts"},
    "huracan/adapters/ledger_runs.py": {"facts"},
    "huracan/adapters/progress.py": {"judge"},
    "huracan/app/accounts.py": {"judge"},
    "huracan/cli/audit_records.py": {"set_aside"},
    "huracan/cli/fill.py": {"set_aside"},
    "huracan/cli/lake_bytes.py": {"set_aside"},
    "huracan/cli/upkeep.py": {"judged_day"},
    "huracan/domain/candles.py": {"epoch"},
    "huracan/night/damage.py": {"set_aside"},
    "huracan/night/evidence/historical.py": {"walked"},
    "huracan/night/ports.py": {"facts"},
    "huracan/night/run.py": {"facts"},
    "huracan/promotion/hypothesis.py": {"reign", "epoch"},
    "huracan/promotion/table.py": {"reigns"},
    "huracan/reports/live_lines.py": {"judge"},
    "huracan/reports/morning.py": {"walked"},
    "huracan/reports/night_summary.py": {"reigns", "walked"},
    "huracan/worlds/source.py": {"epoch"},
}
"""Those that stand in files and tables of users, and in what their programs read, by module."""


def test_no_private_word_is_left_where_the_field_has_one():
    found = {
        (name, word)
        for file in FILES
        for name in [file.relative_to(SOURCE).as_posix()]
        for word in {match[0] for match in PRIVATE_WORDS.finditer(file.read_text(encoding="utf-8"))}
        if word not in STORED_WORDS.get(name, ())
    }
    assert found == set()


def test_the_ports_of_a_night_have_a_type_for_everything():
    tree = dict(trees())["huracan/night/ports.py"]
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "Any"]
