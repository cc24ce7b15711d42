"""Any other SQL server under the job store: nothing is locked, and each row is written only if it is still as it was read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import Any, Final

import sqlalchemy as sa

from .dialects import Dialect
from .schema import Schema
from .session import OvertakenError, Session
from .statements import Statements

_PASSING: Final = re.compile(
    r"deadlock|serializ|locked|lock (wait )?time-?out|try restarting transaction|restart transaction|already exists|already an object|"
    r"ORA-00054|ORA-00060|ORA-00955|ORA-08177|SQL0911|SQL0913",
    re.IGNORECASE,
)
"""What servers say when a step was in the way of another one: where a driver has no SQLSTATE for it, there is only the text."""


class ComparingStatements(Statements):
    """As `Statements`, in words that every server has."""

    def __init__(self, schema: Schema, dialect: sa.Dialect) -> None:
        super().__init__(schema, dialect)
        self.claim_at, self.claim_after = self.due_at, self.due_after

    def _read_locked(self, size: int) -> str:
        return self._read(False, size)

    def _count_due(self) -> str:
        return ""  # for claims that pass over locked rows

    def _overdue_executors(self) -> str:
        columns = self._table.c
        due = sa.select(columns.executor).where(columns.wake_at <= sa.bindparam("now"))
        return self._text(due.group_by(columns.executor), "now")


class ComparingSession(Session):
    """One row after the other, since few drivers say of several which of them were written."""

    def __init__(self, connection: sa.Connection) -> None:
        super().__init__(connection)
        self._counts_many = connection.dialect.supports_sane_multi_rowcount

    def rows(self, sql: str, values: Sequence[Any] = ()) -> Sequence[Sequence[Any]]:
        rows = super().rows(sql, values)
        if any(isinstance(value, memoryview) for value in (rows[0] if rows else ())):
            # some drivers' way to answer a payload
            return [
                tuple([bytes(value) if isinstance(value, memoryview) else value for value in row])
                for row in rows
            ]
        return rows

    def write(self, batches: Mapping[str, Sequence[tuple[Any, ...]]]) -> None:
        if self._counts_many:
            super().write({sql: sorted(rows, key=itemgetter(-2)) for sql, rows in batches.items()})
        elif self.write_won(batches):
            raise OvertakenError

    def write_won(self, batches: Mapping[str, Sequence[tuple[Any, ...]]]) -> set[str]:
        # By id: whoever writes several rows does it in this order, or two of them could wait for each other.
        lost = set()
        for sql, rows in batches.items():
            for row in sorted(rows, key=itemgetter(-2)):
                if self._connection.exec_driver_sql(sql, row).rowcount != 1:
                    lost.add(row[-2])
        return lost


class Comparing(Dialect):
    """A database of any kind that SQLAlchemy has a dialect for.

    Each UPDATE and DELETE asks for the id and the stamp that was read; the number of rows that it has changed, one or none, says whether
    somebody else was faster. Whoever comes second waits, at the row, for the first one's commit, and then changes nothing, or is refused by
    the server (under REPEATABLE READ or SERIALIZABLE) and begins again. Of a claim, the rows that were lost are left out; an edit is done
    again on what is there by then.

    So this is right on every server, and slower than where rows can be locked: several schedulers read the same due rows, and all
    but one of them in vain.
    """

    name = "*"

    def __init__(
        self, engine: sa.Engine, schema: Schema, *, owned: bool, synchronous: str, timeout: float
    ) -> None:
        if not engine.dialect.supports_sane_rowcount:
            raise ValueError(
                f"the driver {engine.dialect.driver} does not say how many rows an UPDATE has changed, by which the job store knows what it "
                "has won: use another driver"
            )
        super().__init__(engine, schema, owned=owned, synchronous=synchronous, timeout=timeout)
        driver_error: Any = engine.dialect.loaded_dbapi.Error
        self.errors = (sa.exc.SQLAlchemyError, driver_error)
        self._has_answered = False

    @classmethod
    def engine_arguments(cls, url: sa.URL, options: Mapping[str, Any], timeout: float) -> dict[str, Any]:
        return {"pool_timeout": timeout, "pool_pre_ping": True} | dict(options)

    def _statements(self) -> ComparingStatements:
        return ComparingStatements(self._schema, self._engine.dialect)

    def prepare(self) -> None:
        with self._engine.connect():
            self._has_answered = True

    def forked(self) -> None:
        _abandoned.append(self._engine.pool)
        self._engine.dispose(close=False)

    # -- steps ---------------------------------------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[Session]:
        with self._engine.connect() as connection:
            yield ComparingSession(connection)

    @contextmanager
    def writing(self) -> Iterator[Session]:
        with self._engine.connect() as connection:
            yield ComparingSession(connection)

    def begin(self, session: Session) -> None:
        session.connection.begin()

    # -- errors --------------------------------------------------------------------------------------------------------

    def is_passing(self, error: BaseException) -> bool:
        if isinstance(error, sa.exc.IntegrityError):
            return True  # somebody else has just inserted that id
        cause = _cause(error)
        state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
        return str(state).startswith("40") or _PASSING.search(str(cause)) is not None

    def is_missing(self, error: BaseException) -> bool:
        if not isinstance(error, sa.exc.DBAPIError) or self.is_unreachable(error):
            return False
        return (
            re.search(
                r"no such table|does not exist|doesn't exist|invalid object name|ORA-00942",
                str(error.orig),
                re.I,
            )
            is not None
        )

    def is_unreachable(self, error: BaseException) -> bool:
        if isinstance(error, sa.exc.DBAPIError) and (
            error.connection_invalidated or (self._has_answered and error.statement is None)
        ):
            return True
        return super().is_unreachable(error)


_abandoned: list[Any] = []
"""Pools of the parents of forks: some drivers say goodbye to the server, on the parent's connection, when one is collected."""


def _cause(error: BaseException) -> BaseException:
    return error.orig or error if isinstance(error, sa.exc.DBAPIError) else error
