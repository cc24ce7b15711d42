"""`shutdown()` comes to its end whatever the jobs, listeners and other threads do meanwhile, and leaves a scheduler that can be started."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from random import Random
from threading import Event, Thread
from typing import Any

import pytest
from mainspring.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_SUBMITTED,
    EVENT_JOBSTORE_FAILED,
    EVENT_SCHEDULER_SHUTDOWN,
    EVENT_SCHEDULER_STARTED,
)
from mainspring.executors.pool import ThreadPoolExecutor
from mainspring.jobstores.base import JobStoreError
from mainspring.jobstores.memory import MemoryJobStore
from mainspring.scheduler import SchedulerAlreadyRunningError, SchedulerNotRunningError
from mainspring.scheduler.background import BackgroundScheduler, BlockingScheduler
from mainspring.scheduler.base import BaseScheduler

from tests.guards.faults import HOOKS, STORES, HoldingExecutor, failing
from tests.guards.test_jobs_that_call_the_scheduler import hooked, join_the_keepers
from tests.scheduler.watching import (
    TIMEOUT,
    Heard,
    at,
    background,
    nothing,
    other,
    started,
    virtual,
    within_time,
)

MINUTE = timedelta(minutes=1)
ONE_SECOND = timedelta(seconds=1)

CALLS: dict[str, Callable[[BaseScheduler], object]] = {
    "add_job": lambda scheduler: scheduler.add_job(nothing, "interval", minutes=1),
    "get_job": lambda scheduler: scheduler.get_job("other"),
    "get_jobs": lambda scheduler: scheduler.get_jobs(),
    "print_jobs": lambda scheduler: scheduler.print_jobs(out=StringIO()),
    "modify_job": lambda scheduler: scheduler.modify_job("other", name="changed"),
    "reschedule_job": lambda scheduler: scheduler.reschedule_job("other", trigger="interval", hours=2),
    "pause_job": lambda scheduler: scheduler.pause_job("other"),
    "resume_job": lambda scheduler: scheduler.resume_job("other"),
    "remove_job": lambda scheduler: scheduler.remove_job("other"),
    "remove_all_jobs": lambda scheduler: scheduler.remove_all_jobs(),
    "wakeup": lambda scheduler: scheduler.wakeup(),
    "add_executor": lambda scheduler: scheduler.add_executor("debug", "more"),
    "remove_executor": lambda scheduler: scheduler.remove_executor("unused"),
    "add_jobstore": lambda scheduler: scheduler.add_jobstore("memory", "more"),
    "remove_jobstore": lambda scheduler: scheduler.remove_jobstore("unused"),
    "get_lost_runs": lambda scheduler: scheduler.get_lost_runs(),
    "run_job_now": lambda scheduler: scheduler.run_job_now("other"),
    "get_runs": lambda scheduler: scheduler.get_runs(),
    "explain_job": lambda scheduler: scheduler.explain_job("other"),
}
REFUSED: dict[str, Callable[[BaseScheduler], object]] = {
    "pause": lambda scheduler: scheduler.pause(),
    "resume": lambda scheduler: scheduler.resume(),
    "shutdown": lambda scheduler: scheduler.shutdown(),
}


@pytest.fixture(autouse=True)
def hooks() -> Iterator[None]:
    HOOKS.clear()
    yield
    HOOKS.clear()


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def running_a_job(
    store: str, folder: Path, call: Callable[[BaseScheduler], object]
) -> tuple[BackgroundScheduler, Heard, Callable[[], None]]:
    """A scheduler in which a job runs that will make the call when the scheduler is shutting down, and what shuts it down."""
    scheduler, clock = background(
        jobstores={"default": STORES[store](folder), "unused": MemoryJobStore()},
        executors={"default": ThreadPoolExecutor(2), "unused": ThreadPoolExecutor(1)},
    )
    heard = Heard(scheduler)
    running, stopping = Event(), Event()

    def job() -> None:
        running.set()
        assert stopping.wait(TIMEOUT)
        call(scheduler)

    HOOKS["x"] = job
    scheduler.start()
    scheduler.add_job(hooked, "date", run_date=at(1), id="x", args=["x"])
    scheduler.add_job(nothing, "interval", hours=1, id="other")
    clock.advance(ONE_SECOND)
    assert running.wait(TIMEOUT)

    def shutdown() -> None:
        thread = Thread(target=scheduler.shutdown, daemon=True)
        thread.start()
        loop = scheduler._thread
        assert loop is not None
        loop.join(TIMEOUT)  # behind it, the shutdown waits for the job
        stopping.set()
        thread.join(TIMEOUT)
        assert not thread.is_alive()

    return scheduler, heard, shutdown


@pytest.mark.parametrize("call", CALLS)
def test_jobs_may_call_what_they_like_while_it_waits_for_them(call: str, store: str, tmp_path: Path) -> None:
    scheduler, heard, shutdown = running_a_job(store, tmp_path, CALLS[call])
    shutdown()
    assert not scheduler.running
    assert heard.codes()[-1] == EVENT_SCHEDULER_SHUTDOWN
    heard.wait(EVENT_JOB_EXECUTED, "x")  # the call went well
    with started(scheduler):
        assert scheduler.running


@pytest.mark.parametrize("call", REFUSED)
def test_what_only_a_running_scheduler_can_do_is_refused_meanwhile(
    call: str, store: str, tmp_path: Path
) -> None:
    _, heard, shutdown = running_a_job(store, tmp_path, REFUSED[call])
    shutdown()
    assert isinstance(heard.wait(EVENT_JOB_ERROR, "x").exception, SchedulerNotRunningError)


def test_a_job_that_is_added_meanwhile_runs_after_the_next_start(store: str, tmp_path: Path) -> None:
    scheduler, heard, shutdown = running_a_job(
        store, tmp_path, lambda scheduler: scheduler.add_job(nothing, id="late", misfire_grace_time=None)
    )
    shutdown()
    assert [job.id for job in scheduler.get_jobs()] == ["late"]
    with started(scheduler):
        heard.wait(EVENT_JOB_EXECUTED, "late")


def test_with_wait_it_returns_when_all_runs_are_done_queued_ones_too(store: str, tmp_path: Path) -> None:
    scheduler, clock = background(
        jobstores={"default": STORES[store](tmp_path)},
        executors={"default": ThreadPoolExecutor(1)},
        job_defaults={"misfire_grace_time": None},
    )
    heard = Heard(scheduler)
    go_on = Event()
    HOOKS["x"] = lambda: go_on.wait(TIMEOUT)
    scheduler.start()
    scheduler.add_job(hooked, "date", run_date=at(1), id="x", args=["x"])
    clock.advance(ONE_SECOND)
    heard.wait(EVENT_JOB_SUBMITTED, "x")
    scheduler.add_job(nothing, "date", run_date=at(1), id="y")
    if store != "sqlite":  # where it is not even claimed, since no worker is idle
        heard.wait(EVENT_JOB_SUBMITTED, "y")
    thread = Thread(target=scheduler.shutdown)
    thread.start()
    go_on.set()
    thread.join(TIMEOUT)
    assert heard.seconds("x") == [1]
    assert heard.codes()[-1] == EVENT_SCHEDULER_SHUTDOWN
    if store != "sqlite":
        assert heard.seconds("y") == [1]
    with started(scheduler):
        heard.wait(EVENT_JOB_EXECUTED, "y")


def test_without_wait_what_has_not_started_is_there_for_the_next_start(store: str, tmp_path: Path) -> None:
    scheduler, clock = background(
        jobstores={"default": STORES[store](tmp_path)},
        executors={"default": ThreadPoolExecutor(1)},
        job_defaults={"misfire_grace_time": None},
    )
    heard = Heard(scheduler)
    running, go_on = Event(), Event()

    def job() -> None:
        running.set()
        go_on.wait(TIMEOUT)

    HOOKS["x"] = job
    scheduler.start()
    scheduler.add_job(hooked, "date", run_date=at(1), id="x", args=["x"])
    clock.advance(ONE_SECOND)
    assert running.wait(TIMEOUT)
    for number in range(3):
        scheduler.add_job(nothing, "interval", minutes=1, next_run_time=at(1), id=f"y{number}")
    if store != "sqlite":
        heard.wait(EVENT_JOB_SUBMITTED, count=4)
    within_time(lambda: scheduler.shutdown(wait=False))
    assert heard.codes()[-1] == EVENT_SCHEDULER_SHUTDOWN
    assert not heard.of(EVENT_JOB_EXECUTED)
    go_on.set()
    heard.wait(EVENT_JOB_EXECUTED, "x")
    join_the_keepers()
    with started(scheduler):
        for number in range(3):
            heard.wait(EVENT_JOB_EXECUTED, f"y{number}")
        assert [heard.seconds(f"y{number}") for number in range(3)] == [[1], [1], [1]]


def test_an_end_that_comes_after_a_shutdown_without_wait_is_written(store: str, tmp_path: Path) -> None:
    executor = HoldingExecutor()
    scheduler = virtual(jobstores={"default": STORES[store](tmp_path)}, executors={"default": executor})
    heard = Heard(scheduler)
    scheduler.start()
    scheduler.add_job(nothing, "interval", minutes=1, id="x")
    scheduler.advance(MINUTE)
    scheduler.shutdown(wait=False)
    executor.release()
    heard.wait(EVENT_JOB_EXECUTED, "x")
    join_the_keepers()
    with started(scheduler):
        scheduler.advance(MINUTE)
        executor.release()
    assert heard.seconds("x") == [60, 120]


@pytest.mark.parametrize("kind", ["background", "blocking", "virtual"])
@pytest.mark.parametrize("wait", [True, False])
def test_a_listener_may_shut_down_what_has_just_started(kind: str, wait: bool) -> None:
    kinds: dict[str, Callable[[], BaseScheduler]] = {
        "background": BackgroundScheduler,
        "blocking": BlockingScheduler,
        "virtual": virtual,
    }
    scheduler = kinds[kind]()
    heard = Heard(scheduler, EVENT_SCHEDULER_STARTED | EVENT_SCHEDULER_SHUTDOWN)
    scheduler.add_listener(lambda event: scheduler.shutdown(wait=wait), EVENT_SCHEDULER_STARTED)
    for _ in range(2):
        within_time(scheduler.start)
        assert not scheduler.running
    assert heard.codes() == [EVENT_SCHEDULER_STARTED, EVENT_SCHEDULER_SHUTDOWN] * 2


def test_a_listener_may_shut_down_in_the_middle_of_a_batch(store: str, tmp_path: Path) -> None:
    """SUBMITTED comes in the loop's thread, between one submit and the next."""
    scheduler, clock = background(
        jobstores={"default": STORES[store](tmp_path)},
        executors={"default": ThreadPoolExecutor(4)},
        job_defaults={"misfire_grace_time": None},
    )
    heard = Heard(scheduler)
    calls = [scheduler.shutdown]

    def stop(event: Any) -> None:
        if calls:
            calls.pop()()

    scheduler.add_listener(stop, EVENT_JOB_SUBMITTED)
    scheduler.start()
    scheduler.add_jobs(
        {"func": nothing, "trigger": "date", "run_date": at(1), "id": f"{number}"} for number in range(4)
    )
    loop = scheduler._thread
    assert loop is not None
    clock.advance(ONE_SECOND)
    within_time(loop.join)
    heard.wait(EVENT_SCHEDULER_SHUTDOWN)
    join_the_keepers()
    with started(scheduler):
        for number in range(4):
            heard.wait(EVENT_JOB_EXECUTED, f"{number}")
        assert [heard.seconds(f"{number}") for number in range(4)] == [[1], [1], [1], [1]]


