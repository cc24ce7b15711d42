"""How a row of the table of records becomes a record, and a record a row: the columns that each statement reads or writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ..damage import checked, report
from ..openruns import dump_runs, load_runs
from ..record import FORMAT_VERSION, UNREADABLE, Record, lease_time

READ: Final = (
    "id",
    "incarnation",
    "executor",
    "wake_at",
    "next_run_time",
    "fire_time",
    "state",
    "runs",
    "revision",
    "stamp",
    "reason",
    "forgotten",
    "version",
)
"""The columns that passes of the loop read; `payload` comes behind them where it is needed."""

WRITTEN_BY_PASSES: Final = (
    "wake_at",
    "next_run_time",
    "fire_time",
    "state",
    "runs",
    "stamp",
    "reason",
    "forgotten",
    "lease_at",
)
"""The columns that a pass changes: an UPDATE of these leaves payload and identity alone."""

WRITTEN_BY_RUNS: Final = ("wake_at", "runs", "stamp", "lease_at")
"""What changes when a run begins to wait, is extended or ends, and the schedule stays."""

WRITTEN_BY_EDITS: Final = (*WRITTEN_BY_PASSES, "executor", "revision", "version")
"""What an edit may change beside the payload."""

INSERTED: Final = (
    "id",
    "incarnation",
    "executor",
    "wake_at",
    "next_run_time",
    "fire_time",
    "state",
    "runs",
    "lease_at",
    "revision",
    "stamp",
    "payload",
    "reason",
    "forgotten",
    "version",
)
"""All columns, in the order of the table."""


def to_record(row: Sequence[Any], payload: Any = None) -> Record:
    """The record of a row that begins with the columns of `READ`, without its payload unless that is given."""
    runs, version, why = row[7], row[12], None
    if runs is None:
        open_runs: tuple[Any, ...] = ()
    else:
        try:
            open_runs = load_runs(runs)
        except ValueError as error:
            open_runs, version, why = (), UNREADABLE, error
    record = Record(
        row[0],
        row[1],
        row[2],
        row[3],
        row[4],
        row[5],
        row[6],
        open_runs,
        row[8],
        row[9],
        payload,
        row[10],
        row[11],
        version,
    )
    sound = checked(record)
    if sound.version == UNREADABLE:
        report("open runs" if why and sound is record else "row", record, sound, why)
    return sound


def to_full_record(row: Sequence[Any]) -> Record:
    """The record of a row of `READ` and the payload."""
    return to_record(row, row[13])


def delete_row(before: Record, after: Record) -> tuple[Any, ...]:
    """The id and the stamp that was seen, as behind every update."""
    return before.id, before.stamp


def pass_row(before: Record, after: Record) -> tuple[Any, ...]:
    """The values of `WRITTEN_BY_PASSES`, the id, and the stamp that was seen."""
    runs = after.runs
    return (
        after.wake_at,
        after.next_run_time,
        after.fire_time,
        after.state,
        dump_runs(runs) if runs else None,
        after.stamp,
        after.reason,
        after.forgotten,
        lease_time(runs) if runs else None,
        after.id,
        before.stamp,
    )


def runs_row(before: Record, after: Record) -> tuple[Any, ...]:
    """The values of `WRITTEN_BY_RUNS`, the id, and the stamp that was seen."""
    runs = after.runs
    return (
        after.wake_at,
        dump_runs(runs) if runs else None,
        after.stamp,
        lease_time(runs) if runs else None,
        after.id,
        before.stamp,
    )


def edit_row(before: Record, after: Record) -> tuple[Any, ...]:
    """The values of `WRITTEN_BY_EDITS`, the id, and the stamp that was seen."""
    # An edit repairs what could not be read: its open runs are forgotten.
    version = FORMAT_VERSION if after.version == UNREADABLE else after.version
    *values, job_id, seen = pass_row(before, after)
    return (*values, after.executor, after.revision, version, job_id, seen)


def edit_and_payload_row(before: Record, after: Record) -> tuple[Any, ...]:
    """The same with what makes it another job, before the id."""
    *values, job_id, seen = edit_row(before, after)
    return (*values, after.incarnation, after.payload, job_id, seen)


def new_row(record: Record) -> tuple[Any, ...]:
    """The values of `INSERTED`."""
    return (
        record.id,
        record.incarnation,
        record.executor,
        record.wake_at,
        record.next_run_time,
        record.fire_time,
        record.state,
        dump_runs(record.runs),
        lease_time(record.runs),
        record.revision,
        record.stamp,
        record.payload,
        record.reason,
        record.forgotten,
        record.version,
    )
