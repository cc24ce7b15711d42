"""`AddingMethods`: how jobs come into a scheduler: `add_job`, `add_jobs`, `scheduled_job`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta
from logging import INFO
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, cast

from ..events import EVENT_JOB_ADDED, JobEvent
from ..jobstores.job import Job
from ..triggers import BaseTrigger, DateTrigger
from ..triggers.instants import parse_date, to_micros
from .inserting import Looks, NewJob
from .pending import PendingMethods
from .planning import Undefined, undefined
from .plugins import (
    CRONTAB_ADVICE,
    arguments_of,
    check_trigger,
    create_trigger,
    did_you_mean,
    like_crontab,
    refuse_unknown,
)

if TYPE_CHECKING:
    from .engine import Engine

F = TypeVar("F", bound=Callable[..., Any])

ExceptionClasses: TypeAlias = "type[BaseException] | str | Iterable[type[BaseException] | str]"
"""Exception classes, or their references ("module:Class"): one or several."""

ARGUMENTS: Final = (
    "args",
    "kwargs",
    "id",
    "name",
    "next_run_time",
    "jobstore",
    "executor",
    "replace_existing",
)
"""What `add_job` takes beside what can stand in `job_defaults`: offered to whoever has misspelt one."""


class AddingMethods(PendingMethods):
    """What `BaseScheduler` offers for adding jobs. Thread-safe."""

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
        timeout: float | timedelta | Undefined | None = undefined,
        max_retries: int | Undefined = undefined,
        retry_delay: float | timedelta | Undefined = undefined,
        backoff: float | Undefined = undefined,
        max_delay: float | timedelta | Undefined | None = undefined,
        retry_jitter: float | timedelta | Undefined = undefined,
        retry_on: ExceptionClasses | Undefined = undefined,
        keep_failed: bool | Undefined = undefined,
        while_running: str | Undefined = undefined,
        **trigger_args: Any,
    ) -> Job:
        """Add a job, and answer it. Before the start of the scheduler it is pending, and gets into its store then.

        `func` is a callable or its reference as text, "module:function". `trigger` is a trigger, the name of one with its arguments as
        `trigger_args`, or None: once, now. `id` is random unless given; one that is taken raises `ConflictingIdError`, unless
        `replace_existing`: then the job gets this definition, and keeps its next run time (and its pause) if the trigger is equal.

        `misfire_grace_time` (seconds; None: any) is how late a run may start; `coalesce` makes several overdue runs one;
        `max_instances` bounds the runs at one time; `next_run_time` sets the first run (None adds the job paused); `recovery` says
        what becomes of a run whose process dies, `"skip"` (listed as lost) or `"rerun"`, at most `max_recoveries` times.

        `timeout` (seconds) is how long a run may take. A failed run is tried again up to `max_retries` times if its exception is one of
        `retry_on` (classes or their references; any `Exception`): after `retry_delay` seconds, which grow by the factor `backoff` each time, up to
        `max_delay`, and 0 to `retry_jitter` seconds more. `keep_failed` parks a job that has no further run when its last attempt has failed.
        `while_running` says what becomes of a fire time that finds `max_instances` runs going on: `"skip"`, or `"queue"`: once more right after.

        Options that are not given come from `job_defaults`. Arguments that do not fit the function's signature are refused at once.
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
                "timeout": timeout,
                "max_retries": max_retries,
                "retry_delay": retry_delay,
                "backoff": backoff,
                "max_delay": max_delay,
                "retry_jitter": retry_jitter,
                "retry_on": retry_on,
                "keep_failed": keep_failed,
                "while_running": while_running,
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
        looks: Looks = []
        try:
            job = self._insert_one(engine, port, new, looks)
            self._announce([job])
        finally:
            self._look(engine, looks)
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
        looks: Looks = []
        try:
            added_jobs = self._insert_all(engine, news, looks)
            self._announce(added_jobs)
        finally:
            self._look(engine, looks)
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
        if isinstance(args, str) and isinstance(trigger, str) and like_crontab(args):
            raise TypeError(
                f"args must be a list or tuple of positional arguments, got {args!r}; {CRONTAB_ADVICE}"
            )
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
            trigger=self._trigger(trigger, trigger_args, (*ARGUMENTS, *self._settings.job_defaults)),
        )
        defaults = self._settings.job_defaults
        job.misfire_grace_time = defaults["misfire_grace_time"]
        job.coalesce = defaults["coalesce"]
        job.max_instances = defaults["max_instances"]
        job.recovery = defaults["recovery"]
        job.max_recoveries = defaults["max_recoveries"]
        job._policy = self._settings.policy
        if given:
            job._modify(**given)
        if not isinstance(jobstore, str):
            raise TypeError(
                f"jobstore must be the alias of a job store, got {type(jobstore).__name__}: {jobstore!r}"
            )
        return NewJob(job, jobstore, replace_existing, self._instant(next_run_time))

    def _trigger(
        self, trigger: Any, trigger_args: Mapping[str, Any], beside: Iterable[str] = ()
    ) -> BaseTrigger:
        """A trigger of what a caller gave for one; *beside* are the names of what else is taken in the same call."""
        if isinstance(trigger, str):
            return create_trigger(trigger, self.timezone, trigger_args, beside)
        if trigger is None:
            refuse_unknown(
                trigger_args,
                beside,
                'argument (there is no trigger, such as trigger="interval", which could have arguments)',
            )
            return DateTrigger(timezone=self.timezone)
        check_trigger(trigger, "a trigger instance or the name of one")
        for name in trigger_args:
            kind: type = type(trigger)
            own = name in arguments_of(kind)[0]
            tail = f"; give it to {kind.__name__}(...)" if own else did_you_mean(name, (), beside)
            raise TypeError(f"Unknown argument beside {kind.__name__}: {name!r}{tail}")
        return cast(BaseTrigger, trigger)

    def _instant(self, time: Any) -> int | Undefined | None:
        """A next run time as the caller gave it: µs UTC; naive times are in the scheduler's zone."""
        if time is None or isinstance(time, Undefined):
            return time
        return to_micros(parse_date(time, self.timezone))

    # -- announcing ---------------------------------------------------------------------------------------------------

    def _announce(self, jobs: Iterable[Job]) -> None:
        """Say that jobs were added."""
        wanted = self._wants(EVENT_JOB_ADDED)
        logged = self._logger.isEnabledFor(INFO)
        for job in jobs:
            if logged:
                self._logger.info('Added job "%s" to job store "%s"', job.name, job._jobstore_alias)
            if wanted:
                self._dispatch_event(JobEvent(EVENT_JOB_ADDED, job.id, job._jobstore_alias or ""))

    def _look(self, engine: Engine, looks: Looks) -> None:
        """Have the loop look at what was added: only now, so that a job is hardly ever submitted before it is announced."""
        for port, at in looks:
            engine.look_again(port, at)
