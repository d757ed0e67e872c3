"""When to try again, and how often: full jitter between attempts, and a budget that an outage uses up."""

import random
import re
from collections import defaultdict
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

ATTEMPTS: Final = 6
FIRST_WAIT_S: Final = 0.25
LONGEST_WAIT_S: Final = 8.0
RESERVE: Final = 40.0
DEPOSIT: Final = 0.1


class TransientError(Exception):
    """Worth another try within the deadline; `attempt` counts from 1."""

    attempt: int = 1


def wait_before_retry(error: Exception) -> float | bool:
    """Seconds to wait before the next attempt, drawn from all of [0, cap], the cap doubling; False: do not retry.

    "Full jitter" (Brooker 2015, AWS Architecture Blog): clients that failed together do not come back together.
    """
    if not isinstance(error, TransientError):
        return False
    return random.uniform(0.0, min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** (error.attempt - 1)))


def asked_seconds(header: str, default_s: float, *, sent: str = "", now_s: float) -> float:
    """Seconds that a `Retry-After` asks to wait; the default for none, for an invalid value, and for what is past or
    not above zero.

    An HTTP date counts from `sent`, the answer's own `Date`, since two clocks may differ; without one from `now_s`.

    >>> [asked_seconds(text, 30.0, now_s=0.0) for text in ("7", "-7", "soon", "Thu, 01 Jan 1970 00:01:00 GMT")]
    [7.0, 30.0, 30.0, 60.0]
    """
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,9})?", header, re.ASCII):
        seconds = float(header)
    else:
        end, began = _moment(header), _moment(sent)
        seconds = 0.0 if end is None else end - (now_s if began is None else began)
    return seconds if seconds > 0 else default_s


def _moment(header: str) -> float | None:
    """Seconds since 1970 of an HTTP date."""
    try:
        moment = parsedate_to_datetime(header)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


class RetryBudget:
    """Retries a pool may still make: a reserve, refilled by a tenth for every answer, so that an outage of the whole
    host costs hardly more requests than there are (as Finagle's and gRPC's retry budgets).
    """

    def __init__(self, reserve: float = RESERVE, deposit: float = DEPOSIT) -> None:
        self._reserve, self._deposit = reserve, deposit
        self._left: defaultdict[str, float] = defaultdict(lambda: reserve)

    def answered(self, pool: str) -> None:
        """A request was answered."""
        self._left[pool] = min(self._left[pool] + self._deposit, self._reserve)

    def take(self, pool: str) -> bool:
        """Whether one more retry is allowed; it is spent then."""
        if self._left[pool] < 1.0:
            return False
        self._left[pool] -= 1.0
        return True
