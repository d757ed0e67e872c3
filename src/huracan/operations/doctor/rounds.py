"""All checks, one after the other."""

import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from huracan.errors import HuracanError
from huracan.operations.doctor import machine, market, places, recipes, trust
from huracan.operations.doctor.finding import Check, Circumstances, Finding, wrong

CHECKS: Final[tuple[Check, ...]] = (
    machine.interpreter,
    machine.cores,
    machine.memory,
    machine.kernel_cache,
    machine.extras,
    recipes.engines,
    recipes.recipes,
    trust.signing_keys,
    places.folders,
    places.lock,
    places.ledger,
    places.interrupted,
    places.published,
    places.dashboard,
    places.remote_stores,
    market.exchange,
)


async def diagnose(here: Circumstances, checks: Sequence[Check] = CHECKS) -> list[Finding]:
    """What every check found, in their order."""
    found: list[Finding] = []
    for check in checks:
        try:
            found += await check(here)
        except Exception as error:  # the boundary of a check: what one of them stumbles over must not hide the others
            found.append(wrong("doctor", check.__name__.replace("_", " "), _ours(error)))
    return found


def _ours(error: Exception) -> HuracanError:
    if isinstance(error, HuracanError):
        return error
    last = traceback.extract_tb(error.__traceback__)[-1]
    return HuracanError(
        f"{type(error).__name__}: {error} ({Path(last.filename).name} line {last.lineno}); this check has a fault, please"
        " report it"
    )


def verdict_status(findings: Sequence[Finding]) -> int:
    """Exit status of the whole: 0 unless something is wrong, then that of the first wrong finding."""
    return next((finding.exit_status for finding in findings if finding.state == "wrong"), 0)
