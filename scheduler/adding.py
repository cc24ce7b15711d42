"""`AddingMethods`: how jobs come into a scheduler: `add_job`, `add_jobs`, `scheduled_job`, and those that wait for its start."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from logging import INFO
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..events import EVENT_JOB_ADDED, Clock, JobEvent
from ..jobstores import edits
from ..jobstores.errors import ConflictingIdError, JobLookupError, JobRestoreError
from ..jobstores.job import Job
from ..jobstores.record import ParkedReason, Plan, Record, Transition
from ..triggers import BaseTrigger, DateTrigger
from ..triggers.instants import from_micros, parse_date, to_micros
from .planning import Undefined, added, undefined
from .plugins import create_trigger, refuse_unknown

if TYPE_CHECKING:
    import logging

    from .configuration import Settings
    from .engine import Engine
    from .port import Port

F = TypeVar("F", bound=Callable[..., Any])

EDIT_TRIES: Final = 100
"""An edit that finds its record changed since it was read is made again, so often at most."""


@dataclass(slots=True)
class NewJob:
    """A job that is not in its store yet: its trigger is not bound, and its next run time is what the caller said of it."""

    job: Job
    jobstore: str
    replace_existing: bool
    next_run_time: int | Undefined | None


class AddingMethods:
    """What `BaseScheduler` offers for adding jobs. Thread-safe."""

    _lock: threading.RLock
    _logger: logging.Logger
    _engine: Engine | None
    _settings: Settings
    _pending: list[NewJob]
    _executors: dict[str, Any]
    state: int

    if TYPE_CHECKING:

        @property
        def timezone(self) -> tzinfo: ...

        @property
        def clock(self) -> Clock: ...

        def _check_process(self) -> None: ...

        def _dispatch_event(self, event: Any) -> None: ...

        def _wants(self, code: int) -> bool: ...

    def add_job(
        self,
        func: Callable[..., Any] | str,
        trigger: BaseTrigger | str | None = None,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        id: str | None = None,
        name: str | None = None,
        misfire_grace_time: float | Undefined | None = undefined,
        coalesce: bool | Undefined = undefined,
        max_instances: int | Undefined = undefined,
        next_run_time: datetime | date | str | Undefined | None = undefined,
        jobstore: str = "default",
        executor: str = "default",
        replace_existing: bool = False,
        recovery: str | Undefined = undefined,
        max_recoveries: int | Undefined = undefined,
        **trigger_args: Any,
    ) -> Job:
        """Add a job, and answer it. Before the start of the scheduler it is pending, and gets into its store then.

        `func` is a callable or its reference as text, "module:function". `trigger` is a trigger, the name of one with its arguments as
        `trigger_args`, or None: once, now. `id` is random unless given; one that is taken raises `ConflictingIdError`, unless
        `replace_existing`: then the job gets this definition, and keeps its next run time (and its pause) if the trigger is equal.

        `misfire_grace_time` (seconds; None: any) is how late a run may start; `coalesce` makes several overdue runs one;
        `max_instances` bounds the runs at one time; `next_run_time` sets the first run (None adds the job paused); `recovery` says
        what becomes of a run whose process dies, `"skip"` (listed as lost) or `"rerun"`, at most `max_recoveries` times. Those that are not
        given come from `job_defaults`. Arguments that do not fit the function's signature are refused at once.
        """
        self._check_process()
        new = self._new_job(
            func,
            trigger,
            args,
            kwargs,
            id,
            name,
            {
                "misfire_grace_time": misfire_grace_time,
                "coalesce": coalesce,
                "max_instances": max_instances,
                "recovery": recovery,
                "max_recoveries": max_recoveries,
            },
            next_run_time,
            jobstore,
            executor,
            replace_existing,
            trigger_args,
        )
        engine = self._pend([new])
        if engine is None:
            return new.job
        port = self._port(engine, jobstore)
        job = self._insert_one(engine, port, new)
        self._announce([job])
        return job

    def add_jobs(self, jobs: Iterable[Mapping[str, Any]]) -> list[Job]:
        """Add many jobs, all or none, with one write for each store: each item has the arguments of `add_job`.

        Example: `scheduler.add_jobs({"func": send, "trigger": "interval", "hours": 1, "args": [user]} for user in users)`. Raises what
        `add_job` raises; then no job is added.
        """
        self._check_process()
        news = [self._new_job_of(item) for item in jobs]
        engine = self._pend(news)
        if engine is None:
            return [new.job for new in news]
        added_jobs = self._insert_all(engine, news)
        self._announce(added_jobs)
        return added_jobs

    def scheduled_job(
        self,
        trigger: BaseTrigger | str | None = None,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        id: str | None = None,
        name: str | None = None,
        **options: Any,
    ) -> Callable[[F], F]:
        """A decorator that adds its function as a job, with `replace_existing`; the other arguments are those of `add_job`."""

        def decorate(func: F) -> F:
            self.add_job(func, trigger, args, kwargs, id, name, **{"replace_existing": True, **options})
            return func

        return decorate

    # -- making jobs -----------------------------------------------------------------------------------------------

    def _new_job_of(self, item: Mapping[str, Any]) -> NewJob:
        if not isinstance(item, Mapping):
            raise TypeError(
                f"add_jobs() takes mappings with the arguments of add_job(), got {type(item).__name__}: {item!r}"
            )
        given = dict(item)
        if "func" not in given:
            raise TypeError(f"add_jobs(): an item has no 'func': {item!r}")
        options = {option: given.pop(option, undefined) for option in self._settings.job_defaults}
        return self._new_job(
            given.pop("func"),
            given.pop("trigger", None),
            given.pop("args", None),
            given.pop("kwargs", None),
            given.pop("id", None),
            given.pop("name", None),
            options,
            given.pop("next_run_time", undefined),
            given.pop("jobstore", "default"),
            given.pop("executor", "default"),
            given.pop("replace_existing", False),
            given,
        )

    def _new_job(
        self,
        func: Any,
        trigger: Any,
        args: Any,
        kwargs: Any,
        id: Any,
        name: Any,
        options: dict[str, Any],
        next_run_time: Any,
        jobstore: str,
        executor: str,
        replace_existing: bool,
        trigger_args: Mapping[str, Any],
    ) -> NewJob:
        """Check everything that can be checked now."""
        given = {option: value for option, value in options.items() if value is not undefined}
        if executor != "default":
            given["executor"] = executor
        job = Job(
            self,
            id,
            func=func,
            args=() if args is None else args,
            kwargs=kwargs,
            name=name,
            trigger=self._trigger(trigger, trigger_args),
        )
        defaults = self._settings.job_defaults
        job.misfire_grace_time = defaults["misfire_grace_time"]
        job.coalesce = defaults["coalesce"]
        job.max_instances = defaults["max_instances"]
        job.recovery = defaults["recovery"]
        job.max_recoveries = defaults["max_recoveries"]
        if given:
            job._modify(**given)
        if not isinstance(jobstore, str):
            raise TypeError(
                f"jobstore must be the alias of a job store, got {type(jobstore).__name__}: {jobstore!r}"
            )
        return NewJob(job, jobstore, replace_existing, self._instant(next_run_time))

    def _trigger(self, trigger: Any, trigger_args: Mapping[str, Any]) -> BaseTrigger:
        """A trigger of what a caller gave for one."""
        if isinstance(trigger, str):
            return create_trigger(trigger, self.timezone, trigger_args)
        if trigger is None:
            refuse_unknown(
                trigger_args,
                (*self._settings.job_defaults, "next_run_time", "executor", "jobstore"),
                "argument of add_job()",
            )
            return DateTrigger(timezone=self.timezone)
        if not isinstance(trigger, BaseTrigger):
            raise TypeError(
                f"Expected a trigger instance or the name of one, got {type(trigger).__name__} instead: {trigger!r}"
            )
        refuse_unknown(
            trigger_args,
            ("misfire_grace_time", "coalesce", "max_instances"),
            f"argument beside {type(trigger).__name__}",
        )
        return trigger

    def _instant(self, time: Any) -> int | Undefined | None:
        """A next run time as the caller gave it: µs UTC; naive times are in the scheduler's zone."""
        if time is None or isinstance(time, Undefined):
            return time
        return to_micros(parse_date(time, self.timezone))

    # -- pending jobs ------------------------------------------------------------------------------------------------

    def _pend(self, news: Sequence[NewJob]) -> Engine | None:
        """Keep jobs for the start of the scheduler; answers its engine if it has started, and then keeps nothing."""
        with self._lock:
            if self.state and self._engine is not None:
                return self._engine
            pending = list(self._pending)
            for new in news:
                # Found now, and not when start() is half done.
                same = next(
                    (old for old in pending if (old.job.id, old.jobstore) == (new.job.id, new.jobstore)), None
                )
                if same is not None and not new.replace_existing:
                    raise ConflictingIdError(new.job.id)
                pending = [*(old for old in pending if old is not same), new] if same else [*pending, new]
            self._pending = pending
        for _ in news:
            self._logger.info(
                "Adding job tentatively -- it will be properly scheduled when the scheduler starts"
            )
        return None

    def _add_pending(self, alias: str | None = None) -> list[Job]:
        """Put the pending jobs into their stores, all or none; those of one store only if `alias` is given."""
        with self._lock:
            engine = self._engine
            pending = [new for new in self._pending if alias is None or new.jobstore == alias]
        if engine is None or not pending:
            return []
        jobs = self._insert_all(engine, pending)
        with self._lock:
            self._pending = [new for new in self._pending if new not in pending]
        return jobs

    def _announce(self, jobs: Iterable[Job]) -> None:
        """Say that jobs were added."""
        wanted = self._wants(EVENT_JOB_ADDED)
        logged = self._logger.isEnabledFor(INFO)
        for job in jobs:
            if logged:
                self._logger.info('Added job "%s" to job store "%s"', job.name, job._jobstore_alias)
            if wanted:
                self._dispatch_event(JobEvent(EVENT_JOB_ADDED, job.id, job._jobstore_alias or ""))

    # -- into the stores ---------------------------------------------------------------------------------------------

    def _port(self, engine: Engine, alias: str) -> Port:
        port = engine.port(alias)
        if port is None:
            raise KeyError(f"No such job store: {alias}")
        return port

    def _plan(self, engine: Engine, new: NewJob, bound: BaseTrigger) -> Plan:
        plan = added(bound, engine.clock.micros(), engine.random, new.next_run_time)
        if plan.fire_time is None:
            self._logger.warning(
                'Job "%s" has no fire time left: it is kept, and will not run (trigger: %s)',
                new.job.name,
                bound,
            )
        return plan

    def _bound(self, engine: Engine, new: NewJob) -> BaseTrigger:
        """The job's trigger with everything settled that depends on the moment or the job."""
        now = from_micros(engine.clock.micros(), self.timezone)
        time = new.next_run_time
        return new.job.trigger.bind(
            now, new.job.id, from_micros(time, self.timezone) if isinstance(time, int) else None
        )

    def _insert_one(self, engine: Engine, port: Port, new: NewJob) -> Job:
        job, given = new.job, new.job.trigger
        for _ in range(EDIT_TRIES):
            job.trigger = self._bound(engine, new)
            plan = self._plan(engine, new, job.trigger)
            try:
                port.store.insert([(job, plan)])
            except ConflictingIdError:
                if not new.replace_existing:
                    raise
                try:
                    return self._replace(engine, port, new, given)
                except JobLookupError:
                    continue  # it was removed in between: added after all
            self._added(engine, port, job.executor, plan.next_run_time)
            return job
        raise ConflictingIdError(job.id)

    def _insert_all(self, engine: Engine, news: Sequence[NewJob]) -> list[Job]:
        """Insert new jobs, one write for each store; what was inserted goes again if another store refuses its part."""
        by_store: dict[str, list[NewJob]] = {}
        for new in news:
            by_store.setdefault(new.jobstore, []).append(new)
        ports = {alias: self._port(engine, alias) for alias in by_store}
        replaced: list[NewJob] = []
        inserted: list[tuple[Port, Job]] = []
        given: list[tuple[Job, BaseTrigger]] = []
        try:
            for alias, entries in by_store.items():
                port = ports[alias]
                items = []
                for new in entries:
                    if new.replace_existing and self._exists(port, new.job.id):
                        replaced.append(new)
                        continue
                    bound = self._bound(engine, new)
                    plan = self._plan(engine, new, bound)
                    given.append((new.job, new.job.trigger))
                    new.job.trigger = bound
                    items.append((new.job, plan))
                port.store.insert(items)
                inserted += [(port, job) for job, _ in items]
        except BaseException:
            for port, job in inserted:
                port.store.remove_job(job.id)
                job._jobstore_alias = None
            for job, trigger in given:
                job.trigger = trigger  # not bound: a pending job is bound when it gets into its store
            raise
        jobs = {new.job.id: self._insert_one(engine, ports[new.jobstore], new) for new in replaced}
        for port in ports.values():
            for alias in {job.executor for at, job in inserted if at is port}:
                self._added(engine, port, alias, 0)
        return [jobs.get(new.job.id, new.job) for new in news]

    def _exists(self, port: Port, job_id: str) -> bool:
        record = port.store.peek(job_id)
        return record is not None and record.state != "ended"

    def _added(self, engine: Engine, port: Port, executor: str, at: int | None) -> None:
        """Have the loop look at what was added."""
        if executor not in self._executors:
            engine.unknown_executor(port, executor)
        if at is not None:
            engine.look_again(port, at)

    def _replace(self, engine: Engine, port: Port, new: NewJob, given: BaseTrigger) -> Job:
        """Give the job that is there this definition; its next run time stays if the trigger is equal."""
        store = port.store
        for _ in range(EDIT_TRIES):
            try:
                found = store.read(new.job.id)
            except JobRestoreError:
                # This process cannot make the old job, and need not: a new deployment replaces what an old one stored.
                record = store.peek(new.job.id)
                found = None if record is None else (record, new.job)
            if found is None or found[0].state == "ended":
                raise JobLookupError(new.job.id)
            change = self._replacement(engine, port, new, given, *found)
            _, after = store.write(new.job.id, change)
            if after is not None:
                engine.look_again(port)
                stored = store.find_job(new.job.id) or new.job._as_written(after)
                if stored is not new.job:
                    new.job._adopt(stored)
                return stored
        raise JobRestoreError(f"job {new.job.id!r} is changed faster than it can be replaced")

    def _replacement(
        self, engine: Engine, port: Port, new: NewJob, given: BaseTrigger, record: Record, stored: Job
    ) -> Callable[[Record], Transition]:
        """The edit that replaces what was read. Calls triggers and the serializer: outside of the store's step."""
        clone = new.job._clone()
        revision, stamp = engine.random.getrandbits(63), engine.owner.stamp()
        failed = (record.reason or "").startswith(ParkedReason.TRIGGER)
        if (
            stored is not new.job
            and stored.trigger == given
            and new.next_run_time is undefined
            and not failed
        ):
            clone.trigger = (
                stored.trigger
            )  # the stored one: its anchor was settled when the job was added first
            payload = port.store.pack(clone)
            unblock = clone.max_instances > stored.max_instances
            return lambda current: edits.edit_definition(
                current,
                record,
                payload=payload,
                executor=clone.executor,
                revision=revision,
                unblock=unblock,
                stamp=stamp,
            )
        plan = self._plan(engine, new, clone.trigger)
        payload = port.store.pack(clone)
        return lambda current: edits.edit_schedule(
            current, record, plan, revision=revision, stamp=stamp, payload=payload, executor=clone.executor
        )
