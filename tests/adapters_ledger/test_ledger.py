"""The SQLite ledger: what was appended comes back, nothing can be changed, and a damaged file is refused."""

import errno
import os
import sqlite3
import stat
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from huracan.adapters.ledger import SqliteLedger
from huracan.adapters.ledger_runs import RunRecord
from huracan.domain.frames import DAILY_SCHEMA
from huracan.domain.recipe import EngineUse, Recipe
from huracan.errors import DiskFullError, LedgerError
from huracan.promotion import LedgerState, NightContext, PoolEvidence, evaluate_night
from huracan.promotion.hypothesis import seal
from huracan.training.jobs import TrainingJob

DAY = 20454
TABLE = {"kind": "world", "factor_bps": 800.0, "idio_bps": 1400.0, "one_pair_bps": 4000.0}


def evidence(days, *, name="linear", sharpe=1.5, seed=0, horizon="1h"):
    net = 20.0 * (np.random.default_rng(seed).standard_normal(150).clip(-4, 4)[:days] + sharpe)
    columns = {column: np.zeros(days) for column in DAILY_SCHEMA}
    columns |= {"day": np.arange(DAY, DAY + days), "net_bps": net, "exposure": np.full(days, 0.5)}
    columns["valid"] = np.ones(days, dtype=bool)
    return PoolEvidence(
        pool="um-A",
        tier="A",
        market="um",
        horizon=horizon,
        recipe=Recipe(name=name, engines=(EngineUse(name="trend"),), feature_recipe="core", seen=()),
        members=tuple("ABCDEFGHIJ"),
        daily=pl.DataFrame(columns, schema=DAILY_SCHEMA),
        net_cap=0.05,
        gross_cap=0.1,
    )


def verdict_of(state, days):
    pools = [
        evidence(days),
        evidence(days, name="boosted", sharpe=0.2, seed=1),
        evidence(days, horizon="4h", sharpe=0.0),
    ]
    return evaluate_night(state, pools, NightContext(day=DAY + days - 1, stress_table=TABLE))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def filled(path):
    with SqliteLedger(path) as ledger:
        ledger.append_verdict(verdict_of(LedgerState(), 85))
        ledger.append_verdict(verdict_of(ledger.load_state(), 87))
    return path


def tamper(path, *statements):
    with sqlite3.connect(path) as connection:
        for name in [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]:
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            assert connection.execute(statement).rowcount
    connection.close()


def load(path):
    with SqliteLedger(path) as ledger:
        return ledger.load_state()


def test_a_new_ledger_is_empty_and_private(path):
    with SqliteLedger(path) as ledger:
        assert ledger.load_state() == LedgerState()
        ledger.append_verdict(verdict_of(LedgerState(), 85))
        for file in (path, *path.parent.glob("*-wal")):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
        settings = [
            ledger._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
        ]
    assert settings == ["wal", 2]


def test_nights_come_back_exactly_as_they_were_judged(path):
    with SqliteLedger(path) as ledger:
        state = LedgerState()
        for days in (85, 86, 90):
            verdict = verdict_of(state, days)
            ledger.append_verdict(verdict)
            state = ledger.load_state()
            assert state == verdict.state
        assert [event.reason for event in ledger.champions()] == ["promoted"]
    assert load(path) == state


def test_a_night_judged_again_writes_nothing(filled):
    with SqliteLedger(filled) as ledger:
        before = ledger._connection.execute("SELECT count(*) FROM nights").fetchone()
        ledger.append_verdict(verdict_of(ledger.load_state(), 87))
        assert ledger._connection.execute("SELECT count(*) FROM nights").fetchone() == before


def test_a_night_without_news_still_moves_the_judged_day(filled):
    with SqliteLedger(filled) as ledger:
        ledger.append_verdict(evaluate_night(ledger.load_state(), [], NightContext(day=DAY + 90, stress_table=TABLE)))
        assert ledger.load_state().evaluated_day == DAY + 90


