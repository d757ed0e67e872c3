"""I1 to I7 of the table of guarantees: the one checker that runs over a store and a workdir after every fault."""

import base64
import json
import sqlite3
import stat
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from nights import ledger_rows, tree_hashes

from huracan import errors
from huracan.adapters.ledger import SqliteLedger
from huracan.domain.bundle import MANIFEST_FILE, MAX_MANIFEST, ChampionSet, Manifest, bundle_folder
from huracan.export.trust import TrustedTree, checked_bytes, read_signed, verify_tree
from huracan.hamilton.source import FolderSource
from huracan.hamilton.verify import read_champion

Members = dict[tuple[str, str], tuple[int, str]]
"""(coin, horizon) -> version and sha256 of the manifest, which names the sha256 of every other file."""


@dataclass(frozen=True)
class Case:
    """One user's folders: workdir/, keys/, trust/, state/."""

    folder: Path

    @property
    def workdir(self) -> Path:
        return self.folder / "workdir"

    @property
    def store(self) -> Path:
        return self.workdir / "store"

    @property
    def root(self) -> bytes | None:
        file = self.folder / "trust" / "root.json"
        return file.read_bytes() if file.exists() else None

    @property
    def ledger(self) -> Path:
        return self.workdir / "ledger.sqlite"


def served(source: Any, root: bytes | None, *, deeply: bool = True) -> Members | None:
    """I1: the one visible set, every signature, hash and (deeply) golden row checked; None where nothing is published."""
    if root is None:
        assert source.version() is None, "a set is published that nobody can verify"
        return None
    tree = verify_tree(source.read, root)
    if tree is None:
        return None
    every_listed_file_is_whole(source, tree)
    for member in tree.current.members.values() if deeply else ():
        read_champion(source, tree, member.coin, member.horizon, member.version)
    return members_of(tree.current, tree)


def members_of(current: ChampionSet, tree: TrustedTree) -> Members:
    """Members of a set by coin and horizon."""
    return {
        (m.coin, m.horizon): (
            m.version,
            tree.files[f"{bundle_folder(m.coin, m.horizon, m.version)}/{MANIFEST_FILE}"][0],
        )
        for m in current.members.values()
    }


def every_listed_file_is_whole(source: Any, tree: TrustedTree) -> None:
    """Also bundles and sets that are only kept for a rollback."""
    for path in tree.files:
        data = read_signed(source.read, tree.files, path, MAX_MANIFEST)
        if path.endswith(MANIFEST_FILE):
            manifest = Manifest.from_bytes(data)
            folder = path.rpartition("/")[0]
            for name, entry in manifest.files.items():
                checked_bytes(source.read, f"{folder}/{name}", entry.sha256, entry.size, entry.size)


def check_visible(case: Case, allowed: Iterable[Members | None]) -> Members | None:
    """I1 and I2: one whole set, and it is one of those."""
    seen = served(FolderSource(case.store), case.root)
    assert seen in list(allowed), f"neither the old set nor the new one: {seen}"
    return seen


def check_agreement(case: Case) -> None:
    """I3: the ledger's chains hold; sets and reports name runs it knows; a finished run has each report exactly once."""
    with SqliteLedger(case.ledger) as ledger:
        ledger.load_state()
        runs = {run.run_id: run for run in ledger.runs()}
    root = case.root
    tree = verify_tree(FolderSource(case.store).read, root) if root is not None else None
    if tree is not None:
        assert tree.current.run_id in runs, "the set is of a run that the ledger does not know"
    summaries = Counter(
        json.loads(path.read_bytes())["run_id"] for path in (case.workdir / "summaries").glob("*_summary*.json")
    )
    assert not set(summaries) - set(runs), "a summary of a run that the ledger does not know"
    assert all(count == 1 for count in summaries.values()), f"a night is told twice: {summaries}"
    for run_id, run in runs.items():
        if run.status == "finished":
            assert summaries[run_id] == 1
            for name in ("index.html", "decision_events.parquet", "integrity.json"):
                assert (case.workdir / "reports" / run_id / name).stat().st_size > 0