def test_a_store_that_fails_at_the_end_holds_up_nobody(store: str, tmp_path: Path) -> None:
    """What could not be written is tried again, and given up when its lease would be over."""
    made = STORES[store](tmp_path)
    scheduler, clock = background(jobstores={"default": made}, lease=3)
    heard = Heard(scheduler)
    scheduler.start()
    with failing(made, "finish_runs"):
        scheduler.add_job(nothing, "date", run_date=at(1), id="x")
        clock.advance(ONE_SECOND)
        heard.wait(EVENT_JOB_EXECUTED, "x")
        within_time(scheduler.shutdown)
        assert not scheduler.running
        while not scheduler._closed.wait(0.1):
            clock.advance(ONE_SECOND)


def test_ends_that_a_store_does_not_take_are_written_behind_the_shutdown(store: str, tmp_path: Path) -> None:
    made = STORES[store](tmp_path)
    scheduler, clock = background(jobstores={"default": made})
    heard = Heard(scheduler)
    scheduler.start()
    with failing(made, "finish_runs"):
        scheduler.add_job(nothing, "interval", minutes=1, id="x")
        clock.advance(MINUTE)
        heard.wait(EVENT_JOB_EXECUTED, "x")
        within_time(scheduler.shutdown)
    join_the_keepers()
    with started(scheduler):
        clock.advance(MINUTE)
        heard.wait(EVENT_JOB_EXECUTED, "x", 2)


