"""`Outages`: stores that do not answer, or could not be opened: said once, tried out aside with growing pauses, said once when it is over.

Whether such a store answers again is found out by an *attempt*, a step that the loop yields as `Aside`: it runs where it holds up nobody, since a
server that is frozen lets each attempt wait for the whole of its timeout. An attempt opens the store if that could never be done, else it asks for
a write that changes nothing. When it has gone well, the loop looks at the store again; only when that has gone well, too, the outage is over.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Final

from ..jobstores.errors import StoreUnreachableError, described, ends_program

if TYPE_CHECKING:
    from .engine import Engine
    from .port import Port

FIRST_RETRY: Final = 0.5
"""Seconds until a store that failed is tried again; doubled up to `jobstore_retry_interval`."""


@dataclass(slots=True)
class Outage:
    """A time in which a store does not answer, from its first failure on."""

    since: int
    """µs UTC."""
    error: BaseException
    """What it raised last."""
    opening: bool
    """Whether it began with the opening of the store."""
    failures: int = 0
    retry_at: int = 0
    """µs UTC: when it is tried out again."""
    answers: bool = False
    """It has answered an attempt: the loop may look at it."""
    told: bool = False
    """It was said."""


@dataclass(frozen=True, slots=True)
class Attempted:
    """What came of an attempt."""

    error: BaseException | None


class Outages:
    """What the engine does about stores that fail. Called on the loop's thread, but for attempts."""

    def __init__(self, engine: Engine, logger: logging.Logger, random: Random, retry_interval: float) -> None:
        self._engine = engine
        self._logger = logger
        self._random = random
        self._retry_interval = retry_interval

    # -- failures --------------------------------------------------------------------------------------------------

    def failed(self, port: Port, exc: BaseException) -> None:
        """A store raised: it is tried again later, with growing pauses; that is said once."""
        outage = port.outage
        before = None if outage is None else described(outage.error)
        self.note(port, exc)
        if outage is None:
            self.tell(port)
        elif outage.opening and not isinstance(exc, StoreUnreachableError) and described(exc) != before:
            # The server is there by now, and something else is wrong, which at the start would have come out of start().
            self._logger.error(
                'Job store "%s" still cannot be opened: %s', port.alias, described(exc), exc_info=exc
            )
        else:
            self._logger.debug('Job store "%s" fails still: %s', port.alias, described(exc))

    def note(self, port: Port, exc: BaseException) -> None:
        """A store raised; it is not said yet."""
        now = self._engine.clock.micros()
        outage = port.outage or Outage(now, exc, opening=not port.opened)
        outage.error, outage.answers = exc, False
        outage.failures += 1
        outage.retry_at = now + int(self._pause(outage.failures) * 1_000_000)
        port.outage = outage
        port.ask(0)  # as soon as it answers
        port.watch.soon()

    def tell(self, port: Port) -> None:
        """Say that a store fails."""
        if (outage := port.outage) is not None and not outage.told:
            outage.told = True
            tell = (
                self._engine.reports.store_not_opened if outage.opening else self._engine.reports.store_failed
            )
            pause = max(0, outage.retry_at - self._engine.clock.micros()) / 1_000_000
            tell(port.alias, outage.error, pause, self._retry_interval)

    def over(self, port: Port) -> None:
        """A store answered: if it had failed, that is over."""
        if (outage := port.outage) is None:
            return
        port.outage = None
        # Others could not extend their leases either: nobody recovers before they have had the time to do so.
        port.recover_at = self._engine.clock.micros() + int(self._engine.lease * 1_000_000)
        if outage.told:
            self._engine.reports.store_recovered(port.alias, outage.opening)

    def _pause(self, failures: int) -> float:
        pause: float = min(self._retry_interval, FIRST_RETRY * 2 ** min(failures - 1, 20))
        # A little at random, so that many schedulers do not come back to their server at the same moment.
        return pause * (0.75 + self._random.random() / 4)

    # -- attempts --------------------------------------------------------------------------------------------------

    def attempt(self, port: Port) -> Callable[[], None]:
        """The step that finds out whether a store answers. At most one for each port: until it is `heard`, none is made."""
        port.trying = True
        return partial(self._attempt, port)

    def _attempt(self, port: Port) -> None:
        """Runs aside, and may come to its end long after the scheduler has: then nobody hears of it."""
        error: BaseException | None = None
        try:
            self._engine.try_out(port)
        except BaseException as exc:
            error = exc
            if ends_program(exc):
                raise
        finally:
            port.attempted = Attempted(error)
            self._engine.answered()

    def heard(self, port: Port) -> None:
        """What has come of the attempt, if it has ended."""
        attempted = port.attempted
        if attempted is None:
            return
        port.attempted, port.trying = None, False
        if attempted.error is not None:
            self.failed(port, attempted.error)
        elif port.outage is not None:
            port.outage.answers = True
            if not self._engine.may_claim:
                self.over(port)  # else that is said when the look that follows has gone well, too

    # -- jobs that wait for a store to be opened ---------------------------------------------------------------------

    def refused(self, port: Port, exc: BaseException) -> None:
        """A store that was opened late does not take the jobs that were pending for it: they are tried again, with growing pauses."""
        port.refusals += 1
        port.pending_at = self._engine.clock.micros() + int(self._pause(port.refusals) * 1_000_000)
        reason = described(exc)
        if reason != port.refused_for:
            port.refused_for = reason
            self._engine.reports.pending_refused(port.alias, reason, exc)
