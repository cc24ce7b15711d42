"""PostgreSQL: what a step costs, and two that meet."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from threading import Barrier, Event
from time import monotonic
from typing import Any

import psycopg
import pytest
from mainspring.jobstores.base import ConflictingIdError, JobStoreError
from mainspring.jobstores.job import Job
from mainspring.jobstores.record import Decision, Due, Record
from mainspring.jobstores.sql.pgsession import PostgreSQLSession
from mainspring.jobstores.sql.pgstatements import PostgreSQLStatements
from mainspring.jobstores.sql.postgresql import PostgreSQL
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.scheduler.decision import decide
from psycopg import sql

from tests.jobstores.driving import (
    LEASE,
    NOW,
    SECOND,
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
    record_of,
)
from tests.jobstores.on_postgresql import Open, Sent, ask, stores, table_of_its_own
from tests.jobstores.samples import vanishing_module
from tests.servers import Server


@pytest.fixture
def table(postgresql: Server) -> Iterator[str]:
    with table_of_its_own(postgresql.url) as name:
        yield name


@pytest.fixture
def opened(postgresql: Server, table: str) -> Iterator[Open]:
    with stores(postgresql.url, table) as open_store:
        yield open_store


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    return Sent(monkeypatch)


# -- what it costs -------------------------------------------------------------------------------------------------


def test_a_look_at_idle_jobs_is_one_round_trip(opened: Open, sent: Sent) -> None:
    store = opened(push=False)
    insert(store, *(new_job(f"{n}", 60 + n, executor="default" if n % 2 else "other") for n in range(400)))
    sent.taken()
    assert claim_once(store, NOW, {"default": 5, "other": 5}).wake_at == micros(60)
    assert sent.taken() == [["SELECT"]]


def test_a_due_run_is_three_round_trips(opened: Open, sent: Sent) -> None:
    store = opened(push=False)
    insert(store, new_job("a", 0, every(60)))
    finish(store, *claim(store).claims)
    sent.taken()
    # It is known when it is due, so nothing is looked for.
    (won,) = claim_once(store, micros(60)).claims
    assert sent.taken() == [["BEGIN", "SELECT", "SELECT", "SELECT FOR UPDATE"], ["UPDATE", "COMMIT"]]
    finish(store, won)
    assert sent.taken() == [["BEGIN", "UPDATE", "COMMIT"]]


def test_adding_is_two_round_trips_with_what_it_tells_the_others(opened: Open, sent: Sent) -> None:
    store = opened(push=False)
    store._push = True
    sent.taken()
    insert(store, *(new_job(f"{n}", 5) for n in range(300)))
    assert sent.taken() == [["BEGIN", "SELECT", "SELECT FOR UPDATE"], ["NOTIFY", "INSERT", "COMMIT"]]


def test_a_batch_takes_no_more(opened: Open, sent: Sent) -> None:
    store = opened(push=False)
    insert(store, *(new_job(f"{n}", 0, every(60)) for n in range(300)), new_job("one-off", 0, once()))
    won = claim(store).claims
    assert len(won) == 301
    sent.taken()
    assert store.extend_leases([key_of(each) for each in won], NOW + 2 * LEASE) == []
    assert sent.taken() == [["BEGIN", "UPDATE", "COMMIT"]]
    assert finish(store, *won).removed == ["one-off"]
    # Two statements: the rows are locked first, all in one order.
    (trip,) = sent.taken()
    assert (trip[:2], sorted(trip[2:])) == (["BEGIN", "SELECT FOR UPDATE"], ["COMMIT", "DELETE", "UPDATE"])


def test_what_is_passed_over_for_ever_is_not_locked_at_each_look(opened: Open, sent: Sent) -> None:
    store = opened(push=False)
    with vanishing_module() as module:
        insert(store, *(new_job(f"{n}", 0, func=module.work, args=[[]]) for n in range(40)))
    store.restore(claim_once(store).deferred)
    sent.taken()
    for _ in range(2):
        result = claim_once(store)
        assert (len(result.quarantined), result.wake_at, result.more) == (40, None, False)
        assert {word for trip in sent.taken() for word in trip} == {"SELECT"}


def test_what_others_wrote_is_read_again(opened: Open, sent: Sent) -> None:
    one, other = opened(push=False), opened(push=False)
    insert(one, *(new_job(job_id, 0, every(60), max_instances=2) for job_id in ("a", "b")))
    first = claim(one).claims
    (second,) = claim(other, micros(60), {"default": 1}).claims
    sent.taken()
    finish(one, *first)
    assert [len(trip) for trip in sent.taken()] == [3, 1, 2, 2]
    assert (record_of(one, "a").runs, record_of(one, "b").runs) == ((second.run,), ())


@pytest.mark.parametrize("analysed", [False, True])
def test_every_question_finds_its_rows_by_an_index(
    opened: Open, postgresql: Server, table: str, analysed: bool
) -> None:
    store = opened(push=False)
    # Plans are made once and kept; those made for an empty table have to be good for a full one.
    sql = store._table._sql
    assert isinstance(sql, PostgreSQLStatements)
    insert(store, *(new_job(f"{n}", n, every(60)) for n in range(3_000)))
    claim_once(store, NOW + 500 * SECOND)
    if analysed:
        ask(postgresql.url, f"ANALYZE {table}")
    questions = [
        sql.due_after, sql.due_at, sql.claim_after, sql.claim_at, sql.count_due, sql.leased, sql.overdue_executors,
        *(next(sql.by_ids(["a", "b"], *how))[0] for how in ((True, False), (False, False), (False, True))), sql.first_wake(2), sql.next_wake(2),
        sql.write_pass, sql.write_runs, sql.write_edit, sql.write_edit_and_payload, sql.delete,
    ]  # fmt: skip
    questions += [sql.lock, sql.notify]
    for question in questions:
        plan = _plan(store, question)
        assert "Seq Scan" not in plan, plan
        assert not re.search(r"Sort Key: (?!.*\bid\b)", plan), plan


def _plan(store: SQLAlchemyJobStore, statement: str) -> str:
    many = max(int(number) for number in re.findall(r"\$(\d+)", statement))
    with store._database.dialect.reading() as session:
        session.rows(f"PREPARE question AS {statement}")
        nothing = ", ".join(["NULL"] * many)
        lines = [row[0] for row in session.rows(f"EXPLAIN EXECUTE question({nothing})")]
        session.rows("DEALLOCATE question")
    return "\n".join(lines)


def test_text_that_postgresql_cannot_keep_is_refused(opened: Open) -> None:
    store = opened()
    insert(store, new_job('quoted " \\ {,} NULL \N{SNOWMAN}', 0), new_job("NULL", 0))
    assert sorted(won.record.id for won in claim(store).claims) == [
        "NULL",
        'quoted " \\ {,} NULL \N{SNOWMAN}',
    ]
    for job_id in ("cut\0off", "half a character \ud800"):
        with pytest.raises(JobStoreError):
            insert(store, new_job(job_id, 0))
        with pytest.raises(JobStoreError):
            store.lookup_job(job_id)
    assert len(ids_of(store)) == 2


# -- two that meet -------------------------------------------------------------------------------------------------


class Held:
    """A claim that stops in the middle of its step, with its rows locked."""

    def __init__(self, store: SQLAlchemyJobStore, rows: int) -> None:
        self._store, self._rows = store, rows
        self.holds, self._go_on = Event(), Event()

    def claim(self) -> list[str]:
        result = self._store.claim_due(NOW, {"default": self._rows}, self._decide)
        return [won.record.id for won in result.claims]

    def release(self) -> None:
        self._go_on.set()

    def _decide(self, record: Record, job: Job, due: Due | None) -> Decision:
        self.holds.set()
        assert self._go_on.wait(10)
        return decide(record, job, NOW, self._store.owner.random, due)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def _known(store: SQLAlchemyJobStore) -> None:
    """Let it restore the jobs, and know that something will be due."""
    store.restore(store.read_all())
    claim_once(store, NOW - 1)


def test_two_claims_at_once_share_nothing_and_wait_for_nothing(
    opened: Open, threads: ThreadPoolExecutor
) -> None:
    one, other = opened(), opened()
    insert(one, *(new_job(f"{n}", 0, every(60)) for n in range(10)))
    _known(one)
    _known(other)
    held = Held(one, 4)
    first = threads.submit(held.claim)
    assert held.holds.wait(10)
    result = claim_once(other, NOW, {"default": 20})
    # The claim has read one row more than it had room for.
    assert [won.record.id for won in result.claims] == ["5", "6", "7", "8", "9"]
    # What was locked is looked at again soon.
    assert NOW < (result.wake_at or 0) < NOW + SECOND
    held.release()
    assert first.result(10) == ["0", "1", "2", "3"]
    assert [won.record.id for won in claim_once(other).claims] == ["4"]


def test_what_stays_locked_is_looked_at_ever_less_often(opened: Open, threads: ThreadPoolExecutor) -> None:
    one, other = opened(), opened()
    insert(one, new_job("a", 0, every(60)))
    _known(one)
    _known(other)
    held = Held(one, 4)
    first = threads.submit(held.claim)
    assert held.holds.wait(10)
    pauses = [(claim_once(other).wake_at or 0) - NOW for _ in range(9)]
    assert pauses == [20_000 << min(turn, 6) for turn in range(9)]
    held.release()
    assert first.result(10) == ["a"]
    assert claim_once(other).wake_at == NOW + LEASE  # when the lease of the run would end


def test_an_edit_waits_for_the_claim_and_comes_after_it(opened: Open, threads: ThreadPoolExecutor) -> None:
    one, other = opened(), opened()
    insert(one, new_job("a", 0, every(60)))
    _known(one)
    held = Held(one, 4)
    first = threads.submit(held.claim)
    assert held.holds.wait(10)
    edit = threads.submit(other.write, "a", lambda record: replace(record, reason="edited", stamp="edit"))
    held.release()
    assert first.result(10) == ["a"]
    before, _ = edit.result(10)
    assert len(before.runs) == 1
    record = record_of(one, "a")
    assert (record.reason, len(record.runs)) == ("edited", 1)


def test_a_lock_that_is_not_given_back_is_waited_for_within_bounds(
    opened: Open, threads: ThreadPoolExecutor
) -> None:
    one, other = opened(), opened(timeout=1.0)
    insert(one, new_job("a", 0, every(60)))
    _known(one)
    held = Held(one, 4)
    first = threads.submit(held.claim)
    assert held.holds.wait(10)
    with pytest.raises(JobStoreError, match="lock timeout"):
        other.remove_job("a")
    held.release()
    assert first.result(10) == ["a"]
    other.remove_job("a")


def test_a_claim_that_stands_still_for_too_long_loses_its_locks(
    opened: Open, threads: ThreadPoolExecutor
) -> None:
    one, other = opened(timeout=1.0), opened()
    insert(one, new_job("a", 0, every(60)))
    _known(one)
    held = Held(one, 4)
    first = threads.submit(held.claim)
    assert held.holds.wait(10)
    other.remove_job("a")  # after a second
    held.release()
    with pytest.raises(JobStoreError):
        first.result(10)
    assert ids_of(one) == []


def test_an_id_that_two_add_at_once_is_given_to_one(opened: Open, threads: ThreadPoolExecutor) -> None:
    one, other = opened(), opened()
    together = Barrier(2)

    def add(store: SQLAlchemyJobStore, number: int) -> bool:
        together.wait(10)
        try:
            insert(store, new_job(f"both {number}", 0), new_job(f"{store.owner.name} {number}", 0))
        except ConflictingIdError as error:
            return error.job_id != f"both {number}"
        return True

    for number in range(20):
        added = [*threads.map(partial(add, number=number), (one, other))]
        assert sorted(added) == [False, True]
    assert len(ids_of(one)) == 40


def test_the_end_of_a_run_finds_the_job_that_was_added_in_its_place_meanwhile(
    opened: Open, postgresql: Server, table: str, threads: ThreadPoolExecutor
) -> None:
    one, adds, finishes = opened(), opened(), opened()  # the last one knows no record, and reads it
    insert(one, new_job("a", 0, once()))
    (claimed,) = claim(one).claims
    with psycopg.connect(postgresql.url.replace("+psycopg", "", 1)) as holder:
        holder.execute(sql.SQL("SELECT id FROM {} FOR UPDATE").format(sql.Identifier(table)))
        added = threads.submit(insert, adds, new_job("a", 5, once(5)))
        _wait_for_waiting(postgresql, 1)
        finished = threads.submit(finish, finishes, claimed)
        _wait_for_waiting(postgresql, 2)
    added.result(10)
    finished.result(10)
    record = record_of(one, "a")
    assert (record.state, record.next_run_time, record.runs) == ("active", micros(5), ())


def _wait_for_waiting(postgresql: Server, number: int) -> None:
    """Until so many sessions wait for somebody's lock."""
    deadline = monotonic() + 10
    question = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    while ask(postgresql.url, question) != [(number,)]:
        assert monotonic() < deadline


