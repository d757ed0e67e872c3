"""The argument of a call as its route reads it: field by field, each of the type that the API documents."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from huracan.domain.json import Json, JsonObject

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Argument:
    """A JSON object. A field that is missing raises KeyError, one of another type TypeError: the server answers 400.

    >>> Argument({"path": "/a", "close": True}).text("path")
    '/a'
    """

    fields: JsonObject

    def text(self, name: str) -> str:
        """A text that has to be there."""
        return _typed(name, self.fields[name], str)

    def optional_text(self, name: str) -> str | None:
        """A text, None where it was left out."""
        return None if self.fields.get(name) is None else self.text(name)

    def number(self, name: str) -> int:
        """A whole number that has to be there."""
        return _typed(name, self.fields[name], int)

    def optional_number(self, name: str) -> int | None:
        """A whole number, None where it was left out."""
        return None if self.fields.get(name) is None else self.number(name)

    def flag(self, name: str) -> bool:
        """True or False; False where it was left out."""
        return _typed(name, self.fields.get(name, False), bool)

    def tag(self, name: str, default: str) -> str:
        """The tag of a union, which is sent alone or as the ".tag" of an object."""
        value = self.fields.get(name)
        if value is None:
            return default
        return value if isinstance(value, str) else self.part(name).text(".tag")

    def part(self, name: str) -> "Argument":
        """An object within."""
        return Argument(_typed(name, self.fields[name], dict))

    def parts(self, name: str) -> Sequence["Argument"]:
        """An array of objects."""
        return [Argument(_typed(name, item, dict)) for item in _typed(name, self.fields[name], list)]


def _typed(name: str, value: Json, kind: type[_T]) -> _T:
    if not isinstance(value, kind):
        raise TypeError(f"{name}: {type(value).__name__} instead of {kind.__name__}")
    return value


@dataclass(frozen=True, slots=True)
class SessionCursor:
    """An upload session and the offset it has reached."""

    session_id: str
    offset: int

    @classmethod
    def of(cls, argument: Argument) -> "SessionCursor":
        """From the `cursor` of a call or an entry."""
        cursor = argument.part("cursor")
        return cls(cursor.text("session_id"), cursor.number("offset"))
