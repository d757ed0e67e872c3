"""Basis points: 1 bps = 1e-4 of notional (or of capital, where the name says so)."""

BPS = 1e-4


def to_bps(fraction: float) -> float:
    """Fraction to basis points.

    >>> to_bps(0.0025)
    25.0
    """
    return fraction / BPS


def from_bps(bps: float) -> float:
    """Basis points to fraction."""
    return bps * BPS
