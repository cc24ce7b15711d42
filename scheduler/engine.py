"""`Engine`: what one boot of a scheduler works with, and what the loop has it do between two steps on a store."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, tzinfo
from random import Random
from threading import Lock
from typing import TYPE_CHECKING, Final

from ..events import Clock
from ..executors.base import BaseExecutor, MaxInstancesReachedError
from ..jobstores.errors import JobRestoreError, described, ends_program
from ..jobstores.job import Job
from ..jobstores.owner import Owner
from ..jobstores.record import Claim, ClaimResult, FinishResult, Record, RecoveredRun, Wanted
from ..jobstores.restored import RETRY_QUARANTINED
from ..triggers.instants import from_micros
from .clockwatch import Verdict
from .outages import Outages
from .port import Port
from .reports import Reports
from .ticket import POSTPONED_BY, Ticket
from .window import ClaimWindow

if TYPE_CHECKING:
    from .base import BaseScheduler

MAX_WAIT: Final = 10.0
"""Seconds: no wait is longer, so that a clock that was set or a machine that slept is noticed."""

RAMP: Final = 100_000
"""µs until the next look when more is due than could be taken, and no freed slot has called for it before."""


class Engine:
    """One boot of a scheduler, from a start to its shutdown. The loop's methods are called on the driver's thread only."""

    def __init__(
        self,
        scheduler: BaseScheduler,
        wake: Callable[[], None],
        *,
        clock: Clock,
        logger: logging.Logger,
        random: Random | None,
        lease: float,
        claim_window: int,
        retry_interval: float,
        max_clock_offset: float,
        paused: bool,
    ) -> None:
        self._scheduler = scheduler
        self._wake = wake
        self.clock = clock
        self.logger = logger
        self.reports = Reports(logger, scheduler)
        self.random = Random() if random is None else random
        self.owner = Owner(self.random)
        self.lease = lease
        self.stopping = False
        self.max_wait = MAX_WAIT
        self.polls = True
        self.paused = paused
        self.submitting = False
        """Whether claims that were won are on their way to the executors."""
        self._claim_window = claim_window
        self.max_clock_offset = max_clock_offset
        self.outages = Outages(self, logger, self.random, retry_interval)
        # Replaced as a whole, under the lock, so that two threads that add stores do not lose one; read without it.
        self._ports_lock = Lock()
        self._ports: tuple[Port, ...] = ()
        self._ended = False
        self._windows: dict[str, ClaimWindow] = {}
        self._silent_executors: set[str] = set()
        # µs UTC until which the loop sleeps; None while it is looking (whoever changes something then has it look again).
        self._sleeping_until: int | None = None
        self._last_pass = 0
        self._last_times: tuple[tuple[int, ...], tzinfo, tuple[datetime, ...]] = ((), UTC, ())

    # -- ports -----------------------------------------------------------------------------------------------------

    def ports(self) -> tuple[Port, ...]:
        """The stores, in the order in which they were added."""
        return self._ports

    def add_port(self, port: Port) -> bool:
        """Have the loop look at a store, from now on. False: the scheduler has shut down, and does not know of it."""
        with self._ports_lock:
            if self._ended:
                return False
            self._ports = (*self._ports, port)
        self.look_again(port)
        return True

    def remove_port(self, alias: str, left: Callable[[Port], object]) -> None:
        """Claim nothing more from a store; `left` is called when the runs that were claimed there have ended and are written."""
        port = self.port(alias)
        if port is not None:
            port.leaving = left
            self._drop_if_left(port)

    def end(self) -> tuple[Port, ...]:
        """Take no more stores: those that there are, are to be closed. What was never opened is not opened any more."""
        with self._ports_lock:
            self._ended = True
        for port in self._ports:
            port.let_go(unless_opened=True)
        return self._ports

    def begin_look(self, port: Port) -> bool:
        """The loop looks at a store, which may give it runs that have no ticket yet: until `end_look` it is not let go.

        False: it was let go, or an answer of it is waited for. Once the engine stops, only what is on its way is gone on with.
        """
        if port.look is not None:
            return not port.look.waits
        with self._ports_lock:
            port.looked_at = port in self._ports and not self.stopping
        return port.looked_at

    def end_look(self, port: Port) -> None:
        """The loop has looked: all that the store gave it has a ticket. Not so if it waits for an answer still."""
        if port.look is not None and not port.look.over:
            return
        port.look = None
        with self._ports_lock:
            port.looked_at = False
        self._drop_if_left(port)
        if self.stopping:
            self._wake()  # a keeper may wait for this

    @property
    def looking(self) -> bool:
        """Whether a look is on its way: its claim may have been won."""
        return any(port.looked_at for port in self._ports)

    def may_hold_up(self, port: Port) -> bool:
        """Whether others would wait for this store's answers, if the loop did. One that this process owns is not thought to be slow."""
        return port.look is not None or (port.shared and len(self._ports) > 1)

    def answered(self) -> None:
        """An answer is there that the loop has not waited for. Any thread."""
        self.wake_before(0)

    def _drop_if_left(self, port: Port) -> None:
        left = port.leaving
        with self._ports_lock:
            if left is None or port.tickets or port.looked_at or port not in self._ports:
                return
            self._ports = tuple(other for other in self._ports if other is not port)
        left(port)

    def port(self, alias: str) -> Port | None:
        """The port of a store."""
        for port in self._ports:
            if port.alias == alias and port.leaving is None:
                return port
        return None

    def awaited(self) -> set[str]:
        """The aliases of the stores for which pending jobs wait: they could not be opened yet, or could not be reached when they were to take them."""
        return {
            port.alias
            for port in self._ports
            if (not port.opened or port.pending_at is not None) and port.leaving is None
        }

    # -- waking ----------------------------------------------------------------------------------------------------

    def look_again(self, port: Port | None = None, at: int = 0) -> None:
        """Something has changed in a store (in any, for None): it is to be looked at, not later than `at` (µs UTC). Any thread."""
        for changed in self._ports if port is None else (port,):
            changed.ask(at)
        self.wake_before(at)

    def pushed(self, port: Port, at: int) -> None:
        """A store was told by its server that something is due at a time (0: now). Any thread, at any time: behind the end it is nothing.

        In virtual time, in which nobody else works, it is nothing either: it would come at one moment or at another.
        """
        if self.polls and not self.stopping and port.leaving is None:
            self.look_again(port, at)

    def wake_before(self, at: int) -> None:
        """Wake the loop if it would sleep beyond `at`."""
        # A loop that is looking may have passed what was just written, and has not decided how long to sleep: it is woken, too.
        # One that goes to sleep between this check and the wake-up finds the flag set, and looks again.
        until = self._sleeping_until
        if until is None or at < until:
            self._wake()

    def begin_pass(self) -> None:
        """The loop looks around."""
        self._sleeping_until = None
        now = self.clock.micros()
        if now < self._last_pass:
            # The clock was set back: whatever was planned was planned on another clock.
            for port in self._ports:
                port.planned_anew()
        self._last_pass = now
        self.logger.debug("Looking for jobs to run")

    def seconds_to_wait(self) -> float:
        """How long nothing is to be done, as far as is known now."""
        if self.stopping:
            # Nothing begins any more, and an answer that is on its way wakes the loop.
            return self.max_wait if any(port.look and port.look.waits for port in self._ports) else 0.0
        now = self.clock.micros()
        times = [time for port in self._ports if (time := port.next_time(self.may_claim)) is not None]
        until = min([*times, now + int(self.max_wait * 1_000_000)])
        seconds = max(0.0, (until - now) / 1_000_000)
        if self.logger.isEnabledFor(logging.DEBUG):
            self.logger.debug(
                "Next wakeup is due at %s (in %f seconds)",
                from_micros(until, self._scheduler.timezone),
                seconds,
            )
        self._sleeping_until = until
        return seconds

    @property
    def timezone(self) -> tzinfo:
        """The zone in which times are shown."""
        return self._scheduler.timezone

    @property
    def may_claim(self) -> bool:
        """Whether claims are made: flags that are read before a claim, and never in the middle of one."""
        return not self.paused and not self.stopping

    # -- claiming and submitting -----------------------------------------------------------------------------------

    def wanted(self, port: Port) -> dict[str, int]:
        """How many runs each executor can take from this store."""
        executors = self._scheduler._executors
        if not port.shared:
            # Nobody else could run what is not claimed: everything is, a batch at a time.
            return dict.fromkeys(list(executors), self._claim_window)
        now = self.clock.monotonic()
        return {alias: self._room(alias, executor, now) for alias, executor in list(executors.items())}

    def _room(self, alias: str, executor: BaseExecutor, now: float) -> int:
        try:
            idle, waiting = executor.free_slots(), executor.waiting()
        except Exception:
            # The jobs of the other executors go on.
            if alias not in self._silent_executors:
                self._silent_executors.add(alias)
                self.logger.exception(
                    'Executor "%s" does not tell what it can take: it gets nothing until it does', alias
                )
            return 0
        self._silent_executors.discard(alias)
        return self._claim_window if idle is None else self._window(alias).room(idle, waiting, now)

    def _window(self, alias: str) -> ClaimWindow:
        window = self._windows.get(alias)
        if window is None:
            window = self._windows[alias] = ClaimWindow(self._claim_window)
        return window

    def submit(self, port: Port, result: ClaimResult) -> None:
        """Hand what was claimed to the executors, and say what else the claim has found."""
        self.submitting = True
        claims = iter(result.claims)
        try:
            for _, job, times in result.skipped:
                port.recent.note(job.id, times[-1], "skipped", f"{job.max_instances} of the job were running")
                self.reports.skipped(port.alias, job, self.run_times(job, times))
            for claim in claims:
                self._submit(port, claim)
        except BaseException:
            # The program was told to end, in a listener or an inline job: what comes behind it has not been started.
            for claim in claims:
                port.returned(Ticket(port, claim, None).key)
            raise
        finally:
            self.submitting = False
            if self.stopping:
                self._wake()
        for record, _ in result.parked:
            self.reports.parked(port.alias, record.id, record.reason or "")
        for job_id in result.removed:
            self.reports.removed(port.alias, job_id)

    def _submit(self, port: Port, claim: Claim) -> None:
        job, run = claim.job, claim.run
        executor = self._scheduler._executors.get(job.executor)
        window = self._window(job.executor) if port.shared and executor is not None else None
        ticket = Ticket(port, claim, window)
        port.tickets[run.run] = ticket
        if executor is None:  # removed since it was asked what it can take
            port.returned(ticket.key)
            return
        ticket.occupy(1)
        if run.kind != "schedule":
            # The grace is for a scheduled run's first dispatch; what is run again or on demand is late by its nature.
            job = job._clone()
            job.misfire_grace_time = None
        times: Sequence[datetime] = ()
        try:
            times = self.run_times(job, run.run_times)
            executor.submit_job(job, times, ticket)
        except MaxInstancesReachedError:
            # It is not marked as ended, since that may be written by whoever adds the job again.
            if sum(other is not ticket for other in port.open_tickets(job.id)) < job.max_instances:
                # A run that has just reported its end is about to give its slot back: this one is claimed again then.
                ticket.occupy(-1)
                port.returned(ticket.key)
                port.ask(self.clock.micros() + POSTPONED_BY)
                return
            # The record had room, the executor has not: a run that another scheduler has recovered still goes on here, or that of a job
            # of this id which was removed.
            if run.kind != "schedule":
                ticket.occupy(-1)
                ticket.postponed()
                return
            self.reports.skipped(port.alias, job, times)
            self._withdraw(ticket, f"{job.max_instances} of the job were running in its executor")
        except BaseException as exc:
            if ends_program(exc) and ticket.done:
                raise  # the job's own, which has run
            if ends_program(exc) or self.stopping:
                # Or the executor is shut down, by a job or a listener in this very thread: the run is there for the next start.
                ticket.occupy(-1)
                port.returned(ticket.key)
                if ends_program(exc):
                    raise
                return
            self.reports.submit_failed(port.alias, job, times, exc)
            self._withdraw(ticket, f"its executor refused it: {described(exc)}")

    def cancel(self, ticket: Ticket, reason: str) -> None:
        """Have the function of a run learn that it should come to an end, where it asks (`current_run().cancelled`). Any thread."""
        # Which executor has the run is found by asking: the job may have been given another one since.
        any(executor.cancel(ticket, reason) for executor in list(self._scheduler._executors.values()))

    def _withdraw(self, ticket: Ticket, why: str) -> None:
        """A run that does not take place: its open run goes."""
        ticket.occupy(-1)
        ticket.withdrawn(why)

    def run_times(self, job: Job, instants: tuple[int, ...]) -> tuple[datetime, ...]:
        """Run times as executors get them, in the zone of the job's trigger."""
        zone = job.timezone
        known, of_zone, times = self._last_times
        if instants == known and zone is of_zone:
            return times
        times = tuple([from_micros(instant, zone) for instant in instants])
        # What is due together is often due at the very same time. One tuple, exchanged as a whole: two threads may be here.
        self._last_times = (instants, zone, times)
        return times

    def looked(
        self, port: Port, now: int, wanted: Wanted, result: ClaimResult, progress: bool = False
    ) -> None:
        """The store was looked at: when is the next time? `progress`: fewer jobs are in the way than before the look."""
        self.outages.over(port)
        for alias in port.overdue_executors - wanted.keys():
            self.unknown_executor(port, alias)
        port.more = result.more
        poll = port.poll_interval if self.polls else None
        times = [now + int((self.max_wait if poll is None else poll) * 1_000_000)]
        if result.wake_at is not None:
            times.append(result.wake_at)
        if result.deferred:
            # The next ones in the index. A pause only where nothing has moved, so that hundreds of jobs that cannot be
            # restored do not keep the good one behind them for seconds.
            times.append(now if progress or result.claims or result.skipped else now + RAMP)
        if result.quarantined:
            times.append(now + RETRY_QUARANTINED)
        if result.more:
            # Either there is room again by now, or the slot that becomes free calls for the next look.
            times.append(now if any(self.wanted(port).values()) else now + RAMP)
        port.ask(min(times))

    # -- what is found ---------------------------------------------------------------------------------------------

    def settled(self, port: Port, result: FinishResult) -> None:
        """Ends of runs were written."""
        if not self.may_claim:
            self.outages.over(port)  # else that is said when the look that follows has gone well, too
        for job_id, run in result.found:
            self.reports.found(port.alias, job_id, run)
        for job_id, reason in result.parked:
            self.reports.parked(port.alias, job_id, reason)
        for job_id in result.removed:
            self.reports.removed(port.alias, job_id)
        self._drop_if_left(port)

    def recovered(self, port: Port, runs: Sequence[RecoveredRun]) -> None:
        """Runs of schedulers that are gone were accounted for."""
        for entry in runs:
            if entry.run.state == "waiting":
                self.reports.run_again(entry.record.id, entry.run)
                continue
            port.recent.note(entry.record.id, entry.run, "lost", "its scheduler is gone")
            self.reports.lost(port.alias, entry.record.id, entry.run)
            if entry.parked:
                self.reports.parked(port.alias, entry.record.id, entry.record.reason or "")
        if runs:
            port.ask(0)  # they may be due again, and the store may be looked at seldom

    def measured(self, port: Port, offset: float) -> None:
        """The clock of a store's server was compared with this process's."""
        verdict = port.watch.judge(offset)
        if port.watch.too_far:
            self.outages.over(port)  # no look follows that would say so
        if verdict is not Verdict.NOTHING:
            self.reports.clock_offset(port.alias, verdict, offset, port.watch.limit)

    def quarantined(self, port: Port, failed: Sequence[tuple[Record, JobRestoreError]]) -> bool:
        """Jobs that this process cannot restore: reported once, as long as the reason is the same. Whether there are any."""
        for record, error in failed:
            reason = described(error.__cause__ or error)
            if error.__cause__ is not None and port.reported.get(record.id) != reason:
                port.reported[record.id] = reason
                self.reports.quarantined(port.alias, record.id, reason, error)
        # Without a cause, a job was only removed meanwhile: nothing is in quarantine for it.
        return any(error.__cause__ is not None for _, error in failed)

    def unknown_executor(self, port: Port, alias: str) -> None:
        """Jobs of executors that this process does not have stay due for those who have them; that is said once for each."""
        if alias not in port.unknown_executors:
            port.unknown_executors.add(alias)
            self.reports.unknown_executor(port.alias, alias)

    def known_executor(self, alias: str) -> None:
        """An executor was added: its jobs may be due, and if it goes again, that is said again."""
        for port in self._ports:
            port.unknown_executors.discard(alias)
        self.look_again()

    def lacking_executor(self) -> None:
        """An executor was removed: whether its jobs are due is looked up at the next look."""
        for port in self._ports:
            port.check_executors_at = 0

    # -- stores that fail ------------------------------------------------------------------------------------------

    def store_failed(self, port: Port, exc: BaseException) -> None:
        """A store raised: it is tried out aside, with growing pauses, until it answers again."""
        self.outages.failed(port, exc)

    def try_out(self, port: Port) -> None:
        """See whether a store answers, as a step that runs aside; what it raises is what the store raises."""
        self._scheduler._try_out(self, port)
