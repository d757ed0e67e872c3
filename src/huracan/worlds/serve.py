"""`huracan exchange serve`: a replay exchange as a process that announces itself in one line and runs until it is
stopped.
"""

import json
import signal
import sys
import threading
from pathlib import Path
from typing import Any, Literal

from huracan.domain.time import parse_iso
from huracan.errors import ConfigError
from huracan.worlds.candles import CandleDirectory
from huracan.worlds.exchange import ReplayExchange
from huracan.worlds.faults import load_faults
from huracan.worlds.simulated import simulate
from huracan.worlds.source import MarketSource
from huracan.worlds.spec import WorldName, world_spec
from huracan.worlds.wide import wide_world
from huracan.worlds.wide_listings import WideSpec

MarketName = WorldName | Literal["wide"]
"""Worlds that can be served; `wide` counts symbols, the others regular coins."""


def open_source(
    *,
    world: MarketName | None = None,
    candles: Path | None = None,
    coins: int = 16,
    days: int = 120,
    seed: int = 0,
    now: str | None = None,
    book: Path | None = None,
) -> MarketSource:
    """The simulated world or the folder of candles that the command line names, at `now` (ISO 8601) if given.

    Raises ConfigError unless exactly one of the two is named, or when `now` is not within the market's span.
    """
    if (world is None) == (candles is None):
        message = "name exactly one market: --world NAME or --candles DIR"
        raise ConfigError(message)
    source: MarketSource
    if candles is not None:
        source = CandleDirectory.open(candles, book)
    elif world is not None:
        if book is not None:
            message = "--book belongs to --candles; a simulated world has its own quotes"
            raise ConfigError(message)
        source = _world(world, coins, days, seed)
    return source if now is None else source.at(parse_iso(now))


def _world(name: MarketName, coins: int, days: int, seed: int) -> MarketSource:
    if name == "wide":
        return wide_world(WideSpec(symbols=coins, days=days, seed=seed))
    return simulate(world_spec(name, coins=coins, days=days, seed=seed))


def serve(
    source: MarketSource,
    *,
    port: int,
    tick: bool,
    stress_file: Path | None,
    faults_file: Path | None = None,
    attached: bool = False,
    limits: bool = False,
) -> None:
    """Serve until SIGTERM or SIGINT; the first line on stdout is a JSON object with the addresses.

    `limits`: answer 429 and 418 as the real exchange does. `attached`: until stdin ends, too; it does with whoever
    holds its other end, however that process ends.
    """
    faults = None if faults_file is None else load_faults(faults_file)
    unlisted = frozenset() if faults is None else faults.unlisted
    stop = threading.Event()

    def ask_to_stop(_signal: int, _frame: Any) -> None:
        stop.set()

    previous = {number: signal.signal(number, ask_to_stop) for number in (signal.SIGTERM, signal.SIGINT)}
    if attached:
        threading.Thread(target=_stop_at_the_end_of_stdin, args=(stop,), daemon=True).start()
    try:
        with ReplayExchange(
            source,
            port=port,
            tick=tick,
            faults=faults,
            enforce_weights=limits,
            stress_file=stress_file,
            unlisted=unlisted,
        ) as exchange:
            sys.stdout.write(json.dumps(exchange.urls) + "\n")
            sys.stdout.flush()
            stop.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _stop_at_the_end_of_stdin(stop: threading.Event) -> None:
    while sys.stdin.buffer.read(1 << 16):
        pass
    stop.set()
