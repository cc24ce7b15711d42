"""`RecordJobStore`: what all stores of whole records share. A store of this kind brings storage and atomicity, and no rule.

The rules of the record are the pure functions of `transitions.py`; here they are put together with the jobs that this process has
restored; a store below implements six primitives (`_insert`, `_read`, `_apply`, `_claim`, `_expired`, `_clear`), each one
atomic step. Inside a step only code of this library runs: what needs the user's modules comes back deferred.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache, partial
from typing import Any, Literal, TypeAlias

from ..triggers import calls_user_code
from ..triggers.instants import from_micros, to_micros
from . import edits, transitions
from .base import BaseJobStore
from .errors import (
    ConflictingIdError,
    JobLookupError,
    JobRestoreError,
    StaleJobError,
    described,
    ends_program,
)
from .job import Job
from .owner import is_gone
from .record import (
    FORMAT_VERSION,
    Claim,
    ClaimResult,
    Decide,
    Decision,
    Due,
    FinishResult,
    Outcome,
    Plan,
    Record,
    RecoveredRun,
    Run,
    RunKey,
    Transition,
    Wanted,
    Written,
    is_hidden,
    new_record,
)
from .restored import RestoredJobs, is_immutable
from .serialization.references import check_callable_args

Choice: TypeAlias = Decision | Literal["defer", "try"] | None
"""What is to be done with a due record: a decision, to have it decided outside the step (`"try"`: it takes no room, since it may well turn out that
it cannot be restored), or to pass it over."""


@dataclass(slots=True)
class Applied:
    """What one change of `_apply` found, and what its transition answered."""

    before: Record
    after: Transition


@dataclass(slots=True)
class Won:
    """What `_claim` found and wrote."""

    rows: list[tuple[Record, Decision, Record | Literal[Written.DELETED]]] = field(default_factory=list)
    deferred: list[Record] = field(default_factory=list)
    wake_at: int | None = None
    more: bool = False


class RecordJobStore(BaseJobStore):
    """A store of whole records; see the module's docstring. Thread-safe if its primitives are."""

    def __init__(self) -> None:
        self._restored = RestoredJobs(self)

    # -- primitives ------------------------------------------------------------------------------------------------

    @abstractmethod
    def _insert(self, records: Sequence[Record], stamp: str) -> None:
        """Write new records (`transitions.add`), all or none. Raises ConflictingIdError for the first id that is taken."""

    @abstractmethod
    def _read(self, job_ids: Sequence[str] | None, payload: bool = True) -> list[Record]:
        """The records of these ids that there are; all records for None. In no particular order."""

    @abstractmethod
    def _apply(self, changes: Sequence[tuple[str, Callable[[Record], Transition]]]) -> list[Applied | None]:
        """Apply transitions, each atomically: None where there is no such record. The same id may come several times.

        A transition may be called again when the step is repeated; what a call leaves behind is then overwritten.
        """

    @abstractmethod
    def _claim(self, now: int, wanted: Wanted, choose: Callable[[Record], Choice], stamp: str) -> Won:
        """Find due records, and write what `choose` decides, in one step; see `claim_due`. `choose` runs inside the step."""

    @abstractmethod
    def _expired(self, now: int) -> list[str]:
        """The ids of the records that may have a run whose owner is gone or whose lease has ended."""

    @abstractmethod
    def _clear(self) -> None:
        """Delete all records."""

    def pack(self, job: Job) -> Any:
        """The payload of a job; see `BaseJobStore.pack`."""
        raise TypeError(f"{type(self).__name__} must define pack()")

    def _unpack(self, record: Record) -> Job:
        """The job of a record that was read with its payload. Raises whatever the user's modules raise."""
        raise TypeError(f"{type(self).__name__} must define _unpack()")

    # -- APScheduler's contract ------------------------------------------------------------------------------------

    def lookup_job(self, job_id: str) -> Job | None:
        return self.find_job(job_id)

    def get_due_jobs(self, now: datetime) -> list[Job]:
        limit = to_micros(now)
        return self._shown(
            record
            for record in self._read(None)
            if record.next_run_time is not None and record.next_run_time <= limit
        )

    def get_next_run_time(self) -> datetime | None:
        times = [
            record.next_run_time
            for record in self._read(None, payload=False)
            if record.next_run_time is not None and record.state != "importing"
        ]
        return from_micros(min(times), self._zone) if times else None

    def get_all_jobs(self) -> list[Job]:
        return self._shown(self._read(None))

    def add_job(self, job: Job) -> None:
        time = job._next_run_time
        self.insert([(job, Plan(time, time, "paused" if time is None else "active"))])

    def update_job(self, job: Job) -> None:
        """Write what the caller changed of a job that it read from this store.

        Raises `JobLookupError` if it is not there any more, and `StaleJobError` if somebody else changed it since.
        """
        seen = job._record
        if seen is None:
            found = self.read(job.id)
            if found is None or is_hidden(found[0]):
                raise JobLookupError(job.id)
            seen = found[0]
        payload, stamp, revision, old = self.pack(job), self.owner.stamp(), self._random_bits(), seen
        time = job._next_run_time

        def change(record: Record) -> Transition:
            if time == old.next_run_time:
                return edits.edit_definition(
                    record,
                    old,
                    payload=payload,
                    executor=job.executor,
                    revision=revision,
                    unblock=True,
                    stamp=stamp,
                )
            plan = Plan(
                time, record.fire_time if time is None else time, "paused" if time is None else "active"
            )
            return edits.edit_schedule(
                record, old, plan, revision=revision, stamp=stamp, payload=payload, executor=job.executor
            )

        before, after = self.write(job.id, change)
        if is_hidden(before):
            raise JobLookupError(job.id)
        if not isinstance(after, Record):
            raise StaleJobError(job.id)
        job._record = after

    def remove_job(self, job_id: str) -> None:
        self.remove(job_id)

    def remove(self, job_id: str, incarnation: int | None = None) -> None:
        _, after = self.write(job_id, lambda record: edits.remove(record, incarnation))
        if after is None:
            raise JobLookupError(job_id)
        self._restored.forget(job_id)

    def remove_all_jobs(self) -> None:
        self._clear()
        self._restored.clear()

    # -- what the engine asks --------------------------------------------------------------------------------------

    def insert(self, items: Sequence[tuple[Job, Plan]]) -> None:
        seen: set[str] = set()
        records = []
        for job, plan in items:
            if job.id in seen:
                raise ConflictingIdError(job.id)
            seen.add(job.id)
            records.append(new_record(job, plan, self._random_bits(), self.pack(job)))
        stamp = self.owner.stamp()
        self._insert(records, stamp)
        for (job, _), record in zip(items, records, strict=True):
            self._inserted(job, replace(record, stamp=stamp))

    def _inserted(self, job: Job, record: Record) -> None:
        """A record was added for the caller's job: the job becomes a snapshot of it."""
        job._jobstore_alias = self._alias
        job._next_run_time = record.next_run_time
        job._record = record
        if is_immutable(job) and record.state != "importing":
            # What was packed a moment ago need not be unpacked for its first claim.
            self._restored.keep(record, job._clone())

    def read(self, job_id: str) -> tuple[Record, Job] | None:
        records = self._read([job_id])
        if not records:
            return None
        return records[0], self._snapshot(records[0])

    def peek(self, job_id: str) -> Record | None:
        records = self._read([job_id], payload=False)
        return records[0] if records else None

    def find_jobs(self) -> list[Job]:
        return self.get_all_jobs()

    def read_all(self) -> list[Record]:
        return self._read(None, payload=False)

    def write(self, job_id: str, transition: Callable[[Record], Transition]) -> tuple[Record, Transition]:
        applied = self._apply([(job_id, transition)])[0]
        if applied is None:
            raise JobLookupError(job_id)
        return applied.before, applied.after

    def claim_due(
        self, now: int, wanted: Wanted, decide: Decide, decided: Sequence[tuple[Record, Due]] = ()
    ) -> ClaimResult:
        holds = {record.id: (record, due) for record, due in decided}
        result = ClaimResult()
        # `choose` runs inside the store's step, which may be repeated: what it notes is keyed, so that a repetition overwrites it.
        jobs: dict[str, Job] = {}
        passed: dict[str, None] = {}
        tries = self._restored.tries

        def choose(record: Record) -> Choice:
            if record.version > FORMAT_VERSION:
                # Also where the job is known: a newer process may have rewritten the record, and left its revision alone.
                passed[record.id] = None
                return None
            job = self._restored.get(record)
            if job is None:
                if self._restored.is_quarantined(record, now):
                    passed[record.id] = None
                    return None
                nonlocal tries
                tries -= 1
                return "defer" if tries < 0 else "try"
            due: Due | None = None
            if calls_user_code(job.trigger) and transitions.is_due(record, now):
                prepared = holds.get(record.id)
                if prepared is None or not transitions.still_holds(record, prepared):
                    return "defer"
                due = prepared[1]
            jobs[record.id] = job
            return decide(record, job, due)

        won = self._claim(now, wanted, choose, self.owner.stamp())
        result.deferred, result.wake_at, result.more = won.deferred, won.wake_at, won.more
        result.quarantined = list(passed)
        for before, decision, after in won.rows:
            job = jobs[before.id]
            if decision.skipped:
                result.skipped.append((before, job, decision.skipped))
            if not isinstance(after, Record):
                result.removed.append(before.id)
                continue
            self._restored.moved(job, after)
            if decision.state == "parked" and before.state != "parked":
                result.parked.append((after, job))
            if decision.starts:
                known = {run.run for run in before.runs if run.state == "claimed"} if before.runs else ()
                for run in after.runs:
                    if run.state == "claimed" and run.run not in known:
                        result.claims.append(Claim(after, self._restored.for_run(after, job), run))
        return result

    def restore(self, records: Sequence[Record]) -> list[Job | JobRestoreError]:
        full = {record.id: record for record in self._read([record.id for record in records])}
        restored: list[Job | JobRestoreError] = []
        for asked in records:
            record = full.get(asked.id)
            if record is None:
                restored.append(JobRestoreError(f"job {asked.id!r} was removed meanwhile"))
                continue
            job = self._restored.get(record)
            if job is None:
                try:
                    job = self._unpack(record)
                    # The function may take other arguments by now: a run could only fail, and a process that has the right one waits.
                    check_callable_args(job.func, job.args, job._kwargs or {})
                except BaseException as exc:  # the user's modules may raise anything
                    if ends_program(exc):
                        raise
                    restored.append(self._restored.quarantine(record, exc))
                    continue
                self._restored.keep(record, job)
            restored.append(job)
        self._restored.tried(sum(isinstance(job, JobRestoreError) for job in restored))
        return restored

    def finish_runs(self, outcomes: Sequence[Outcome]) -> FinishResult:
        result = FinishResult()
        for outcome, before, after, found in self._finish(outcomes, self.owner.stamp()):
            if found is not None:
                result.found.append((outcome.job_id, found))
            if after is Written.DELETED:
                result.removed.append(outcome.job_id)
                self._restored.forget(outcome.job_id)
            elif after is not None:
                result.moved(before, after)
                if after.state == "parked" and before.state != "parked":
                    result.parked.append((outcome.job_id, after.reason or ""))
        return result

    def _finish(
        self, outcomes: Sequence[Outcome], stamp: str
    ) -> list[tuple[Outcome, Record, Transition, Run | None]]:
        """Write outcomes; answers those whose record there is, with what was found and written, and a lost run that was met."""
        found: dict[int, Run | None] = {}

        def finish(outcome: Outcome, place: int, record: Record) -> Transition:
            after, found[place] = transitions.finish(record, outcome, stamp)
            return after

        applied = self._apply(
            [(outcome.job_id, partial(finish, outcome, place)) for place, outcome in enumerate(outcomes)]
        )
        return [
            (outcome, change.before, change.after, found[place])
            for place, (outcome, change) in enumerate(zip(outcomes, applied, strict=True))
            if change is not None
        ]

    def extend_leases(self, keys: Sequence[RunKey], until: int) -> list[RunKey]:
        if not keys:
            return []
        by_id: dict[str, list[RunKey]] = {}
        # In the order of the ids, so that two schedulers that lock several records never lock them crosswise.
        for key in sorted(keys, key=lambda key: key.job_id):
            by_id.setdefault(key.job_id, []).append(key)
        stamp = self.owner.stamp()

        def change(keys: list[RunKey]) -> Callable[[Record], Transition]:
            return lambda record: transitions.extend(record, keys, until, stamp)

        applied = self._apply([(job_id, change(keys)) for job_id, keys in by_id.items()])
        return [
            key
            for (keys), change_made in zip(by_id.values(), applied, strict=True)
            for key in keys
            if not transitions.is_held(None if change_made is None else change_made.before, key)
        ]

    def recover(self, now: int, over_at: int | None = None) -> list[RecoveredRun]:
        if not self.shared:
            return []
        over_at = now if over_at is None else over_at
        expired = self._expired(over_at)
        if not expired:
            return []
        stamp, gone = self.owner.stamp(), cache(is_gone)
        found: dict[str, list[RecoveredRun]] = {}

        def step(record: Record) -> Transition:
            after, found[record.id] = transitions.recover(
                record, now=now, over_at=over_at, boot_owner=self.owner.name, is_gone=gone, stamp=stamp
            )
            return after

        self._apply([(job_id, step) for job_id in expired])
        return [run for runs in found.values() for run in runs]

    def give_back(self, keys: Sequence[RunKey]) -> None:
        stamp = self.owner.stamp()

        def change(key: RunKey) -> Callable[[Record], Transition]:
            return lambda record: transitions.give_back(record, key, stamp)

        self._apply([(key.job_id, change(key)) for key in sorted(keys, key=lambda key: key.job_id)])

    def quarantined(self, records: Sequence[Record] | None = None) -> list[tuple[str, str]]:
        return self._restored.quarantined(records)

    def quarantined_until(self, record: Record) -> int | None:
        return self._restored.quarantined_until(record)

    # -- jobs for callers --------------------------------------------------------------------------------------------

    def _snapshot(self, record: Record) -> Job:
        """A job of the caller's own, as the record stands."""
        try:
            job = self._unpack(record)
        except BaseException as exc:  # the user's modules may raise anything
            if ends_program(exc):
                raise
            raise self._restored.not_shown(record, exc) from exc
        self._restored.shown(record, job)
        job._scheduler, job._jobstore_alias = self._scheduler, self._alias
        job._record, job._next_run_time = record, record.next_run_time
        return job

    def _shown(self, records: Iterable[Record]) -> list[Job]:
        """The jobs of records, by next run time, paused last; one that cannot be restored is left out, and logged."""
        jobs = []
        for record in sorted(
            records, key=lambda record: (record.next_run_time is None, record.next_run_time or 0, record.id)
        ):
            if is_hidden(record):
                continue
            try:
                jobs.append(self._snapshot(record))
            except JobRestoreError as exc:
                reason = described(exc.__cause__ or exc)
                self._logger.error(
                    'Unable to restore job "%s" -- it stays in the store: %s', record.id, reason
                )
        return jobs

    def _random_bits(self) -> int:
        return self.owner.random.getrandbits(63)
