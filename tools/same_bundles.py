# ruff: noqa: INP001
"""Whether two checkouts make the same bundles of one demo, and what each needed for it.

Makes the demo with both checkouts, one after the other, each with a home of its own. Compares every file of every
bundle by its bytes, but for the `code_hash` of a manifest. Compares what the nights said of champions, skips and
evidence, too. Prints seconds, processor seconds and the memory of the largest process. A side that was made before is
taken from `--out` as it lies there.

    python tools/same_bundles.py ../before . --out /tmp/same
"""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Final

SIDES: Final = ("before", "after")
MEASURED: Final = "measured.json"
CODE_HASH: Final = re.compile(rb'"code_hash":\s*"[0-9a-f]+"')
PLACES: Final = frozenset({"path", "root"})
"""Of a row: where it lies. The root of artefacts is a hash of all they are made of, the code among it."""
COMPARED: Final = ("champions", "candidates", "skipped", "evidence", "promotions", "do_not_trade")
MEBI: Final = 1 << 20


def main() -> int:
    """Make both demos and compare them; 0 where they are the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="a checkout")
    parser.add_argument("after", type=Path, nargs="?", help="another; without it only the first demo is made")
    parser.add_argument("--out", type=Path, required=True, help="folder for both demos")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--days", type=int, default=120)
    given = parser.parse_args()
    checkouts = [checkout for checkout in (given.before, given.after) if checkout is not None]
    for side, checkout in zip(SIDES, checkouts, strict=False):
        if not (given.out / side / MEASURED).exists():
            make(checkout.resolve(), given.out.resolve() / side, seed=given.seed, days=given.days)
        print(f"{side:7}{(given.out / side / MEASURED).read_text()}")
    if len(checkouts) == 1:
        return 0
    faults = differences(*(given.out / side / "demo" for side in SIDES))
    bundles = len(list((given.out / "after" / "demo" / "store" / "models").rglob("manifest.json")))
    print("\n".join(faults) or f"{bundles} bundles are the same, but for code_hash; so is what the nights said")
    return 1 if faults else 0


def make(checkout: Path, folder: Path, *, seed: int, days: int) -> None:
    """The demo of a checkout below a folder, and what it needed."""
    if folder.exists():
        raise SystemExit(f"{folder} holds a demo that did not end; remove it, then run again")
    (folder / "home").mkdir(parents=True)
    project = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))
    module, _, function = project["project"]["scripts"]["huracan"].partition(":")
    command = [sys.executable, "-c", f"from {module} import {function}; {function}()"]
    command += ["demo", "--out", str(folder / "demo"), "--seed", str(seed), "--days", str(days), "--json"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HURACAN_")}
    environ = {**kept, "HOME": str(folder / "home"), "PYTHONPATH": str(checkout / "src")}
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with (folder / "log").open("wb") as log, (folder / "result.json").open("wb") as result:
        subprocess.run(command, env=environ, cwd=folder, stdout=result, stderr=log, check=True)  # noqa: S603
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = spent.ru_utime + spent.ru_stime - before.ru_utime - before.ru_stime
    unit = 1 if sys.platform == "darwin" else 1024
    measured = {
        "seconds": round(time.monotonic() - began, 1),
        "processor_seconds": round(processor, 1),
        "largest_process_mib": round(spent.ru_maxrss * unit / MEBI),
        "stage_seconds": stages(folder / "demo"),
    }
    (folder / MEASURED).write_text(json.dumps(measured), encoding="utf-8")


def stages(demo: Path) -> dict[str, float]:
    """Seconds of every stage, as the account of the night's progress has them."""
    told = json.loads((demo / "progress.json").read_bytes())["stages"]
    return {row["name"]: (row["ended_ms"] - row["started_ms"]) / 1000 for row in told if "ended_ms" in row}


def differences(before: Path, after: Path) -> list[str]:
    """Every file and every word of the nights that differs."""
    one, other = bundles(before), bundles(after)
    faults = [f"{name} is on one side only" for name in sorted(one.keys() ^ other.keys())]
    faults += [f"{name} differs" for name in sorted(one.keys() & other.keys()) if one[name] != other[name]]
    told, now = summary(before), summary(after)
    return faults + [f"the summary's {name} differ" for name in COMPARED if told.get(name) != now.get(name)]


def bundles(demo: Path) -> dict[str, bytes]:
    """All files of all bundles, manifests without their code_hash."""
    models = demo / "store" / "models"
    files = {path.relative_to(models).as_posix(): path.read_bytes() for path in models.rglob("*") if path.is_file()}
    return {name: CODE_HASH.sub(b"", body) if name.endswith("manifest.json") else body for name, body in files.items()}


def summary(demo: Path) -> dict[str, list[dict[str, object]]]:
    """The night's summary, without places of this machine."""
    (file,) = sorted((demo / "summaries").glob("*_summary.json"))
    told = json.loads(file.read_bytes())
    return {
        name: [{key: row[key] for key in row if key not in PLACES} for row in told.get(name) or ()] for name in COMPARED
    }


if __name__ == "__main__":
    sys.exit(main())