def test_the_same_night_from_an_old_state_is_refused_whole(filled):
    with SqliteLedger(filled) as ledger:
        state = ledger.load_state()
        for days in (85, 88):
            with pytest.raises(LedgerError, match=r"stays as it is|does not follow"):
                ledger.append_verdict(verdict_of(LedgerState(), days))
        assert ledger.load_state() == state


def test_a_replayed_row_an_edited_row_and_a_reused_gamma_are_refused(filled):
    with SqliteLedger(filled) as ledger:
        state = ledger.load_state()
        verdict = verdict_of(state, 88)
        row = verdict.rows[0]
        old = state.records[row.lineage_id].rows[-1]
        stolen = replace(next(iter(state.records.values())).lineage, opening=7)
        for forged, said in (
            (replace(verdict, rows=(old,)), "does not follow"),
            (replace(verdict, rows=(replace(row, net_bps=999.0),)), "not sealed"),
            (replace(verdict, rows=(seal(row, "0" * 64),)), "does not follow"),
            (replace(verdict, rows=(), lineages=(stolen,)), "UNIQUE constraint failed: lineages.cohort, lineages.slot"),
            (replace(verdict, rows=(), events=state.champions), "champions"),
        ):
            with pytest.raises(LedgerError, match=said):
                ledger.append_verdict(forged)
        assert ledger.load_state() == state
        ledger.append_verdict(verdict)
        assert ledger.load_state() == verdict.state


@pytest.mark.parametrize("table", ["lineages", "lineage_rows", "champions", "nights", "trials"])
@pytest.mark.parametrize(
    "statement", ["DELETE FROM {0}", "UPDATE {0} SET rowid = rowid", "REPLACE INTO {0} SELECT * FROM {0}"]
)
def test_evidence_tables_refuse_update_delete_and_replace(filled, table, statement):
    if table == "lineage_rows":
        statement = statement.replace("rowid", "day")
    with SqliteLedger(filled) as ledger, pytest.raises(sqlite3.IntegrityError, match=f"{table} is append-only"):
        ledger._connection.execute(statement.format(table))


@pytest.mark.parametrize(
    "statement",
    [
        f"UPDATE lineage_rows SET body = replace(body, '\"observed\":4', '\"observed\":5') WHERE day = {DAY + 40}",
        f"UPDATE lineage_rows SET day = 1 WHERE day = {DAY + 40}",
        f"DELETE FROM lineage_rows WHERE day = {DAY + 86}",
        f"DELETE FROM lineage_rows WHERE day = {DAY + 40}",
        "UPDATE lineages SET body = replace(body, '\"gamma\":0.1', '\"gamma\":0.9')",
        "UPDATE lineages SET body = replace(body, '\"epoch\":0', '\"epoch\":5')",
        "UPDATE champions SET body = replace(body, 'promoted', 'demoted')",
        "DELETE FROM champions",
        "UPDATE champions SET body = '{}'",
        "UPDATE nights SET day = day + 1",
        "DELETE FROM nights WHERE number = 2",
        "DELETE FROM nights WHERE number = 1",
        "UPDATE nights SET entries = '{'",
        "DELETE FROM trials",
        "INSERT INTO trials VALUES ('forged', 'um-A', '1h')",
        'INSERT INTO unfreezes (body) VALUES (\'{"day":1,"note":"x","pool":"um-A"}\')',
        "UPDATE lineage_rows SET body = '{\"day\": 1}'",
        "UPDATE lineages SET lineage_id = 'other' WHERE rowid = 1",
    ],
)
def test_every_change_behind_our_back_is_found(filled, statement):
    load(filled)
    tamper(filled, statement)
    with pytest.raises(LedgerError, match=r"edited|damaged|missing"):
        load(filled)


