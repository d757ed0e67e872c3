"""`huracan demo`: a simulated exchange, a whole night against it, champions, a report, and one prediction by Hamilton."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huracan.adapters.disk import make_folders
from huracan.app.demos import DemoMark, read_mark, write_mark
from huracan.cli.demo_ending import Ending, ending, keep_features
from huracan.cli.output import print_json
from huracan.cli.places import is_workdir
from huracan.domain.extras import require_extra
from huracan.domain.time import parse_iso
from huracan.errors import ConfigError, UpstreamError

WORLDS = ("demo", "null")
FOLDER = "huracan-demo"
COINS = 16
STOP_SECONDS = 10.0
PATIENCE_S = 1800
"""For an answer of the demo's own exchange: on a busy machine it is slow, and never away."""
OF_ITS_KEYS = frozenset({"keys_created", "root_key_unprotected"})
"""Events of the demo's own keys, which protect nothing."""
BOUND_OVER_SD = (8.0, 10.0)
"""What the demo's world is built for at 1h and 4h: a bound of so many sd makes 85 days decidable, and is one."""


def run_demo(*, out: Path | None, world: str, days: int, seed: int, as_json: bool, verbose: bool = False) -> int:
    """Run the demo and print it; returns the exit status."""
    if world not in WORLDS:
        raise ConfigError(f"--world {world!r} is not one of {', '.join(WORLDS)}")
    require_extra("train", "a demo")
    folder = demo_folder(out)
    write_mark(DemoMark(workdir=folder, world=world))
    started = time.monotonic()
    with private_trust(folder), exchange(world, days, seed) as urls:
        from huracan.cli.night import execute, report
        from huracan.cli.notices import Notices
        from huracan.cli.watching import say_notices

        notices = Notices(but=OF_ITS_KEYS)
        result = execute(demo_config(folder, urls, world), as_json=as_json, verbose=verbose, notices=notices)
        if not as_json:
            say_notices(notices)
        if not result["success"]:
            return report(result, as_json=as_json)
        extra = demo_verdict(result, world, days, seed)
        extra["prediction"] = first_prediction(result)
        extra["seconds"] = time.monotonic() - started
        extra["next"] = _next_steps(folder, world, result, extra["prediction"])
        if as_json:
            print_json({**extra, "summary": result["summary"], "report": result["report"], "store": result["store"]})
        else:
            from huracan.cli.tables import print_demo

            print_demo(result, extra)
    return 0


def demo_folder(out: Path | None) -> Path:
    """The demo's workdir, made where it is missing; ConfigError for the workdir of real nights."""
    folder = (out or Path(FOLDER)).absolute()
    if is_workdir(folder) and read_mark(folder) is None:
        raise ConfigError(f"{folder} is the workdir of real nights; give the demo a folder of its own by --out")
    make_folders(folder)
    return folder


def _next_steps(folder: Path, world: str, result: dict[str, Any], prediction: dict[str, Any] | None) -> Ending:
    """Mark the demo as finished, keep a row of features, and say what to type."""
    now_ms = parse_iso(result["summary"]["now"])
    write_mark(DemoMark(workdir=folder, world=world, now_ms=now_ms))
    coin = next(iter(result["coin_universe"]), "BTC")
    return ending(folder, keep_features(folder, result, prediction), now_ms, coin)


