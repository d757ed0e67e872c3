"""A setting that nothing reads is a promise that nothing keeps: every field of every section has a reader."""

import ast
from functools import cache
from pathlib import Path

import pytest

import huracan
from huracan.settings import SECTIONS

PACKAGE = Path(huracan.__file__).parent
FIELDS = [(section, field) for section, model in SECTIONS.items() for field in model.model_fields]


@cache
def trees():
    """The package's modules but for the settings themselves."""
    own = {PACKAGE / "sections.py", PACKAGE / "settings.py"}
    return [ast.parse(file.read_text()) for file in PACKAGE.rglob("*.py") if file not in own]


def loads(tree):
    """Names of attributes that are read."""
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)}


@cache
def readers():
    """(attributes read, names used) of each module."""
    found = []
    for tree in trees():
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        found.append((loads(tree), names))
    return found


def is_read(section, name):
    """Whether a module that reaches the section, by name or by its class, reads this attribute."""
    kind = SECTIONS[section].__name__
    return any(name in attributes and (section in attributes or kind in names) for attributes, names in readers())


def properties(section):
    """What each property of a section reads of it."""
    tree = ast.parse((PACKAGE / "sections.py").read_text())
    kind = next(n for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and n.name == SECTIONS[section].__name__)
    functions = [node for node in kind.body if isinstance(node, ast.FunctionDef)]
    marked = [one for one in functions if any(getattr(mark, "id", "") == "property" for mark in one.decorator_list)]
    return {one.name: loads(one) for one in marked}


@pytest.mark.slow
@pytest.mark.parametrize(("section", "field"), FIELDS)
def test_every_field_of_every_section_has_a_reader(section, field):
    by_property = any(field in read and is_read(section, name) for name, read in properties(section).items())
    assert by_property or is_read(section, field), f"{section}.{field} is a setting that nothing reads"


@pytest.mark.slow
def test_the_search_finds_a_setting_without_a_reader():
    assert not is_read("training", "lookback_fortnights")
    assert not is_read("dashboard", "lookback_days")