def test_a_pool_is_unfrozen_only_with_a_note(filled):
    with SqliteLedger(filled) as ledger:
        with pytest.raises(LedgerError, match="only with a note"):
            ledger.unfreeze("um-A", day=DAY + 86, note="  ")
        entry = ledger.unfreeze("um-A", day=DAY + 86, note="venue outage", signature="ab12")
        state = ledger.load_state()
    assert state.unfreezes == (entry,)
    assert state.evaluated_day == DAY + 86


def test_trials_are_registered_once_and_for_ever(filled):
    with SqliteLedger(filled) as ledger:
        known = ledger.load_state().trials
        assert ledger.record_trials([("searched", "um-A", "1h"), *known]) == 1
        assert ledger.record_trials([("searched", "um-A", "1h")]) == 0
        state = ledger.load_state()
    assert state.trials == known | {("searched", "um-A", "1h")}
    assert state.evaluated_day == DAY + 86


def test_runs_and_jobs_are_kept_with_their_attempts(path):
    job = TrainingJob(coin="BTC", horizon="*")
    with SqliteLedger(path) as ledger:
        ledger.record_run("r1", started_ms=5, facts={"config": "abc"})
        ledger.record_attempt(job, 1)
        ledger.record_attempt(job, 2)
        job.status, job.error, job.error_code, job.attempts = "failed", "killed", "WORKER_LOST", 2
        ledger.note_end(job, job.error_code, job.error)
        assert ledger.attempts("r1")[1].status == "pending"
        ledger.flush_jobs()
        assert ledger.runs()[0].status == "running"
        ledger.finish_run("r1", finished_ms=9, status="done", summary={"champions": 3})
        (run,) = ledger.runs()
        attempts = ledger.attempts("r1")
    assert run == RunRecord(
        run_id="r1",
        started_ms=5,
        finished_ms=9,
        status="done",
        facts={"config": "abc"},
        summary={"champions": 3},
    )
    assert [(one.attempt, one.status, one.error_code) for one in attempts] == [
        (1, "pending", None),
        (2, "failed", "WORKER_LOST"),
    ]


def test_starts_that_cost_a_worker_or_were_never_heard_of_again_are_remembered_over_runs(path):
    poison, killed, fine = (TrainingJob(coin=coin, horizon="*") for coin in ("POISON", "KILLED", "FINE"))
    for number in range(3):
        with SqliteLedger(path) as ledger:
            ledger.record_run(f"r{number}", started_ms=number, facts={})
            for job in (fine, poison, killed):
                job.status, job.attempts = "pending", 1
                ledger.record_attempt(job, 1)
            fine.status = "completed"
            ledger.note_end(fine, None, None)
            ledger.note_end(poison, "WORKER_LOST", "gone")
            ledger.flush_jobs()
    with SqliteLedger(path) as ledger:
        assert ledger.past_starts(0) == {poison.job_id: (3, 0), killed.job_id: (0, 3), fine.job_id: (0, 0)}
        assert ledger.past_starts(2) == {poison.job_id: (1, 0), killed.job_id: (0, 1), fine.job_id: (0, 0)}
        assert ledger.past_starts(3) == {}


def test_the_hash_of_what_a_job_wrote_is_known_from_when_it_is_told_and_by_its_own_key_alone(path):
    with SqliteLedger(path) as ledger:
        ledger.record_run("r1", started_ms=1, facts={})
        assert ledger.artefact("train/a/result.json") is None
        ledger.note_artefact("train/a/result.json", "1" * 64)
        assert ledger.artefact("train/a/result.json") == "1" * 64
        ledger.flush_jobs()
    with SqliteLedger(path) as ledger:
        assert ledger.artefact("train/a/result.json") == "1" * 64
        assert ledger.artefact("train/b/result.json") is None
        ledger.note_artefact("train/a/result.json", "2" * 64)
        assert ledger.artefact("train/a/result.json") == "2" * 64


