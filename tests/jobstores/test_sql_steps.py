"""The SQL store's steps: what is read and written for what, commits that fail, and others who are in the way."""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
import sqlalchemy as sa
from mainspring.jobstores import transitions
from mainspring.jobstores.base import ConflictingIdError, JobStoreError
from mainspring.jobstores.owner import Owner
from mainspring.jobstores.record import Record
from mainspring.jobstores.sharedstore import PAGE
from mainspring.jobstores.sql import database, sqlite
from mainspring.jobstores.sql.session import Session
from mainspring.jobstores.sql.sqlite import SQLite
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.jobstores.uncertain import UncertainWriteError

from tests.jobstores.driving import (
    LEASE,
    NOW,
    SECOND,
    StubScheduler,
    at,
    claim,
    claim_once,
    every,
    finish,
    ids_of,
    insert,
    key_of,
    micros,
    new_job,
    once,
    outcome_of,
    record_of,
    waiting_run,
)
from tests.jobstores.samples import vanishing_module


class Log:
    """The statements that reach the driver."""

    def __init__(self, engine: sa.Engine) -> None:
        self.statements: list[str] = []
        self.commits = 0
        sa.event.listen(engine, "before_cursor_execute", self._note)
        sa.event.listen(engine, "commit", self._committed)

    def _note(self, connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        self.statements.append(statement.split()[0])

    def _committed(self, connection: Any) -> None:
        self.commits += 1

    def taken(self) -> list[str]:
        """What has come since it was asked last."""
        taken, self.statements = self.statements, []
        return taken


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[], SQLAlchemyJobStore]]:
    stores = []

    def open_store() -> SQLAlchemyJobStore:
        store = SQLAlchemyJobStore(f"sqlite:///{tmp_path}/jobs.sqlite")
        store.own(Owner(), LEASE)
        store.start(StubScheduler(), "default")
        stores.append(store)
        return store

    yield open_store
    for store in stores:
        store.shutdown()


@pytest.fixture
def store(opened: Callable[[], SQLAlchemyJobStore]) -> SQLAlchemyJobStore:
    return opened()


@pytest.fixture
def log(store: SQLAlchemyJobStore) -> Log:
    return Log(store.engine)


# -- what is read and written --------------------------------------------------------------------------------------


def test_when_nothing_is_due_a_claim_is_one_read(store: SQLAlchemyJobStore, log: Log) -> None:
    insert(store, new_job("a", 5), new_job("b", 9, executor="other"), new_job("c", None))
    log.taken()
    assert claim_once(store, NOW, {"default": 5, "other": 5}).wake_at == micros(5)
    assert log.taken() == ["SELECT"]


def test_what_is_deferred_or_passed_over_takes_no_write_lock(store: SQLAlchemyJobStore, log: Log) -> None:
    with vanishing_module() as module:
        insert(store, *(new_job(f"{n}", 0, func=module.work, args=[[]]) for n in range(40)))
    log.taken()
    deferred = claim_once(store).deferred
    assert len(deferred) == 40
    assert {*log.taken()} == {"SELECT"}
    store.restore(deferred)
    log.taken()
    result = claim_once(store)
    assert (len(result.quarantined), result.wake_at, result.more) == (40, None, False)
    assert {*log.taken()} == {"SELECT"}


def test_a_batch_is_one_transaction(store: SQLAlchemyJobStore, log: Log) -> None:
    insert(store, *(new_job(f"{n}", 0, every(60)) for n in range(700)))
    assert log.commits == 1
    won = claim(store).claims
    assert (len(won), log.commits) == (700, 2)
    assert store.extend_leases([key_of(each) for each in won], NOW + 2 * LEASE) == []
    assert log.commits == 3
    finish(store, *won)
    assert log.commits == 4
    assert [record.runs for record in store.read_all()] == [()] * 700


def test_the_end_of_a_run_reads_nothing(store: SQLAlchemyJobStore, log: Log) -> None:
    insert(store, new_job("a", 0, every(60)), new_job("b", 0, once()))
    won = claim(store).claims
    log.taken()
    store.extend_leases([key_of(each) for each in won], NOW + 2 * LEASE)
    assert log.taken() == ["BEGIN", "UPDATE"]
    assert finish(store, *won).removed == ["b"]
    assert sorted(log.taken()) == ["BEGIN", "DELETE", "UPDATE"]
    assert ids_of(store) == ["a"]


