"""Which pairs reached each of the user's callables, and for which of them it raised: a fault of all is no coin's
fault.
"""

import inspect
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from huracan.errors import HuracanError, UserCodeError
from huracan.ports import Telemetry
from huracan.training import UserCallable, UserFault, right_one, user_fault


class UserRaised(Exception):  # noqa: N818 - not an error of ours: what an injected callable raised
    """An injected callable raised; the text says what, at which file and line."""

    def __init__(self, fault: UserFault) -> None:
        super().__init__(fault.reason)
        self.fault = fault


@dataclass(kw_only=True)
class UserFaults:
    """Calls the user's callables and keeps count; a traceback is logged once, however many pairs it costs."""

    telemetry: Telemetry
    _reached: defaultdict[UserCallable, set[str]] = field(default_factory=lambda: defaultdict(set))
    _faults: defaultdict[UserCallable, dict[str, UserFault]] = field(default_factory=lambda: defaultdict(dict))
    _emitted: set[tuple[str, str]] = field(default_factory=set)

    async def call(self, name: UserCallable, coin: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """What the callable returns, awaited where it must be; raises UserRaised, and errors of ours as they are."""
        fault = None
        try:
            result = function(*arguments)
            return await result if inspect.isawaitable(result) else result
        except HuracanError:
            raise
        except Exception as error:  # the boundary to the user's code, which may raise anything
            fault = user_fault(name, error)
            raise UserRaised(fault) from error
        finally:
            self.note(name, coin, fault)

    def note(self, name: UserCallable, coin: str, fault: UserFault | None) -> None:
        """A pair has reached a callable, and with `fault` that was its end."""
        self._reached[name].add(coin)
        if fault is None:
            self._faults[name].pop(coin, None)
        else:
            self._faults[name][coin] = fault

    def emit(self, fault: UserFault, *, coin: str, wave: str, code: str) -> None:
        """Log a pair's fault, with the traceback when it is the first of its place."""
        fields = {"coin": coin, "wave": wave, "code": code, "error": fault.reason}
        where = (fault.name, fault.place)
        if where not in self._emitted:
            self._emitted.add(where)
            fields["traceback"] = fault.traceback
        self.telemetry.event("pair_failed", **fields)

    def check(self) -> None:
        """Raises UserCodeError where a callable raised for every pair that reached it."""
        for name, reached in self._reached.items():
            faults = self._faults[name]
            if reached and reached == faults.keys():
                coin, fault = min(faults.items())
                raise UserCodeError(
                    f"{name} raised for all {len(reached)} pairs that reached it, for {coin} {fault.error} "
                    f"({fault.place}). Nothing was published and yesterday's champions stand; mend {name}, then run again. "
                    f"{right_one(name)}",
                    error_type=fault.error_type,
                    traceback=fault.traceback,
                )
