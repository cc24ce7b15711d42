"""The statements on a job store's tables as PostgreSQL runs them best: a batch of rows is one statement over arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from .pgarrays import ARRAYS, texts
from .rows import INSERTED
from .schema import Schema
from .statements import Statements

BEGIN: Final = "BEGIN ISOLATION LEVEL READ COMMITTED"
"""Whatever the server, the role or the caller's engine has as default: what a step has locked, it must see as it is."""

NOT_ALL: Final = "22012"
"""The SQLSTATE (division by zero) with which a batch fails as a whole if one of its rows was written by somebody else since."""


class PostgreSQLStatements(Statements):
    """As `Statements`, with parameters `$1`; those for batches take one array for each column.

    A batch is one UPDATE of the table joined with the arrays, measured at twice the speed of a prepared UPDATE for each row. What
    counts the rows that were written is in the same statement, and divides by zero if there are too few: then server and
    transaction know at once that it failed, and the COMMIT behind it can be sent without waiting for the answer.
    """

    def __init__(self, schema: Schema, dialect: sa.Dialect) -> None:
        self.batches: dict[str, tuple[Callable[[Iterable[Any]], str], ...]] = {}
        """What makes the arrays of a statement that writes a batch."""
        kind: Any = PGDialect_psycopg
        self._name = kind().identifier_preparer.format_table(schema.records)
        super().__init__(schema, kind(paramstyle="numeric_dollar"))
        self._by_ids = cache(self._select_by_ids)
        columns = ", ".join(INSERTED)
        types = [self._type(name) for name in INSERTED]
        arrays = ", ".join(f"${n}::{each}[]" for n, each in enumerate(types, 1))
        # OF the select in the order of the arrays: `seq` follows it.
        self.insert = f"INSERT INTO {self._name} ({columns}) SELECT * FROM unnest({arrays})"
        self.batches[self.insert] = tuple(ARRAYS[each] for each in types)
        self.delete = self._batch(f"DELETE FROM {self._name} AS t USING", ())
        # the ids: locks the rows in their order
        self.lock = f"SELECT 1 FROM {self._name} WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE"
        # the stamp of a step that adds: held until its transaction ends, waited for by whoever does not know whether it has ended
        self.lock_stamp = "SELECT pg_advisory_xact_lock(hashtextextended($1::text, 0))"
        # channel, payload, executor, time: a push, if the time is the earliest to come there, or something is overdue
        now = "(extract(epoch from clock_timestamp()) * 1000000)::bigint"
        self.notify = (
            f"SELECT pg_notify($1::text, $2::text) WHERE NOT EXISTS (SELECT 1 FROM {self._name} "
            f"WHERE executor = $3::text AND wake_at > {now} AND wake_at <= $4::bigint) "
            f"OR EXISTS (SELECT 1 FROM {self._name} WHERE executor = $3::text AND wake_at <= {now})"
        )

    def by_ids(self, ids: Sequence[str], payload: bool, lock: bool) -> Iterator[tuple[str, Sequence[Any]]]:
        yield self._by_ids(payload and not lock, lock), (texts(ids),)

    def _select_by_ids(self, payload: bool, lock: bool) -> str:
        order = " ORDER BY id FOR UPDATE" if lock else ""
        return f"{self._text(self._select(payload))} WHERE id = ANY($1::text[]){order}"

    @staticmethod
    def ids(ids: Sequence[str]) -> tuple[str]:
        """The values of `lock`."""
        return (texts(ids),)

    def _update(self, names: Sequence[str]) -> str:
        values = ", ".join(f"{name} = v.{name}" for name in names)
        return self._batch(f"UPDATE {self._name} AS t SET {values} FROM", names)

    def _batch(self, change: str, names: Sequence[str]) -> str:
        """A change of rows by id and the stamp that was seen; takes the arrays and, as last, how many rows there are."""
        types = [*(self._type(name) for name in names), "text", "text"]
        arrays = ", ".join(f"${n}::{each}[]" for n, each in enumerate(types, 1))
        statement = (
            f"WITH written AS ({change} unnest({arrays}) AS v({', '.join((*names, 'key', 'seen'))}) "
            f"WHERE t.id = v.key AND t.stamp = v.seen RETURNING 1) "
            f"SELECT 1 / (count(*) = ${len(types) + 1}::bigint)::integer FROM written"
        )
        self.batches[statement] = tuple(ARRAYS[each] for each in types)
        return statement

    def _type(self, name: str) -> str:
        kind = self._table.c[name].type
        if isinstance(kind, sa.LargeBinary):
            return "bytea"
        if isinstance(kind, sa.BigInteger):
            return "bigint"
        return "integer" if isinstance(kind, sa.Integer) else "text"
