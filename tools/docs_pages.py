# ruff: noqa: INP001
"""Write the pages of docs/ that are made from the code: features, settings, commands, Python names, index, llms.txt.

python tools/docs_pages.py           # write them
python tools/docs_pages.py --check   # exit 1 and name the pages that are not what the code says
"""

import argparse
import ast
import inspect
import re
import sys
import tomllib
import typing
from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import Enum
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import typer

import huracan
from huracan import errors
from huracan.cli.main import app
from huracan.features.formulas import MOMENTS, NOTATION, catalogue
from huracan.features.names import CONSTANTS, RECIPE_ID, REGIME_THRESHOLDS
from huracan.settings_table import SettingRow, other_variables, section_words, setting_rows

ROOT: Final = Path(__file__).parents[1]
DOCS: Final = ROOT / "docs"
DOCUMENTED: Final = ROOT / "src" / "cloud" / "training"
PATHS: Final = "src.cloud.training"
MADE: Final = "<!-- Written by tools/docs_pages.py; `make docs` writes it anew. -->\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicName:
    """A name that users may import: where from, and what it is."""

    name: str
    home: str
    value: Any

    @property
    def anchor(self) -> str:
        """Its place on the page of Python names."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command of the terminal with its whole name, such as ``champions show``."""

    name: str
    command: Any

    @property
    def anchor(self) -> str:
        """Its place on the page of commands."""
        return "huracan-" + self.name.replace(" ", "-")


def cell(text: object) -> str:
    """Text that fits a cell of a table.

    >>> cell("a | b <c>")
    'a &#124; b &lt;c>'
    """
    return prose(str(text).replace("|", "&#124;").replace("\n", " "))


def code_cell(text: object) -> str:
    """Code that fits a cell of a table; nothing where there is none."""
    shown = str(text)
    if "|" in shown:  # backticks do not keep a bar from ending the cell
        shown = shown.replace("&", "&amp;").replace("<", "&lt;").replace("|", "&#124;").replace("_", "&#95;")
        return f"<code>{shown}</code>"
    return f"`{shown}`" if shown else ""


