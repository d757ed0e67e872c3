"""Room: universe."""
