"""How much capital an edge can carry before its own impact eats it, as far as the impact model can be believed."""

from dataclasses import dataclass
from typing import Final, Literal

CAPACITY_SHARE: Final = 4.0 / 9.0
"""Profit ``Q (e - 2 Y sigma sqrt(Q / V))`` is largest at this share of the break-even size."""
BELIEVED_SHARE: Final = 0.10
"""Share of the traded volume up to which the square-root law was measured (Almgren, Thum, Hauptmann and Li 2005; Toth
et al. 2011). A position must be built and left within its horizon, so the volume is that of the horizon, and of a day
at most.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """The notional that earns the most, in quote currency, with what it rests on.

    It is the smaller of `by_impact_quote` (4/9 of the break-even size) and `by_volume_quote`, the share `volume_share`
    of a day's volume that the impact model can be believed for.
    """

    quote: float
    limited_by: Literal["impact", "volume"]
    by_impact_quote: float | None  # None: no impact at all, so nothing limits but the volume
    by_volume_quote: float
    volume_share: float
    edge_before_impact_bps: float
    sigma_day_bps: float
    volume_day_quote: float


def edge_capacity(
    *, edge_bps: float, sigma_day_bps: float, volume_day_quote: float, impact_y: float, horizon_days: float
) -> Capacity:
    """What a net edge before impact (bps per round trip) can carry, given a day's volatility and quote volume.

    >>> market = {"sigma_day_bps": 450.0, "volume_day_quote": 1e8}
    >>> found = edge_capacity(edge_bps=90.0, impact_y=1.0, horizon_days=1 / 24, **market)
    >>> round(found.by_impact_quote), round(found.quote), found.limited_by
    (444444, 416667, 'volume')
    """
    share = BELIEVED_SHARE * min(1.0, horizon_days)
    by_impact = capacity_quote(edge_bps, sigma_day_bps, volume_day_quote, impact_y)
    by_volume = share * max(volume_day_quote, 0.0)
    return Capacity(
        quote=min(by_impact, by_volume),
        limited_by="impact" if by_impact <= by_volume else "volume",
        by_impact_quote=by_impact if by_impact < float("inf") else None,
        by_volume_quote=by_volume,
        volume_share=share,
        edge_before_impact_bps=edge_bps,
        sigma_day_bps=sigma_day_bps,
        volume_day_quote=volume_day_quote,
    )


def break_even_quote(edge_bps: float, sigma_day_bps: float, volume_day_quote: float, impact_y: float) -> float:
    """Notional at which impact both ways equals the edge: ``V (e / (2 Y sigma))^2``; 0 without an edge.

    `edge_bps`: net edge per round trip before impact. Units of the result are those of the daily volume.

    >>> break_even_quote(8.0, 400.0, 1e8, 1.0)
    10000.0
    """
    if edge_bps <= 0.0 or volume_day_quote <= 0.0:
        return 0.0
    slope = 2.0 * impact_y * sigma_day_bps
    ratio = edge_bps / slope if slope > 0.0 else float("inf")
    return float(volume_day_quote * ratio * ratio)


def capacity_quote(edge_bps: float, sigma_day_bps: float, volume_day_quote: float, impact_y: float) -> float:
    """Notional that earns the most money by the square-root law alone: 4/9 of the break-even size.

    >>> round(capacity_quote(9.0, 450.0, 1e8, 1.0), 2)
    4444.44
    """
    return CAPACITY_SHARE * break_even_quote(edge_bps, sigma_day_bps, volume_day_quote, impact_y)
