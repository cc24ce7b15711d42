"""`MemoryJobStore`: jobs in the memory of one process, and a timetable for each executor that tells what is due."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from threading import Lock
from typing import Any, Final

from . import edits, transitions
from .errors import ConflictingIdError
from .job import Job
from .record import (
    Decision,
    Outcome,
    Plan,
    Record,
    Run,
    Transition,
    Wanted,
    Written,
    is_hidden,
    is_over,
    is_sooner,
    wake_time,
)
from .recordstore import Applied, Choice, RecordJobStore, Won
from .restored import RestoredJobs
from .timetable import Timetable

_SLACK: Final = 1_024
"""So many outdated entries are tolerated in a timetable beyond one for each job."""

_STEP: Final = 100
"""So many runs of an executor are claimed in one step at most; the next step follows at once. Writing costs nothing here that a larger step would
save. A small one keeps others waiting for the lock for a millisecond at most, lets the first run start sooner, and is over before the garbage
collector has looked through all that it has made, which is given up with it: that would take longer than the claims themselves.
"""


class MemoryJobStore(RecordJobStore):
    """The default job store. Takes any callable and any arguments, and is gone with the process. Thread-safe.

    The `Job` that `add_job` returned is the stored one, and follows every change. One scheduler owns the store, so claims carry no
    leases, and nothing can be lost but by the end of the process.

    One lock makes each step atomic; under it runs only this library's code (a user's trigger is asked outside, see
    `RecordJobStore.claim_due`). A timetable for each executor tells what is due. An entry is valid while its record says the same; others
    are thrown away when they come to the top, so that moving or removing a job costs no search, and jobs that are not due
    cost a pass nothing, however many they are.
    """

    shared = False

    def __init__(self) -> None:
        super().__init__()
        self._restored = _StoredJobs(self)
        self._lock, self._pid = _StepLock(), os.getpid()
        self._stored: dict[str, Job] = {}
        self._timetables: dict[str, Timetable] = {}

    def start(self, scheduler: Any, alias: str) -> None:
        super().start(scheduler, alias)
        if self._pid != os.getpid():
            # The copy in a forked child: the lock may have been held by a thread that did not come along.
            self._lock, self._pid = _StepLock(), os.getpid()
        with self._lock:
            # Jobs of an earlier start stay, and may now be another scheduler's.
            for job in self._stored.values():
                job._scheduler, job._jobstore_alias = scheduler, alias

    # -- primitives ------------------------------------------------------------------------------------------------

    def insert(self, items: Sequence[tuple[Job, Plan]]) -> None:
        bits, stamp = self._random_bits, self.owner.stamp()
        with self._lock:
            seen: set[str] = set()
            for job, _ in items:
                existing = self._stored.get(job.id)
                if job.id in seen or (existing is not None and not is_over(_record(existing))):
                    raise ConflictingIdError(job.id)
                seen.add(job.id)
            for job, plan in items:
                number = bits()
                existing = self._stored.get(job.id)
                fresh = Record(
                    job.id,
                    number,
                    job.executor,
                    wake_time(plan.state, plan.next_run_time, plan.runs),
                    plan.next_run_time,
                    plan.fire_time,
                    plan.state,
                    plan.runs,
                    number,
                    stamp,
                    None,
                    plan.reason,
                )
                new = fresh if existing is None else edits.add(_record(existing), fresh, stamp)
                if isinstance(new, Record):
                    # Everything of the job is set before a claim can find it: both happen under the lock.
                    job._jobstore_alias, job._scheduler = self._alias, self._scheduler
                    if existing is not None:
                        self._lock.let_go.append(existing)
                    self._stored[job.id] = job
                    self._put(job, None, new)

    def _insert(self, records: Sequence[Record], stamp: str) -> None:
        raise TypeError("a memory store keeps the jobs themselves; insert() adds them")

    def _read(self, job_ids: Sequence[str] | None, payload: bool = True) -> list[Record]:
        with self._lock:
            jobs = (
                list(self._stored.values())
                if job_ids is None
                else [self._stored[i] for i in job_ids if i in self._stored]
            )
            return [_record(job) for job in jobs]

    def _apply(self, changes: Sequence[tuple[str, Callable[[Record], Transition]]]) -> list[Applied | None]:
        applied: list[Applied | None] = []
        with self._lock:
            for job_id, transition in changes:
                job = self._stored.get(job_id)
                if job is None:
                    applied.append(None)
                    continue
                before = _record(job)
                after = transition(before)
                if after is Written.DELETED:
                    self._delete(job)
                elif after is not None:
                    self._put(job, before, after)
                applied.append(Applied(before, after))
        return applied

    def _finish(
        self, outcomes: Sequence[Outcome], stamp: str
    ) -> list[tuple[Outcome, Record, Transition, Run | None]]:
        finished: list[tuple[Outcome, Record, Transition, Run | None]] = []
        with self._lock:
            for outcome in outcomes:
                job = self._stored.get(outcome.job_id)
                if job is None:
                    continue
                before = _record(job)
                after, found = transitions.finish(before, outcome, stamp)
                if after is None:
                    continue
                if after is Written.DELETED:
                    self._delete(job)
                else:
                    self._put(job, before, after)
                # Ends that ask for nothing but to be written, which is nearly all of them, need not be looked through again.
                if (
                    found is not None
                    or after is Written.DELETED
                    or after.state == "parked"
                    or is_sooner(after.wake_at, before.wake_at)
                ):
                    finished.append((outcome, before, after, found))
        return finished

    def _claim(self, now: int, wanted: Wanted, choose: Callable[[Record], Choice], stamp: str) -> Won:
        won = Won()
        with self._lock:
            for alias, room in wanted.items():
                timetable = self._timetables.get(alias)
                if timetable is not None:
                    passed = self._claim_from(timetable, alias, min(room, _STEP), now, choose, stamp, won)
                    later = self._first(timetable, alias)
                    if later is not None and later > now and (won.wake_at is None or later < won.wake_at):
                        won.wake_at = later
                    # To where they stood: a look that follows meets the same ones again, and can go on with what was found of them.
                    for job_id, time in reversed(passed.items()):
                        timetable.put_back(time, job_id)
        return won

    def _claim_from(
        self,
        timetable: Timetable,
        alias: str,
        room: int,
        now: int,
        choose: Callable[[Record], Choice],
        stamp: str,
        won: Won,
    ) -> dict[str, int]:
        """Decide the due records of one executor, under the lock; answers those that stay due, with their times: they have left the timetable."""
        passed: dict[str, int] = {}
        owner, stored = self.owner.name, self._stored
        while (time := timetable.time()) is not None and time <= now:
            if room <= 0:
                won.more = True  # or what is left is outdated, and the next look says so
                break
            job = stored.get(timetable.pop())
            before = None if job is None else job._record
            # An outdated entry; or a second one of a job that has moved away from a time and back.
            if job is None or before is None or before.wake_at != time or before.executor != alias:
                continue
            if passed and job.id in passed:
                continue
            choice = choose(before)
            if choice is not None and not isinstance(choice, Decision):
                won.deferred.append(before)
                room -= choice == "defer"
            if not isinstance(choice, Decision) or (
                not choice.starts and transitions.changes_nothing(before, choice)
            ):
                passed[before.id] = time
                continue
            after = transitions.claim(before, choice, owner=owner, now=now, lease_until=None, stamp=stamp)
            won.rows.append((before, choice, after))
            room -= choice.starts or 1
            if after is Written.DELETED:
                self._delete(job)
            else:
                self._put(job, None, after)
        return passed

    def _expired(self, now: int) -> list[str]:
        return []

    def _clear(self) -> None:
        with self._lock:
            for job in list(self._stored.values()):
                self._delete(job)
            self._timetables.clear()

    # -- jobs ------------------------------------------------------------------------------------------------------

    def read(self, job_id: str) -> tuple[Record, Job] | None:
        with self._lock:
            job = self._stored.get(job_id)
            return None if job is None else (_record(job), job)

    def overdue_executors(self, now: int) -> set[str]:
        with self._lock:
            firsts = {alias: self._first(timetable, alias) for alias, timetable in self._timetables.items()}
        return {alias for alias, first in firsts.items() if first is not None and first <= now}

    def pack(self, job: Job) -> Job:
        return job._clone()

    def _unpack(self, record: Record) -> Job:
        return self._stored[record.id]

    def _shown(self, records: Iterable[Record]) -> list[Job]:
        with self._lock:
            jobs = [job for record in records if (job := self._stored.get(record.id)) is not None]
            jobs = [job for job in jobs if not is_hidden(_record(job))]
        return sorted(jobs, key=lambda job: (job._next_run_time is None, job._next_run_time or 0, job.id))

    # -- under the lock --------------------------------------------------------------------------------------------

    def _put(self, job: Job, before: Record | None, after: Record) -> None:
        """Write a record: the job gets it, and the timetable an entry, if its time is another one."""
        if after.payload is not None:
            # An edit prepared it on a copy; the stored job becomes that copy, so that whoever holds it sees the change.
            self._lock.let_go.append((job.func, job.args, job._kwargs, job.trigger))
            job._adopt(after.payload)
            after = replace(after, payload=None)
        job._record = after
        job._next_run_time = after.next_run_time
        if before is None or before.wake_at != after.wake_at or before.executor != after.executor:
            self._enter(after)

    def _enter(self, record: Record) -> None:
        """Enter a record into its executor's timetable, at the time when it is to be looked at."""
        if record.wake_at is None:
            return
        timetable = self._timetables.get(record.executor)
        if timetable is None:
            timetable = self._timetables[record.executor] = Timetable()
        timetable.push(record.wake_at, record.id)
        if timetable.size > 2 * len(self._stored) + _SLACK:
            # Too many outdated entries: they are thrown away, at a cost that is spread over the writes that left them.
            timetable.refill(
                (entry.wake_at, entry.id)
                for entry in map(_record, self._stored.values())
                if entry.executor == record.executor and entry.wake_at is not None
            )

    def _delete(self, job: Job) -> None:
        """Forget a job. A caller who still holds it sees what it was, without a next run time."""
        self._lock.let_go.append(self._stored.pop(job.id))
        job._next_run_time = None

    def _first(self, timetable: Timetable, alias: str) -> int | None:
        """The earliest time at which something is due, once outdated entries are thrown away from the top."""
        while (first := timetable.first()) is not None:
            job = self._stored.get(first[1])
            if job is not None:
                record = _record(job)
                if record.wake_at == first[0] and record.executor == alias:
                    return first[0]
            timetable.pop()
        return None


def _record(job: Job) -> Record:
    """The record of a stored job."""
    record = job._record
    assert record is not None  # set before it was stored
    return record


class _StepLock:
    """The store's lock, behind which is freed what a step has let go of: the user's objects, whose finalizers may call anything."""

    __slots__ = ("_lock", "let_go")

    def __init__(self) -> None:
        self._lock = Lock()
        self.let_go: list[Any] = []
        """What must not be freed under the lock. Appended to under it only."""

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        let_go, self.let_go = self.let_go, []
        self._lock.release()
        del let_go


class _StoredJobs(RestoredJobs):
    """Where jobs are not restored: the stored ones are known, and runs get them as they are."""

    _store: MemoryJobStore

    def get(self, record: Record) -> Job | None:
        return self._store._stored.get(record.id)

    def for_run(self, record: Record, job: Job) -> Job:
        return job

    def moved(self, job: Job, record: Record) -> None:
        """It has the record already, or a later one."""
