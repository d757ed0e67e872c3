"""Room: regimes."""
