"""`RecordTable`: records read from and written to the table, on a connection that the caller brings. No decision is made here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

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
from .session import Session
from .statements import Statements

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

    def __init__(self, sql: Statements) -> None:
        self._sql = sql
        self._rows: dict[str, Callable[[Record, Any], tuple[Any, ...]]] = {
            sql.delete: delete_row,
            sql.write_runs: runs_row,
            sql.write_pass: pass_row,
            sql.write_edit: edit_row,
            sql.write_edit_and_payload: edit_and_payload_row,
        }

    # -- reading -------------------------------------------------------------------------------------------------------

    def some(
        self, session: Session, job_ids: Sequence[str], payload: bool = False, *, lock: bool = False
    ) -> list[Record]:
        """The records of these ids that there are. With `lock`, in a step: nobody else writes them before it ends."""
        if lock:
            job_ids = sorted(
                job_ids
            )  # everybody in the same order, or two that lock several would wait for each other
        make = to_full_record if payload and not lock else to_record
        records: list[Record] = []
        for answer in [session.ask(sql, values) for sql, values in self._sql.by_ids(job_ids, payload, lock)]:
            records += map(make, answer())
        return records

    def every(self, session: Session, payload: bool) -> list[Record]:
        """All records."""
        return [*map(to_full_record if payload else to_record, session.rows(self._sql.read_all(payload)))]

    def stamps(self, session: Session, job_ids: Sequence[str]) -> dict[str, str]:
        """The stamps of the records of these ids that there are, when nobody is writing them any more.

        Asked after a COMMIT whose answer got lost, which the server may still be about to do.
        """
        return {record.id: record.stamp for record in self.some(session, job_ids, lock=True)}

    def due(
        self, session: Session, alias: str, now: int, size: int, *, lock: bool = False
    ) -> Iterator[Record]:
        """The due records of an executor in the order of the index, page after page behind the last one that was read.

        The first page has `size` rows. What is written meanwhile may or may not be seen. With `lock`, in a step: nobody else writes
        what is read before it ends; where the server can, what others have locked is passed over.
        """
        sql = self._sql
        due_after, due_at = (sql.claim_after, sql.claim_at) if lock else (sql.due_after, sql.due_at)
        wake_at = _BEFORE_ALL
        while True:
            rows = session.rows(due_after, (alias, wake_at, now, size))
            yield from map(to_record, rows)
            if len(rows) < size:
                return
            size = PAGE
            full = True
            while full:  # the rest of those with the same wake_at
                wake_at, seq = rows[-1][3], rows[-1][-1]
                rows = session.rows(due_at, (alias, wake_at, seq, size))
                yield from map(to_record, rows)
                full = len(rows) == size

    def first_wakes(self, session: Session, aliases: Sequence[str]) -> list[int | None]:
        """The earliest `wake_at` of each of these executors."""
        return [*session.rows(self._sql.first_wake(len(aliases)), tuple(aliases))[0]]

    def ask_next_wake(self, session: Session, aliases: Iterable[str], now: int) -> Callable[[], int | None]:
        """What answers the earliest `wake_at` after `now` of all these executors."""
        parameters = [value for alias in aliases for value in (alias, now)]
        ask = session.ask(self._sql.next_wake(len(parameters) // 2), parameters)
        return lambda: min((wake_at for wake_at in ask()[0] if wake_at is not None), default=None)

    def ask_due_count(self, session: Session, alias: str, now: int, size: int) -> Callable[[], int]:
        """What answers how many records of an executor are due, locked ones too; at most `size`."""
        ask = session.ask(self._sql.count_due, (alias, now, size))
        return lambda: ask()[0][0]

    def overdue_executors(self, session: Session, now: int) -> set[str]:
        """The executors that have something due."""
        return {str(row[0]) for row in session.rows(self._sql.overdue_executors, (now,))}

    def leased(self, session: Session, until: int, size: int) -> list[tuple[str, str]]:
        """Ids and open runs, as text, of the records with a lease that ends at `until` or before; the earliest first."""
        return [(row[0], row[1]) for row in session.rows(self._sql.leased, (until, size))]

    def due_jobs(self, session: Session, now: int) -> list[Record]:
        """The records, with their payload, whose next run time has come."""
        return [to_full_record(row) for row in session.rows(self._sql.due_jobs, (now,))]

    def next_run_time(self, session: Session) -> int | None:
        """The earliest next run time."""
        time: int | None = session.rows(self._sql.next_run_time)[0][0]
        return time

    # -- writing -------------------------------------------------------------------------------------------------------

    def insert(self, session: Session, records: Sequence[Record]) -> None:
        """Write new records."""
        if records:
            session.insert(self._sql.insert, [new_row(record) for record in records])

    def write(self, session: Session, changes: Sequence[Change]) -> Stamps:
        """Write what has become of records, each with the narrowest statement that does it.

        Raises OvertakenError, or the commit does, if one of them was written by somebody else since it was read.
        """
        if changes:
            session.write(self._batches(changes))
        return _StampsOf(changes)

    def write_won(self, session: Session, changes: Sequence[Change]) -> Collection[str]:
        """Write what a claim has made of records; answers the ids of those that it has lost, where the others are written all the same."""
        return session.write_won(self._batches(changes)) if changes else ()

    def stamps_of(self, changes: Sequence[Change]) -> Stamps:
        """What was written with these changes."""
        return _StampsOf(changes)

    def _batches(self, changes: Sequence[Change]) -> dict[str, list[tuple[Any, ...]]]:
        batches: dict[str, list[tuple[Any, ...]]] = {}
        for before, after in changes:
            statement = self._statement(before, after)
            rows = batches.get(statement)
            if rows is None:
                rows = batches[statement] = []
            rows.append(self._rows[statement](before, after))
        return batches

    def clear(self, session: Session) -> None:
        """Delete all records."""
        session.run(self._sql.clear)

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
