"""How a record becomes a document, and a document a record."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias, get_args

from bson.int64 import Int64

from ..damage import checked, damaged, report
from ..openruns import dump_runs, load_runs
from ..record import FORMAT_VERSION, UNREADABLE, Record, State, is_sooner, lease_time

Document: TypeAlias = "dict[str, Any]"


PLAIN: Final = (
    "stamp",
    "state",
    "executor",
    "wake_at",
    "next_run_time",
    "fire_time",
    "runs",
    "incarnation",
    "revision",
    "version",
    "reason",
    "forgotten",
)
"""The fields of a document that a record is made of, `_id` and `payload` apart."""

WITHOUT_PAYLOAD: Final = dict.fromkeys((*PLAIN, "adding"), 1)
WITH_PAYLOAD: Final = {**WITHOUT_PAYLOAD, "payload": 1}

RESERVATION: Final = {"reserved_until": "", "reserved_by": ""}
"""What goes with every write of a record."""

_STATES: Final = frozenset(get_args(State))

# Halves of surrogate pairs, which Python's text can hold and UTF-8 cannot; and the character that introduces them here.
_escapes_needed = re.compile("[\0\ud800-\udfff]").search
_escape = re.compile("[\0\ud800-\udfff]").sub
_unescape = re.compile("\0(0|u[0-9a-f]{4})").sub


def to_bson(text: str) -> str:
    """The text as it is stored: as it is, unless there is something in it that MongoDB cannot hold."""
    if _escapes_needed(text) is None:
        return text
    return _escape(lambda found: "\0" + ("0" if found[0] == "\0" else f"u{ord(found[0]):04x}"), text)


def from_bson(text: str) -> str:
    """What `to_bson` was given."""
    if "\0" not in text:
        return text
    return _unescape(lambda found: "\0" if found[1] == "0" else chr(int(found[1][1:], 16)), text)


def _long(value: int | None) -> Int64 | None:
    return None if value is None else Int64(value)


def new_document(record: Record) -> Document:
    """The whole document of a record, without its reservation."""
    document = {
        "_id": to_bson(record.id),
        "stamp": record.stamp,
        "state": record.state,
        "executor": to_bson(record.executor),
        "wake_at": _long(record.wake_at),
        "next_run_time": _long(record.next_run_time),
        "fire_time": _long(record.fire_time),
        "runs": dump_runs(record.runs),
        "incarnation": Int64(record.incarnation),
        "revision": Int64(record.revision),
        "version": _version(record),
        "reason": None if record.reason is None else to_bson(record.reason),
        "forgotten": record.forgotten,
        "payload": record.payload,
    }
    lease = lease_time(record.runs)
    if lease is not None:
        document["lease"] = Int64(lease)
    return document


def update_of(before: Record, after: Record, pushes: bool) -> Document:
    """The update that makes the one of the other, as it is stored. With `pushes`, others are told if it is due sooner than before."""
    if before.version == UNREADABLE:
        # Nobody knows what is there; it is whole again then.
        document = new_document(after)
        del document["_id"]
        if after.payload is None:
            del document["payload"]
        update = {"$set": document, "$unset": dict(RESERVATION)}
        if "lease" not in document:
            update["$unset"]["lease"] = ""
    else:
        update = _difference(before, after)
    at = after.wake_at
    if pushes and at is not None and (is_sooner(at, before.wake_at) or after.executor != before.executor):
        update["$set"]["soon"] = push_text(at, after.stamp)
    return update


def push_text(at: int, stamp: str) -> str:
    """What a change stream is to tell: when something is due. With the stamp it is another text each time, and says whose it is."""
    return f"{at} {stamp}"


def _difference(before: Record, after: Record) -> Document:
    """What all passes of the loop write, so without a loop over the fields."""
    changed: Document = {"stamp": after.stamp}
    unset: Document = dict(RESERVATION)
    if after.wake_at != before.wake_at:
        changed["wake_at"] = _long(after.wake_at)
    if after.next_run_time != before.next_run_time:
        changed["next_run_time"] = _long(after.next_run_time)
    if after.fire_time != before.fire_time:
        changed["fire_time"] = _long(after.fire_time)
    if after.state != before.state:
        changed["state"] = after.state
    if after.runs != before.runs:
        changed["runs"] = dump_runs(after.runs)
        lease = lease_time(after.runs) if after.runs else None
        if lease is not None:
            changed["lease"] = Int64(lease)
        elif before.runs:
            unset["lease"] = ""
    if after.reason != before.reason:
        changed["reason"] = None if after.reason is None else to_bson(after.reason)
    if after.forgotten != before.forgotten:
        changed["forgotten"] = after.forgotten
    if after.revision != before.revision:
        changed["revision"] = Int64(after.revision)
    if after.executor != before.executor:
        changed["executor"] = to_bson(after.executor)
    if after.incarnation != before.incarnation:
        changed["incarnation"] = Int64(after.incarnation)
    if after.version != before.version:
        changed["version"] = _version(after)
    if after.payload is not None and after.payload is not before.payload:
        changed["payload"] = after.payload
    return {"$set": changed, "$unset": unset}


def _version(record: Record) -> int:
    # What could not be read is written by edits only, and is whole again then: its open runs are forgotten.
    return FORMAT_VERSION if record.version == UNREADABLE else record.version


# -- reading -----------------------------------------------------------------------------------------------------------


def is_hidden(document: Mapping[str, Any]) -> bool:
    """Whether it belongs to jobs that somebody is adding just now (`adding.py`), or has not finished adding."""
    return "adding" in document and "stamp" not in document


def load_record(document: Mapping[str, Any]) -> Record:
    """The record of a document. One that is damaged, or nobody's here, comes back as far as it can be read, with the version `UNREADABLE`."""
    take = document.get
    try:
        job_id, stamp, state, executor, runs = (
            document["_id"],
            document["stamp"],
            document["state"],
            document["executor"],
            take("runs"),
        )
        wake_at, next_run_time, fire_time = take("wake_at"), take("next_run_time"), take("fire_time")
        reason, payload = take("reason"), take("payload")
        numbers = document["incarnation"], document["revision"], document["forgotten"], document["version"]
        if not (
            isinstance(job_id, str)
            and isinstance(stamp, str)
            and state in _STATES
            and isinstance(executor, str)
            and (runs is None or isinstance(runs, str))
            and (wake_at is None or isinstance(wake_at, int))
            and (next_run_time is None or isinstance(next_run_time, int))
            and (fire_time is None or isinstance(fire_time, int))
            and (reason is None or isinstance(reason, str))
            and (payload is None or isinstance(payload, bytes))
        ):
            raise ValueError("a field is of another type")
        incarnation, revision, forgotten, version = map(_number, numbers)
        record = Record(
            from_bson(job_id),
            incarnation,
            from_bson(executor),
            None if wake_at is None else int(wake_at),
            None if next_run_time is None else int(next_run_time),
            None if fire_time is None else int(fire_time),
            state,
            load_runs(runs) if runs else (),
            revision,
            stamp,
            payload,
            None if reason is None else from_bson(reason),
            forgotten,
            version,
        )
    except (KeyError, ValueError, TypeError) as error:
        return _damaged(document, error)
    sound = checked(record)
    if sound.version == UNREADABLE:
        report("record", record, sound)
    return sound


