"""Pools of concurrent.futures as executors."""

import concurrent.futures
import threading
from collections.abc import Iterator
from datetime import timedelta
from multiprocessing import get_context

import pytest
from mainspring.events import EVENT_JOB_EXECUTED, EVENT_JOB_MISSED
from mainspring.executors import UnpicklableError
from mainspring.executors.futures import FuturesExecutor

from tests.executors import fakes
from tests.executors.fakes import NOON, FakeJob, FakeScheduler, FakeTicket, noon_clock, now


@pytest.fixture
def threads() -> Iterator[concurrent.futures.Executor]:
    with concurrent.futures.ThreadPoolExecutor(2, thread_name_prefix="theirs") as pool:
        yield pool


@pytest.fixture(scope="module")
def processes() -> Iterator[concurrent.futures.Executor]:
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield pool


def started(
    pool: concurrent.futures.Executor, max_workers: int | None = None
) -> tuple[FuturesExecutor, FakeScheduler]:
    executor, scheduler = FuturesExecutor(pool, max_workers), FakeScheduler()
    executor.start(scheduler, "test")
    return executor, scheduler


def test_runs_go_on_in_the_pools_threads_and_need_no_pickling(threads: concurrent.futures.Executor) -> None:
    executor, scheduler = started(threads)
    executor.submit_job(FakeJob(lambda: threading.current_thread().name), now())
    assert str(scheduler.outcome().retval).startswith("theirs")
    executor.shutdown()
    assert threads.submit(fakes.add, 1).result(fakes.TIMEOUT) == 1  # it remains the caller's


def test_as_many_at_a_time_as_the_pool_has_workers(threads: concurrent.futures.Executor) -> None:
    executor, _ = started(threads)
    assert executor.free_slots() == 2
    executor.shutdown()
    executor, scheduler = started(threads, 1)
    inside, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        inside.set()
        assert go_on.wait(fakes.TIMEOUT)

    executor.submit_job(FakeJob(hold), now())
    assert inside.wait(fakes.TIMEOUT)
    ticket = FakeTicket()
    executor.submit_job(FakeJob(hold), now(), ticket)
    assert (executor.free_slots(), executor.waiting()) == (0, 1)
    assert executor.withdraw() == [ticket]
    go_on.set()
    executor.shutdown()
    assert scheduler.outcome().code == EVENT_JOB_EXECUTED


def test_a_job_in_the_pool_may_shut_the_executor_down(threads: concurrent.futures.Executor) -> None:
    executor, scheduler = started(threads)
    executor.submit_job(FakeJob(executor.shutdown), now())
    assert scheduler.outcome().code == EVENT_JOB_EXECUTED
    executor.shutdown()


def test_a_manual_clock_counts_in_a_pool_of_threads(threads: concurrent.futures.Executor) -> None:
    executor, scheduler = FuturesExecutor(threads), FakeScheduler(noon_clock(late=5))
    executor.start(scheduler, "test")
    executor.submit_job(FakeJob(fakes.nothing, misfire_grace_time=4), [NOON, NOON + timedelta(seconds=1)])
    assert [scheduler.outcome().code for _ in range(2)] == [EVENT_JOB_MISSED, EVENT_JOB_EXECUTED]
    executor.shutdown()


def test_a_manual_clock_is_refused_elsewhere(processes: concurrent.futures.Executor) -> None:
    executor, scheduler = FuturesExecutor(processes), FakeScheduler(noon_clock())
    executor.start(scheduler, "test")
    executor.submit_job(FakeJob(fakes.nothing), [NOON])
    assert "ManualClock" in str(scheduler.outcome().exception)
    executor.shutdown()


def test_what_cannot_travel(processes: concurrent.futures.Executor) -> None:
    executor, scheduler = started(processes)
    for func in (lambda: 1, fakes.unpicklable_result, fakes.raise_odd, fakes.result_that_cannot_be_restored):
        ticket = FakeTicket()
        executor.submit_job(FakeJob(func), now(), ticket)
        outcome = scheduler.outcome()
        assert outcome.exception is not None
        assert ticket.errors == [outcome.exception]
        if func is fakes.raise_odd:
            assert isinstance(outcome.exception, UnpicklableError)
            assert "OddError: 1 and 2" in str(outcome.exception)
    executor.submit_job(FakeJob(fakes.add, (1,)), now())
    assert scheduler.outcome().retval == 1
    executor.shutdown()


def test_a_pool_that_breaks_is_an_error_of_the_run() -> None:
    pool = concurrent.futures.ProcessPoolExecutor(1, mp_context=get_context("spawn"))
    executor, scheduler = started(pool)
    ticket = FakeTicket()
    executor.submit_job(FakeJob(fakes.die, (3,)), now() * 2, ticket)
    outcomes = [scheduler.outcome(), scheduler.outcome()]
    assert all(isinstance(o.exception, concurrent.futures.BrokenExecutor) for o in outcomes)
    assert len(ticket.errors) == 1
    executor.shutdown()
    pool.shutdown()


def test_a_pool_that_is_shut_down_is_an_error_of_the_run() -> None:
    pool = concurrent.futures.ThreadPoolExecutor(1)
    executor, scheduler = started(pool)
    pool.shutdown()
    executor.submit_job(FakeJob(fakes.nothing), now())
    assert isinstance(scheduler.outcome().exception, RuntimeError)
    executor.shutdown()


def test_something_else_than_a_pool() -> None:
    with pytest.raises(TypeError, match=r"concurrent\.futures\.Executor.*got 5"):
        FuturesExecutor(5)  # type: ignore[arg-type]
