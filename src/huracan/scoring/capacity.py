"""How much capital an edge can carry before its own impact eats it."""

CAPACITY_SHARE = 4.0 / 9.0
"""Profit ``Q (e - 2 Y sigma sqrt(Q / V))`` is largest at this share of the break-even size."""


def break_even_quote(edge_bps: float, sigma_day_bps: float, volume_day_quote: float, impact_y: float) -> float:
    """Notional at which impact both ways equals the edge: ``V (e / (2 Y sigma))^2``; 0 without an edge.

    `edge_bps`: net edge per round trip before impact. Units of the result are those of the daily volume.

    >>> break_even_quote(8.0, 400.0, 1e8, 1.0)
    10000.0
    """
    if edge_bps <= 0.0 or volume_day_quote <= 0.0:
        return 0.0
    slope = 2.0 * impact_y * sigma_day_bps
    return float("inf") if slope <= 0.0 else float(volume_day_quote * (edge_bps / slope) ** 2)


def capacity_quote(edge_bps: float, sigma_day_bps: float, volume_day_quote: float, impact_y: float) -> float:
    """Notional that earns the most money: 4/9 of the break-even size.

    >>> round(capacity_quote(9.0, 450.0, 1e8, 1.0), 2)
    4444.44
    """
    return CAPACITY_SHARE * break_even_quote(edge_bps, sigma_day_bps, volume_day_quote, impact_y)
