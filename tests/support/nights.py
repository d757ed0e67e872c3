"""Small nights for tests: a simulated market, an exchange on loopback, folders of their own, and one night to share."""

import asyncio
import base64
import fcntl
import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huracan.adapters.backends import asyncio_pool
from huracan.adapters.telemetry import EVENTS, RecordingTelemetry
from huracan.app import TrainingPipeline, TrainingPipelineConfig
from huracan.domain.time import DAY_MS
from huracan.features import ALL_NAMES
from huracan.settings import Settings, load_settings
from huracan.worlds.exchange import ReplayExchange
from huracan.worlds.simulated import SimulatedWorld, simulate
from huracan.worlds.spec import WorldSpec

DAYS = 97
"""The shortest history whose scored days pass the gate of 60 observed ones with a day or two to spare."""


def small_world(**changes: Any) -> SimulatedWorld:
    """Nine regular coins (eight of them with a strong planted edge) and the demo's odd ones, in 15-minute bars."""
    knobs: dict[str, Any] = {
        "name": "demo",
        "coins": 9,
        "days": DAYS,
        "interval_minutes": 15,
        "strength_bps_per_hour": 65.0,
        "signal_correlation": 0.55,
        "t_factor_bps": 250.0,
        "t_idio_bps": 480.0,
    }
    return simulate(WorldSpec(**{**knobs, **changes}))


def later(world: SimulatedWorld, days: int) -> SimulatedWorld:
    """The same world some days later (earlier where negative)."""
    return world.at(world.now_ms + days * DAY_MS)


def night_overrides(urls: Any, **changes: Any) -> list[str]:
    """``section.key=value`` of a small night against an exchange; `changes` are keys with `__` for the dot."""
    values: dict[str, Any] = {
        "binance.rest_url": urls["rest"],
        "binance.futures_url": urls["futures"],
        "binance.archive_url": urls["archive"],
        "promotion.stress_table": urls["stress"],
        "training.base_interval": "15m",
        "training.horizons": "1h",
        "training.recipes": "linear",
        "training.lookback_days": 60,
        "training.history_days": 100,
        "training.leak_exempt": ",".join(ALL_NAMES),
        **{name.replace("__", "."): value for name, value in changes.items()},
    }
    return [f"{name}={value}" for name, value in values.items()]


def night_settings(urls: Any, **changes: Any) -> Settings:
    """Settings of a small night, from nothing but `night_overrides`."""
    return load_settings(None, night_overrides(urls, **changes), {})


def trust_variables(folder: Path) -> dict[str, str]:
    """Where keys, trusted root and Hamilton's state lie, all below a folder."""
    return {
        "HURACAN_KEYS_DIR": str(folder / "keys"),
        "HURACAN_TRUSTED_ROOT": str(folder / "trust" / "root.json"),
        "HURACAN_STATE_DIR": str(folder / "state"),
    }


@contextmanager
def variables(values: dict[str, str]) -> Iterator[None]:
    """Environment variables for a while; all other HURACAN_ ones are out of sight meanwhile."""
    hidden = [name for name in os.environ if name.startswith("HURACAN_") and not name.startswith("HURACAN_TEST_")]
    before = {name: os.environ.get(name) for name in {*values, *hidden}}
    for name in hidden:
        del os.environ[name]
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def run_pipeline(
    folder: Path, settings: Settings, *, as_of: str | None = None, **injected: Any
) -> tuple[dict[str, Any], RecordingTelemetry]:
    """One night with everything below `folder` (workdir/, keys/, trust/, state/), and what it told."""
    telemetry = RecordingTelemetry()
    with variables(trust_variables(folder)):
        config = TrainingPipelineConfig.from_settings(settings, workdir=folder / "workdir", as_of=as_of)
        return asyncio.run(TrainingPipeline(config, telemetry=telemetry, **injected).run()), telemetry


@dataclass(frozen=True, kw_only=True)
class FinishedNight:
    """A night that ran once and is read by many tests; nobody may write below `folder`."""

    folder: Path
    result: dict[str, Any]
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @property
    def store(self) -> Path:
        return self.folder / "workdir" / "store"

    @property
    def ledger(self) -> Path:
        return self.folder / "workdir" / "ledger.sqlite"

    def named(self, name: str) -> list[dict[str, Any]]:
        return [fields for seen, fields in self.events if seen == name]

    def alarms(self) -> list[tuple[str, dict[str, Any]]]:
        """Warnings and errors among the events."""
        return [(name, fields) for name, fields in self.events if EVENTS[name] in {"warning", "error"}]


def built_once(shared: Path, name: str, build: Callable[[Path], None]) -> Path:
    """The folder `shared/name`, built by whichever test process comes first while the others wait."""
    shared.mkdir(parents=True, exist_ok=True)
    folder, done = shared / name, shared / f"{name}.done"
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            folder.mkdir(exist_ok=True)
            build(folder)
            done.touch()
    return folder


def build_night(folder: Path) -> None:
    """The shared night: real exchange client, worker processes, ledger, signatures and folder store."""
    with ReplayExchange(small_world(), stress_file=folder / "stress.json") as exchange:
        result, telemetry = run_pipeline(folder, night_settings(exchange.urls))
    (folder / "result.json").write_text(json.dumps([result, telemetry.events], default=_packed, allow_nan=False))


def read_night(folder: Path) -> FinishedNight:
    """The shared night as it was told."""
    result, events = json.loads((folder / "result.json").read_text(), object_hook=_unpacked)
    return FinishedNight(folder=folder, result=result, events=[(name, fields) for name, fields in events])


def _packed(value: Any) -> Any:
    return {"__bytes__": base64.b64encode(value).decode()} if isinstance(value, bytes) else str(value)


def _unpacked(value: dict[str, Any]) -> Any:
    return base64.b64decode(value["__bytes__"]) if "__bytes__" in value else value


def tree_hashes(folder: Path) -> dict[str, str]:
    """sha256 of every file below a folder, by relative path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def ledger_rows(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the evidence tables of a ledger; runs and jobs are accounts, not evidence."""
    tables = ("champions", "lineage_rows", "lineages", "nights", "trials", "unfreezes")
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return {name: sorted(connection.execute(f"SELECT * FROM {name}").fetchall()) for name in tables}


def accounted(result: dict[str, Any]) -> None:
    """Assert that every pair of the universe has, at every horizon, either a champion or one skip with a reason."""
    champions = {(row["coin"], row["horizon"]) for row in result["champions"].values()}
    skips = [(skip["coin"], skip["horizon"]) for skip in result["skipped"]]
    pairs = {(coin, horizon) for coin in result["coin_universe"] for horizon in result["horizons"]}
    assert len(skips) == len(set(skips)), "a (coin, horizon) is skipped twice"
    assert not champions & set(skips), "a champion is skipped as well"
    assert champions | set(skips) == pairs, "a (coin, horizon) has neither champion nor reason"
    assert all(skip["code"] and skip["reason"] and 1 <= skip["step"] <= 9 for skip in result["skipped"])
    summary = result["summary"]
    assert summary["champions_count"] == len(champions)
    assert summary["skipped_count"] == len(skips) == sum(summary["skip_counts"].values())
    assert summary["coin_universe_size"] == len(result["coin_universe"]) == len(set(result["coin_universe"]))


@contextmanager
def in_this_process() -> Iterator[None]:
    """Jobs run in threads of this process: the same work without the seconds that starting workers takes."""
    before = asyncio_pool.address_of
    asyncio_pool.address_of = lambda _function: None
    try:
        yield
    finally:
        asyncio_pool.address_of = before
