"""Old jobs to ours: a row of an old store becomes an arrival for the new one, or a reason why it cannot be taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ...triggers.instants import from_micros, to_micros
from ..errors import described
from ..job import Job
from ..options import checked_option
from ..record import Plan
from ..serialization.allowlist import AllowedCallables
from ..serialization.references import (
    check_callable_args,
    is_main_reference,
    resolve_reference,
    split_reference,
)
from ..transfer import Arrival
from .renaming import Renaming
from .settling import ForeignValueError
from .standins import Foreign, RefusedPickleError
from .triggers import UntakableTriggerError, differs_on_clock_changes, mapped_trigger
from .unpickling import Unpickled, unpickled

__all__ = ["OldJob", "UntakableJobError", "Reader", "not_imported"]

_VERSION: Final = 1
_APART: Final = timedelta(milliseconds=1)
"""Old stores keep the next run time a second time, as a float."""


@dataclass(frozen=True, slots=True)
class OldJob:
    """What an old store keeps of one job."""

    id: str
    data: bytes
    """The pickled state."""
    next_run_time: float | None = None
    """The time by which the old store looks for it, in seconds since the epoch; None: paused."""
    wrapped: bool = False
    """The pickle is of a dict of that time and the state, as ZooKeeper's nodes hold it."""


class UntakableJobError(ValueError):
    """The job cannot be taken; the text says why, and what can be done about it."""


def not_imported(*args: Any, **kwargs: Any) -> None:
    """In the place of a job's function, which a migration does not import: only its reference is stored."""
    raise RuntimeError("the functions of migrated jobs are imported by the scheduler that runs them")


class Reader:
    """Makes arrivals of old jobs. Thread-safe.

    allowed: classes of the program that arguments may hold; imported, and called. None: no class is.
    renaming: what has moved since.
    check_callables: import each job's function, and check its arguments against it.
    now: µs UTC.
    """

    def __init__(
        self, allowed: AllowedCallables | None, renaming: Renaming, check_callables: bool, now: int
    ) -> None:
        self._allowed = allowed
        self._renaming = renaming
        self._check_callables = check_callables
        self._now = now

    def arrival(self, old: OldJob) -> tuple[Arrival, list[str]]:
        """The job as the new store gets it, and notes on what is different. Raises UntakableJobError."""
        try:
            read = unpickled(old.data, self._allowed, self._renaming)
            return self._arrival(old, read)
        except (UntakableTriggerError, RefusedPickleError) as error:
            raise UntakableJobError(str(error)) from None

    def _arrival(self, old: OldJob, read: Unpickled) -> tuple[Arrival, list[str]]:
        state = read.value
        kept: Any = old.next_run_time
        if old.wrapped:
            document = state if type(state) is dict else {}
            state, kept = document.get("job_state"), document.get("next_run_time")
        _check_shape(old, state)
        notes: list[str] = []
        next_run_time = _next_run_time(kept, state, notes)
        trigger, differences = mapped_trigger(state.get("trigger"), next_run_time)
        notes += differences
        now = from_micros(self._now, getattr(trigger, "timezone", None) or UTC)
        job = self._job(state, read, notes)
        try:
            # The start of each is there; what is refused only when a job is added is refused here, too.
            job.trigger = trigger.bind(now, job.id)
            plan = self._plan(job, next_run_time, now)
            if (rule := differs_on_clock_changes(job.trigger, now)) is not None:
                notes.append(rule)
        except Exception as error:  # a trigger of the program's own may raise anything
            raise UntakableJobError(f"its trigger is refused here: {described(error)}") from None
        job.next_run_time = next_run_time
        return Arrival(job, plan), list(dict.fromkeys(notes))

    def _plan(self, job: Job, next_run_time: datetime | None, now: datetime) -> Plan:
        if next_run_time is not None:
            # One that has passed stays: it is overdue, and the grace and `coalesce` say what becomes of it, as they would there.
            at = to_micros(next_run_time)
            return Plan(at, at)
        following = job.trigger.get_next_fire_time(None, now)
        return Plan(None, None if following is None else to_micros(following), "paused")

    def _job(self, state: Mapping[str, Any], read: Unpickled, notes: list[str]) -> Job:
        job = Job.__new__(Job)
        func = self._renaming.reference(state["func"])
        args = _arguments(read, state.get("args", ()), "args")
        kwargs = _named_arguments(read, state.get("kwargs", {}))
        for library in sorted(read.zones):
            notes.append(
                f"its arguments hold time zones of {library}, which come back as zoneinfo's or datetime's"
            )
        if is_main_reference(func):
            notes.append(f"its function {func} is in a program's main file: only that program can run it")
        job.__setstate__(
            {**_options(state, notes), "func": _PLACEHOLDER, "trigger": None, "args": args, "kwargs": kwargs}
        )
        job._func_ref, job.func = func, not_imported
        if self._check_callables:
            job.func = _checked(func, args, kwargs)
        return job


