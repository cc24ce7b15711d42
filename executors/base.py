"""The executor contract: slots for `max_instances`, SUBMITTED before the outcome, and the end of a run in its fixed order."""

import logging
import os
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NoReturn

from ..events import EVENT_JOB_SUBMITTED, JobExecutionEvent, JobSubmissionEvent
from .errors import ExecutorNotRunningError, MaxInstancesReachedError
from .run import clock_of, perform, run_coroutine_job, run_job, wants_all
from .submission import Note, RunnableJob, Submission, Surroundings, Ticket, tell_note

__all__ = [
    "BaseExecutor",
    "MaxInstancesReachedError",
    "RunnableJob",
    "Ticket",
    "run_coroutine_job",
    "run_job",
]


class BaseExecutor(ABC):
    """Runs what a scheduler submits, at most `max_instances` runs of a job at a time. Thread-safe.

    A subclass implements `_do_submit_job`: it has `run_job(job, job._jobstore_alias, run_times, self._logger.name)`
    called wherever its runs happen, and hands what that returns to `_run_job_success`, or what it raised to
    `_run_job_error`, each once. Any thread may call these. `self._scheduler`, `_alias`, `_lock` and `_logger` are there
    from `start` on.

    At the end of a run, the ticket is told (`failed` or `missed`, where a run time was that, then `ended`), then the slot
    is given back, then the events are published: who hears of an outcome finds its record written and its slot free.
    """

    _scheduler: Any = None
    _alias: str = ""
    _logger: logging.Logger = logging.getLogger("mainspring.executors")
    _where: Surroundings | None = None  # None: not running

    def __init__(self) -> None:
        self._prepare()
        _executors.add(self)

    def _prepare(self) -> None:
        self._lock = threading.RLock()
        self._slots: dict[tuple[str, str], int] = {}  # (job store, job id) -> slots taken
        self._submitted: dict[
            str, list[Submission]
        ] = {}  # job id -> what _do_submit_job got and has not ended

    def start(self, scheduler: Any, alias: str) -> None:
        """Called by the scheduler when it starts, or when the executor is added to a running one. May follow a shutdown."""
        if "_slots" not in self.__dict__:  # a subclass that does not call our __init__
            BaseExecutor.__init__(self)
        self._scheduler = scheduler
        self._alias = alias
        self._logger = logging.getLogger(f"mainspring.executors.{alias}")
        wants = getattr(scheduler, "_wants", wants_all)
        self._where = Surroundings(self._logger, clock_of(scheduler), wants, self._publish)

    def shutdown(self, wait: bool = True) -> None:
        """Accept nothing more; with `wait`, return when all runs have ended, except those that wait in a shutdown themselves.

        To the runs, `current_run().cancelled` is true from now on.
        """
        self.cancel_all("shutdown")
        self._where = None

    def cancel_all(self, reason: str) -> None:
        """Have all runs that are open here, and those that are still submitted, see that they are cancelled; see `cancel`."""
        where = self._where
        if where is None:
            return
        with self._lock:
            where.cancelled = where.cancelled or reason  # for those that have not begun
            submissions = list(where.open)
        for submission in submissions:
            self._cancel_submission(submission, reason)

    def cancel(self, ticket: Ticket, reason: str) -> bool:
        """Have the run of `ticket` see in `current_run()` that it is cancelled, and why: a word. Whether it is open here.

        It is not ended: that is for its function to do. In an executor that knows a run only by `_do_submit_job`, and in
        other processes than those of this library's own pool, the function does not hear of it.
        """
        where = self._where
        if where is None:
            return False  # then all of them are
        with self._lock:
            submissions = [submission for submission in where.open if submission.ticket is ticket]
        for submission in submissions:
            self._cancel_submission(submission, reason)
        return bool(submissions)

    def _cancel_submission(self, submission: Submission, reason: str) -> None:
        submission.cancel(reason)

    def submit_job(
        self, job: RunnableJob, run_times: Sequence[datetime], ticket: Ticket | None = None
    ) -> None:
        """Have `job` run once for each of `run_times` (aware datetimes), one after the other, in one slot.

        Raises MaxInstancesReachedError if `max_instances` slots are taken already. Whatever else is raised comes from the
        hand-over: then the run does not take place, its slot is free again, and the ticket was not touched.
        """
        where = self._where or self._not_running()
        submission = Submission(where, job, job._jobstore_alias, run_times, ticket)
        self._take_slot(submission)
        try:
            if where.wants(EVENT_JOB_SUBMITTED):
                jobstore, job_id = submission.key
                times = list(run_times)
                self._publish(
                    JobSubmissionEvent(EVENT_JOB_SUBMITTED, job_id, jobstore, times, *submission.identity)
                )
            self._submit(submission)
        except BaseException:
            self._give_back(submission)
            raise

    def free_slots(self) -> int | None:
        """How many more runs would start at once; None if that is not bounded, or not known."""
        return None

    def waiting(self) -> int:
        """How many submissions have not started yet; 0 if that is not known."""
        return 0

    def withdraw(self) -> list[Ticket]:
        """Take back what was submitted and has not started: slots are given back, nothing is published. Returns the tickets."""
        return []

    def _submit(self, submission: Submission) -> None:
        """Hand `submission` over. Overridden by executors that have workers of their own; this is the way of all others."""
        if not may_start(submission):
            self._give_back(submission)
            return
        job_id = submission.key[1]
        with self._lock:
            self._submitted.setdefault(job_id, []).append(submission)
        try:
            self._do_submit_job(submission.job, list(submission.run_times))
        except BaseException:
            self._take_submitted(job_id, lambda other: other is submission)
            raise

    @abstractmethod
    def _do_submit_job(self, job: Any, run_times: Any) -> None:
        """Have `run_job` called for this, now or later, here or elsewhere."""

    def _run_job_success(self, job_id: str, events: Sequence[JobExecutionEvent]) -> None:
        """A run submitted by `_do_submit_job` ended, and `run_job` returned `events` (an ERROR among them is an outcome like others)."""
        submission = self._take_submitted(job_id, lambda other: _belongs(other, events)) or (
            self._take_submitted(job_id, lambda other: True)
        )
        if submission is None:
            self._logger.warning('An outcome of job "%s" came in, but no run of it is open here', job_id)
            for event in events:
                self._publish(event)
            return
        submission.report(events)
        self._end(submission)

    def _run_job_error(self, job_id: str, exc: BaseException, traceback: Any = None) -> None:
        """A run submitted by `_do_submit_job` ended without `run_job` returning: `exc` says why."""
        submission = self._take_submitted(job_id, lambda other: True)
        if submission is None:
            self._logger.error('Error running job "%s", of which no run is open here', job_id, exc_info=exc)
            return
        if traceback is not None and not isinstance(traceback, str):
            exc = exc.with_traceback(traceback)
            traceback = None
        submission.fail(exc, traceback)
        self._end(submission)

    def _not_running(self) -> NoReturn:
        raise ExecutorNotRunningError(
            f"{type(self).__name__} is not running: its scheduler starts it, and after a shutdown (or in a forked child) it must "
            "be started again"
        )

    def _take_submitted(self, job_id: str, fits: Any) -> Submission | None:
        """The oldest open submission of the job that `fits`, which is then no longer open."""
        with self._lock:
            submissions = self._submitted.get(job_id, [])
            for index, submission in enumerate(submissions):
                if fits(submission):
                    del submissions[index]
                    if not submissions:
                        del self._submitted[job_id]
                    return submission
        return None

    def _take_slot(self, submission: Submission) -> None:
        key = submission.key
        with self._lock:
            taken = self._slots.get(key, 0)
            if taken < submission.job.max_instances:
                self._slots[key] = taken + 1
                submission.where.open.add(submission)
                submission.held = True
                return
        raise MaxInstancesReachedError(submission.job)

    def _give_back(self, submission: Submission) -> None:
        """Give the slot of `submission` back, unless that was done before."""
        with self._lock:
            if submission.held:
                submission.held = False
                submission.where.open.discard(submission)
                left = self._slots.pop(submission.key) - 1
                if left:
                    self._slots[submission.key] = left

    def _perform(self, submission: Submission) -> BaseException | None:
        """Run `submission` in this thread from the lease check to its events. Returns the run's last exception."""
        if may_start(submission):
            perform(submission)
            return self._end(submission)
        self._give_back(submission)
        return None

    def _end(self, submission: Submission) -> BaseException | None:
        """`submission` has run (or never will, which is accounted in it): tell the ticket, give the slot back, publish."""
        error = None
        ticket = submission.ticket
        if not submission.notes:
            events = submission.events
        else:
            events, notes = submission.outcome()
            error = next((note.error for note in reversed(notes) if note.error is not None), None)
            if ticket is not None:
                events = self._tell_notes(ticket, notes, events)
        if ticket is not None:
            try:
                ticket.ended(error)
            except Exception:
                self._logger.exception('Error reporting the end of job "%s"', submission.job)
        self._give_back(submission)
        for event in events:
            self._publish(event)
        return error

    def _tell_notes(
        self, ticket: Ticket, notes: Sequence[Note], events: Sequence[JobExecutionEvent]
    ) -> Sequence[JobExecutionEvent]:
        """Tell the ticket what went wrong. The events, those of failures with the time at which the next attempt follows."""
        told = list(events)
        for place, error, late, event, already in notes:
            if already:
                continue
            retry_at = tell_note(ticket, place, error, late, self._logger)
            if retry_at is not None and event is not None:
                told = [replace(e, retry_at=retry_at) if e is event else e for e in told]
        return told

    def _publish(self, event: Any) -> None:
        self._scheduler._dispatch_event(event)


