"""Names are listed in one module, every listed one is used, and no log call formats text."""

import ast
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from huracan.adapters.telemetry import EVENTS, METRICS
from huracan.adapters.telemetry.metrics import _COUNTED, STATUSES
from huracan.errors import HuracanError

SOURCE = Path(__file__).parents[2] / "src" / "huracan"
NAMES = SOURCE / "adapters" / "telemetry" / "names.py"
LOGGER_METHODS = {"debug", "info", "warning", "error", "exception", "critical", "fatal", "log", "msg"}


@cache
def trees():
    return {file: ast.parse(file.read_text(encoding="utf-8")) for file in sorted(SOURCE.rglob("*.py"))}


def calls(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node, node.func.attr


def told():
    """(file, first argument) of every call that tells an event."""
    for file, tree in trees().items():
        for call, name in calls(tree):
            if name == "event" and call.args:
                yield file, call.args[0]


def texts(node):
    return {part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)}


@pytest.mark.slow
def test_every_event_is_told_by_a_listed_name_or_by_a_variable_that_holds_one():
    literal = [(file.name, node.value) for file, node in told() if isinstance(node, ast.Constant)]
    assert [(file, name) for file, name in literal if name not in EVENTS] == []
    variables = [(file.relative_to(SOURCE).as_posix(), node.id) for file, node in told() if isinstance(node, ast.Name)]
    others = set(variables)
    assert others == {
        ("adapters/progress.py", "name"),  # hands on what it was given
        ("adapters/telemetry/fan_out.py", "name"),  # likewise
        ("adapters/telemetry/run_log.py", "name"),  # likewise
        ("app/endings.py", "name"),  # promoted, refreshed or kept
        ("app/wiring.py", "name"),  # retried, cancelled or failed
        ("night/promote.py", "name"),  # promoted or demoted
    }
    assert len(literal) + len(variables) == sum(1 for _ in told())


def test_every_listed_event_is_told_somewhere():
    used = Counter(
        part.value
        for file, tree in trees().items()
        if file.parent != NAMES.parent or file.name == "fan_out.py"
        for part in ast.walk(tree)
        if isinstance(part, ast.Constant) and part.value in EVENTS
    )
    assert sorted(EVENTS.keys() - used.keys()) == []


def test_every_metric_is_counted_somewhere_and_no_other_is():
    metrics = NAMES.parent / "metrics.py"
    named = {text for text in texts(trees()[metrics]) if text.startswith("huracan_")}
    assert named == METRICS.keys()


def test_metrics_listen_to_listed_events_only():
    assert _COUNTED.keys() | STATUSES.keys() <= EVENTS.keys()


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_has_help_a_unit_and_bounded_labels(name):
    spec = METRICS[name]
    assert spec.help.endswith(".")
    assert name.startswith("huracan_")
    assert (spec.kind == "counter") == name.endswith("_total")
    assert not spec.unit or name.removesuffix("_total").endswith(f"_{spec.unit}")
    assert ("seconds" in name) == (spec.unit == "seconds")
    assert ("bytes" in name) == (spec.unit == "bytes")
    assert set(spec.labels) <= {
        "wave",
        "step",
        "code",
        "horizon",
        "recipe",
        "target",
        "status",
        "statistic",
        "state",
        "outcome",
    }


def test_nothing_logs_formatted_text():
    """Facts go through `event`, or through Hamilton's logger in a bot's process, as a name and key-value fields."""
    wrong, direct = [], []
    for file, tree in trees().items():
        place = file.relative_to(SOURCE).as_posix()
        for call, name in calls(tree):
            logging = name in LOGGER_METHODS and "log" in ast.unparse(call.func.value).lower().split(".")[-1]
            if logging:
                direct.append((place, call.args[0].value if isinstance(call.args[0], ast.Constant) else "?"))
            if (name == "event" or logging) and not (
                len(call.args) == 1 and isinstance(call.args[0], ast.Constant | ast.Name) and is_fields(call)
            ):
                wrong.append((place, ast.unparse(call)))
    assert wrong == []
    assert sorted(direct) == [
        ("hamilton/clock.py", "clock_not_kept"),
        ("hamilton/loader.py", "champion_set_refused"),
    ]


def is_fields(call):
    """Whether every field is a value under its own name; a field may hold an error's text, never be made up around it."""
    templates = (ast.JoinedStr, ast.BinOp)
    return not any(
        isinstance(field.value, templates) and field.arg not in {"error", "address"} for field in call.keywords
    )


def test_only_one_place_knows_the_logging_library_and_hamilton_its_own():
    users = {
        file.relative_to(SOURCE).as_posix()
        for file, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for module in (
            [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
        )
        if module.split(".")[0] in {"logging", "structlog", "prometheus_client", "opentelemetry"}
    }
    assert users == {
        "adapters/backends/dask.py",  # which silence the libraries they start
        "adapters/backends/ray.py",
        "adapters/telemetry/log.py",
        "adapters/telemetry/metrics.py",
        "adapters/telemetry/trace.py",
        "adapters/telemetry/ways_out.py",
        "hamilton/log.py",
    }


def test_codes_of_errors_fit_into_a_label():
    def family(kind):
        yield kind
        for child in kind.__subclasses__():
            yield from family(child)

    codes = {kind.code for kind in family(HuracanError)}
    assert all(code == code.upper() and code.replace("_", "").isalpha() for code in codes)