_PLACEHOLDER: Final = f"{not_imported.__module__}:{not_imported.__qualname__}"


def _check_shape(old: OldJob, state: Any) -> None:
    if type(state) is not dict:
        raise UntakableJobError("what is stored is no job of APScheduler 3")
    version = state.get("version", 1)
    if type(version) is not int or version > _VERSION:
        raise UntakableJobError(
            f"it is of version {version!r:.20} of APScheduler's format; {_VERSION} is the last one that APScheduler 3 has"
        )
    if state.get("id") != old.id:
        raise UntakableJobError(
            f"what is stored under this id is a job of another one, {state.get('id')!r:.100}"
        )
    func = state.get("func")
    try:
        if type(func) is not str:
            raise ValueError
        split_reference(func)
    except ValueError:
        raise UntakableJobError("it names no function ('module:function')") from None


def _next_run_time(kept: Any, state: Mapping[str, Any], notes: list[str]) -> datetime | None:
    time = state.get("next_run_time")
    if isinstance(time, Foreign):
        raise UntakableJobError(
            f"its next run time is in the time zone {time.reference}: {time.reason or 'not one that is known here'}"
        )
    if time is not None and (not isinstance(time, datetime) or time.utcoffset() is None):
        raise UntakableJobError("its next run time is no datetime with a time zone")
    if kept is None:
        if time is not None:
            notes.append(
                "its store has no next run time for it, though it has one itself: it is paused, as it was there"
            )
        return None
    if time is None:
        notes.append("its store has a next run time for it, though it is paused itself: it is paused")
    elif not isinstance(kept, int | float) or abs(time.timestamp() - kept) > _APART.total_seconds():
        notes.append(
            "its store has another next run time for it than it has itself, which is the one that counts"
        )
    return time


def _options(state: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    options: dict[str, Any] = {"id": state["id"]}
    defaults: dict[str, Any] = {
        "name": state["func"].rpartition(":")[2],
        "executor": "default",
        "misfire_grace_time": 1,
        "coalesce": True,
        "max_instances": 1,
    }
    for name, default in defaults.items():
        value = state.get(name, default)
        if name == "coalesce" and type(value) is not bool:
            notes.append(f"its coalesce is {value!r:.40}, which counted as {bool(value)}")
            value = bool(value)
        try:
            options[name] = checked_option(name, value)
        except (TypeError, ValueError) as error:
            raise UntakableJobError(f"its option is none that a job can have: {error}") from None
    return options


def _arguments(read: Unpickled, value: Any, name: str) -> tuple[Any, ...]:
    if type(value) not in (tuple, list):
        raise UntakableJobError(f"its {name} are no tuple")
    return tuple([_argument(read, item, f"{name}[{index}]") for index, item in enumerate(value)])


def _named_arguments(read: Unpickled, value: Any) -> dict[str, Any]:
    if type(value) is not dict or not all(type(key) is str for key in value):
        raise UntakableJobError("its kwargs are no dict of names")
    return {key: _argument(read, item, f"kwargs[{key!r:.60}]") for key, item in value.items()}


def _argument(read: Unpickled, value: Any, path: str) -> Any:
    try:
        return read.settled(value, path)
    except ForeignValueError as error:
        foreign = error.foreign
        if foreign.reason:
            raise UntakableJobError(f"{error.path} holds {foreign.reference}: {foreign.reason}") from None
        module = foreign.reference.partition(":")[0]
        raise UntakableJobError(
            f"{error.path} holds {foreign.reference}, which is not looked up unless it is allowed: if you trust everybody who could "
            f"write to the old store, allow {foreign.reference} or {module}; or give the job something simpler, such as an id"
        ) from None


def _checked(reference: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        func = resolve_reference(reference)
        check_callable_args(func, args, kwargs)
    except (LookupError, ValueError) as error:
        raise UntakableJobError(
            f"its function cannot be called here: {error}; if it has moved, rename it"
        ) from None
    return func
