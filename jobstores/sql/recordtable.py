"""`RecordTable`: records read from and written to the table, on a connection that the caller brings. No decision is made here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

import sqlalchemy as sa

from ..claiming import Change
from ..record import Record
from ..sharedstore import PAGE
from ..uncertain import Stamps
from .rows import (
    delete_row,
    edit_and_payload_row,
    edit_row,
    new_row,
    pass_row,
    runs_row,
    to_full_record,
    to_record,
)
from .schema import Schema
from .statements import IDS_AT_ONCE, Statements

_BEFORE_ALL: Final = -(2**63)


class _StampsOf(Mapping[str, "tuple[str | None, str | None]"]):
    """The stamps of changes, put together when they are asked for: after a commit that failed, so next to never."""

    def __init__(self, changes: Sequence[Change]) -> None:
        self._changes = changes

    @cached_property
    def _stamps(self) -> dict[str, tuple[str | None, str | None]]:
        return {
            before.id: (before.stamp, None if after is None else after.stamp)
            for before, after in self._changes
        }

    def __getitem__(self, job_id: str) -> tuple[str | None, str | None]:
        return self._stamps[job_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._stamps)

    def __len__(self) -> int:
        return len(self._changes)


class RecordTable:
    """The operations on one store's table of records. Immutable, thread-safe."""

    def __init__(self, schema: Schema, dialect: sa.Dialect) -> None:
        self._sql = sql = Statements(schema, dialect)
        self._rows: dict[str, Callable[[Record, Any], tuple[Any, ...]]] = {
            sql.delete: delete_row,
            sql.write_runs: runs_row,
            sql.write_pass: pass_row,
            sql.write_edit: edit_row,
            sql.write_edit_and_payload: edit_and_payload_row,
        }

    # -- reading -------------------------------------------------------------------------------------------------------

    def some(self, connection: sa.Connection, job_ids: Sequence[str], payload: bool = False) -> list[Record]:
        """The records of these ids that there are."""
        records: list[Record] = []
        for start in range(0, len(job_ids), IDS_AT_ONCE):
            chunk = tuple(job_ids[start : start + IDS_AT_ONCE])
            # A few sizes only, filled up with the last id, so that the driver knows the statement.
            size = 1 if len(chunk) == 1 else 16 if len(chunk) <= 16 else IDS_AT_ONCE
            chunk += chunk[-1:] * (size - len(chunk))
            rows = connection.exec_driver_sql(self._sql.read(payload, size), chunk)
            records += map(to_full_record if payload else to_record, rows.fetchall())
        return records

    def every(self, connection: sa.Connection, payload: bool) -> list[Record]:
        """All records."""
        rows = connection.exec_driver_sql(self._sql.read_all(payload))
        return [*map(to_full_record if payload else to_record, rows)]

    def stamps(self, connection: sa.Connection, job_ids: Sequence[str]) -> dict[str, str]:
        """The stamps of the records of these ids that there are."""
        return {record.id: record.stamp for record in self.some(connection, job_ids)}

    def due(self, connection: sa.Connection, alias: str, now: int, size: int) -> Iterator[Record]:
        """The due records of an executor in the order of the index, page after page behind the last one that was read.

        The first page has `size` rows. What is written meanwhile may or may not be seen.
        """
        wake_at = _BEFORE_ALL
        while True:
            rows = connection.exec_driver_sql(self._sql.due_after, (alias, wake_at, now, size)).fetchall()
            yield from map(to_record, rows)
            if len(rows) < size:
                return
            size = PAGE
            full = True
            while full:  # the rest of those with the same wake_at
                wake_at, seq = rows[-1][3], rows[-1][-1]
                rows = connection.exec_driver_sql(self._sql.due_at, (alias, wake_at, seq, size)).fetchall()
                yield from map(to_record, rows)
                full = len(rows) == size

    def first_wakes(self, connection: sa.Connection, aliases: Sequence[str]) -> list[int | None]:
        """The earliest `wake_at` of each of these executors."""
        row: Any = connection.exec_driver_sql(self._sql.first_wake(len(aliases)), tuple(aliases)).fetchone()
        return [*row]

    def next_wake(self, connection: sa.Connection, aliases: Iterable[str], now: int) -> int | None:
        """The earliest `wake_at` after `now` of all these executors."""
        parameters = tuple([value for alias in aliases for value in (alias, now)])
        sql = self._sql.next_wake(len(parameters) // 2)
        row: Any = connection.exec_driver_sql(sql, parameters).fetchone()
        return min((wake_at for wake_at in row if wake_at is not None), default=None)

    def overdue_executors(self, connection: sa.Connection, now: int) -> set[str]:
        """The executors that have something due."""
        return {row[0] for row in connection.exec_driver_sql(self._sql.overdue_executors, (now,))}

    def leased(self, connection: sa.Connection, until: int, size: int) -> list[tuple[str, str]]:
        """Ids and open runs, as text, of the records with a lease that ends at `until` or before; the earliest first."""
        rows = connection.exec_driver_sql(self._sql.leased, (until, size)).fetchall()
        return [(row[0], row[1]) for row in rows]

    def due_jobs(self, connection: sa.Connection, now: int) -> list[Record]:
        """The records, with their payload, whose next run time has come."""
        return [to_full_record(row) for row in connection.exec_driver_sql(self._sql.due_jobs, (now,))]

    def next_run_time(self, connection: sa.Connection) -> int | None:
        """The earliest next run time."""
        time: int | None = connection.exec_driver_sql(self._sql.next_run_time).scalar()
        return time

    # -- writing -------------------------------------------------------------------------------------------------------

    def insert(self, connection: sa.Connection, records: Sequence[Record]) -> None:
        """Write new records."""
        if records:
            connection.exec_driver_sql(self._sql.insert, [new_row(record) for record in records])

    def write(self, connection: sa.Connection, changes: Sequence[Change]) -> Stamps | None:
        """Write what has become of records, each with the narrowest statement that does it.

        None: one of them was written by somebody else since it was read; then the transaction must be rolled back.
        """
        batches: dict[str, list[tuple[Any, ...]]] = {}
        for before, after in changes:
            statement = self._statement(before, after)
            rows = batches.get(statement)
            if rows is None:
                rows = batches[statement] = []
            rows.append(self._rows[statement](before, after))
        for statement, rows in batches.items():
            if connection.exec_driver_sql(statement, rows).rowcount != len(rows):
                return None
        return _StampsOf(changes)

    def clear(self, connection: sa.Connection) -> None:
        """Delete all records."""
        connection.exec_driver_sql(self._sql.clear)

    def _statement(self, before: Record, after: Record | None) -> str:
        if after is None:
            return self._sql.delete
        if after.payload is not None:
            return self._sql.write_edit_and_payload
        if (
            after.revision != before.revision
            or after.executor != before.executor
            or after.version != before.version
        ):
            return self._sql.write_edit
        if (
            after.next_run_time == before.next_run_time
            and after.state == before.state
            and after.fire_time == before.fire_time
            and after.reason == before.reason
            and after.forgotten == before.forgotten
        ):
            return self._sql.write_runs
        return self._sql.write_pass