def prose(text: str) -> str:
    """Text in which an angle bracket is no tag, and double backticks are single ones."""
    parts = re.split(r"(``[^`]+``|`[^`]+`)", text)
    return "".join(f"`{part.strip('`')}`" if part.startswith("`") else part.replace("<", "&lt;") for part in parts)


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]] | list[tuple[str, ...]]) -> list[str]:
    """Lines of a Markdown table."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]


# Features


def features_page() -> str:
    """Every feature with its formula, window, unit and the moment it is known at."""
    lines = [
        "# Feature catalogue",
        "",
        MADE,
        f"Recipe `{RECIPE_ID}`, {len(catalogue())} features. Each is computed from bars that have closed by the decision, and from",
        "nothing later: features on data cut at a time equal features on all data at that time. A feature is missing until its",
        "longest window is full, and is 0 where a denominator is 0. A test evaluates every formula below as it is printed.",
        "Repaired and halted bars repeat the last real close, and their volume is no observation.",
        "",
        "## The features",
        "",
        *table(("features", "meaning and formula", "unit", "window, minutes", "known at"), family_rows()),
        "## When a feature is known",
        "",
        *table(("known at", "meaning"), ((cell(word), cell(text)) for word, text in MOMENTS.items())),
        "## Notation",
        "",
        *table(("in a formula", "meaning"), ((code_cell(word), cell(text)) for word, text in NOTATION.items())),
        *regime_lines(),
        *constant_lines(),
    ]
    return "\n".join(lines)


def family_rows() -> Iterator[tuple[str, ...]]:
    """Features that differ by their windows alone share a row."""
    for _, members in groupby(catalogue(), lambda entry: (entry.formula, entry.meaning, entry.known)):
        family = list(members)
        yield (
            "<br>".join(code_cell(entry.name) for entry in family),
            f"{cell(family[0].meaning)}<br>{code_cell(family[0].formula) or '[its rules](#the-regime)'}",
            cell(family[0].unit),
            "; ".join(dict.fromkeys(", ".join(map(str, entry.window_minutes)) for entry in family)),
            cell(family[0].known),
        )


def regime_lines() -> list[str]:
    """The rules of the regime in words."""
    rules = REGIME_THRESHOLDS
    return [
        "## The regime",
        "",
        f"`regime` is 0 for trend, 1 for range, 2 for panic, 3 for illiquid. Every whole hour is ranked among the coin's own {rules.quantile_hours} hours",
        f"before it, of which at least {rules.least_hours} must be known. The first rule below that holds is the regime:",
        "",
        f"1. **Illiquid**: `impact(240)` ranks at or above {rules.illiquid_enter}; it ends below {rules.illiquid_leave}.",
        f"2. **Panic**: hourly volatility ranks at or above {rules.panic_enter} and the price is {-rules.panic_drawdown_enter:g} daily sigmas below its one-day high;",
        f"   it ends below rank {rules.panic_leave} or within {-rules.panic_drawdown_leave:g} daily sigma of the high.",
        f"3. **Trend**: `abs(efficiency_1440)` and `abs(drift_t_1440)` rank at or above {rules.trend_enter}; it ends below {rules.trend_leave}.",
        "4. **Range**: everything else.",
        "",
        f"A regime lasts at least {rules.dwell_hours} hours, unless panic or illiquidity begins.",
        "",
    ]


def constant_lines() -> list[str]:
    """The constants of the recipe."""
    lines = ["## Constants", ""]
    return [
        *lines,
        *table(
            ("constant", "value"), [(code_cell(f.name), cell(getattr(CONSTANTS, f.name))) for f in fields(CONSTANTS)]
        ),
    ]


# Settings


def configuration_page() -> str:
    """Every setting by section, and the variables that are none."""
    rows, words = setting_rows(), section_words()
    lines = [
        "# Configuration reference",
        "",
        MADE,
        f"All {len(rows)} settings. A value comes from the first of these that gives it: `--set section.key=value`, the variable",
        "in the environment, the file given by `--config`, the default. `huracan config show` prints what is in force",
        "and where each value came from. An unknown or repeated key is an error that names its line.",
        "",
    ]
    for section in dict.fromkeys(row.section for row in rows):
        members = [row for row in rows if row.section == section]
        lines += [f"## {section}", "", prose(words[section]), ""]
        lines += table(("setting and its variable", "default", "allowed", "meaning"), map(setting_cells, members))
    lines += ["## Other variables", "", "Read from the environment where they are needed; they are no settings.", ""]
    lines += table(("variable", "meaning"), [(code_cell(name), cell(text)) for name, text in other_variables().items()])
    return "\n".join(lines)


def setting_cells(row: SettingRow) -> tuple[str, ...]:
    """The cells of one setting."""
    return (
        f"{code_cell(row.key)}<br>{code_cell(row.environment)}",
        f"{code_cell(row.default)} {cell(row.unit)}".strip(),
        cell(row.allowed or row.kind),
        cell(row.description),
    )


# Commands


def commands() -> list[Command]:
    """All commands, groups left out."""

    def below(command: Any, names: tuple[str, ...]) -> Iterator[Command]:
        if not hasattr(command, "commands"):
            yield Command(name=" ".join(names), command=command)
            return
        for name, found in command.commands.items():
            if not found.hidden:
                yield from below(found, (*names, name))

    return list(below(typer.main.get_command(app), ()))


def commands_page() -> str:
    """Every command with its arguments and options, then the exit statuses and error codes."""
    lines = [
        "# Commands",
        "",
        MADE,
        "`-h` after any command prints this in short. With `--json` the answer is one object on stdout, also where it is an error.",
        "",
    ]
    for item in commands():
        lines += [
            f"## huracan {item.name}",
            "",
            prose(inspect.cleandoc(item.command.help or "")),
            "",
            *parameter_lines(item),
        ]
    return "\n".join([*lines, *status_lines()])


def parameter_lines(item: Command) -> list[str]:
    """Usage, arguments and options of a command."""
    wanted = [p for p in item.command.params if p.name != "help" and not getattr(p, "hidden", False)]
    arguments = [p for p in wanted if p.param_type_name == "argument"]
    options = [p for p in wanted if p.param_type_name == "option"]
    places = "".join(f" {p.name.upper()}" if is_wanted(item, p) else f" [{p.name.upper()}]" for p in arguments)
    lines = ["```text", f"huracan {item.name}{places}{' [OPTIONS]' if options else ''}", "```", ""]
    if not wanted:
        return lines
    rows = [
        (
            code_cell(names(p)),
            cell("required" if is_wanted(item, p) else shown_default(p)),
            cell(getattr(p, "help", None) or ""),
        )
        for p in (*arguments, *options)
    ]
    return [*lines, *table(("name", "default", "meaning"), rows)]


def names(parameter: Any) -> str:
    """An argument's or option's name as it is typed."""
    if parameter.param_type_name == "argument":
        return str(parameter.name).upper()
    return ", ".join([*parameter.opts, *parameter.secondary_opts])


def is_wanted(item: Command, parameter: Any) -> bool:
    """Whether the command refuses to run without a parameter, as its own usage line says."""
    return parameter.required or f"{{{parameter.name}}}" in item.command.collect_usage_pieces(
        typer.Context(item.command)
    )


def shown_default(parameter: Any) -> str:
    """A default that is worth printing."""
    default = parameter.default
    return "" if default in (None, False, (), []) or callable(default) else str(default)


def error_classes() -> list[type[errors.HuracanError]]:
    """All declared errors, one a code."""
    found = [
        value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, errors.HuracanError)
    ]
    return list({kind.code: kind for kind in reversed(found)}.values())[::-1]


def status_lines() -> list[str]:
    """Exit statuses and the codes of errors."""
    rows = [
        (code_cell(kind.code), str(kind.exit_status), cell(" ".join((kind.__doc__ or "").partition("\n\n")[0].split())))
        for kind in error_classes()
    ]
    return [
        "## Exit statuses and error codes",
        "",
        "0 is done, 130 is interrupted: start again to go on. Every other status comes with one of these codes; what to do about each",
        "status stands in [Running it every night](deploy.md). Codes are stable.",
        "",
        *table(("code", "exit status", "meaning"), rows),
    ]


# Python names


def public_names() -> list[PublicName]:
    """The names of `huracan` first, then those of the documented paths that are not among them."""
    found = [PublicName(name=name, home="huracan", value=getattr(huracan, name)) for name in huracan.__all__]
    listed = {item.name for item in found}
    for file in sorted(DOCUMENTED.rglob("*.py")):
        module = ".".join((PATHS, *file.relative_to(DOCUMENTED).with_suffix("").parts))
        if file.name == "__init__.py":
            continue
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            for alias in node.names if isinstance(node, ast.ImportFrom) else ():
                if alias.name not in listed:
                    listed.add(alias.name)
                    value = getattr(import_module(str(node.module)), alias.name)
                    found.append(PublicName(name=alias.name, home=module, value=value))
    return found


def reference_page() -> str:
    """Every public name with its signature, docstring, fields and methods."""
    lines = [
        "# Python reference",
        "",
        MADE,
        "The names of `huracan` are the public surface. The others are reached by the documented long paths, from the root of a checkout.",
        "They keep working: fields and parameters are added, never renamed or dropped.",
        "",
    ]
    for item in public_names():
        lines += [
            f"## {item.name}",
            "",
            "```python",
            f"from {item.home} import {item.name}",
            "```",
            "",
            *described(item),
        ]
    return "\n".join(lines)


def described(item: PublicName) -> list[str]:
    """What stands below the heading of a name."""
    value, lines = item.value, []
    if isinstance(value, dict):  # the schema of a frame
        rows = [(code_cell(column), code_cell(kind)) for column, kind in value.items()]
        return ["The columns of a frame and their types.", "", *table(("column", "type"), rows)]
    if typing.is_typeddict(value):
        rows = [(code_cell(name), code_cell(kind_text(kind))) for name, kind in value.__annotations__.items()]
        return [*docstring(value), *table(("key", "type"), rows)]
    if getattr(value, "_is_protocol", False):
        call = value.__call__
        lower = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", item.name).lower()
        return ["```python", f"{lower}{signature(call)}", "```", "", *docstring(value), *docstring(call)]
    if isinstance(value, type) and issubclass(value, Enum):
        return [
            *docstring(value),
            *table(("member", "value"), [(code_cell(m.name), code_cell(m.value)) for m in value]),
        ]
    if isinstance(value, type) and issubclass(value, BaseException):
        return docstring(value)
    if isinstance(value, type) and is_dataclass(value):
        rows = [
            (code_cell(f.name), code_cell(kind_text(f.type)), code_cell(default_text(f)))
            for f in fields(value)
            if f.init
        ]
        lines = [*docstring(value), *table(("field", "type", "default"), rows)]
    elif callable(value):
        lines = ["```python", f"{item.name}{signature(value)}", "```", "", *docstring(value)]
    else:
        return [f"`{kind_text(value)}`", ""]
    if not isinstance(value, type):
        return lines
    for name, member in methods(value):
        mark = "async " if inspect.iscoroutinefunction(member) else ""
        lines += [
            f"### {item.name}.{name}",
            "",
            "```python",
            f"{mark}{name}{signature(member)}",
            "```",
            "",
            *docstring(member),
        ]
    return lines


def methods(kind: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    """The public methods that a class of ours defines, in the order of their definition."""
    for owner in kind.__mro__[::-1]:
        if owner.__module__.startswith("huracan"):
            for name, member in vars(owner).items():
                found = getattr(kind, name, None)
                if not name.startswith("_") and inspect.isroutine(found) and not isinstance(member, property):
                    yield name, found


def kind_text(kind: Any) -> str:
    """A type without the modules it lies in."""
    text = kind.__name__ if isinstance(kind, type) and not hasattr(kind, "__args__") else str(kind)
    bare = text if "Literal[" in text else text.replace('"', "").replace("'", "")
    return re.sub(r"\b(?:[A-Za-z_]\w*\.)+(\w+)", r"\1", bare)


def default_text(field: Any) -> str:
    """A field's default as it would be written."""
    made = (
        field.default_factory() if field.default is MISSING and field.default_factory is not MISSING else field.default
    )
    return "" if made is MISSING else value_text(made)


