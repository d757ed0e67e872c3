"""Room: honesty."""
