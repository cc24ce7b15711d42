"""`CareMethods`: what waits for a person: runs that were lost, jobs that are parked, and jobs that this process cannot restore."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..jobstores import edits
from ..jobstores.errors import JobLookupError, JobRestoreError
from ..jobstores.job import Job
from ..jobstores.record import FORMAT_VERSION, UNREADABLE, Record, Transition, Written, is_hidden
from ..triggers.instants import from_micros
from .jobs import JobMethods
from .port import Port


@dataclass(frozen=True, slots=True)
class LostRun:
    """A run whose scheduler is gone: whether it has completed is unknown."""

    job_id: str
    jobstore: str
    run: int
    """What identifies it within its job."""
    scheduled_run_times: tuple[datetime, ...]
    attempt: int
    owner: str
    """The scheduler that had claimed it: host/pid/start of the process/boot."""
    claimed_at: datetime | None
    run_id: int
    """What identifies it through all its attempts: in its events, and in `get_runs()`."""


@dataclass(frozen=True, slots=True)
class ParkedJob:
    """A job that waits for a person: its trigger fails, or its only run was lost or given up."""

    job_id: str
    jobstore: str
    reason: str
    fire_time: datetime | None
    """Behind this time it goes on when it is resumed: that which failed or was lost, or, with a schedule ahead, just before its next one."""


@dataclass(frozen=True, slots=True)
class QuarantinedJob:
    """A job that this process cannot restore. It stays in its store, for a process that can."""

    job_id: str
    jobstore: str
    reason: str


class CareMethods(JobMethods):
    """What `BaseScheduler` offers for runs and jobs that need a person. Thread-safe."""

    def get_lost_runs(self, jobstore: str | None = None) -> list[LostRun]:
        """The runs that were lost and not dismissed yet, of all schedulers on these stores, the earliest first.

        A record lists the last 16 of its job, and counts older ones.
        """
        self._running_engine()
        lost = [
            LostRun(
                record.id,
                port.alias,
                run.run,
                tuple(self._shown(time) for time in run.run_times),
                run.attempt,
                run.owner or "",
                None if run.claimed_at is None else self._shown(run.claimed_at),
                run.run_id,
            )
            for port in self._ports_of(jobstore)
            for record in port.store.read_all()
            for run in record.runs
            if run.state == "lost" and record.state != "importing"
        ]
        return sorted(lost, key=lambda run: run.scheduled_run_times)

    def rerun_lost(self, run: LostRun) -> None:
        """Run a lost run again, now; a job that is parked only for it goes on. Raises `JobLookupError` if it is not listed any more."""
        engine = self._running_engine()
        _check_lost_run("rerun_lost", run)
        now, new_run, stamp = engine.clock.micros(), engine.random.getrandbits(63), engine.owner.stamp()
        self._care_for(
            run, lambda record: edits.rerun_lost(record, run.run, new_run=new_run, now=now, stamp=stamp)
        )

    def dismiss_lost(self, run: LostRun) -> None:
        """List a lost run no longer; a job that is parked only for it ends. Raises `JobLookupError` if it is not listed any more."""
        engine = self._running_engine()
        _check_lost_run("dismiss_lost", run)
        stamp = engine.owner.stamp()
        self._care_for(run, lambda record: edits.dismiss_lost(record, run.run, stamp))

    def get_parked_jobs(self, jobstore: str | None = None) -> list[ParkedJob]:
        """The jobs that are parked, with the reason.

        They are put back by `resume_job`, which goes on with the first fire time later than the one that failed or was lost (and leaves a job parked
        that has none, such as a one-off), by `reschedule_job`, `modify_job(next_run_time=…)` and `rerun_lost`; and given up by `remove_job`.
        """
        self._running_engine()
        return [
            ParkedJob(
                record.id,
                port.alias,
                record.reason or "",
                None if record.fire_time is None else self._shown(record.fire_time),
            )
            for port in self._ports_of(jobstore)
            for record in port.store.read_all()
            if record.state == "parked"
        ]

    def get_quarantined_jobs(self, jobstore: str | None = None) -> list[QuarantinedJob]:
        """The jobs that this process has found it cannot restore, and those whose record is damaged or of a later version, with the reason.

        They stay in their store, for a process that can. This one tries again every minute, when somebody changes the job, and at
        `retry_quarantined`; `remove_job` and `add_job(…, replace_existing=True)` work as for any other job.
        """
        self._running_engine()
        jobs: list[QuarantinedJob] = []
        for port in self._ports_of(jobstore):
            records = port.store.read_all()
            reasons = dict(port.store.quarantined(records))
            for record in records:
                if not is_hidden(record) and (reason := not_understood(record) or reasons.get(record.id)):
                    jobs.append(QuarantinedJob(record.id, port.alias, reason))
        return sorted(jobs, key=lambda job: (job.jobstore, job.job_id))

    def retry_quarantined(self, job: QuarantinedJob) -> Job:
        """Try now to restore a job that is quarantined, since its module is back, say; answers it if that goes well: then it runs again.

        Raises `JobRestoreError` with the reason if it does not, and `JobLookupError` if there is no such job any more. Imports the user's modules.
        """
        engine = self._running_engine()
        port = self._port(engine, job.jobstore)
        record = port.store.peek(job.job_id)
        if record is None or is_hidden(record):
            raise JobLookupError(job.job_id)
        reason = not_understood(record)
        if reason is not None:
            raise JobRestoreError(f"job {job.job_id!r} cannot be restored by this process: {reason}")
        (restored,) = port.store.restore([record])
        if isinstance(restored, JobRestoreError):
            raise restored
        port.reported.pop(job.job_id, None)  # if it is quarantined again, that is said again
        engine.look_again(port)
        found = port.store.find_job(job.job_id)
        if found is None:
            raise JobLookupError(job.job_id)
        return found

    def _care_for(self, run: LostRun, change: Callable[[Record], Transition]) -> None:
        engine = self._running_engine()
        port: Port = self._port(engine, run.jobstore)
        _, after = port.store.write(run.job_id, change)
        if after is None:
            raise JobLookupError(f"{run.job_id} with the lost run {run.run}")
        if after is Written.DELETED:
            engine.reports.removed(port.alias, run.job_id)
        engine.look_again(port)

    def _shown(self, instant: int) -> datetime:
        return from_micros(instant, self.timezone)


def not_understood(record: Record) -> str | None:
    """Why this library does not understand a record, if it does not."""
    if record.version <= FORMAT_VERSION:
        return None
    if record.version == UNREADABLE:
        return (
            "its record cannot be read (the log says why): it is damaged, or for a later library. If only its open runs are damaged, modifying the "
            "job makes it whole again, without them; else remove it, and add it anew"
        )
    return f"its record has version {record.version}, and this library knows versions up to {FORMAT_VERSION}: it is for a later one"


def _check_lost_run(method: str, run: Any) -> None:
    if not isinstance(run, LostRun):
        raise TypeError(
            f"{method}() takes a LostRun, as get_lost_runs() lists them, got {type(run).__name__}: {run!r}"
        )
