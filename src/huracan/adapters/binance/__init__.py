"""Room: binance."""
