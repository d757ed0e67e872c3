"""The pages say what the code says: nothing is stale, missing, or named without being there."""

import doctest
import inspect
import re
from pathlib import Path

import pytest
import typer
from pages import DOCS, LONGEST_SENTENCE, commands_in, pages, sentences, tool, words

import huracan
from huracan.cli.main import app
from huracan.domain.records import SkipCode
from huracan.night.carry_over import EXCUSES
from huracan.reports.story import headline
from huracan.settings import OTHER_VARIABLES, SECRETS, SECTIONS
from huracan.settings_table import setting_rows

made = tool("docs_pages")
WRITTEN = {f"docs/{name}" for name in made.PAGES}
PROSE = sorted(set(pages()) - WRITTEN - {"docs/guarantees.md"})


@pytest.mark.parametrize("name", made.PAGES)
def test_pages_made_from_the_code_are_what_the_code_says(name):
    assert (DOCS / name).read_text(encoding="utf-8") == made.PAGES[name](), "python tools/docs_pages.py writes it anew"


def anchors(page):
    """Anchors of a page's headings, as the site makes them."""
    heads = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", (DOCS / page).read_text(), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", head).strip().lower()) for head in heads}


def explained(page, anchor):
    """The part of a page below a heading of level two."""
    parts = re.split(r"^## ", (DOCS / page).read_text(), flags=re.MULTILINE)
    wanted = [part for part in parts if re.sub(r"[\s-]+", "-", part.partition("\n")[0].strip().lower()) == anchor]
    assert len(wanted) == 1, f"{page} has {len(wanted)} headings {anchor!r}"
    return wanted[0]


def without_place(index):
    """Names that the index lacks, or sends to a place that does not name them."""
    places = dict(re.findall(r"^- \[`([^`]+)`\]\((\S+?)\)", index, re.MULTILINE))
    names = [f"huracan {item.name}" for item in made.commands()]
    names += [row.path for row in setting_rows()] + [row.environment for row in setting_rows()]
    names += [*OTHER_VARIABLES, *(item.name for item in made.public_names())]
    found = []
    for name in names:
        page, _, anchor = places.get(name, "").partition("#")
        last = name.rpartition(".")[2]
        if not page or last not in explained(page, anchor):
            found.append(name)
    return found


def test_every_setting_command_variable_and_public_name_has_a_place_that_explains_it():
    assert without_place((DOCS / "names.md").read_text()) == []


def test_a_name_without_a_place_is_told():
    index = (DOCS / "names.md").read_text()
    assert without_place(index.replace("- [`costs.um_taker_bps`]", "- [`costs.other`]")) == ["costs.um_taker_bps"]
    assert without_place(index.replace("- [`huracan run`]", "- [`huracan walk`]")) == ["huracan run"]


def test_every_command_has_a_line_of_help_and_so_has_every_option():
    for item in made.commands():
        assert item.command.help, item.name
        bare = [p.name for p in item.command.params if p.param_type_name == "option" and not p.help]
        assert bare == [], f"huracan {item.name}"


@pytest.mark.parametrize("name", pages())
def test_every_command_and_option_a_page_names_exists(name):
    for given in commands_in(pages()[name]):
        command, rest = typer.main.get_command(app), list(given)
        while rest and hasattr(command, "commands") and rest[0] in command.commands:
            command, rest = command.commands[rest[0]], rest[1:]
        assert command.name != "huracan" or rest[0] == "COMMAND", f"{name}: there is no command {given}"
        options = {text for option in command.params for text in option.opts} | {"-h", "--help", "--version"}
        unknown = [word for word in rest if word.startswith("-") and word.partition("=")[0] not in options]
        assert unknown == [], f"{name}: huracan {' '.join(given)}"


@pytest.mark.parametrize("name", pages())
def test_every_setting_and_variable_a_page_names_exists(name):
    text = pages()[name]
    paths = {row.path for row in setting_rows()}
    for section, key in re.findall(r"`([a-z_]+)\.([a-z_]+)[`:=]", text):
        if section in SECTIONS and key not in {"json", "prom"}:
            assert f"{section}.{key}" in paths, f"{name}: {section}.{key}"
    known = {row.environment for row in setting_rows()} | set(OTHER_VARIABLES) | set(SECRETS)
    for variable in re.findall(r"\bHURACAN_[A-Z0-9_]*[A-Z0-9]\b", text):
        assert variable in known or variable.startswith("HURACAN_TEST_"), f"{name}: {variable}"


@pytest.mark.parametrize("name", PROSE)
def test_sentences_of_the_pages_are_short(name):
    long = [text for text in sentences(pages()[name]) if words(text) > LONGEST_SENTENCE]
    assert long == []


def test_the_page_of_skip_codes_has_every_code_once_and_says_which_keep_a_champion():
    rows = re.findall(r"^\| `([A-Z_]+)` \|.*\| (yes|no) \|$", (DOCS / "skips.md").read_text(), re.MULTILINE)
    assert [code for code, _ in rows] == sorted((code for code, _ in rows), key=list(SkipCode).index)
    assert {code for code, _ in rows} == {code.value for code in SkipCode}
    assert len(rows) == len(SkipCode)
    assert {code for code, keeps in rows if keeps == "yes"} == {code.value for code in EXCUSES}


def test_every_page_of_docs_is_in_the_navigation_and_the_list_for_language_models():
    listed = {name for _, name in made.nav_pages()}
    assert {file.name for file in DOCS.glob("*.md")} == listed
    assert all(f"]({name})" in (DOCS / "llms.txt").read_text() for name in listed)


def test_the_page_about_the_morning_names_the_sections_that_the_page_of_the_morning_has():
    folder = Path(huracan.__file__).parent / "reports" / "templates"
    shown = "".join(file.read_text() for file in folder.glob("*.html"))
    page = (DOCS / "morning.md").read_text()
    for title in (
        "What is needed, and when", "What to do", "Pool by pool", "Champions", "Shortlist for paper trading",
        "What changed", "Data that were missing", "What the night cost", "Details",
    ):  # fmt: skip
        assert title in shown, title
        assert title in page, title


def test_the_page_about_the_morning_knows_how_its_headlines_begin():
    source = inspect.getsource(headline)
    page = (DOCS / "morning.md").read_text()
    for words_ in ("Demoted tonight", "Rolled back tonight", "Ended tonight", "Suspended", "Promoted tonight",
                   "Promotions are frozen", "does not count", "no usable data", "Proven", "nothing is proven",
                   "The night was refused"):  # fmt: skip
        assert words_ in source, words_
        assert words_.removesuffix(" tonight") in page, words_


@pytest.mark.slow
def test_every_example_of_the_python_reference_gives_what_it_prints():
    text = (DOCS / "reference.md").read_text()
    examples = re.findall(r"^```pycon\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert examples
    names = {item.name: item.value for item in made.public_names()}
    runner = doctest.DocTestRunner(verbose=False)
    for number, example in enumerate(examples):
        runner.run(doctest.DocTestParser().get_doctest(example, dict(names), f"example {number}", None, 0))
    assert runner.summarize(verbose=False).failed == 0
