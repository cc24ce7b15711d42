"""`RecentRuns`: how the last runs of each job ended, as far as this process has seen them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final, TypeAlias

from ..events import Clock
from ..jobstores.record import Run
from ..triggers.instants import from_micros

KEPT_RUNS: Final = 5
"""So many of each job."""

KEPT_JOBS: Final = 10_000
"""Of so many jobs at least, and of twice as many at most."""

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
    """A short memory, for `explain_job`. Thread-safe.

    Two dicts: what is noted goes into the young one, and when that is full it becomes the old one, and the old one is forgotten. So no
    entry is ever searched for to be thrown away.
    """

    def __init__(self, clock: Clock) -> None:
        self._micros = clock.micros
        self._young: dict[tuple[str, str], tuple[_Entry, ...]] = {}
        self._old: dict[tuple[str, str], tuple[_Entry, ...]] = {}

    def note(self, jobstore: str, job_id: str, run: Run | None, what: str, place: int, details: str) -> None:
        """A run of a job ended here. `place` is that of the run time in question; -1: the last one.

        Called for every single run: what is shown of an entry is made when somebody asks. Each step on a dict is one under the interpreter
        lock; two workers that note runs of one job at the same moment may leave one of the two out, and two that find the young dict full may
        forget the old one twice: not worth a lock.
        """
        entry = (self._micros(), run, what, place, details)
        key = (jobstore, job_id)
        young = self._young
        known = young.get(key)
        if known is None:
            known = self._old.get(key)
        if len(young) >= KEPT_JOBS:
            self._old, self._young = young, {}
            young = self._young
        young[key] = (entry,) if known is None else (entry, *known[: KEPT_RUNS - 1])

    def of(self, jobstore: str, job_id: str, zone: tzinfo) -> tuple[RecentRun, ...]:
        """The last runs of a job, the latest first."""
        key = (jobstore, job_id)
        return tuple(
            RecentRun(
                from_micros(at, zone),
                what,
                details,
                None if run is None else from_micros(run.run_times[place], zone),
                1 if run is None else run.attempt,
                None if run is None else run.run_id,
            )
            for at, run, what, place, details in self._young.get(key) or self._old.get(key) or ()
        )
