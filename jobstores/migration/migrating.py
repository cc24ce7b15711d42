"""`migrate`: the jobs of an APScheduler 3 job store into one of mainspring's, all or none, or only a report on what that would be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import islice
from typing import Any, Final, Literal

from ...events import SystemClock
from ..base import BaseJobStore
from ..errors import UnsupportedSerializationError, described
from ..record import is_over
from ..serialization.allowlist import AllowedCallables
from ..serialization.serializer import Serializer
from ..sharedstore import SharedJobStore
from ..transfer import Arrival, ConflictingIdsError, Progress, Refused, import_jobs_into
from ..transfer.storage import known
from .jobs import OldJob, Reader, UntakableJobError
from .oldstore import OldStore, opened
from .renaming import Renaming
from .report import JobOutcome, MigrationRefusedError, MigrationReport
from .target import made_target

__all__ = ["migrate"]

_BATCH: Final = 500
_TAKEN: Final = 'its id is taken in the new job store; on_conflict="skip" leaves the job there alone'


def migrate(
    source: Any,
    target: BaseJobStore | str | None = None,
    *,
    dry_run: bool = True,
    allow: Iterable[str] = (),
    rename: Mapping[str, str] | None = None,
    check_callables: bool = False,
    skip_refused: bool = False,
    on_conflict: Literal["error", "skip"] = "error",
    source_options: Mapping[str, Any] | None = None,
    target_options: Mapping[str, Any] | None = None,
    on_progress: Callable[[Progress], object] | None = None,
    on_outcome: Callable[[JobOutcome], object] | None = None,
) -> MigrationReport:
    """Take the jobs of an APScheduler 3 job store over into one of mainspring's. The old one is only read.

    Stop every scheduler that uses the old store first: what changes there while it is read is seen, but what runs there afterwards
    would run twice.

    source: the old store: a URL (`sqlite:///…`, `postgresql+psycopg://…`, `mysql+pymysql://…`, `redis://…`, `mongodb://…`,
        `zookeeper://host:port/path`), an SQLAlchemy engine, or a client of redis-py, PyMongo or kazoo (started). `source_options`
        are APScheduler's names for where the jobs are: `tablename`, `tableschema`; `jobs_key`, `run_times_key`; `database`,
        `collection`; `path`.
    target: the new store, or its URL, with `target_options` for its constructor. A store that no scheduler has started is opened
        here and closed again. None: only a report, as for a store that writes JSON.
    dry_run: report what would come of it, and write no job. The target is opened, which makes its tables if it has none.
    allow: module prefixes (`"shop"`) and references (`"shop.models:Order"`) of classes that arguments may hold. They are
        **imported and called, with what the old store says**: allow none unless you trust whoever could write to it. Nothing else of
        what is pickled is looked up. Functions of jobs are not imported.
    rename: what has moved since: modules (`{"shop.tasks": "shop.jobs"}`) or references.
    check_callables: import each job's function, and refuse jobs whose function is not there or does not take their arguments.
    skip_refused: take the others if some cannot be taken. Otherwise `MigrationRefusedError`, and nothing is written.
    on_conflict: what becomes of a job whose id is taken in the target: it counts as refused (`"error"`), or is left out (`"skip"`).
    on_progress: called with a `Progress` after each batch; on_outcome: with each job's `JobOutcome`, in the order of their ids. What they
        raise ends the migration, and undoes what it had written.

    Jobs arrive all or none: hidden until all are there. A migration that is killed is finished or undone by the next call.
    Memory does not grow with the jobs, but for ids of those that are written or left out.

    Raises OldStoreError if the old store cannot be read, JobStoreError if the new one fails, `ImportInProgressError` if another import into it has
    not ended, TypeError or ValueError for arguments that make no sense.
    """
    if on_conflict not in ("error", "skip"):
        raise ValueError(f'on_conflict must be "error" or "skip", got {on_conflict!r}')
    if target is None and not dry_run:
        raise TypeError("where to write to? Give the new job store as target, or leave it at a dry run")
    allowed = [allow] if isinstance(allow, str) else [*allow]
    with ExitStack() as stack:
        old = stack.enter_context(opened(source, dict(source_options or {})))
        new = stack.enter_context(_opened_target(target, dict(target_options or {})))
        now = SystemClock().micros()
        # What keeps jobs in memory needs their functions; other stores only their references.
        imports = check_callables or not isinstance(new, SharedJobStore | None)
        reader = Reader(AllowedCallables(allowed) if allowed else None, Renaming(rename or {}), imports, now)
        migration = _Migration(
            old,
            new,
            reader,
            MigrationReport(old.where, None if new is None else _shown(new), dry_run),
            skip_refused,
            on_conflict == "skip",
            on_progress or (lambda progress: None),
            on_outcome or (lambda outcome: None),
        )
        return migration.dry_run() if dry_run else migration.write(now)


@contextmanager
def _opened_target(
    target: BaseJobStore | str | None, options: dict[str, Any]
) -> Iterator[BaseJobStore | None]:
    if options and not isinstance(target, str):
        raise TypeError(f"target_options are for a target that is given as a URL: {', '.join(options)}")
    store = made_target(target, options) if isinstance(target, str) else target
    if store is None or store._scheduler is not None:
        yield store
        return
    if not isinstance(store, BaseJobStore):
        raise TypeError(f"target must be a job store of mainspring's, or a URL, got {type(store).__name__}")
    store.start(None, "migration")
    try:
        yield store
    finally:
        store.shutdown()


def _shown(store: BaseJobStore) -> str:
    return repr(store).strip("<>")


class _Migration:
    """One call of `migrate`."""

    def __init__(
        self,
        old: OldStore,
        new: BaseJobStore | None,
        reader: Reader,
        report: MigrationReport,
        skip_refused: bool,
        skip_taken: bool,
        on_progress: Callable[[Progress], object],
        on_outcome: Callable[[JobOutcome], object],
    ) -> None:
        self._old = old
        self._new = new
        self._reader = reader
        self._report = report
        self._skip_refused = skip_refused
        self._skip_taken = skip_taken
        self._on_progress = on_progress
        self._on_outcome = on_outcome
        self._total: int | None = None
        self._left_out: set[str] = set()
        self._passes = 0
        self._serializer = Serializer()

    def dry_run(self) -> MigrationReport:
        self._total = self._old.count()
        done = 0
        for batch in self._batches():
            for outcome, _ in self._judged(batch):
                self._note(outcome)
            done += len(batch)
            self._on_progress(Progress("checking", done, self._total))
        return self._report

    def write(self, now: int) -> MigrationReport:
        assert self._new is not None
        self._total = self._old.count()
        try:
            imported = import_jobs_into(
                self._new,
                self._arrivals,
                name=f"APScheduler 3: {self._old.where}",
                now=now,
                on_conflict="skip" if self._skip_taken else "error",
                on_progress=self._tell,
            )
        except ConflictingIdsError as error:
            # Added by somebody else, since they were looked up here.
            for job_id in error.job_ids:
                self._report.taken -= 1
                self._note(JobOutcome(job_id, "refused", _TAKEN))
            raise MigrationRefusedError(self._report) from error
        report = self._report
        report.written = True
        if imported.resumed:
            report.resumed, report.taken = True, imported.imported
        else:
            report.skipped += report.taken - imported.imported
            report.taken = imported.imported
        return report

    def _tell(self, progress: Progress) -> None:
        self._on_progress(replace(progress, total=self._total) if progress.phase == "checking" else progress)

    # -- the source of the import ------------------------------------------------------------------------------------

    def _arrivals(self) -> Iterator[Arrival | Refused]:
        """All jobs that can be taken. The first time they are judged; if some cannot be taken, that ends the import before it has written."""
        self._passes += 1
        if self._passes > 1:
            for old in self._old.jobs():
                if old.id in self._left_out:
                    continue
                try:
                    yield self._reader.arrival(old)[0]
                except UntakableJobError as error:
                    yield Refused(old.id, str(error))  # it has changed since
            return
        for batch in self._batches():
            for outcome, arrival in self._judged(batch):
                self._note(outcome)
                if arrival is None:
                    self._left_out.add(outcome.job_id)
                else:
                    yield arrival
        if self._report.refused and not self._skip_refused:
            raise MigrationRefusedError(self._report)

    def _note(self, outcome: JobOutcome) -> None:
        self._report.add(outcome)
        self._on_outcome(outcome)

    def _batches(self) -> Iterator[list[OldJob]]:
        jobs = iter(self._old.jobs())
        while batch := list(islice(jobs, _BATCH)):
            yield batch

    def _judged(self, batch: list[OldJob]) -> Iterator[tuple[JobOutcome, Arrival | None]]:
        taken: set[str] = set()
        if self._new is not None:
            found = known(self._new, [old.id for old in batch])
            # What a migration that was killed has left is none of it: that is undone, or finished, before anything is written.
            taken = {record.id for record in found if record.state != "importing" and not is_over(record)}
        for old in batch:
            if old.id in taken:
                kind: Literal["skipped", "refused"] = "skipped" if self._skip_taken else "refused"
                yield JobOutcome(old.id, kind, _TAKEN if kind == "refused" else None), None
                continue
            try:
                arrival, notes = self._reader.arrival(old)
                self._check_packing(arrival)
            except UntakableJobError as error:
                yield JobOutcome(old.id, "refused", str(error)), None
            else:
                yield JobOutcome(old.id, "taken", None, tuple(notes), arrival.job.func_ref), arrival

    def _check_packing(self, arrival: Arrival) -> None:
        try:
            if self._new is not None:
                self._new.pack(arrival.job)
            else:
                self._serializer.dumps(arrival.job.id, arrival.job.__getstate__() | {"next_run_time": None})
        except UnsupportedSerializationError as error:
            raise UntakableJobError(str(error)) from None
        except Exception as error:  # packing calls what the authors of the arguments' classes wrote
            raise UntakableJobError(described(error)) from None
