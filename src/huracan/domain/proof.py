"""How proven a model is, in words: the evidence is its pool's, the edge its coin's own."""

from collections.abc import Mapping
from typing import Final

FEWEST_ROUND_TRIPS: Final = 10
"""Below these a coin's own edge cannot be estimated."""

Evidence = Mapping[str, float | int | str | bool | None]


def evidence_number(value: float) -> str:
    """An e-value in at most seven characters.

    >>> evidence_number(1.0), evidence_number(13100.9), evidence_number(4.2e9)
    ('1.00', '13,101', '4.2e+09')
    """
    return f"{value:.2f}" if value < 1e3 else f"{value:,.0f}" if value < 1e6 else f"{value:.1e}"


def pool_is_proven(evidence: Evidence) -> bool:
    """Whether the evidence of a manifest's pool has reached what was wanted."""
    e_value, needed = _number(evidence, "e_value"), _number(evidence, "needed")
    return e_value is not None and needed is not None and e_value >= needed


def why_no_champion(evidence: Evidence) -> str:
    """Why a candidate is no champion, from the evidence of its manifest.

    >>> why_no_champion({"e_value": 1.5, "needed": 80, "nights_missing": 89.6})
    "nothing is proven yet: its pool's e-value is 1.50, wanted 80, about 90 nights missing at this pace"
    """
    e_value, needed, nights = (_number(evidence, name) for name in ("e_value", "needed", "nights_missing"))
    if e_value is None:
        return "nothing is proven yet: its pool has no evidence of this recipe"
    wanted = "" if needed is None else f", wanted {needed:,.0f}"
    if pool_is_proven(evidence):
        proof, own = f"(e-value {evidence_number(e_value)}{wanted})", _edge_words(evidence)
        if own:
            return f"its pool is proven {proof}, this coin is not: {own}"
        return f"its pool's evidence is enough {proof}; `huracan explain` says what keeps this coin out"
    missing = f", about {nights:,.0f} nights missing at this pace" if nights else ""
    return f"nothing is proven yet: its pool's e-value is {evidence_number(e_value)}{wanted}{missing}"


def _edge_words(evidence: Evidence) -> str:
    """What the coin's own edge lacks, with its numbers; empty where it is not known to lack anything."""
    trips, lower, wanted = (_number(evidence, f"edge_{name}") for name in ("round_trips", "lower_bps", "wanted_bps"))
    if trips is None or wanted is None:
        return ""
    if lower is None:
        return f"EDGE_BELOW_MIN, only {trips:,.0f} round trips, wanted {FEWEST_ROUND_TRIPS} to tell its own edge"
    if lower >= wanted:
        return ""
    return f"EDGE_BELOW_MIN, the lower 5% point of its own edge is {lower:,.1f} bps a round trip, wanted {wanted:,.1f}"


def _number(evidence: Evidence, name: str) -> float | None:
    value = evidence.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
