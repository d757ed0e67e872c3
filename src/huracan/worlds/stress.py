"""The declared worst day of a simulated market, and why it is a true bound."""

import math
from typing import Final

from huracan.worlds.process import BASIS_BPS, FUNDING_LIMIT_BPS, REGIME_SPREAD
from huracan.worlds.source import WorstDay
from huracan.worlds.spec import WorldSpec, plan_listings

TICKS_BPS: Final = 2.0

NOTE: Final = (
    "True bound for one UTC day of a pool whose positions are held from the day's start: net_cap x factor_bps + "
    "gross_cap x idio_bps. Within a day the mid is start x (1 + X + Y), |X| <= T_factor, |Y| <= T_idio (plus a crash "
    "in the skewed world), so w units-constant positions earn exactly sum(w)(X) + sum(w Y). Rebasing a long to a "
    "constant fraction loses at most -ln(1 - T): the factor T -> -ln(1 - T) / T is applied to both terms. Own moves "
    "also carry spread, basis and tick slack. A position opened within the day can lose up to twice that. Funding "
    "comes on top: at most funding_day_bps a day of notional. Holds for regular coins (book within the usual limits)."
)


def declared_table(spec: WorldSpec) -> WorstDay:
    """Bounds in bps of notional. `one_pair_bps` is the worst day of a single coin.

    >>> table = declared_table(WorldSpec(name="null"))
    >>> round(table["factor_bps"], 1), table["kind"]
    (871.8, 'world')
    """
    worst = spec.worst_day_bps * 1e-4
    compounding = -math.log1p(-worst) / worst
    spreads = max(listing.spread_bps for listing in plan_listings(spec) if listing.regular)
    slack = spreads * float(REGIME_SPREAD.max()) + 2.0 * BASIS_BPS + TICKS_BPS
    factor = round(compounding * spec.t_factor_bps, 4)
    idio = round(compounding * (spec.idio_share * spec.t_idio_bps + spec.crash_bps) + slack, 4)
    return {
        "kind": "world",
        "world": spec.name,
        "factor_bps": factor,
        "idio_bps": idio,
        "one_pair_bps": round(factor + idio, 4),
        "funding_day_bps": 3.0 * FUNDING_LIMIT_BPS,
        "note": NOTE,
    }
