"""`Mover`: what `export_jobs` and `import_jobs` do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from ...events import EVENT_JOB_ADDED, JobEvent
from ...jobstores.base import BaseJobStore
from ...jobstores.errors import described
from ...jobstores.job import Job
from ...jobstores.record import Plan, Record
from ...jobstores.transfer.document import Document, File, opened, write_document
from ...jobstores.transfer.entries import PendingArrival, arrival_of, reading_serializer
from ...jobstores.transfer.errors import ConflictingIdsError, JobExportError, JobImportError
from ...jobstores.transfer.exporting import Exporter, pending_entry
from ...jobstores.transfer.importing import check_on_conflict, check_on_progress, import_jobs_into
from ...jobstores.transfer.values import (
    Arrival,
    ExportReport,
    ImportReport,
    OnConflict,
    OnProgress,
    Progress,
    Refused,
)
from ..engine import Engine
from ..errors import SchedulerNotRunningError
from ..inserting import NewJob
from ..jobs import JobMethods
from ..planning import Undefined, undefined
from ..port import Port


class Mover:
    """One call of `export_jobs` or `import_jobs`."""

    def __init__(self, scheduler: JobMethods) -> None:
        self._scheduler = scheduler

    def export_jobs(
        self,
        outfile: File,
        jobstore: str | None,
        on_error: Literal["error", "skip"],
        on_progress: OnProgress | None,
    ) -> ExportReport:
        """See `MovingMethods.export_jobs`."""
        self._scheduler._check_process()
        if on_error not in ("error", "skip"):
            raise ValueError(f'on_error must be "error" or "skip", got {on_error!r}')
        check_on_progress(on_progress)
        with self._scheduler._lock:
            pending = [new for new in self._scheduler._pending.values() if jobstore in (None, new.jobstore)]
            stopped = self._scheduler._engine is None
            known = stopped and jobstore in ("default", *self._scheduler._jobstores)
        ports = self._scheduler._ports_of(jobstore)
        if jobstore is not None and not (known or ports or pending):
            raise KeyError(f"No such job store: {jobstore}")
        if stopped and not pending:
            raise SchedulerNotRunningError  # its stores may be full: an empty file would look like a backup of them
        export = _Export([(port.store, port.alias) for port in ports], pending, on_error, on_progress)
        number = write_document(outfile, export.entries())
        self._scheduler._logger.info("Exported jobs: %d", number)
        for job_id, reason in export.left_out:
            self._scheduler._logger.warning('Job "%s" was not exported: %s', job_id, reason)
        if export.going_on:
            self._scheduler._logger.warning(
                "Runs that went on while jobs were exported: %d. They stay with the schedulers that have claimed them; the file has what comes behind "
                "them, and no retry that may follow them",
                export.going_on,
            )
        return ExportReport(number, tuple(export.left_out), export.going_on)

    def import_jobs(
        self,
        infile: File,
        jobstore: str,
        on_conflict: OnConflict,
        on_progress: OnProgress | None,
    ) -> ImportReport:
        """See `MovingMethods.import_jobs`."""
        self._scheduler._check_process()
        check_on_conflict(on_conflict)
        check_on_progress(on_progress)
        with opened(infile) as document:
            engine = self._scheduler._engine if self._scheduler.state else None
            if engine is None:
                news = self._read_pending(document, jobstore, on_conflict, on_progress)
                engine = self._scheduler._pend(news.added)
                if engine is None:
                    return ImportReport(len(news.added), tuple(news.skipped))
            # Its start may have come between: then the jobs are imported into the store.
            return self._import_into(engine, document, jobstore, on_conflict, on_progress)

    def _import_into(
        self,
        engine: Engine,
        document: Document,
        jobstore: str,
        on_conflict: OnConflict,
        on_progress: OnProgress | None,
    ) -> ImportReport:
        port = self._scheduler._port(engine, jobstore)
        store = port.store
        aliases: set[str] = set()

        def released(records: list[Record]) -> None:
            aliases.update(record.executor for record in records)
            self._announce_imported(port, records)

        try:
            report = import_jobs_into(
                store,
                lambda: self._arrivals(engine, document, store),
                name=document.digest,
                now=engine.clock.micros(),
                on_conflict=on_conflict,
                on_progress=on_progress,
                on_released=released,
            )
        finally:
            for alias in aliases:
                if alias not in self._scheduler._executors:
                    engine.unknown_executor(port, alias)
            if aliases:
                engine.look_again(port)
        self._scheduler._logger.info('Imported jobs into job store "%s": %d', port.alias, report.imported)
        return report

    def _announce_imported(self, port: Port, records: list[Record]) -> None:
        if self._scheduler._wants(EVENT_JOB_ADDED):
            for record in records:
                self._scheduler._dispatch_event(JobEvent(EVENT_JOB_ADDED, record.id, port.alias))

    def _arrivals(
        self, engine: Engine, document: Document, store: BaseJobStore
    ) -> Iterator[Arrival | Refused]:
        serializer = reading_serializer(store)
        for number, entry in enumerate(document, 1):
            arrival = arrival_of(entry, number, serializer)
            yield self._scheduled(engine, arrival) if isinstance(arrival, PendingArrival) else arrival

    def _scheduled(self, engine: Engine, arrival: PendingArrival) -> Arrival | Refused:
        """A job that was exported before its scheduler was started gets its schedule now, as `add_job` gives it one."""
        job = arrival.job
        new = NewJob(job, "", False, arrival.schedule.get("next_run_time", undefined))
        try:
            job.trigger = self._scheduler._bound(engine, new)
            return Arrival(job, self._scheduler._plan(engine, new, job.trigger))
        except Exception as exc:  # a user's trigger may raise anything
            return Refused(job.id, described(exc))

    def _read_pending(
        self, document: Document, jobstore: str, on_conflict: OnConflict, on_progress: OnProgress | None
    ) -> _PendingImport:
        """The jobs of a file, as they wait for the start of the scheduler."""
        serializer = reading_serializer(self._scheduler._jobstores.get(jobstore))
        news = _PendingImport()
        with self._scheduler._lock:
            taken = {new.job.id for new in self._scheduler._pending.values() if new.jobstore == jobstore}
        for number, entry in enumerate(document, 1):
            arrival = arrival_of(entry, number, serializer)
            if isinstance(arrival, Refused):
                news.problems.append((arrival.job_id, arrival.reason))
                continue
            job = arrival.job
            if job.id in news.ids:
                news.problems.append((job.id, "its id is there twice"))
            elif isinstance(arrival, Arrival) and arrival.runs:
                news.problems.append(
                    (
                        job.id,
                        "it has runs that wait or were lost, which only a store can keep: start the scheduler first, with start(paused=True) for one",
                    )
                )
            elif job.id in taken:
                news.skipped.append(job.id)
            else:
                news.add(self._pending_arrival(arrival, jobstore))
            news.ids.add(job.id)
        if news.problems:
            raise JobImportError(news.problems)
        if news.skipped and on_conflict == "error":
            raise ConflictingIdsError(news.skipped)
        if on_progress is not None:
            on_progress(Progress("checking", len(news.ids), len(news.ids)))
        return news

    def _pending_arrival(self, arrival: Arrival | PendingArrival, jobstore: str) -> NewJob:
        job = arrival.job
        job._scheduler = self._scheduler
        if isinstance(arrival, PendingArrival):
            return NewJob(job, jobstore, False, arrival.schedule.get("next_run_time", undefined))
        plan: Plan = arrival.plan
        return NewJob(job, jobstore, False, plan.next_run_time, plan)


class _PendingImport:
    """What became of the jobs of a file that are to wait for the start of the scheduler."""

    def __init__(self) -> None:
        self.added: list[NewJob] = []
        self.skipped: list[str] = []
        self.problems: list[tuple[str, str]] = []
        self.ids: set[str] = set()

    def add(self, new: NewJob) -> None:
        self.added.append(new)


class _Export:
    """What goes into a file, and what came of it."""

    def __init__(
        self,
        stores: list[tuple[BaseJobStore, str]],
        pending: list[NewJob],
        on_error: str,
        on_progress: OnProgress | None,
    ) -> None:
        self._exporters = [Exporter(store, alias) for store, alias in stores]
        self._pending = pending
        self._on_error = on_error
        self._on_progress = on_progress or (lambda progress: None)
        self.left_out: list[tuple[str, str]] = []
        self.going_on = 0

    def entries(self) -> Iterator[bytes]:
        """Each job as JSON. Raises `JobExportError` at the end if there are some that cannot be exported, and are not to be left out."""
        done = 0
        for entry in self._all():
            yield entry
            done += 1
            if done % 1_000 == 0:
                self._on_progress(Progress("exporting", done, None))
        if self.left_out and self._on_error == "error":
            raise JobExportError(self.left_out)
        self._on_progress(Progress("exporting", done, done))

    def _all(self) -> Iterator[bytes]:
        for exporter in self._exporters:
            yield from exporter.entries()
            self.left_out += [(refused.job_id, refused.reason) for refused in exporter.refused]
            self.going_on += exporter.going_on
        for new in self._pending:
            job: Job = new.job
            time = new.next_run_time
            schedule = {} if isinstance(time, Undefined) else {"next_run_time": time}
            try:
                entry = pending_entry(job, new.jobstore, new.plan or schedule)
            except Exception as exc:  # what its arguments' classes' authors wrote
                self.left_out.append((job.id, described(exc)))
            else:
                yield entry
