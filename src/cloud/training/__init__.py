"""The documented rooms."""