@contextmanager
def private_trust(folder: Path) -> Iterator[None]:
    """Keys, trust and state of the demo in its own folder, so that it never touches the user's."""
    names = DemoMark(workdir=folder, world="").variables
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def exchange(world: str, days: int, seed: int, coins: int = COINS) -> Iterator[dict[str, Any]]:
    """A replay exchange in its own process; yields the URLs of its first line and stops it afterwards."""
    command = [
        sys.executable, "-m", "huracan.cli.main", "exchange", "serve", "--world", world,
        "--coins", str(coins), "--days", str(days), "--seed", str(seed), "--attached",
    ]  # fmt: skip
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(  # noqa: S603 - our own
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                errors.seek(0)
                raise UpstreamError(f"the simulated exchange did not start: {errors.read()[-2000:].strip()}")
            yield json.loads(line)
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def demo_config(folder: Path, urls: dict[str, Any], world: str) -> Any:
    """The configuration of a run against the simulated exchange: defaults, its URLs and its stress table."""
    from huracan.app import TrainingPipelineConfig
    from huracan.features import ALL_NAMES
    from huracan.settings import load_settings, local_only

    overrides = [
        f"binance.rest_url={urls['rest']}",
        f"binance.futures_url={urls['futures']}",
        f"binance.archive_url={urls['archive']}",
        f"promotion.stress_table={urls['stress']}",
        *(f"binance.{name}={PATIENCE_S}" for name in ("read_timeout_s", "total_timeout_s")),
    ]
    if world == "demo":
        # The planted drift is so strong that it shows in every trend-like feature too: the canary must stand aside here.
        overrides.append(f"training.leak_exempt={json.dumps(list(ALL_NAMES))}")
    return TrainingPipelineConfig.from_settings(local_only(load_settings(None, overrides, os.environ)), workdir=folder)


def demo_verdict(result: dict[str, Any], world: Any, days: int, seed: int) -> dict[str, Any]:
    """What the night found against what the world's maker knows."""
    from huracan.worlds.simulated import simulate
    from huracan.worlds.spec import regular_bases, world_spec

    truth = simulate(world_spec(world, coins=COINS, days=days, seed=seed)).truth()
    planted = set(truth["planted"])
    regular = set(regular_bases(COINS))
    by_horizon: dict[str, dict[str, Any]] = {}
    for horizon in result["horizons"]:
        champions = {row["coin"] for row in result["champions"].values() if row["horizon"] == horizon}
        by_horizon[horizon] = {
            "planted": sorted(champions & planted),
            "others": sorted((champions & regular) - planted),
        }
    return {
        "world": world,
        "seed": seed,
        "days": days,
        "truth": truth,
        "regular": sorted(regular),
        "champions_by_horizon": by_horizon,
        "bound_over_sd": _bounds(result, world),
    }


def _bounds(result: dict[str, Any], world: str) -> dict[str, dict[str, Any]]:
    """B/sd of the champion at 1h and 4h, and whether it is what the demo's world is built for."""
    low, high = BOUND_OVER_SD
    found = {}
    for row in result["summary"]["evidence"] if world == "demo" else ():
        if row["reigns"] and row["pool"] == "um-A" and row["horizon"] in {"1h", "4h"}:
            ratio = row["bound_over_sd"]
            found[row["horizon"]] = {"ratio": ratio, "as_built": bool(low <= ratio <= high)}
    return found


def first_prediction(result: dict[str, Any]) -> dict[str, Any] | None:
    """Hamilton's answer for one champion (else one candidate) on the last features of the night; one that trades, if any."""
    from huracan.hamilton import HamiltonInterface

    rows = list(result["champions"].values()) or list(result["candidates"].values())
    chosen = next((row for row in rows if row["live"] and row["live"]["side"]), rows[0] if rows else None)
    if chosen is None or chosen["live"] is None:
        return None
    now_ms = parse_iso(result["summary"]["now"])
    with tempfile.TemporaryDirectory(prefix="huracan-demo-") as state:  # the world's time is no time this user has seen
        hamilton = HamiltonInterface(
            model_base_path=result["store"], allow_candidates=True, state_dir=state, now_ms=lambda: now_ms
        )
        prediction = hamilton.predict(chosen["coin"], chosen["horizon"], chosen["live_features"])
    return {
        "coin": chosen["coin"],
        "horizon": chosen["horizon"],
        "direction": prediction.direction,
        "edge_bps": prediction.edge_bps,
        "net_edge_bps": prediction.net_edge_bps,
        "confidence": prediction.confidence,
        "position_fraction": prediction.position_fraction,
        "blocked_reason": prediction.blocked_reason,
        "equals_training": prediction.edge_bps == chosen["live"]["edge_bps"],
    }
