# ruff: noqa: INP001
"""Run the demo over many seeds and say what each found: the proof behind the demo's promise, and of its null world.

    python tools/demo_seeds.py OUT --world demo --seeds 0-20
    python tools/demo_seeds.py OUT --world null --seeds 0-19

One JSON file a seed in OUT; a seed that is there already is not run again, so the check can be interrupted. Ends with 1
when a seed breaks the promise: in `demo` 1h and 4h promoted with at least 8 planted and at most 2 other coins, in
`null` nothing at all.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


def run_seed(world: str, seed: int, target: Path) -> dict[str, Any]:
    """The demo's JSON answer for one seed, from the file or from a run."""
    if not target.exists():
        with tempfile.TemporaryDirectory() as out:
            command = [
                sys.executable,
                "-m",
                "huracan.cli.main",
                "demo",
                "--world",
                world,
                "--seed",
                str(seed),
                "--json",
            ]
            done = subprocess.run([*command, "--out", out], capture_output=True, text=True, check=True)  # noqa: S603
        target.write_text(done.stdout, encoding="utf-8")
    answer: dict[str, Any] = json.loads(target.read_text(encoding="utf-8"))
    return answer


def line(answer: dict[str, Any]) -> tuple[str, bool]:
    """One line a seed, and whether the promise held."""
    champions = {
        row["horizon"]: row for row in answer["summary"]["evidence"] if row["reigns"] and row["pool"] == "um-A"
    }
    parts, kept = [f"seed {answer['seed']:>2}"], True
    for horizon, found in answer["champions_by_horizon"].items():
        planted, others, row = len(found["planted"]), len(found["others"]), champions.get(horizon)
        said = "not promoted" if row is None else f"{row['recipe']} B/sd {row['bound_over_sd']:.1f} e {row['e']:.1e}"
        parts.append(f"{horizon}: {planted}+{others} {said}")
        if answer["world"] == "null":
            kept &= row is None and planted + others == 0
        elif horizon in {"1h", "4h"}:
            kept &= row is not None and planted >= 8 and others <= 2
    return " | ".join(parts) + ("" if kept else "  <- BROKEN"), kept


def main() -> int:
    """Run all seeds asked for; the number of broken ones decides the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--world", choices=("demo", "null"), default="demo")
    parser.add_argument("--seeds", default="0-2", help="first-last, both included")
    given = parser.parse_args()
    first, last = (int(part) for part in given.seeds.split("-"))
    given.out.mkdir(parents=True, exist_ok=True)
    broken = 0
    for seed in range(first, last + 1):
        text, kept = line(run_seed(given.world, seed, given.out / f"{given.world}_{seed}.json"))
        broken += not kept
        print(text, flush=True)
    print(f"{last - first + 1} seeds of {given.world}, {broken} broken")
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
