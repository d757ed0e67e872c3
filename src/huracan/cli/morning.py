"""The story of a night on a terminal: the sentences of the page, wrapped at whole words."""

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from huracan.reports.story import Morning, Pick, PoolCard
from huracan.reports.story.words import day_words

BAR: Final = 24
COLOURS: Final = {"good": "green", "bad": "red", "plain": ""}


def print_morning(story: Morning, console: Console) -> None:
    """Headline, what is needed and when, what to do, pools, shortlist, changes, missing data and cost."""
    console.print(f"Night of {day_words(story.night)}", style="dim", markup=False)
    print_warning(story, console)
    console.print(Text(story.headline, style=f"bold {COLOURS[story.mood]}".strip()))
    console.print()
    bullets("What is needed, and when", story.needed, console)
    bullets("What to do", story.todo, console)
    for card in story.cards:
        print_card(card, console)
    if story.shortlist or story.shortlist_note:
        _shortlist(story.shortlist, story.shortlist_note, console)
    bullets("What changed", story.changes, console)
    bullets("Data that were missing", story.missing, console)
    bullets("What the night cost", story.cost, console)
    bullets("Remarks", story.remarks, console)


def print_warning(story: Morning | None, console: Console) -> None:
    """What makes the whole night no evidence; nothing of a real market."""
    if story is not None and story.warning:
        console.print(Text(story.warning, style="bold yellow"))


def bullets(title: str, lines: Sequence[str], console: Console) -> None:
    """A title and one hanging line for each sentence; nothing where there is none."""
    if not lines:
        return
    console.print(title, style="bold", markup=False)
    for line in lines:
        console.print(hanging("-", line))
    console.print()


def hanging(mark: str, text: str, style: str = "") -> Table:
    """A line behind a mark that goes on under itself."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold", ratio=1)
    grid.add_row(Text(mark), Text(text, style=style))
    return grid


def print_card(card: PoolCard, console: Console) -> None:
    """One pool: its name and state, the days as a bar, when, why, and what was measured."""
    style = {"proven": "green", "suspended": "red", "frozen": "red"}.get(card.state, "")
    console.print(Text.assemble((card.title, "bold"), ": ", (card.state_words, style)))
    if card.wanted_days:
        filled = round(BAR * card.progress)
        bar = "#" * filled + "." * (BAR - filled)
        console.print(Text(f"  [{bar}] {card.progress_words}"))
    for text, shade in ((card.when, ""), (card.why, "dim"), (measured_words(card), "dim")):
        if text:
            console.print(hanging(" ", text, shade))
    console.print()


def measured_words(card: PoolCard) -> str:
    """What a pool's nearest recipe earned, marked where that is no evidence."""
    if not card.measured:
        return ""
    return card.measured if card.is_evidence else f"{card.measured} Not evidence."


def _shortlist(picks: Sequence[Pick], note: str, console: Console) -> None:
    console.print("Shortlist for paper trading", style="bold", markup=False)
    console.print(Text(note))
    for pick in picks:
        name = f"{pick.coin} {pick.horizon}, {pick.pool_title}, {pick.recipe}: "
        console.print(hanging("-", f"{name}{pick.sentence}"))
    console.print()


def coin_lines(story: Morning, pools: Sequence[str], horizon: str | None, console: Console) -> None:
    """How far the recipes of a coin's pools are, by horizon."""
    for card in story.cards:
        if card.pool not in pools:
            continue
        console.print(Text.assemble((card.title, "bold"), f": {card.progress_words}"))
        for line in card.lines:
            if horizon in {None, line.horizon}:
                said = " ".join(part for part in (line.when, line.observed, _not_evidence(line.backtested)) if part)
                console.print(hanging(" ", f"{line.recipe} at {line.horizon}. {said}"))


def _not_evidence(backtested: str) -> str:
    return f"{backtested} Not evidence." if backtested else ""
