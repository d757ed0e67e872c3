# ruff: noqa: INP001
"""How a code base is built, in one line a folder: size of functions, free dicts, long lines, tests beside source.

    python tools/house.py [FOLDER ...]

Without a folder: this repository. The figures of five model projects, counted the same way on 2026-11-28, stand beside.
A function's lines are those of its body without its docstring, nested functions counted both by themselves and inside.
All other figures are per line of every Python file of the source, blank lines and comments included.
"""

import argparse
import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = {"test", "tests", "testing"}
NOT_SOURCE = {"build", "dist", "docs", "doc", "examples", "example", "benchmarks", "scripts", "tools", "node_modules"}
LONG_FUNCTION, LONG_LINE = 50, 120


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """The figures of a folder; `free` and `wide` are per 1,000 lines of source, `tests` is lines of tests per line of
    it.
    """

    name: str
    p90: int
    longest: int
    over: int
    free: float
    wide: float
    tests: float


MODELS = (
    House(name="skfolio", p90=41, longest=362, over=70, free=0.3, wide=0.5, tests=0.71),
    House(name="optuna", p90=31, longest=230, over=57, free=3.5, wide=0.5, tests=0.65),
    House(name="stamina", p90=20, longest=82, over=2, free=0.0, wide=0.0, tests=1.57),
    House(name="arch", p90=32, longest=197, over=23, free=0.6, wide=0.0, tests=0.52),
    House(name="httpx", p90=22, longest=128, over=8, free=0.3, wide=0.0, tests=1.01),
)


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the first statement after the docstring to the last."""
    body = function.body[1:] if ast.get_docstring(function, clean=False) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def functions(text: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All functions and methods of a module's text."""
    yield from (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def texts(folder: Path) -> tuple[list[str], list[str]]:
    """(source, tests): the Python files of a project, each read once."""
    inside = folder / "src" if (folder / "src").is_dir() else folder
    source, tests = [], []
    for file in sorted(folder.rglob("*.py")):
        parts = file.relative_to(folder).parts
        if any(part.startswith(".") for part in parts):
            continue
        if TESTS.intersection(parts[:-1]) or parts[-1].startswith("test_"):
            tests.append(file.read_text(encoding="utf-8"))
        elif file.is_relative_to(inside) and (inside != folder or not NOT_SOURCE.intersection(parts[:-1])):
            source.append(file.read_text(encoding="utf-8"))
    return source, tests


def measure(folder: Path) -> House:
    """The figures of a project's folder; raises ValueError where it has no function at all."""
    source, tests = texts(folder)
    sizes = sorted(body_lines(function) for text in source for function in functions(text))
    if not sizes:
        raise ValueError(f"{folder} has no Python function: name the folder of a checkout")
    lines = [line for text in source for line in text.splitlines()]
    thousands = len(lines) / 1000
    return House(
        name=folder.resolve().name,
        p90=sizes[int(0.9 * (len(sizes) - 1))],
        longest=sizes[-1],
        over=sum(size > LONG_FUNCTION for size in sizes),
        free=sum(text.count("[str, Any]") for text in source) / thousands,
        wide=sum(len(line) > LONG_LINE for line in lines) / thousands,
        tests=sum(len(text.splitlines()) for text in tests) / len(lines),
    )


def table(houses: list[House]) -> str:
    """The figures as a Markdown table."""
    head = "| | functions p90 / max | over 50 lines | `[str, Any]` per 1,000 lines | lines over 120 columns per 1,000 | tests / source |"
    rows = [
        f"| {one.name} | {one.p90} / {one.longest} | {one.over} | {one.free:.1f} | {one.wide:.1f} | {one.tests:.2f} |"
        for one in houses
    ]
    return "\n".join([head, "|---|---|---|---|---|---|", *rows])


def main() -> int:
    """Print the table; 2 where a folder cannot be counted."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path, nargs="*", default=[ROOT])
    try:
        own = [measure(folder) for folder in arguments.parse_args().folder]
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    print(table([*own, *MODELS]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