def test_two_threads_that_shut_it_down_at_once() -> None:
    """One does, the other is told that it is not running; both return."""
    scheduler, _ = background()
    for _ in range(20):
        scheduler.start()
        told: list[object] = []

        def shutdown(told: list[object] = told) -> None:
            try:
                scheduler.shutdown()
            except SchedulerNotRunningError as exc:
                told.append(exc)
            else:
                told.append(None)

        threads = [Thread(target=shutdown, daemon=True) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TIMEOUT)
            assert not thread.is_alive()
        assert sorted(type(each).__name__ for each in told) == ["NoneType", "SchedulerNotRunningError"]


def test_start_and_shutdown_many_times(store: str, tmp_path: Path) -> None:
    scheduler, clock = background(
        jobstores={"default": STORES[store](tmp_path)}, job_defaults={"misfire_grace_time": None}
    )
    heard = Heard(scheduler)
    scheduler.add_job(other, "interval", minutes=1, id="x")
    for times in range(1, 11):
        scheduler.start()
        clock.advance(MINUTE)
        heard.wait(EVENT_JOB_EXECUTED, "x", times)
        within_time(scheduler.shutdown)
    assert heard.seconds("x") == [60 * minute for minute in range(1, 11)]
    assert not heard.of(EVENT_JOBSTORE_FAILED)


