"""The contract of job stores: what APScheduler's asks, and what the engine asks beside it.

A store that is written for APScheduler's contract alone (the abstract methods) works here as it is, as a store which one process
owns: what the engine asks beside it is answered for it by `OwnedRecords`. A store that keeps whole records derives from
`RecordJobStore` and may be shared by many schedulers.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any

from .errors import (
    ConflictingIdError,
    JobLookupError,
    JobRestoreError,
    JobStoreError,
    StaleJobError,
    StoreUnreachableError,
    TransientJobError,
    UnsupportedSerializationError,
)
from .job import Job
from .owned import OwnedRecords
from .owner import Owner
from .record import (
    ClaimResult,
    Decide,
    Due,
    FinishResult,
    Outcome,
    Plan,
    Record,
    RecoveredRun,
    RunKey,
    Transition,
    Wanted,
    is_hidden,
)

__all__ = [
    "BaseJobStore",
    "ConflictingIdError",
    "JobLookupError",
    "JobRestoreError",
    "JobStoreError",
    "StaleJobError",
    "StoreUnreachableError",
    "TransientJobError",
    "UnsupportedSerializationError",
]


class BaseJobStore(ABC):
    """Base of all job stores. All methods may be called from several threads at once."""

    shared: bool = False
    """Whether several schedulers may use the same store at the same time: then claims carry leases, and it is polled."""
    poll_interval: float | None = None
    """Seconds after which it is looked at again though nothing is known to be due; None: never needed."""
    on_push: Callable[[int], None] = staticmethod(lambda at: None)
    """Set by the engine before `start`. A store calls it, from any thread, when its server tells that something is due at that time
    (µs UTC) or, with 0, that it is to be looked at now."""

    _scheduler: Any = None
    _alias: str | None = None
    _logger: logging.Logger = logging.getLogger("mainspring.jobstores")
    _owner: Owner | None = None
    _lease: int = 30_000_000
    _owned_records: OwnedRecords | None = None

    # -- APScheduler's contract ------------------------------------------------------------------------------------

    def start(self, scheduler: Any, alias: str) -> None:
        """Called when the scheduler starts, or when the store is added to one that runs."""
        self._scheduler = scheduler
        self._alias = alias
        self._logger = logging.getLogger(f"mainspring.jobstores.{alias}")

    def shutdown(self) -> None:  # noqa: B027 - not abstract: most stores that hold no connection have nothing to close
        """Release what the store holds; it may be started again."""

    @abstractmethod
    def lookup_job(self, job_id: str) -> Job | None:
        """The job of that id, or None."""

    @abstractmethod
    def get_due_jobs(self, now: datetime) -> list[Job]:
        """The jobs whose next run time is `now` or earlier, the earliest first."""

    @abstractmethod
    def get_next_run_time(self) -> datetime | None:
        """The earliest next run time of all jobs; None if no job has one."""

    @abstractmethod
    def get_all_jobs(self) -> list[Job]:
        """All jobs, by next run time; paused ones last."""

    @abstractmethod
    def add_job(self, job: Job) -> None:
        """Add a job. Raises `ConflictingIdError` if its id is taken."""

    @abstractmethod
    def update_job(self, job: Job) -> None:
        """Write a job that is in the store. Raises `JobLookupError` if it is not."""

    @abstractmethod
    def remove_job(self, job_id: str) -> None:
        """Remove a job. Raises `JobLookupError` if there is none of that id."""

    @abstractmethod
    def remove_all_jobs(self) -> None:
        """Remove all jobs."""

    def _fix_paused_jobs_sorting(self, jobs: list[Job]) -> None:
        """Move the paused jobs, which a store may have sorted first, to the end of the list; in place."""
        running = [job for job in jobs if job.next_run_time is not None]
        jobs[:] = running + [job for job in jobs if job.next_run_time is None]

    # -- what the engine asks beside it ------------------------------------------------------------------------------

    def own(self, owner: Owner, lease: int) -> None:
        """Say whose claims these will be, and how many µs a lease lasts. Called before `start`, with a new owner each time."""
        self._owner = owner
        self._lease = lease

    @property
    def owner(self) -> Owner:
        """The boot in whose name this store writes; one of its own when it is used without a scheduler."""
        if self._owner is None:
            self._owner = Owner()
        return self._owner

    def insert(self, items: Sequence[tuple[Job, Plan]]) -> None:
        """Add jobs with their schedules, all or none. Raises `ConflictingIdError` for the first id that is taken."""
        self._owned.insert(items)

    def read(self, job_id: str) -> tuple[Record, Job] | None:
        """A record with its job, or None. Ended ones, too. Raises `JobRestoreError` if this process cannot make the job."""
        return self._owned.read(job_id)

    def find_job(self, job_id: str) -> Job | None:
        """The job of that id as callers get it; None if there is none, if it is over and kept for the runs that go on, or not released yet.

        `lookup_job` and `get_all_jobs` of a store that was written for APScheduler's contract know nothing of that.
        """
        found = self.read(job_id)
        return None if found is None or is_hidden(found[0]) else found[1]

    def find_jobs(self) -> list[Job]:
        """All jobs that are not over, by next run time; those without one last."""
        return self._owned.jobs()

    def peek(self, job_id: str) -> Record | None:
        """A record without its job, so that a job which this process cannot make is found, too."""
        found = self.read(job_id)
        return None if found is None else found[0]

    def read_all(self) -> list[Record]:
        """All records, without an order; what they need to be shown, not their payload."""
        return self._owned.read_all()

    def write(self, job_id: str, transition: Callable[[Record], Transition]) -> tuple[Record, Transition]:
        """Apply a transition to one record, atomically. Answers what was found and what the transition answered.

        Raises `JobLookupError` if there is no such record.
        """
        return self._owned.write(job_id, transition)

    def remove(self, job_id: str, incarnation: int | None = None) -> None:
        """Remove a job by its id, or by a handle, whose incarnation must be the stored one's. Raises `JobLookupError`."""
        self._owned.remove(job_id, incarnation)

    def pack(self, job: Job) -> Any:
        """The job as this store keeps it, for a transition to put into the record. May raise what a serializer raises."""
        return job._clone()

    def claim_due(
        self, now: int, wanted: Wanted, decide: Decide, decided: Sequence[tuple[Record, Due]] = ()
    ) -> ClaimResult:
        """Claim what is due at `now` (µs UTC): at most `wanted[alias]` due records of each executor.

        Records that no other scheduler has claimed are decided and written in one atomic step; what this scheduler won comes back. A
        record which only other people's code can decide comes back *deferred*; `decided` brings what was found of it.
        """
        return self._owned.claim_due(now, wanted, decide, decided)

    def restore(self, records: Sequence[Record]) -> list[Job | JobRestoreError]:
        """The jobs of deferred records, or why they cannot be made here. Imports the user's modules: call it under no lock."""
        return self._owned.restore(records)

    def finish_runs(self, outcomes: Sequence[Outcome]) -> FinishResult:
        """Write that runs ended. A run that is no longer there is passed over."""
        return self._owned.finish_runs(outcomes)

    def extend_leases(self, keys: Sequence[RunKey], until: int) -> list[RunKey]:
        """Move the ends of leases to `until` (µs UTC). Answers the runs that are no longer this owner's."""
        return []

    def recover(self, now: int, over_at: int | None = None) -> list[RecoveredRun]:
        """Account for the runs whose owner is known to be gone, and for those whose lease ended unfinished (`transitions.recover`).

        `over_at` (µs UTC, not after `now`): so early must a lease have been over; None: at `now`.
        """
        return []

    def give_back(self, keys: Sequence[RunKey]) -> None:
        """Let runs that were claimed and never started wait again."""
        self._owned.give_back(keys)

    def server_time(self) -> int | None:
        """µs UTC by the clock of the store's server, as it answers; None: it has none (or is on this machine). May raise JobStoreError."""
        return None

    def overdue_executors(self, now: int) -> set[str]:
        """The aliases of executors for which something is due at `now`."""
        return self._owned.overdue_executors(now)

    def quarantined(self, records: Sequence[Record] | None = None) -> list[tuple[str, str]]:
        """The ids of the jobs that this process cannot restore, each with the reason: all, or those of `records` that nobody has changed since."""
        return []

    def quarantined_until(self, record: Record) -> int | None:
        """When this process tries again to restore a job that it could not (µs UTC); None if it is not in quarantine."""
        return None

    def refused_until(self, job_id: str, now: int) -> int | None:
        """When the claim of a job is tried again that the store would not write (µs UTC); None if there is none."""
        owned = self._owned_records
        return None if owned is None else owned.refused_until(job_id, now)

    @property
    def _owned(self) -> OwnedRecords:
        if self._owned_records is None:
            self._owned_records = OwnedRecords(self)
        return self._owned_records

    @property
    def _zone(self) -> tzinfo:
        """The zone for times that are shown: the scheduler's, else UTC."""
        return getattr(self._scheduler, "timezone", None) or UTC

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"
