"""The claim window: how many runs an executor is given ahead of its workers, so that no process hoards what another could run."""

from __future__ import annotations

import itertools
from typing import Final

HORIZON: Final = 0.1
"""Seconds: what an executor will start within these is claimed for it, not more."""


class ClaimWindow:
    """How many runs one executor will start in the next tenth of a second.

    Never below its idle workers; doubled while it starts everything it was given; what it would run at the pace that was seen, when it has
    ended everything; else what it has been seen to start. A process that claimed all that is due would hoard runs in its own queue
    (500 due jobs of 50 ms, two processes: 200 run in time instead of 400).
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 1
        self._workers = 0
        self._given = 0
        # Counted by the workers, which hold no lock then: next() of a count is one step under the interpreter lock.
        self._starts = itertools.count(1)
        self._started = 0
        self._measured_from: tuple[float, int] | None = None

    def room(self, idle: int, waiting: int, now: float) -> int:
        """How many runs may be claimed at `now` (monotonic seconds), with so many idle workers and so many runs in the queue."""
        started = self._started
        if self._measured_from is None:
            self._measured_from = (now, started)
        since, before = self._measured_from
        self._workers = max(self._workers, idle)
        if waiting == 0 and self._given and started >= self._given:
            # It has started all that it was given since the last look: it can take more than that.
            if self._given > before or idle:
                size = self._size * 2
                if idle == self._workers and now > since:
                    # And has ended all of it, too: what it did in that time is a pace. (A start alone is none: an idle worker
                    # starts at once, and may be busy for an hour.)
                    size = max(size, int((started - before) * HORIZON / (now - since)))
                self._size = min(self._limit, max(size, idle))
            self._measured_from = (now, started)
        elif now - since >= HORIZON:
            self._size = max(1, min(self._limit, int((started - before) * HORIZON / (now - since))))
            self._measured_from = (now, started)
        return max(0, min(self._limit, max(self._size, idle + waiting)) - waiting)

    def give(self, runs: int) -> None:
        """So many runs were claimed for the executor; called by the loop only."""
        self._given += runs

    def start(self) -> bool:
        """A worker starts a run; True when the window is half empty by it, so that the loop should look again."""
        started = self._started = next(self._starts)
        return (self._given - started) * 2 <= self._size
