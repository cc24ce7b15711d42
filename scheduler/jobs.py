"""`JobMethods`: what can be done with the jobs of a scheduler: find, show, change, pause, resume, reschedule and remove them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import IO, Any

from ..events import EVENT_ALL_JOBS_REMOVED, EVENT_JOB_MODIFIED, EVENT_JOB_REMOVED, JobEvent, SchedulerEvent
from ..jobstores import edits
from ..jobstores.errors import JobLookupError, StaleJobError
from ..jobstores.job import MODIFIABLE, Job
from ..jobstores.record import Plan, Record, Transition, Written, is_hidden, is_over
from ..triggers import BaseTrigger
from ..triggers.base import InstantTrigger
from ..triggers.instants import from_micros
from . import planning
from .adding import AddingMethods
from .engine import Engine
from .errors import SchedulerNotRunningError
from .inserting import EDIT_TRIES, NewJob
from .plugins import CRONTAB_ADVICE, check_trigger, did_you_mean, is_trigger_name, like_crontab
from .port import Port

Edit = tuple[Callable[[Record], Transition], Job]
"""The second half of an edit: the transition that writes it, and the job as it is meant to be then."""

Prepare = Callable[[Record, Job], "Edit | None"]
"""The first half of an edit, from what was read to what writes it; None if nothing is to be changed."""


class JobMethods(AddingMethods):
    """What `BaseScheduler` offers for jobs. Thread-safe: edits made anywhere, by several schedulers too, do not overwrite each other."""

    # -- finding ---------------------------------------------------------------------------------------------------

    def get_job(self, job_id: str, jobstore: str | None = None) -> Job | None:
        """The job of that id, in one store or in any; None if there is none."""
        self._check_process()
        pending = self._pending_job(job_id, jobstore)
        if pending is not None:
            return pending.job
        for port in self._ports_of(jobstore):
            job = port.store.find_job(job_id)
            if job is not None:
                return job
        return None

    def get_jobs(self, jobstore: str | None = None, pending: bool | None = None) -> list[Job]:
        """The jobs by next run time, those without (paused, parked) last; of one store or of all.

        `pending=True` answers only the jobs that wait for the start of the scheduler, False only the others, None both.
        """
        self._check_process()
        jobs: list[Job] = []
        if pending is not True:
            for port in self._ports_of(jobstore):
                jobs += port.store.find_jobs()
        jobs.sort(key=lambda job: (job._next_run_time is None, job._next_run_time or 0))
        if pending is not False:
            with self._lock:
                jobs += [new.job for new in self._pending.values() if jobstore in (None, new.jobstore)]
        return jobs

    def print_jobs(self, jobstore: str | None = None, out: IO[str] | None = None) -> None:
        """Print the jobs, store by store, to a text file (standard output)."""
        self._check_process()
        out = sys.stdout if out is None else out
        with self._lock:
            waiting = [new.job for new in self._pending.values() if jobstore in (None, new.jobstore)]
        lines = []
        if self._engine is None or waiting:
            lines += (
                ["Pending jobs:", *(f"    {job}" for job in waiting)]
                if waiting
                else ["Pending jobs:", "    No pending jobs"]
            )
        for port in self._ports_of(jobstore):
            lines.append(f"Jobstore {port.alias}:")
            lines += [f"    {job}" for job in port.store.find_jobs()] or ["    No scheduled jobs"]
        out.write("".join(f"{line}\n" for line in lines))

    # -- changing --------------------------------------------------------------------------------------------------

    def modify_job(self, job_id: str, jobstore: str | None = None, **changes: Any) -> Job:
        """Change attributes of a job: `func`, `args`, `kwargs`, `name`, `trigger`, `executor`, its options, `next_run_time`.

        Arguments of the job's own trigger may be given, too: `modify_job(id, seconds=60)` reschedules it with that trigger built anew from them
        (start, end, zone and jitter kept). A new `trigger` alone leaves the next run time; `next_run_time=None` pauses the job. Raises
        `JobLookupError`, and AttributeError for a name that is neither.
        """
        return self._modify_job(job_id, jobstore, None, changes)

    def reschedule_job(
        self, job_id: str, jobstore: str | None = None, trigger: Any = None, **trigger_args: Any
    ) -> Job:
        """Give a job another trigger; its next run time is computed from now. A paused or parked job runs again.

        `trigger` and its arguments are those of `add_job`; without one the job runs once, now.
        """
        self._check_alias(jobstore, trigger)
        return self._reschedule_job(job_id, jobstore, None, trigger, trigger_args)

    def pause_job(self, job_id: str, jobstore: str | None = None) -> Job:
        """Do not run a job until it is resumed. A run that is claimed already may still start."""
        return self._pause_job(job_id, jobstore, None)

    def resume_job(self, job_id: str, jobstore: str | None = None) -> Job | None:
        """Run a paused job again, from its first fire time that is not before now and has not run yet (a one-off: its own time).

        A job that has no further run is removed, and None answered. A parked job stays parked without a strictly later fire time.
        """
        return self._resume_job(job_id, jobstore, None)

    def remove_job(self, job_id: str, jobstore: str | None = None) -> None:
        """Remove a job. A run that is claimed already may still start. Raises `JobLookupError` if there is none of that id."""
        self._remove_job(job_id, jobstore, None)

    def remove_all_jobs(self, jobstore: str | None = None) -> None:
        """Remove all jobs, of one store or of all. Raises KeyError if there is no such store."""
        self._check_process()
        with self._lock:
            self._wait_for_others(lambda key: jobstore in (None, key[0]))
            gone = {key: new for key, new in self._pending.items() if jobstore in (None, new.jobstore)}
            ports = self._ports_of(jobstore)
            stores = [
                port.store for port in ports
            ]  # before anything is removed: one that is not open yet raises
            # A scheduler that has not started adds a store of its own by the name "default".
            stopped = self._engine is None and jobstore in ("default", *self._jobstores)
            if jobstore is not None and not (ports or gone or stopped):
                raise KeyError(f"No such job store: {jobstore}")
            for key in gone:
                del self._pending[key]
        for store in stores:
            store.remove_all_jobs()
        self._dispatch_event(SchedulerEvent(EVENT_ALL_JOBS_REMOVED, jobstore))

    # -- the same for a handle, whose incarnation must be the stored one's ---------------------------------------------

    def _modify_job(
        self, job_id: str, jobstore: str | None, incarnation: int | None, changes: dict[str, Any]
    ) -> Job:
        self._check_process()
        pending = self._edit_pending(job_id, jobstore, lambda new: self._modify_pending(new, changes))
        if pending is not None:
            return pending
        engine, port = self._find(job_id, jobstore)

        def prepare(record: Record, job: Job) -> Edit:
            clone = job._clone()
            plan = self._changed(engine, clone, record, changes)
            payload = port.store.pack(clone)
            revision, stamp = engine.random.getrandbits(63), engine.owner.stamp()
            if plan is not None:
                return lambda current: edits.edit_schedule(
                    current,
                    record,
                    plan,
                    revision=revision,
                    stamp=stamp,
                    payload=payload,
                    executor=clone.executor,
                ), clone
            unblock = clone.max_instances > job.max_instances
            return lambda current: edits.edit_definition(
                current,
                record,
                payload=payload,
                executor=clone.executor,
                revision=revision,
                unblock=unblock,
                stamp=stamp,
            ), clone

        return self._edited(engine, port, *self._edit(port, job_id, incarnation, prepare))

    def _reschedule_job(
        self,
        job_id: str,
        jobstore: str | None,
        incarnation: int | None,
        trigger: Any,
        trigger_args: dict[str, Any],
    ) -> Job:
        self._check_process()
        given = self._new_trigger(trigger, trigger_args)

        def change(new: NewJob) -> None:
            new.job.trigger, new.next_run_time = given, planning.undefined

        pending = self._edit_pending(job_id, jobstore, change)
        if pending is not None:
            return pending
        engine, port = self._find(job_id, jobstore)

        def prepare(record: Record, job: Job) -> Edit:
            clone = job._clone()
            clone.trigger = given.bind(self._now(engine), job_id)
            plan = planning.rescheduled(record, clone.trigger, engine.clock.micros(), engine.random)
            payload = port.store.pack(clone)
            revision, stamp = engine.random.getrandbits(63), engine.owner.stamp()
            return lambda current: edits.edit_schedule(
                current, record, plan, revision=revision, stamp=stamp, payload=payload
            ), clone

        return self._edited(engine, port, *self._edit(port, job_id, incarnation, prepare))

    def _pause_job(self, job_id: str, jobstore: str | None, incarnation: int | None) -> Job:
        self._check_process()
        pending = self._edit_pending(job_id, jobstore, lambda new: setattr(new, "next_run_time", None))
        if pending is not None:
            return pending
        engine, port = self._find(job_id, jobstore)
        after, job = self._edit(
            port,
            job_id,
            incarnation,
            lambda record, job: self._with_plan(engine, record, job, planning.paused(record)),
        )
        return self._edited(engine, port, after, job)

    def _resume_job(self, job_id: str, jobstore: str | None, incarnation: int | None) -> Job | None:
        self._check_process()
        pending = self._edit_pending(
            job_id, jobstore, lambda new: setattr(new, "next_run_time", planning.undefined)
        )
        if pending is not None:
            return pending
        engine, port = self._find(job_id, jobstore)

        def prepare(record: Record, job: Job) -> Edit | None:
            plan = planning.resumed(record, job.trigger, engine.clock.micros(), engine.random)
            if plan is None and record.state == "parked":
                self._logger.warning(
                    'Job "%s" stays parked (%s): it has no later fire time to go on with. run_job_now(), reschedule_job() and '
                    "modify_job(next_run_time=...) have it run",
                    job_id,
                    record.reason,
                )
            return self._with_plan(engine, record, job, plan)

        after, job = self._edit(port, job_id, incarnation, prepare)
        if after is Written.DELETED:
            engine.reports.removed(port.alias, job_id)
            return None
        if isinstance(after, Record) and is_over(after):
            return None  # it goes when the run that is open ends
        return self._edited(engine, port, after, job)

    def _remove_job(self, job_id: str, jobstore: str | None, incarnation: int | None) -> None:
        self._check_process()
        new = self._remove_pending(job_id, jobstore)
        if new is not None:
            port_alias = new.jobstore
        else:
            _, port = self._find(job_id, jobstore)
            port_alias = port.alias
            port.store.remove(job_id, incarnation)
        self._logger.info("Removed job %s", job_id)
        if self._wants(EVENT_JOB_REMOVED):
            self._dispatch_event(JobEvent(EVENT_JOB_REMOVED, job_id, port_alias))

    # -- parts -----------------------------------------------------------------------------------------------------

    def _edit(
        self, port: Port, job_id: str, incarnation: int | None, prepare: Prepare
    ) -> tuple[Transition, Job]:
        """Read, prepare outside of any step, write under the comparison; again if somebody else was faster (bounded).

        Answers what was written, and the job that it was meant for.
        """
        for _ in range(EDIT_TRIES):
            found = port.store.read(job_id)
            if found is None or is_hidden(found[0]) or incarnation not in (None, found[0].incarnation):
                raise JobLookupError(job_id)
            edit = prepare(*found)
            if edit is None:
                return None, found[1]
            change, job = edit
            _, after = port.store.write(job_id, change)
            if after is not None:
                return after, job
        raise StaleJobError(job_id)

    def _edited(self, engine: Engine, port: Port, after: Transition, job: Job) -> Job:
        """An edit was written: say so, have the loop look at it, and answer the job as it is now."""
        if self._wants(EVENT_JOB_MODIFIED):
            self._dispatch_event(JobEvent(EVENT_JOB_MODIFIED, job.id, port.alias))
        engine.look_again(port)
        return port.store.find_job(job.id) or job._as_written(after)

    def _with_plan(self, engine: Engine, record: Record, job: Job, plan: Plan | None) -> Edit | None:
        if plan is None:
            return None
        revision, stamp = engine.random.getrandbits(63), engine.owner.stamp()
        return lambda current: edits.edit_schedule(current, record, plan, revision=revision, stamp=stamp), job

    def _changed(self, engine: Engine, clone: Job, record: Record, changes: dict[str, Any]) -> Plan | None:
        """Make the changes in a copy of the job; answers what becomes of its schedule, None if nothing does."""
        changes, before = dict(changes), clone.trigger
        trigger_args = {name: changes.pop(name) for name in list(changes) if name not in MODIFIABLE}
        time = self._instant(changes.pop("next_run_time", planning.undefined))
        rebuilt = self._rebuilt(changes.pop("trigger", clone.trigger), trigger_args) if trigger_args else None
        if "trigger" in changes:
            _check_new_trigger(changes["trigger"])
            changes["trigger"] = changes["trigger"].bind(self._now(engine), clone.id)
        clone._modify(**changes)
        if rebuilt is not None:
            clone.trigger = rebuilt.bind(self._now(engine), clone.id)
        now = engine.clock.micros()
        if isinstance(time, int):
            return planning.moved(record, time)
        if rebuilt is not None and time is not None:
            return planning.rescheduled(record, clone.trigger, now, engine.random)
        if clone.trigger != before:
            plan = planning.with_other_trigger(record, clone.trigger, now, pause=time is None)
            if plan is not None:
                return plan
        return planning.moved(record, None) if time is None else None

    def _rebuilt(self, trigger: Any, trigger_args: dict[str, Any]) -> BaseTrigger:
        """A trigger built anew from arguments that `modify_job` was given beside the job's attributes."""
        if isinstance(trigger, str):
            return self._trigger(trigger, trigger_args, MODIFIABLE)
        check_trigger(trigger, "a trigger instance or the name of one")
        known = trigger.argument_names if isinstance(trigger, InstantTrigger) else frozenset()
        unknown = sorted(trigger_args.keys() - known)
        if unknown:
            raise AttributeError(
                f"The following are not modifiable attributes of Job: {', '.join(unknown)}"
                f" -- and no arguments of its trigger ({trigger}){did_you_mean(unknown[0], {*known, *MODIFIABLE})}"
            )
        rebuilt: BaseTrigger = trigger.modified(**trigger_args)
        return rebuilt

    def _new_trigger(self, trigger: Any, trigger_args: dict[str, Any]) -> BaseTrigger:
        """The trigger that `reschedule_job` was given."""
        if trigger is None and trigger_args:
            raise TypeError(
                f"{', '.join(map(repr, trigger_args))}: arguments without a trigger; give the trigger, too, such as "
                'trigger="interval", or change arguments of the one that the job has with modify_job'
            )
        return self._trigger(trigger, trigger_args, ("jobstore",))

    def _check_alias(self, jobstore: Any, trigger: Any) -> None:
        """Refuse what was meant for the trigger: here, other than in `add_job`, the job store stands before it."""
        if jobstore is None:
            return
        if not isinstance(jobstore, str):
            advice = "; give it as trigger=" if isinstance(jobstore, BaseTrigger) else ""
            raise TypeError(f"jobstore: expected an alias, got a {type(jobstore).__name__}{advice}")
        engine = self._engine
        known = jobstore in self._jobstores if engine is None else engine.port(jobstore) is not None
        if trigger is not None or known:
            return
        if is_trigger_name(jobstore):
            advice = f"the name of a trigger; give it as trigger={jobstore!r}"
            raise TypeError(f"jobstore: expected an alias, got {jobstore!r}, {advice}")
        if like_crontab(jobstore):
            raise TypeError(f"jobstore: expected an alias, got {jobstore!r}; {CRONTAB_ADVICE}")

    def _modify_pending(self, new: NewJob, changes: dict[str, Any]) -> None:
        changes = dict(changes)
        trigger_args = {name: changes.pop(name) for name in list(changes) if name not in MODIFIABLE}
        time = new.next_run_time
        if "next_run_time" in changes:
            time = self._instant(changes.pop("next_run_time"))
        if trigger_args:
            changes["trigger"] = self._rebuilt(changes.get("trigger", new.job.trigger), trigger_args)
        elif "trigger" in changes:
            _check_new_trigger(changes["trigger"])
        new.job._modify(**changes)
        new.next_run_time = time

    def _now(self, engine: Engine) -> Any:
        return from_micros(engine.clock.micros(), self.timezone)

    def _ports_of(self, jobstore: str | None) -> list[Port]:
        engine = self._engine
        return (
            []
            if engine is None
            else [port for port in engine.ports() if jobstore in (None, port.alias) and port.leaving is None]
        )

    def _find(self, job_id: str, jobstore: str | None) -> tuple[Engine, Port]:
        """The store that has the job, or the one that is named. Raises `JobLookupError` if none has it, or none is called that."""
        engine = self._engine
        if engine is None:
            raise JobLookupError(job_id)
        if jobstore is not None:
            port = engine.port(jobstore)
            if port is None:
                raise JobLookupError(job_id) from KeyError(f"No such job store: {jobstore}")
            return engine, port
        for port in self._ports_of(None):
            record = port.store.peek(job_id)
            if record is not None and not is_hidden(record):
                return engine, port
        raise JobLookupError(job_id)

    def _running_engine(self) -> Engine:
        """The engine; raises `SchedulerNotRunningError` if there is none."""
        self._check_process()
        if self._engine is None:
            raise SchedulerNotRunningError
        return self._engine


def _check_new_trigger(trigger: Any) -> None:
    """Refuse what `modify_job` was given for a trigger without any arguments of it."""
    if isinstance(trigger, str) and is_trigger_name(trigger):
        raise TypeError(
            f'Expected a trigger instance, got the name "{trigger}" alone: give its arguments beside it, or use reschedule_job'
        )
    check_trigger(trigger, "a trigger instance")
