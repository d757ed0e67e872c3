"""Coins whose price is held by somebody: a forecast of them is a forecast of that somebody.

Known ones are found by name, others by their price: it does not move.
"""

from typing import Final

import numpy as np

from huracan.domain.arrays import F64, I64, Bool

PEGGED: Final = frozenset(
    {
        # dollars
        *("USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USDP", "PAX", "DAI", "USDS", "USDSB", "SUSD", "GUSD", "LUSD"),
        *("UST", "USTC", "USDE", "USD1", "PYUSD", "RLUSD", "XUSD", "BFUSD", "U"),
        # other currencies, as tokens or as themselves
        *("EUR", "AEUR", "EURI", "EURT", "GBP", "AUD", "TRY", "BRL", "ARS", "COP", "MXN", "CZK", "PLN", "RON"),
        *("UAH", "RUB", "BIDR", "IDR", "IDRT", "BVND", "VAI", "NGN", "ZAR", "JPY", "BKRW", "BGBP", "USD", "CHF"),
    }
)
"""Stablecoins and fiat currencies listed as base assets on Binance since 2017.

USTC is in: it was one until it broke, and its archive runs across that day. Coins pegged to another *coin* (WBTC,
WBETH) or to gold (PAXG) are not: they move.
"""

HELD_BPS: Final = 20.0
"""A price is held where no day's high is this far above its low."""
HELD_DAYS: Final = 30
FEWEST_HELD_DAYS: Final = 15
"""Days of the window that must have a price at all."""


def held_before(known: I64, range_bps: F64, days: I64) -> Bool:
    """Whether a price was held over the 30 days before each of `days`.

    `known` (n,) are the days with a price, ascending, and `range_bps` (n,) their high over their low.

    >>> known = np.arange(100, 130)
    >>> held_before(known, np.full(30, 12.0), np.array([114, 115, 130])).tolist()
    [False, True, True]
    """
    wide = np.append(0, np.cumsum(range_bps >= HELD_BPS))
    first, end = np.searchsorted(known, days - HELD_DAYS), np.searchsorted(known, days)
    held: Bool = (end - first >= FEWEST_HELD_DAYS) & (wide[end] == wide[first])
    return held
