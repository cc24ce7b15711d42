"""`RecentRuns`: how the last runs of each job ended, as far as this process has seen them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo
from struct import Struct
from typing import Final

from ..events import Clock
from ..jobstores.record import Run
from ..triggers.instants import from_micros

KEPT_RUNS: Final = 5
"""So many of each job."""

KEPT_JOBS: Final = 10_000
"""Of so many jobs at least, and of twice as many at most."""


@dataclass(frozen=True, slots=True)
class RecentRun:
    """What came of one run of a job in this process."""

    at: datetime
    """When it ended, or was given up."""
    outcome: str
    """`"executed"`, `"failed"`, `"timed out"`, `"missed"`, `"skipped"` (no room), `"not started"`, `"lost"`."""
    details: str
    """The exception, or the reason; empty for what was executed."""
    scheduled_run_time: datetime
    attempt: int
    run_id: int | None


class RecentRuns:
    """A short memory of one job store's runs, for `explain_job`. Thread-safe.

    Two dicts: what is noted goes into the young one, and when that is full it becomes the old one, and the old one is forgotten. So no
    entry is ever searched for to be thrown away. The numbers of an entry are packed into bytes: a tuple for each run would have the garbage
    collector run more often, which costs more than all the rest.
    """

    def __init__(self, clock: Clock) -> None:
        self._micros = clock.micros
        self._young: dict[str, bytes] = {}
        self._old: dict[str, bytes] = {}
        self._details: dict[str, tuple[tuple[int, str], ...]] = {}

    def note(self, job_id: str, run: Run | int, what: str, details: str = "", place: int = -1) -> None:
        """A run of a job ended here, or was given up before it was one: then its run time (µs UTC) stands for it.

        `place` is that of the run time in question; -1: the last one.

        What is shown of it is made when somebody asks.
        """
        now = self._micros()
        if details:
            self._keep_details(job_id, now, details)
        if isinstance(run, int):
            self._enter(job_id, _pack(now, run, 0, 1, _OUTCOMES[what]))
        else:
            self._enter(job_id, _pack(now, run.run_times[place], run.run_id, run.attempt, _OUTCOMES[what]))

    def executed(self, job_id: str, run: Run, now: int) -> None:
        """The same of a run that went well (`now`, µs UTC), which nearly all do, in as few steps as can be."""
        times, root = run.fire_times, run.root
        time = run.due if len(times) == 1 and run.kind == "schedule" else times[-1]
        self._enter(job_id, _pack(now, time, run.run if root is None else root, run.attempt, _EXECUTED))

    def _enter(self, job_id: str, entry: bytes) -> None:
        # Each step on a dict is one under the interpreter lock. Two workers that note runs of one job at the same moment may leave one of
        # the two out, and two that find the young dict full may forget the old one twice: not worth a lock.
        young = self._young
        known = young.get(job_id)
        if known is None:
            known = self._old.get(job_id)
            if len(young) >= KEPT_JOBS:
                self._old, self._young = young, {}
                young = self._young
        young[job_id] = entry if known is None else entry + known[:_REST]

    def of(self, job_id: str, zone: tzinfo) -> tuple[RecentRun, ...]:
        """The last runs of a job, the latest first."""
        known = self._young.get(job_id) or self._old.get(job_id) or b""
        # What happened at one moment (in virtual time, say) stands in the same order there as here.
        details = list(self._details.get(job_id, ()))

        def details_of(at: int, what: int) -> str:
            for place, (noted_at, text) in enumerate(details):
                if noted_at == at and what != _EXECUTED:
                    del details[: place + 1]
                    return text
            return ""

        return tuple(
            RecentRun(
                from_micros(at, zone),
                _NAMES[what],
                details_of(at, what),
                from_micros(time, zone),
                attempt,
                run_id or None,
            )
            for at, time, run_id, attempt, what in _ENTRY.iter_unpack(known)
        )

    def _keep_details(self, job_id: str, now: int, details: str) -> None:
        kept = ((now, details), *self._details.pop(job_id, ()))
        if len(self._details) >= 2 * KEPT_JOBS:
            self._details.clear()
        self._details[job_id] = kept[:KEPT_RUNS]


_ENTRY: Final = Struct("<qqqqq")
_pack: Final = _ENTRY.pack
_REST: Final = _ENTRY.size * (KEPT_RUNS - 1)
_NAMES: Final = ("executed", "failed", "timed out", "missed", "skipped", "not started", "lost")
_OUTCOMES: Final = {name: number for number, name in enumerate(_NAMES)}
_EXECUTED: Final = 0
"""The only outcome that has no details."""
