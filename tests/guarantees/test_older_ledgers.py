"""Every ledger of a row of nights beside every store of the row: what is behind is refused, whoever asks, and nothing else is."""

import shutil

import pytest
from ledgers import FIRST_DAY, judged, nights_in_a_row, pair
from sizes import size

from huracan.adapters.ledger import SqliteLedger
from huracan.adapters.publishers.folder import FolderStore
from huracan.adapters.publishers.trees import signed_tree
from huracan.adapters.telemetry import RecordingTelemetry
from huracan.app.ledger_guard import adopt_store, open_ledger
from huracan.errors import ConfigError, LedgerBehindError
from huracan.operations.publish import rollback_store
from huracan.settings import Settings

NIGHTS = size(4, 10)
ABSENT = (None, "no bytes", "another workdir's")


@pytest.fixture(scope="module")
def row(tmp_path_factory):
    return nights_in_a_row(tmp_path_factory.mktemp("row"), NIGHTS)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """A ledger that is longer than any of the row."""
    path = tmp_path_factory.mktemp("foreign") / "ledger.sqlite"
    with SqliteLedger(path) as ledger:
        for night in range(NIGHTS + 2):
            judged(ledger, FIRST_DAY + 500 + night)
    return path


def refused(row, folder):
    """Whether a night beside that pair is refused, and a rollback with it; neither changes anything then."""
    environ = {"HURACAN_KEYS_DIR": str(row.keys.folder)}
    answers = set()
    try:
        with FolderStore(folder / "store") as store:
            open_ledger(folder / "ledger.sqlite", store, row.keys, RecordingTelemetry()).close()
        answers.add(False)
    except LedgerBehindError:
        answers.add(True)
    try:
        rollback_store(folder / "store", Settings(), RecordingTelemetry(), 1, environ, ledger=folder / "ledger.sqlite")
        answers.add(False)
    except LedgerBehindError:
        answers.add(True)
    except ConfigError:  # there is no set to roll back yet
        assert not (folder / "store" / "metadata").exists()
    (answer,) = answers
    return answer


@pytest.mark.slow
@pytest.mark.guarantee("R24", cases=(NIGHTS + 1) ** 2)
def test_every_prefix_of_a_ledger_is_refused_by_every_later_store_and_by_no_other(row, tmp_path):
    for nights, ledger in enumerate(row.ledgers):
        for sets, store in enumerate(row.stores):
            folder = pair(row, ledger, store, tmp_path / f"{nights}-{sets}")
            assert refused(row, folder) == (nights < sets), (nights, sets)
            shutil.rmtree(folder)


@pytest.mark.guarantee("R24", cases=len(ABSENT) * NIGHTS)
@pytest.mark.parametrize("kind", ABSENT)
def test_a_missing_empty_or_foreign_ledger_is_refused_by_every_store_with_a_set(row, foreign, tmp_path, kind):
    for sets, store in enumerate(row.stores):
        folder = pair(row, foreign if kind == ABSENT[2] else None, store, tmp_path / str(sets))
        if kind == ABSENT[1]:
            (folder / "ledger.sqlite").touch(mode=0o600)
        assert refused(row, folder) == (sets > 0), sets


@pytest.mark.guarantee("R24", cases=NIGHTS)
def test_after_an_adoption_the_pair_goes_on_and_the_store_before_it_still_tells_them_apart(row, tmp_path):
    environ = {"HURACAN_KEYS_DIR": str(row.keys.folder)}
    for nights in range(NIGHTS):
        folder = pair(row, row.ledgers[nights], row.stores[NIGHTS], tmp_path / str(nights))
        assert refused(row, folder)
        adopt_store(folder, "the newest copy is lost", environ)
        assert not refused(row, folder)
        with FolderStore(folder / "store") as store:
            tree = signed_tree(store, row.keys)
        assert tree is not None
        with SqliteLedger(folder / "ledger.sqlite") as ledger:
            assert [entry.set_version for entry in ledger.adoptions()] == [NIGHTS]
            assert ledger.head().number == nights + 1
