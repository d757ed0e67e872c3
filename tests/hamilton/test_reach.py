"""What the trading process can reach: no pickle, no eval, no native model parser, no training code."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import huracan

HOME = Path(huracan.__file__).parent
FORBIDDEN = {
    "pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "joblib",
    "marshal",
    "shelve",
    "lightgbm",
    "xgboost",
    "sklearn",
}
CALLS = {"eval", "exec", "compile", "__import__"}


def module_file(name):
    path = HOME.parent.joinpath(*name.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def reachable(start):
    """Our own modules reachable from one, each with its syntax tree; lazy imports inside functions count."""
    found, waiting = {}, [start]
    while waiting:
        name = waiting.pop()
        if name in found or not name.startswith("huracan") or not module_file(name).exists():
            continue
        tree = found[name] = ast.parse(module_file(name).read_text())
        waiting += [*imports(tree), name.rsplit(".", 1)[0]]
    return found


@pytest.mark.slow
@pytest.mark.guarantee("H3")
def test_no_foreign_code_can_be_loaded_from_what_hamilton_reaches():
    modules = reachable("huracan.hamilton")
    modules.pop("huracan")
    assert {"huracan.hamilton.loader", "huracan.export.trust", "huracan.stats.evaluate"} <= set(modules)
    for name, tree in modules.items():
        assert not {module.split(".")[0] for module in imports(tree) if module} & FORBIDDEN, name
        called = {
            node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert not called & CALLS, name


def test_hamilton_reaches_no_training_and_no_network_code():
    rooms = {name.split(".")[1] for name in reachable("huracan.hamilton") if "." in name}
    assert rooms <= {"hamilton", "export", "features", "ingest", "regimes", "stats", "domain", "errors"}


@pytest.mark.slow
def test_importing_hamilton_stays_light():
    # The signing library looks for cloud keys' SDK, which only the development tools bring along.
    code = "import sys; sys.modules['boto3'] = None; import huracan.hamilton; print(' '.join(sys.modules))"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert not loaded & {"polars", "pandas", "lightgbm", "sklearn", "pyarrow", "safetensors", "httpx2", "urllib3"}


def test_the_public_name_is_the_same_object():
    from huracan.hamilton import HamiltonInterface

    assert huracan.HamiltonInterface is HamiltonInterface
