"""Cards: one thing shown in a column of names and a column of words, readable from 60 columns on."""

import sys
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from huracan.domain.time import iso

WIDEST: Final = 100
"""Columns of a card on a wide terminal: longer lines are hard to read."""

_MARKETS: Final = {"um": "perpetual", "spot": "spot"}


def terminal() -> Console:
    """Stdout as rich sees it, without colouring numbers."""
    return Console(highlight=False, file=sys.stdout)


def market_words(instrument: str) -> str:
    """The market of an instrument id, in words.

    >>> market_words("BTCUSDT-um"), market_words("LUNAUSDT-spot~20220513")
    ('perpetual', 'spot')
    """
    return _MARKETS.get(instrument.partition("~")[0].rpartition("-")[2], "unknown market")


def moment_words(time_ms: int) -> str:
    """An instant to the minute, UTC.

    >>> moment_words(1767225600000)
    '2026-01-01 00:00 UTC'
    """
    return f"{iso(time_ms)[:16].replace('T', ' ')} UTC"


def print_card(console: Console, title: str, rows: Sequence[tuple[str, str | Text]]) -> None:
    """Print a title and its rows; a row without a name goes on with the one above, an empty one leaves a line free."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold")
    for name, words in rows:
        grid.add_row(f"  {name}", words if isinstance(words, Text) else Text(words))
    console.print(Text(title, style="bold"), soft_wrap=False)
    console.print(grid, width=min(console.width, WIDEST))
