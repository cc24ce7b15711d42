"""A submission: what an executor knows of a job and its ticket, how a run is judged, and what came of it."""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from traceback import format_exception
from typing import Any, Protocol

from ..events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, EVENT_JOB_MISSED, Clock, JobExecutionEvent

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_TIME = timedelta(0)


class RunnableJob(Protocol):
    """What an executor needs to know of a job."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def func(self) -> Callable[..., Any]: ...
    @property
    def args(self) -> Any: ...
    @property
    def kwargs(self) -> Any: ...
    @property
    def misfire_grace_time(self) -> Any: ...
    @property
    def max_instances(self) -> Any: ...
    @property
    def _jobstore_alias(self) -> Any: ...


class Ticket(Protocol):
    """What the engine gives along with a submission, to hear of its fate. All methods may be called from any thread.

    A ticket may also have `misfire_grace_time` (seconds or None), which then counts instead of the job's: only the
    first dispatch of a scheduled run is judged, and a retry or rerun is not.
    """

    claimed_at: int
    """When the run was claimed from its store: microseconds since the epoch, UTC, by the engine's clock."""

    def may_start(self) -> bool:
        """Asked right before the hand-over to an idle worker, in the process that owns the lease.

        False: the run is not started, its slot is given back, nothing else is called and no event published.
        """

    def ended(self, error: BaseException | None) -> None:
        """Called once for each run that was allowed to start: with the last exception of its run times, if any.

        At that time the slot is still taken, and the events are not published yet.
        """


class Surroundings:
    """What all submissions between one start of an executor and its shutdown have in common."""

    __slots__ = ("clock", "logger", "open", "wants")

    def __init__(self, logger: logging.Logger, clock: Clock, wants: Callable[[int], Any]) -> None:
        self.logger = logger
        self.clock = clock
        self.wants = wants
        self.open = 0  # submissions whose slot is not given back yet; guarded by the executor's lock


