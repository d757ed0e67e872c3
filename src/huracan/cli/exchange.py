"""`huracan exchange serve`."""

from pathlib import Path
from typing import Any

from huracan.errors import ConfigError


def serve_exchange(
    *,
    candles: Path | None,
    world: Any,
    port: int,
    coins: int,
    days: int,
    seed: int,
    now: str | None,
    tick: bool,
    book: Path | None,
    faults: Path | None,
    attached: bool,
) -> None:
    """Serve until interrupted; exactly one of `candles` and `world` must be given."""
    if (candles is None) == (world is None):
        raise ConfigError("give exactly one of --candles DIR and --world NAME")
    from huracan.worlds.serve import open_source, serve

    source = open_source(
        world=world,
        candles=candles,
        coins=coins,
        days=days,
        seed=seed,
        now=now,
        book=book,
    )
    serve(source, port=port, tick=tick, stress_file=None, faults_file=faults, attached=attached)
