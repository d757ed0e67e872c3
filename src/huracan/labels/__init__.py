"""Room: labels."""
