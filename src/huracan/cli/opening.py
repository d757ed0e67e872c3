"""Hamilton for a command: over which store, and whose signatures it believes."""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

from huracan.cli.places import StorePlace, store_of, workdir_of
from huracan.errors import ConfigError

if TYPE_CHECKING:
    from huracan.app.demos import DemoMark
    from huracan.hamilton import HamiltonInterface


class Arguments(TypedDict, total=False):
    """Further arguments of Hamilton: whose root it believes, where it keeps what it has seen, and its clock."""

    trusted_root: Path
    state_dir: Path | str
    now_ms: Callable[[], int]


def open_hamilton(
    store: str | Path | None, *, workdir: Path | None = None, allow_candidates: bool = True, **more: Unpack[Arguments]
) -> "HamiltonInterface":
    """Hamilton over a store's root, a workdir's store or the URL of a remote store; ConfigError where there is none.

    `more` are further arguments of it. A demo's store that the user named is read with the demo's keys, at the demo's
    time.
    """
    from huracan.hamilton import HamiltonInterface

    if isinstance(store, str) and ("://" in store or store.startswith("dropbox:")):
        from huracan.app import open_source

        return HamiltonInterface(source=open_source(store, every_s=None), allow_candidates=allow_candidates, **more)
    place = store_of(store, workdir)
    arguments = demo_trust(place)
    arguments.update(more)
    return HamiltonInterface(model_base_path=str(place.path), allow_candidates=allow_candidates, **arguments)


def demo_moment(store: str | None, workdir: Path | None) -> int | None:
    """When a demo's store that is believed here has its night, ms UTC: its bars end there. None for other stores."""
    if store is not None and ("://" in store or store.startswith("dropbox:")):
        return None
    mark = believed_mark(store_of(store, workdir), announced=False)
    return None if mark is None else mark.now_ms


def demo_trust(place: StorePlace) -> Arguments:
    """Arguments by which Hamilton reads a demo's store that may be believed here; none for other stores.

    Standard error names the keys.
    """
    mark = believed_mark(place)
    if mark is None:
        return {}
    now_ms = mark.now_ms
    found: Arguments = {"trusted_root": mark.root_file, "state_dir": mark.state_folder}
    if now_ms is not None:
        found["now_ms"] = lambda: now_ms
    return found


def demo_variables(workdir: Path, *, named: bool) -> Mapping[str, str]:
    """The environment of a command that only looks at a workdir: with the demo's keys, where it is a demo's and
    named.
    """
    mark = believed_mark(StorePlace(path=workdir / "store", named=named))
    return os.environ if mark is None else {**os.environ, **mark.variables}


def believed_mark(place: StorePlace, *, announced: bool = True) -> "DemoMark | None":
    """The mark of a demo whose own keys are believed by this command; `announced` on stderr, or in silence."""
    write = sys.stderr.write if announced else _silently
    from huracan.app.demos import read_mark, refusal_of_mark
    from huracan.domain.time import iso

    path = place.path.absolute()
    mark = read_mark(path.parent) if path.name == "store" and not path.is_symlink() else None
    if mark is None:
        return None
    refusal = refusal_of_mark(mark, named=place.named, environ=os.environ)
    if refusal is not None:
        write(f"{path} says that it is a demo's store; {refusal}\n")
        return None
    at = "" if mark.now_ms is None else f" The time there is {iso(mark.now_ms)[:16]}Z."
    write(f"demo keys: a simulated market, so nothing here is evidence and nothing to trade on.{at}\n")
    return mark


def named_workdir(given: Path | None) -> tuple[Path, bool]:
    """The workdir of a command that looks at one, and whether the user named it."""
    folder = workdir_of(given)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is no folder; give the workdir's own name by --workdir")
    return folder, bool(given or os.environ.get("HURACAN_WORKDIR"))


def _silently(_text: str) -> None:
    """Say nothing: it was said already."""
