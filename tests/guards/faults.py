"""Plug-ins that fail when a test says so: job stores, triggers, executors."""

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from mainspring.executors.base import BaseExecutor, run_job
from mainspring.jobstores.base import BaseJobStore, ConflictingIdError, JobLookupError
from mainspring.jobstores.job import Job
from mainspring.jobstores.memory import MemoryJobStore
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.triggers.base import BaseTrigger

from tests.scheduler.watching import within_time


class InjectedFault(Exception):
    """What the plug-ins of these tests raise."""


class UnspeakableFault(Exception):
    """An error that raises another one when it is to be shown."""

    def __str__(self) -> str:
        raise InjectedFault("no words for it")


@contextmanager
def failing(plugin: Any, method: str, error: BaseException | None = None) -> Iterator[list[str]]:
    """While this lasts, a method of the plug-in raises. Gives a list with an entry for each call."""
    calls: list[str] = []

    def fail(*args: Any, **kwargs: Any) -> Any:
        calls.append(method)
        raise InjectedFault(f"{method} fails") if error is None else error

    setattr(plugin, method, fail)  # in the instance, before the class's
    try:
        yield calls
    finally:
        delattr(plugin, method)


# -- stores --------------------------------------------------------------------------------------------------------


class PlainJobStore(BaseJobStore):
    """A store that was written for APScheduler's contract alone: it keeps pickled states, and makes jobs of them at each look."""

    def __init__(self) -> None:
        self.states: dict[str, bytes] = {}

    def lookup_job(self, job_id: str) -> Job | None:
        state = self.states.get(job_id)
        return None if state is None else self._job(state)

    def get_due_jobs(self, now: datetime) -> list[Job]:
        return [job for job in self.get_all_jobs() if job.next_run_time and job.next_run_time <= now]

    def get_next_run_time(self) -> datetime | None:
        return min((job.next_run_time for job in self.get_all_jobs() if job.next_run_time), default=None)

    def get_all_jobs(self) -> list[Job]:
        jobs = [self._job(state) for state in list(self.states.values())]
        jobs.sort(key=lambda job: (job.next_run_time is not None, job.next_run_time))
        self._fix_paused_jobs_sorting(jobs)
        return jobs

    def add_job(self, job: Job) -> None:
        if job.id in self.states:
            raise ConflictingIdError(job.id)
        self.states[job.id] = pickle.dumps(job.__getstate__())

    def update_job(self, job: Job) -> None:
        if job.id not in self.states:
            raise JobLookupError(job.id)
        self.states[job.id] = pickle.dumps(job.__getstate__())

    def remove_job(self, job_id: str) -> None:
        if self.states.pop(job_id, None) is None:
            raise JobLookupError(job_id)

    def remove_all_jobs(self) -> None:
        self.states.clear()

    def _job(self, state: bytes) -> Job:
        job = Job.__new__(Job)
        job.__setstate__(pickle.loads(state))
        job._scheduler, job._jobstore_alias = self._scheduler, self._alias
        return job


STORES: dict[str, Callable[[Path], BaseJobStore]] = {
    "memory": lambda folder: MemoryJobStore(),
    "plain": lambda folder: PlainJobStore(),
    "sqlite": lambda folder: SQLAlchemyJobStore(f"sqlite:///{folder / 'jobs.sqlite'}", serializer="pickle"),
}
"""The kinds of stores, each made in a folder."""


# -- triggers ------------------------------------------------------------------------------------------------------

SCRIPTS: dict[str, Callable[[datetime | None, datetime], Any]] = {}
"""What the triggers of these names answer; here, and not in the trigger, which a store may make anew."""


class ScriptedTrigger(BaseTrigger):
    """A user's trigger that answers, or raises, what a test has written for it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        answer: datetime | None = SCRIPTS[self.name](previous_fire_time, now)
        return answer

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ScriptedTrigger) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)


def raising(error: BaseException | None = None) -> Callable[..., Any]:
    """A script, or anything else that is called, that raises."""

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise InjectedFault("the trigger fails") if error is None else error

    return fail


# -- executors -----------------------------------------------------------------------------------------------------


class InlineExecutor(BaseExecutor):
    """An executor that was written for APScheduler's contract alone: it runs jobs where they are submitted."""

    def _do_submit_job(self, job: Any, run_times: Any) -> None:
        try:
            events = run_job(job, job._jobstore_alias, run_times, self._logger.name)
        except BaseException as exc:
            self._run_job_error(job.id, exc, exc.__traceback__)
        else:
            self._run_job_success(job.id, events)


class HoldingExecutor(BaseExecutor):
    """Runs nothing until `release` is called: the time between submit and finish, for as long as a test needs it."""

    def start(self, scheduler: Any, alias: str) -> None:
        super().start(scheduler, alias)
        self.held: list[tuple[Any, Any]] = []

    def _do_submit_job(self, job: Any, run_times: Any) -> None:
        self.held.append((job, run_times))

    def release(self) -> None:
        held, self.held = self.held, []
        for job, run_times in held:
            self._run_job_success(job.id, run_job(job, job._jobstore_alias, run_times, self._logger.name))


def release_all(scheduler: Any) -> None:
    """At the end of a test: a run that does not end keeps a thread of its scheduler there, which extends its lease."""
    for executor in scheduler._executors.values():
        if isinstance(executor, HoldingExecutor):
            executor.release()


# -- calls from user code ------------------------------------------------------------------------------------------

HOOKS: dict[str, Callable[[], object]] = {}
"""What modules and triggers of the tests call by name, while they are imported or asked."""


def from_another_thread(call: Callable[[], Any]) -> Any:
    """The answer of a call in another thread, for which this one waits: if this one holds a lock that the call needs, both stand still."""
    return within_time(call)
