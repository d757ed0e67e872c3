"""A workdir made up for the page, and the page's server on a port of its own."""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from huracan.adapters.dashboard import Access, WorkdirReader, checked_access

HOSTILE = "<script>alert('x')</script>"
NON_ASCII = "币安人生"


def progress(**changes):
    """A record as a night in its second step writes it."""
    return {
        "format": "huracan-progress/1",
        "state": "running",
        "run_id": "run-1",
        "pid": 1,
        "started_ms": 1_700_000_000_000,
        "updated_ms": 1_700_000_060_000,
        "backend": "asyncio",
        "workers": 2,
        "members": 21,
        "pairs": 26,
        "retried": 1,
        "failed": 0,
        "code": None,
        "error": None,
        "stages": [
            {"name": "universe", "started_ms": 1_700_000_000_000, "ended_ms": 1_700_000_002_000},
            {"name": "ingest", "started_ms": 1_700_000_002_000, "done": 14, "total": 21},
        ],
        "running": [{"coin": NON_ASCII, "wave": "ingest", "attempt": 2, "since_ms": 1_700_000_050_000}],
        "recent": [{"event": "job_retried", "at_ms": 1_700_000_050_000, "coin": HOSTILE, "code": "WORKER_LOST"}],
        **changes,
    }


def summary(**changes):
    """A summary with names that want to be code."""
    skip = {"horizon": "1h", "step": 1, "code": "ILLIQUID", "reason": "too little is traded", "measured": 1.0}
    evidence = {
        "pool": "um-A", "horizon": "1h", "recipe": "linear", "status": "open", "e": 14.2, "needed": 120.0,
        "bound_over_sd": 9.4, "nights_until_decidable": 83.4, "observed_days": 85, "history_days": 85, "live_days": 0,
    }  # fmt: skip
    return {
        "run_id": "run-0",
        "data_cutoff": "2026-05-01T00:00:00Z",
        "verdict": "Nothing is proven yet.",
        "coin_universe_size": 26,
        "coins_processed": 20,
        "champions_count": 1,
        "candidates_count": 30,
        "skipped_count": 2,
        "errors": [],
        "cache": {"hits": 3, "total": 40},
        "evidence": [evidence],
        "champions": [{"coin": HOSTILE, "horizon": "1h", "edge_after_cost_bps": 12.5, "status": "kept", "metrics": {}}],
        "skipped": [{**skip, "coin": NON_ASCII}, {**skip, "coin": HOSTILE, "reason": HOSTILE}],
        **changes,
    }


def ledger_of_another_kind(path: Path) -> None:
    """An SQLite file that is no ledger."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE birds (name TEXT)")
        connection.commit()


@contextlib.contextmanager
def served(reader: WorkdirReader, access: Access | None = None) -> Iterator[str]:
    """The dashboard in a thread; yields its URL."""
    import uvicorn

    from huracan.adapters.dashboard.server import listening, server_config

    access = access or checked_access(host="127.0.0.1", port=0)
    socket = listening(access)
    server = uvicorn.Server(server_config(reader, access))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]})
    thread.start()
    try:
        yield f"{'https' if access.tls_cert else 'http'}://127.0.0.1:{socket.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        socket.close()