def _number(value: Any) -> int:
    if not isinstance(value, int):
        raise ValueError(f"{value!r} is not a number")
    return int(value)


def _damaged(document: Mapping[str, Any], why: Exception) -> Record:
    """What can be read of a document that is damaged, or that somebody else has put there."""
    take = document.get
    name = take("_id")
    job_id = from_bson(name) if isinstance(name, str) else repr(name)
    payload = take("payload")
    shown = damaged(
        Record(
            job_id,
            _if(int, take("incarnation")),
            from_bson(_if(str, take("executor")) or ""),
            _if(int, take("wake_at")),
            _if(int, take("next_run_time")),
            _if(int, take("fire_time")),
            take("state"),  # type: ignore[arg-type]
            (),
            _if(int, take("revision")),
            _if(str, take("stamp")) or "",
            payload if isinstance(payload, bytes) else None,
            from_bson(_if(str, take("reason")) or "") or None,
            _if(int, take("forgotten")),
            UNREADABLE,
        )
    )
    report("record", shown, shown, why)
    return shown


def _if(kind: type[Any], value: Any) -> Any:
    """The value if it is of this type, else None."""
    return kind(value) if isinstance(value, kind) and not isinstance(value, bool) else None


def ids(job_ids: Sequence[str]) -> Document:
    """The condition that a document is one of these jobs'."""
    return {"$in": [to_bson(job_id) for job_id in job_ids]}
