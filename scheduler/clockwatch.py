"""`ClockWatch`: how far this process's clock is from that of a store's server, and whether that is too far to claim by it.

Nothing is dispatched twice because clocks differ. But a clock that runs ahead takes runs before their time, and would count those of all others
as missed; and one that is behind is late, and its leases are over when others look at them.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from ..events import Clock
from ..jobstores.base import BaseJobStore

MEASURE_EVERY: Final = 10_000_000
"""µs between two questions for the server's time."""

NOTICEABLE: Final = 1.0
"""Seconds: a larger offset is warned about."""


class Verdict(Enum):
    """What is to be said of an offset."""

    NOTHING = "nothing"
    NOTICEABLE = "noticeable"
    TOO_FAR = "too far"
    AGREES_AGAIN = "agrees again"


class ClockWatch:
    """The clock of one store's server beside this process's. Used by the loop, one step after the other."""

    def __init__(self, clock: Clock, limit: float) -> None:
        self._clock = clock
        self.limit = limit
        """Seconds: beyond it, nothing is claimed."""
        self.too_far = False
        """Whether the clocks were too far apart when they were compared last."""
        self.offset = 0.0
        """Seconds by which this clock was ahead of the server's then."""
        self._noticed = False
        # µs UTC; None: never. A clock that is moved by hand has nothing to do with any server's.
        self.measure_at: int | None = 0 if clock.is_real else None

    def must_measure(self, now: int) -> bool:
        """Whether the server is to be asked for its time."""
        return self.measure_at is not None and now >= self.measure_at

    def soon(self) -> None:
        """Ask at the next look: the store was away, or this process's clock was set."""
        if self.measure_at is not None:
            self.measure_at = 0

    def measure(self, store: BaseJobStore) -> float:
        """Seconds by which this clock is surely ahead of the server's (behind, if negative). One small round trip; may raise.

        The server has read its clock at some moment between question and answer: what lies within that time counts as no offset. Read as
        Cristian's algorithm (1989) has it, that is the offset from the middle of the round trip, less half of that.
        """
        asked = self._clock.micros()
        theirs = store.server_time()
        answered = self._clock.micros()
        # None: it has no clock, and will not get one.
        self.measure_at = None if theirs is None else answered + MEASURE_EVERY
        if theirs is None or asked <= theirs <= answered:
            return 0.0
        # A clock that is set back within the round trip is measured wrong once; the loop sees that it was, and asks again.
        nearest = asked if theirs < asked else answered
        return (nearest - theirs) / 1_000_000

    def judge(self, offset: float) -> Verdict:
        """What is to be said: of each episode once, that it has begun, and that one which kept this process from claiming is over."""
        was_too_far, was_noticed = self.too_far, self._noticed
        self.offset, self.too_far = offset, abs(offset) > self.limit
        self._noticed = self.too_far or abs(offset) > NOTICEABLE
        if self.too_far:
            return Verdict.NOTHING if was_too_far else Verdict.TOO_FAR
        if was_too_far:
            return Verdict.AGREES_AGAIN
        return Verdict.NOTICEABLE if self._noticed and not was_noticed else Verdict.NOTHING
