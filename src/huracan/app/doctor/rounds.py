"""All checks, one after the other."""

from collections.abc import Sequence
from typing import Final

from huracan.app.doctor import machine, market, places, recipes, trust
from huracan.app.doctor.finding import Check, Circumstances, Finding, wrong
from huracan.errors import HuracanError

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
        except HuracanError as error:
            found.append(wrong("doctor", check.__name__.replace("_", " "), error))
    return found


def verdict_status(findings: Sequence[Finding]) -> int:
    """Exit status of the whole: 0 unless something is wrong, then that of the first wrong finding."""
    return next((finding.exit_status for finding in findings if finding.state == "wrong"), 0)
