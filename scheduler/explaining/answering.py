"""`Answering`: a call of `explain_job` looks for the job wherever it may be, and asks its store and its triggers."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from ...jobstores.errors import JobLookupError, JobRestoreError, described, ends_program
from ...jobstores.job import Job
from ...jobstores.record import Record, is_over
from ...jobstores.serialization.references import callable_name
from ...triggers import BaseTrigger
from ...triggers.instants import to_micros
from ..care import not_understood
from ..decision import following_time
from ..engine import Engine
from ..errors import SchedulerNotRunningError
from ..inserting import NewJob
from ..port import Port
from ..runs import RunMethods, has_ended
from .explanation import ExplainedState, JobExplanation
from .inquiry import Inquiry
from .reasons import Reason, Situation, pending_reasons

SHOWN_FIRE_TIMES: Final = 5


class Answering:
    """What a scheduler knows of a job, made into an answer."""

    def __init__(self, scheduler: RunMethods) -> None:
        self._scheduler = scheduler

    def explain(self, job_id: str, jobstore: str | None) -> JobExplanation:
        """See `ExplainMethods.explain_job`."""
        scheduler = self._scheduler
        scheduler._check_process()
        new = scheduler._pending_job(job_id, jobstore)
        if new is not None:
            return self._explain_pending(new)
        engine = scheduler._engine
        if engine is None:
            raise SchedulerNotRunningError
        ports = scheduler._ports_of(jobstore) if jobstore is None else [scheduler._port(engine, jobstore)]
        failed: tuple[Port, Exception] | None = None
        over: tuple[Situation, Record] | None = None
        # Those that answer first: nobody waits for one that hangs if the job is another's.
        for port in sorted(ports, key=lambda port: port.silent):
            tickets = port.open_tickets(job_id)  # before the record: see `Situation`
            try:
                found = _read(port, job_id)
            except Exception as exc:
                failed = failed or (port, exc)
                continue
            if found is not None:
                situation = Situation(engine, port, *found, tickets)
                if not is_over(found[0]):
                    return self._explain(engine, situation, found[0])
                over = over or (situation, found[0])  # another store may have a job of that id which is not
        if over is not None:
            return self._explain(engine, *over)
        if failed is not None:
            return self._explain_unread(engine, *failed, job_id)
        for port in ports:
            if port.recent.of(job_id, scheduler.timezone):
                return self._explain_gone(engine, port, job_id)
        raise JobLookupError(job_id)

    # -- each kind of answer ---------------------------------------------------------------------------------------

    def _explain(self, engine: Engine, situation: Situation, record: Record) -> JobExplanation:
        port, job = situation.port, situation.job
        now = engine.clock.micros()
        recent = port.recent.of(record.id, self._scheduler.timezone)
        inquiry = Inquiry(situation, self._scheduler._executors, self._scheduler.timezone, now, recent)
        obstacles, notes = inquiry.obstacles(), inquiry.notes()
        times: list[int] = []
        if job is not None and record.state == "active" and record.next_run_time is not None:
            first = record.next_run_time if record.fire_time is None else record.fire_time
            times, error = _fire_times(job.trigger, first, now)
            if error is not None:
                obstacles.append(_trigger_fails(job.trigger, error))
            elif len(times) == 1:
                notes.append(Reason("last_run", "no fire time follows: the job goes when that run has ended"))
        elif job is not None and record.state == "paused" and record.fire_time is None:
            left, error = _first_fire_time(job.trigger, now)
            if error is not None:
                obstacles.append(_trigger_fails(job.trigger, error))
            elif left is None:
                obstacles.append(
                    Reason(
                        "no_fire_time",
                        "its trigger has no fire time left: reschedule_job() gives it another one",
                    )
                )
        quarantined = inquiry.not_restorable
        state: ExplainedState = record.state
        if quarantined is not None and (state in ("active", "ended") or not_understood(record)):
            state = "quarantined"  # of a damaged record nobody knows whether it is paused
        return JobExplanation(
            record.id,
            port.alias,
            self._scheduler._shown(now),
            state,
            (quarantined if state == "quarantined" else None) or record.reason,
            None if job is None else job.name,
            None if job is None else _function(job),
            None if job is None else _described(job.trigger),
            self._shown_if(record.next_run_time if record.state == "active" else None),
            tuple(self._scheduler._shown(time) for time in times),
            tuple(
                self._scheduler._open_run(port, record, run)
                for run in record.runs
                if not has_ended(port, run)
            ),
            tuple(obstacles),
            tuple(notes),
            recent,
        )

    def _explain_pending(self, new: NewJob) -> JobExplanation:
        job, engine = new.job, self._scheduler._engine
        now = self._scheduler.clock.micros()
        port = None if engine is None else engine.port(new.jobstore)
        obstacles = pending_reasons(
            engine,
            port,
            new.jobstore,
            new.jobstore in self._scheduler._jobstores,
            job.executor,
            self._scheduler._executors,
            self._scheduler._shown(now),
        )
        time = new.next_run_time
        times: list[int] = []
        if time is None:
            obstacles.append(Reason("paused", "it is added paused (next_run_time=None): resume_job()"))
        else:
            anchor = self._scheduler._shown(time) if isinstance(time, int) else None
            times, error = _first_fire_times(job, self._scheduler._shown(now), now, anchor)
            if error is not None:
                obstacles.append(_trigger_fails(job.trigger, error))
            elif not times:
                obstacles.append(Reason("no_fire_time", "its trigger has no fire time left"))
        return JobExplanation(
            job.id,
            new.jobstore,
            self._scheduler._shown(now),
            "pending",
            None,
            job.name,
            _function(job),
            _described(job.trigger),
            self._shown_if(time if isinstance(time, int) else None),
            tuple(self._scheduler._shown(time) for time in times),
            (),
            tuple(obstacles),
            (),
            (),
        )

    def _explain_unread(self, engine: Engine, port: Port, error: Exception, job_id: str) -> JobExplanation:
        """The store does not tell: what is known without it."""
        now = engine.clock.micros()
        inquiry = Inquiry(
            Situation(engine, port, None, None, None, port.open_tickets(job_id)),
            self._scheduler._executors,
            self._scheduler.timezone,
            now,
            (),
        )
        reason = f'job store "{port.alias}" cannot be asked for it: {described(error)}'
        return self._bare(
            engine, port, job_id, "unknown", reason, (*inquiry.obstacles(), Reason("unread", reason))
        )

    def _explain_gone(self, engine: Engine, port: Port, job_id: str) -> JobExplanation:
        note = Reason("gone", "it is not in its store any more: its last run has ended, or it was removed")
        return self._bare(engine, port, job_id, "gone", None, notes=(note,))

    def _bare(
        self,
        engine: Engine,
        port: Port,
        job_id: str,
        state: ExplainedState,
        reason: str | None,
        obstacles: tuple[Reason, ...] = (),
        notes: tuple[Reason, ...] = (),
    ) -> JobExplanation:
        """What can be said of a job whose record is not at hand."""
        return JobExplanation(
            job_id,
            port.alias,
            self._scheduler._shown(engine.clock.micros()),
            state,
            reason,
            None,
            None,
            None,
            None,
            (),
            (),
            obstacles,
            notes,
            port.recent.of(job_id, self._scheduler.timezone),
        )

    def _shown_if(self, instant: int | None) -> datetime | None:
        return None if instant is None else self._scheduler._shown(instant)


# -- asking stores and triggers, under no lock ---------------------------------------------------------------------------


def _read(port: Port, job_id: str) -> tuple[Record, Job | None, JobRestoreError | None] | None:
    """The record with its job, or why this process cannot make it. A job that is over is found as long as a run of it goes on."""
    try:
        found = port.store.read(job_id)
    except JobRestoreError as exc:
        record = port.store.peek(job_id)
        return None if record is None else (record, None, exc)
    return None if found is None else (*found, None)


def _fire_times(trigger: BaseTrigger, first: int, now: int) -> tuple[list[int], BaseException | None]:
    """The fire times from `first` on; behind one that is overdue, those that are still to come. And what the trigger raised, if it did."""
    times = [first]
    if getattr(trigger, "one_off", False):
        return times, None  # also where the user has set another time
    try:
        if first < now:
            following = following_time(trigger, None, now + 1)
            if following is not None and following <= first:
                following = None  # a date: it has no other
        else:
            following = following_time(trigger, first, now)
        while following is not None and len(times) < SHOWN_FIRE_TIMES:
            times.append(following)
            following = following_time(trigger, following, now)
    except BaseException as exc:  # a user's trigger may raise anything
        if ends_program(exc):
            raise
        return times, exc
    return times, None


def _first_fire_time(trigger: BaseTrigger, now: int) -> tuple[int | None, BaseException | None]:
    """The first fire time from now on; and what the trigger raised, if it did."""
    try:
        return following_time(trigger, None, now), None
    except BaseException as exc:  # a user's trigger may raise anything
        if ends_program(exc):
            raise
        return None, exc


def _first_fire_times(
    job: Job, shown_now: datetime, now: int, anchor: datetime | None
) -> tuple[list[int], BaseException | None]:
    """The fire times of a job that is in no store, as they were if it got into one now."""
    try:
        trigger = job.trigger.bind(shown_now, job.id, anchor)
        first = following_time(trigger, None, now) if anchor is None else to_micros(anchor)
    except BaseException as exc:  # a user's trigger may raise anything
        if ends_program(exc):
            raise
        return [], exc
    return ([], None) if first is None else _fire_times(trigger, first, now)


def _trigger_fails(trigger: BaseTrigger, error: BaseException) -> Reason:
    return Reason(
        "trigger_fails",
        f"its trigger ({type(trigger).__name__}) fails when it is asked for its fire times: {described(error)}; the job is parked "
        "when it does so at a run",
    )


def _described(trigger: BaseTrigger) -> str:
    try:
        return str(trigger.describe())
    except BaseException as exc:  # a user's trigger may raise anything
        if ends_program(exc):
            raise
        return f"{type(trigger).__name__} (which cannot describe itself: {described(exc)})"


def _function(job: Job) -> str:
    return job.func_ref or callable_name(job.func)
