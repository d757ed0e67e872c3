"""`huracan init`: from flags, or from questions on a terminal, to a configuration and the units of a night."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from huracan.cli.init_files import MARKETS, SPOT_BPS, Choices, night_time, write_configuration
from huracan.cli.output import print_json
from huracan.errors import ConfigError
from huracan.reports.reading import record_of


def run_init(out: Path, given: Mapping[str, object], *, force: bool, as_json: bool) -> int:
    """Write the files and say the next three commands; questions are asked on a terminal where no choice was given."""
    choices = record_of(TypeAdapter(Choices), given)
    if not given and not as_json and sys.stdin.isatty() and sys.stdout.isatty():
        sys.stdout.write("Enter keeps what stands in brackets.\n")
        choices = asked(choices, lambda question, default: input(f"{question} [{default}]: "))
    choices = replace(choices, quotes=tuple(quote.upper() for quote in choices.quotes))
    written = write_configuration(out, choices, force=force)
    if as_json:
        print_json({"files": written.files, "next": written.commands})
        return 0
    from huracan.cli.cards import terminal

    console = terminal()
    for file in written.files:
        console.print(f"wrote {file}", markup=False, soft_wrap=True)
    console.print("\nNext, to look at it, to run a night, and to run one every night:", style="bold")
    for command in written.commands:
        console.print(command, markup=False, soft_wrap=True)
    return 0


def asked(choices: Choices, ask: Callable[[str, str], str]) -> Choices:
    """The choices after questions on a terminal; an empty answer keeps what stands there."""
    questions: tuple[tuple[str, str, Callable[[str], Any]], ...] = (
        ("market", "What stands for a coin: auto or um (its perpetual, where there is one), or spot", _market),
        ("quotes", "Quote assets", _names),
        ("capital", "Capital of one coin, in quote currency", _capital),
        ("vip", "VIP tier at Binance (0 or 1; for a higher one give --spot-taker-bps and --um-taker-bps)", _tier),
        ("stores", "Remote stores, beside the local one (s3://bucket/prefix, dropbox:/path; empty: none)", _names),
        ("night", "Start of the night, HH:MM in UTC", night_time),
    )
    for name, question, parse in questions:
        choices = replace(choices, **{name: _answer(ask, question, getattr(choices, name), parse)})
    return choices


def _answer(ask: Callable[[str, str], str], question: str, default: Any, parse: Callable[[str], Any]) -> Any:
    """One answer that can be read; asked again, with what was wrong, where it cannot."""
    shown = (
        ", ".join(default)
        if isinstance(default, tuple)
        else f"{default:g}"
        if isinstance(default, float)
        else str(default)
    )
    while True:
        text = ask(question, shown).strip()
        if not text:
            return default
        try:
            return parse(text)
        except ConfigError as error:
            sys.stderr.write(f"  {error}\n")


def _market(text: str) -> str:
    if text not in MARKETS:
        raise ConfigError(f"{text!r} is not one of {', '.join(MARKETS)}")
    return text


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _capital(text: str) -> float:
    try:
        value = float(text.replace("_", "").replace(",", ""))
    except ValueError:
        value = 0.0
    if not 0 < value < 1e12:
        raise ConfigError(f"{text!r} is no amount above 0, such as 10000")
    return value


def _tier(text: str) -> int:
    if not text.isdigit() or int(text) not in SPOT_BPS:
        raise ConfigError(f"{text!r} is not 0 or 1; for other tiers give --spot-taker-bps and --um-taker-bps")
    return int(text)
