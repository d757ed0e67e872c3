"""Every setting as a row: what it is, its default, unit, range and environment name. Help, docs and `config show` read
this.
"""

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from huracan.domain.json import Json, JsonObject
from huracan.settings import OTHER_VARIABLES, PREFIX, SECRETS, SECTIONS, Settings

SECRET_SECTION: Final = "secrets"  # noqa: S105 - the name of a section
HIDDEN: Final = "[set, not shown]"
"""What stands for a secret that is given."""

SECRET_WORDS: Final = {
    "dropbox_access_token": "short-lived token of Dropbox; for a night take a refresh token",
    "dropbox_refresh_token": "long-lived token of Dropbox; needs the app's key",
    "dropbox_app_key": "key of your Dropbox app",
    "dropbox_app_secret": "its secret, where the app has one",
}

_ORDER: Final = ("costs", *(name for name in SECTIONS if name != "costs"))
"""Trading costs come first: they depend on the account."""
_NUMBERS: Final = ("whole number", "number")
_UNITS: Final = {
    "days": "days",
    "minutes": "minutes",
    "s": "seconds",
    "bps": "bps",
    "gbp": "GBP",
    "jobs": "jobs",
    "workers": "processes",
    "coins": "coins",
    "connections": "connections",
    "share": "share of 1",
    "port": "port",
    "url": "URL",
    "urls": "URLs",
    "endpoint": "URL",
}
_OWN_UNITS: Final = {
    "consensus.min_consensus_score": "score, 0 to 1",
    "consensus.correlation_penalty_weight": "share of 1",
    "regime_gate.min_win_rate": "share of 1",
    "regime_gate.min_sharpe": "a year",
    "regime_gate.hysteresis": "share of 1",
    "regime_gate.min_sample_size": "outcomes",
    "costs.capital_quote": "quote currency",
    "costs.quote_per_gbp": "quote currency per GBP",
    "promotion.injected_seen_until": "date",
    "promotion.panel_size": "base assets",
}
"""Units that the name does not end with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingRow:
    """One setting. `default` is as a file would hold it; `unit` and `allowed` are empty where there is nothing to
    say.
    """

    path: str
    kind: str
    default: str
    unit: str
    allowed: str
    environment: str
    description: str
    secret: bool = False

    @property
    def section(self) -> str:
        """The section of the file that holds it."""
        return SECRET_SECTION if self.secret else self.path.partition(".")[0]

    @property
    def key(self) -> str:
        """Its name inside the section."""
        return self.path.rpartition(".")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSetting:
    """A setting in force: its row, its value as a file would hold it, and where that came from."""

    row: SettingRow
    value: str
    origin: str

    @property
    def with_unit(self) -> str:
        """The value as a person reads it."""
        counted = self.row.unit and self.row.kind in _NUMBERS and self.value != "null"
        return f"{self.value} {self.row.unit}" if counted else self.value


def setting_rows() -> list[SettingRow]:
    """All settings in the order of their sections, then the secrets.

    >>> next(row.environment for row in setting_rows() if row.path == "costs.um_taker_bps")
    'HURACAN_COSTS__UM_TAKER_BPS'
    """
    rows = [
        _row(f"{section}.{key}", field) for section in _ORDER for key, field in SECTIONS[section].model_fields.items()
    ]
    return [*rows, *map(_secret_row, SECRETS.items())]


def section_words() -> dict[str, str]:
    """Each section with what it is about."""
    words = {name: " ".join((model.__doc__ or "").partition("\n\n")[0].split()) for name, model in SECTIONS.items()}
    return {**words, SECRET_SECTION: "From the environment only; never printed, never in a file."}


def other_variables() -> dict[str, str]:
    """Environment variables that are no settings, and what they are."""
    return dict(OTHER_VARIABLES)


def shown_settings(settings: Settings, origins: Mapping[str, str]) -> Iterator[ShownSetting]:
    """Every setting with its value and origin, secrets hidden."""
    for row in setting_rows():
        given = settings
        for part in row.path.split("."):
            given = getattr(given, part)
        hidden = HIDDEN if given is not None else "null"
        value = hidden if row.secret else _without_user(as_written(given))
        yield ShownSetting(row=row, value=value, origin=origins.get(row.path, "default"))


def _without_user(text: str) -> str:
    """A value, but nothing of a URL with a user in it: that may hold a password."""
    return "[redacted]" if "://" in text and "@" in text else text


def as_written(value: Any) -> str:
    """A value as a file would hold it.

    >>> as_written(None), as_written(True), as_written(10_000_000.0), as_written(("1h", "4h"))
    ('null', 'true', '10000000', '[1h, 4h]')
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() else f"{value:g}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(as_written, value))}]"
    if isinstance(value, Enum):
        return str(value.value)
    if hasattr(value, "engines"):
        return f"{{{value.name}: {as_written(value.engines)}}}"
    return str(value)