def value_text(value: Any) -> str:
    """A default as it would be written, without addresses of memory."""
    if isinstance(value, Enum):
        return str(value)
    return str(getattr(value, "__name__", "...")) if callable(value) else repr(value)


def signature(value: Callable[..., Any]) -> str:
    """Parameters and result, without the modules that types lie in."""
    found = inspect.signature(value)
    parts: list[str] = []
    only_named = False
    for parameter in found.parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not only_named:
            parts.append("*")
            only_named = True
        parts.append(parameter_text(parameter))
    result = "" if found.return_annotation is found.empty else f" -> {kind_text(found.return_annotation)}"
    return f"({', '.join(parts)}){result}"


def parameter_text(parameter: inspect.Parameter) -> str:
    """A parameter as it would be written."""
    stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    kind = "" if parameter.annotation is parameter.empty else f": {kind_text(parameter.annotation)}"
    default = "" if parameter.default is parameter.empty else f" = {value_text(parameter.default)}"
    return f"{stars}{parameter.name}{kind}{default}"


def docstring(value: Any) -> list[str]:
    """A docstring as Markdown; its examples become code."""
    own = value.__doc__ if isinstance(value, type) else inspect.getdoc(value)
    lines: list[str] = []
    in_code = False
    for line in inspect.cleandoc(own or "").splitlines():
        starts = line.startswith(">>>")
        if starts and not in_code:
            lines += ["```pycon"]
            in_code = True
        elif in_code and not line.strip():
            lines += ["```"]
            in_code = False
        lines.append(line if in_code else prose(line))
    return [*lines, *(["```"] if in_code else []), ""]


