"""`MemoryJobStore`: jobs in the memory of one process, and a heap per executor that tells what is due."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from heapq import heapify, heappop, heappush
from threading import Lock
from typing import Any, Final

from . import edits, transitions
from .errors import ConflictingIdError
from .job import Job
from .record import Decision, Plan, Record, Transition, Wanted, Written
from .recordstore import Applied, Choice, RecordJobStore, Won
from .restored import RestoredJobs

_SLACK: Final = 1_024
"""So many outdated heap entries are tolerated beyond one for each job, before a heap is built anew."""


class MemoryJobStore(RecordJobStore):
    """The default job store. Takes any callable and any arguments, and is gone with the process. Thread-safe.

    The `Job` that `add_job` returned is the stored one, and follows every change. One scheduler owns the store, so claims carry no
    leases, and nothing can be lost but by the end of the process.

    One lock makes each step atomic; under it runs only this library's code (a user's trigger is asked outside, see
    `RecordJobStore.claim_due`). A heap holds `(wake_at, id)`. An entry is valid while its record says the same; others
    are thrown away when they come to the top, so that moving or removing a job costs no search, and jobs that are not due
    cost a pass nothing, however many they are.
    """

    shared = False

    def __init__(self) -> None:
        super().__init__()
        self._restored = _StoredJobs(self)
        self._lock = Lock()
        self._stored: dict[str, Job] = {}
        self._heaps: dict[str, list[tuple[int, str]]] = {}

    def start(self, scheduler: Any, alias: str) -> None:
        super().start(scheduler, alias)
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
                if job.id in seen or (existing is not None and _record(existing).state != "ended"):
                    raise ConflictingIdError(job.id)
                seen.add(job.id)
            for job, plan in items:
                number = bits()
                existing = self._stored.get(job.id)
                new = Record(
                    job.id,
                    number,
                    job.executor,
                    None,
                    plan.next_run_time,
                    plan.fire_time,
                    plan.state,
                    (),
                    number,
                    "",
                    None,
                    plan.reason,
                )
                added = edits.add(None if existing is None else _record(existing), new, stamp)
                if isinstance(added, Record):
                    # Everything of the job is set before a claim can find it: both happen under the lock.
                    job._jobstore_alias, job._scheduler = self._alias, self._scheduler
                    self._stored[job.id] = job
                    self._put(job, None, added)

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

    def _claim(self, now: int, wanted: Wanted, choose: Callable[[Record], Choice], stamp: str) -> Won:
        won = Won()
        with self._lock:
            for alias, room in wanted.items():
                heap = self._heaps.get(alias)
                if heap:
                    self._claim_from(heap, alias, room, now, choose, stamp, won)
        return won

    def _claim_from(
        self,
        heap: list[tuple[int, str]],
        alias: str,
        room: int,
        now: int,
        choose: Callable[[Record], Choice],
        stamp: str,
        won: Won,
    ) -> None:
        """Decide the due records of one executor, under the lock."""
        passed: list[tuple[int, str]] = []
        entry = None
        while self._top_is_valid(heap, alias) and heap[0][0] <= now:
            if room <= 0:
                won.more = True
                break
            if heap[0] == entry:  # the same entry, pushed twice
                heappop(heap)
                continue
            entry = heappop(heap)
            job = self._stored[entry[1]]
            before = _record(job)
            choice = choose(before)
            if choice == "defer":
                won.deferred.append(before)
                room -= 1
            if not isinstance(choice, Decision) or transitions.changes_nothing(before, choice):
                passed.append(entry)
                continue
            after = transitions.claim(
                before, choice, owner=self.owner.name, now=now, lease_until=None, stamp=stamp
            )
            won.rows.append((before, choice, after))
            room -= max(1, choice.starts)
            if after is Written.DELETED:
                self._delete(job)
                continue
            self._put(job, None, after)
            entry = None
        if (
            self._top_is_valid(heap, alias)
            and heap[0][0] > now
            and (won.wake_at is None or heap[0][0] < won.wake_at)
        ):
            won.wake_at = heap[0][0]
        for entry in passed:
            heappush(heap, entry)

    def _expired(self, now: int) -> list[str]:
        return []

    def _clear(self) -> None:
        with self._lock:
            for job in list(self._stored.values()):
                self._delete(job)
            self._heaps.clear()

    # -- jobs ------------------------------------------------------------------------------------------------------

    def read(self, job_id: str) -> tuple[Record, Job] | None:
        with self._lock:
            job = self._stored.get(job_id)
            return None if job is None else (_record(job), job)

    def overdue_executors(self, now: int) -> set[str]:
        with self._lock:
            return {
                alias
                for alias, heap in self._heaps.items()
                if self._top_is_valid(heap, alias) and heap[0][0] <= now
            }

    def pack(self, job: Job) -> Job:
        return job._clone()

    def _unpack(self, record: Record) -> Job:
        return self._stored[record.id]

    def _snapshot(self, record: Record) -> Job:
        # A job that was removed in between is shown as it was, from its record.
        job = self._stored.get(record.id)
        return Job.__new__(Job) if job is None else job

    # -- under the lock --------------------------------------------------------------------------------------------

    def _put(self, job: Job, before: Record | None, after: Record) -> None:
        """Write a record: the job gets it, and the heap an entry, if its place in the index is another one."""
        if after.payload is not None:
            # An edit prepared it on a copy; the stored job becomes that copy, so that whoever holds it sees the change.
            job._adopt(after.payload)
            after = replace(after, payload=None)
        job._record = after
        job._next_run_time = after.next_run_time
        wake_at = after.wake_at
        if wake_at is None or (
            before is not None and before.wake_at == wake_at and before.executor == after.executor
        ):
            return
        heap = self._heaps.get(after.executor)
        if heap is None:
            heap = self._heaps[after.executor] = []
        heappush(heap, (wake_at, after.id))
        if len(heap) > 2 * len(self._stored) + _SLACK:
            self._rebuild(after.executor)

    def _delete(self, job: Job) -> None:
        """Forget a job. A caller who still holds it sees what it was, without a next run time."""
        del self._stored[job.id]
        job._next_run_time = None

    def _top_is_valid(self, heap: list[tuple[int, str]], alias: str) -> bool:
        """Throw away outdated entries until the earliest valid one is at the top; False if there is none."""
        while heap:
            wake_at, job_id = heap[0]
            job = self._stored.get(job_id)
            if job is not None:
                record = job._record
                if record is not None and record.wake_at == wake_at and record.executor == alias:
                    return True
            heappop(heap)
        return False

    def _rebuild(self, alias: str) -> None:
        """A heap without outdated entries; the cost is spread over the writes that left them."""
        heap = [
            (record.wake_at, record.id)
            for record in map(_record, self._stored.values())
            if record.executor == alias and record.wake_at is not None
        ]
        heapify(heap)
        self._heaps[alias][:] = heap


def _record(job: Job) -> Record:
    """The record of a stored job."""
    record = job._record
    assert record is not None  # set before it was stored
    return record


class _StoredJobs(RestoredJobs):
    """Where jobs are not restored: the stored ones are known, and runs get them as they are."""

    _store: MemoryJobStore

    def get(self, record: Record) -> Job | None:
        return self._store._stored.get(record.id)

    def for_run(self, record: Record, job: Job) -> Job:
        return job
