"""The SQL store on a server that it knows nothing of, forced on SQLite: each row is won or lost by the stamp that was read."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from mainspring.jobstores import edits
from mainspring.jobstores.base import ConflictingIdError, JobStoreError, StoreUnreachableError
from mainspring.jobstores.sql import dialects
from mainspring.jobstores.sql.comparing import Comparing, ComparingSession, ComparingStatements
from mainspring.jobstores.sql.schema import Schema
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from sqlalchemy.dialects import mssql, oracle, postgresql
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from tests.jobstores.contract import JobStoreContract
from tests.jobstores.contract_base import NewStore, OpenStore
from tests.jobstores.driving import (
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


@pytest.fixture(autouse=True)
def _an_unknown_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(dialects.DIALECTS, "sqlite")


@pytest.fixture
def new_store(tmp_path: Path) -> NewStore:
    return lambda: SQLAlchemyJobStore(f"sqlite:///{tmp_path}/jobs.sqlite")


class TestComparing(JobStoreContract):
    @pytest.fixture
    def new_store(self, tmp_path: Path) -> NewStore:
        return lambda: SQLAlchemyJobStore(f"sqlite:///{tmp_path}/jobs.sqlite")


class TestWithDriversThatDoNotCount(JobStoreContract):
    """Those that do not say of several rows how many were written."""

    @pytest.fixture
    def new_store(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NewStore:
        monkeypatch.setattr(SQLiteDialect_pysqlite, "supports_sane_multi_rowcount", False)
        return lambda: SQLAlchemyJobStore(f"sqlite:///{tmp_path}/jobs.sqlite")


class TestRaces:
    """One comes between what the other has read and what it writes."""

    @pytest.fixture
    def open_store(self, new_store: NewStore) -> Iterator[OpenStore]:
        opened: list[Any] = []

        def open_store() -> Any:
            store = new_store()
            store.start(None, "default")
            opened.append(store)
            return store

        yield open_store
        for store in opened:
            store.shutdown()

    @pytest.fixture
    def two(self, open_store: OpenStore) -> tuple[Any, Any]:
        one, other = open_store(), open_store()
        assert isinstance(one._database.dialect, Comparing)
        insert(one, *[new_job(job_id, 0, every(60)) for job_id in "abcd"])
        for store in (one, other):
            finish(
                store, *claim(store, micros(60 if store is other else 0)).claims
            )  # both have restored the jobs
        return one, other

    def interrupted(
        self, store: Any, what: Callable[[], object], monkeypatch: pytest.MonkeyPatch, times: int = 1
    ) -> list[object]:
        """Have `what` done when the store has read and is about to write, so many times."""
        came: list[object] = []
        write, write_won = store._table.write, store._table.write_won

        def first(then: Callable[..., Any]) -> Callable[..., Any]:
            def after(*arguments: Any) -> Any:
                if len(came) < times:
                    came.append(None)
                    came[-1] = what()
                return then(*arguments)

            return after

        monkeypatch.setattr(store._table, "write", first(write))
        monkeypatch.setattr(store._table, "write_won", first(write_won))
        return came

    def test_what_another_has_claimed_in_between_is_lost_and_the_rest_is_won(
        self, two: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, other = two
        came = self.interrupted(one, lambda: claim(other, micros(120), {"default": 2}).claims, monkeypatch)
        result = claim(one, micros(120))
        theirs = [won.record.id for won in came[0]]  # type: ignore[attr-defined]
        ours = [won.record.id for won in result.claims]
        assert (len(theirs), len(ours)) == (2, 2)
        assert sorted(theirs + ours) == ["a", "b", "c", "d"]
        assert {record.id: record.runs[0].owner for record in one.read_all()} == {
            **dict.fromkeys(theirs, other.owner.name),
            **dict.fromkeys(ours, one.owner.name),
        }
        assert result.wake_at is not None
        assert result.wake_at < micros(121)  # what was lost is looked at again soon
        finish(one, *result.claims)
        finish(other, *came[0])  # type: ignore[misc]
        assert {record.runs for record in one.read_all()} == {()}

    def test_all_of_a_claim_may_be_lost(self, two: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
        one, other = two
        came = self.interrupted(one, lambda: claim(other, micros(120)).claims, monkeypatch)
        assert claim(one, micros(120)).claims == []
        assert len(came[0]) == 4  # type: ignore[arg-type]

    def test_of_a_job_that_is_removed_or_edited_in_between_nothing_is_won(
        self, two: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, other = two

        def edit() -> None:
            other.remove_job("a")
            other.write("b", lambda record: waiting(record, 7))

        self.interrupted(one, edit, monkeypatch)
        assert sorted(won.record.id for won in claim(one, micros(120)).claims) == ["c", "d"]
        assert ids_of(one) == ["b", "c", "d"]
        assert [run.run for run in record_of(one, "b").runs] == [7]
        assert [won.run.run for won in claim(one, micros(120)).claims if won.run.kind == "now"]

    def test_an_edit_is_done_again_on_what_is_there_by_then(
        self, two: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, other = two
        one._recent.clear()
        self.interrupted(one, lambda: other.write("a", lambda record: waiting(record, 1)), monkeypatch)
        one.write("a", lambda record: waiting(record, 2))
        assert [run.run for run in record_of(one, "a").runs] == [1, 2]

    def test_an_edit_that_is_always_overtaken_ends_with_an_error(
        self, two: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, other = two
        numbers = iter(range(10, 1_000))
        self.interrupted(
            one, lambda: other.write("a", lambda record: waiting(record, next(numbers))), monkeypatch, 1_000
        )
        with pytest.raises(JobStoreError, match="changed faster than they can be written"):
            one.write("a", lambda record: waiting(record, 2))
        assert 2 not in [run.run for run in record_of(one, "a").runs]

    def test_of_several_ends_in_one_write_none_is_written_by_half(
        self, two: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, other = two
        claims = claim(one, micros(120)).claims
        self.interrupted(one, lambda: other.write("d", lambda record: waiting(record, 9)), monkeypatch)
        finish(one, *claims)
        left = {record.id: [run.run for run in record.runs] for record in one.read_all()}
        assert left == {"a": [], "b": [], "c": [], "d": [9]}

    def test_of_two_that_add_the_same_id_one_is_told(
        self, two: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, other = two
        self.interrupted(one, lambda: insert(other, new_job("x", 0, name="theirs")), monkeypatch)
        with pytest.raises(ConflictingIdError):
            insert(one, new_job("y", 0), new_job("x", 0, name="ours"))
        assert ids_of(one) == ["a", "b", "c", "d", "x"]
        assert one.lookup_job("x").name == "theirs"

    def test_a_refusal_by_the_server_is_tried_again(
        self, two: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, _ = two

        def refuse() -> None:
            class RefusedError(sqlite3.OperationalError):
                sqlstate = "40001"

            raise RefusedError("so")

        came = self.interrupted(one, refuse, monkeypatch, 2)
        assert len(claim(one, micros(120)).claims) == 4
        assert len(came) == 2

    def test_one_offs_end_once(self, two: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
        one, other = two
        insert(one, *[new_job(f"once{n}", 130, once(130)) for n in range(3)])
        claims = claim(one, micros(130)).claims
        came = self.interrupted(one, lambda: finish(other, *claims[:1]), monkeypatch)
        finish(one, *claims)
        assert came
        assert ids_of(one) == ["a", "b", "c", "d"]


def waiting(record: Any, run: int) -> Any:
    return edits.run_now(record, waiting_run(run), f"by hand {run}")


# -- servers that it may meet ----------------------------------------------------------------------------------------

ORACLE: Any = oracle.oracledb.dialect
SQL_SERVER: Any = mssql.pyodbc.dialect
SQL_SERVER_BY_PYMSSQL: Any = mssql.pymssql.dialect
POSTGRESQL: Any = postgresql.psycopg2.dialect


@pytest.mark.parametrize(
    ("dialect", "second", "limit"),
    [
        (ORACLE(), ":2", "FETCH FIRST :4 ROWS ONLY"),
        (SQL_SERVER(paramstyle="qmark"), "?", "mssql_rn <= ? + 0"),
        (SQL_SERVER_BY_PYMSSQL(paramstyle="pyformat"), "%s", "mssql_rn <= %s + 0"),
        (POSTGRESQL(), "%s", "LIMIT %s OFFSET 0"),
        (SQLiteDialect_pysqlite(), "?", "LIMIT ? OFFSET 0"),
    ],
)
def test_the_statements_are_spelled_for_every_driver_with_values_by_their_place(
    dialect: sa.Dialect, second: str, limit: str
) -> None:
    statements = ComparingStatements(Schema("jobs"), dialect)
    assert statements.delete.endswith(f"AND jobs.stamp = {second}")
    assert limit in statements.due_after
    assert statements.claim_after == statements.due_after
    assert "FOR UPDATE" not in statements.read_locked(16)


def test_a_driver_that_counts_no_rows_is_refused(
    monkeypatch: pytest.MonkeyPatch, new_store: NewStore
) -> None:
    monkeypatch.setattr(SQLiteDialect_pysqlite, "supports_sane_rowcount", False)
    with pytest.raises(ValueError, match="pysqlite does not say how many rows an UPDATE has changed"):
        new_store()


def test_payloads_of_drivers_that_answer_them_as_views_are_bytes() -> None:
    with sa.create_engine("sqlite://").connect() as connection:
        session = ComparingSession(connection)
        driver: Any = connection.connection.driver_connection
        driver.create_function("view", 0, lambda: b"payload")
        assert session.rows("SELECT 1, view()") == [(1, b"payload")]


def test_a_connection_that_is_lost_is_an_outage(new_store: NewStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store: Any = new_store()
    store.start(None, "default")

    def lose(*_: Any) -> Any:
        raise sa.exc.OperationalError(
            "SELECT 1", {}, sqlite3.OperationalError("gone"), connection_invalidated=True
        )

    monkeypatch.setattr(store._table, "every", lose)
    with pytest.raises(StoreUnreachableError, match="gone"):
        store.get_all_jobs()
    monkeypatch.undo()
    assert store.get_all_jobs() == []
    store.shutdown()
