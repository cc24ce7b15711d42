"""`Port`: a job store as the engine sees it, with the runs it was given from there (`Ticket`)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Final, TypeVar

from ..jobstores import transitions
from ..jobstores.base import BaseJobStore
from ..jobstores.errors import JobLookupError, JobRestoreError
from ..jobstores.job import Job
from ..jobstores.record import (
    ClaimResult,
    Decision,
    Due,
    FinishResult,
    Record,
    RecoveredRun,
    RunKey,
    Wanted,
)
from ..triggers import calls_user_code
from .access import StoreAccess
from .clockwatch import ClockWatch
from .decision import decide, due_times
from .recent import RecentRuns
from .ticket import NEVER, Ticket

if TYPE_CHECKING:
    from .engine import Engine
    from .look import Look
    from .outages import Attempted

T = TypeVar("T")

SETTLE_WITHIN: Final = 40_000
"""µs after the end of a run by which its record is to be written; what ends meanwhile goes into the same write."""

MANY: Final = 20
"""So many ends are worth a write of their own: they are not left behind a claim, since after a crash nobody would know of these runs."""

BATCH: Final = 1_000
"""So many outcomes or leases at most go into one write."""

CHECK_EXECUTORS_EVERY: Final = 10_000_000
"""µs between two searches for due jobs whose executor nobody has here: nearly every look is one question to the store, therefore."""

RECOVER_EVERY: Final = 2_000_000
"""µs between two searches for runs whose owner is gone: longer than a keeper needs to extend its leases when a store can be written again."""

RECOVER_ALONE: Final = 7_000_000
"""µs that such a search waits for a look at the store; then it is made without one, at the next time at which the loop wakes up."""

NOBODY: Final = RunKey("", 0, 0, "")
"""No run at all: to give it back asks of a store what each write asks, and changes nothing."""


@dataclass(slots=True)
class Prepared:
    """What was found out about deferred records outside of the store's step."""

    decided: list[tuple[Record, Due]] = field(default_factory=list)
    failed: list[tuple[Record, JobRestoreError]] = field(default_factory=list)


