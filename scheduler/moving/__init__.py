"""`MovingMethods`: jobs out of a scheduler's stores into a file, and from a file into one of them. The work is `mover.py`'s."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ..jobs import JobMethods

if TYPE_CHECKING:
    from ...jobstores.transfer.document import File
    from ...jobstores.transfer.values import ExportReport, ImportReport, OnConflict, OnProgress


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
        # Not above: what reads and writes files takes as long to load as half of the scheduler, and most programs move nothing.
        from .mover import Mover

        return Mover(self).export_jobs(outfile, jobstore, on_error, on_progress)

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

        `on_progress` is called with a `Progress` after each 500 jobs; what it raises undoes the import, unless all is written already.

        Raises `JobImportError` with all that cannot be imported, `ImportInProgressError` if another import into that store goes on, KeyError if
        there is no such store, and what the store raises. Then nothing was imported.
        """
        from .mover import Mover

        return Mover(self).import_jobs(infile, jobstore, on_conflict, on_progress)
