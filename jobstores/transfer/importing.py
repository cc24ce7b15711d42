"""`import_jobs_into`: jobs from anywhere into a store, all or none: checked, written in state `importing`, released.

A source is read twice, and never held: the first time everything is checked and nothing written, the second time it is written. Of the jobs only
the ids are kept in memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Final, TypeAlias

from ...events import SystemClock
from ..base import BaseJobStore
from ..errors import ConflictingIdError, JobStoreError, described
from ..record import Plan, Record, is_over
from . import marks
from .errors import (
    ID_IS_TAKEN,
    ConflictingIdsError,
    ImportInProgressError,
    ImportUndoneError,
    JobImportError,
    counted,
)
from .marks import Head, Mark, Stage, mark_of
from .remains import LEASE, release_all, settle_remains, under_way, withdraw_all
from .storage import batches, change, known
from .values import Arrival, ImportReport, OnConflict, OnProgress, OnReleased, Phase, Progress, Refused

_TRIES: Final = 20

_RELEASES: Final = 3
"""So often a batch is tried to be released."""

_TRAVELS: Final = ("waiting", "lost")
"""The states of runs that come along."""

_CHANGED: Final = "what is imported has changed between its two readings, so nothing was imported"

Source: TypeAlias = Callable[[], "Iterable[Arrival] | Iterable[Arrival | Refused]"]


def import_jobs_into(
    store: BaseJobStore,
    source: Source,
    *,
    name: str,
    now: int,
    on_conflict: OnConflict = "error",
    on_progress: OnProgress | None = None,
    on_released: OnReleased | None = None,
) -> ImportReport:
    """Import all jobs of a source into a store that is open, or none.

    `source` is called twice, and answers the same jobs each time. `name` identifies what is imported (a digest of it): the same import, called
    again after its process was killed, is finished if everything had been written, else undone and done anew. So are remains of other imports.
    `now` (µs UTC) is the present moment. `on_conflict` says what becomes of jobs whose ids are taken. `on_progress` is told how far it is, after each
    batch; what it raises before the jobs are released undoes the import. `on_released` gets the records that begin to count.

    A store that keeps whole records hides the jobs from everybody until all are there. One that was written for APScheduler's contract keeps
    nothing of that: they are hidden in this process only, and a process that is killed leaves those which it had written.

    Raises `JobImportError` with all that cannot be taken, `ConflictingIdsError` with all ids that are taken, `ImportInProgressError`, what the
    store and the callbacks raise; then nothing was imported.
    """
    check_on_conflict(on_conflict)
    check_on_progress(on_progress)
    clock = SystemClock()
    began = clock.monotonic()
    import_ = _Import(
        store,
        source,
        name,
        lambda: now + round((clock.monotonic() - began) * 1_000_000),
        on_conflict == "skip",
        on_progress or (lambda progress: None),
        on_released or (lambda records: None),
    )
    return import_.run()


def check_on_conflict(on_conflict: object) -> None:
    """Raise ValueError for what it cannot be."""
    if on_conflict not in ("error", "skip"):
        raise ValueError(f'on_conflict must be "error" or "skip", got {on_conflict!r}')


def check_on_progress(on_progress: object) -> None:
    """Raise TypeError for what cannot be called."""
    if on_progress is not None and not callable(on_progress):
        raise TypeError(f"on_progress must be a function that takes a Progress, or None, got {on_progress!r}")


class _Import:
    """One call of `import_jobs_into`."""

    def __init__(
        self,
        store: BaseJobStore,
        source: Source,
        name: str,
        now: Callable[[], int],
        skips: bool,
        on_progress: OnProgress,
        on_released: OnReleased,
    ) -> None:
        self._store = store
        self._source = source
        self._name = name
        self._now = now
        self._skips = skips
        self._on_progress = on_progress
        self._on_released = on_released
        self._token = os.urandom(8).hex()
        self._wanted: set[str] = set()
        """The ids that are to be imported."""
        self._skipped: dict[str, None] = {}
        self._attempted: list[str] = []
        """The ids that are written, or may be, in that order; the head is the first."""
        self._mark = Mark(self._token, "", "active", None)
        self._text = ""
        """The head's mark, as it was written last."""

    def run(self) -> ImportReport:
        settled = settle_remains(self._store, self._name, self._now(), self._on_released)
        if settled.resumed is not None:
            return ImportReport(settled.resumed, (), True, settled.finished, settled.undone)
        self._check()
        if self._wanted:
            with under_way(self._token):
                try:
                    self._write_all()
                except BaseException as exc:
                    self._undo(exc)
                    raise
                if self._attempted:
                    self._commit()
                    self._release()
        return ImportReport(
            len(self._attempted), tuple(self._skipped), False, settled.finished, settled.undone
        )

    def _tell(self, phase: Phase, done: int) -> None:
        total = None if phase == "checking" else len(self._wanted)
        self._on_progress(Progress(phase, done, total))

    # -- checking --------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        """Read everything once, have the store pack it, and look up the ids."""
        problems: list[tuple[str, str]] = []
        taken: dict[str, None] = {}
        done = 0
        for batch in batches(self._source()):
            new: list[str] = []
            for arrival in batch:
                if isinstance(arrival, Refused):
                    problems.append((arrival.job_id, arrival.reason))
                elif (problem := self._problem_with(arrival)) is not None:
                    problems.append((arrival.job.id, problem))
                else:
                    self._wanted.add(arrival.job.id)
                    new.append(arrival.job.id)
            taken.update((record.id, None) for record in known(self._store, new) if not is_over(record))
            done += len(batch)
            self._tell("checking", done)
        if problems:
            in_the_way = () if self._skips else taken
            raise JobImportError([*problems, *((job_id, ID_IS_TAKEN) for job_id in in_the_way)])
        if taken and not self._skips:
            raise ConflictingIdsError([*taken])
        self._skip(taken)

    def _skip(self, job_ids: Iterable[str]) -> None:
        self._skipped.update(dict.fromkeys(job_ids))
        self._wanted.difference_update(job_ids)

    def _problem_with(self, arrival: Arrival) -> str | None:
        job, plan = arrival.job, arrival.plan
        if job.id in self._wanted:
            return "its id is there twice"
        if plan.state == "importing":
            return "its state is 'importing', which is given to it here"
        if plan.state == "ended" and not arrival.runs:
            return "it is over, and has no run left"
        if any(run.state not in _TRAVELS or run.incarnation is not None for run in arrival.runs):
            return "only runs of its own that wait, or are lost, can come with it"
        try:
            self._store.pack(job)
        except Exception as exc:  # packing calls what the authors of the arguments' classes wrote
            return described(exc)
        return None

    # -- writing ---------------------------------------------------------------------------------------------------

    def _write_all(self) -> None:
        """Read everything again, and write it in state `importing`."""
        left = set(self._wanted)
        self._tell("writing", 0)
        for batch in batches(self._arrivals(left)):
            self._write(batch)
            self._tell("writing", len(self._attempted))
        if left:
            raise JobImportError([], _CHANGED)

    def _arrivals(self, left: set[str]) -> Iterator[Arrival]:
        for arrival in self._source():
            if isinstance(arrival, Arrival) and arrival.job.id in left:
                left.discard(arrival.job.id)
                yield arrival
            elif isinstance(arrival, Refused) or arrival.job.id not in self._skipped:
                raise JobImportError([], _CHANGED)

    def _write(self, batch: list[Arrival]) -> None:
        for _ in range(_TRIES):
            if not batch:
                return
            ids = [arrival.job.id for arrival in batch]
            before = len(self._attempted)
            if before:
                self._update_head(
                    "writing"
                )  # before each batch: whoever was taken for dead writes nothing more
            else:
                self._new_head(ids[0])
            self._attempted += ids
            try:
                self._store.insert([(arrival.job, self._plan(arrival)) for arrival in batch])
            except ConflictingIdError:
                # Nothing of the batch was written. Since it was checked, somebody has added one of these jobs.
                del self._attempted[before:]
                taken = {record.id for record in known(self._store, ids) if not is_over(record)}
                self._give_way_to(taken)
                batch = [arrival for arrival in batch if arrival.job.id not in taken]
                continue
            return
        raise JobStoreError("jobs with the ids of those that are imported come and go all the time")

    def _give_way_to(self, taken: set[str]) -> None:
        for record in known(self._store, [*taken]):
            if (mark := mark_of(record)) is not None:
                head = next(map(mark_of, known(self._store, [mark.head_id])), None)
                owner = head.head.owner if head is not None and head.head is not None else "?"
                raise ImportInProgressError(owner, LEASE / 1_000_000)
        if taken and not self._skips:
            raise ConflictingIdsError([*taken])
        self._skip(taken)

    def _plan(self, arrival: Arrival) -> Plan:
        plan = arrival.plan
        mark = Mark(self._token, self._mark.head_id, plan.state, plan.reason)
        if arrival.job.id == mark.head_id:
            self._mark = mark = replace(mark, head=self._mark.head)
            self._text = mark.text()
        return replace(plan, state="importing", reason=mark.text(), runs=arrival.runs)

    # -- the head --------------------------------------------------------------------------------------------------

    def _new_head(self, job_id: str) -> None:
        head = Head(self._name, self._store.owner.name, self._now() + LEASE, "writing", len(self._wanted))
        self._mark = replace(self._mark, head_id=job_id, head=head)

    def _update_head(self, stage: Stage) -> None:
        """Say that this import lives, and how far it is. Raises `ImportUndoneError` if the head is no longer its own."""
        assert self._mark.head is not None
        head = replace(self._mark.head, until=self._now() + LEASE, stage=stage, total=len(self._wanted))
        mark = replace(self._mark, head=head)
        seen, text, stamp = self._text, mark.text(), self._store.owner.stamp()
        written = change(self._store, [mark.head_id], lambda record: marks.remark(record, seen, text, stamp))
        # The text is there already where a write was repeated whose answer got lost.
        if not any(isinstance(after, Record) or before.reason == text for before, after in written):
            raise ImportUndoneError(
                "what this import had written was removed meanwhile, by remove_all_jobs() or by another import that took this one for dead, "
                "since it was not heard of for a minute"
            )
        self._mark, self._text = mark, text

    def _commit(self) -> None:
        """The commit point: from here on the import is finished, whatever happens."""
        try:
            self._update_head("complete")
        except BaseException as exc:
            try:
                mark = mark_of(self._store.peek(self._mark.head_id))
            except Exception:
                exc.add_note(
                    "It is not known whether the import was completed; its jobs are hidden. The next import into this job store finds out, and "
                    "finishes or undoes it"
                )
                raise exc from None
            if (
                mark is None
                or mark.token != self._token
                or mark.head is None
                or mark.head.stage != "complete"
            ):
                self._undo(exc)
                raise
            if not isinstance(exc, Exception):
                self._release()  # Ctrl-C came just behind it
                raise

    def _undo(self, exc: BaseException) -> None:
        """Remove what was written; the head last, so that all can be found if this fails, too."""
        try:
            withdraw_all(self._store, self._token, [*self._attempted[1:], *self._attempted[:1]])
        except Exception as error:
            self._store._logger.exception("What an import has written cannot be removed again")
            exc.add_note(
                f"Some of what was written could not be removed again ({described(error)}): these jobs are hidden, and the next import into "
                "this job store removes them"
            )

    def _release(self) -> None:
        """Let the jobs begin to count; the head last, so that the rest is found if this process is killed."""
        job_ids = [*self._attempted[1:], self._attempted[0]]
        raised: BaseException | None = None
        done = 0
        for batch in batches(job_ids):
            try:
                self._release_some(batch)
            except Exception as exc:
                exc.add_note(
                    f"The import is complete, and {done:,} of {counted(len(job_ids))} are released; the others are hidden. The next import into "
                    "this job store, the same one for instance, finishes that"
                )
                raise
            except BaseException as exc:  # Ctrl-C: it is too late to undo, so it is done first
                raised = raised or exc
                self._release_some(batch)
            done += len(batch)
            if raised is None:
                try:
                    self._tell("releasing", done)
                except BaseException as exc:
                    raised = exc
        if raised is not None:
            raise raised

    def _release_some(self, job_ids: list[str]) -> None:
        """Release a batch, also if the store fails once or twice: it is too late to undo the import, and what was released is passed over."""
        for left in reversed(range(_RELEASES)):
            try:
                release_all(self._store, self._token, job_ids, self._on_released)
                return
            except JobStoreError:
                if not left:
                    raise
