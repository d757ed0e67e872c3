"""Room: publishers."""