# The index, and the list for language models


def index_page() -> str:
    """Every setting, variable, command and public name, with the place that explains it."""
    lines = [
        "# Index of names",
        "",
        MADE,
        "Every command, setting, variable and public Python name, each with the place that explains it.",
        "",
    ]
    lines += ["## All commands", ""]
    lines += [f"- [`huracan {item.name}`](commands.md#{item.anchor})" for item in commands()]
    lines += ["", "## All settings", ""]
    lines += [f"- [`{row.path}`](configuration.md#{row.section})" for row in setting_rows()]
    lines += ["", "## All variables", ""]
    lines += [f"- [`{row.environment}`](configuration.md#{row.section})" for row in setting_rows()]
    lines += [f"- [`{name}`](configuration.md#other-variables)" for name in other_variables()]
    lines += ["", "## All Python names", ""]
    lines += [f"- [`{item.name}`](reference.md#{item.anchor}), from `{item.home}`" for item in public_names()]
    return "\n".join([*lines, ""])


def nav_pages(nav: list[Any] | None = None) -> Iterator[tuple[str, str]]:
    """Title and file of each page, in the order of the site's navigation."""
    for entry in tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"] if nav is None else nav:
        for title, target in entry.items():
            if isinstance(target, str):
                yield title, target
            else:
                yield from nav_pages(target)


