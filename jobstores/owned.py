"""`OwnedRecords`: what the engine asks of a store, for one that was written for APScheduler's contract alone.

Such a store keeps jobs with a next run time and nothing of their runs, so it belongs to one process, which keeps the rest of the records
in its memory: they are gone with it, as in APScheduler. The store stays the truth for what a job is and when it is next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import RLock
from typing import TYPE_CHECKING, Final

from ..triggers import calls_user_code
from ..triggers.instants import from_micros, to_micros
from . import transitions
from .errors import JobLookupError, JobRestoreError, described
from .job import Job
from .record import (
    Claim,
    ClaimResult,
    Decide,
    Due,
    FinishResult,
    Outcome,
    Plan,
    Record,
    RunKey,
    Transition,
    Wanted,
    Written,
    is_hidden,
    is_over,
    new_record,
)

if TYPE_CHECKING:
    from .base import BaseJobStore

_TRIES: Final = 100

_FIRST_PAUSE: Final = 1_000_000
_LONGEST_PAUSE: Final = 60_000_000
"""µs until the claim of a job that the store has refused is tried again."""


class OwnedRecords:
    """The records of a store of jobs, as far as the store does not keep them. Thread-safe.

    The store is read under no lock (restoring jobs imports the user's modules), and written under one. So that nothing is written that was
    made from an outdated reading, every write counts up `_writes` when it is done, and who began to read before that reads again.
    """

    def __init__(self, store: BaseJobStore) -> None:
        self._store = store
        # Re-entrant, because a store may ask the scheduler something while it writes.
        self._lock = RLock()
        self._writes = 0
        self._records: dict[str, Record] = {}
        self._refused: dict[str, tuple[int, int]] = {}
        """When the store has refused to take a job's claim, and for how long it is not asked again (µs)."""

    # -- reading ---------------------------------------------------------------------------------------------------

    def read(self, job_id: str) -> tuple[Record, Job] | None:
        for _ in range(_TRIES):
            writes = self._writes
            job = self._store.lookup_job(job_id)
            with self._lock:
                if writes == self._writes:
                    return None if job is None else (self._record(job), job)
        raise JobRestoreError(f"job {job_id!r} is changed faster than it can be read")

    def read_all(self) -> list[Record]:
        return [record for record, _ in self._all()]

    def jobs(self) -> list[Job]:
        return [job for record, job in self._all() if not is_hidden(record)]

    def _all(self) -> list[tuple[Record, Job]]:
        for _ in range(_TRIES):
            writes = self._writes
            jobs = self._store.get_all_jobs()
            with self._lock:
                if writes == self._writes:
                    found = [(self._record(job), job) for job in jobs]
                    # Jobs may have been removed past us, by `remove_all_jobs` for one; one that runs may only be unreadable now.
                    running = {job_id: record for job_id, record in self._records.items() if record.runs}
                    self._records = running | {record.id: record for record, _ in found}
                    return found
        raise JobRestoreError("the jobs are changed faster than they can be read")

    def overdue_executors(self, now: int) -> set[str]:
        due = {job.executor for job in self._store.get_due_jobs(from_micros(now, self._store._zone))}
        with self._lock:
            return due | {record.executor for record in self._records.values() if _waits(record, now)}

    def restore(self, records: Sequence[Record]) -> list[Job | JobRestoreError]:
        jobs: list[Job | JobRestoreError] = []
        for record in records:
            job = self._store.lookup_job(record.id)
            jobs.append(JobRestoreError(f"job {record.id!r} was removed meanwhile") if job is None else job)
        return jobs

    # -- writing ---------------------------------------------------------------------------------------------------

    def insert(self, items: Sequence[tuple[Job, Plan]]) -> None:
        added: list[Job] = []
        with self._lock:
            try:
                for job, plan in items:
                    old = self._records.get(job.id)
                    if old is not None and is_over(old):
                        self._remove(job.id)
                    job._next_run_time = plan.next_run_time
                    job._scheduler, job._jobstore_alias = self._store._scheduler, self._store._alias
                    self._store.add_job(job)
                    added.append(job)
                    self._records[job.id] = job._record = self._new(job, plan)
            except BaseException:
                # All or none: what this call has added goes again.
                for job in added:
                    try:
                        self._remove(job.id)
                    except Exception:  # what went wrong first is what the caller must hear of
                        self._store._logger.exception('Job "%s" was added and cannot be removed again', job)
                for job, _ in items:
                    job._record = job._jobstore_alias = None
                raise
            finally:
                self._writes += 1

    def write(self, job_id: str, transition: Callable[[Record], Transition]) -> tuple[Record, Transition]:
        for _ in range(_TRIES):
            found = self.read(job_id)
            if found is None:
                raise JobLookupError(job_id)
            writes = self._writes
            with self._lock:
                before = self._records.get(job_id)
                if before is None or writes != self._writes:
                    continue
                after = transition(before)
                self._put(found[1], before, after)
                return before, after
        raise JobRestoreError(f"job {job_id!r} is changed faster than it can be written")

    def remove(self, job_id: str, incarnation: int | None) -> None:
        with self._lock:
            record = self._records.get(job_id)
            if record is not None and (is_hidden(record) or incarnation not in (None, record.incarnation)):
                raise JobLookupError(job_id)
            self._store.remove_job(job_id)
            self._forget(job_id)

    def claim_due(
        self, now: int, wanted: Wanted, decide: Decide, decided: Sequence[tuple[Record, Due]] = ()
    ) -> ClaimResult:
        result = ClaimResult()
        holds = {record.id: (record, due) for record, due in decided}
        writes = self._writes
        room = dict(wanted)
        failed: Exception | None = None
        first = not self._refused
        for job in self._due_jobs(now):
            if self._is_refused(job.id, now):
                continue
            if room.get(job.executor, 1) <= 0:
                result.more = True
            if room.get(job.executor, 0) <= 0:
                continue
            with self._lock:
                if writes != self._writes:
                    # Somebody wrote since the jobs were read: what is left is read again.
                    result.more = True
                    break
                try:
                    room[job.executor] -= self._claim(job, decide, holds.get(job.id), now, result)
                    self._refused.pop(job.id, None)
                except Exception as exc:  # one job that the store does not take must not keep the others
                    failed = exc
                    self._refuse(job, now, exc)
                writes = self._writes
        try:
            result.wake_at = self._wake_at(now, wanted)
        except Exception as exc:
            result.error = exc  # what was written has to be started all the same
        if (
            failed is not None
            and first
            and not (result.claims or result.skipped or result.parked or result.removed)
        ):
            # It has taken nobody's: that looks like the store and not like the job. Said once; if it is the job, the others go on.
            raise failed
        return result

    def _refuse(self, job: Job, now: int, exc: Exception) -> None:
        """The store does not take this job's claim: that is tried again after a pause, which grows from one time to the next."""
        pause = min(2 * self._refused[job.id][1], _LONGEST_PAUSE) if job.id in self._refused else _FIRST_PAUSE
        self._store._logger.error(
            'Job "%s" is due, and its run cannot be written: %s; tried again in %d seconds',
            job.name,
            described(exc),
            pause // 1_000_000,
            exc_info=None if self._refused else exc,
        )
        self._refused[job.id] = (now, pause)

    def _is_refused(self, job_id: str, now: int) -> bool:
        refused_at, pause = self._refused.get(job_id, (0, 0))
        return refused_at <= now < refused_at + pause

    def refused_until(self, job_id: str, now: int) -> int | None:
        """When the claim of a job is tried again that the store has refused; None if it has not."""
        refused_at, pause = self._refused.get(job_id, (0, 0))
        return refused_at + pause if self._is_refused(job_id, now) else None

    def _due_jobs(self, now: int) -> list[Job]:
        """What the store has due, and the jobs that have a waiting run due, whatever their schedule says."""
        jobs = self._store.get_due_jobs(from_micros(now, self._store._zone))
        due = {job.id for job in jobs}
        with self._lock:
            waiting = [
                record.id for record in self._records.values() if _waits(record, now) and record.id not in due
            ]
        return jobs + [job for job_id in waiting if (job := self._store.lookup_job(job_id)) is not None]

    def _wake_at(self, now: int, wanted: Wanted) -> int | None:
        """The earliest time after now at which something is due; it may be another executor's, which costs one look for nothing."""
        with self._lock:
            times = [record.wake_at for record in self._records.values() if record.executor in wanted]
        times += [refused_at + pause for refused_at, pause in self._refused.values()]
        wake = self._store.get_next_run_time()
        if wake is not None:
            instant = to_micros(wake)
            times.append(instant)
            if instant <= now:
                # What is overdue (nobody has its executor, or there was no room) hides what comes behind it.
                jobs = self._store.get_all_jobs()
                times += [job._next_run_time for job in jobs if job.executor in wanted]
        later = [time for time in times if time is not None and time > now]
        return min(later, default=None)

    def _claim(
        self, job: Job, decide: Decide, hold: tuple[Record, Due] | None, now: int, result: ClaimResult
    ) -> int:
        """Decide one job and write it, under the lock; answers how much of the executor's room it takes."""
        before = self._record(job)
        due: Due | None = None
        if calls_user_code(job.trigger) and transitions.is_due(before, now):
            if hold is None or not transitions.still_holds(before, hold):
                result.deferred.append(before)
                return 1
            due = hold[1]
        decision = decide(before, job, due)
        if decision is None or transitions.changes_nothing(before, decision):
            return 0
        owner = self._store.owner
        after = transitions.claim(
            before, decision, owner=owner.name, now=now, lease_until=None, stamp=owner.stamp()
        )
        self._put(job, before, after)
        if decision.skipped:
            result.skipped.append((before, job, decision.skipped))
        if not isinstance(after, Record):
            result.removed.append(job.id)
            return 1
        if decision.state == "parked" and before.state != "parked":
            result.parked.append((after, job))
        known = {run.run for run in before.runs if run.state == "claimed"}
        result.claims.extend(
            Claim(after, job, run) for run in after.runs if run.state == "claimed" and run.run not in known
        )
        return max(1, decision.starts)

    def finish_runs(self, outcomes: Sequence[Outcome]) -> FinishResult:
        result = FinishResult()
        for outcome in outcomes:
            found = None

            def finish(record: Record, outcome: Outcome = outcome) -> Transition:
                nonlocal found
                after, found = transitions.finish(record, outcome, self._store.owner.stamp())
                return after

            if outcome.job_id not in self._records:
                continue
            try:
                before, after = self._write_runs(outcome.job_id, finish)
            except JobLookupError:
                continue
            if found is not None:
                result.found.append((outcome.job_id, found))
            if after is Written.DELETED:
                result.removed.append(outcome.job_id)
            elif after is not None:
                result.moved(before, after)
                if after.state == "parked" and before.state != "parked":
                    result.parked.append((outcome.job_id, after.reason or ""))
        return result

    def give_back(self, keys: Sequence[RunKey]) -> None:
        for key in keys:

            def give_back(record: Record, key: RunKey = key) -> Transition:
                return transitions.give_back(record, key, self._store.owner.stamp())

            if key.job_id in self._records:
                self._write_runs(key.job_id, give_back)

    def _write_runs(
        self, job_id: str, transition: Callable[[Record], Transition]
    ) -> tuple[Record, Transition]:
        """A change of runs, which the store does not keep: it is asked only if the job's schedule changes or ends with them."""
        with self._lock:
            before = self._records.get(job_id)
            if before is None:
                raise JobLookupError(job_id)
            after = transition(before)
            if after is Written.DELETED:
                if not self._remove(job_id):
                    raise JobLookupError(job_id)
                return before, after
            if after is None or after.next_run_time == before.next_run_time:
                self._records[job_id] = after or before
                return before, after
        return self.write(job_id, transition)

    def _put(self, job: Job, before: Record, after: Transition) -> None:
        """Write a record under the lock: what the store keeps of it first, so that nothing is remembered that it refused."""
        if after is None:
            return
        if after is Written.DELETED:
            self._remove(job.id)
            return
        if isinstance(after.payload, Job):
            job._adopt(after.payload)
            after = replace(after, payload=None)
        job._next_run_time = after.next_run_time
        job._scheduler, job._jobstore_alias = self._store._scheduler, self._store._alias
        try:
            self._store.update_job(job)
        except Exception:
            # It may have been written all the same; a run that the store takes for dispatched must be started.
            told = before.next_run_time != after.next_run_time
            if not told or self._stored_time(job.id) != after.next_run_time:
                raise
            self._store._logger.exception('Job "%s" was written, although the job store failed', job)
        finally:
            self._writes += 1
        self._records[job.id] = job._record = after

    def _stored_time(self, job_id: str) -> int | None:
        """The next run time that the store has of a job that was there; -1 if it does not tell."""
        try:
            job = self._store.lookup_job(job_id)
        except Exception:
            return -1
        return -1 if job is None else job._next_run_time

    def _remove(self, job_id: str) -> bool:
        """Take a job out of the store; False if it went past us before, by `remove_all_jobs` for one."""
        try:
            self._store.remove_job(job_id)
            there = True
        except JobLookupError:
            there = False
        self._forget(job_id)
        return there

    def _forget(self, job_id: str) -> None:
        self._writes += 1
        self._records.pop(job_id, None)
        self._refused.pop(job_id, None)

    # -- records ---------------------------------------------------------------------------------------------------

    def _record(self, job: Job) -> Record:
        """The record of a job as the store has it, under the lock; the store's next run time wins over a remembered one."""
        job._scheduler, job._jobstore_alias = self._store._scheduler, self._store._alias
        record = self._records.get(job.id)
        time = job._next_run_time
        if record is None:
            record = self._new(job, Plan(time, time, "paused" if time is None else "active"))
        elif record.next_run_time != time or record.executor != job.executor:
            state = "active" if time is not None else "paused" if record.state == "active" else record.state
            fire_time = record.fire_time if record.next_run_time == time else time
            changed = replace(
                record, next_run_time=time, fire_time=fire_time, state=state, executor=job.executor
            )
            sealed = transitions.seal(changed, self._store.owner.stamp())
            record = sealed if isinstance(sealed, Record) else changed
        self._records[job.id] = job._record = record
        return record

    def _new(self, job: Job, plan: Plan) -> Record:
        record = new_record(job, plan, self._store.owner.random.getrandbits(63))
        sealed = transitions.seal(record, self._store.owner.stamp())
        return sealed if isinstance(sealed, Record) else record


def _waits(record: Record, now: int) -> bool:
    """Whether a waiting run of the record is due, whatever its schedule says."""
    return any(run.state == "waiting" and not run.blocked and run.due <= now for run in record.runs)
