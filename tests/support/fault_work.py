"""What runs behind the gate: a whole night by the command, or publications alone."""

import importlib
import logging
import os
import pkgutil
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "hamilton"))
import factory

ACKNOWLEDGED = "acknowledged"
"""A folder's file that says which publication was the last to return; written outside the watched folder."""


def warm() -> None:
    """Import what a night needs, and load the kernels that a bundle needs; start no thread."""
    import huracan.adapters.backends.orchestrator
    import huracan.app.training_pipeline
    import huracan.app.worker
    import huracan.cli.main
    import huracan.cli.night
    import huracan.reports.html  # noqa: F401

    bundle = factory.bundle()
    assert bundle.files
    _load_kernels()


def _load_kernels() -> None:
    """Every compiled kernel that the cache on disk holds, for every type it was compiled for."""
    for room in ("stats", "features", "labels", "training", "scoring", "consensus", "promotion", "ingest", "regimes"):
        package = importlib.import_module(f"huracan.{room}")
        for module in pkgutil.iter_modules(package.__path__, f"huracan.{room}."):
            for value in vars(importlib.import_module(module.name)).values():
                if hasattr(value, "py_func") and hasattr(value, "_cache"):
                    for key in value._cache._cache_file._load_index():
                        value.compile(key[0])


def night(arguments: list[str], environment: dict[str, str]) -> int:
    """`huracan run` with jobs in this process; returns the exit status."""
    from huracan.adapters.backends import asyncio_pool
    from huracan.cli.main import main

    asyncio_pool.address_of = lambda _function: None
    _environment(environment)
    if environment.get("LOG_EVERYTHING"):
        logging.basicConfig(level=logging.DEBUG, stream=sys.stderr, force=True)
    try:
        main(["run", "--json", *arguments])
    except SystemExit as left:
        sys.stdout.flush()
        return int(left.code or 0)
    return 0


def publish(folder: str, publications: list[dict[str, Any]], acknowledged: str) -> int:
    """Publish sets in a row in a world that `factory.World` opens or makes; each is noted once it has returned."""
    world = world_at(Path(folder))
    note = os.open(acknowledged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        for number, publication in enumerate(publications, start=1):
            publish_one(world, publication)
            os.pwrite(note, str(number).encode(), 0)
    except HURACAN_ERRORS as error:
        sys.stderr.write(f"{error.code}: {error}\n")
        return int(error.exit_status)
    finally:
        world.store.close()
    return 0


def ledger(folder: str, nights: int, acknowledged: str) -> int:
    """Record runs and notes in a ledger, each acknowledged once it has returned."""
    from huracan.adapters.ledger import SqliteLedger

    note = os.open(acknowledged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with SqliteLedger(Path(folder) / "ledger.sqlite") as opened:
        for number in range(1, nights + 1):
            opened.unfreeze("um/A", day=number, note=f"night {number} " + "x" * 3000)
            os.pwrite(note, str(number).encode(), 0)
    return 0


def artefacts(folder: str, count: int) -> int:
    """Put artefacts."""
    from huracan.adapters.artefacts import LocalArtefacts

    store = LocalArtefacts(Path(folder) / "artefacts")
    for number in range(count):
        store.put(f"cells/{number:064x}/net.parquet", bytes([number]) * (1000 + number))
    return 0


def world_at(folder: Path) -> Any:
    """A world of the factory, made on first use and opened with its own keys afterwards."""
    from huracan.adapters.keys import load_keys
    from huracan.adapters.publishers.folder import FolderStore

    if not (folder / "keys" / "1.root.json").exists():
        return factory.World(folder)
    world = object.__new__(factory.World)
    world.folder, world.root, world.trusted = folder, folder / "store", folder / "trust" / "root.json"
    world.now = factory.NOW
    world.keys = load_keys(folder / "keys")
    world.store = FolderStore(world.root)
    return world


def publish_one(world: Any, publication: dict[str, Any]) -> None:
    """One set: {"BTC": seed, ...} at 1h."""
    world.publish(*(factory.bundle(coin, seed=seed, engines=1, trees=0) for coin, seed in publication.items()))


def _environment(values: dict[str, str]) -> None:
    for name in [name for name in os.environ if name.startswith("HURACAN_")]:
        del os.environ[name]
    os.environ.update(values)


from huracan.errors import HuracanError as HURACAN_ERRORS  # noqa: E402, N814