def test_what_somebody_else_wrote_meanwhile_is_read_again(
    opened: Callable[[], SQLAlchemyJobStore],
) -> None:
    one, other = opened(), opened()
    insert(one, *(new_job(job_id, 0, every(60), max_instances=2) for job_id in ("a", "b")))
    first = claim(one).claims
    (second,) = claim(other, micros(60), {"default": 1}).claims
    assert second.record.id == "a"
    finish(one, *first)
    assert record_of(one, "a").runs == (second.run,)
    assert record_of(one, "b").runs == ()
    # That nothing is to be done is not believed of what is only remembered either.
    assert one.write("a", partial(_with_note, "x"))[1] is not None
    other.write("a", partial(_with_note, "y"))
    assert one.write("a", lambda record: None if record.reason == "x" else _with_note("z", record))[1]
    assert record_of(other, "a").reason == "z"


def _with_note(note: str, record: Record) -> Record:
    return replace(record, reason=note, stamp=f"{record.stamp}+")


def test_a_transition_that_fails_writes_nothing(store: SQLAlchemyJobStore, log: Log) -> None:
    insert(store, new_job("a", 0))

    def fail(record: Record) -> Record:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store._apply([("a", partial(_with_note, "x")), ("a", fail)])
    assert record_of(store, "a").reason is None
    assert log.commits == 1


def test_pages_of_one_moment_are_followed_to_their_end(store: SQLAlchemyJobStore) -> None:
    many = 2 * PAGE + 7
    insert(store, *(new_job(f"{n:04}", 0, every(60)) for n in range(many)), new_job("later", 1, every(60)))
    wanted = {"default": many + 9}
    seen = [record.id for record in _due(store, micros(2), 5)]
    assert seen == [f"{n:04}" for n in range(many)] + ["later"]
    result = claim(store, micros(2), wanted)
    assert [won.record.id for won in result.claims] == seen
    assert not result.more


def _due(store: SQLAlchemyJobStore, now: int, size: int) -> list[Record]:
    return store._database.reading(lambda session: [*store._table.due(session, "default", now, size)])


def test_what_the_engine_asks_all_the_time_uses_an_index(store: SQLAlchemyJobStore) -> None:
    sql = store._table._sql
    statements = [
        sql.due_after,
        sql.due_at,
        sql.leased,
        sql.overdue_executors,
        sql.read(False, 16),
        sql.write_pass,
    ]
    statements += [sql.first_wake(3), sql.next_wake(3), sql.delete]
    with store.engine.connect() as connection:
        for statement in statements:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", (0,) * statement.count("?"))
            steps = [row[3] for row in plan]
            # The recursion goes over its own rows, from one executor to the next.
            assert [step for step in steps if step.startswith("SCAN") and "mainspring" in step] == [], (
                statement
            )
            assert not any("TEMP B-TREE" in step for step in steps), statement


def test_a_damaged_row_stops_nobody_else(store: SQLAlchemyJobStore, caplog: pytest.LogCaptureFixture) -> None:
    insert(store, new_job("damaged", 0, every(60)), new_job("good", 0, every(60)))
    with store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE mainspring_jobs SET runs = '[{' WHERE id = 'damaged'")
    result = claim(store)
    assert ([won.record.id for won in result.claims], result.quarantined) == (["good"], ["damaged"])
    claim(store)
    assert caplog.text.count("The open runs of job 'damaged' cannot be read") == 1
    assert sorted(job.id for job in store.get_all_jobs()) == ["damaged", "good"]
    # Whoever edits it gives it open runs that can be read.
    job = store.lookup_job("damaged")
    assert job is not None
    store.update_job(job)
    assert [won.record.id for won in claim(store).claims] == ["damaged"]
    store.remove_job("damaged")


# -- a commit that fails -------------------------------------------------------------------------------------------


