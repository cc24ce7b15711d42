"""Jobs that call the scheduler that runs them: shut it down, remove or change themselves, add others."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Barrier, Event, get_ident
from typing import Any

import pytest
from mainspring.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_REMOVED,
    EVENT_JOB_SUBMIT_FAILED,
    EVENT_JOBSTORE_FAILED,
    EVENT_SCHEDULER_SHUTDOWN,
    EVENT_SCHEDULER_STARTED,
    ManualClock,
)
from mainspring.executors.base import BaseExecutor
from mainspring.executors.debug import DebugExecutor
from mainspring.executors.pool import ThreadPoolExecutor
from mainspring.jobstores.base import JobLookupError
from mainspring.scheduler import SchedulerAlreadyRunningError, SchedulerNotRunningError
from mainspring.scheduler.background import BackgroundScheduler, BlockingScheduler
from mainspring.scheduler.base import BaseScheduler

from tests.guards.faults import HOOKS, STORES, InlineExecutor
from tests.scheduler.watching import (
    START,
    TIMEOUT,
    Heard,
    at,
    background,
    nothing,
    started,
    virtual,
    within_time,
)

MINUTE = timedelta(minutes=1)
EXECUTORS: dict[str, Callable[[], BaseExecutor]] = {
    "pool": lambda: ThreadPoolExecutor(4),
    "debug": DebugExecutor,
    "plain": InlineExecutor,
}


def hooked(name: str) -> Any:
    """A job that can be stored anywhere: it does what the test has hooked to the name."""
    return HOOKS[name]()


@pytest.fixture(autouse=True)
def hooks() -> Iterator[None]:
    HOOKS.clear()
    yield
    HOOKS.clear()


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=EXECUTORS)
def executor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def scheduler(store: str, executor: str, tmp_path: Path) -> BackgroundScheduler:
    scheduler, _ = background(
        jobstores={"default": STORES[store](tmp_path)},
        executors={"default": EXECUTORS[executor]()},
        job_defaults={"misfire_grace_time": None},
    )
    return scheduler


def clock_of(scheduler: BaseScheduler) -> ManualClock:
    clock = scheduler.clock
    assert isinstance(clock, ManualClock)
    return clock


def join_the_keepers() -> None:
    """Wait until what a shutdown has left to be seen to is written."""
    for thread in threading.enumerate():
        if thread.name == "mainspring-keeper":
            thread.join(TIMEOUT)
            assert not thread.is_alive()


# -- shutdown ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wait", [True, False])
def test_a_job_that_shuts_its_scheduler_down(scheduler: BackgroundScheduler, wait: bool) -> None:
    heard = Heard(scheduler)
    scheduler.start()
    HOOKS["x"] = partial(scheduler.shutdown, wait=wait)
    scheduler.add_job(hooked, "interval", minutes=1, id="x", args=["x"])
    loop = scheduler._thread
    assert loop is not None
    clock_of(scheduler).advance(MINUTE)
    heard.wait(EVENT_JOB_EXECUTED, "x")
    heard.wait(EVENT_SCHEDULER_SHUTDOWN)
    within_time(loop.join)
    assert not scheduler.running
    with pytest.raises(SchedulerNotRunningError):
        scheduler.shutdown()
    # Its end was written, though the scheduler was stopped by then: else there would be no room for the next run.
    HOOKS["x"] = nothing
    join_the_keepers()
    with started(scheduler):
        clock_of(scheduler).advance(MINUTE)
        heard.wait(EVENT_JOB_EXECUTED, "x", 2)
    assert not heard.of(EVENT_JOBSTORE_FAILED | EVENT_JOB_ERROR)


def test_jobs_that_shut_it_down_all_at_once(store: str, tmp_path: Path) -> None:
    """One of them does, and waits for none of the others; those are told that it is not running."""
    scheduler, clock = background(
        jobstores={"default": STORES[store](tmp_path)}, executors={"default": ThreadPoolExecutor(4)}
    )
    heard = Heard(scheduler)
    together = Barrier(4)
    scheduler.start()

    def stop() -> None:
        together.wait(TIMEOUT)
        scheduler.shutdown()

    HOOKS["x"] = stop
    for number in range(4):
        scheduler.add_job(hooked, "date", run_date=at(1), args=["x"], id=f"{number}")
    clock.advance(MINUTE / 60)
    heard.wait(EVENT_JOB_EXECUTED)
    heard.wait(EVENT_JOB_ERROR, count=3)
    assert {type(event.exception) for event in heard.of(EVENT_JOB_ERROR)} == {SchedulerNotRunningError}
    heard.wait(EVENT_SCHEDULER_SHUTDOWN)


def test_it_waits_for_the_other_runs(store: str, tmp_path: Path) -> None:
    scheduler, clock = background(
        jobstores={"default": STORES[store](tmp_path)}, executors={"default": ThreadPoolExecutor(2)}
    )
    heard = Heard(scheduler)
    order: list[str] = []
    running, stopping = Event(), Event()
    scheduler.start()

    def other() -> None:
        running.set()
        assert stopping.wait(TIMEOUT)
        order.append("other")

    def stop() -> None:
        assert running.wait(TIMEOUT)
        scheduler.add_listener(lambda event: order.append("shut down"), EVENT_SCHEDULER_SHUTDOWN)
        stopping.set()
        scheduler.shutdown()

    HOOKS.update(other=other, stop=stop)
    scheduler.add_job(hooked, "date", run_date=at(1), args=["other"])
    scheduler.add_job(hooked, "date", run_date=at(1), args=["stop"])
    clock.advance(timedelta(seconds=1))
    heard.wait(EVENT_SCHEDULER_SHUTDOWN)
    assert order == ["other", "shut down"]


@pytest.mark.parametrize("executor", ["debug", "plain"])
@pytest.mark.parametrize("wait", [True, False])
def test_a_job_that_runs_inline_and_shuts_down_leaves_the_rest_of_its_batch_for_the_next_start(
    store: str, executor: str, wait: bool, tmp_path: Path
) -> None:
    scheduler = virtual(
        jobstores={"default": STORES[store](tmp_path)}, executors={"default": EXECUTORS[executor]()}
    )
    heard = Heard(scheduler)
    scheduler.start()
    HOOKS["stop"] = partial(scheduler.shutdown, wait=wait)
    scheduler.add_job(hooked, "date", run_date=at(1), id="0", args=["stop"], misfire_grace_time=None)
    for number in (1, 2, 3):
        scheduler.add_job(nothing, "date", run_date=at(1), id=f"{number}", misfire_grace_time=None)
    scheduler.advance(MINUTE)
    assert heard.seconds("0") == [1]
    assert not heard.of(EVENT_JOB_SUBMIT_FAILED)
    join_the_keepers()
    with started(scheduler):
        scheduler.advance(MINUTE)
        assert [heard.seconds(f"{number}") for number in range(4)] == [[1], [1], [1], [1]]
        assert scheduler.get_jobs() == []


def test_a_job_that_starts_it_again(scheduler: BackgroundScheduler) -> None:
    heard = Heard(scheduler)
    scheduler.start()

    def again() -> None:
        scheduler.shutdown()
        scheduler.start()

    HOOKS["x"] = again
    scheduler.add_job(hooked, "date", run_date=at(1), args=["x"])
    scheduler.add_job(nothing, "interval", minutes=1, id="y")
    clock_of(scheduler).advance(timedelta(seconds=1))
    heard.wait(EVENT_SCHEDULER_STARTED, count=2)
    heard.wait(EVENT_JOB_EXECUTED)
    assert scheduler.running
    clock_of(scheduler).advance(MINUTE)
    heard.wait(EVENT_JOB_EXECUTED, "y")
    within_time(scheduler.shutdown)


def test_a_job_that_starts_what_runs() -> None:
    scheduler = virtual()
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.add_job(scheduler.start, "date", run_date=at(1), id="x")
        scheduler.advance(MINUTE)
        (event,) = heard.of(EVENT_JOB_ERROR)
        assert isinstance(event.exception, SchedulerAlreadyRunningError)


@pytest.mark.parametrize("executor", ["pool", "debug"])
@pytest.mark.parametrize("wait", [True, False])
def test_a_blocking_scheduler_ends_when_a_job_shuts_it_down(executor: str, wait: bool) -> None:
    scheduler = BlockingScheduler(executors={"default": EXECUTORS[executor]()})
    heard = Heard(scheduler)
    scheduler.add_job(lambda: scheduler.shutdown(wait=wait), id="x")
    within_time(scheduler.start)
    assert not scheduler.running
    heard.wait(EVENT_JOB_EXECUTED, "x")
    assert not heard.of(EVENT_JOB_ERROR)


@pytest.mark.parametrize("wait", [True, False])
def test_a_blocking_scheduler_returns_when_its_shutdown_is_done_in_another_thread(wait: bool) -> None:
    """The program ends behind `start()`: what the shutdown had still to do, and to tell, would not be done."""
    scheduler = BlockingScheduler()
    returned = Event()
    returned_before: list[bool] = []
    scheduler.add_listener(lambda event: returned_before.append(returned.wait(0.3)), EVENT_SCHEDULER_SHUTDOWN)
    scheduler.add_job(lambda: scheduler.shutdown(wait=wait))
    within_time(scheduler.start)
    returned.set()
    assert returned_before == [False]


def test_a_blocking_scheduler_that_a_listener_of_its_shutdown_starts_again() -> None:
    scheduler = BlockingScheduler()
    starts: list[None] = []

    def again(event: object) -> None:
        if len(starts) < 2:
            starts.append(None)
            scheduler.add_job(scheduler.shutdown, kwargs={"wait": False})
            scheduler.start()

    scheduler.add_listener(again, EVENT_SCHEDULER_SHUTDOWN)
    scheduler.add_job(scheduler.shutdown, kwargs={"wait": False})
    within_time(scheduler.start)
    assert len(starts) == 2
    assert not scheduler.running


# -- the job itself --------------------------------------------------------------------------------------------------


def test_a_job_that_removes_itself(scheduler: BackgroundScheduler) -> None:
    heard = Heard(scheduler)
    with started(scheduler):
        HOOKS["x"] = partial(scheduler.remove_job, "x")
        scheduler.add_job(hooked, "interval", minutes=1, id="x", args=["x"])
        clock_of(scheduler).advance(MINUTE)
        heard.wait(EVENT_JOB_EXECUTED, "x")
        clock_of(scheduler).advance(5 * MINUTE)
        assert scheduler.get_jobs() == []
        scheduler.add_job(nothing, "interval", minutes=1, id="x")
        clock_of(scheduler).advance(MINUTE)
        heard.wait(EVENT_JOB_EXECUTED, "x", 2)
    assert len(heard.of(EVENT_JOB_REMOVED, "x")) == 1
    assert len(heard.of(EVENT_JOB_EXECUTED, "x")) == 2


def test_a_one_off_is_over_while_it_runs_for_the_last_time(scheduler: BackgroundScheduler) -> None:
    """As in APScheduler: it is not found any more, by itself neither; and it may add itself anew."""
    heard = Heard(scheduler)
    found: list[Any] = []

    def look() -> None:
        found.append(scheduler.get_job("x"))
        with pytest.raises(JobLookupError):
            scheduler.remove_job("x")
        with pytest.raises(JobLookupError):
            scheduler.modify_job("x", name="new")
        scheduler.add_job(hooked, "date", run_date=at(60), id="x", args=["x"])

    with started(scheduler):
        HOOKS["x"] = look
        scheduler.add_job(hooked, "date", run_date=at(1), id="x", args=["x"])
        clock_of(scheduler).advance(timedelta(seconds=1))
        heard.wait(EVENT_JOB_EXECUTED, "x")
        HOOKS["x"] = nothing
        clock_of(scheduler).advance(MINUTE)
        heard.wait(EVENT_JOB_EXECUTED, "x", 2)
    assert found == [None]
    assert heard.seconds("x") == [1, 60]


def test_a_job_that_changes_itself(scheduler: BackgroundScheduler) -> None:
    heard = Heard(scheduler)
    with started(scheduler):
        HOOKS["x"] = lambda: scheduler.modify_job("x", seconds=30, name="changed")
        scheduler.add_job(hooked, "interval", minutes=1, id="x", args=["x"])
        clock_of(scheduler).advance(MINUTE)
        heard.wait(EVENT_JOB_EXECUTED, "x")
        HOOKS["x"] = nothing
        job = scheduler.get_job("x")
        assert job is not None
        assert (job.name, job.next_run_time) == ("changed", at(90))
        clock_of(scheduler).advance(MINUTE / 2)
        heard.wait(EVENT_JOB_EXECUTED, "x", 2)


def test_a_job_that_pauses_and_reschedules_itself(scheduler: BackgroundScheduler) -> None:
    heard = Heard(scheduler)
    with started(scheduler):
        HOOKS["x"] = partial(scheduler.pause_job, "x")
        scheduler.add_job(hooked, "interval", minutes=1, id="x", args=["x"])
        clock_of(scheduler).advance(MINUTE)
        heard.wait(EVENT_JOB_EXECUTED, "x")
        job = scheduler.get_job("x")
        assert job is not None
        assert job.next_run_time is None
        HOOKS["x"] = lambda: scheduler.reschedule_job("x", trigger="date", run_date=at(300))
        scheduler.resume_job("x")
        clock_of(scheduler).advance(MINUTE)
        heard.wait(EVENT_JOB_EXECUTED, "x", 2)
        job = scheduler.get_job("x")
        assert job is not None
        assert job.next_run_time == at(300)


def test_a_job_that_adds_others(scheduler: BackgroundScheduler) -> None:
    """One that is due at once, and so runs at once."""
    heard = Heard(scheduler)
    with started(scheduler):
        HOOKS["x"] = lambda: scheduler.add_jobs(
            {"func": nothing, "id": f"new {number}"} for number in range(3)
        )
        scheduler.add_job(hooked, "date", run_date=at(1), id="x", args=["x"])
        clock_of(scheduler).advance(timedelta(seconds=1))
        for number in range(3):
            heard.wait(EVENT_JOB_EXECUTED, f"new {number}")


def test_a_job_that_adds_and_runs_for_ever(scheduler: BackgroundScheduler) -> None:
    """Each adds the next one; the thread that shuts the scheduler down comes through."""
    heard = Heard(scheduler)
    with started(scheduler):

        def more() -> None:
            scheduler.add_job(hooked, args=["x"])

        HOOKS["x"] = more
        more()
        heard.wait(EVENT_JOB_EXECUTED, count=20)
        within_time(scheduler.shutdown)
    assert not scheduler.running


def test_a_job_that_removes_its_executor_and_its_store(store: str, tmp_path: Path) -> None:
    scheduler, clock = background(
        jobstores={"mine": STORES[store](tmp_path)}, executors={"mine": ThreadPoolExecutor(2)}
    )
    heard = Heard(scheduler)
    with started(scheduler):

        def leave() -> int:
            scheduler.remove_executor("mine")
            scheduler.remove_jobstore("mine")
            return get_ident()

        HOOKS["x"] = leave
        scheduler.add_job(
            hooked, "date", run_date=at(1), id="x", args=["x"], jobstore="mine", executor="mine"
        )
        scheduler.add_job(nothing, "interval", minutes=1, id="y")
        clock.advance(timedelta(seconds=1))
        heard.wait(EVENT_JOB_EXECUTED, "x")
        clock.set(START + MINUTE)
        heard.wait(EVENT_JOB_EXECUTED, "y")
        assert [job.id for job in scheduler.get_jobs()] == ["y"]
