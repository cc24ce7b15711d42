"""`Session`: a connection while one step uses it, and how its driver is handed statements and batches of rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa


class OvertakenError(Exception):
    """A record was written by somebody else since it was read: the step is rolled back, and done again on what is there now."""


class Session:
    """A connection from the moment that a step gets it until the step ends. Used by one thread."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    @property
    def connection(self) -> sa.Connection:
        """SQLAlchemy's: for what is done once (tables). Steps use the methods below, which every dialect has its own way for."""
        return self._connection

    def invalidate(self) -> None:
        """Throw the connection away: nobody knows what state it is in."""
        self._connection.invalidate()

    def rows(self, sql: str, values: Sequence[Any] = ()) -> Sequence[Sequence[Any]]:
        """Run one statement; answer all its rows."""
        return self._connection.exec_driver_sql(sql, tuple(values)).fetchall()

    def ask(self, sql: str, values: Sequence[Any] = ()) -> Callable[[], Sequence[Sequence[Any]]]:
        """What answers the rows of a statement. It is run when that is called, or with an earlier one where that saves a round trip."""
        return partial(self.rows, sql, values)

    def run(self, sql: str, values: Sequence[Any] = ()) -> None:
        """Run one statement that answers no rows."""
        self._connection.exec_driver_sql(sql, tuple(values)).close()

    def will_insert(self, stamp: str) -> None:
        """At the beginning of a step: rows will be inserted that have this stamp, and `Dialect.await_end` may have to wait for them."""

    def insert(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write new rows. An id that somebody else has just inserted, too, is an error for which `is_passing` holds."""
        self._connection.exec_driver_sql(sql, [*rows]).close()

    def write(self, batches: Mapping[str, Sequence[tuple[Any, ...]]]) -> None:
        """Change rows: for each statement, the values of each row, of which the last two are its id and the stamp that was seen.

        Raises OvertakenError if one of them has another stamp by now, here or at the commit: a dialect may keep all of it until then.
        """
        for sql, rows in batches.items():
            if self._connection.exec_driver_sql(sql, [*rows]).rowcount != len(rows):
                raise OvertakenError

    def write_won(self, batches: Mapping[str, Sequence[tuple[Any, ...]]]) -> Collection[str]:
        """The same for a claim. A session that can tell which rows it has lost writes the others, and answers the ids of those."""
        self.write(batches)
        return ()
