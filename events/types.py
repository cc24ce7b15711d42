"""The event classes: what a listener is given, frozen, named after what happened.

SchedulerEvent                  the scheduler, an executor (alias) or a job store (alias)
├── JobStoreEvent               a store failed, or answers again
├── ExecutorUnknownEvent        jobs wait for an executor that this process does not have
├── ClockOffsetEvent            this process's clock and a store's differ
└── JobEvent                    one job
    ├── JobSubmissionEvent      its runs were handed to an executor, or had no room there
    ├── JobExecutionEvent       the outcome of one run
    ├── JobReasonEvent          something could not be done with it, and why
    └── RunEvent                one open run of it was lost, or found again

Every job event answers `scheduled_run_time`, `exception` and `traceback` (None where it has none), so a listener on several codes needs no `hasattr`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from . import codes


@dataclass(frozen=True, slots=True)
class SchedulerEvent:
    """Something happened to the scheduler, or to the executor or job store named `alias`."""

    code: int
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class JobStoreEvent(SchedulerEvent):
    """The job store `alias` failed with `exception` and is tried again, or (RECOVERED) answers again after it."""

    exception: BaseException | None = None


@dataclass(frozen=True, slots=True)
class ExecutorUnknownEvent(SchedulerEvent):
    """Jobs in `jobstore` name the executor `alias`, which this process does not have: they stay due for those who have it."""

    jobstore: str | None = None


@dataclass(frozen=True, slots=True)
class ClockOffsetEvent(SchedulerEvent):
    """This process's clock is ahead of that of the job store `alias` by `offset` seconds (behind it, if negative)."""

    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class JobEvent(SchedulerEvent):
    """Something happened to the job `job_id` of the job store with the alias `jobstore`."""

    alias: str | None = field(default=None, init=False, repr=False)  # job events are never about an alias
    job_id: str
    jobstore: str

    @property
    def scheduled_run_time(self) -> datetime | None:
        """When the run in question was to be dispatched (jitter included); None where there is no run."""
        return None

    @property
    def exception(self) -> BaseException | None:
        """What was raised; None where nothing was."""
        return None

    @property
    def traceback(self) -> str | None:
        """The traceback of `exception` as text; None where there is none."""
        return None


@dataclass(frozen=True, slots=True)
class JobSubmissionEvent(JobEvent):
    """Runs were submitted to the job's executor (SUBMITTED), or skipped because too many still go on (MAX_INSTANCES)."""

    scheduled_run_times: Sequence[datetime]
    attempt: int = 1
    """Which attempt this is, from 1 on (SUBMITTED)."""
    run_id: int | None = None
    """What identifies the run through all its attempts (SUBMITTED)."""

    @property
    def scheduled_run_time(self) -> datetime | None:
        """The last of `scheduled_run_times`."""
        return self.scheduled_run_times[-1] if self.scheduled_run_times else None


@dataclass(frozen=True, slots=True)
class JobExecutionEvent(JobEvent):
    """The outcome of one run.

    `retval` is what the job returned (EXECUTED); `exception` and `traceback`, as text, what it raised (ERROR), or that it
    was over its time limit (TIMEOUT: a `JobTimeoutError`; of a thread, `traceback` tells where the job was then).
    `late` is how long after `scheduled_run_time` the run started (or, MISSED, would have started); `queued` is the part
    of it that was spent in the executor's queue, the rest passed before the run was taken from its store. Both are None
    where the executor does not tell.
    `attempt` counts from 1: a run that has failed, or was lost, and is run again has the next number. `retry_at` is when
    the next attempt follows, at the earliest, after one that failed (ERROR, TIMEOUT); None: none follows. `run_id`
    identifies the run through all its attempts; None where it was not claimed from a store.
    """

    # `field()` because the dataclass would otherwise take JobEvent's property of the same name for a default
    scheduled_run_time: datetime = field()
    retval: Any = None
    exception: BaseException | None = field(default=None)
    traceback: str | None = field(default=None)
    late: timedelta | None = None
    queued: timedelta | None = None
    attempt: int = 1
    retry_at: datetime | None = None
    run_id: int | None = None

    @property
    def is_last_attempt(self) -> bool:
        """Whether no other attempt follows this one."""
        return self.retry_at is None


