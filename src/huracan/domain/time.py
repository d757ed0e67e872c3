"""Horizons and UTC arithmetic. Every instant in Huracan is an int of milliseconds since 1970, UTC."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import total_ordering

from huracan.errors import ConfigError

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

_UNITS = {"m": 1, "h": 60, "d": 1440}


@total_ordering
@dataclass(frozen=True, slots=True)
class Horizon:
    """A forecast horizon such as ``1h``; parsed strictly, because "15m" once meant an hour to somebody.

    >>> Horizon.parse("4h").minutes
    240
    >>> str(Horizon.parse("15m")), Horizon.parse("1h") < Horizon.parse("1d")
    ('15m', True)
    """

    minutes: int

    @classmethod
    def parse(cls, text: str) -> "Horizon":
        """Read ``<number><m|h|d>`` (H and D as well); raises ConfigError for anything else."""
        match = re.fullmatch(r"([1-9][0-9]{0,4})([mhdHD])", text)
        if match is None:
            message = f"horizon {text!r} is not a number followed by m, h or d (such as '15m', '4h', '1d')"
            raise ConfigError(message)
        return cls(int(match[1]) * _UNITS[match[2].lower()])

    @property
    def ms(self) -> int:
        """Length in milliseconds."""
        return self.minutes * MINUTE_MS

    @property
    def days(self) -> float:
        """Length in days, for scaling daily volatility."""
        return self.minutes / 1440

    def __lt__(self, other: "Horizon") -> bool:
        return self.minutes < other.minutes

    def __str__(self) -> str:
        for unit, size in (("d", 1440), ("h", 60)):
            if self.minutes % size == 0:
                return f"{self.minutes // size}{unit}"
        return f"{self.minutes}m"


def utc_day(time_ms: int) -> int:
    """Number of the UTC day that contains the instant (0 = 1970-01-01)."""
    return time_ms // DAY_MS


def iso(time_ms: int) -> str:
    """ISO 8601 text of an instant, to the millisecond where it is not a whole second.

    >>> iso(1767225600000)
    '2026-01-01T00:00:00Z'
    """
    moment = datetime.fromtimestamp(time_ms / 1000, tz=UTC)
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{time_ms % 1000:03d}Z" if time_ms % 1000 else f"{text}Z"


def parse_iso(text: str) -> int:
    """Milliseconds of an ISO 8601 instant; a text without an offset is UTC. Raises ConfigError.

    >>> parse_iso("2026-01-01") == parse_iso("2026-01-01T01:00:00+01:00") == 1767225600000
    True
    """
    try:
        moment = datetime.fromisoformat(text)
        utc = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        message = f"{text[:100]!r} is not an ISO 8601 instant (such as 2026-05-01T00:00:00Z)"
        raise ConfigError(message) from error
    return round(utc.timestamp() * 1000)


def day_iso(day: int) -> str:
    """Date text of a UTC day number.

    >>> day_iso(20454)
    '2026-01-01'
    """
    return iso(day * DAY_MS)[:10]
