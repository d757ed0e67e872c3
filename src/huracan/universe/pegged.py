"""Base assets whose price is held by somebody: a forecast of them is a forecast of that somebody."""

from typing import Final

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
