"""A workdir read by somebody who must not disturb it: files as they are, SQLite read-only, no lock taken."""

import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar, cast

from huracan.adapters.keys import trusted_root_file
from huracan.adapters.ledger_file import BRING_LAST
from huracan.adapters.locks import lock_holder
from huracan.adapters.progress import PROGRESS_FILE, PROGRESS_FORMAT
from huracan.adapters.publishers.naming import MIRRORS_FILE
from huracan.errors import HuracanError
from huracan.export.trust import MAX_ROLE, TIMESTAMP_PATH, verify_tree
from huracan.reports.live import LiveView
from huracan.reports.live_lines import NightLine, StoreState
from huracan.reports.night_summary import NightSummary
from huracan.reports.progress import Progress, progress_of
from huracan.reports.summary import read_summary

R = TypeVar("R")

NIGHTS: Final = 14
LARGEST_RECORD: Final = 1 << 20
LARGEST_SUMMARY: Final = 256 << 20
REPORT_FILES: Final = ("index.html", "plotly.min.js", "summary.json", "integrity.json")

_RUNS: Final = (
    "SELECT run_id, started_ms, finished_ms, status, facts, summary FROM runs ORDER BY started_ms DESC, run_id LIMIT ?"
)


class WorkdirReader:
    """Reads `LiveView`s; what did not change since the last reading is not read again. Never raises for what it finds
    there.
    """

    def __init__(
        self,
        workdir: Path,
        store: Path | None = None,
        trusted_root: Path | None = None,
        *,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.workdir = workdir.absolute()
        self.store = (store or workdir / "store").absolute()
        self._trusted_root = trusted_root or trusted_root_file()
        self._now_ms = now_ms
        self._known: dict[str, tuple[object, object]] = {}

    def view(self) -> LiveView:
        """The workdir as it is now."""
        problems: list[str] = []
        return LiveView(
            now_ms=self._now_ms(),
            workdir=str(self.workdir),
            progress=self._progress(problems),
            locked=self._locked(),
            summary=self._summary(problems),
            nights=self._nights(problems),
            store=self.store_state(),
            problems=tuple(problems),
        )

    def report_file(self, run_id: str, name: str) -> Path | None:
        """A file of a night's report, None for any other name; the run must be a plain folder of `reports/`."""
        if name not in REPORT_FILES or run_id in {"", ".", ".."} or "/" in run_id or "\0" in run_id:
            return None
        folder = self.workdir / "reports" / run_id
        file = folder / name
        return None if folder.is_symlink() or file.is_symlink() or not file.is_file() else file

    def _progress(self, problems: list[str]) -> Progress | None:
        return self._record(self.workdir / PROGRESS_FILE, _progress_in, problems)

    def _summary(self, problems: list[str]) -> NightSummary | None:
        files = sorted((self.workdir / "summaries").glob("*_summary*.json"))
        return self._record(files[-1], lambda data: read_summary(data).summary, problems) if files else None

    def _record(self, file: Path, of: Callable[[bytes], R], problems: list[str]) -> R | None:
        """The record of a file; None where there is none, or where it is damaged, with a sentence that says so."""

        def read() -> R:
            if file.stat().st_size > LARGEST_SUMMARY:
                raise ValueError(f"larger than {LARGEST_SUMMARY >> 20} MB")
            return of(file.read_bytes())

        try:
            return self._unless_known(str(file), _token(file), read)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            problems.append(f"{file.name} cannot be read: {error}")
            return None

    def _nights(self, problems: list[str]) -> tuple[NightLine, ...]:
        path = self.workdir / "ledger.sqlite"
        if not path.exists():
            return ()
        try:
            nights = _runs(path)
        except (sqlite3.DatabaseError, ValueError, KeyError, TypeError, AttributeError) as error:
            problems.append(f"ledger.sqlite cannot be read as a ledger ({error}); {BRING_LAST}")
            return ()
        return tuple(replace(one, page=self.report_file(one.run_id, "index.html") is not None) for one in nights)

    def _locked(self) -> bool | None:
        try:
            return lock_holder(self.store) is not None
        except OSError:
            return None

    def store_state(self) -> StoreState:
        """What the store serves, verified from the trusted root; why not, where it does not verify."""
        token = tuple(
            _token(file) for file in (self.store / TIMESTAMP_PATH, self._trusted_root, self.store / MIRRORS_FILE)
        )
        return self._unless_known("store", token, self._verified)

    def _verified(self) -> StoreState:
        place = str(self.store)
        if not (self.store / TIMESTAMP_PATH).exists():
            return StoreState(place=place)
        try:
            tree = verify_tree(self._read, self._trusted_root.read_bytes()[: MAX_ROLE + 1])
        except OSError as error:
            why = f"No trusted root at {self._trusted_root} ({error.strerror}): the set cannot be verified here."
            return StoreState(place=place, problem=why)
        except HuracanError as error:
            return StoreState(place=place, problem=f"{error.code}: {error}")
        if tree is None:
            return StoreState(place=place)
        current = tree.current
        members = [member.status for member in current.members.values()]
        return StoreState(
            place=place,
            version=current.version,
            run_id=current.run_id,
            signed_ms=current.signed_ms,
            expires_ms=tree.expires_ms,
            champions=members.count("champion"),
            candidates=members.count("candidate"),
            do_not_trade=len({block.coin for block in current.do_not_trade}),
            copies=self._copies(),
        )

    def _copies(self) -> tuple[tuple[str, str], ...]:
        """Remote stores and their publish states, as the last push noted them."""
        try:
            records = json.loads(self._read(MIRRORS_FILE, LARGEST_RECORD) or b"{}")
            return tuple((str(name), str(record["state"])) for name, record in sorted(records.items()))
        except (ValueError, TypeError, KeyError, AttributeError):
            return ()

    def _read(self, path: str, limit: int) -> bytes | None:
        try:
            with self.store.joinpath(*path.split("/")).open("rb") as stream:
                return stream.read(limit + 1)
        except FileNotFoundError:
            return None

    def _unless_known(self, name: str, token: object, read: Callable[[], R]) -> R:
        known = self._known.get(name)
        if known is None or known[0] != token or token is None:
            self._known[name] = known = (token, read())
        return cast("R", known[1])


def _token(file: Path) -> tuple[int, int, int] | None:
    """Changes when the file does; None where there is none."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _progress_in(data: bytes) -> Progress:
    body = json.loads(data)
    if isinstance(body, dict) and body.get("format") != PROGRESS_FORMAT:
        raise ValueError(f"it is not of the form {PROGRESS_FORMAT}; another version of Huracan wrote it")
    return progress_of(body)


def _runs(path: Path) -> list[NightLine]:
    """The newest runs of a ledger, opened read-only; raises sqlite3.DatabaseError for what is no ledger."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=2.0)) as connection:
        rows = connection.execute(_RUNS, (NIGHTS,)).fetchall()
    return [_run(row) for row in rows]


def _run(row: tuple[str, int, int | None, str, str, str | None]) -> NightLine:
    run_id, started, finished, status, facts, summary = row
    found = json.loads(summary) if summary else {}
    skips = found.get("skip_counts")
    now = str(json.loads(facts).get("now") or "")
    return NightLine(
        run_id=run_id,
        now=now[:16].replace("T", " "),
        started_ms=started,
        finished_ms=finished,
        status=status,
        dry_run=bool(found.get("dry_run")),
        reason=str(found.get("reason") or ""),
        champions=found.get("champions_count"),
        candidates=found.get("candidates_count"),
        skips=sum(skips.values()) if isinstance(skips, dict) else None,
    )


def newest_report(workdir: Path, run_id: str | None = None) -> Path | None:
    """The page of a run, by default of the night that wrote its page last; None where there is none."""
    reader = WorkdirReader(workdir)
    if run_id is not None:
        return reader.report_file(run_id, "index.html")
    pages = _pages(workdir)
    return pages[0].absolute() if pages else None


def run_ids(workdir: Path) -> list[str]:
    """Runs of a workdir that have a page, the newest first."""
    return [page.parent.name for page in _pages(workdir)]


def _pages(workdir: Path) -> list[Path]:
    pages = [file for file in (workdir / "reports").glob("*/index.html") if file.is_file()]
    return sorted(pages, key=lambda file: (file.stat().st_mtime_ns, file.parent.name), reverse=True)
