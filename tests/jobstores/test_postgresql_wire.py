"""What a wire prepares on its connection: a name always denotes the same statement, whoever else prepares on that session."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from mainspring.jobstores.sql.pgwire import Wire

from tests.servers import Server

DOUBLE = "SELECT $1::int * 2"
HALF = "SELECT $1::int / 2"


@pytest.fixture
def session(postgresql: Server) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgresql.url.replace("+psycopg", "", 1), autocommit=True) as connection:
        yield connection


def answer(wire: Wire, sql: str, *values: Any) -> Any:
    (result,) = wire.exchange([(sql, values)])
    ((value, *_),) = wire.rows(result)
    return value


def prepared(session: psycopg.Connection[Any]) -> dict[str, str]:
    return dict(session.execute("SELECT name, statement FROM pg_prepared_statements").fetchall())


def test_a_statement_is_prepared_once(session: psycopg.Connection[Any]) -> None:
    wire = Wire(session, 10)
    assert [answer(wire, DOUBLE, number) for number in (4, 5)] == [8, 10]
    assert answer(wire, HALF, 4) == 2
    names = prepared(session)
    assert sorted(names.values()) == sorted([DOUBLE, HALF])
    assert all(len(name) < 63 for name in names)


def test_two_who_are_lent_one_session_never_run_each_others_statements(
    session: psycopg.Connection[Any],
) -> None:
    """A pooler that lends sessions for one transaction, and has not been told of: whatever a name finds there is what was meant by it."""
    one, other = Wire(session, 10), Wire(session, 10)
    assert (answer(one, DOUBLE, 4), answer(other, HALF, 4)) == (8, 2)
    with pytest.raises(psycopg.errors.DuplicatePreparedStatement):
        answer(other, DOUBLE, 4)
    assert (answer(one, DOUBLE, 6), answer(other, HALF, 6)) == (12, 3)


def test_one_who_finds_another_session_does_not_run_what_others_have_prepared_there(
    session: psycopg.Connection[Any], postgresql: Server
) -> None:
    mine = Wire(session, 10)
    assert answer(mine, DOUBLE, 4) == 8
    with psycopg.connect(postgresql.url.replace("+psycopg", "", 1), autocommit=True) as lent:
        assert answer(Wire(lent, 10), HALF, 4) == 2
        mine._pgconn = lent.pgconn  # what the pooler does between two transactions
        with pytest.raises(psycopg.errors.InvalidSqlStatementName):
            answer(mine, DOUBLE, 4)


def test_what_does_not_fit_its_table_any_more_is_prepared_anew(session: psycopg.Connection[Any]) -> None:
    wire, table = Wire(session, 10), f"wire_{uuid4().hex}"
    session.execute(f"CREATE TABLE {table} AS SELECT 7 AS seven")
    try:
        assert answer(wire, f"SELECT * FROM {table}") == 7
        session.execute(f"ALTER TABLE {table} ADD COLUMN more text")
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="result type"):
            answer(wire, f"SELECT * FROM {table}")
        # Under a name of its own: the old statement is still there.
        assert answer(wire, f"SELECT * FROM {table}") == 7
    finally:
        session.execute(f"DROP TABLE {table}")
