"""`InsertingMethods`: how a checked job gets into its store: bound, planned, inserted, or put in the place of the one that is there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, Final

from ..events import Clock
from ..jobstores import edits
from ..jobstores.errors import ArrivingIdError, ConflictingIdError, JobLookupError, JobRestoreError
from ..jobstores.job import Job
from ..jobstores.record import ParkedReason, Plan, Record, Transition, is_over
from ..triggers import BaseTrigger, DateTrigger
from ..triggers.instants import from_micros
from .planning import Undefined, added, undefined

if TYPE_CHECKING:
    import logging

    from .configuration import Settings
    from .engine import Engine
    from .port import Port

EDIT_TRIES: Final = 100
"""An edit that finds its record changed since it was read is made again, so often at most."""


Looks = list[tuple["Port", int]]
"""Stores that the loop is to look at, not later than when (µs UTC), once what was added there is announced."""


@dataclass(slots=True, eq=False)
class NewJob:
    """A job that is not in its store yet: its trigger is not bound, and its next run time is what the caller said of it."""

    job: Job
    jobstore: str
    replace_existing: bool
    next_run_time: int | Undefined | None
    plan: Plan | None = None
    """Its schedule, where that is known already: it was exported, with its trigger bound. An edit makes it unknown."""
    edits: int = 0
    """How often it was changed while it was pending."""

    @property
    def key(self) -> tuple[str, str]:
        """What must not be there twice."""
        return self.jobstore, self.job.id


class InsertingMethods:
    """What `BaseScheduler` does to put jobs into stores. Thread-safe."""

    _lock: threading.RLock
    _logger: logging.Logger
    _engine: Engine | None
    _settings: Settings
    _pending: dict[tuple[str, str], NewJob]
    _executors: dict[str, Any]
    _jobstores: dict[str, Any]
    state: int
    _wants: Callable[[int], bool]
    _dispatch_event: Callable[[Any], None]

    if TYPE_CHECKING:

        @property
        def timezone(self) -> tzinfo: ...

        @property
        def clock(self) -> Clock: ...

        def _check_process(self) -> None: ...

    # -- into the stores ---------------------------------------------------------------------------------------------

    def _port(self, engine: Engine, alias: str) -> Port:
        port = engine.port(alias)
        if port is None:
            raise KeyError(f"No such job store: {alias}")
        return port

    def _plan(self, engine: Engine, new: NewJob, bound: BaseTrigger) -> Plan:
        if new.plan is not None:
            return new.plan
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
        if new.plan is not None:
            return new.job.trigger
        now = from_micros(engine.clock.micros(), self.timezone)
        time = new.next_run_time
        return new.job.trigger.bind(
            now, new.job.id, from_micros(time, self.timezone) if isinstance(time, int) else None
        )

    def _insert_one(self, engine: Engine, port: Port, new: NewJob, looks: Looks) -> Job:
        job, given = new.job, new.job.trigger
        looked = False
        for _ in range(EDIT_TRIES):
            try:
                job.trigger = self._bound(engine, new)
                plan = self._plan(engine, new, job.trigger)
            except ValueError:
                # Some triggers cannot be bound at any moment ("and" with an interval that begins off the whole second). The one that is stored was.
                if new.replace_existing and self._stored_trigger(port, job.id) == given:
                    return self._replace(engine, port, new, given, looks)
                raise
            try:
                port.store.insert([(job, plan)])
            except ConflictingIdError:
                if not looked:
                    looked = True
                    if self._write_ends(engine, port, job.id):
                        continue
                if not new.replace_existing:
                    raise
                try:
                    return self._replace(engine, port, new, given, looks)
                except JobLookupError:
                    continue  # it was removed in between: added after all
            self._added(engine, port, job.executor, plan.next_run_time, looks)
            return job
        raise ConflictingIdError(job.id)

    def _write_ends(self, engine: Engine, port: Port, job_id: str) -> bool:
        """Whether runs of a job that is in the way had ended here: that is written now.

        Whoever hears of the outcome of a one-off may add it again. Where a retry might have followed, its id is taken until the end is written.
        """
        result = port.write_ends_of(job_id)
        if result is None:
            return False
        engine.settled(port, result)
        engine.look_again(port)
        return True

    def _insert_all(self, engine: Engine, news: Sequence[NewJob], looks: Looks) -> list[Job]:
        """Insert new jobs, one write for each store; what was inserted goes again if another store refuses its part."""
        fixed = {new.job.id for new in news if not new.replace_existing}
        looked: set[str] = set()
        for _ in range(EDIT_TRIES):
            try:
                return self._insert_or_replace(engine, news, looks)
            except ArrivingIdError:
                raise
            except ConflictingIdError as conflict:
                # Workers that start together find that a job is not there, and add it: all but the first replace it after all.
                if conflict.job_id in fixed:
                    new = next(new for new in news if new.job.id == conflict.job_id)
                    port = self._port(engine, new.jobstore)
                    if conflict.job_id in looked or not self._write_ends(engine, port, conflict.job_id):
                        raise
                    looked.add(conflict.job_id)
                last = conflict
        raise last

    def _insert_or_replace(self, engine: Engine, news: Sequence[NewJob], looks: Looks) -> list[Job]:
        """One try. ConflictingIdError, with nothing added, also if somebody else has added a job meanwhile which may be replaced."""
        ports = {alias: self._port(engine, alias) for alias in {new.jobstore: None for new in news}}
        fresh: dict[tuple[str, str], NewJob] = {}
        replaced: list[NewJob] = []
        for new in news:
            if new.replace_existing and self._exists(ports[new.jobstore], new.job.id):
                replaced.append(new)
            elif new.key in fresh and not new.replace_existing:
                raise ConflictingIdError(new.job.id)
            else:
                fresh[new.key] = new
        jobs: dict[tuple[str, str], Job] = {}
        if replaced:
            # First what is replaced: done again (by a start that is tried again) it is the same, where inserting again is a conflict.
            for new in fresh.values():
                if not new.replace_existing and self._exists(ports[new.jobstore], new.job.id):
                    raise ConflictingIdError(new.job.id)
            for new in replaced:
                jobs[new.key] = self._insert_one(engine, ports[new.jobstore], new, looks)
        by_store: dict[str, list[NewJob]] = {}
        for new in fresh.values():
            by_store.setdefault(new.jobstore, []).append(new)
            jobs[new.key] = new.job
        self._insert_fresh(engine, [(ports[alias], entries) for alias, entries in by_store.items()], looks)
        return [jobs[new.key] for new in news]

    def _insert_fresh(
        self, engine: Engine, entries: Sequence[tuple[Port, Sequence[NewJob]]], looks: Looks
    ) -> None:
        inserted: list[tuple[Port, Job]] = []
        given: list[tuple[Job, BaseTrigger]] = []
        try:
            for port, news in entries:
                items = []
                for new in news:
                    bound = self._bound(engine, new)
                    plan = self._plan(engine, new, bound)
                    given.append((new.job, new.job.trigger))
                    new.job.trigger = bound
                    items.append((new.job, plan))
                port.store.insert(items)
                inserted += [(port, job) for job, _ in items]
        except BaseException:
            for port, job in inserted:
                self._take_back(port, job)
            for job, trigger in given:
                job.trigger = trigger  # not bound: a pending job is bound when it gets into its store
            raise
        for port, _ in entries:
            for alias in {job.executor for at, job in inserted if at is port}:
                self._added(engine, port, alias, 0, looks)

    def _take_back(self, port: Port, job: Job) -> None:
        """Remove a job that was inserted a moment ago, because another one could not be."""
        try:
            port.store.remove(job.id, job._incarnation)
        except Exception:  # what went wrong first is what the caller must hear of
            self._logger.exception('Job "%s" was added and cannot be removed again', job)
        job._jobstore_alias = job._record = job._next_run_time = None

    def _exists(self, port: Port, job_id: str) -> bool:
        record = port.store.peek(job_id)
        return record is not None and not is_over(record)

    def _stored_trigger(self, port: Port, job_id: str) -> BaseTrigger | None:
        """The trigger of the job that is there; None if there is none, or if this process cannot make it."""
        try:
            found = port.store.read(job_id)
        except JobRestoreError:
            return None
        return None if found is None or is_over(found[0]) else found[1].trigger

    def _added(self, engine: Engine, port: Port, executor: str, at: int | None, looks: Looks) -> None:
        """Note what the loop is to look at."""
        if executor not in self._executors:
            engine.unknown_executor(port, executor)
        if at is not None:
            looks.append((port, at))

    def _replace(self, engine: Engine, port: Port, new: NewJob, given: BaseTrigger, looks: Looks) -> Job:
        """Give the job that is there this definition; its next run time stays if the trigger is equal."""
        store = port.store
        for _ in range(EDIT_TRIES):
            try:
                found = store.read(new.job.id)
            except JobRestoreError:
                # This process cannot make the old job, and need not: a new deployment replaces what an old one stored.
                record = store.peek(new.job.id)
                found = None if record is None else (record, new.job)
            if found is None or is_over(found[0]):
                raise JobLookupError(new.job.id)
            if found[0].state == "importing":
                raise ArrivingIdError(new.job.id)
            change = self._replacement(engine, port, new, given, *found)
            _, after = store.write(new.job.id, change)
            if after is not None:
                looks.append((port, 0))
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
        clone._jobstore_alias = port.alias  # a memory store's job becomes this clone
        revision, stamp = engine.random.getrandbits(63), engine.owner.stamp()
        failed = (record.reason or "").startswith(ParkedReason.TRIGGER)
        # "Once, now" is the same trigger each time, and meant anew each time: what is there has had its run.
        once_more = (
            isinstance(given, DateTrigger) and given.run_date is None and record.state in ("ended", "parked")
        )
        if (
            stored is not new.job
            and stored.trigger == given
            and new.next_run_time is undefined
            and not failed
            and not once_more
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