def check_same_end(case: Case, unbroken: Case) -> None:
    """I4: bundles byte for byte those of an unbroken run, the same evidence, the same set."""
    mine, wanted = (tree_hashes(one.store / "models") for one in (case, unbroken))
    assert mine == wanted != {}
    assert ledger_rows(case.ledger) == ledger_rows(unbroken.ledger)
    assert check_visible(case, [served(FolderSource(unbroken.store), unbroken.root)])


@cache
def exit_statuses() -> Mapping[str, int]:
    """Exit status by code, of every error there is."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.HuracanError)]
    return {kind.code: kind.exit_status for kind in kinds}


def check_named(status: int, result: Mapping[str, Any], wanted: set[str]) -> str:
    """I5: not exit 0, one of the wanted codes, and the status that belongs to it."""
    assert result["success"] is False
    code = str(result.get("code") or result["summary"]["errors"][0].partition(":")[0])
    assert code in wanted, f"{code} is none of {sorted(wanted)}: {result.get('error')}"
    assert status == exit_statuses()[code] != 0
    return code


def forms(secret: str) -> dict[str, bytes]:
    """A secret as it may stand in an output: raw, base64 at each alignment, URL-encoded, hexadecimal."""
    data = secret.encode()
    found = {"raw": data, "url": quote(secret, safe="").encode(), "hex": data.hex().encode()}
    found["HEX"] = data.hex().upper().encode()
    for before in range(3):
        text = base64.b64encode(bytes(before) + data).rstrip(b"=")
        # The characters at the edges also hold bits of what stands beside the secret.
        inner = text[(0, 2, 3)[before] : -1]
        found[f"base64+{before}"] = inner
        found[f"base64url+{before}"] = inner.translate(bytes.maketrans(b"+/", b"-_"))
    return found


def secrets_found(texts: Mapping[str, bytes], secrets: Mapping[str, str]) -> list[str]:
    """I6: "place: name of the secret (form)" for every hit."""
    wanted = {(name, kind): form for name, secret in secrets.items() for kind, form in forms(secret).items()}
    return [
        f"{place}: {name} ({kind})"
        for place, text in texts.items()
        for (name, kind), form in wanted.items()
        if form in text
    ]


def everything_written(folder: Path, *, but: Iterable[Path] = ()) -> dict[str, bytes]:
    """Every file below a folder, by path; SQLite's rows too, since pages may split a text."""
    excluded = set(but)
    found: dict[str, bytes] = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and not excluded & {path, *path.parents}:
            found[str(path)] = path.read_bytes() + str(path).encode()
            if path.suffix == ".sqlite":
                found[f"{path} (rows)"] = _rows_of(path)
    return found


def _rows_of(database: Path) -> bytes:
    """A database as SQL, as far as it can be read: tests leave some torn, and some whose log nobody closed."""
    for mode in ("mode=ro", "immutable=1"):
        with (
            suppress(sqlite3.DatabaseError),
            closing(sqlite3.connect(f"{database.absolute().as_uri()}?{mode}", uri=True)) as opened,
        ):
            return "\n".join(opened.iterdump()).encode()
    return b""


def check_private(folder: Path) -> None:
    """I7: no temporary file below a folder that others can read: neither itself nor through an open way to it."""
    for path in folder.rglob("*"):
        if path.is_file() and _is_temporary(path.relative_to(folder)):
            way = [path, *path.parents]
            way = way[: way.index(folder)]
            closed = any(not stat.S_IMODE(step.stat().st_mode) & 0o077 for step in way)
            assert closed, f"others can read what was left of {path}"


def _is_temporary(path: Path) -> bool:
    name = path.name
    inside = {".tmp", ".staging"} & set(path.parts[:-1])
    left = name.endswith((".tmp", ".part")) or "#" in name or (name.startswith(".") and name != ".lock")
    return bool(inside) or left
