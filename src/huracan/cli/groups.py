"""How commands are grouped: `-h` everywhere, help lines that are never cut, and the nearest name for a wrong one."""

from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

WHOLE: Final = 10_000
"""More letters than any line of help has: what does not fit a line goes on below it."""


class WantsHorizon(TyperCommand):
    """A command that refuses a coin without a horizon; a key such as BTC_1h holds both, so the parser may not
    insist.
    """

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words of the usage line, the horizon's without the brackets of what may be left out."""
        return ["{horizon}" if piece == "[horizon]" else piece for piece in super().collect_usage_pieces(ctx)]


class Group(TyperGroup):
    """A group of commands whose list says the whole first sentence of each."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, found.get_short_help_str(WHOLE)) for name, found in commands if found and not found.hidden]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


def group(text: str, **more: Any) -> typer.Typer:
    """A group of commands; every group is made by this."""
    settings = {"help_option_names": ["-h", "--help"]}
    return typer.Typer(
        cls=Group,
        help=text,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings=settings,
        **more,
    )