def test_the_slower_of_two_adders_finds_out_at_the_commit(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = opened(), opened()
    commit = PostgreSQLSession.commit

    def late(session: PostgreSQLSession) -> None:
        monkeypatch.undo()
        insert(other, new_job("a", 0))
        commit(session)

    monkeypatch.setattr(PostgreSQLSession, "commit", late)
    with pytest.raises(ConflictingIdError):
        insert(one, new_job("b", 0), new_job("a", 0))
    assert ids_of(one) == ["a"]


def test_those_who_lock_the_same_rows_never_wait_for_each_other_crosswise(
    opened: Open, postgresql: Server, threads: ThreadPoolExecutor
) -> None:
    ids = [f"{n}" for n in range(30)]
    insert(opened(), *(new_job(job_id, 900, every(60)) for job_id in ids))
    together = Barrier(4)
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    before = ask(postgresql.url, deadlocks)

    def write(number: int) -> None:
        store = opened()
        order = ids if number % 2 else ids[::-1]
        for turn in range(15):
            if turn % 5 == 0:
                together.wait(10)
            stamp = store.owner.stamp()
            store._apply([(job_id, partial(_stamped, stamp)) for job_id in order])

    [*threads.map(write, range(4))]
    assert ask(postgresql.url, deadlocks) == before


def _stamped(stamp: str, record: Record) -> Record:
    return replace(record, stamp=stamp)


@pytest.mark.parametrize("error", ["LockNotAvailable", "DeadlockDetected", "SerializationFailure"])
def test_what_passes_is_tried_again(opened: Open, monkeypatch: pytest.MonkeyPatch, error: str) -> None:
    """Failures that the server tells of at the commit: nothing was written, and nobody has to find that out."""
    store = opened()
    commit = PostgreSQL.commit
    failed: list[Exception] = []

    def fail(self: PostgreSQL, session: Any) -> None:
        if len(failed) < 2:
            failed.append(getattr(psycopg.errors, error)("not now"))
            raise failed[-1]
        commit(self, session)

    monkeypatch.setattr(PostgreSQL, "commit", fail)
    insert(store, new_job("a", 0))
    assert (len(failed), ids_of(store)) == (2, ["a"])
