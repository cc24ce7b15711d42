"""What a store reads and no scheduler has written: found before anybody reckons with it, and shown as far as it can be.

Whoever can write to a store can write anything into a record's plain fields, and a faulty disk or an import by hand can, too. A record
that is no record must harm none but its own job. So each store passes what it has read through `checked`.
"""

from __future__ import annotations

import logging
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any, Final, get_args

from ..triggers.instants import FIRST_INSTANT, to_micros
from .record import FORMAT_VERSION, UNREADABLE, Record, State

_STATES: Final = frozenset(get_args(State))
_END: Final = to_micros(datetime.max.replace(tzinfo=UTC))
"""What people write for "never"; the triggers end two days sooner."""
_MOST: Final = 2**63 - 1
"""The largest number that every store can keep."""
_LONGEST_TEXT: Final = 10_000
"""Characters of a text of a damaged record that are shown."""
_LONGEST_REASON: Final = 300
_MOST_REPORTED: Final = 100_000

_logger = logging.getLogger("mainspring.jobstores")
_reported: set[tuple[str, str]] = set()


def checked(record: Record) -> Record:
    """The record, if it is sound; else what can be used of it, with a version that no claim touches."""
    wake_at, next_run_time, fire_time = record.wake_at, record.next_run_time, record.fire_time
    reason = record.reason
    # Written out, since every record that is read comes through here.
    if (
        type(record.id) is str
        and type(record.executor) is str
        and type(record.stamp) is str
        and (wake_at is None or (type(wake_at) is int and FIRST_INSTANT <= wake_at <= _END))
        and (next_run_time is None or (type(next_run_time) is int and FIRST_INSTANT <= next_run_time <= _END))
        and (fire_time is None or (type(fire_time) is int and FIRST_INSTANT <= fire_time <= _END))
        and type(record.state) is str
        and record.state in _STATES
        and type(record.incarnation) is int
        and type(record.revision) is int
        and (reason is None or type(reason) is str)
        and type(record.forgotten) is int
        and type(record.version) is int
        and 0 < record.version <= UNREADABLE
        and 0 <= record.forgotten <= _MOST
    ):
        return record
    return damaged(record)


def damaged(record: Record) -> Record:
    """What can be used of a record that is not sound: each field that is, and nothing in place of the others.

    One of a later version keeps that; any other gets one by which it is passed over.
    """
    version = record.version
    if type(version) is not int or not FORMAT_VERSION < version <= UNREADABLE:
        version = UNREADABLE
    return replace(
        record,
        id=_text(record.id),
        incarnation=_number(record.incarnation),
        executor=_text(record.executor),
        wake_at=_instant(record.wake_at),
        next_run_time=_instant(record.next_run_time),
        fire_time=_instant(record.fire_time),
        state=record.state if type(record.state) is str and record.state in _STATES else "paused",
        runs=(),
        revision=_number(record.revision),
        stamp=_stamp(record.stamp),
        reason=None if record.reason is None else _text(record.reason)[:_LONGEST_TEXT],
        forgotten=_number(record.forgotten),
        version=version,
    )


def report(what: str, found: Record, shown: Record, why: Exception | None = None) -> None:
    """Say of a damaged record, once, what is damaged: neither shall it stop all others, nor fill the log at every pass.

    `what` of it; `why`, if that is more than that some fields are no such thing.
    """
    wrong = [
        field.name for field in fields(Record) if getattr(found, field.name) != getattr(shown, field.name)
    ]
    if (what, shown.id) in _reported:
        return
    if len(_reported) >= _MOST_REPORTED:
        _reported.clear()
    _reported.add((what, shown.id))
    reason = f"{', '.join(wrong)}: {why}" if wrong and why else why or ", ".join(wrong) or "its version"
    _logger.error(
        "The %s of job %r cannot be read: it is not run until somebody edits or removes it (%s)",
        what,
        shown.id,
        str(reason)[:_LONGEST_REASON],
    )


def _instant(value: Any) -> int | None:
    return value if type(value) is int and FIRST_INSTANT <= value <= _END else None


def _number(value: Any) -> int:
    return value if type(value) is int and -_MOST <= value <= _MOST else 0


def _stamp(value: Any) -> Any:
    # As it is, since that is what the next write compares.
    return value if isinstance(value, str | bytes) else _text(value)


def _text(value: Any) -> str:
    if type(value) is str:
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return "" if value is None else repr(value)
