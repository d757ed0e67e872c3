"""A workdir that an earlier release left: its ledger, store and keys, and what releases decided from there on.

The archive was made once, from the root of this checkout, by the release that signed it and by a later one that goes on from it:

    git worktree add --detach ../old 067f643
    git worktree add --detach ../later 50f09ca
    PYTHONPATH=../old/src:../old/tests/support python tests/support/old_night.py make 067f643
    PYTHONPATH=../later/src:../later/tests/support python tests/support/old_night.py go-on 50f09ca

It holds what a night cannot make again. Bars and artefacts are fetched and made anew by the next night.
"""

import json
import shutil
import sqlite3
import sys
import tarfile
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from nights import in_this_process, later, night_settings, run_pipeline, small_world

from huracan.worlds.exchange import ReplayExchange

ARCHIVE: Final = Path(__file__).parents[1] / "cli" / "night-067f643.tar.xz"
FIRST: Final = -1
"""The archived night, in days from the world's own moment; three more fit before the world ends."""
NIGHTS: Final = 3
KEPT: Final = ("workdir/ledger.sqlite", "workdir/store", "workdir/snapshots", "workdir/summaries", "keys", "trust")
EVIDENCE: Final = ("champions", "lineages", "lineage_rows", "trials", "unfreezes")


def night(folder: Path, number: int) -> dict[str, Any]:
    """What a night decides, the archived one being number 0; raises AssertionError for one that is refused."""
    folder.mkdir(exist_ok=True)
    world = later(small_world(coins=3), FIRST + number)
    with ReplayExchange(world, stress_file=folder / "stress.json") as exchange, in_this_process():
        result, _ = run_pipeline(folder, night_settings(exchange.urls))
    assert result["success"], result.get("error")
    return decided(folder / "workdir", result)


def decided(workdir: Path, result: dict[str, Any]) -> dict[str, Any]:
    """Tables of evidence, the do-not-trade list of the signed set, who is published, and who is skipped with which code."""
    with closing(sqlite3.connect(workdir / "ledger.sqlite")) as connection:
        tables = {name: sorted(connection.execute(f"SELECT * FROM {name}").fetchall()) for name in EVIDENCE}
    rows = [*result["champions"].values(), *result["candidates"].values()]
    signed = json.loads(max((workdir / "store" / "sets").iterdir(), key=lambda path: int(path.stem)).read_bytes())
    told = {
        "tables": tables,
        "do_not_trade": sorted(row["coin"] for row in signed["do_not_trade"]),
        "published": sorted(
            [row["coin"], row["horizon"], row["recipe"], row["status"], row["version"]] for row in rows
        ),
        "skipped": sorted([skip["coin"], skip["horizon"], skip["step"], skip["code"]] for skip in result["skipped"]),
        "evidence": result["summary"]["evidence"],
    }
    answer: dict[str, Any] = json.loads(json.dumps(told, default=str))
    return answer


def unpack(archive: Path, folder: Path) -> None:
    """The workdir and its keys below a folder, and beside them what releases decided from there on."""
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")


def pack(folder: Path, archive: Path) -> None:
    """The archive of a folder, the same bytes for the same files."""
    with tarfile.open(archive, "w:xz") as packed:
        for name in (*KEPT, *(path.name for path in sorted(folder.glob("decided-*.json")))):
            packed.add(folder / name, name, filter=nameless)


def nameless(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """An entry that tells nothing of who packed it; no lock."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return None if entry.name.endswith(".lock") else entry


def go_on(folder: Path, release: str) -> None:
    """Note what a release decides in the nights after the archived one; the folder stays at that night."""
    with tempfile.TemporaryDirectory() as place:
        copy = shutil.copytree(folder, Path(place) / "night")
        decisions = [night(copy, number) for number in range(1, NIGHTS + 1)]
    (folder / f"decided-{release}.json").write_text(json.dumps(decisions))


def main(what: str, release: str) -> None:
    """Make the archive, or add to it what another release decides."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "night"
        if what == "make":
            night(folder, 0)
        else:
            unpack(ARCHIVE, folder)
        go_on(folder, release)
        pack(folder, ARCHIVE)


if __name__ == "__main__":
    main(*sys.argv[1:])
