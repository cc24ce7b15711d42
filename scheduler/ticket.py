"""`Ticket`: one claimed run, from its claim until its end is written: what an executor tells the engine of it, and what follows."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from ..executors.errors import JobTimeoutError, error_classes, is_final
from ..jobstores.errors import as_reason
from ..jobstores.record import Claim, Outcome, ParkedReason, Run, RunKey
from ..jobstores.transitions import next_attempt, waits_again
from ..triggers.instants import from_micros

if TYPE_CHECKING:
    from .port import Port
    from .window import ClaimWindow

MAX_RETRIES_WAITING: Final = 100
"""With so many retries waiting in its record a job gets no further one: it fails more often than it can be tried again."""

POSTPONED_BY: Final = 1_000_000
"""µs until a run that has waited, and for which an executor had no room after all, is looked at again."""

NEVER: Final = 1 << 62
"""µs: later than any time that is asked for."""


class Ticket:
    """One claimed run; see `executors.submission.Ticket`.

    Called by workers, and by who watches time limits: each attribute is written by one thread at a time, in the order claim, start,
    failures, end.
    """

    __slots__ = (
        "_failure",
        "again_at",
        "attempt",
        "claimed_at",
        "crowded",
        "deadline",
        "done",
        "incarnation",
        "job",
        "job_id",
        "open_run",
        "owner",
        "policy",
        "port",
        "run",
        "run_id",
        "started",
        "window",
    )

    def __init__(self, port: Port, claim: Claim, window: ClaimWindow | None) -> None:
        record, run = claim.record, claim.run
        self.port = port
        self.job = claim.job
        self.policy = (
            claim.job._policy
        )  # that which it begins with: in a memory store the job follows every edit
        self.job_id = record.id
        self.incarnation = record.incarnation if run.incarnation is None else run.incarnation
        self.open_run = run
        self.run = run.run
        self.run_id = run.run if run.root is None else run.root
        """What identifies the run through all its attempts."""
        self.attempt = run.attempt
        """Which attempt of the run this is, from 1 on."""
        self.owner = run.owner or ""
        self.claimed_at = run.claimed_at or 0
        # Monotonic seconds until which the lease surely holds: counted from before the claim was written, and moved only once
        # an extension is confirmed, so that this process never believes in a lease longer than the store does.
        self.deadline = port.granted_until if port.shared else None
        self.window = window
        self.started = False
        """Whether a worker has taken it; until then it waits in its executor's queue."""
        self.done = False
        self.again_at = NEVER if record.next_run_time is None else record.next_run_time
        """µs UTC: when the end of this run may make room for another run of its job, as far as the claim knew."""
        self.crowded = False
        """Whether as many retries of the job wait as may."""
        if len(record.runs) > 1:
            waiting = [other for other in record.runs if other.state == "waiting"]
            if waiting:
                self.again_at = 0
                self.crowded = sum(other.kind == "retry" for other in waiting) >= MAX_RETRIES_WAITING
        self._failure: _Failure | None = None

    @property
    def key(self) -> RunKey:
        """What identifies the run in its store."""
        return RunKey(self.job_id, self.incarnation, self.run, self.owner)

    @property
    def retry_at(self) -> int | None:
        """µs UTC: when the next attempt follows at the earliest, if one is to be written when this one has ended."""
        failure = self._failure
        return failure.retry_at if failure is not None and failure.places else None

    def may_start(self) -> bool:
        """Whether the run is still this scheduler's, asked right before it starts.

        A lease that has lapsed is extended first: if another scheduler has recovered the run meanwhile, that says so, and it is
        not started. (A freeze between this check and the call cannot be excluded.)
        """
        if self.window is not None and self.window.start() and self.port.more:
            self.port.engine.look_again(self.port)
        if self.deadline is None or self.port.engine.clock.monotonic() < self.deadline:
            self.started = True
            return True
        self.started = self.port.renew(self)
        return self.started

    def occupy(self, runs: int) -> None:
        """It takes room (1) in its executor's claim window, or gives it back unused (-1)."""
        if self.window is not None:
            self.window.give(runs)

    def failed(self, place: int, error: BaseException) -> datetime | None:
        """The run time at `place` has failed: when the next attempt follows, at the earliest; None: this was the last one.

        With several run times, those that failed are tried again together, counted from the first failure.
        """
        engine, job, run, policy = self.port.engine, self.job, self.open_run, self.policy
        failure = self._failure = self._failure or _Failure()
        reason = as_reason(error)
        self.port.recent.note(
            self.job_id, run, "timed out" if isinstance(error, JobTimeoutError) else "failed", reason, place
        )
        why_last = self._why_last(error)
        if why_last is None:
            if not failure.places:
                failure.retry_at = engine.clock.micros() + policy.delay(run.retried, engine.random)
            failure.places.append(place)
            if isinstance(error, JobTimeoutError) and len(run.fire_times) == 1:
                self.port.failed(self)  # a thread goes on, maybe until somebody ends its process
            next_time = from_micros(failure.retry_at, job.timezone)
            engine.logger.warning(
                "Attempt %d of a run of job %s failed: %s. The next attempt follows at %s (retry %d of %d)",
                run.attempt,
                self._job_words(),
                reason,
                next_time,
                run.retried + 1,
                policy.max_retries,
            )
            return next_time
        if policy.keeps:
            engine.logger.error(
                "Attempt %d of a run of job %s failed, and was the last one%s: %s",
                run.attempt,
                self._job_words(),
                why_last,
                reason,
            )
        if policy.keep_failed:
            failure.parked = f"{ParkedReason.FAILED}: {reason} (attempt {run.attempt})"
        return None

    def _job_words(self) -> str:
        """The id, which is what is asked for, and the name: that of the function, if nobody gave one, and many jobs may have the same."""
        name = self.job.name
        return f'"{self.job_id}"' if name == self.job_id else f'"{self.job_id}" ({name})'

    def _why_last(self, error: BaseException) -> str | None:
        """Why no other attempt follows, for the log; None if one does."""
        run, policy = self.open_run, self.policy
        if run.retried >= policy.max_retries or run.incarnation is not None:
            return ""
        # What would fail again, or has been done, is tried again only if it is named itself: `Exception` does not mean it.
        classes = error_classes(error)[:1] if is_final(error) else error_classes(error)
        if not policy.retries_after(run.retried, classes):
            return " (its exception is none of retry_on)"
        if self.crowded:
            return f" ({MAX_RETRIES_WAITING} retries of the job wait already)"
        return None

    def missed(self, place: int, late: timedelta) -> None:
        """The run time at `place` was not run: it would have begun too late."""
        self._failure = self._failure or _Failure()
        self.port.recent.note(self.job_id, self.open_run, "missed", f"it would have begun {late} late", place)

    def ended(self, error: BaseException | None) -> None:
        """The run has ended: its record is to be written."""
        now = self.port.engine.clock.micros()
        if self._failure is None:
            self.port.recent.executed(self.job_id, self.open_run, now)
        self.done = True
        self.port.finished(self, now)

    def withdrawn(self, why: str) -> None:
        """The run does not take place: its open run goes."""
        self.port.recent.note(self.job_id, self.open_run, "not started", why)
        self.done = True
        self.port.finished(self, self.port.engine.clock.micros())

    def postponed(self) -> None:
        """There is no room here for a run that has waited, though there seemed to be: it waits again, for whoever has room a little later."""
        now = self.port.engine.clock.micros()
        self._failure = _Failure(postponed_to=now + POSTPONED_BY)
        self.done = True
        self.port.finished(self, now)

    def outcome(self) -> Outcome:
        """What is to be written of the run, once it has ended.

        It may be asked for several times, if writing fails. If one of the writes was carried out after all, the others find no such run, so
        that it does not matter by which number the next attempt goes.
        """
        failure = self._failure
        if failure is None:
            return Outcome(self.job_id, self.incarnation, self.run, self.owner)
        if failure.postponed_to is not None:
            retry: Run | None = self._same_attempt(failure.postponed_to)
        else:
            retry = self._next_attempt(failure) if failure.places else None
        parked = failure.parked if retry is None else None
        return Outcome(self.job_id, self.incarnation, self.run, self.owner, retry, parked)

    def _next_attempt(self, failure: _Failure) -> Run:
        run = self.open_run
        return next_attempt(
            run,
            run=self.port.engine.random.getrandbits(63),
            kind="retry",
            fire_times=tuple(run.fire_times[place] for place in sorted(failure.places)),
            due=failure.retry_at,
            retried=run.retried + 1,
            more=False,
            keeps=False,
        )

    def _same_attempt(self, due: int) -> Run:
        number = self.port.engine.random.getrandbits(63)
        return waits_again(self.open_run, run=number, due=due, keeps=False, root=self.run_id)


@dataclass(slots=True)
class _Failure:
    """What is known of a run of which something has failed, or was missed; or which was not started."""

    places: list[int] = field(default_factory=list)
    """Of the run times that are to be tried again, as they were told of: one that is over its time limit at once, others at the run's end."""
    retry_at: int = 0
    parked: str | None = None
    """Why the job is parked, if that was all."""
    postponed_to: int | None = None
    """When the same attempt is due again."""
