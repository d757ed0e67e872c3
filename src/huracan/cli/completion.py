"""`huracan completion bash|zsh|fish`: the lines a shell reads to complete commands and options."""

import os
import sys
from enum import StrEnum
from typing import Any, Final

VARIABLE: Final = "_HURACAN_COMPLETE"
"""What the shell's lines set when they ask for completions."""


class Shell(StrEnum):
    """Shells that are completed."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def print_script(shell: Shell) -> int:
    """Print the shell's lines."""
    sys.stdout.write(
        _typer().get_completion_script(prog_name="huracan", complete_var=VARIABLE, shell=shell.value) + "\n"
    )
    return 0


def answer_shells() -> None:
    """Where a shell asks, have the next call of the app answer it; nothing else pays for that."""
    if VARIABLE in os.environ:
        _typer().completion_init()


def _typer() -> Any:
    import typer.completion

    return typer.completion
