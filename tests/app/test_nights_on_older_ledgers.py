"""Whole nights beside a ledger that is not theirs, and nights that died between the ledger and the pointer."""

import shutil
from types import SimpleNamespace

import pytest
from nights import (
    in_this_process,
    later,
    ledger_rows,
    night_settings,
    run_pipeline,
    small_world,
    tree_hashes,
    trust_variables,
    variables,
)

from huracan.adapters.ledger import SqliteLedger
from huracan.cli.upkeep import adopt_ledger
from huracan.errors import DiskFullError
from huracan.hamilton import FolderSource, HamiltonInterface
from huracan.worlds.exchange import ReplayExchange

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    """Two nights, then each kind of wrong ledger, an adoption, and a night that dies before its pointer moves."""
    folder, seen = tmp_path_factory.mktemp("older"), SimpleNamespace()
    workdir, world = folder / "workdir", small_world(coins=4)
    ledger = workdir / "ledger.sqlite"

    def night(days, **changes):
        with ReplayExchange(later(world, days), stress_file=folder / "stress.json") as exchange:
            return run_pipeline(folder, night_settings(exchange.urls, **changes))[0]

    with in_this_process():
        seen.first = night(-2)
        older = shutil.copy(ledger, folder / "older.sqlite")
        seen.second = night(-1)
        newest = shutil.copy(ledger, folder / "newest.sqlite")
        seen.store = tree_hashes(workdir / "store")
        shutil.copy(older, ledger)
        seen.rows_before = ledger_rows(ledger)
        seen.older, seen.rehearsed = night(0), night(0, training__dry_run=True)
        seen.rows_after = ledger_rows(ledger)
        ledger.unlink()
        seen.missing, seen.made = night(0), ledger.exists()
        ledger.touch(mode=0o600)
        seen.empty = night(0)
        seen.store_refused = tree_hashes(workdir / "store")
        shutil.copy(older, ledger)
        with variables(trust_variables(folder)):
            seen.adopted = adopt_ledger(workdir, "the newest copy is lost", as_json=True)
        seen.after_adoption = night(0)
        shutil.copy(newest, ledger)  # of before the adoption: another ledger by now
        seen.unadopted = night(1)
    seen.folder = folder
    return seen


def test_nights_on_a_whole_ledger_are_fine(nights):
    assert nights.first["success"]
    assert nights.second["success"]


@pytest.mark.parametrize("kind", ["older", "missing", "empty", "rehearsed", "unadopted"])
def test_a_night_on_the_wrong_ledger_is_refused_before_anything_is_asked(nights, kind):
    result = getattr(nights, kind)
    assert (result["success"], result["code"]) == (False, "LEDGER_BEHIND")
    assert "huracan ledger adopt" in result["error"]
    assert result["exception"].exit_status == 3


def test_a_refused_night_changes_neither_ledger_nor_store(nights):
    assert nights.rows_after == nights.rows_before
    assert not nights.made
    changed = {path for path, data in nights.store_refused.items() if nights.store.get(path) != data}
    assert changed <= {".lock"}


def test_after_an_adoption_nights_go_on(nights):
    assert nights.adopted == 0
    assert nights.after_adoption["success"], nights.after_adoption.get("error")


@pytest.fixture(scope="module")
def died(tmp_path_factory):
    """A night that dies after its verdict is in the ledger and before the pointer moves, and the run after it."""
    folder, seen = tmp_path_factory.mktemp("died"), SimpleNamespace()
    workdir = folder / "workdir"

    def full(*_args, **_more):
        raise DiskFullError("no space left for the new set")

    with in_this_process(), ReplayExchange(small_world(coins=4), stress_file=folder / "stress.json") as exchange:
        settings = night_settings(exchange.urls)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("huracan.app.release.publish_set", full)
            seen.died = run_pipeline(folder, settings)[0]
        with SqliteLedger(workdir / "ledger.sqlite") as ledger:
            seen.ahead = ledger.head()
        seen.after = run_pipeline(folder, settings)[0]
        with SqliteLedger(workdir / "ledger.sqlite") as ledger:
            seen.head = ledger.head()
    with variables(trust_variables(folder)):
        source = FolderSource(workdir / "store")
        hamilton = HamiltonInterface(source=source)
        hamilton.get_members()
        seen.set = hamilton._serve().champions.tree.current
    return seen


def test_a_night_that_died_before_its_pointer_is_finished_by_the_next_run(died):
    assert (died.died["success"], died.died["code"]) == (False, "DISK_FULL")
    assert died.ahead.number == 2  # the verdict, and the list of records
    assert died.after["success"], died.after.get("error")
    assert died.head == died.ahead  # judged once, and the same records
    assert died.set.ledger == died.head
