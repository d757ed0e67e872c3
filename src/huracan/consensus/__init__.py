"""Room: consensus."""
