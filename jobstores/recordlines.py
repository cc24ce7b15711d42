"""How a record becomes a line of text, and a line a record: for stores that keep text."""

from __future__ import annotations

import logging
import re
from typing import Final

from .openruns import dump_runs, load_runs
from .record import FORMAT_VERSION, UNREADABLE, Record

_logger = logging.getLogger("mainspring.jobstores")
_reported: set[str] = set()

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
    try:
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
        return Record(
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
    except ValueError:
        return _damaged(job_id, fields, payload)


def _damaged(job_id: str, fields: list[str], payload: bytes | None) -> Record:
    """What can be read of a record that is damaged, or that a later version has written with more fields."""
    if job_id not in _reported:
        # One damaged record must not stop all others, nor fill the log at every pass.
        _reported.add(job_id)
        _logger.exception(
            "The record of job %r cannot be read: it is not run until somebody edits or removes it", job_id
        )
    fields = [*fields, *[""] * 12][:12]
    numbers = [int(field) if re.fullmatch("-?[0-9]+", field) else None for field in fields]
    return Record(
        job_id,
        numbers[6] or 0,
        unescaped(fields[2]),
        numbers[3],
        numbers[4],
        numbers[5],
        fields[1] if fields[1] in ("active", "paused", "parked", "ended", "importing") else "paused",  # type: ignore[arg-type]
        (),
        numbers[7] or 0,
        fields[0],
        payload,
        unescaped(fields[10]) or None,
        numbers[9] or 0,
        UNREADABLE,
    )


def runs_of(line: str) -> str:
    """The open runs of a record's line, as text."""
    return line.rpartition("\t")[2]
