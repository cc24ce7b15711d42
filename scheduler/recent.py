"""`RecentRuns`: how the last runs of each job ended, as far as this process has seen them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo
from threading import Lock
from typing import Final, TypeAlias

from ..events import Clock
from ..jobstores.record import Run
from ..triggers.instants import from_micros

KEPT_RUNS: Final = 5
"""So many of each job."""

KEPT_JOBS: Final = 10_000
"""Of so many jobs; the one that was heard of first goes first."""

_Entry: TypeAlias = tuple[int, "Run | None", str, int, str]


@dataclass(frozen=True, slots=True)
class RecentRun:
    """What came of one run of a job in this process."""

    at: datetime
    """When it ended, or was given up."""
    outcome: str
    """`"executed"`, `"failed"`, `"timed out"`, `"missed"`, `"skipped"` (no room), `"not started"`, `"lost"`."""
    details: str
    """The exception, or the reason; empty for what was executed."""
    scheduled_run_time: datetime | None
    attempt: int
    run_id: int | None


class RecentRuns:
    """A short memory, for `explain_job`. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = Lock()
        self._entries: dict[tuple[str, str], tuple[_Entry, ...]] = {}

    def note(self, jobstore: str, job_id: str, run: Run | None, what: str, place: int, details: str) -> None:
        """A run of a job ended here. `place` is that of the run time in question; -1: the last one.

        Called for every single run: what is shown of an entry is made when somebody asks. Two workers that end runs of one job at the same
        moment may leave one of the two out, which is not worth a lock.
        """
        entry = (self._clock.micros(), run, what, place, details)
        key = (jobstore, job_id)
        known = self._entries.get(key)
        if known is not None:
            self._entries[key] = (entry, *known[: KEPT_RUNS - 1])
            return
        with self._lock:  # only here does the dict grow, and shrink
            if len(self._entries) >= KEPT_JOBS:
                del self._entries[next(iter(self._entries))]
            self._entries[key] = (entry,)

    def of(self, jobstore: str, job_id: str, zone: tzinfo) -> tuple[RecentRun, ...]:
        """The last runs of a job, the latest first."""
        return tuple(
            RecentRun(
                from_micros(at, zone),
                what,
                details,
                None if run is None else from_micros(run.run_times[place], zone),
                1 if run is None else run.attempt,
                None if run is None else run.run_id,
            )
            for at, run, what, place, details in self._entries.get((jobstore, job_id), ())
        )