@pytest.fixture
def failing_commit(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the next commit raise, after it was done or in place of it."""

    def arrange(done: bool) -> None:
        commit = SQLite.commit

        def fail(self: SQLite, session: Session) -> None:
            monkeypatch.setattr(SQLite, "commit", commit)
            if done:
                commit(self, session)
            raise sa.exc.OperationalError("COMMIT", None, sqlite3.OperationalError("disk I/O error"))

        monkeypatch.setattr(SQLite, "commit", fail)

    return arrange


def _add(store: SQLAlchemyJobStore) -> None:
    insert(store, new_job("new", 0), new_job("newer", 0))


def _edit(store: SQLAlchemyJobStore) -> None:
    store.write("a", partial(_with_note, "x"))


def _remove(store: SQLAlchemyJobStore) -> None:
    store.remove_job("a")


def _run(store: SQLAlchemyJobStore) -> None:
    assert sorted(won.record.id for won in claim(store).claims) == ["a", "b"]


@pytest.mark.parametrize("operation", [_add, _edit, _remove, _run])
def test_a_commit_that_fails_is_accounted_for(
    store: SQLAlchemyJobStore, failing_commit: Callable[..., None], operation: Callable[..., None]
) -> None:
    insert(store, new_job("a", 0, every(60)), new_job("b", 0, every(60)))
    before = sorted(store.read_all(), key=lambda record: record.id)
    failing_commit(done=False)
    with pytest.raises(JobStoreError, match="disk I/O error") as raised:
        operation(store)
    assert raised.type is JobStoreError  # it is certain that nothing was written
    assert sorted(store.read_all(), key=lambda record: record.id) == before
    failing_commit(done=True)
    operation(store)
    assert sorted(store.read_all(), key=lambda record: record.id) != before


@pytest.mark.parametrize("done", [False, True])
def test_ends_of_runs_whose_commit_failed(
    store: SQLAlchemyJobStore, failing_commit: Callable[..., None], done: bool
) -> None:
    insert(store, new_job("a", 0, every(60)), new_job("one-off", 0, once()))
    won = claim(store).claims
    failing_commit(done=done)
    if not done:
        with pytest.raises(JobStoreError):
            finish(store, *won)
        assert len(ids_of(store)) == 2
    assert finish(store, *won).removed == ["one-off"]
    assert ids_of(store) == ["a"]
    assert record_of(store, "a").runs == ()


@pytest.mark.parametrize("done", [False, True])
def test_claims_of_an_unknown_fate_are_given_back_when_the_store_answers_again(
    store: SQLAlchemyJobStore,
    failing_commit: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    done: bool,
) -> None:
    insert(store, new_job("a", 0, every(60)), new_job("b", 0, once()))
    failing_commit(done=done)
    failing, reading = SQLite.commit, SQLite.reading

    def unreachable(self: SQLite) -> Any:
        if SQLite.commit is failing:  # it is still to come
            return reading(self)
        raise sa.exc.OperationalError("SELECT", None, sqlite3.OperationalError("gone"))

    monkeypatch.setattr(SQLite, "reading", unreachable)
    with pytest.raises(UncertainWriteError, match=r"disk I/O error.*gone"):
        claim(store)
    with pytest.raises(JobStoreError, match="gone"):
        claim(store)
    monkeypatch.setattr(SQLite, "reading", reading)
    result = claim(store)
    assert sorted(won.record.id for won in result.claims) == ["a", "b"]
    assert {record.id: len(record.runs) for record in store.read_all()} == {"a": 1, "b": 1}
    assert finish(store, *result.claims).removed == ["b"]


def test_whatever_would_tell_was_written_by_others_since(
    store: SQLAlchemyJobStore, opened: Callable[[], SQLAlchemyJobStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(store, new_job("a", 0, every(60)))
    other = opened()

    def fail(self: SQLite, session: Session) -> None:
        monkeypatch.undo()
        session.connection.commit()
        other.write("a", partial(_with_note, "x"))
        raise sa.exc.OperationalError("COMMIT", None, sqlite3.OperationalError("disk I/O error"))

    monkeypatch.setattr(SQLite, "commit", fail)
    with pytest.raises(UncertainWriteError, match="others have since written"):
        store.write("a", partial(_with_note, "mine"))


# -- others in the way ---------------------------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 1)
    monkeypatch.setattr(database, "_PAUSES", (0.001, 0.001, None))


@pytest.mark.usefixtures("impatient")
def test_a_locked_database_is_waited_for_within_bounds(store: SQLAlchemyJobStore, tmp_path: Path) -> None:
    insert(store, new_job("a", 0))
    with sqlite3.connect(tmp_path / "jobs.sqlite", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JobStoreError, match="database is locked"):
            insert(store, new_job("b", 0))
        assert ids_of(store) == ["a"]  # readers are not in anybody's way
        other.execute("ROLLBACK")
    other.close()
    insert(store, new_job("b", 0))


def test_it_goes_on_when_the_lock_is_free(
    store: SQLAlchemyJobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(store, new_job("a", 0))
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 1)
    store.shutdown()
    store.start(None, "default")  # with connections that give up at once
    other = sqlite3.connect(tmp_path / "jobs.sqlite", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    met = Event()

    def refused(pause: float) -> None:
        met.set()
        assert free.wait(10)

    free = Event()
    monkeypatch.setattr(database, "sleep", refused)
    adding = Thread(target=insert, args=(store, new_job("b", 0)))
    adding.start()
    assert met.wait(10)
    other.execute("ROLLBACK")
    other.close()
    free.set()
    adding.join(10)
    assert ids_of(store) == ["a", "b"]


# -- adding --------------------------------------------------------------------------------------------------------


def test_all_are_added_or_none(store: SQLAlchemyJobStore, log: Log) -> None:
    insert(store, new_job("7", 0))
    log.taken()
    with pytest.raises(ConflictingIdError) as raised:
        insert(store, *(new_job(f"{n}", 0) for n in range(600)))
    assert raised.value.job_id == "7"
    assert ids_of(store) == ["7"]
    assert "INSERT" not in log.taken()


def test_a_one_off_that_still_runs_does_not_keep_its_id(store: SQLAlchemyJobStore) -> None:
    insert(store, new_job("a", 0, once(), args=[1]))
    (won,) = claim(store).claims
    insert(store, new_job("b", 9), new_job("a", 5, once(5), args=[2]))
    assert [run.incarnation for run in record_of(store, "a").runs] == [won.record.incarnation]
    finish(store, won)
    (again,) = claim(store, micros(5)).claims
    assert again.job.args == (2,)


# -- recovery ------------------------------------------------------------------------------------------------------


def test_the_search_for_what_is_expired_is_bounded(
    store: SQLAlchemyJobStore, opened: Callable[[], SQLAlchemyJobStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    gone: set[str] = set()
    asked = []

    def is_gone(owner: str) -> bool:
        asked.append(owner)
        return owner in gone

    monkeypatch.setattr("mainspring.jobstores.sharedstore.is_gone", is_gone)
    other = opened()
    insert(store, *(new_job(f"{n}", 0, every(600)) for n in range(3)), new_job("overdue", 0, executor="x"))
    claim(other, NOW, {"default": 2})
    claim(store, NOW, {"default": 2})
    assert store._expired(NOW) == []
    assert asked == [other.owner.name]  # once, and not for its own
    gone.add(other.owner.name)
    assert store._expired(NOW + SECOND) == []  # it has just looked
    assert sorted(store._expired(NOW + 6 * SECOND)) == ["0", "1"]
    gone.clear()
    assert store._expired(NOW + LEASE) == []
    late = NOW + LEASE + transitions.RECOVERY_MARGIN
    assert sorted(store._expired(late)) == ["0", "1"]
    assert sorted(store._expired(late + 1)) == ["0", "1"]  # what is overdue is seen at every pass
    # A new boot looks at once, and takes what its predecessor has left.
    store.own(Owner(), LEASE)
    assert sorted(store._expired(late + 2)) == ["0", "1", "2"]


def test_get_due_jobs_and_the_next_run_time(store: SQLAlchemyJobStore) -> None:
    assert store.get_next_run_time() is None
    insert(store, new_job("b", 5), new_job("a", 5), new_job("c", 4), new_job("d", 6), new_job("paused"))
    store.write("d", lambda record: transitions.seal(transitions.with_runs(record, (waiting_run(1),)), "x"))
    assert [job.id for job in store.get_due_jobs(at(5))] == ["c", "a", "b"]
    assert store.get_next_run_time() == at(4)


def test_outcomes_of_runs_that_are_not_there_write_nothing(store: SQLAlchemyJobStore, log: Log) -> None:
    insert(store, new_job("a", 0, every(60)))
    (won,) = claim(store).claims
    finish(store, won)
    commits = log.commits
    store.finish_runs([outcome_of(won), replace(outcome_of(won), job_id="nobody")])
    assert log.commits == commits
