"""Ten judged nights with their signed sets, as small as they come: copies of the ledger and of the store after each."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from huracan.adapters.keys import KeySet, init_keys
from huracan.adapters.ledger import SqliteLedger
from huracan.adapters.publishers.folder import FolderStore
from huracan.adapters.publishers.sets import SetRun, publish_set
from huracan.promotion import LedgerState, NightContext, evaluate_night

FIRST_DAY = 20454
NOW = 1_770_000_000_000


@dataclass(frozen=True, kw_only=True)
class Row:
    """`ledgers[i]` and `stores[i]` are copies after i nights; the first ledger is empty, the first store holds no set."""

    keys: KeySet
    ledgers: list[Path]
    stores: list[Path]


def judged(ledger: SqliteLedger, day: int) -> None:
    """One night of a market in which nothing is tested: an entry of the chain all the same."""
    state = ledger.load_state()
    ledger.append_verdict(evaluate_night(state or LedgerState(), [], NightContext(day=day, stress_table={})))


def signed(ledger: SqliteLedger, store: FolderStore, keys: KeySet, night: int, *, named: bool = True) -> None:
    """That night's set, on the ledger's head; not `named` as versions signed it that knew of no head."""
    run_id = f"run-{night}"
    ledger.record_run(run_id, started_ms=NOW + night, facts={})
    facts = SetRun(run_id=run_id, data_cutoff_ms=NOW, ledger=ledger.head() if named else None)
    publish_set(store, keys, [], facts, wall_clock_ms=NOW + night)


def nights_in_a_row(folder: Path, nights: int, *, named: bool = True) -> Row:
    """The row, below a folder."""
    keys, ledgers, stores = init_keys(folder / "keys", None, wall_clock_ms=NOW), [], []
    live = folder / "live"
    for night in range(nights + 1):
        with FolderStore(live / "store") as store, SqliteLedger(live / "ledger.sqlite") as ledger:
            if night:
                judged(ledger, FIRST_DAY + night)
                signed(ledger, store, keys, night, named=named)
        copy = folder / f"after-{night}"
        shutil.copytree(live, copy)
        ledgers.append(copy / "ledger.sqlite")
        stores.append(copy / "store")
    return Row(keys=keys, ledgers=ledgers, stores=stores)


def pair(row: Row, ledger: Path | None, store: Path, folder: Path) -> Path:
    """A workdir with a copy of that ledger (None: without one) beside a copy of that store."""
    shutil.copytree(store, folder / "store")
    if ledger is not None:
        shutil.copy(ledger, folder / "ledger.sqlite")
    return folder
