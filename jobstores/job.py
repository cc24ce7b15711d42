"""`Job`: what a user holds of a job. What a store keeps of it is a record (`record.py`)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any, Final

from ..triggers.base import BaseTrigger
from ..triggers.instants import from_micros, to_micros
from .errors import JobLookupError
from .options import checked_option, stored_option
from .policy import DEFAULT, POLICY_OPTIONS, HasPolicy, stored_policy
from .record import Record, Recovery, Transition
from .serialization.references import (
    callable_name,
    callable_reference,
    check_callable_args,
    resolve_reference,
)

if TYPE_CHECKING:
    from typing import Self

STATE_VERSION: Final = 1

MODIFIABLE: Final = (
    "id",
    "func",
    "args",
    "kwargs",
    "name",
    "trigger",
    "executor",
    "misfire_grace_time",
    "coalesce",
    "max_instances",
    "recovery",
    "max_recoveries",
    *POLICY_OPTIONS,
    "next_run_time",
)
"""What `modify` changes; anything else that is named is refused (`id` with a message of its own)."""


class Job(HasPolicy):
    """A job: a function with its arguments, a trigger, and how it is to be run. Made by `add_job`, never by hand.

    In a memory store this is the stored job itself and follows it; from other stores it is a snapshot, which `refresh()` and the
    methods that change it bring up to date. Attributes are not to be assigned: `modify()` changes them in the store.
    Two jobs are equal if their ids are.
    """

    __slots__ = (
        "__weakref__",
        "_func_ref",
        "_jobstore_alias",
        "_kwargs",
        "_next_run_time",
        "_policy",
        "_record",
        "_scheduler",
        "args",
        "coalesce",
        "executor",
        "func",
        "id",
        "max_instances",
        "max_recoveries",
        "misfire_grace_time",
        "name",
        "recovery",
        "trigger",
    )

    _scheduler: Any
    _jobstore_alias: str | None
    _record: Record | None
    _next_run_time: int | None
    _func_ref: str | None
    _kwargs: dict[str, Any] | None
    id: str
    name: str
    func: Callable[..., Any]
    args: tuple[Any, ...]
    trigger: BaseTrigger
    executor: str
    misfire_grace_time: float | None
    coalesce: bool
    max_instances: int
    recovery: Recovery
    max_recoveries: int

    def __init__(
        self,
        scheduler: Any,
        id: str | None = None,
        *,
        func: Callable[..., Any] | str,
        trigger: BaseTrigger,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        name: str | None = None,
        **options: Any,
    ) -> None:
        """Make a job that is in no store yet. `options` are the other attributes of `modify`; all is checked the same way."""
        self._scheduler = scheduler
        self._jobstore_alias = None
        self._record = None
        self._next_run_time = None
        self.id = _new_id() if id is None or id == "" else checked_option("id", id)
        self.func, self._func_ref, self.args, self._kwargs = _checked_call(
            func, args, {} if kwargs is None else kwargs
        )
        self.name = callable_name(self.func) if name is None else checked_option("name", name)
        self.trigger = _checked_trigger(trigger)
        self.executor = "default"
        self.misfire_grace_time = 1
        self.coalesce = True
        self.max_instances = 1
        self.recovery = "skip"
        self.max_recoveries = 3
        self._policy = DEFAULT
        if options:
            self._modify(**options)

    # -- what it is --------------------------------------------------------------------------------------------

    @property
    def kwargs(self) -> dict[str, Any]:
        """The keyword arguments of the function."""
        # Most jobs have none, and an empty dict each would be a tenth of what a job in memory costs.
        if self._kwargs is None:
            self._kwargs = {}
        return self._kwargs

    @kwargs.setter
    def kwargs(self, value: dict[str, Any]) -> None:
        self._kwargs = value or None

    @property
    def func_ref(self) -> str | None:
        """The function's reference, `"module:qualified.name"`; None if it has none (a lambda, a nested function)."""
        if self._func_ref is not None:
            return self._func_ref
        try:
            return callable_reference(self.func)
        except ValueError:
            return None

    @property
    def next_run_time(self) -> datetime | None:
        """When it is to be dispatched next, in its trigger's zone; None if it is paused, parked or has no further run."""
        instant = self._next_run_time
        return None if instant is None else from_micros(instant, self.timezone)

    @next_run_time.setter
    def next_run_time(self, value: datetime | None) -> None:
        # Stores written for APScheduler's contract restore jobs with this.
        self._next_run_time = None if value is None else to_micros(value)

    @property
    def timezone(self) -> tzinfo:
        """The zone in which the job's times are shown: its trigger's, else its scheduler's, else UTC."""
        zone = getattr(self.trigger, "timezone", None) or getattr(self._scheduler, "timezone", None)
        return zone if isinstance(zone, tzinfo) else UTC

    @property
    def pending(self) -> bool:
        """True while the job waits for the scheduler to be started, before it is in its store."""
        return self._jobstore_alias is None

    # -- what can be done with it ----------------------------------------------------------------------------------

    def modify(self, **changes: Any) -> Self:
        """Change the job in its store; see `scheduler.modify_job`. Raises `JobLookupError` if it is no longer this job."""
        return self._edited("_modify_job", changes)

    def reschedule(self, trigger: Any, **trigger_args: Any) -> Self:
        """Give the job another trigger, and its next run time from now; see `scheduler.reschedule_job`."""
        return self._edited("_reschedule_job", trigger, trigger_args)

    def pause(self) -> Self:
        """Do not run the job until it is resumed; see `scheduler.pause_job`."""
        return self._edited("_pause_job")

    def resume(self) -> Self:
        """Resume a paused job; see `scheduler.resume_job`. A job that has no further run is removed."""
        return self._edited("_resume_job")

    def run_now(self) -> Any:
        """Have the job run once, as soon as there is room for it, whatever its schedule says; see `scheduler.run_job_now`."""
        return self._scheduler._run_job_now(self.id, self._place(), self._incarnation)

    def remove(self) -> None:
        """Remove the job from its store; see `scheduler.remove_job`."""
        self._scheduler._remove_job(self.id, self._place(), self._incarnation)

    def refresh(self) -> Self:
        """Bring a snapshot up to date with its store. Raises `JobLookupError` if the job is no longer there."""
        found = self._scheduler.get_job(self.id, self._place())
        if found is None or (self._incarnation is not None and found._incarnation != self._incarnation):
            raise JobLookupError(self.id)
        self._adopt(found)
        return self

    @property
    def _incarnation(self) -> int | None:
        return None if self._record is None else self._record.incarnation

    def _edited(self, method: str, *arguments: Any) -> Self:
        edited = getattr(self._scheduler, method)(self.id, self._place(), self._incarnation, *arguments)
        if edited is not None:
            self._adopt(edited)
        return self

    def _place(self) -> str | None:
        """The alias of its store, or of that into which it will get; another store may have a job of the same id."""
        place: str | None = self._jobstore_alias
        return self._scheduler._awaited_store(self) if place is None else place

    # -- for the scheduler and the stores --------------------------------------------------------------------------

    def _modify(self, **changes: Any) -> None:
        """Check the changes, all of them first, and make them in this object."""
        unknown = [name for name in changes if name not in MODIFIABLE]
        if unknown:
            raise AttributeError(
                f"The following are not modifiable attributes of Job: {', '.join(sorted(unknown))}"
            )
        if "id" in changes:
            value = checked_option("id", changes.pop("id"))
            if value != getattr(self, "id", value):
                raise ValueError(
                    "The job ID may not be changed: it identifies the job in its store. Add a job with the new id and remove this one"
                )
        approved: dict[str, Any] = {}
        if changes.keys() & {"func", "args", "kwargs"}:
            # Given in part, the rest stays; all of it has to fit together.
            func = changes.pop("func", self._func_ref or self.func)
            args, kwargs = changes.pop("args", self.args), changes.pop("kwargs", self._kwargs or {})
            call = _checked_call(func, args, kwargs)
            approved.update(zip(("func", "_func_ref", "args", "_kwargs"), call, strict=True))
        policy: dict[str, Any] = {}
        for name, value in changes.items():
            if name in POLICY_OPTIONS:
                policy[name] = checked_option(name, value)
            elif name == "trigger":
                approved[name] = _checked_trigger(value)
            elif name == "next_run_time":
                approved[name] = _checked_time(value)
            else:
                approved[name] = checked_option(name, value)
        if policy:
            approved["_policy"] = self._policy.changed(policy)
        for name, value in approved.items():
            setattr(self, name, value)

    def _adopt(self, other: Job) -> None:
        """Become what `other` is: how a caller's handle follows an edit."""
        for slot in _COPIED:
            setattr(self, slot, getattr(other, slot))

    def _clone(self) -> Job:
        """A copy of this object, for an edit to be prepared on."""
        clone = Job.__new__(type(self))
        clone._adopt(self)
        clone.id = self.id
        if self._kwargs is not None:
            clone._kwargs = dict(self._kwargs)
        return clone

    def _as_written(self, after: Transition) -> Job:
        """The job of an edit that was written, for a caller whose job has run for the last time, or was removed, since."""
        job = self._clone()
        if isinstance(after, Record):
            job._record, job._next_run_time = after, after.next_run_time
        return job

    def __getstate__(self) -> dict[str, Any]:
        """The job as plain attributes, its function as a reference: what stores written for APScheduler 3 keep."""
        reference = self.func_ref
        if reference is None:
            raise ValueError(
                f"This Job cannot be serialized since the reference to its callable ({self.func!r}) could not be determined. "
                "Consider giving a textual reference ('module:function') instead, or use a memory job store"
            )
        args = self.args
        # A bound method is stored as its class's function with its self as first argument.
        owner = getattr(self.func, "__self__", None)
        if owner is not None and not isinstance(owner, type) and hasattr(self.func, "__func__"):
            args = (owner, *args)
        return {
            "version": STATE_VERSION,
            "id": self.id,
            "func": reference,
            "trigger": self.trigger,
            "executor": self.executor,
            "args": args,
            "kwargs": self.kwargs,
            "name": self.name,
            "misfire_grace_time": self.misfire_grace_time,
            "coalesce": self.coalesce,
            "max_instances": self.max_instances,
            "recovery": self.recovery,
            "max_recoveries": self.max_recoveries,
            **self._policy.options(),
            "next_run_time": self.next_run_time,
        }

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Make the job of a state; imports the module of its function. Raises what a wrong reference raises, and TypeError or ValueError for
        options that no job can have: who wrote it may not have been this library.
        """
        if state.get("version", 1) > STATE_VERSION:
            raise ValueError(
                f"Job has version {state['version']}, but only version {STATE_VERSION} or lower can be handled"
            )
        self._scheduler = None
        self._jobstore_alias = None
        self._record = None
        self.id = state["id"]
        self._func_ref = state["func"]
        self.func = resolve_reference(state["func"])
        self.trigger = state["trigger"]
        self.args = tuple(state["args"])
        self._kwargs = dict(state["kwargs"]) or None
        name = state["name"]
        self.name = name if type(name) is str else stored_option("name", name)
        self.executor = stored_option("executor", state["executor"])
        self.misfire_grace_time = stored_option("misfire_grace_time", state["misfire_grace_time"])
        self.coalesce = stored_option("coalesce", state["coalesce"])
        self.max_instances = stored_option("max_instances", state["max_instances"])
        # Not in states that APScheduler wrote.
        self.recovery = stored_option("recovery", state.get("recovery", "skip"))
        self.max_recoveries = stored_option("max_recoveries", state.get("max_recoveries", 3))
        self._policy = stored_policy(state)
        self.next_run_time = state.get("next_run_time")

    def __eq__(self, other: object) -> bool:
        return self.id == other.id if isinstance(other, Job) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<Job (id={self.id} name={self.name})>"

    def _waits_paused(self) -> bool:
        # The scheduler knows: jobs that are in a store, which are most, need not carry that.
        asked = getattr(self._scheduler, "_waits_paused", None)
        return asked is not None and asked(self) is True

    def __str__(self) -> str:
        if self.pending:
            status = "paused" if self._waits_paused() else "pending"
        # Read once each: the scheduler moves a job in memory on while others show it.
        elif (record := self._record) is not None and record.state == "ended":
            waiting = [run.due for run in record.runs if run.state == "waiting"]
            status = f"next attempt at: {self._time_text(min(waiting))}" if waiting else "no further run"
        elif (time := self._next_run_time) is None:
            status = "parked" if record is not None and record.state == "parked" else "paused"
        else:
            status = f"next run at: {self._time_text(time)}"
        return f"{self.name} (trigger: {self.trigger}, {status})"

    def _time_text(self, instant: int) -> str:
        return from_micros(instant, self.timezone).strftime("%Y-%m-%d %H:%M:%S %Z").rstrip()


_COPIED: Final = tuple(slot for slot in Job.__slots__ if slot not in ("__weakref__", "id"))


def _new_id() -> str:
    """32 hexadecimal digits of a random UUID (RFC 9562, version 4); `uuid.uuid4()` takes six times as long."""
    digits = os.urandom(16).hex()
    return f"{digits[:12]}4{digits[13:16]}{'89ab'[ord(digits[16]) & 3]}{digits[17:]}"


def _checked_call(
    func: Any, args: Any, kwargs: Any
) -> tuple[Callable[..., Any], str | None, tuple[Any, ...], dict[str, Any] | None]:
    """A function, its reference if that is how it was given, and its arguments, checked against its signature."""
    reference = None
    if isinstance(func, str):
        reference, func = func, resolve_reference(func)
    if not callable(func):
        raise TypeError(
            f"func must be a callable or a textual reference to one ('module:function'), got {type(func).__name__}"
        )
    if type(args) is not tuple:
        if isinstance(args, str | bytes) or not hasattr(args, "__iter__"):
            raise TypeError(
                f"args must be a list or tuple of positional arguments, got {type(args).__name__}: {args!r}"
            )
        args = tuple(args)
    if type(kwargs) is not dict and not isinstance(kwargs, Mapping):
        raise TypeError(
            f"kwargs must be a mapping of argument names to values, got {type(kwargs).__name__}: {kwargs!r}"
        )
    check_callable_args(func, args, kwargs)
    return func, reference, args, dict(kwargs) if kwargs else None


def _checked_trigger(value: Any) -> BaseTrigger:
    if not isinstance(value, BaseTrigger):
        raise TypeError(f"Expected a trigger instance, got {type(value).__name__} instead")
    return value


def _checked_time(value: Any) -> datetime | None:
    if value is None or (isinstance(value, datetime) and value.tzinfo is not None):
        return value
    raise TypeError(f"next_run_time must be None or a datetime with a timezone, got {value!r}")
