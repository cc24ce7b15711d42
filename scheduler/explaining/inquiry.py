"""`Inquiry`: everything that the engine knows of why a job does not run now, or did not lately."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Final

from ...jobstores.errors import described
from ...jobstores.record import SCHEDULE_OVER, ParkedReason, Record
from ...triggers.instants import from_micros
from ..care import not_understood
from .reasons import Reason, no_executor, store_reasons
from .runreasons import RunReasons
from .timewords import clock_time, length

if TYPE_CHECKING:
    pass

_FREES: Final = {
    ParkedReason.TRIGGER: "resume_job() goes on with its first fire time after the one that failed; reschedule_job() gives it another trigger",
    ParkedReason.LOST: "rerun_lost() runs it again, dismiss_lost() lets the job go (get_lost_runs() lists the run); so do run_job_now() and remove_job()",
    ParkedReason.GIVEN_UP: "find out what kills its process; then resume_job() goes on with its schedule, and rerun_lost() runs the lost run again",
    ParkedReason.FAILED: "run_job_now() runs it again, remove_job() lets it go, reschedule_job() gives it another trigger",
}


class Inquiry(RunReasons):
    """The reasons in one situation. Asks executors what they can take, and neither stores nor triggers."""

    def obstacles(self) -> list[Reason]:
        """What keeps it from running, or what its next runs wait for: the engine first, the store, the job, its executor, its runs."""
        found = [*self._of_the_scheduler(), *self._of_the_store()]
        if self._record is not None:
            found += [
                *self._of_the_job(self._record),
                *self._of_the_executor(self._record),
                *self._of_its_room(self._record),
                *self._of_waiting_runs(self._record),
                *self._of_claimed_runs(),
            ]
            if self._is_due():
                found += self._of_what_is_due(self._record, bool(found))
        return found

    def notes(self) -> list[Reason]:
        """What else is to be known."""
        return [*self._of_jitter(), *self._of_lost_runs(), *self._of_its_grace(), *self._of_its_last_runs()]

    @cached_property
    def not_restorable(self) -> str | None:
        """Why this process does not run the job, whatever its schedule says; None if it would."""
        record = self._record
        if record is None:
            return None
        reason = not_understood(record)
        if reason is None:
            reason = dict(self._port.store.quarantined([record])).get(record.id)
        if reason is None and self._situation.error is not None:
            reason = described(self._situation.error)
        return reason

    # -- the engine and the store ------------------------------------------------------------------------------------

    def _of_the_scheduler(self) -> Iterator[Reason]:
        others = "; other schedulers on this job store may run it" if self._port.shared else ""
        if self._engine.stopping:
            yield Reason("stopping", f"this scheduler shuts down, and claims nothing more{others}")
        elif self._engine.paused:
            yield Reason(
                "scheduler_paused", f"this scheduler is paused, and claims nothing: resume(){others}"
            )

    def _of_the_store(self) -> Iterator[Reason]:
        port = self._port
        yield from store_reasons(port, from_micros(self._now, self._zone))
        if port.watch.too_far:
            side = "ahead of" if port.watch.offset >= 0 else "behind"
            yield Reason(
                "clock_offset",
                f'the clock of this machine is {length(abs(port.watch.offset))} {side} that of the server of job store "{port.alias}", more than max_clock_offset '
                f"({port.watch.limit:g} s): this scheduler claims nothing from it until they agree again",
            )
        record = self._record
        if (
            port.outage is not None
            and record is not None
            and any(ticket.done for ticket in port.tickets_of(record.id))
        ):
            yield Reason(
                "unwritten",
                "a run of it has ended here, and that cannot be written yet: to others it seems to go on",
            )

    # -- the job -----------------------------------------------------------------------------------------------------

    def _of_the_job(self, record: Record) -> Iterator[Reason]:
        reason = self.not_restorable
        if reason is not None:
            yield self._quarantined(record, reason)
        if record.state == "parked":
            word = (record.reason or "").partition(":")[0]
            advice = _FREES.get(
                word, "resume_job() or reschedule_job() put it back, remove_job() gives it up"
            )
            yield Reason("parked", f"it is parked, and waits for a person ({record.reason}): {advice}")
        elif record.state == "paused":
            yield self._paused(record)
        elif record.state == "importing":
            yield Reason(
                "importing",
                "it arrives in an import that has not ended, and is hidden until then; if that was killed, the next import_jobs() into this job "
                "store finishes or undoes it",
            )
        elif record.state == "ended":
            yield Reason(
                "schedule_over", "its schedule is over: it goes when the runs that are open have ended"
            )

    def _quarantined(self, record: Record, reason: str) -> Reason:
        if not_understood(record) is not None:
            return Reason("quarantined", f"this process does not run it: {reason}")
        until = self._port.store.quarantined_until(record)
        if until is None or until <= self._now:
            when = "it is tried again when it is due"
        else:
            when = f"it is tried again at {self._moment(until)}"
        shown = None if until is None or until <= self._now else self._shown(until)
        return Reason(
            "quarantined",
            f"this process cannot restore it, and does not run it: {reason}; {when}, when somebody changes it, and by retry_quarantined()",
            shown,
        )

    def _paused(self, record: Record) -> Reason:
        if record.reason == SCHEDULE_OVER:
            return Reason(
                "paused",
                "it is paused, and its schedule is over: resume_job() has its open runs go on, and then it goes",
            )
        return Reason("paused", "it is paused: resume_job()")

    # -- its executor ------------------------------------------------------------------------------------------------

    def _of_the_executor(self, record: Record) -> Iterator[Reason]:
        alias = record.executor
        executor = self._executors.get(alias)
        if executor is None:
            yield no_executor(alias, self._executors, self._port.shared)
            return
        queued = [run for run in self._runs if run.run in self._here and not self._here[run.run].started]
        if not (queued or self._is_due()):
            return
        try:
            idle, waiting = executor.free_slots(), executor.waiting()
        except Exception as exc:
            yield Reason(
                "executor_silent",
                f'executor "{alias}" does not tell what it can take, and gets nothing until it does: {described(exc)}',
            )
            return
        queue = f"{waiting} {'run waits' if waiting == 1 else 'runs wait'} in its queue"
        if idle == 0 and self._is_due() and self._port.shared:
            yield Reason(
                "executor_busy",
                f'all workers of executor "{alias}" are busy, and {queue}; what helps: more workers (max_workers), or shorter jobs',
            )
        for run in queued:
            yield Reason(
                "executor_queue",
                f'its run of {self._times(run)} was claimed {self._ago(run.claimed_at)}, and waits for a worker of executor "{alias}" ({queue}); what helps: '
                "more workers (max_workers), or shorter jobs",
                run_id=run.run_id,
            )

    # -- what is due -------------------------------------------------------------------------------------------------

    def _is_due(self) -> bool:
        """Whether something is to be claimed by now."""
        record = self._record
        if record is None:
            return False
        scheduled = record.state == "active" and record.next_run_time is not None
        if scheduled and (record.next_run_time or 0) <= self._now:
            return True
        return any(run.state == "waiting" and not run.blocked and run.due <= self._now for run in self._runs)

    def _of_what_is_due(self, record: Record, explained: bool) -> Iterator[Reason]:
        port, engine = self._port, self._engine
        if (
            record.state == "active"
            and record.next_run_time is not None
            and record.next_run_time <= self._now
        ):
            if any(run.more and run.state != "lost" for run in self._runs):
                yield Reason(
                    "backlog",
                    "more fire times of its backlog are due, and wait for the run that is open (at most 1,000 at once)",
                )
            else:
                late = (self._now - record.next_run_time) / 1_000_000
                yield Reason(
                    "overdue",
                    f"it was due at {clock_time(self._shown(record.next_run_time))}, is {length(late)} late, and waits for a scheduler to claim it",
                )
        refused_until = port.store.refused_until(record.id, self._now)
        if refused_until is not None:
            yield Reason(
                "claim_refused",
                f'job store "{port.alias}" fails when a run of this job is to be written (the log says how); tried again at {self._moment(refused_until)}',
                self._shown(refused_until),
            )
        elif not explained and engine.may_claim:
            yield from self._of_the_next_look()

    def _of_the_next_look(self) -> Iterator[Reason]:
        """Why it was not taken yet, if nothing else explains that."""
        port, engine = self._port, self._engine
        if engine.submitting:
            yield Reason(
                "busy",
                'this scheduler is handing runs to its executors; a job that runs inline (executor "debug") holds up all others until it returns',
            )
        elif port.looked_at:
            yield Reason("asking", f'this scheduler waits for an answer of job store "{port.alias}"')
        elif port.more:
            yield Reason(
                "turn",
                "more is due in its store than this scheduler takes at a time (no more than its executors start within 0.1 s): its turn comes by the time at "
                "which it was due",
            )
        elif port.shared and port.poll_interval is not None:
            yield Reason(
                "next_look",
                f'this scheduler looks at job store "{port.alias}" at least every {length(port.poll_interval)}: what others have changed there is seen by then',
            )

    def _of_jitter(self) -> Iterator[Reason]:
        record = self._record
        if (
            record is None
            or record.state != "active"
            or record.next_run_time is None
            or record.fire_time is None
        ):
            return
        moved = (record.next_run_time - record.fire_time) / 1_000_000
        if moved > 0:
            yield Reason(
                "jitter",
                f"its run of {clock_time(self._shown(record.fire_time))} is dispatched {length(moved)} later, by its trigger's jitter",
                self._shown(record.next_run_time),
            )
