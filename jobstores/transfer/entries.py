"""Entries of a file as arrivals: everything that stands there is checked, since anybody may have written it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ...triggers import BaseTrigger
from ...triggers.instants import FIRST_INSTANT, LAST_INSTANT
from ..base import BaseJobStore
from ..errors import described
from ..job import STATE_VERSION, Job
from ..openruns import load_runs
from ..policy import POLICY_OPTIONS
from ..record import MAX_LOST_RUNS, Plan, Run
from ..serialization.references import split_reference
from ..serialization.serializer import Serializer
from ..sharedstore import SharedJobStore
from .values import Arrival, Refused

_to_text: Final = json.JSONEncoder(ensure_ascii=False, check_circular=False).encode

_STATES: Final = ("active", "paused", "parked", "ended")
_KEYS: Final = ("id", "jobstore", "state", "reason", "next_run_time", "fire_time", "runs", "job")
_REQUIRED: Final = ("id", "func", "trigger", "executor", "args", "kwargs", "name")
_OPTIONS: Final = (
    "executor",
    "misfire_grace_time",
    "coalesce",
    "max_instances",
    "recovery",
    "max_recoveries",
    *(option for option in POLICY_OPTIONS if option != "retry_on"),
)


class EntryError(ValueError):
    """An entry, or a part of it, is not what it has to be."""


@dataclass(frozen=True, slots=True)
class PendingArrival:
    """A job that waited for the start of its scheduler: its trigger is not bound, and its schedule is still to be made."""

    job: Job
    schedule: Mapping[str, int | None]
    """`next_run_time` (µs UTC; None: paused), if something was said of it."""


def reading_serializer(store: BaseJobStore | None) -> Serializer:
    """What reads entries for a store: its `allowed_callables` hold for them, too."""
    return store._serializer if isinstance(store, SharedJobStore) else Serializer()


def arrival_of(entry: Any, number: int, serializer: Serializer) -> Arrival | PendingArrival | Refused:
    """What an entry says. Imports the modules of the job, as far as the serializer allows them, and calls what its classes' authors wrote."""
    job_id = entry.get("id") if isinstance(entry, dict) else None
    try:
        _check_entry(entry)
        job = _job(entry["id"], entry["job"], serializer)
        if entry["state"] == "pending":
            return PendingArrival(
                job,
                {key: _time(entry, key) for key in ("next_run_time",) if key in entry},
            )
        return Arrival(job, _plan(entry), _runs(entry.get("runs", [])))
    except Exception as exc:  # its modules, and its classes' constructors, may raise anything
        reason = str(exc) if isinstance(exc, EntryError) else described(exc)
        return Refused(job_id if isinstance(job_id, str) else f"job number {number} of the file", reason)


def _check_entry(entry: Any) -> None:
    if not isinstance(entry, dict):
        raise EntryError(f"expected a JSON object, got {_kind(entry)}")
    if "job" not in entry and "func" in entry:
        raise EntryError(
            "this is a file of APScheduler 3, which holds pickles: they are not loaded. Take over the job store itself with python -m mainspring.jobstores.migrate, or add "
            "the jobs anew"
        )
    unknown = sorted(entry.keys() - set(_KEYS))
    if unknown:
        raise EntryError(f"{unknown[0]!r} is not known to this version of the library")
    if not isinstance(entry.get("id"), str) or not entry["id"]:
        raise EntryError(f"its id must be a non-empty text, got {entry.get('id')!r}")
    if entry.get("state") not in (*_STATES, "pending"):
        raise EntryError(f"its state must be one of {', '.join(_STATES)}, got {entry.get('state')!r}")
    if not isinstance(entry.get("job"), dict):
        raise EntryError(f"its 'job' must be a JSON object, got {_kind(entry.get('job'))}")


def _plan(entry: dict[str, Any]) -> Plan:
    state, reason = entry["state"], entry.get("reason")
    next_run_time, fire_time = _time(entry, "next_run_time"), _time(entry, "fire_time")
    if (state == "active") != (next_run_time is not None):
        raise EntryError(f"a job that is {state} has {'a' if state == 'active' else 'no'} next_run_time")
    if reason is not None and not isinstance(reason, str):
        raise EntryError(f"its reason must be text or null, got {_kind(reason)}")
    if state == "parked" and not reason:
        raise EntryError("a job that is parked has a reason")
    return Plan(next_run_time, next_run_time if fire_time is None else fire_time, state, reason)


def _time(entry: Mapping[str, Any], key: str) -> int | None:
    time = entry.get(key)
    if time is None:
        return None
    if type(time) is not int or not FIRST_INSTANT <= time <= LAST_INSTANT:
        raise EntryError(
            f"{key} must be an integer of microseconds since 1970 (UTC), in the years 1 to 9999, got {time!r}"
        )
    return time


# -- the job -----------------------------------------------------------------------------------------------------------


def _job(job_id: str, state: dict[str, Any], serializer: Serializer) -> Job:
    """Make a job of a state, by the constructor that all jobs go through, so that each attribute is checked."""
    restored = serializer.imported(job_id, _to_text(state))
    missing = [key for key in _REQUIRED if key not in restored]
    if missing:
        raise EntryError(f"its 'job' has no {missing[0]!r}")
    if restored.get("version", 1) != STATE_VERSION:
        raise EntryError(f"its 'job' has version {restored['version']!r}, and {STATE_VERSION} is known here")
    unknown = sorted(restored.keys() - {"version", "retry_on", *_REQUIRED, *_OPTIONS})
    if unknown:
        raise EntryError(f"the option {unknown[0]!r} is not known to this version of the library")
    if not isinstance(restored["trigger"], BaseTrigger):
        raise EntryError(f"its trigger is {_kind(restored['trigger'])}")
    job = Job(
        None,
        job_id,
        func=restored["func"],
        trigger=restored["trigger"],
        args=restored["args"],
        kwargs=restored["kwargs"],
        name=restored["name"],
        **{option: restored[option] for option in _OPTIONS if option in restored},
    )
    if "retry_on" in restored:
        job._policy = job._policy.changed({"retry_on": _references(restored["retry_on"])})
    return job


def _references(value: Any) -> tuple[str, ...]:
    """References of exception classes. They are compared as text, so nothing is imported for them."""
    if not isinstance(value, list | tuple) or not value:
        raise EntryError(f"retry_on must be references of exception classes ('module:Class'), got {value!r}")
    for reference in value:
        if not isinstance(reference, str):
            raise EntryError(f"retry_on holds {_kind(reference)}, and not a reference ('module:Class')")
        split_reference(reference)
    return tuple(value)


# -- runs --------------------------------------------------------------------------------------------------------------


def _runs(entries: Any) -> tuple[Run, ...]:
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise EntryError("its runs must be a list of JSON objects")
    runs = load_runs(json.dumps(entries))
    for run in runs:
        _check_run(run)
    if sum(run.state == "lost" for run in runs) > MAX_LOST_RUNS:
        raise EntryError(f"it has more than {MAX_LOST_RUNS} lost runs")
    return runs


def _check_run(run: Run) -> None:
    """Beyond what is right of any run (`load_runs`), it is one that may come along."""
    right = (
        (run.owner is None if run.state == "waiting" else run.state == "lost" and run.owner is not None)
        and run.incarnation is None
        and run.lease_until is None
    )
    if not right:
        raise EntryError(f"one of its runs is none that waits or was lost: {run!r}"[:500])


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__