class Submission:
    """One submission to an executor (one job, one or more run times), and what has come of it so far.

    Whoever runs it calls, for each run time in turn, `begin` and then, unless that says the run is missed, `executed`
    or `failed`. The events gather in `events`, the last exception in `error`. One thread at a time.
    """

    __slots__ = (
        "claimed_at",
        "error",
        "events",
        "held",
        "job",
        "key",
        "late",
        "now",
        "run_times",
        "ticket",
        "where",
    )

    def __init__(
        self,
        where: Surroundings,
        job: RunnableJob,
        jobstore: str,
        run_times: Sequence[datetime],
        ticket: Ticket | None = None,
    ) -> None:
        self.where = where
        self.job = job
        self.key = (jobstore, job.id)
        self.run_times = run_times
        self.ticket = ticket
        self.claimed_at = None if ticket is None else ticket.claimed_at
        self.held = False  # whether it has a slot; guarded by the executor's lock
        self.events: Sequence[
            JobExecutionEvent
        ] = ()  # a list as soon as there is one: most of the queue has none yet
        self.error: BaseException | None = None
        self.now = _EPOCH  # set, like `late`, when a run begins
        self.late = _NO_TIME

    @property
    def grace(self) -> float | None:
        """The misfire grace that counts for this submission, in seconds; None for any lateness."""
        grace: float | None = self.job.misfire_grace_time
        return grace if self.ticket is None else getattr(self.ticket, "misfire_grace_time", grace)

    def begin(self, run_time: datetime, now: datetime) -> bool:
        """The run scheduled at `run_time` starts `now`. False if it is too late for that: it is accounted as missed."""
        self.now = now
        self.late = late = now - run_time
        if is_missed(late, self.grace):
            self._missed(run_time)
            return False
        logger = self.where.logger
        if logger.isEnabledFor(logging.INFO):
            logger.info('Running job "%s" (scheduled at %s)', self.job, run_time)
        return True

    def executed(self, run_time: datetime, retval: Any) -> None:
        """The job returned `retval`."""
        where = self.where
        if where.wants(EVENT_JOB_EXECUTED):
            jobstore, job_id = self.key
            self._tell(
                JobExecutionEvent(
                    EVENT_JOB_EXECUTED,
                    job_id,
                    jobstore,
                    run_time,
                    retval,
                    None,
                    None,
                    self.late,
                    self._queued(),
                )
            )
        if where.logger.isEnabledFor(logging.INFO):
            where.logger.info('Job "%s" executed successfully', self.job)

    def failed(self, run_time: datetime, error: BaseException, text: str | None = None) -> None:
        """The job raised `error`, or could not be run because of it; `text` is its traceback, if it came from elsewhere."""
        self.error = error
        where = self.where
        if text is None and error.__traceback__ is not None:
            # Without the frame that caught it, which is ours and says nothing about the job.
            error.__traceback__ = error.__traceback__.tb_next
        if where.wants(EVENT_JOB_ERROR):
            if text is None:
                text = "".join(format_exception(error))
            jobstore, job_id = self.key
            self._tell(
                JobExecutionEvent(
                    EVENT_JOB_ERROR,
                    job_id,
                    jobstore,
                    run_time,
                    None,
                    error,
                    text,
                    self.late,
                    self._queued(),
                )
            )
        where.logger.error('Job "%s" raised an exception', self.job, exc_info=error)

    def fail(self, run_times: Sequence[datetime], error: BaseException, text: str | None = None) -> None:
        """None of `run_times` can be run, because of `error`."""
        self.now = self.where.clock.now()
        for run_time in run_times:
            self.late = self.now - run_time
            self.failed(run_time, error, text)

    def outcome(self) -> tuple[Sequence[JobExecutionEvent], BaseException | None]:
        """The events and the last exception, handed over: they are no longer kept here.

        Else the exception would keep itself and all that the job held, until the garbage collector finds the cycle:
        exception, traceback, the job's frame, the frame that called it, submission, exception.
        """
        events, error = self.events, self.error
        if error is not None:
            self.events = ()
            self.error = None
        return events, error

    def _tell(self, event: JobExecutionEvent) -> None:
        self.events = [*self.events, event]

    def _missed(self, run_time: datetime) -> None:
        where = self.where
        queued = self._queued()
        if where.wants(EVENT_JOB_MISSED):
            jobstore, job_id = self.key
            self._tell(
                JobExecutionEvent(
                    EVENT_JOB_MISSED, job_id, jobstore, run_time, None, None, None, self.late, queued
                )
            )
        if where.logger.isEnabledFor(logging.WARNING):
            advice = _advice(self.late, queued, self.grace)
            where.logger.warning('Run time of job "%s" was missed by %s%s', self.job, self.late, advice)

    def _queued(self) -> timedelta | None:
        """The part of the lateness that passed after the claim; None if nobody said when that was."""
        if self.claimed_at is None:
            return None
        queued = self.now - (_EPOCH + timedelta(0, 0, self.claimed_at))
        if queued > self.late:  # claimed before it was due
            queued = self.late
        return queued if queued.days >= 0 else _NO_TIME


def is_missed(late: timedelta, grace: float | None) -> bool:
    """Whether a run that starts `late` may not be started any more. Exactly `grace` seconds late is still in time."""
    # `total_seconds` is exact to the microsecond here, and three times as fast as building timedelta(seconds=grace).
    return grace is not None and late.total_seconds() > grace


def _advice(late: timedelta, queued: timedelta | None, grace: float | None) -> str:
    """The rest of the sentence on a missed run: where the time went, and what to change."""
    longer = f"a longer misfire_grace_time (now {grace} s)"
    if queued is None:
        return f"; what helps: more workers for this executor (max_workers), or {longer} for the job"
    where = f": {late - queued} before it was taken from the store, {queued} in the queue of this executor; what helps: "
    if queued * 2 >= late:
        return where + f"more workers for this executor (max_workers), shorter jobs, or {longer}"
    return where + f"{longer}, or a scheduler that is not down, paused or busy when runs come due"
