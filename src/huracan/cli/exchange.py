"""`huracan exchange serve`."""

from pathlib import Path
from typing import Any, Final

from huracan.errors import ConfigError

DEFAULT_COINS: Final = 16


def serve_exchange(
    *,
    candles: Path | None,
    world: Any,
    port: int,
    coins: int | None,
    days: int,
    seed: int,
    now: str | None,
    tick: bool,
    book: Path | None,
    faults: Path | None,
    attached: bool,
    limits: bool,
) -> None:
    """Serve until interrupted; exactly one of `candles` and `world` must be given, but `coins` alone mean the wide
    world.
    """
    if candles is None and world is None and coins is not None:
        world = "wide"
    if (candles is None) == (world is None):
        raise ConfigError("give exactly one of --candles DIR and --world NAME")
    from huracan.worlds.serve import open_source, serve

    source = open_source(
        world=world,
        candles=candles,
        coins=DEFAULT_COINS if coins is None else coins,
        days=days,
        seed=seed,
        now=now,
        book=book,
    )
    serve(source, port=port, tick=tick, stress_file=None, faults_file=faults, attached=attached, limits=limits)