class Port(StoreAccess):
    """A job store with what the engine keeps of it. The loop looks at it; workers and the keeper call `finished` and `renew`."""

    def __init__(self, engine: Engine, alias: str, store: BaseJobStore) -> None:
        super().__init__(engine, alias, store)
        self.shared, self.poll_interval = store.shared, store.poll_interval
        self.look_at = 0
        """µs UTC: when something may be due there; lowered by whoever writes to the store, see `ask`."""
        self._look_lock = Lock()
        self.recover_at = 0
        self._writable_at = 0
        """µs UTC: when this process last knew that the store can be written; 0: it does not know."""
        self.watch = ClockWatch(engine.clock, engine.max_clock_offset)
        self.looked_at = False
        """The loop looks at the store."""
        self.look: Look | None = None
        """That look, if the loop does not wait for its answers."""
        self.trying = False
        """An attempt is on its way, or has not been heard of yet."""
        self.attempted: Attempted | None = None
        self.pending_at: int | None = None
        """µs UTC: when the jobs are tried again that were pending for the store, and which it has refused."""
        self.refusals = 0
        self.refused_for: str | None = None
        self.overdue_executors: set[str] = set()
        """The executors for which something was due, some time ago."""
        self.check_executors_at = 0
        self.leaving: Callable[[Port], object] | None = None
        """Called when the last run of a store that was removed has been written; nothing is claimed from it any more."""
        self.more = False
        """More is due there than the last claim asked for."""
        self.granted_until = 0.0
        self.reported: dict[str, str] = {}
        """Quarantined jobs that were reported, with the reason."""
        self.unknown_executors: set[str] = set()
        # Deques and dicts: one step under the interpreter lock for each append, pop and assignment, so that the workers that
        # put something in and whoever takes it out need no lock of ours.
        self.tickets: dict[int, Ticket] = {}
        self.recent = RecentRuns(engine.clock)
        self._ended: deque[Ticket] = deque()
        self._settle_at: int | None = None
        self._hurry = False
        """One of the ends that are not written makes room for what is due soon, perhaps at another scheduler."""
        self._returns: deque[RunKey] = deque()
        self._failures: deque[Ticket] = deque()
        """Of runs that have failed, and go on."""

    # -- steps of the loop, which may block ------------------------------------------------------------------------

    def settle(self) -> FinishResult:
        """Write the runs that have ended or are given back. Nothing is forgotten if the store fails: it is written later."""
        result = FinishResult()
        # Taken back first: who appends and sets it after this is either seen below or makes for another write.
        self._hurry = False
        try:
            while self._ended:
                self._write_ends(_take(self._ended), result)
            while self._returns:
                self._give_back(_take(self._returns))
            while self._failures:
                self._note_failure(self._failures.popleft())
        finally:
            # None first, and then a look: what was appended before it is seen here, and who appends after it finds None and asks
            # for another write. (The other way round, an end between look and assignment would wait for the next one.)
            self._settle_at = None
            if self.unwritten:
                self._settle_at = 0
        return result

    def _write_ends(self, tickets: list[Ticket], result: FinishResult) -> None:
        try:
            written = self.store.finish_runs([ticket.outcome() for ticket in tickets])
        except BaseException:
            self._ended.extendleft(reversed(tickets))
            raise
        for ticket in tickets:
            self.tickets.pop(ticket.run, None)
        if written.wake_at is not None:
            self.ask(written.wake_at)
            result.wake_at = written.wake_at
        result.removed += written.removed
        result.found += written.found
        result.parked += written.parked

    def write_ends_of(self, job_id: str) -> FinishResult | None:
        """Write now which runs of a job have ended here, for somebody who cannot wait until the loop does. None: none has. Any thread.

        The loop writes them once more, and finds that there is no such run any more.
        """
        ended = [ticket for ticket in self.tickets_of(job_id) if ticket.done]
        return self.store.finish_runs([ticket.outcome() for ticket in ended]) if ended else None

    def _give_back(self, keys: list[RunKey]) -> None:
        try:
            self.store.give_back(keys)
        except BaseException:
            self._returns.extendleft(reversed(keys))
            raise
        for key in keys:
            self.tickets.pop(key.run, None)

    def _note_failure(self, ticket: Ticket) -> None:
        retry_at, key, stamp = ticket.retry_at, ticket.key, self.engine.owner.stamp()
        if ticket.done or retry_at is None:
            return  # with its end, the next attempt is written
        try:
            self.store.write(
                ticket.job_id, lambda record: transitions.note_failure(record, key, retry_at, stamp)
            )
        except JobLookupError:
            pass  # the job was removed
        except BaseException:
            self._failures.appendleft(ticket)
            raise

    def ask(self, at: int) -> None:
        """Have the store looked at, not later than `at` (µs UTC). Any thread."""
        with self._look_lock:
            if at < self.look_at:
                self.look_at = at

    def recover(self, now: int) -> list[RecoveredRun]:
        """Account for runs whose owner is gone.

        While a store can be read and not written (SQLite, and somebody holds its lock), no owner can extend its leases, and a scheduler
        that only reads does not notice. So a lease is over only if it was so when this process last could write, one search
        ago: its owner has had the time to extend it since, or, if it was frozen, to write that the run has ended. Who is known to be
        dead is not waited for.
        """
        self.recover_at = now + RECOVER_EVERY
        over_at, self._writable_at = min(now, self._writable_at), 0
        found = self.store.recover(now, over_at)
        self.try_out()
        self._writable_at = self.engine.clock.micros()
        self.recover_at = self._writable_at + RECOVER_EVERY
        return found

    def try_out(self) -> None:
        """Ask the store what claims and ends of runs ask of it, and change nothing. Raises what it raises."""
        if self.shared:
            self.store.give_back([NOBODY])
        else:
            self.store.overdue_executors(self.engine.clock.micros())

    def measure(self) -> float:
        """Seconds by which this process's clock is ahead of that of the store's server."""
        return self.watch.measure(self.store)

    def claim(self, now: int, wanted: Wanted, decided: Sequence[tuple[Record, Due]] = ()) -> ClaimResult:
        """Claim what is due."""
        random = self.engine.random

        def with_time(record: Record, job: Job, due: Due | None) -> Decision | None:
            decision = decide(record, job, now, random, due)
            if decision.skipped and self.shared and any(t.job_id == record.id for t in list(self._ended)):
                # There seems to be no room, but a run has ended here: the job is decided once that is written, right after this claim.
                self._hurry = True
                self.ask(0)
                return None
            return decision

        # The lease that the store writes counts from `now`, which may be long ago: the loop has settled and restored jobs since, or the
        # process was frozen. Read in this order, whatever happens between the two only makes the deadline come sooner.
        start = self.engine.clock.monotonic()
        start -= max(0, self.engine.clock.micros() - now) / 1_000_000
        if now >= self.check_executors_at:
            self.overdue_executors = self.store.overdue_executors(now)
            self.check_executors_at = now + CHECK_EXECUTORS_EVERY
        # Before the store is read: what is asked from here on may have been written behind this claim's back, and must outlast it.
        self.look_at = NEVER
        result = self.store.claim_due(now, wanted, with_time, decided)
        self.granted_until = start + self.engine.lease
        return result

    def prepare(self, records: Sequence[Record], now: int) -> Prepared:
        """Restore the jobs of deferred records, and ask the triggers that are not ours: user code, outside of every step and lock."""
        prepared = Prepared()
        for record, job in zip(records, self.store.restore(records), strict=True):
            if isinstance(job, JobRestoreError):
                prepared.failed.append((record, job))
            elif (
                calls_user_code(job.trigger)
                and record.state == "active"
                and (record.next_run_time or now + 1) <= now
            ):
                prepared.decided.append((record, due_times(record, job, now, self.engine.random)))
        return prepared

    def planned_anew(self) -> None:
        """This process's clock was set back: whatever was planned was planned on another one."""
        self.look_at = self.recover_at = 0
        if self.outage is not None:
            self.outage.retry_at = 0
        if self.pending_at is not None:
            self.pending_at = 0
        if self.unwritten:
            self._settle_at = 0
        self.watch.soon()

    # -- called by workers and the keeper --------------------------------------------------------------------------

    def finished(self, ticket: Ticket, now: int) -> None:
        """A run has ended; the loop writes it soon."""
        self._ended.append(ticket)
        if self.shared and ticket.again_at <= now + 2 * SETTLE_WITHIN:
            # Whoever decides about the next run, here or elsewhere, shall find that there is room for it.
            self._hurry = True
            self.engine.wake_before(0)
        self._settle_soon()

    def returned(self, key: RunKey) -> None:
        """A run was claimed and is not started here: it is given back soon."""
        self._returns.append(key)
        self._settle_soon()

    def failed(self, ticket: Ticket) -> None:
        """A run has failed, and goes on: that is written soon, so that the next attempt follows though this process may be ended for it."""
        if self.shared:
            self._failures.append(ticket)
            self._settle_soon()

    def _settle_soon(self) -> None:
        # Checked after the append: either settle() has not begun, or it has set None before it empties the queue, and then
        # this asks again. Two threads that both find None wake the loop twice, which is harmless.
        if self._settle_at is None:
            self._settle_at = self.engine.clock.micros() + SETTLE_WITHIN
            self.engine.wake_before(self._settle_at)

    def renew(self, ticket: Ticket) -> bool:
        """Extend the lapsed lease of a run that is about to start. False: it is not this scheduler's any more."""
        try:
            gone = self.extend([ticket])
        except Exception as exc:
            # Whether it is still ours cannot be known: it is not started, and somebody runs or reports it when the store is back.
            self.engine.logger.warning(
                'Run of job "%s" is not started: its lease is over, and job store "%s" cannot be asked: %s',
                ticket.job_id,
                self.alias,
                exc,
            )
            self.returned(ticket.key)
            return False
        if gone:
            self.tickets.pop(ticket.run, None)
            self.engine.logger.warning(
                'Run of job "%s" is not started: its lease was over, and another scheduler has recovered it',
                ticket.job_id,
            )
            return False
        return True

    def extend(self, tickets: Sequence[Ticket]) -> list[RunKey]:
        """Extend the leases of runs; answers those that are no longer this scheduler's."""
        clock, lease = self.engine.clock, self.engine.lease
        missing: list[RunKey] = []
        ordered = sorted(tickets, key=lambda ticket: ticket.job_id)
        for place in range(0, len(ordered), BATCH):
            batch = ordered[place : place + BATCH]
            start = clock.monotonic()
            gone = self.store.extend_leases(
                [ticket.key for ticket in batch], clock.micros() + int(lease * 1_000_000)
            )
            lost = {key.run for key in gone}
            for ticket in batch:
                if ticket.run not in lost:
                    ticket.deadline = start + lease
            missing += gone
        return missing

    # -- what is to be done ----------------------------------------------------------------------------------------

    def must_settle(self, now: int) -> bool:
        """Whether runs have ended that are to be written by now."""
        if not self.unwritten or self.silent:
            return False
        return self._hurry or now >= (self._settle_at or 0) or not self.shared

    def must_settle_first(self, now: int) -> bool:
        """Whether they are to be written before anything else.

        On a shared store a claim comes first: what is due would start later by a write that takes its time. Not where there are
        many, nor when an end makes room for what is due soon. (If that was not known, its job is passed over by the claim, see
        `claim`.) Nor after a failure: a store may be read that cannot be written, and a claim that found nothing would pass for the
        end of the outage.
        """
        if self._hurry or self.outage is not None or len(self._ended) >= MANY:
            return self.unwritten and not self.silent
        return self.must_settle(now) and not (self.shared and self.engine.may_claim and self.must_look(now))

    @property
    def unwritten(self) -> bool:
        """Whether runs have ended or failed, or are given back, and that is not written yet."""
        return bool(self._ended or self._returns or self._failures)

    @property
    def silent(self) -> bool:
        """Whether the store does not answer: until an attempt has gone well, it is not looked at."""
        return self.outage is not None and not self.outage.answers

    def must_try(self, now: int) -> bool:
        """Whether it is time for an attempt: the store may answer by now, or take the jobs that are pending for it."""
        time = self._try_at()
        return not self.trying and time is not None and now >= time

    def _try_at(self) -> int | None:
        return self.outage.retry_at if self.outage is not None and self.silent else self.pending_at

    def must_look(self, now: int) -> bool:
        """Whether something may be due."""
        return self.leaving is None and not self.silent and now >= self._look_at()

    def _look_at(self) -> int:
        # While the clocks are too far apart, the clock is all that is looked at.
        return self.look_at if not self.watch.too_far else self.watch.measure_at or 0

    def must_recover(self, now: int, alone: bool = False) -> bool:
        """Whether it is time to search for runs whose owner is gone; with `alone`, whether that cannot wait for the next look."""
        if not self.shared or self.silent or self.leaving is not None or self.watch.too_far:
            return False
        if alone:
            return self.engine.polls and now >= self.recover_at + RECOVER_ALONE
        return now >= self.recover_at

    def next_time(self, may_claim: bool) -> int | None:
        """µs UTC: when there is something to do here; None if nothing is known."""
        if self.look is not None:
            return None if self.look.waits else 0
        if self.attempted is not None:
            return 0
        times = [] if self.trying or (time := self._try_at()) is None else [time]
        if self.silent:
            return min(times, default=None)
        if may_claim and self.leaving is None:
            times.append(self._look_at())
        if self.unwritten:
            times.append(0 if self._hurry else self._settle_at or 0)
        return min(times, default=None)

    @property
    def busy(self) -> bool:
        """Whether runs go on: others than those that have ended, or are to be given back."""
        returned = {key.run for key in list(self._returns)}
        return any(not ticket.done and ticket.run not in returned for ticket in list(self.tickets.values()))

    def open_tickets(self, job_id: str) -> list[Ticket]:
        """The runs of a job that have not ended."""
        return [ticket for ticket in self.tickets_of(job_id) if not ticket.done]

    def tickets_of(self, job_id: str) -> list[Ticket]:
        """The runs of a job whose end is not written."""
        return [ticket for ticket in list(self.tickets.values()) if ticket.job_id == job_id]


def _take(queue: deque[T]) -> list[T]:
    """Up to a batch from the left of a queue to which others append."""
    taken: list[T] = []
    while queue and len(taken) < BATCH:
        taken.append(queue.popleft())
    return taken
