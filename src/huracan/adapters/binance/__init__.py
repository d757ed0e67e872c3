"""Binance's public data as a MarketData port: listing, archive and REST, all bounded and verified."""

from huracan.adapters.binance.budget import WeightBudget
from huracan.adapters.binance.client import BinanceMarketData

__all__ = ["BinanceMarketData", "WeightBudget"]
