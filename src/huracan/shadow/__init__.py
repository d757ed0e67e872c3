"""Room: shadow."""
