"""`Reports`: what the engine finds, told in the log and to the listeners. An event that nobody listens to is not built."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..events import (
    EVENT_CLOCK_OFFSET,
    EVENT_EXECUTOR_UNKNOWN,
    EVENT_JOB_FOUND,
    EVENT_JOB_LOST,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_PARKED,
    EVENT_JOB_QUARANTINED,
    EVENT_JOB_REMOVED,
    EVENT_JOB_SUBMIT_FAILED,
    EVENT_JOBSTORE_FAILED,
    EVENT_JOBSTORE_RECOVERED,
    ClockOffsetEvent,
    ExecutorUnknownEvent,
    JobEvent,
    JobReasonEvent,
    JobStoreEvent,
    JobSubmissionEvent,
    RunEvent,
)
from ..jobstores.errors import JobRestoreError, StoreUnreachableError, described
from ..jobstores.job import Job
from ..jobstores.record import Run
from ..triggers.instants import from_micros
from .clockwatch import Verdict

if TYPE_CHECKING:
    from .base import BaseScheduler


class Reports:
    """One method for each thing that is told: its log line, and its event. Thread-safe."""

    def __init__(self, logger: logging.Logger, scheduler: BaseScheduler) -> None:
        self._logger = logger
        self._wants = scheduler._wants
        self._publish = scheduler._dispatch_event

    # -- jobs ------------------------------------------------------------------------------------------------------

    def removed(self, jobstore: str, job_id: str) -> None:
        """A job has ended, or was removed."""
        self._logger.info("Removed job %s", job_id)
        if self._wants(EVENT_JOB_REMOVED):
            self._publish(JobEvent(EVENT_JOB_REMOVED, job_id, jobstore))

    def skipped(self, jobstore: str, job: Job, run_times: Sequence[datetime]) -> None:
        """Runs were given up because too many of the job are running."""
        self._logger.warning(
            'Execution of job "%s" skipped: maximum number of running instances reached (%d)',
            job,
            job.max_instances,
        )
        if self._wants(EVENT_JOB_MAX_INSTANCES):
            self._publish(JobSubmissionEvent(EVENT_JOB_MAX_INSTANCES, job.id, jobstore, list(run_times)))

    def submit_failed(
        self, jobstore: str, job: Job, run_times: Sequence[datetime], exc: BaseException
    ) -> None:
        """An executor refused a run."""
        self._logger.error('Error submitting job "%s" to executor "%s"', job, job.executor, exc_info=exc)
        if self._wants(EVENT_JOB_SUBMIT_FAILED):
            reason = f'executor "{job.executor}" refused the run: {described(exc)}'
            self._publish(
                JobReasonEvent(EVENT_JOB_SUBMIT_FAILED, job.id, jobstore, reason, exc, None, list(run_times))
            )

    def parked(self, jobstore: str, job_id: str, reason: str) -> None:
        """A job waits for a person."""
        self._logger.error('Job "%s" is parked, and waits for a person: %s', job_id, reason)
        if self._wants(EVENT_JOB_PARKED):
            self._publish(JobReasonEvent(EVENT_JOB_PARKED, job_id, jobstore, reason))

    def quarantined(self, jobstore: str, job_id: str, reason: str, error: JobRestoreError) -> None:
        """This process cannot restore a job."""
        self._logger.error(
            'Job "%s" in job store "%s" stays there and is not run by this process: %s',
            job_id,
            jobstore,
            error,
        )
        if self._wants(EVENT_JOB_QUARANTINED):
            self._publish(JobReasonEvent(EVENT_JOB_QUARANTINED, job_id, jobstore, reason, error.__cause__))

    # -- runs of schedulers that are gone ----------------------------------------------------------------------------

    def lost(self, jobstore: str, job_id: str, run: Run) -> None:
        """Nobody knows whether a run has completed."""
        reason = "its scheduler is gone; whether it has completed is unknown"
        self._logger.error(
            'The run of %s of job "%s" (attempt %d) was lost: %s (it was %s); rerun_lost() runs it again, dismiss_lost() lists it no longer',
            from_micros(run.run_times[-1], UTC),
            job_id,
            run.attempt,
            reason,
            run.owner,
        )
        self._run_event(EVENT_JOB_LOST, jobstore, job_id, run, reason)

    def found(self, jobstore: str, job_id: str, run: Run) -> None:
        """A run that was listed as lost is not."""
        self._logger.warning(
            'The run of %s of job "%s" that was listed as lost has completed after all',
            from_micros(run.run_times[-1], UTC),
            job_id,
        )
        self._run_event(EVENT_JOB_FOUND, jobstore, job_id, run, "its scheduler has completed it after all")

    def run_again(self, job_id: str, run: Run) -> None:
        """A run did not end with its scheduler, and waits for another attempt."""
        self._logger.warning(
            'The run of %s of job "%s" did not end, and its scheduler is gone: it is run again (attempt %d)',
            from_micros(run.run_times[-1], UTC),
            job_id,
            run.attempt,
        )

    def _run_event(self, code: int, jobstore: str, job_id: str, run: Run, reason: str) -> None:
        if self._wants(code):
            time = from_micros(run.run_times[-1], UTC)
            self._publish(
                RunEvent(code, job_id, jobstore, run.run, time, run.owner, reason, run.attempt, run.run_id)
            )

    # -- stores and executors ----------------------------------------------------------------------------------------

    def store_failed(self, jobstore: str, exc: BaseException, pause: float, longest: float) -> None:
        """A store does not answer."""
        self._logger.warning(
            "Error getting due jobs from job store %r: %s -- tried again in %.1f seconds, and then up to every %.0f seconds",
            jobstore,
            exc,
            pause,
            longest,
            exc_info=_traceback_of(exc),
        )
        if self._wants(EVENT_JOBSTORE_FAILED):
            self._publish(JobStoreEvent(EVENT_JOBSTORE_FAILED, jobstore, exc))

    def store_not_opened(self, jobstore: str, exc: BaseException, pause: float, longest: float) -> None:
        """A store cannot be opened for now."""
        self._logger.warning(
            'Job store "%s" cannot be opened: %s -- tried again in %.1f seconds, and then up to every %.0f seconds; jobs that are pending for it '
            "wait until then",
            jobstore,
            exc,
            pause,
            longest,
            exc_info=_traceback_of(exc),
        )
        if self._wants(EVENT_JOBSTORE_FAILED):
            self._publish(JobStoreEvent(EVENT_JOBSTORE_FAILED, jobstore, exc))

    def pending_refused(self, jobstore: str, reason: str, exc: BaseException) -> None:
        """A store that was opened late refuses what was pending for it."""
        self._logger.error(
            'Job store "%s" is open now, but the jobs that are pending for it cannot be added, and none is: %s. They stay pending, and are tried '
            "again: remove or change the one that is refused",
            jobstore,
            reason,
            exc_info=exc,
        )

    def store_recovered(self, jobstore: str, opened: bool) -> None:
        """A store that did not answer does so again, or was opened at last."""
        self._logger.warning('Job store "%s" %s', jobstore, "is open now" if opened else "answers again")
        if self._wants(EVENT_JOBSTORE_RECOVERED):
            self._publish(JobStoreEvent(EVENT_JOBSTORE_RECOVERED, jobstore))

    def clock_offset(self, jobstore: str, verdict: Verdict, offset: float, limit: float) -> None:
        """The clock of this process and that of a store's server are apart, or were. An event says that claims stop, or go on."""
        level, consequence = {
            Verdict.NOTICEABLE: (logging.WARNING, f"beyond {limit:g} s, nothing would be claimed from it"),
            Verdict.TOO_FAR: (
                logging.ERROR,
                f"more than max_clock_offset ({limit:g} s), so nothing is claimed from it until they agree again",
            ),
            Verdict.AGREES_AGAIN: (logging.WARNING, "its jobs are claimed again"),
        }[verdict]
        self._logger.log(
            level,
            'The clock of this machine is %.3f seconds %s that of the server of job store "%s": %s',
            abs(offset),
            "ahead of" if offset >= 0 else "behind",
            jobstore,
            consequence,
        )
        if verdict is not Verdict.NOTICEABLE and self._wants(EVENT_CLOCK_OFFSET):
            self._publish(ClockOffsetEvent(EVENT_CLOCK_OFFSET, jobstore, offset))

    def unknown_executor(self, jobstore: str, alias: str) -> None:
        """Jobs are due for an executor that this process does not have."""
        self._logger.warning(
            'Jobs in job store "%s" name the executor "%s", which this scheduler does not have: they wait for one that has it '
            "(add_executor(...), or change the jobs)",
            jobstore,
            alias,
        )
        if self._wants(EVENT_EXECUTOR_UNKNOWN):
            self._publish(ExecutorUnknownEvent(EVENT_EXECUTOR_UNKNOWN, alias, jobstore))


def _traceback_of(exc: BaseException) -> BaseException | None:
    """What a log line shows of a store's failure beside its text: that a server is away takes no hundred lines of drivers' frames."""
    return None if isinstance(exc, StoreUnreachableError) else exc
