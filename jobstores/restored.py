"""`RestoredJobs`: the jobs that this process has made from records, and those which it could not make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from .errors import JobRestoreError, described
from .job import Job
from .record import Record
from .serialization.references import check_callable_args

if TYPE_CHECKING:
    from .recordstore import RecordJobStore

MAX_KNOWN_JOBS: Final = 100_000
"""So many restored jobs are kept for claims; the oldest goes first."""

RETRY_QUARANTINED: Final = 60_000_000
"""µs after which a job that could not be restored is tried again, though nobody has changed it: its module may have come."""

MAX_TRIED: Final = 1_000
"""So many, at most, are tried to be restored in one claim beyond those there is room for."""


@dataclass(slots=True)
class _Known:
    """A restored job, as long as its record's incarnation and revision are these."""

    incarnation: int
    revision: int
    job: Job
    payload: Any
    """Kept where the arguments could be changed by a run; the next run then gets new ones."""


@dataclass(slots=True)
class _Quarantined:
    revision: int
    reason: str
    retry_at: int


class RestoredJobs:
    """A cache by id and revision, so that a claim of a known job reads no payload, and the quarantine beside it.

    Thread-safe: each operation on the two dicts is one step under the interpreter lock, and an entry that a race loses only costs
    another restore.
    """

    def __init__(self, store: RecordJobStore) -> None:
        self._store = store
        self._known: dict[str, _Known] = {}
        self._quarantined: dict[str, _Quarantined] = {}
        self.tries = 0
        """So many records may be tried to be restored in one claim, beyond those there is room for."""

    def tried(self, failed: int) -> None:
        """So many of the records of a claim cannot be restored.

        Where there are many, those behind them do not wait until each had a place among the workers: twice as many are tried each time.
        """
        self.tries = min(MAX_TRIED, self.tries + 2 * failed) if failed else 0

    def get(self, record: Record) -> Job | None:
        """The job of a record, if it is known as it stands now."""
        known = self._known.get(record.id)
        if known is None or known.revision != record.revision or known.incarnation != record.incarnation:
            return None
        if known.job.executor != record.executor:  # no edit has done that
            return None
        return known.job

    def keep(self, record: Record, job: Job) -> None:
        """Keep a restored job for claims. It is this cache's own: no caller may hold it."""
        self._quarantined.pop(record.id, None)
        self._dress(job)
        if len(self._known) >= MAX_KNOWN_JOBS:
            self._known.pop(next(iter(self._known), ""), None)
        payload = None if is_immutable(job) else record.payload
        self._known[record.id] = _Known(record.incarnation, record.revision, job, payload)

    def for_run(self, record: Record, job: Job) -> Job:
        """The job for one run: with arguments of its own where a run could change them. Imports the user's modules."""
        known = self._known.get(record.id)
        if known is None or known.job is not job or known.payload is None:
            return job
        try:
            fresh = self._store._unpack(replace(record, payload=known.payload))
        except Exception as exc:  # it could be made a moment ago: the run gets the kept one
            self._store._logger.warning(
                "Job %r cannot be restored again, its kept arguments are used: %s", record.id, exc
            )
            return job
        self._dress(fresh)
        self.moved(fresh, record)
        return fresh

    def moved(self, job: Job, record: Record) -> None:
        """A claim has moved the job's schedule: what executors and the log show of it is as the record has it now."""
        job._record, job._next_run_time = record, record.next_run_time

    def forget(self, job_id: str) -> None:
        """The job is no longer in the store."""
        self._known.pop(job_id, None)
        self._quarantined.pop(job_id, None)

    def clear(self) -> None:
        """No job is left in the store."""
        self._known.clear()
        self._quarantined.clear()

    def quarantine(self, record: Record, exc: BaseException) -> JobRestoreError:
        """Keep a record out of this process's claims until somebody changes it, or for a minute; answers the error for it."""
        scheduler = self._store._scheduler
        now = scheduler.clock.micros() if scheduler is not None else 0
        return self._note(record, exc, now + RETRY_QUARANTINED)

    def not_shown(self, record: Record, exc: BaseException) -> JobRestoreError:
        """A caller could not be shown the job: it is listed as one in quarantine; answers the error for it.

        Whether it is kept out of claims they find out themselves, when it is due, and say it then: also if it was known so far.
        """
        self._known.pop(record.id, None)
        entry = self._quarantined.get(record.id)
        tried = entry is not None and entry.revision == record.revision
        return self._note(record, exc, entry.retry_at if entry and tried else 0)

    def shown(self, record: Record, job: Job) -> None:
        """A caller is shown the job: if it can be run, too, it is in quarantine no longer."""
        if record.id in self._quarantined:
            try:
                check_callable_args(job.func, job.args, job._kwargs or {})
            except Exception:  # as in a claim
                return
            self._quarantined.pop(record.id, None)

    def _note(self, record: Record, exc: BaseException, retry_at: int) -> JobRestoreError:
        reason = described(exc)
        self._quarantined[record.id] = _Quarantined(record.revision, reason, retry_at)
        error = JobRestoreError(f"job {record.id!r} cannot be restored by this process: {reason}")
        error.__cause__ = exc
        return error

    def is_quarantined(self, record: Record, now: int) -> bool:
        """Whether the record is to be passed over at `now`."""
        entry = self._quarantined.get(record.id)
        return entry is not None and entry.revision == record.revision and now < entry.retry_at

    def quarantined_until(self, record: Record) -> int | None:
        """When the record is tried again; None if it is not in quarantine as it stands now."""
        entry = self._quarantined.get(record.id)
        return None if entry is None or entry.revision != record.revision else entry.retry_at

    def quarantined(self, records: Sequence[Record] | None) -> list[tuple[str, str]]:
        """The ids in quarantine, each with the reason: all, or those of `records` that nobody has changed since."""
        entries = sorted(self._quarantined.items())
        if records is None:
            return [(job_id, entry.reason) for job_id, entry in entries]
        revisions = {record.id: record.revision for record in records} if entries else {}
        return [
            (job_id, entry.reason) for job_id, entry in entries if revisions.get(job_id) == entry.revision
        ]

    def _dress(self, job: Job) -> None:
        job._scheduler, job._jobstore_alias = self._store._scheduler, self._store._alias


_IMMUTABLE: Final = (type(None), bool, int, float, complex, str, bytes)


def is_immutable(job: Job) -> bool:
    """Whether no run can change the job's arguments for the next one."""
    return not job._kwargs and all(type(argument) in _IMMUTABLE for argument in job.args)
