"""What tests do to a MariaDB or MySQL beside the store: by connections of their own, or between the store and its driver."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any

import pymysql
import pytest
import sqlalchemy as sa
from mainspring.jobstores.sql.mysqlsession import MySQLSession
from pymysql.cursors import Cursor


@contextmanager
def connected(url: str) -> Iterator[Cursor]:
    """A connection past the store, in autocommit mode until it says BEGIN."""
    parts = sa.make_url(url)
    connection = pymysql.connect(
        host=parts.host,
        port=parts.port or 3306,
        user=parts.username,
        password=parts.password or "",
        database=parts.database,
        autocommit=True,
        charset="utf8mb4",
    )
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


def settings_of(engine: sa.Engine) -> dict[str, Any]:
    """What a store or a caller may have set on the engine's connections."""
    names = ("autocommit", "sql_mode", "innodb_lock_wait_timeout")
    with engine.connect() as connection:
        row = connection.execute(sa.text("SELECT " + ", ".join(f"@@{name}" for name in names))).one()
    return dict(zip(names, row, strict=True))


def loosen(connection: Any, _: Any) -> None:
    """Settings of a caller's connections with which an id that is too long would be cut off."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SET SESSION sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES', SESSION innodb_lock_wait_timeout = 33"
        )


def rows_read(engine: sa.Engine) -> int:
    """How many rows and index entries the session of the engine's one connection has read so far."""
    with engine.connect() as connection:
        found = connection.execute(sa.text("SHOW SESSION STATUS LIKE 'Handler_read%'")).all()
    return sum(int(value) for _, value in found)


def kill_connections_of(store: Any, url: str) -> None:
    """Have the server end the connection that the store has in its pool, and wait until it has."""
    with store.engine.connect() as connection:
        number = connection.scalar(sa.text("SELECT CONNECTION_ID()"))
    with connected(url) as other:
        other.execute(f"KILL {number}")
        wait_until(other, f"SELECT COUNT(*) = 0 FROM information_schema.processlist WHERE id = {number}")


def wait_for_a_waiting_one(url: str) -> None:
    """Wait until somebody waits for a lock of rows."""
    with connected(url) as other:
        wait_until(
            other, "SELECT COUNT(*) > 0 FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
        )


def wait_until(cursor: Cursor, question: str) -> None:
    """Ask until the answer is yes."""
    end = monotonic() + 10
    while True:
        cursor.execute(question)
        row = cursor.fetchone()
        assert row is not None
        if row[0]:
            return
        assert monotonic() < end, f"not so in 10 seconds: {question}"
        sleep(
            0.15
        )  # what is asked more often, these servers answer from a copy that they make at most every 0.1 s


def lose_answers(monkeypatch: pytest.MonkeyPatch, written: bool) -> None:
    """From now on the connection is lost when a step commits: behind the COMMIT or before it."""
    commit = MySQLSession.commit

    def lose(self: MySQLSession) -> None:
        if written:
            commit(self)
        self._kept.clear()
        self._driver._force_close()
        raise pymysql.err.OperationalError(2013, "Lost connection to MySQL server during query")

    monkeypatch.setattr(MySQLSession, "commit", lose)