class DirectExecutor(BaseExecutor):
    """Base of this library's own executors: they take the whole submission, where others get a job and its run times."""

    @abstractmethod
    def _submit(self, submission: Submission) -> None:
        """Hand `submission` over to a worker, which calls `_perform`, or what does the same in its way."""

    def _do_submit_job(self, job: Any, run_times: Any) -> None:
        """Run a job in no slot of its own."""
        self._submit(Submission(self._where or self._not_running(), job, job._jobstore_alias, run_times))


def may_start(submission: Submission) -> bool:
    """Whether this process may still start the run: its lease holds. Called at the hand-over to an idle worker."""
    ticket = submission.ticket
    if ticket is None or ticket.may_start():
        return True
    submission.where.logger.debug(
        'Run of job "%s" not started: its lease is over, somebody else may have it', submission.job
    )
    return False


def _belongs(submission: Submission, events: Sequence[JobExecutionEvent]) -> bool:
    """Whether `events` are the outcome of this submission, as far as one can see."""
    return bool(events) and all(
        event.jobstore == submission.key[0] and event.scheduled_run_time in submission.run_times
        for event in events
    )


_executors: "weakref.WeakSet[BaseExecutor]" = weakref.WeakSet()


def _forget_after_fork() -> None:
    """In a forked child: the threads did not come along, and a lock may be held by one of them for ever."""
    for executor in list(_executors):
        executor._where = None
        executor._prepare()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
