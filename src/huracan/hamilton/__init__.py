"""Room: hamilton."""
