"""How a command ends: its exit status, and one line that says what was wrong with what was typed."""

import errno
import os
import re
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, Final, NoReturn

import typer

from huracan.domain.extras import missing_module
from huracan.errors import ConfigError, HuracanError, UpstreamError

USAGE_ERROR: Final[Any] = typer.BadParameter.__base__
"""What typer raises for a command line it cannot read; it has no public name of its own."""
INTERRUPTED_EXIT: Final = 130
PIPE_EXIT: Final = 141
"""What a shell says of a program whose reader went away."""
OF_THE_PLACE: Final = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EEXIST}
)
"""Errors of the system that say where a user must not or cannot write, and nothing of a fault in the program."""
LONGEST_WORD: Final = 120
"""Letters of a typed word that a message repeats."""

ONLINE_ADVICE: Final = (
    "; check the network, binance.rest_url and binance.futures_url; `huracan doctor` tries them, then run again"
)
_NO_ANSWER: Final = ("(gave up after", "all attempts together", "(not tried again: too many")
"""What messages of a host that does not answer have in them."""

_NOTHING = re.compile("--[a-z-]+=")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def run_to_end(app: typer.Typer, given: Sequence[str]) -> NoReturn:
    """Run a command line; an error ends with its message and exit status, with --json as the one object on stdout."""
    as_json = "--json" in given
    try:
        _check(given)
        status = app(list(given), prog_name="huracan", standalone_mode=False)
    except HuracanError as error:
        _refuse(error.code, f"{error}{_what_to_type(error, given)}", given)
        raise SystemExit(error.exit_status) from error
    except USAGE_ERROR as error:
        _refuse_usage(error, given)
        raise SystemExit(ConfigError.exit_status) from error
    except typer.Abort:
        status = INTERRUPTED_EXIT
    except BrokenPipeError:
        _leave_pipe()
    except Exception as error:
        if isinstance(error, OSError) and error.errno in OF_THE_PLACE:
            _refuse(ConfigError.code, _place_in_words(error), given)
            raise SystemExit(ConfigError.exit_status) from error
        if isinstance(error, ModuleNotFoundError) and (missing := missing_module(error, "this command")) is not None:
            _refuse(missing.code, str(missing), given)
            raise SystemExit(missing.exit_status) from error
        if as_json:
            _refuse("UNEXPECTED", f"{type(error).__name__}: {error}", given)
        raise
    if status == INTERRUPTED_EXIT:  # typer's own answer to Ctrl-C
        _refuse("INTERRUPTED", "interrupted; start again to go on", given)
    raise SystemExit(status or 0)


def _what_to_type(error: HuracanError, given: Sequence[str]) -> str:
    from huracan.cli.places import NoWorkdirError, typed_again

    if type(error) is UpstreamError and any(words in str(error) for words in _NO_ANSWER):
        return ONLINE_ADVICE
    return typed_again(error, given) if isinstance(error, NoWorkdirError) else ""


def _check(given: Sequence[str]) -> None:
    for place, word in enumerate(given, start=1):
        if "\0" in word:
            raise ConfigError(f"word {place} of the command holds a NUL character: {word!r}; give it without")
        if any("\ud800" <= letter <= "\udfff" for letter in word):
            raise ConfigError(
                f"word {place} of the command is no UTF-8: {word!r}; rename what it names, or type it anew"
            )
        if not word or _NOTHING.fullmatch(word):
            before = f" after {given[place - 2]}" if not word and place > 1 else f" in {word}" if word else ""
            raise ConfigError(
                f"word {place} of the command is empty{before}: an unset variable of the shell? Leave it out"
            )


def _refuse_usage(error: Any, given: Sequence[str]) -> None:
    if (
        not isinstance(error, typer.BadParameter)
        and type(error).__name__ == "NoArgsIsHelpError"
        and "--json" not in given
    ):
        error.show()
        return
    where = error.ctx.command_path if error.ctx is not None else "huracan"
    text = _usage_words(error).rstrip(".")
    _refuse("USAGE", f"{text}{'' if text.endswith('?') else '.'} See: {where} --help", given)


def _usage_words(error: Any) -> str:
    """What was wrong with a command line, with the nearest option where one was misspelt."""
    if type(error).__name__ == "NoArgsIsHelpError":
        return f"{error.ctx.command_path} needs a command: {', '.join(error.ctx.command.commands)}"
    wrong = getattr(error, "option_name", None)
    if not hasattr(error, "possibilities") or wrong is None:
        return str(error.format_message()).replace("Value error, ", "").removeprefix("Invalid value: ")
    known = [name for param in error.ctx.command.params for name in param.opts] if error.ctx is not None else []
    near = get_close_matches(wrong, [*known, "--help"], n=3)
    return f"{error.message}" + (f". Did you mean {', '.join(near)}?" if near else "")


def _place_in_words(error: OSError) -> str:
    where = error.filename if error.filename is not None else "a file of this command"
    return f"{where}: {error.strerror}. Give this user that place, or name another one."


def _refuse(code: str, text: str, given: Sequence[str]) -> None:
    error = _tamed(text, given)
    if "--json" in given:
        from huracan.cli.output import print_json

        print_json({"success": False, "code": code, "error": error})
    typer.secho(f"{code}: {error}", err=True, fg="red")


def _tamed(text: str, given: Sequence[str]) -> str:
    """A message without control characters, and without the length of a typed word it repeats."""
    for word in (part for typed in given for part in (typed, typed.partition("=")[2])):
        if len(word) > LONGEST_WORD:
            text = text.replace(word, f"{word[: LONGEST_WORD // 2]}… ({len(word):,} letters)")
        elif _CONTROL.search(word):
            text = text.replace(word, _escaped(word))
    return "\n".join(_escaped(line) for line in text.splitlines())


def _escaped(text: str) -> str:
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def _leave_pipe() -> NoReturn:
    """End in silence where nobody reads any more (`huracan lake coverage | head`)."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter's last flush complains
    raise SystemExit(PIPE_EXIT)