class FreshExecutionEvent(JobExecutionEvent):
    """`FreshExecutionEvent(...)` makes a `JobExecutionEvent` in a third of the time, since there is one of these for each run.

    It is not frozen while its attributes are set, and becomes a `JobExecutionEvent` with the last one. (A frozen dataclass has to set each
    of its own by a call.)
    """

    __slots__ = ()
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__  # both: else Python looks for a method at each attribute

    def __init__(
        self,
        code: int,
        job_id: str,
        jobstore: str,
        scheduled_run_time: datetime,
        retval: Any,
        exception: BaseException | None,
        traceback: str | None,
        late: timedelta,
        queued: timedelta | None,
        attempt: int,
        run_id: int | None,
    ) -> None:
        event: Any = self
        event.alias = None
        event.code = code
        event.job_id = job_id
        event.jobstore = jobstore
        event.scheduled_run_time = scheduled_run_time
        event.retval = retval
        event.exception = exception
        event.traceback = traceback
        event.late = late
        event.queued = queued
        event.attempt = attempt
        event.retry_at = None
        event.run_id = run_id
        event.__class__ = JobExecutionEvent


@dataclass(frozen=True, slots=True)
class JobReasonEvent(JobEvent):
    """Something could not be done with a job, and `reason` says in a sentence why.

    SUBMIT_FAILED: the executor refused the runs of `scheduled_run_times`. QUARANTINED: this process cannot restore the
    job. PARKED: the job waits for a person.
    """

    reason: str
    exception: BaseException | None = field(default=None)
    traceback: str | None = field(default=None)
    scheduled_run_times: Sequence[datetime] = ()

    @property
    def scheduled_run_time(self) -> datetime | None:
        """The last of `scheduled_run_times`."""
        return self.scheduled_run_times[-1] if self.scheduled_run_times else None


@dataclass(frozen=True, slots=True)
class RunEvent(JobEvent):
    """The open run with the number `run`, claimed by the scheduler `owner`, was LOST (fate unknown) or FOUND again."""

    run: int
    scheduled_run_time: datetime | None = field(default=None)
    owner: str | None = None
    reason: str = ""
    attempt: int = 1
    run_id: int | None = None
    """What identifies the run through all its attempts."""


PAYLOADS: Mapping[int, type[SchedulerEvent]] = MappingProxyType(
    {
        codes.EVENT_SCHEDULER_STARTED: SchedulerEvent,
        codes.EVENT_SCHEDULER_SHUTDOWN: SchedulerEvent,
        codes.EVENT_SCHEDULER_PAUSED: SchedulerEvent,
        codes.EVENT_SCHEDULER_RESUMED: SchedulerEvent,
        codes.EVENT_EXECUTOR_ADDED: SchedulerEvent,
        codes.EVENT_EXECUTOR_REMOVED: SchedulerEvent,
        codes.EVENT_JOBSTORE_ADDED: SchedulerEvent,
        codes.EVENT_JOBSTORE_REMOVED: SchedulerEvent,
        codes.EVENT_ALL_JOBS_REMOVED: SchedulerEvent,
        codes.EVENT_JOB_ADDED: JobEvent,
        codes.EVENT_JOB_REMOVED: JobEvent,
        codes.EVENT_JOB_MODIFIED: JobEvent,
        codes.EVENT_JOB_EXECUTED: JobExecutionEvent,
        codes.EVENT_JOB_ERROR: JobExecutionEvent,
        codes.EVENT_JOB_MISSED: JobExecutionEvent,
        codes.EVENT_JOB_SUBMITTED: JobSubmissionEvent,
        codes.EVENT_JOB_MAX_INSTANCES: JobSubmissionEvent,
        codes.EVENT_JOB_SUBMIT_FAILED: JobReasonEvent,
        codes.EVENT_JOB_QUARANTINED: JobReasonEvent,
        codes.EVENT_JOB_PARKED: JobReasonEvent,
        codes.EVENT_JOB_LOST: RunEvent,
        codes.EVENT_JOB_FOUND: RunEvent,
        codes.EVENT_JOB_TIMEOUT: JobExecutionEvent,
        codes.EVENT_JOBSTORE_FAILED: JobStoreEvent,
        codes.EVENT_JOBSTORE_RECOVERED: JobStoreEvent,
        codes.EVENT_EXECUTOR_UNKNOWN: ExecutorUnknownEvent,
        codes.EVENT_CLOCK_OFFSET: ClockOffsetEvent,
    }
)
"""The class of the event that comes with each code."""
