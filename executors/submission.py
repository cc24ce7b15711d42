"""A submission: what an executor knows of a job and its ticket, how a run is judged, and what came of it."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from traceback import format_exception
from typing import Any, NamedTuple, Protocol

from ..events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MISSED,
    EVENT_JOB_TIMEOUT,
    Clock,
    JobExecutionEvent,
)
from ..events.types import FreshExecutionEvent
from .context import CurrentRun, Running
from .errors import JobTimeoutError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_TIME = timedelta(0)


class RunnableJob(Protocol):
    """What an executor needs to know of a job. It may also have `timeout`: seconds that a run may take, or None."""

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
    first dispatch of a scheduled run is judged, and a retry or rerun is not. One without `attempt`, `run_id`, `failed`
    or `missed` is of somebody who runs nothing again.
    """

    claimed_at: int
    """When the run was claimed from its store: microseconds since the epoch, UTC, by the engine's clock."""

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1 on."""

    @property
    def run_id(self) -> int | None:
        """What identifies the run through all its attempts."""

    def may_start(self) -> bool:
        """Asked right before the hand-over to an idle worker, in the process that owns the lease.

        False: the run is not started, its slot is given back, nothing else is called and no event published.
        """

    def failed(self, place: int, error: BaseException) -> datetime | None:
        """Called once for each run time that has failed, before `ended`; `place` is its index in the submission.

        A run in a thread that is over its time limit (`error` is a JobTimeoutError) has failed when the limit passes, so
        this may come long before the function returns, and from another thread. Answers when the next attempt follows, at the earliest; None: this was the last one.
        """

    def missed(self, place: int, late: timedelta) -> None:
        """Called once for each run time that was not run because it would have begun `late`, before `ended`."""

    def ended(self, error: BaseException | None) -> None:
        """Called once for each run that was allowed to start: with the last exception of its run times, if any.

        At that time the slot is still taken, and the events are not published yet.
        """


class Surroundings:
    """What all submissions between one start of an executor and its shutdown have in common."""

    __slots__ = ("cancelled", "claimed", "clock", "logger", "open", "publish", "wants")

    def __init__(
        self,
        logger: logging.Logger,
        clock: Clock,
        wants: Callable[[int], Any],
        publish: Callable[[JobExecutionEvent], object] | None = None,
    ) -> None:
        self.logger = logger
        self.clock = clock
        self.wants = wants
        self.publish = publish  # None: events can only be told when all is over
        # Those whose slot is not given back yet; guarded by the executor's lock.
        self.open: set[Submission] = set()
        self.cancelled: str | None = None  # why all of these runs should come to an end
        # The time of the last claim: runs come in batches. One tuple, exchanged as a whole, since all workers are at it.
        self.claimed: tuple[int, datetime] = (0, _EPOCH)


class Note(NamedTuple):
    """A run time that did not come to its good end."""

    place: int
    error: BaseException | None
    """None: it was missed."""
    late: timedelta
    event: JobExecutionEvent | None
    """None: nobody wants it, or it was published already."""
    told: bool = False
    """Whether the ticket knows already."""


class Submission(Running):
    """One submission to an executor (one job, one or more run times), and what has come of it so far.

    Whoever runs it calls, for each run time in turn, `begin` and then, unless that says the run is missed, `executed`
    or `failed`. The events gather in `events`, what went wrong in `notes`. One thread at a time.
    """

    __slots__ = (
        "claimed_at",
        "events",
        "held",
        "job",
        "key",
        "late",
        "notes",
        "now",
        "place",
        "run_times",
        "ticket",
        "timeout",
        "where",
    )
    now: datetime
    late: timedelta
    timeout: float | None
    """How many seconds the function may take for one run time; None for as long as it likes. That which it begins with: a job in memory
    follows every edit."""

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
        self.timeout = getattr(job, "timeout", None)
        self.claimed_at = None if ticket is None else ticket.claimed_at
        self.held = False  # whether it has a slot; guarded by the executor's lock
        # Lists as soon as there is one: most of the queue has none yet.
        self.events: Sequence[JobExecutionEvent] = ()
        self.notes: Sequence[Note] = ()
        self.cancelled = None
        self.run = None
        # Of the run that goes on, or was accounted last; set, like `now` and `late`, when a run begins.
        self.place = -1

    @property
    def grace(self) -> float | None:
        """The misfire grace that counts for this submission, in seconds; None for any lateness."""
        grace: float | None = self.job.misfire_grace_time
        return grace if self.ticket is None else getattr(self.ticket, "misfire_grace_time", grace)

    def describe(self, deadline: float | None = None) -> CurrentRun:
        jobstore, job_id = self.key
        attempt, run_id = self.identity
        run_time = self.run_times[self.place]
        return CurrentRun(job_id, jobstore, run_time, attempt, run_id, self.where.clock, deadline)

    def why_cancelled(self) -> str | None:
        return self.cancelled or self.where.cancelled

    @property
    def identity(self) -> tuple[int, int | None]:
        """The number of the attempt, and what identifies the run through all of them."""
        return getattr(self.ticket, "attempt", 1), getattr(self.ticket, "run_id", None)

    def begin(self, run_time: datetime, now: datetime) -> bool:
        """The next run starts `now`. False if it is too late for that: it is accounted as missed."""
        self.place += 1
        self.run = None
        self.now = now
        self.late = late = now - run_time
        grace = self.grace
        if grace is not None and late.total_seconds() > grace:  # `is_missed`, without the call
            self._missed()
            return False
        logger = self.where.logger
        if logger.isEnabledFor(logging.INFO):
            logger.info('Running job "%s" (scheduled at %s)', self.job, run_time)
        return True

    def executed(self, retval: Any) -> None:
        """The job returned `retval`."""
        where = self.where
        if where.wants(EVENT_JOB_EXECUTED):
            jobstore, job_id = self.key
            run_time, late, queued = self.run_times[self.place], self.late, self._queued()
            # Not by `_event`: there is one of these for each run.
            try:
                attempt, run_id = self.ticket.attempt, self.ticket.run_id  # type: ignore[union-attr]
            except AttributeError:
                attempt, run_id = 1, None
            self._tell(
                FreshExecutionEvent(
                    EVENT_JOB_EXECUTED,
                    job_id,
                    jobstore,
                    run_time,
                    retval,
                    None,
                    None,
                    late,
                    queued,
                    attempt,
                    run_id,
                )
            )
        if where.logger.isEnabledFor(logging.INFO):
            where.logger.info('Job "%s" executed successfully', self.job)

    def failed(self, error: BaseException, text: str | None = None) -> None:
        """The job raised `error`, or could not be run because of it; `text` is its traceback, if it came from elsewhere."""
        where = self.where
        if text is None and error.__traceback__ is not None:
            # Without the frame that caught it, which is ours and says nothing about the job.
            error.__traceback__ = error.__traceback__.tb_next
        event = None
        if where.wants(EVENT_JOB_ERROR):
            if text is None:
                text = "".join(format_exception(error))
            event = self._event(EVENT_JOB_ERROR, error, text)
            self._tell(event)
        self._note(Note(self.place, error, self.late, event))
        where.logger.error('Job "%s" raised an exception', self.job, exc_info=error)

    def timed_out(self, error: JobTimeoutError, text: str | None = None) -> None:
        """The run was over its time limit; `text` is where the job was then, if that is known."""
        error.__traceback__ = None  # our own frames, which say nothing
        event = None
        if self.where.wants(EVENT_JOB_TIMEOUT):
            event = self._event(EVENT_JOB_TIMEOUT, error, text)
            self._tell(event)
        self._note(Note(self.place, error, self.late, event))
        self._log_timeout(error, text)

    def time_out_at_once(self, error: JobTimeoutError, text: str) -> JobExecutionEvent | None:
        """The run is over its time limit and goes on. The event is answered if it can be published before the run has ended.

        Called by another thread than the one that runs it, which must not touch this meanwhile.
        """
        if self.where.publish is None:
            self.timed_out(error, text)
            return None
        self._log_timeout(error, text)
        retry_at = None
        try:
            if self.ticket is not None:
                retry_at = tell_note(self.ticket, self.place, error, self.late, self.where.logger)
        finally:
            self._note(Note(self.place, error, self.late, None, told=True))
        if not self.where.wants(EVENT_JOB_TIMEOUT):
            return None
        return replace(self._event(EVENT_JOB_TIMEOUT, error, text), retry_at=retry_at)

    def _log_timeout(self, error: JobTimeoutError, text: str | None) -> None:
        self.where.logger.error("%s%s", error, f"\n{text.rstrip()}" if text else "")

    def fail(self, error: BaseException, text: str | None = None, first: int = 0) -> None:
        """None of the run times from the place `first` on can be run, because of `error`."""
        self.now = self.where.clock.now()
        accounted = {note.place for note in self.notes}
        for place in range(first, len(self.run_times)):
            if place not in accounted:
                self.place = place
                self.late = self.now - self.run_times[place]
                if isinstance(error, JobTimeoutError):
                    self.timed_out(error, text)
                else:
                    self.failed(error, text)

    def report(self, events: Sequence[JobExecutionEvent]) -> None:
        """Somebody else has run it, and tells by `events` what came of it."""
        attempt, run_id = self.identity
        place = 0
        for event in events:
            if (attempt, run_id) != (event.attempt, event.run_id):
                event = replace(event, attempt=attempt, run_id=run_id)
            self._tell(event)
            if event.scheduled_run_time in self.run_times[place:]:
                place = self.run_times.index(event.scheduled_run_time, place) + 1
            if event.exception is not None or event.code == EVENT_JOB_MISSED:
                self._note(Note(max(place - 1, 0), event.exception, event.late or _NO_TIME, event))

    def outcome(self) -> tuple[Sequence[JobExecutionEvent], Sequence[Note]]:
        """The events, and the notes on what went wrong, handed over: they are no longer kept here.

        Else an exception would keep itself and all that the job held, until the garbage collector finds the cycle:
        exception, traceback, the job's frame, the frame that called it, submission, exception. Where nothing went wrong,
        there is no such cycle, and `events` may be taken as they are.
        """
        events, notes = self.events, self.notes
        if notes:
            self.events = self.notes = ()
        return events, notes

    def _event(
        self, code: int, error: BaseException | None = None, text: str | None = None
    ) -> JobExecutionEvent:
        jobstore, job_id = self.key
        run_time, late, queued = self.run_times[self.place], self.late, self._queued()
        attempt, run_id = self.identity
        return JobExecutionEvent(
            code, job_id, jobstore, run_time, None, error, text, late, queued, attempt, None, run_id
        )

    def _tell(self, event: JobExecutionEvent) -> None:
        self.events = [*self.events, event]

    def _note(self, note: Note) -> None:
        self.notes = [*self.notes, note]

    def _missed(self) -> None:
        where = self.where
        event = None
        if where.wants(EVENT_JOB_MISSED):
            event = self._event(EVENT_JOB_MISSED)
            self._tell(event)
        self._note(Note(self.place, None, self.late, event))
        if where.logger.isEnabledFor(logging.WARNING):
            advice = _advice(self.late, self._queued(), self.grace)
            where.logger.warning('Run time of job "%s" was missed by %s%s', self.job, self.late, advice)

    def _queued(self) -> timedelta | None:
        """The part of the lateness that passed after the claim; None if nobody said when that was."""
        if self.claimed_at is None:
            return None
        where = self.where
        claimed = where.claimed
        if claimed[0] != self.claimed_at:
            claimed = where.claimed = (self.claimed_at, _EPOCH + timedelta(0, 0, self.claimed_at))
        queued = self.now - claimed[1]
        if queued > self.late:  # claimed before it was due
            queued = self.late
        return queued if queued.days >= 0 else _NO_TIME


def time_limit_error(submission: Submission, what: str) -> JobTimeoutError:
    """The error of a run that was over its limit, and `what` was done about it."""
    limit = submission.timeout
    return JobTimeoutError(
        f'Job "{_shown(submission.job)}" has reached its time limit of {limit:g} s '
        f"(scheduled at {submission.run_times[submission.place]}): {what}",
        limit,
    )


def _shown(job: RunnableJob) -> str:
    try:
        return str(job)
    except Exception:  # its trigger may be a user's, and so is how that shows itself
        return job.name


def tell_note(
    ticket: Ticket, place: int, error: BaseException | None, late: timedelta, logger: logging.Logger
) -> datetime | None:
    """Tell `ticket` that a run time has failed (or, without an error, was missed). Answers when it is run again."""
    tell: Any = getattr(ticket, "missed" if error is None else "failed", None)
    if tell is None:
        return None
    try:
        answer = tell(place, late if error is None else error)
    except Exception:
        logger.exception("Error reporting a run that %s", "was missed" if error is None else "has failed")
        return None
    return answer if isinstance(answer, datetime) else None


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
