"""How a record becomes a line of text, and a line a record: for stores that keep text."""

from __future__ import annotations

import re
from typing import Any, Final

from .damage import checked, damaged, report
from .openruns import dump_runs, load_runs
from .record import FORMAT_VERSION, UNREADABLE, Record

_is_number = re.compile("-?[0-9]{1,19}").fullmatch

MASKED_BREAK: Final = "%!"
"""What Redis's scripts answer in place of a line break within an id or a record, and of an empty one, and what ZooKeeper's store puts behind a line
which is no text, or has something else behind it: nobody escapes anything so, and a line with it is damaged. As a stamp
that is read it stands for what no scheduler has written, and any may."""

# Tabs separate the fields of a record, line breaks the records of a batch.
_escapes_needed = re.compile("[%\t\n]").search
_ESCAPES: Final = {ord("%"): "%25", ord("\t"): "%09", ord("\n"): "%0A"}


def escaped(text: str) -> str:
    """The text without tabs and line breaks."""
    return text if _escapes_needed(text) is None else text.translate(_ESCAPES)


def unescaped(text: str) -> str:
    """What `escaped` was given."""
    if "%" not in text:
        return text
    return text.replace("%0A", "\n").replace("%09", "\t").replace("%25", "%")


def to_bytes(text: str) -> bytes:
    """As it is stored. Half a surrogate pair, which JSON and Python's text can hold and UTF-8 cannot, is kept as it is."""
    return text.encode("utf-8", "surrogatepass")


def to_text(data: bytes) -> str:
    """What `to_bytes` was given."""
    return data.decode("utf-8", "surrogatepass")


def dump_record(record: Record) -> str:
    """A record without its payload, as a line. The stamp comes first: that is what Redis's scripts compare."""
    wake_at, next_run_time, fire_time, reason = (
        record.wake_at,
        record.next_run_time,
        record.fire_time,
        record.reason,
    )
    # What could not be read is written by edits only, and is whole again then: its open runs are forgotten.
    version = FORMAT_VERSION if record.version == UNREADABLE else record.version
    return (
        f"{record.stamp}\t{record.state}\t{escaped(record.executor)}\t{'' if wake_at is None else wake_at}\t"
        f"{'' if next_run_time is None else next_run_time}\t{'' if fire_time is None else fire_time}\t"
        f"{record.incarnation}\t{record.revision}\t{version}\t{record.forgotten}\t"
        f"{escaped(reason) if reason else ''}\t{dump_runs(record.runs) or ''}"
    )


def load_record(job_id: str, line: str, payload: bytes | None = None) -> Record:
    """The record of a line. One that is damaged comes back as far as it can be read, with the version `UNREADABLE`."""
    fields = line.split("\t")
    why: Exception | None = None
    try:
        if MASKED_BREAK in line:
            raise ValueError("a line break inside of it, or bytes that are no text")
        (
            stamp,
            state,
            executor,
            wake_at,
            next_run_time,
            fire_time,
            incarnation,
            revision,
            version,
            forgotten,
            reason,
            runs,
        ) = fields
        record = Record(
            job_id,
            int(incarnation),
            unescaped(executor),
            int(wake_at) if wake_at else None,
            int(next_run_time) if next_run_time else None,
            int(fire_time) if fire_time else None,
            state,  # type: ignore[arg-type]
            load_runs(runs) if runs else (),
            int(revision),
            stamp,
            payload,
            unescaped(reason) if reason else None,
            int(forgotten),
            int(version),
        )
    except ValueError as error:
        why = error
        record = _as_far_as_it_goes(job_id, fields, payload)
    sound = checked(record)
    if sound.version == UNREADABLE:
        report("record", record, sound, why)
    return sound


def _as_far_as_it_goes(job_id: str, fields: list[str], payload: bytes | None) -> Record:
    """What can be read of a record that is damaged, or that a later version has written with more fields."""
    fields = [*fields, *[""] * 12][:12]
    numbers: list[Any] = [int(field) if _is_number(field) else None for field in fields]
    state: Any = fields[1]
    return damaged(
        Record(
            job_id,
            numbers[6],
            unescaped(fields[2]),
            numbers[3],
            numbers[4],
            numbers[5],
            state,
            (),
            numbers[7],
            MASKED_BREAK if not fields[0] or MASKED_BREAK in fields[0] else fields[0],
            payload,
            unescaped(fields[10]) or None,
            numbers[9],
            UNREADABLE,
        )
    )


def runs_of(line: str) -> str:
    """The open runs of a record's line, as text."""
    return line.rpartition("\t")[2]