def json_schema() -> JsonObject:
    """A JSON schema of a configuration file, for editors; every key with its unit and its variable."""
    properties: dict[str, Json] = {}
    definitions: dict[str, Json] = {}
    rows = {row.path: row for row in setting_rows()}
    for section in _ORDER:
        schema = SECTIONS[section].model_json_schema()
        definitions |= schema.pop("$defs", {})
        for key, described in schema["properties"].items():
            row = rows[f"{section}.{key}"]
            described |= {"x-environment": row.environment, **({"x-unit": row.unit} if row.unit else {})}
        properties[section] = schema
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Huracan configuration",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "$defs": definitions,
    }


def _row(path: str, field: FieldInfo) -> SettingRow:
    kinds = _alternatives(field.annotation)
    return SettingRow(
        path=path,
        kind=" or ".join(dict.fromkeys(map(_kind, kinds))),
        default=as_written(field.default),
        unit=_unit(path, kinds),
        allowed=_allowed(kinds, field.metadata),
        environment=f"{PREFIX}{path.replace('.', '__')}".upper(),
        description=field.description or "",
    )


def _secret_row(names: tuple[str, str]) -> SettingRow:
    variable, field = names
    return SettingRow(
        path=field,
        kind="text",
        default="null",
        unit="",
        allowed="",
        environment=variable,
        description=SECRET_WORDS[field],
        secret=True,
    )


def _alternatives(annotation: Any) -> list[Any]:
    """The types that a value may have, without None."""
    if get_origin(annotation) in {Union, types.UnionType}:
        return [kind for part in get_args(annotation) if part is not type(None) for kind in _alternatives(part)]
    return [annotation]


def _kind(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin is tuple:
        return "list"
    if origin is Literal:
        return "word"
    if origin is Annotated:
        return _kind(get_args(annotation)[0])
    return {bool: "true or false", int: "whole number", float: "number", Path: "path"}.get(annotation, "text")


def _unit(path: str, kinds: list[Any]) -> str:
    if path in _OWN_UNITS:
        return _OWN_UNITS[path]
    if bool in kinds:
        return ""
    return _UNITS.get(path.rpartition("_")[2] if "_" in path.rpartition(".")[2] else path.rpartition(".")[2], "")


def _allowed(kinds: list[Any], limits: list[Any]) -> str:
    """The range in words: from, above, to, below, or the words there are."""
    for kind in kinds:
        if get_origin(kind) is Literal:
            return ", ".join(map(str, get_args(kind)))
    words = {"ge": "from", "gt": "above", "le": "to", "lt": "below"}
    found = [
        f"{word} {as_written(getattr(limit, name))}"
        for name, word in words.items()
        for limit in limits
        if hasattr(limit, name)
    ]
    found += [f"{limit.min_length} or more" for limit in limits if getattr(limit, "min_length", None)]
    return " ".join(found)
