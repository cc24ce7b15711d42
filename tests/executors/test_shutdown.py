"""shutdown(wait=True) from inside runs: it waits for all others, never for itself, nor two for each other."""

import threading
from collections.abc import Callable

import pytest
from mainspring.events import EVENT_JOB_EXECUTED
from mainspring.executors.base import BaseExecutor
from mainspring.executors.debug import DebugExecutor
from mainspring.executors.pool import ThreadPoolExecutor
from mainspring.executors.shutdown import inside_shutdown

from tests.executors import fakes
from tests.executors.fakes import FakeJob, FakeScheduler, now


def started(executor: BaseExecutor) -> tuple[BaseExecutor, FakeScheduler]:
    scheduler = FakeScheduler()
    executor.start(scheduler, "test")
    return executor, scheduler


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def join(thread: threading.Thread) -> None:
    thread.join(fakes.TIMEOUT)
    assert not thread.is_alive()


def test_a_job_that_shuts_its_executor_down_waits_for_the_others() -> None:
    executor, scheduler = started(ThreadPoolExecutor(3))
    inside, go_on = threading.Event(), threading.Event()
    order: list[str] = []

    def slow() -> None:
        inside.set()
        assert go_on.wait(fakes.TIMEOUT)
        order.append("slow")

    def stop() -> None:
        in_thread(go_on.set)
        executor.shutdown()
        order.append("stop")

    executor.submit_job(FakeJob(slow), now())
    assert inside.wait(fakes.TIMEOUT)
    executor.submit_job(FakeJob(stop), now())
    assert [scheduler.outcome().code for _ in range(2)] == [EVENT_JOB_EXECUTED] * 2
    assert order == ["slow", "stop"]
    executor.shutdown()


@pytest.mark.parametrize("same", [True, False], ids=["in one executor", "in two executors"])
def test_two_runs_inside_shutdown_do_not_wait_for_each_other(same: bool) -> None:
    first, first_scheduler = started(ThreadPoolExecutor(2))
    second, second_scheduler = (first, first_scheduler) if same else started(ThreadPoolExecutor(2))
    both = threading.Barrier(2)

    def stop_both() -> None:
        both.wait(fakes.TIMEOUT)
        first.shutdown()
        second.shutdown()

    first.submit_job(FakeJob(stop_both), now())
    second.submit_job(FakeJob(stop_both), now())
    assert first_scheduler.outcome().code == EVENT_JOB_EXECUTED
    assert second_scheduler.outcome().code == EVENT_JOB_EXECUTED
    first.shutdown()
    second.shutdown()


def test_a_wait_ends_when_the_last_run_enters_a_shutdown() -> None:
    """The main thread waits already; then the run that it waits for asks for the same."""
    executor, scheduler = started(ThreadPoolExecutor(1))
    inside, go_on, let_end = threading.Event(), threading.Event(), threading.Event()

    def late_stop() -> None:
        inside.set()
        assert go_on.wait(fakes.TIMEOUT)
        with inside_shutdown():  # as a scheduler does around all of its own shutdown
            assert let_end.wait(fakes.TIMEOUT)

    executor.submit_job(FakeJob(late_stop), now())
    assert inside.wait(fakes.TIMEOUT)
    waiting = in_thread(executor.shutdown)
    go_on.set()
    join(waiting)
    assert scheduler.outcomes.empty()
    let_end.set()
    scheduler.outcome()
    executor.shutdown()


def test_a_listener_may_shut_down() -> None:
    executor, scheduler = started(ThreadPoolExecutor(2))
    done = threading.Event()

    def stop(event: object) -> None:
        executor.shutdown()
        done.set()

    scheduler.listeners.add(stop, EVENT_JOB_EXECUTED)
    executor.submit_job(FakeJob(fakes.nothing), now())
    assert done.wait(fakes.TIMEOUT)


def test_the_debug_executor_is_waited_for_by_other_threads() -> None:
    executor, scheduler = started(DebugExecutor())
    inside, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        inside.set()
        assert go_on.wait(fakes.TIMEOUT)

    run = in_thread(lambda: executor.submit_job(FakeJob(slow), now()))
    assert inside.wait(fakes.TIMEOUT)
    seen: list[int] = []

    def stop() -> None:
        executor.shutdown()
        seen.append(scheduler.outcomes.qsize())

    waiting = in_thread(stop)
    go_on.set()
    join(waiting)
    join(run)
    assert seen == [1]


def test_a_job_in_the_debug_executor_may_shut_it_down() -> None:
    executor, scheduler = started(DebugExecutor())
    executor.submit_job(FakeJob(executor.shutdown), now())
    assert scheduler.outcome().code == EVENT_JOB_EXECUTED


def test_ctrl_c_during_an_inline_job_is_raised_after_its_outcome() -> None:
    executor, scheduler = started(DebugExecutor())
    with pytest.raises(KeyboardInterrupt):
        executor.submit_job(FakeJob(fakes.interrupt), now())
    assert isinstance(scheduler.outcome().exception, KeyboardInterrupt)
    assert executor._slots == {}
    executor.submit_job(FakeJob(fakes.leave), now())  # sys.exit() in a job is the job's own affair
    assert isinstance(scheduler.outcome().exception, SystemExit)
