"""What MariaDB and MySQL answer beside the contract of all stores: one suite for both."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, TypeAlias
from uuid import uuid4

import pymysql
import pytest
import sqlalchemy as sa
from mainspring.jobstores import edits
from mainspring.jobstores.base import ConflictingIdError, JobStoreError, StoreUnreachableError
from mainspring.jobstores.sql import mysql as dialect_module
from mainspring.jobstores.sql.session import OvertakenError
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore

from tests.jobstores.contract import JobStoreContract
from tests.jobstores.contract_base import NewStore, OpenStore
from tests.jobstores.driving import (
    NOW,
    claim,
    every,
    finish,
    ids_of,
    insert,
    micros,
    new_job,
    once,
    record_of,
    waiting_run,
)
from tests.jobstores.mysql_server import (
    connected,
    kill_connections_of,
    loosen,
    lose_answers,
    rows_read,
    settings_of,
    wait_for_a_waiting_one,
)

Trips: TypeAlias = "list[str]"


class MySQLContract(JobStoreContract):
    """A test file brings the fixture `url`."""

    @pytest.fixture
    def table(self, url: str) -> Iterator[str]:
        """The name of a table of the test's own."""
        name = f"jobs_{uuid4().hex}"
        yield name
        with connected(url) as connection:
            connection.execute(f"DROP TABLE IF EXISTS {name}, {name}_schema")

    @pytest.fixture
    def new_store(self, url: str, table: str) -> NewStore:
        return lambda: SQLAlchemyJobStore(url, tablename=table)

    @pytest.fixture
    def trips(self, monkeypatch: pytest.MonkeyPatch) -> Trips:
        """What is sent to the server from now on: each is a round trip."""
        sent: list[str] = []
        original = pymysql.connections.Connection._execute_command  # type: ignore[attr-defined]

        def execute(self: Any, command: Any, sql: Any) -> Any:
            sent.append(sql.decode() if isinstance(sql, bytes) else sql)
            return original(self, command, sql)

        monkeypatch.setattr(pymysql.connections.Connection, "_execute_command", execute)
        return sent

    # -- what is stored ------------------------------------------------------------------------------------------------

    def test_ids_that_look_alike_are_different_ids(self, store: Any) -> None:
        ids = [
            "a",
            "A",
            "a ",
            "a  ",
            " a",
            "á",
            "a\u0301",
            "\u00e1 ",
            "ß",
            "ss",
            "😀",
            "😁",
            "a\0",
            "a\t",
            "'",
            '"',
            "\\",
            "%s",
            "ı",
            "i",
        ]
        insert(store, *[new_job(job_id, 0, every(60), name=job_id) for job_id in ids])
        assert ids_of(store) == sorted(ids)
        with pytest.raises(ConflictingIdError):
            insert(store, new_job("A", 0))
        claims = claim(store).claims
        assert sorted((won.record.id, won.job.name) for won in claims) == sorted(zip(ids, ids, strict=True))
        finish(store, *claims)
        assert {record.id: record.runs for record in store.read_all()} == dict.fromkeys(ids, ())
        store.remove_job("a ")
        assert ids_of(store) == sorted({*ids} - {"a "})
        assert store.lookup_job("a ") is None

    def test_executors_that_look_alike_are_different_ones(self, store: Any) -> None:
        for alias in ("x", "X", "x ", "ẍ"):
            insert(store, new_job(f"of {alias}", 0, executor=alias))
        assert [won.record.id for won in claim(store, wanted={"x": 10}).claims] == ["of x"]
        assert store.overdue_executors(NOW) == {"X", "x ", "ẍ"}

    def test_an_id_that_is_too_long_is_refused_and_not_cut_off(self, store: Any) -> None:
        insert(store, new_job("ä" * 255, 0))
        with pytest.raises(JobStoreError, match="Data too long"):
            insert(store, new_job("b" * 256, 0))
        assert ids_of(store) == ["ä" * 255]

    def test_a_payload_of_a_megabyte_comes_back(self, store: Any) -> None:
        text = "ü😀'\\\"%" * 150_000
        insert(store, new_job("a", 0, every(60), args=[text]), new_job("b", 0, args=[text[:100_000]]))
        job = store.lookup_job("a")
        assert job.args == (text,)
        job._modify(args=["x", text])
        store.update_job(job)
        assert {won.record.id: won.job.args for won in claim(store).claims} == {
            "a": ("x", text),
            "b": (text[:100_000],),
        }

    def test_a_payload_that_no_packet_holds_is_refused_before_the_server_hangs_up(self, store: Any) -> None:
        insert(store, new_job("a", 0, every(60)))
        store._database.dialect._largest = 2_000_000
        with pytest.raises(
            JobStoreError, match=r"1000\d\d\d bytes is too large .* takes 2000000 bytes.*max_allowed_packet"
        ):
            insert(store, new_job("fits", 0), new_job("b", 0, args=["x" * 1_000_000]))
        job = store.lookup_job("a")
        job._modify(args=["x" * 1_000_000])
        with pytest.raises(JobStoreError, match="too large"):
            store.update_job(job)
        assert ids_of(store) == ["a"]
        insert(store, new_job("b", 0, args=["x" * 900_000]))

    def test_a_batch_may_be_larger_than_a_packet(self, store: Any) -> None:
        backlog = every(1, first=-900)
        insert(store, *[new_job(f"{n}", -900, backlog, coalesce=False) for n in range(120)])
        claims = claim(store).claims
        assert len(claims) == 120
        assert {len(won.run.fire_times) for won in claims} == {901}
        stored = {record.id: record.runs for record in store.read_all()}
        assert stored == {won.record.id: (won.run,) for won in claims}
        finish(store, *claims)
        assert {record.runs for record in store.read_all()} == {()}

    def test_large_numbers_come_back_as_they_are(self, store: Any) -> None:
        insert(store, *[new_job(f"{n}", 0, once(0)) for n in range(10)])
        before = {record.id: record for record in store.read_all()}
        for n in range(10):
            store.write(f"{n}", lambda record: edits.run_now(record, waiting_run(2**63 - 1), "by hand"))
        after = {record.id: record for record in store.read_all()}
        assert {record.runs[0].run for record in after.values()} == {2**63 - 1}
        assert [before[job_id].revision for job_id in before] == [after[job_id].revision for job_id in before]

    # -- its own connections ---------------------------------------------------------------------------------------------

    def test_its_connections_are_told_what_it_needs(self, store: Any) -> None:
        assert settings_of(store.engine) == {
            "autocommit": 1,
            "sql_mode": "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION",
            "innodb_lock_wait_timeout": 2,
        }

    def test_the_server_tells_its_time_in_utc(self, store: Any, url: str) -> None:
        time = store.server_time()
        with connected(url) as connection:
            connection.execute("SELECT UNIX_TIMESTAMP()")
            ((there,),) = connection.fetchall()
        assert abs(time / 1_000_000 - there) < 5

    def test_a_look_is_one_round_trip_and_a_pass_three(self, store: Any, trips: Trips) -> None:
        insert(store, *[new_job(f"{n}", 5, every(60, 5)) for n in range(50)])
        claim(store, micros(0))
        trips.clear()
        assert claim(store, micros(0)).wake_at == micros(5)
        assert len(trips) == 1
        claims = claim(store, micros(5)).claims  # which restores the jobs, too
        finish(store, *claims)
        trips.clear()
        claims = claim(store, micros(65)).claims
        assert len(claims) == 50
        assert len(trips) == 2
        finish(store, *claims)
        assert len(trips) == 3
        trips.clear()
        insert(store, new_job("one more", 5))
        assert len(trips) == 2
        trips.clear()
        store.lookup_job("one more")
        store.get_next_run_time()
        assert len(trips) == 2

    def test_a_look_reads_what_is_due_and_not_what_is_there(self, store: Any, url: str) -> None:
        insert(store, *[new_job(f"later{n}", 600) for n in range(1_500)])
        insert(store, *[new_job(f"paused{n}") for n in range(1_500)])
        insert(store, new_job("elsewhere", 0, executor="elsewhere"))
        store.overdue_executors(NOW)
        with connected(url) as connection:
            connection.execute("ANALYZE TABLE " + store._schema.records.name)
        before = rows_read(store.engine)
        assert claim(store).wake_at == micros(600)
        assert store.overdue_executors(NOW) == {"elsewhere"}
        assert store.recover(NOW) == []
        assert rows_read(store.engine) - before < 50

    def test_a_connection_that_the_server_has_ended_is_replaced_unnoticed(self, store: Any, url: str) -> None:
        insert(store, new_job("a", 0))
        for operation in (lambda: ids_of(store), lambda: insert(store, new_job("b", 0))):
            kill_connections_of(store, url)
            operation()
        assert ids_of(store) == ["a", "b"]

    # -- who comes second ------------------------------------------------------------------------------------------------

    def test_a_claim_passes_over_what_others_have_locked(self, store: Any, url: str, table: str) -> None:
        insert(store, *[new_job(job_id, 0, every(60)) for job_id in "abc"])
        claims = claim(store).claims
        finish(store, *claims)
        with connected(url) as other:
            other.execute("BEGIN")
            other.execute(f"SELECT * FROM {table} WHERE id = 'b' FOR UPDATE")
            result = claim(store, micros(60))
            assert sorted(won.record.id for won in result.claims) == ["a", "c"]
            assert result.wake_at is not None
            assert result.wake_at < micros(61)  # it looks again soon
        assert [won.record.id for won in claim(store, micros(60)).claims] == ["b"]

    def test_of_two_that_wait_for_each_other_the_store_gives_way_and_tries_again(
        self, store: Any, url: str, table: str
    ) -> None:
        insert(store, new_job("a", 0, every(60)), new_job("b", 0, every(60)))
        with connected(url) as other, ThreadPoolExecutor(1) as threads:
            other.execute("BEGIN")
            other.execute(f"UPDATE {table} SET reason = 'x' WHERE id = 'b'")
            changes = [(job_id, lambda record: edits.run_now(record, waiting_run(7), "s")) for job_id in "ab"]
            writing = threads.submit(store._apply, changes)
            wait_for_a_waiting_one(url)
            other.execute(f"UPDATE {table} SET reason = 'x' WHERE id = 'a'")
            other.execute("COMMIT")
            assert len(writing.result(30)) == 2
        for job_id in "ab":
            record = record_of(store, job_id)
            assert (record.reason, record.runs[0].run) == ("x", 7)

    def test_all_or_nothing_of_a_batch_is_written(self, store: Any, open_store: OpenStore) -> None:
        other = open_store()
        insert(store, *[new_job(f"{n}", 0, every(60)) for n in range(6)])
        claims = claim(store).claims
        stamps = {record.id: record.stamp for record in store.read_all()}
        statement = store._table._sql.write_runs
        rows = [(None, None, "new", None, job_id, stamp) for job_id, stamp in sorted(stamps.items())]
        rows[3] = (*rows[3][:-1], "another stamp")
        for size in (3, 6):
            batch = {statement: rows[6 - size :]}
            with pytest.raises(OvertakenError):
                other._database.writing(lambda session, batch=batch: (session.write(batch), {}))
            assert {record.id: record.stamp for record in store.read_all()} == stamps
        finish(store, *claims)

    # -- a commit whose answer gets lost -----------------------------------------------------------------------------------

    @pytest.mark.parametrize("written", [True, False])
    def test_whether_a_lost_commit_was_done_is_read_back(
        self, store: Any, written: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        insert(store, *[new_job(f"{n}", 0, every(60)) for n in range(5)])
        finish(store, *claim(store).claims)
        lose_answers(monkeypatch, written)
        if written:
            assert len(claim(store, micros(60)).claims) == 5
        else:
            with pytest.raises(StoreUnreachableError, match="Lost connection"):
                claim(store, micros(60))
        monkeypatch.undo()
        assert len(claim(store, micros(60)).claims) == (0 if written else 5)

    def test_a_commit_that_is_still_on_its_way_is_waited_for(self, store: Any, url: str, table: str) -> None:
        insert(store, new_job("a", 0))
        with connected(url) as late, ThreadPoolExecutor(1) as threads:
            late.execute("BEGIN")
            late.execute(f"UPDATE {table} SET stamp = 'late' WHERE id = 'a'")
            late.execute(
                f"INSERT INTO {table} SELECT NULL, 'b', incarnation, executor, wake_at, next_run_time, fire_time, state, runs, lease_at, revision, 'late', payload, reason, forgotten, version FROM {table} WHERE id = 'a'"
            )
            asked = threads.submit(
                store._database.reading, lambda session: store._table.stamps(session, ["a", "b"])
            )
            wait_for_a_waiting_one(url)
            late.execute("COMMIT")
            assert asked.result(30) == {"a": "late", "b": "late"}

    # -- the tables ------------------------------------------------------------------------------------------------------

    def test_those_who_start_at_once_make_the_tables_once(self, new_store: NewStore) -> None:
        together = Barrier(5)

        def start(_: int) -> Any:
            store = new_store()
            together.wait(10)
            store.start(None, "default")
            return store

        with ThreadPoolExecutor(5) as threads:
            stores = list(threads.map(start, range(5)))
        for n, store in enumerate(stores):
            insert(store, new_job(f"{n}", 5))
        assert ids_of(stores[0]) == ["0", "1", "2", "3", "4"]
        for store in stores:
            store.shutdown()

    def test_whoever_finds_the_tables_half_made_makes_the_rest(
        self, store: Any, url: str, table: str, open_store: OpenStore
    ) -> None:
        with connected(url) as connection:
            connection.execute(f"DROP TABLE {table}")
            connection.execute(f"UPDATE {table}_schema SET version = -1000")
        other = open_store()
        insert(other, new_job("a", 0))
        assert ids_of(other) == ["a"]

    def test_a_server_that_is_too_old_is_refused(
        self, new_store: NewStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(dialect_module, "_MARIADB", (99, 1))
        monkeypatch.setattr(dialect_module, "_MYSQL", (99, 1))
        with pytest.raises(JobStoreError, match=r"needs (MariaDB|MySQL) 99\.1 or later.*; this is \d+\.\d+"):
            new_store().start(None, "default")

    # -- an engine of the caller's ---------------------------------------------------------------------------------------

    @pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE", "AUTOCOMMIT"])
    def test_an_engine_of_the_callers_is_left_as_it_is(
        self, url: str, table: str, store: Any, level: Any
    ) -> None:
        engine = sa.create_engine(url, isolation_level=level, pool_size=1, max_overflow=0)
        sa.event.listen(engine, "connect", loosen)
        before = settings_of(engine)
        mine = SQLAlchemyJobStore(engine=engine, tablename=table)
        mine.start(None, "default")
        insert(store, *[new_job(f"{n}", 0, every(60)) for n in range(6)])
        assert len(ids_of(mine)) == 6
        with pytest.raises(JobStoreError, match="Data too long"):
            insert(mine, new_job("b" * 256, 0))
        finish(mine, *claim(mine).claims)
        assert settings_of(engine) == before
        insert(store, new_job("another", 0))
        assert len(ids_of(mine)) == 7  # what is read is what is there now
        mine.shutdown()
        with engine.connect() as connection:
            assert connection.scalar(sa.text("SELECT 1")) == 1
        engine.dispose()

    def test_connections_that_speak_something_else_are_refused(self, url: str) -> None:
        store = SQLAlchemyJobStore(url + "?charset=latin1")
        with pytest.raises(JobStoreError, match=r"utf8mb4, and not latin1: add \?charset=utf8mb4"):
            store.start(None, "default")