def test_hashes_are_kept_of_the_open_run_and_the_finished_one_before_it(path):
    with SqliteLedger(path) as ledger:
        for number, status in enumerate(("finished", "finished", "refused", "running")):
            ledger.record_run(f"r{number}", started_ms=number, facts={})
            ledger.note_artefact(f"train/of-r{number}/result.json", str(number) * 64)
            ledger.note_artefact("prior/of-all", "a" * 64)
            ledger.flush_jobs()
            if status != "running":
                ledger.finish_run(f"r{number}", finished_ms=number, status=status, summary={})
        ledger.record_run("r3", started_ms=3, facts={})
        assert ledger.keep_artefacts(2) == {"train/of-r1/result.json", "train/of-r3/result.json", "prior/of-all"}
        assert ledger.artefact("train/of-r0/result.json") is None


def test_a_ledger_of_before_hashes_opens_and_knows_no_artefact(filled):
    tamper(filled, "DROP TABLE artefacts")
    before = load(filled)
    with SqliteLedger(filled) as ledger:
        assert ledger.artefact("train/a/result.json") is None
        ledger.note_artefact("train/a/result.json", "1" * 64)
        ledger.flush_jobs()
    assert load(filled) == before


def test_a_run_that_never_began_cannot_end(path):
    with SqliteLedger(path) as ledger, pytest.raises(LedgerError, match="never recorded"):
        ledger.finish_run("r9", finished_ms=1, status="done", summary={})


def test_a_crash_in_the_middle_leaves_the_night_before(filled, monkeypatch):
    with SqliteLedger(filled) as ledger:
        state = ledger.load_state()
        monkeypatch.setattr(ledger, "_append_entry", lambda *_a, **_k: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            ledger.append_verdict(verdict_of(state, 88))
    assert load(filled) == state


def test_a_full_disk_says_so_and_changes_nothing(filled):
    with SqliteLedger(filled) as ledger:
        state = ledger.load_state()
        pages = ledger._connection.execute("PRAGMA page_count").fetchone()[0]
        ledger._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(DiskFullError, match="no space left"):
            ledger.append_verdict(verdict_of(state, 150))
        assert ledger.load_state() == state


def test_another_writer_is_waited_for_and_then_named(filled):
    other = sqlite3.connect(filled, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with SqliteLedger(filled) as ledger:
        ledger._connection.execute("PRAGMA busy_timeout = 1")
        with pytest.raises(LedgerError, match="locked"):
            ledger.record_run("r1", started_ms=1, facts={})
    other.close()


def test_what_is_no_ledger_is_refused(tmp_path):
    noise, foreign, link, shared = (tmp_path / name for name in ("noise", "foreign", "link", "shared"))
    noise.write_bytes(os.urandom(8_192))
    noise.chmod(0o600)
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    foreign.chmod(0o600)
    link.symlink_to(foreign)
    shared.touch()
    shared.chmod(0o666)
    for case, said in (
        (noise, "cannot be read as a ledger"),
        (foreign, "is no ledger of version"),
        (link, "cannot be opened"),
        (shared, "written by others"),
        (tmp_path, "cannot be opened"),
    ):
        with pytest.raises(LedgerError, match=said):
            SqliteLedger(case)


def test_damaged_pages_are_noticed_on_opening_or_loading(filled):
    size = filled.stat().st_size
    with filled.open("r+b") as file:
        for offset in range(4_096 + 100, size, 4_096):
            file.seek(offset)
            file.write(b"\xff" * 600)
    with pytest.raises(LedgerError, match=r"damaged|cannot be read|edited"):
        load(filled)


def test_a_full_disk_is_no_damage_to_the_ledger(tmp_path, monkeypatch):
    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(DiskFullError, match="free some space"):
        SqliteLedger(tmp_path / "ledger.sqlite")


def test_a_log_that_cannot_be_made_beside_the_ledger_is_a_full_disk(tmp_path):
    SqliteLedger(tmp_path / "ledger.sqlite").close()
    for name in ("-wal", "-shm"):
        (tmp_path / f"ledger.sqlite{name}").mkdir()
    with pytest.raises(DiskFullError, match="cannot be opened"):
        SqliteLedger(tmp_path / "ledger.sqlite")
