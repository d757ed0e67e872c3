"""`huracan demo`: a simulated exchange, a whole night against it, champions, a report, and one prediction by
Hamilton.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from huracan.adapters.disk import make_folders
from huracan.app.demos import REGULAR_COINS, DemoMark, read_mark, write_mark
from huracan.cli.demo_ending import ending, keep_features
from huracan.cli.output import print_json
from huracan.cli.places import is_workdir
from huracan.domain.extras import require_extra
from huracan.domain.time import parse_iso
from huracan.errors import ConfigError, UpstreamError

if TYPE_CHECKING:
    from huracan.app import TrainingPipelineConfig
    from huracan.cli.demo_outcome import Demo
    from huracan.cli.run_result import RunResult
    from huracan.worlds.exchange import Urls
    from huracan.worlds.spec import WorldName

WORLDS: "Mapping[str, WorldName]" = {"demo": "demo", "null": "null"}
FOLDER = "huracan-demo"
STOP_SECONDS = 10.0
PATIENCE_S = 1800
"""For an answer of the demo's own exchange: on a busy machine it is slow, and never away."""
OF_ITS_KEYS = frozenset({"keys_created", "root_key_unprotected"})
"""Events of the demo's own keys, which protect nothing."""


def run_demo(*, out: Path | None, world: str, days: int, seed: int, as_json: bool, verbose: bool = False) -> int:
    """Run the demo and print it; returns the exit status."""
    name = WORLDS.get(world)
    if name is None:
        raise ConfigError(f"--world {world!r} is not one of {', '.join(WORLDS)}")
    require_extra("train", "a demo")
    folder = demo_folder(out)
    write_mark(DemoMark(workdir=folder, world=world))
    started = time.monotonic()
    with private_trust(folder), exchange(world, days, seed) as urls:
        from huracan.cli.night import execute, report
        from huracan.cli.notices import Notices
        from huracan.cli.run_result import run_result
        from huracan.cli.watching import say_notices

        notices = Notices(but=OF_ITS_KEYS)
        body = execute(demo_config(folder, urls, world), as_json=as_json, verbose=verbose, notices=notices)
        if not as_json:
            say_notices(notices)
        if not body["success"]:
            return report(body, as_json=as_json)
        result = run_result(body)
        made = demo_of(result, folder, world=name, days=days, seed=seed, started=started)
        if as_json:
            own = {field.name: getattr(made, field.name) for field in fields(made)}
            print_json({**own, "summary": body["summary"], "report": result.report, "store": result.store})
        else:
            from huracan.cli.tables import print_demo

            print_demo(result, made)
    return 0


def demo_folder(out: Path | None) -> Path:
    """The demo's workdir, made where it is missing; ConfigError for the workdir of real nights."""
    folder = (out or Path(FOLDER)).absolute()
    if is_workdir(folder) and read_mark(folder) is None:
        raise ConfigError(f"{folder} is the workdir of real nights; give the demo a folder of its own by --out")
    make_folders(folder)
    return folder


def demo_of(result: "RunResult", folder: Path, *, world: "WorldName", days: int, seed: int, started: float) -> "Demo":
    """What a demo's night found against the truth; marks the demo as finished, and keeps a row of features."""
    from huracan.cli import demo_outcome

    truth = demo_outcome.truth_of(world, days, seed)
    prediction = demo_outcome.first_prediction(result)
    now_ms = parse_iso(result.summary.now)
    seconds = time.monotonic() - started
    write_mark(DemoMark(workdir=folder, world=world, now_ms=now_ms))
    coin = next(iter(result.coin_universe), "BTC")
    return demo_outcome.Demo(
        world=world,
        seed=seed,
        days=days,
        truth=truth,
        regular=demo_outcome.REGULAR,
        champions_by_horizon=demo_outcome.found_by_horizon(result, set(truth["planted"])),
        bound_over_sd=demo_outcome.bounds(result) if world == "demo" else {},
        prediction=prediction,
        seconds=seconds,
        next=ending(folder, keep_features(folder, result, prediction), now_ms, coin),
    )


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
def exchange(world: str, days: int, seed: int, coins: int = REGULAR_COINS) -> Iterator["Urls"]:
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
            urls: Urls = json.loads(line)
            yield urls
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def demo_config(folder: Path, urls: "Urls", world: str) -> "TrainingPipelineConfig":
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
        # The planted drift is so strong that it shows in every trend-like feature too: the canary must stand aside
        # here.
        overrides.append(f"training.leak_exempt={json.dumps(list(ALL_NAMES))}")
    return TrainingPipelineConfig.from_settings(local_only(load_settings(None, overrides, os.environ)), workdir=folder)
