"""`MovingMethods`: jobs out of a scheduler's stores into a file, and from a file into one of them: `export_jobs`, `import_jobs`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from ..events import EVENT_JOB_ADDED, JobEvent
from ..jobstores.base import BaseJobStore
from ..jobstores.errors import described
from ..jobstores.job import Job
from ..jobstores.record import Plan, Record
from ..jobstores.transfer.document import Document, File, opened, write_document
from ..jobstores.transfer.entries import PendingArrival, arrival_of, reading_serializer
from ..jobstores.transfer.errors import ConflictingIdsError, JobExportError, JobImportError
from ..jobstores.transfer.exporting import Exporter, pending_entry
from ..jobstores.transfer.importing import check_on_conflict, import_jobs_into
from ..jobstores.transfer.values import (
    Arrival,
    ExportReport,
    ImportReport,
    OnConflict,
    OnProgress,
    Progress,
    Refused,
)
from .engine import Engine
from .errors import SchedulerNotRunningError
from .inserting import NewJob
from .jobs import JobMethods
from .planning import Undefined, undefined
from .port import Port


class MovingMethods(JobMethods):
    """What `BaseScheduler` offers for moving jobs. Thread-safe."""

    def export_jobs(
        self,
        outfile: File,
        jobstore: str | None = None,
        on_error: Literal["error", "skip"] = "error",
        on_progress: OnProgress | None = None,
    ) -> ExportReport:
        """Write all jobs, of one store or of all, to a file of JSON, for `import_jobs` of any scheduler with any store.

        `outfile` is a path, which gets a complete file or stays as it is, readable by its owner only; or an open file, text or binary, which gets
        everything at the end. Each job is written as it stands at that moment, with its next run time, pause, and the runs that wait or were lost.
        Runs that go on stay where they are. The jobs stay, too: what is imported elsewhere runs twice unless one side ends.

        What JSON cannot carry (a lambda, an object of an unknown class) is a `JobExportError`, which names all such jobs with the argument and what to do
        about it; with `on_error="skip"` they are left out, and listed in the report. Jobs of stores that keep JSON are exported though this process
        could not run them.

        Raises KeyError if there is no such job store, `SchedulerNotRunningError` if the scheduler was not started and no job waits for that, and
        what the stores, the file and `on_progress` raise; then a path is as it was.
        """
        self._check_process()
        if on_error not in ("error", "skip"):
            raise ValueError(f'on_error must be "error" or "skip", got {on_error!r}')
        with self._lock:
            pending = [new for new in self._pending.values() if jobstore in (None, new.jobstore)]
            known = jobstore is None or jobstore in ("default", *self._jobstores)
        ports = self._ports_of(jobstore)
        if not (known or ports or pending):
            raise KeyError(f"No such job store: {jobstore}")
        if self._engine is None and not pending:
            raise SchedulerNotRunningError  # its stores may be full: an empty file would look like a backup of them
        export = _Export([(port.store, port.alias) for port in ports], pending, on_error, on_progress)
        number = write_document(outfile, export.entries())
        self._logger.info("Exported jobs: %d", number)
        for job_id, reason in export.left_out:
            self._logger.warning('Job "%s" was not exported: %s', job_id, reason)
        if export.going_on:
            self._logger.warning(
                "Runs that went on while jobs were exported: %d. They stay with the schedulers that have claimed them; the file has what comes behind "
                "them, and no retry that may follow them",
                export.going_on,
            )
        return ExportReport(number, tuple(export.left_out), export.going_on)

    def import_jobs(
        self,
        infile: File,
        jobstore: str = "default",
        on_conflict: OnConflict = "error",
        on_progress: OnProgress | None = None,
    ) -> ImportReport:
        """Add all jobs of a file that `export_jobs` has written to one store, or none of them.

        `infile` is a path, or a file that is open to be read. Everything is checked before anything is written: the functions must be importable here, and
        allowed by the store. The jobs keep their ids, next run times, pauses and waiting runs; what is overdue is treated as that. Until all
        are there they are hidden, and no scheduler runs them. An id that is taken is a `ConflictingIdsError`, or with `on_conflict="skip"` left alone.

        If this process is killed on the way, the next import into that store, of whatever file, removes what was left, or, if all had been written,
        finishes it. Before the start of the scheduler the jobs become pending, like those of `add_job`; those that have waiting runs cannot.

        `on_progress` is called with a `Progress` after each thousand jobs or so; what it raises undoes the import, unless all is written already.

        Raises `JobImportError` with all that cannot be imported, `ImportInProgressError` if another import into that store goes on, KeyError if
        there is no such store, and what the store raises. Then nothing was imported.
        """
        self._check_process()
        check_on_conflict(on_conflict)
        with opened(infile) as document:
            engine = self._engine if self.state else None
            if engine is None:
                news = self._read_pending(document, jobstore, on_conflict, on_progress)
                engine = self._pend(news.added)
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
        port = self._port(engine, jobstore)
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
                if alias not in self._executors:
                    engine.unknown_executor(port, alias)
            if aliases:
                engine.look_again(port)
        self._logger.info('Imported jobs into job store "%s": %d', port.alias, report.imported)
        return report

    def _announce_imported(self, port: Port, records: list[Record]) -> None:
        if self._wants(EVENT_JOB_ADDED):
            for record in records:
                self._dispatch_event(JobEvent(EVENT_JOB_ADDED, record.id, port.alias))

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
            job.trigger = self._bound(engine, new)
            return Arrival(job, self._plan(engine, new, job.trigger))
        except Exception as exc:  # a user's trigger may raise anything
            return Refused(job.id, described(exc))

    def _read_pending(
        self, document: Document, jobstore: str, on_conflict: OnConflict, on_progress: OnProgress | None
    ) -> _PendingImport:
        """The jobs of a file, as they wait for the start of the scheduler."""
        serializer = reading_serializer(self._jobstores.get(jobstore))
        news = _PendingImport()
        with self._lock:
            taken = {new.job.id for new in self._pending.values() if new.jobstore == jobstore}
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
        job._scheduler = self
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
