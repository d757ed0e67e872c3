"""Room: worlds. Simulated markets of known truth, recorded candles, and the exchange that serves both."""
