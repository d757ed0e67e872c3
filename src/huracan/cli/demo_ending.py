"""How a demo ends: with commands to copy, each of which works as printed, from any folder and in any shell."""

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from huracan.cli.places import program
from huracan.domain.homes import WORKDIR_VARIABLE
from huracan.domain.ids import result_key

if TYPE_CHECKING:
    from huracan.cli.run_result import RunResult

FEATURES_FOLDER: Final = "features"


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstPrediction:
    """Hamilton's answer on the last features of the night, and whether the training side says the same."""

    coin: str
    horizon: str
    direction: str
    edge_bps: float
    net_edge_bps: float
    confidence: float
    position_fraction: float
    blocked_reason: str | None
    equals_training: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The model that the commands are about, and where its last row of features lies."""

    coin: str
    horizon: str
    candidate: bool
    features: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What a demo prints last: command lines, a program in Python as one more command, and what to set once a shell."""

    commands: tuple[str, ...]
    python: str
    once: str


def keep_features(folder: Path, result: "RunResult", prediction: FirstPrediction | None) -> Shown | None:
    """Write the last row of features of the model that was shown; None where the night has no model."""
    if prediction is None:
        return None
    coin, horizon = prediction.coin, prediction.horizon
    key = result_key(coin, horizon)
    candidate = key not in result.champions
    row = (result.candidates if candidate else result.champions)[key]
    file = folder / FEATURES_FOLDER / f"{key}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(dict(row.live_features), indent=1) + "\n", encoding="utf-8")
    return Shown(coin=coin, horizon=horizon, candidate=candidate, features=file)


def ending(folder: Path, shown: Shown | None, now_ms: int, coin: str) -> Ending:
    """The commands for a finished demo; `coin` is one to explain where no model is there to be shown."""
    huracan, at = program(), f"--workdir {shlex.quote(str(folder))}"
    words = ["champions list", f"explain {coin}", "report --open"]
    if shown is not None:
        model, allowed = f"{shown.coin} {shown.horizon}", " --candidates" if shown.candidate else ""
        words = [
            "champions list",
            f"champions show {model}",
            f"explain {model}",
            "report --open",
            f"predict {model}{allowed}",
        ]
    return Ending(
        commands=tuple(f"{huracan} {line} {at}" for line in words),
        python="" if shown is None else _python(folder, shown, now_ms),
        once=_once(folder),
    )


def _python(folder: Path, shown: Shown, now_ms: int) -> str:
    """Five lines, wrapped so that a shell runs them."""
    allowed = ", allow_candidates=True" if shown.candidate else ""
    file = f"{FEATURES_FOLDER}/{shown.features.name}"
    lines = [
        "import json; from huracan import HamiltonInterface",
        f"demo, then = {str(folder)!r}, {now_ms}  # the demo's own time, ms UTC",
        f'hamilton = HamiltonInterface(demo + "/store", trusted_root=demo + "/trust/root.json", now_ms=lambda: then{allowed})',
        f'said = hamilton.predict("{shown.coin}", "{shown.horizon}", json.load(open(demo + "/{file}")))',
        "print(said.direction, said.net_edge_bps, said.position_fraction)",
    ]
    return "\n".join([f"{shlex.quote(sys.executable)} - <<'END'", *lines, "END"])


def _once(folder: Path) -> str:
    """What lets the commands of the README work as they stand there."""
    setting = f"export {WORKDIR_VARIABLE}={shlex.quote(str(folder))}"
    if program() == "huracan":
        return setting
    return f'{setting} PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"'
