"""How templates of this room are read: escaped, and an undefined name is an error, never an empty cell."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


def template_environment() -> "Environment":
    """A fresh environment over this package's templates; each page keeps its own, with its own filters."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("huracan.reports", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
