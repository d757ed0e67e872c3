"""Words for pools, dates, shares and lengths of time that need no glossary."""

import math
import re
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

from huracan.domain.tiers import TIER_FLOORS_GBP

MARKETS: Final = {"um": ("Perpetuals", "perpetual"), "spot": ("Spot pairs", "spot")}
SHOWN_NAMES: Final = 6


def pool_words(pool: str) -> str:
    """A pool's market and turnover; a name of another form stays as it is.

    >>> pool_words("um-A"), pool_words("spot-B")
    ('Perpetuals, over 100 M GBP a day', 'Spot pairs, 10 to 100 M GBP a day')
    >>> pool_words("um-C"), pool_words("other")
    ('Perpetuals, under 10 M GBP a day', 'other')
    """
    market, _, tier = pool.partition("-")
    turnover = _turnover(tier)
    return f"{MARKETS[market][0]}, {turnover}" if market in MARKETS and turnover else pool


def pool_title(pool: str, coins: int) -> str:
    """The words of a pool with how many coins it has.

    >>> pool_title("um-A", 25)
    'Perpetuals, over 100 M GBP a day, 25 coins'
    """
    return f"{pool_words(pool)}, {counted(coins, 'coin')}"


def in_pool(pool: str) -> str:
    """A pool within a sentence.

    >>> in_pool("um-A")
    'perpetuals over 100 M GBP a day'
    """
    words = pool_words(pool)
    return words if words == pool else (words[0].lower() + words[1:]).replace(", ", " of " if " to " in words else " ")


def market_word(pool: str) -> str:
    """What kind of instrument a pool holds, one of it.

    >>> market_word("um-A"), market_word("other")
    ('perpetual', 'other')
    """
    return MARKETS.get(pool.partition("-")[0], ("", pool))[1]


def _turnover(tier: str) -> str:
    names = [name for name, _ in TIER_FLOORS_GBP]
    floors = [floor / 1e6 for _, floor in TIER_FLOORS_GBP]
    if tier == names[0]:
        return f"over {floors[0]:.0f} M GBP a day"
    if tier in names:
        at = [str(name) for name in names].index(tier)
        return f"{floors[at]:.0f} to {floors[at - 1]:.0f} M GBP a day"
    return f"under {floors[-1]:.0f} M GBP a day" if tier == "C" else ""


def day_words(iso_day: str, seen_from: str = "") -> str:
    """A date in words; the year is left out where it is that of `seen_from`.

    >>> day_words("2027-01-07", "2026-11-08"), day_words("2026-12-01", "2026-11-08")
    ('7 January 2027', '1 December')
    """
    day = date.fromisoformat(iso_day[:10])
    year = "" if iso_day[:4] == seen_from[:4] else f" {day.year}"
    return f"{day.day} {MONTHS[day.month - 1]}{year}"


MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def day_after(iso_day: str, days: int = 1) -> str:
    """The ISO date so many days later."""
    return (date.fromisoformat(iso_day[:10]) + timedelta(days=days)).isoformat()


def days_between(earlier: str, later: str) -> int:
    """Days from one ISO date to another."""
    return (date.fromisoformat(later[:10]) - date.fromisoformat(earlier[:10])).days


def counted(number: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "night"), counted(1200, "day")
    ('1 night', '1,200 days')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def bps(value: float) -> str:
    """A result in bps with its sign.

    >>> bps(3.21), bps(-0.04), bps(577.7)
    ('+3.2', '0.0', '+578')
    """
    digits = 0 if abs(value) >= 100 else 1
    text = f"{value:+,.{digits}f}"
    return text if any(digit in text for digit in "123456789") else "0.0"


def share_words(share: float) -> str:
    """How much of something is there; never 100% while a bit is missing.

    >>> share_words(0.344), share_words(0.9999), share_words(1.0)
    ('34%', '99%', '100%')
    """
    return f"{min(99, math.floor(share * 100)) if share < 1.0 else 100}%"


def named(names: Sequence[str], most: int = SHOWN_NAMES) -> str:
    """The first few of some names.

    >>> named(["A", "B", "C"], 2)
    'A, B and 1 more'
    """
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def time_words(seconds: float) -> str:
    """A length of time in one or two units.

    >>> time_words(4.2), time_words(64), time_words(7_500)
    ('4 s', '1 min 4 s', '2 h 5 min')
    """
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def listed(parts: Sequence[str]) -> str:
    """Parts of a sentence with commas and an "and".

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def horizon_order(horizon: str) -> tuple[float, str]:
    """What horizons are sorted by: their length; other names come last.

    >>> sorted(["1d", "4h", "1h", "?"], key=horizon_order)
    ['1h', '4h', '1d', '?']
    """
    unit = {"m": 1, "h": 60, "d": 1440, "w": 10080}.get(horizon[-1:], 0)
    return (int(horizon[:-1]) * unit if unit and horizon[:-1].isdigit() else math.inf, horizon)


def ended_words(reason: str) -> str:
    """Why a test ended, without the ledger's own words.

    >>> ended_words("hopeless: log e = -4.20"), ended_words("3 breach days within 365 nights")
    ('its days spoke clearly against it', 'on 3 days within 365 nights it lost more than its bound')
    """
    if reason.startswith("hopeless: log e"):
        return "its days spoke clearly against it"
    if reason.startswith("hopeless: decidable in"):
        return "no plausible edge would be decided in the time that it is given"
    days, breach, rest = reason.partition(" breach days ")
    return f"on {days} days {rest} it lost more than its bound" if breach else reason.removeprefix("hopeless: ")


def gate_words(gate: str) -> str:
    """What is in the way of a promotion, without the ledger's own words; anything else stays as it is.

    >>> gate_words("-0.50 bps a day at 1.5 x costs, more than 0 wanted")
    'at 1.5 times the costs it loses 0.50 bps a day, and it must earn'
    >>> gate_words("0 days with a position, 30 wanted"), gate_words("55 observed days, 60 wanted")
    ('a position was held on 0 days, and 30 are wanted', '55 days are observed, and 60 are wanted')
    >>> gate_words("drawdown 12.0%, at most 10.0% wanted")
    'its deepest fall is 12.0% of capital, and at most 10.0% is allowed'
    """
    return next((re.sub(f"^{seen}$", said, gate) for seen, said in GATES if re.fullmatch(seen, gate)), gate)


GATES: Final = (
    (
        r"[+-]0\.00 bps a day at ([\d.]+) x costs, more than 0 wanted",
        r"at \1 times the costs it earns nothing, and it must",
    ),
    (
        r"-([\d.]+) bps a day at ([\d.]+) x costs, more than 0 wanted",
        r"at \2 times the costs it loses \1 bps a day, and it must earn",
    ),
    (r"(\d+) observed days, (\d+) wanted", r"\1 days are observed, and \2 are wanted"),
    (r"(\d+) days with a position, (\d+) wanted", r"a position was held on \1 days, and \2 are wanted"),
    (
        r"drawdown ([\d.]+%), at most ([\d.]+%) wanted",
        r"its deepest fall is \1 of capital, and at most \2 is allowed",
    ),
)
"""The ledger's closed gates, and their words."""
