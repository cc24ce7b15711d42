"""The keeper: a thread that extends the leases of claimed runs, and sees to what is left after a shutdown that did not wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from .drivers import aside
from .wakeup import Wakeup

if TYPE_CHECKING:
    from .engine import Engine
    from .port import Port


class Keeper:
    """Extends leases at a third of their length, for all runs that are claimed and not written as ended.

    A thread of its own, never the loop: a blocked event loop, or a job that runs inline, must not cost the other runs their leases. Nor must a
    store that hangs: where there are several, each one is seen to in a thread of its own, which ends when the store has answered. So a lease lapses
    only if its own store does not answer for two thirds of its length.

    Virtual time does not wait for threads: there whoever lets it pass calls `see_to_time` each time, and has no such thread until a shutdown.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._wakeup = Wakeup()
        self._stopped = False
        self._close: Callable[[], None] | None = None
        self._thread: threading.Thread | None = None
        # Of each port, one thread at a time is here: it is in `_at_it` until its turn has ended. What is noted of a port below is
        # noted by that thread alone.
        self._at_it: set[Port] = set()
        self._due: set[Port] = set()
        """Stores whose leases are to be extended; one that is late with the last time comes as soon as that has ended."""
        self._failing: set[Port] = set()
        """Stores in which leases could not be extended the last time."""
        self._gives_up_at: dict[Port, float] = {}
        self._given_up: set[Port] = set()
        self._reported: set[int] = set()
        """Runs that go on here and are no longer this scheduler's: that is said once of each."""
        self._period = engine.lease / 3
        self._next_time = engine.clock.monotonic() + self._period

    def start(self) -> None:
        """Begin; does nothing if it runs already."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="mainspring-keeper", daemon=True)
            self._engine.clock.subscribe(self._wakeup.set)
            self._thread.start()

    def stop(self) -> None:
        """End. Nothing is claimed any more."""
        self._stopped = True
        self._engine.clock.unsubscribe(self._wakeup.set)
        self._wakeup.set()

    def see_to_the_rest(self, close: Callable[[], None]) -> None:
        """After a shutdown: extend and finish what still runs, then call `close` and end."""
        wake_loop, self._close = self._engine._wake, close

        def wake() -> None:
            if self._engine.looking:
                wake_loop()  # it has not ended: it was the one that shut down, and waits for the answer of a store
            self._wakeup.set()

        self._engine._wake = wake  # ends of runs now wake the keeper
        self.start()
        self._wakeup.set()

    def _run(self) -> None:
        while not self._stopped:
            # After a failure the next try comes sooner: the leases run on.
            soon = self._failing or self._close is not None
            self._wakeup.wait(min(self._period, 1.0) if soon else self._period)
            self.see_to_time()
            if self._close is not None and self._nothing_is_left():
                self.stop()
                self._close()
                return

    def see_to_time(self) -> None:
        """Some time has passed: if so much that leases are to be extended, that is done."""
        now = self._engine.clock.monotonic()
        due = now >= self._next_time
        if due:
            self._next_time = now + self._period
        self.see_to_all(due)

    def see_to_all(self, due: bool) -> None:
        """Give each store its turn: leases if they are `due` or could not be extended the last time, ends of runs after a shutdown."""
        ports = self._engine.ports()
        if due:
            self._due.update(port for port in ports if port.shared)
        for port in ports:
            extends = bool(port.tickets) and (port in self._due or port in self._failing)
            finishes = self._close is not None and (bool(port.tickets) or port.unwritten)
            if port in self._at_it or port in self._given_up or not (extends or finishes):
                continue
            self._at_it.add(port)
            self._due.discard(port)
            turn = partial(self._turn, port, finishes, extends)
            if len(ports) == 1 or self._thread is None:
                turn()
            else:
                aside(turn)

    def _turn(self, port: Port, finishes: bool, extends: bool) -> None:
        try:
            if finishes:
                self._finish(port)
            if extends:
                self._extend(port)
        finally:
            self._at_it.discard(port)
            if port in self._due or (finishes and not port.tickets):
                self._wakeup.set()  # its next turn is due; or it may have been the last one that had anything left

    def _extend(self, port: Port) -> None:
        """Extend what is claimed from one store."""
        try:
            gone = port.extend(list(port.tickets.values()))
        except Exception as exc:
            if port not in self._failing:
                self._failing.add(port)
                self._engine.logger.warning(
                    'Leases in job store "%s" cannot be extended; tried again at once: %s', port.alias, exc
                )
            return
        self._failing.discard(port)
        for key in gone:
            ticket = port.tickets.get(key.run)
            if ticket is not None and not ticket.done and key.run not in self._reported:
                self._reported.add(key.run)
                self._engine.cancel(ticket, "lost")
                self._engine.logger.warning(
                    'A run of job "%s" goes on here that is no longer this scheduler\'s: its lease was over and another one has recovered it, or its job was '
                    "removed",
                    key.job_id,
                )

    def _finish(self, port: Port) -> None:
        """Write the ends of the runs of one store."""
        engine = self._engine
        try:
            result = port.settle()
            engine.settled(port, result)
            if result.wake_at is not None:
                # The scheduler may have been started again. In a store of its own nobody else would tell it what is due now.
                engine._scheduler.wakeup()
        except Exception as exc:
            now = engine.clock.monotonic()
            gives_up_at = self._gives_up_at.setdefault(port, now + engine.lease)
            if now >= gives_up_at and not port.busy:
                # Their leases are over by now: another scheduler reports them, or the next start of this one.
                self._given_up.add(port)
                engine.logger.error('Ends of runs were not written to job store "%s": %s', port.alias, exc)
                return
            engine.logger.warning('Ends of runs cannot be written to job store "%s" yet: %s', port.alias, exc)

    def _nothing_is_left(self) -> bool:
        """Whether all is written, or what is left can no longer be written."""
        # A job that runs inline, or a listener, has shut down in the middle of a batch: its rest is given back. So is what the
        # loop has been given by other stores at that moment.
        return not (self._engine.submitting or self._engine.looking) and not any(
            port not in self._given_up and (port.tickets or port.unwritten) for port in self._engine.ports()
        )
