"""Pending jobs that are changed while `start()`, or `add_jobstore()`, puts them into their store: no change is lost."""

from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from mainspring.events import EVENT_JOB_MODIFIED, EVENT_JOB_REMOVED
from mainspring.jobstores.base import BaseJobStore
from mainspring.jobstores.job import Job
from mainspring.scheduler.virtual import VirtualScheduler
from mainspring.triggers.interval import IntervalTrigger

from tests.guards.faults import STORES, InjectedFault
from tests.scheduler.watching import TIMEOUT, Heard, at, nothing, started, virtual, within_time

EDITS: dict[str, Callable[[VirtualScheduler, Job], object]] = {
    "pause": lambda scheduler, job: scheduler.pause_job("x"),
    "resume": lambda scheduler, job: scheduler.resume_job("x"),
    "modify": lambda scheduler, job: scheduler.modify_job("x", name="new"),
    "reschedule": lambda scheduler, job: scheduler.reschedule_job("x", trigger="interval", seconds=7),
    "remove": lambda scheduler, job: scheduler.remove_job("x"),
    "remove all": lambda scheduler, job: scheduler.remove_all_jobs(),
    "by its handle": lambda scheduler, job: job.modify(name="new"),
}


def as_seen(scheduler: VirtualScheduler) -> Any:
    job = scheduler.get_job("x")
    return None if job is None else (job.name, str(job.trigger), job.next_run_time)


EXPECTED: dict[str, Any] = {
    "pause": ("old", "interval[0:01:00]", None),
    "resume": ("old", "interval[0:01:00]", at(60)),
    "modify": ("new", "interval[0:01:00]", at(60)),
    "reschedule": ("old", "interval[0:00:07]", at(7)),
    "remove": None,
    "remove all": None,
    "by its handle": ("new", "interval[0:01:00]", at(60)),
}


class Placing:
    """A store whose `insert` stops, before or behind what it does, until it is let go."""

    def __init__(self, store: BaseJobStore, behind: bool, fails: bool = False) -> None:
        self.reached, self.go_on = Event(), Event()
        inner = store.insert

        def insert(items: Any) -> None:
            if behind:
                inner(items)
            self.reached.set()
            assert self.go_on.wait(TIMEOUT)
            if fails:
                store.insert = inner  # type: ignore[method-assign]
                raise InjectedFault("insert fails")
            if not behind:
                inner(items)

        store.insert = insert  # type: ignore[method-assign]


