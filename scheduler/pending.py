"""`PendingMethods`: the jobs that wait for the start of the scheduler: kept, changed, and put into their stores.

While `start()` (or `add_jobstore()`) puts them there, they are neither here nor there: what another thread would change waits until that
has ended, and then goes on with the stored job, or with the pending one if the start has failed.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..events import EVENT_JOB_MODIFIED, JobEvent
from ..jobstores.errors import ConflictingIdError, StaleJobError, StoreUnreachableError
from ..jobstores.job import Job
from ..jobstores.uncertain import UncertainWriteError
from .inserting import EDIT_TRIES, InsertingMethods, NewJob

if TYPE_CHECKING:
    from .engine import Engine


class PendingMethods(InsertingMethods):
    """What `BaseScheduler` does with pending jobs. Thread-safe."""

    _placing: dict[tuple[str, str], int]
    """The pending jobs that are being put into their stores, and the thread that does it."""
    _placed: threading.Condition
    """Of `_lock`: fewer are being put into their stores."""

    def _pend(self, news: Sequence[NewJob]) -> Engine | None:
        """Keep jobs for the start of the scheduler; answers its engine if it has started, and then keeps nothing."""
        with self._lock:
            if self.state and self._engine is not None:
                return self._engine
            added: dict[tuple[str, str], NewJob] = {}
            for new in news:
                # Found now, and not when start() is half done.
                if not new.replace_existing and (new.key in self._pending or new.key in added):
                    raise ConflictingIdError(new.job.id)
                added[new.key] = new
            for key in added:
                self._pending.pop(key, None)  # what is replaced stands at the end, too
            self._pending.update(added)
        for _ in news:
            self._logger.info(
                "Adding job tentatively -- it will be properly scheduled when the scheduler starts"
            )
        return None

    def _warn_of_pending(self) -> None:
        """The scheduler has ended before some jobs were added."""
        with self._lock:
            waiting = Counter(new.jobstore for new in self._pending.values())
        for alias, number in waiting.items():
            self._logger.warning(
                'Jobs that were never added to job store "%s", which did not take them: %d. They are added when this scheduler is started '
                "again, and gone with its process",
                alias,
                number,
            )

    def _add_pending(self, engine: Engine, alias: str | None = None) -> list[Job]:
        """Put the pending jobs into their stores, all or none; those of one store only if `alias` is given.

        Those of a store that is `awaited` stay pending; so do all if the engine has ended. The loop is not told to look: it has not
        begun, or is told when the jobs are announced.
        """
        with self._lock:
            self._wait_for_others(lambda key: alias in (None, key[0]))
            awaited = engine.awaited()
            pending = [
                new
                for new in self._pending.values()
                if alias in (None, new.jobstore)
                and new.jobstore not in awaited
                and new.key not in self._placing
            ]
            if self._engine is not engine or not pending:
                return []
            self._placing.update(dict.fromkeys([new.key for new in pending], threading.get_ident()))
        placed: list[NewJob] = []
        try:
            jobs = self._insert_all(engine, pending, [])
            placed = pending
            return jobs
        finally:
            with self._lock:
                for new in placed:
                    # Else it was replaced meanwhile, and the other one waits.
                    if self._pending.get(new.key) is new:
                        del self._pending[new.key]
                for new in pending:
                    self._placing.pop(new.key, None)
                self._placed.notify_all()

    def _add_pending_or_wait(self, engine: Engine, alias: str | None = None) -> list[Job]:
        """The same; but that a server cannot be reached by now, or only reads, though its store could be opened, is left to the loop.

        It tries each of the stores by itself, says which one fails, and goes on trying. Raises UncertainWriteError: then the jobs may be there.
        """
        try:
            return self._add_pending(engine, alias)
        except UncertainWriteError:
            raise
        except StoreUnreachableError:
            with self._lock:
                concerned = {new.jobstore for new in self._pending.values() if alias in (None, new.jobstore)}
            for port in engine.ports():
                if port.opened and port.alias in concerned:
                    port.pending_at = engine.clock.micros()
            return []

    # -- finding and changing --------------------------------------------------------------------------------------

    def _awaited_store(self, job: Job) -> str | None:
        """The alias of the store for which a job is pending; None if it is not."""
        with self._lock:
            return next((new.jobstore for new in self._pending.values() if new.job is job), None)

    def _pending_job(self, job_id: str, jobstore: str | None) -> NewJob | None:
        with self._lock:
            if jobstore is not None or not self._pending:
                return self._pending.get((jobstore or "", job_id))
            return next((new for new in self._pending.values() if new.job.id == job_id), None)

    def _edit_pending(
        self, job_id: str, jobstore: str | None, change: Callable[[NewJob], object]
    ) -> Job | None:
        """Have `change` change a pending job, in a copy, outside of the lock; None if there is none.

        Raises what `change` raises; then nothing has changed.
        """
        for _ in range(EDIT_TRIES):
            with self._lock:
                self._wait_for_job(job_id, jobstore)
                new = self._pending_job(job_id, jobstore)
                if new is None:
                    return None
                seen = new.edits
                draft = NewJob(
                    new.job._clone(), new.jobstore, new.replace_existing, new.next_run_time, new.plan
                )
            trigger = draft.job.trigger
            change(draft)
            with self._lock:
                self._wait_for_job(job_id, jobstore)
                if self._pending.get(new.key) is not new or new.edits != seen:
                    continue  # it is in its store by now, or somebody else was faster
                new.job._adopt(draft.job)
                if draft.next_run_time != new.next_run_time or draft.job.trigger is not trigger:
                    new.plan = None
                new.next_run_time = draft.next_run_time
                new.edits += 1
            if self._wants(EVENT_JOB_MODIFIED):
                self._dispatch_event(JobEvent(EVENT_JOB_MODIFIED, job_id, new.jobstore))
            return new.job
        raise StaleJobError(job_id)

    def _remove_pending(self, job_id: str, jobstore: str | None) -> NewJob | None:
        """Take a pending job away; None if there is none."""
        with self._lock:
            self._wait_for_job(job_id, jobstore)
            new = self._pending_job(job_id, jobstore)
            return None if new is None else self._pending.pop(new.key)

    def _wait_for_job(self, job_id: str, jobstore: str | None) -> None:
        self._wait_for_others(lambda key: key[1] == job_id and jobstore in (None, key[0]))

    def _wait_for_others(self, concerned: Callable[[tuple[str, str]], bool]) -> None:
        """Wait until no other thread puts such jobs into their stores. Called under the lock, which is released meanwhile.

        The thread that does it does not wait for itself: what it calls (triggers, serializers) may call the scheduler.
        """
        me = threading.get_ident()
        self._placed.wait_for(
            lambda: all(thread == me or not concerned(key) for key, thread in self._placing.items())
        )

    def _waits_paused(self, job: Job) -> bool:
        """Whether a pending job will not run when the scheduler starts."""
        with self._lock:
            for alias in ("default", *self._jobstores):
                new = self._pending.get((alias, job.id))
                if new is not None and new.job is job:
                    return new.next_run_time is None
            return any(new.job is job and new.next_run_time is None for new in self._pending.values())
