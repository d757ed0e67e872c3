"""What a night says of features whose source has stopped: models do without them, and their engines abstain."""

from typing import Final

from huracan.night.state import Night

COINS_NAMED: Final = 5


def stopped_notes(night: Night) -> tuple[str, ...]:
    """One note a feature: for how many pairs tonight's models do without it, and the first of them by name."""
    lost: dict[str, list[str]] = {}
    for coin, record in sorted(night.trained.items()):
        for name in sorted({name for cell in record.cells for name in cell.stopped}):
            lost.setdefault(name, []).append(coin)
    return tuple(
        f"feature {name} has stopped for {len(coins)} pair{'s' if len(coins) > 1 else ''} "
        f"({', '.join(coins[:COINS_NAMED])}{', ...' if len(coins) > COINS_NAMED else ''}): their models do without it"
        for name, coins in sorted(lost.items())
    )