class Elsewhere(Thread):
    """A call in another thread."""

    def __init__(self, call: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self.call = call
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self.call()
        except BaseException as exc:
            self.error = exc

    def ended(self) -> bool:
        self.join(TIMEOUT)
        return not self.is_alive()


def somebody_waits(scheduler: VirtualScheduler) -> Event:
    """Set as soon as somebody waits until jobs are in their stores."""
    waits, wait = Event(), scheduler._placed.wait

    def watched(timeout: float | None = None) -> bool:
        waits.set()
        return wait(timeout)

    scheduler._placed.wait = watched  # type: ignore[method-assign]
    return waits


@pytest.mark.parametrize("behind", [False, True], ids=["before", "behind"])
@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("kind", STORES)
def test_an_edit_while_the_job_is_put_into_its_store_is_kept(
    kind: str, edit: str, behind: bool, tmp_path: Path
) -> None:
    store = STORES[kind](tmp_path)
    scheduler = virtual(jobstores={"default": store})
    job = scheduler.add_job(nothing, "interval", minutes=1, id="x", name="old")
    placing, waits = Placing(store, behind), somebody_waits(scheduler)
    start = Elsewhere(scheduler.start)
    assert placing.reached.wait(TIMEOUT)
    editing = Elsewhere(lambda: EDITS[edit](scheduler, job))
    assert waits.wait(TIMEOUT)
    placing.go_on.set()
    for thread in (start, editing):
        assert thread.ended()
        assert thread.error is None
    assert as_seen(scheduler) == EXPECTED[edit]
    scheduler.shutdown()


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_while_a_start_fails_is_made_on_the_pending_job(edit: str, tmp_path: Path) -> None:
    store = STORES["memory"](tmp_path)
    scheduler = virtual(jobstores={"default": store})
    job = scheduler.add_job(nothing, "interval", minutes=1, id="x", name="old")
    placing, waits = Placing(store, behind=False, fails=True), somebody_waits(scheduler)
    start = Elsewhere(scheduler.start)
    assert placing.reached.wait(TIMEOUT)
    editing = Elsewhere(lambda: EDITS[edit](scheduler, job))
    assert waits.wait(TIMEOUT)
    placing.go_on.set()
    assert start.ended()
    assert isinstance(start.error, InjectedFault)
    assert editing.ended()
    assert editing.error is None
    with started(scheduler):
        assert as_seen(scheduler) == EXPECTED[edit]


def test_jobs_of_a_store_that_is_added_are_guarded_too(tmp_path: Path) -> None:
    """Another thread's `start()` puts what `add_jobstore()` is putting into its store there no second time."""
    store = STORES["memory"](tmp_path)
    scheduler = virtual()
    scheduler.add_job(nothing, "interval", minutes=1, id="x", jobstore="more")
    scheduler.add_job(nothing, "interval", minutes=1, id="y")
    added: list[Elsewhere] = []
    placing, waits = Placing(store, behind=True), somebody_waits(scheduler)
    first = STORES["memory"](tmp_path)
    inner = first.start

    def begin(scheduler: Any, alias: str) -> None:
        inner(scheduler, alias)
        added.append(Elsewhere(lambda: scheduler.add_jobstore(store, "more")))
        assert placing.reached.wait(TIMEOUT)

    first.start = begin  # type: ignore[method-assign]
    scheduler.add_jobstore(first, "default")
    start = Elsewhere(scheduler.start)
    assert waits.wait(TIMEOUT)
    placing.go_on.set()
    for thread in (start, *added):
        assert thread.ended()
        assert thread.error is None
    assert sorted(job.id for job in scheduler.get_jobs()) == ["x", "y"]
    scheduler.shutdown()


class Calling(IntervalTrigger):
    """A trigger that calls the scheduler when it is bound."""

    def bind(self, now: Any, job_id: str, anchor: Any = None) -> Any:
        while calls:
            calls.pop()()
        return super().bind(now, job_id, anchor)


calls: list[Callable[[], object]] = []


def test_user_code_that_start_calls_may_call_the_scheduler() -> None:
    """The thread that puts a job into its store does not wait for itself."""
    scheduler = virtual()
    scheduler.add_job(nothing, "interval", minutes=1, id="x")
    scheduler.add_job(nothing, Calling(minutes=1), id="calls")
    done: list[str] = []

    def call() -> None:
        scheduler.pause_job("x")
        scheduler.modify_job("calls", name="new")
        done.append(str(scheduler.get_job("x")))

    calls.append(call)
    within_time(scheduler.start)
    assert len(done) == 1
    assert {job.id for job in scheduler.get_jobs()} == {"x", "calls"}
    scheduler.shutdown()


def test_two_edits_of_a_pending_job_at_the_same_time_are_both_kept() -> None:
    """The second is made while the first one is being made."""
    scheduler = virtual()
    heard = Heard(scheduler)
    job = scheduler.add_job(nothing, "interval", minutes=1, id="x", name="old")
    clone = Job._clone
    others = [lambda: scheduler.modify_job("x", max_instances=7)]

    def cloned(self: Job) -> Job:
        copy = clone(self)
        if others:
            others.pop()()
        return copy

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Job, "_clone", cloned)
        scheduler.modify_job("x", name="new")
    assert (job.name, job.max_instances) == ("new", 7)
    assert len(heard.of(EVENT_JOB_MODIFIED, "x")) == 2
    scheduler.remove_job("x")
    assert len(heard.of(EVENT_JOB_REMOVED, "x")) == 1
