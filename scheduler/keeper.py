"""The keeper: a thread that extends the leases of claimed runs, and sees to what is left after a shutdown that did not wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from .wakeup import Wakeup

if TYPE_CHECKING:
    from .engine import Engine


class Keeper:
    """Extends leases at a third of their length, for all runs that are claimed and not written as ended.

    A thread of its own, never the loop: a blocked event loop, or a job that runs inline, must not cost the other runs their leases.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._wakeup = Wakeup()
        self._stopped = False
        self._close: Callable[[], None] | None = None
        self._thread: threading.Thread | None = None
        self._failing = False
        self._reported: set[int] = set()
        """Runs that go on here and are no longer this scheduler's: that is said once of each."""
        self._gives_up_at: float | None = None

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
        self._engine._wake = self._wakeup.set  # ends of runs now wake the keeper; the loop has ended
        self._close = close
        self.start()
        self._wakeup.set()

    def _run(self) -> None:
        engine = self._engine
        period = engine.lease / 3
        next_time = engine.clock.monotonic() + period
        while not self._stopped:
            # After a failure the next try comes sooner: the leases run on.
            self._wakeup.wait(min(period, 1.0) if self._failing or self._close is not None else period)
            if self._close is not None and self._finish():
                self.stop()
                self._close()
                return
            if engine.clock.monotonic() >= next_time or self._failing:
                self._extend()
                next_time = engine.clock.monotonic() + period

    def _extend(self) -> None:
        """Extend what is claimed, store by store; one that fails does not keep the others from it."""
        engine = self._engine
        failed = False
        for port in engine.ports():
            tickets = list(port.tickets.values())
            if not tickets or not port.store.shared:
                continue
            try:
                gone = port.extend(tickets)
            except Exception as exc:
                failed = True
                if not self._failing:
                    engine.logger.warning(
                        'Leases in job store "%s" cannot be extended; tried again at once: %s',
                        port.alias,
                        exc,
                    )
                continue
            for key in gone:
                ticket = port.tickets.get(key.run)
                if ticket is not None and not ticket.done and key.run not in self._reported:
                    self._reported.add(key.run)
                    engine.logger.warning(
                        'A run of job "%s" goes on here, but its lease was over and another scheduler has recovered it',
                        key.job_id,
                    )
        self._failing = failed

    def _finish(self) -> bool:
        """Write the ends of runs; True when nothing is left, or what is left can no longer be written."""
        engine = self._engine
        now = engine.clock.monotonic()
        left = False
        for port in engine.ports():
            try:
                engine.settled(port, port.settle())
            except Exception as exc:
                if self._gives_up_at is None:
                    self._gives_up_at = now + engine.lease
                if now >= self._gives_up_at and all(ticket.done for ticket in list(port.tickets.values())):
                    # Their leases are over by now: another scheduler reports them, or the next start of this one.
                    engine.logger.error(
                        'Ends of runs were not written to job store "%s": %s', port.alias, exc
                    )
                    continue
                engine.logger.warning(
                    'Ends of runs cannot be written to job store "%s" yet: %s', port.alias, exc
                )
            left = left or bool(port.tickets)
        # A job that runs inline, or a listener, has shut down in the middle of a batch: its rest is given back.
        return not left and not engine.submitting
