"""`PostgreSQLSession`: a step on PostgreSQL in as few round trips as it has questions whose answers it waits for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TypeAlias

import psycopg
import sqlalchemy as sa
from sqlalchemy.pool import PoolProxiedConnection

from .pgstatements import NOT_ALL, PostgreSQLStatements
from .pgwire import Wire
from .session import OvertakenError, Session

Request: TypeAlias = "tuple[str, Sequence[Any]]"

_COMMIT: Final[Request] = ("COMMIT", ())
_ROLLBACK: Final[Request] = ("ROLLBACK", ())


class PostgreSQLSession(Session):
    """What needs no answer at once (the BEGIN, the writes) is kept, and sent with what does: the next question, or the COMMIT."""

    def __init__(
        self, engine: sa.Engine, lent: PoolProxiedConnection, wire: Wire, statements: PostgreSQLStatements
    ) -> None:
        """`lent`: what the pool has lent; `wire`: the driver's connection in it."""
        self._engine = engine
        self._lent = lent
        self._core: sa.Connection | None = None
        self._wire = wire
        self._statements = statements
        self._kept: list[Request] = []
        self._asked: list[_Answer] = []

    @property
    def driver(self) -> psycopg.Connection[Any]:
        """The driver's connection."""
        return self._wire.connection

    @property
    def connection(self) -> sa.Connection:
        # What was kept comes before whatever is done on it.
        self.flush()
        if self._core is None:
            self._core = sa.Connection(self._engine, self._lent)
        return self._core

    def invalidate(self) -> None:
        if self._lent.is_valid:
            self._lent.invalidate()

    def close(self) -> None:
        """Leave nothing open, and give the connection back."""
        if self._wire.in_transaction:
            with suppress(psycopg.Error):
                self.rollback()
        if not self._wire.is_usable():
            self.invalidate()
        if self._core is not None:
            self._core.close()
        elif self._lent.is_valid:
            self._lent.close()

    # -- as every session ----------------------------------------------------------------------------------------------

    def rows(self, sql: str, values: Sequence[Any] = ()) -> Sequence[Sequence[Any]]:
        return self.ask(sql, values)()

    def ask(self, sql: str, values: Sequence[Any] = ()) -> Callable[[], Sequence[Sequence[Any]]]:
        answer = _Answer(self, len(self._kept))
        self._kept.append((sql, values))
        self._asked.append(answer)
        return answer

    def run(self, sql: str, values: Sequence[Any] = ()) -> None:
        self._kept.append((sql, values))

    def will_insert(self, stamp: str) -> None:
        # Who loses the connection at the commit waits for this lock, which the server holds until it has ended the transaction. It is
        # taken with the first exchange, before the commit can be on its way.
        self._kept.append((self._statements.lock_stamp, (stamp,)))

    def insert(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        self._kept.append((sql, self._arrays(sql, rows)))

    def write(self, batches: Mapping[str, Sequence[tuple[Any, ...]]]) -> None:
        # Sorted by id: whoever locks several rows does it in this order, or two of them could wait for each other.
        if len(batches) > 1:
            ids = sorted([row[-2] for rows in batches.values() for row in rows])
            self._kept.append((self._statements.lock, self._statements.ids(ids)))
        for sql, rows in batches.items():
            ordered = sorted(rows, key=_id_of) if len(rows) > 1 else rows
            self._kept.append((sql, [*self._arrays(sql, ordered), len(rows)]))

    def _arrays(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> list[str]:
        makers = self._statements.batches[sql]
        return [make(column) for make, column in zip(makers, zip(*rows, strict=True), strict=True)]

    # -- the transaction -----------------------------------------------------------------------------------------------

    def begin(self, *requests: Request) -> None:
        """Begin with these statements, when there is something to do."""
        self._kept += requests

    def commit(self) -> None:
        """Write what is kept, and commit."""
        self._kept.append(_COMMIT)
        result = self.flush()
        if result is None or result.command_status != b"COMMIT":
            raise psycopg.OperationalError("the transaction was rolled back by the server")

    def rollback(self) -> None:
        """Drop what is kept, and undo what was sent."""
        self._kept.clear()
        if self._wire.in_transaction:
            self._wire.exchange([_ROLLBACK])

    def flush(self) -> Any:
        """Send what is kept; the last result. Raises OvertakenError if a row had been written by others."""
        kept, asked = self._kept, self._asked
        if not kept:
            return None
        self._kept, self._asked = [], []
        try:
            results = self._wire.exchange(kept)
        except psycopg.Error as error:
            if error.sqlstate == NOT_ALL:
                raise OvertakenError from error
            raise
        for answer in asked:
            answer.rows = self._wire.rows(results[answer.place])
        return results[-1]


class _Answer:
    """The rows of a statement that is kept, and sent when they are asked for at the latest."""

    __slots__ = ("place", "rows", "session")

    def __init__(self, session: PostgreSQLSession, place: int) -> None:
        self.session = session
        self.place = place
        self.rows: Sequence[Sequence[Any]] | None = None

    def __call__(self) -> Sequence[Sequence[Any]]:
        if self.rows is None:
            self.session.flush()
        assert self.rows is not None
        return self.rows


def _id_of(row: tuple[Any, ...]) -> Any:
    return row[-2]