def first_sentence(file: Path) -> str:
    """The first sentence of a page's own text."""
    paragraphs = re.split(r"\n\s*\n", re.sub(r"<!--.*?-->", "", file.read_text(encoding="utf-8"), flags=re.DOTALL))
    text = next((p for p in paragraphs if p.strip() and not p.lstrip().startswith(("#", "|", "```", "!", "-"))), "")
    plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", " ".join(text.split()))
    return re.split(r"(?<=[.:])\s", plain)[0]


def llms_text() -> str:
    """What a language model should read first."""
    lines = [
        "# Huracan",
        "",
        "> Trains models for every Binance pair every night, scores them after costs, and promotes one only when an always-valid test",
        "> says it is better. Champions are signed; HamiltonInterface verifies, loads and predicts.",
        "",
        "Python 3.11 or newer. Command `huracan`, package `huracan`. Settings: configuration.md. Nothing here is proven to make money.",
        "",
        "## Pages",
        "",
    ]
    return "\n".join(
        [*lines, *(f"- [{title}]({name}): {first_sentence(DOCS / name)}" for title, name in nav_pages()), ""]
    )


PAGES: Final[dict[str, Callable[[], str]]] = {
    "features.md": features_page,
    "configuration.md": configuration_page,
    "commands.md": commands_page,
    "reference.md": reference_page,
    "names.md": index_page,
    "llms.txt": llms_text,
}
"""Written in this order: the list for language models reads the others."""


def stale_pages() -> list[str]:
    """Pages whose file is not what the code says."""
    return [name for name, made in PAGES.items() if not (DOCS / name).is_file() or (DOCS / name).read_text() != made()]


def main() -> int:
    """Write the pages, or say which are stale."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a page is stale")
    if parser.parse_args().check:
        stale = stale_pages()
        if stale:
            print(f"stale: {', '.join(stale)}; write them with: python tools/docs_pages.py", file=sys.stderr)
        return bool(stale)
    for name, made in PAGES.items():
        (DOCS / name).write_text(made(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
