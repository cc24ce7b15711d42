"""`RunMethods`: what can be done with the runs of jobs: have a job run now, and see which runs are open, over all processes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ..jobstores import edits
from ..jobstores.errors import JobLookupError
from ..jobstores.record import Record, Run, RunKind, RunState, Transition, is_hidden
from .care import CareMethods
from .errors import TooManyRunsError
from .port import Port


@dataclass(frozen=True, slots=True)
class OpenRun:
    """An open run of a job, as its store has it: it waits, goes on somewhere, or was lost."""

    job_id: str
    jobstore: str
    run_id: int
    """What identifies the run through all its attempts; the events of its outcome have it, too."""
    state: RunState
    """`"waiting"`, `"claimed"` (by the scheduler `owner`), or `"lost"` (see `get_lost_runs`)."""
    kind: RunKind
    """What made it: `"schedule"`, `"retry"` (an attempt before it failed), `"rerun"` (its process died), `"now"`, `"queued"`."""
    attempt: int
    scheduled_run_times: tuple[datetime, ...]
    due: datetime
    """When it is (or was) to be dispatched."""
    blocked: bool
    """It waits for room (`max_instances`), or for the job to be resumed."""
    owner: str | None
    """The scheduler that has claimed it: host/pid/start of the process/boot."""
    claimed_at: datetime | None
    lease_until: datetime | None
    """When others may take it for lost, unless its owner extends that; None where the store belongs to one process."""
    here: bool
    """Whether this scheduler has claimed it."""


class RunMethods(CareMethods):
    """What `BaseScheduler` offers for runs. Thread-safe."""

    def run_job_now(self, job_id: str, jobstore: str | None = None) -> OpenRun:
        """Have a job run once, as soon as a scheduler that has its executor has room for it; its schedule is untouched.

        Paused and parked jobs run, too, and stay what they are (a parked one that has no further run goes when this one has succeeded). The run
        waits while `max_instances` runs of the job go on. Answers the run: its `run_id` is in the events of its outcome, and in `get_runs()`.

        Raises `JobLookupError` if there is no such job, `SchedulerNotRunningError` if the scheduler was not started, and `TooManyRunsError` if 100 runs
        that were asked for wait already.
        """
        return self._run_job_now(job_id, jobstore, None)

    def get_runs(self, jobstore: str | None = None) -> list[OpenRun]:
        """The open runs of all jobs, of all schedulers on these stores: those that go on, those that wait, and those that were lost.

        By the time at which they are or were due. What a store says may be older than what just happened: the end of a run is written some 40 ms
        after it. Reads all records of the stores.
        """
        self._running_engine()
        return sorted(
            (
                self._open_run(port, record, run)
                for port in self._ports_of(jobstore)
                for record in port.store.read_all()
                for run in record.runs
                if not has_ended(port, run) and (record.state != "importing" or run.incarnation is not None)
            ),
            key=lambda run: run.due,
        )

    def _run_job_now(self, job_id: str, jobstore: str | None, incarnation: int | None) -> OpenRun:
        engine = self._running_engine()
        _, port = self._find(job_id, jobstore)
        now, stamp = engine.clock.micros(), engine.owner.stamp()
        run = Run(engine.random.getrandbits(63), "now", (now,), now, "waiting")

        def ask(record: Record) -> Transition:
            if incarnation not in (None, record.incarnation):
                return None
            return edits.run_now(record, run, stamp)

        before, after = port.store.write(job_id, ask)
        if not isinstance(after, Record):
            if is_hidden(before) or incarnation not in (None, before.incarnation):
                raise JobLookupError(job_id)
            raise TooManyRunsError(job_id, edits.MAX_ASKED_FOR)
        self._logger.info("Job %s is asked to run now", job_id)
        engine.look_again(port)
        return self._open_run(port, after, run)

    def _open_run(self, port: Port, record: Record, run: Run) -> OpenRun:
        return OpenRun(
            record.id,
            port.alias,
            run.run_id,
            run.state,
            run.kind,
            run.attempt,
            tuple(self._shown(time) for time in run.run_times),
            self._shown(run.due),
            run.blocked,
            run.owner,
            None if run.claimed_at is None else self._shown(run.claimed_at),
            None if run.lease_until is None else self._shown(run.lease_until),
            run.state == "claimed" and run.owner == port.engine.owner.name,
        )


def has_ended(port: Port, run: Run) -> bool:
    """Whether a run that is open in the store has ended here, and that is on its way there."""
    ticket = port.tickets.get(run.run)
    return ticket is not None and ticket.done