class InterruptedExecutor(ThreadPoolExecutor):
    """Waiting for it is interrupted: the main thread's Ctrl-C."""

    def shutdown(self, wait: bool = True) -> None:
        if wait:
            raise KeyboardInterrupt
        super().shutdown(wait)


def test_a_shutdown_that_is_interrupted_while_it_waits_is_one_that_does_not(
    store: str, tmp_path: Path
) -> None:
    scheduler, clock = background(
        jobstores={"default": STORES[store](tmp_path)}, executors={"default": InterruptedExecutor(2)}
    )
    heard = Heard(scheduler)
    running, go_on = Event(), Event()

    def job() -> None:
        running.set()
        go_on.wait(TIMEOUT)

    HOOKS["x"] = job
    scheduler.start()
    scheduler.add_job(hooked, "interval", minutes=1, id="x", args=["x"])
    clock.advance(MINUTE)
    assert running.wait(TIMEOUT)
    with pytest.raises(KeyboardInterrupt):
        scheduler.shutdown()
    assert not scheduler.running
    go_on.set()
    heard.wait(EVENT_JOB_EXECUTED, "x")
    join_the_keepers()
    scheduler.start()
    clock.advance(MINUTE)
    heard.wait(EVENT_JOB_EXECUTED, "x", 2)
    within_time(lambda: scheduler.shutdown(wait=False))


def test_threads_that_start_and_stop_and_pause_it_as_they_like(store: str, tmp_path: Path) -> None:
    """Each call does what it says or says that it cannot; whatever the order, the scheduler works at the end."""
    scheduler, _ = background(
        jobstores={"default": STORES[store](tmp_path)}, job_defaults={"misfire_grace_time": None}
    )
    calls: list[Callable[[], object]] = [
        scheduler.start,
        scheduler.shutdown,
        lambda: scheduler.shutdown(wait=False),
        scheduler.pause,
        scheduler.resume,
        scheduler.wakeup,
        scheduler.get_jobs,
        lambda: scheduler.add_job(nothing, "interval", minutes=1),
    ]
    errors: list[BaseException] = []

    def churn(seed: int) -> None:
        random = Random(seed)
        for _ in range(100):
            try:
                random.choice(calls)()
            except (SchedulerAlreadyRunningError, SchedulerNotRunningError):
                pass
            except BaseException as exc:
                # Between the two a store may have been closed; that is said, and no more than that.
                if not isinstance(exc, JobStoreError):
                    errors.append(exc)

    threads = [Thread(target=churn, args=(seed,), daemon=True) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(3 * TIMEOUT)
        assert not thread.is_alive()
    assert errors == []
    if scheduler.running:
        within_time(scheduler.shutdown)
    heard = Heard(scheduler)
    scheduler.add_job(nothing, id="last")
    scheduler.start()
    heard.wait(EVENT_JOB_EXECUTED, "last")
    within_time(scheduler.shutdown)
