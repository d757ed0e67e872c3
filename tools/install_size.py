# ruff: noqa: INP001, S603
"""What an installation takes: build the wheel, install it into fresh environments, weigh them, and predict with each.

    .venv/bin/python tools/install_size.py --demo huracan-demo [--keep /tmp/weighed]

Wants a package index, and the workdir of a finished demo. The last table says from which lock which Python resolves.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[1]
UV = str(Path(sys.executable).with_name("uv"))
KINDS = {"": "hamilton", "[hamilton]": "hamilton", "[train]": "runtime"}
"""Extras of an installation, and the lock whose versions it takes."""
PLATFORMS = ("x86_64-manylinux_2_28", "aarch64-apple-darwin", "x86_64-pc-windows-msvc")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", type=Path, required=True, help="Workdir of a finished demo.")
    parser.add_argument("--keep", type=Path, help="Folder for the environments; default: one that is removed.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (given.keep or Path(scratch)).absolute()
        wheel = next(iter(WheelBuilder(str(ROOT)).build(directory=str(folder / "dist"), versions=["standard"])))
        print("| installed | size | packages | edge of the demo's model, bps |\n|---|---|---|---|")
        for extras, lock in KINDS.items():
            python = install(folder / f"env{extras.strip('[]')}", f"{wheel}{extras}", lock)
            size, packages = weigh(python)
            edge = predict(python, given.demo.absolute(), folder)
            print(f"| `huracan-engine{extras}` | {size / 1e6:.0f} MB | {packages} | {edge} |", flush=True)
        print(f"\n| lock | Python | {' | '.join(PLATFORMS)} |\n|---|---|{'---|' * len(PLATFORMS)}")
        for lock in ("hamilton", "runtime", "dev"):
            for version in ("3.11", "3.13", "3.14"):
                found = [resolved(lock, version, platform, folder / "nothing") for platform in PLATFORMS]
                print(f"| {lock}.lock | {version} | {' | '.join(found)} |", flush=True)


def install(folder: Path, what: str, lock: str) -> Path:
    """A fresh environment with the wheel, in the versions of a lock; its interpreter."""
    venv.create(folder, with_pip=False, symlinks=True, clear=True)
    python = folder / "bin" / "python"
    versions = str(ROOT / "requirements" / f"{lock}.lock")
    uv("pip", "install", "--quiet", "--link-mode=copy", "--python", str(python), "--constraint", versions, what)
    return python


def weigh(python: Path) -> tuple[int, int]:
    """Bytes of the files in an environment's site-packages, and the number of distributions there."""
    site = next((python.parents[1] / "lib").glob("python*")) / "site-packages"
    sizes = (path.lstat().st_size for path in site.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return sum(sizes), len(list(site.glob("*.dist-info")))


def predict(python: Path, demo: Path, home: Path) -> str:
    """The edge that `huracan predict` gives for the row of features which the demo kept."""
    features = next((demo / "features").glob("*.json"))
    coin, _, horizon = features.stem.rpartition("_")
    done = subprocess.run(
        [
            str(python.with_name("huracan")), "predict", coin, horizon, "--features", str(features), "--candidates",
            "--json", "--workdir", str(demo),
        ],
        env={"HOME": str(home), "PATH": os.environ["PATH"]}, cwd=home, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return repr(json.loads(done.stdout)["edge_bps"])


def resolved(lock: str, version: str, platform: str, nothing: Path) -> str:
    """How many packages of a lock an installer would bring, or `no` where a package has none for the platform."""
    done = subprocess.run(
        [
            UV, "pip", "install", "--dry-run", "--python-version", version, "--python-platform", platform,
            "--target", str(nothing), "--only-binary", ":all:", "--require-hashes", "-r",
            str(ROOT / "requirements" / f"{lock}.lock"),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    wanted = [line for line in done.stderr.splitlines() if line.startswith("Would install")]
    return wanted[0].split()[2] if done.returncode == 0 and wanted else "no"


def uv(*words: str) -> None:
    """Run uv; its messages say what was wrong."""
    subprocess.run([UV, *words], check=True)


if __name__ == "__main__":
    main()
