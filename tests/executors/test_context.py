"""current_run(): where it is known, and how a run hears that it is cancelled."""

import asyncio
import contextvars
import threading
from datetime import timedelta
from typing import Any

from mainspring.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, SystemClock
from mainspring.executors import CurrentRun, DebugExecutor, current_run, run_coroutine_job, run_job
from mainspring.executors.context import Running
from mainspring.executors.pool import ProcessPoolExecutor

from tests.executors import fakes
from tests.executors.fakes import NOON, FakeJob, FakeScheduler, FakeTicket, noon_clock, now


def this_run() -> CurrentRun:
    run = current_run()
    assert run is not None
    return run


def in_thread(work: Any) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(fakes.TIMEOUT)
    assert not thread.is_alive()


def test_nested_inline_runs_restore_the_outer_one() -> None:
    executor = DebugExecutor()
    executor.start(FakeScheduler(), "test")
    seen: list[Any] = []

    def note() -> None:
        seen.append(this_run().job_id)

    def fail() -> None:
        note()
        raise ValueError

    def outer() -> None:
        note()
        executor.submit_job(FakeJob(note, id="inner"), now())
        note()
        executor.submit_job(FakeJob(fail, id="failing"), now())
        note()

    executor.submit_job(FakeJob(outer, id="outer"), now())
    assert seen == ["outer", "inner", "outer", "failing", "outer"]
    assert current_run() is None


def test_each_run_time_is_a_run_of_its_own() -> None:
    runs: list[CurrentRun] = []
    times = [NOON, NOON + timedelta(seconds=1)]
    run_job(FakeJob(lambda: runs.append(this_run()), timeout=9), "default", times, "log", clock=noon_clock())
    run_job(FakeJob(lambda: runs.append(this_run())), "default", times, "log", clock=noon_clock())
    assert [run.scheduled_run_time for run in runs] == times * 2
    assert [run.time_left for run in runs] == [9, 9, None, None]


def test_the_context_may_be_given_on() -> None:
    seen: list[str | None] = []

    def note() -> None:
        run = current_run()
        seen.append(None if run is None else run.job_id)

    def job() -> None:
        in_thread(note)
        context = contextvars.copy_context()
        in_thread(lambda: context.run(note))

    run_job(FakeJob(job), "default", [NOON], "log", clock=noon_clock())
    assert seen == [None, "job"]


def test_a_coroutine_and_its_tasks_know_their_run() -> None:
    async def note() -> str:
        await asyncio.sleep(0)
        return this_run().job_id

    async def job() -> list[str]:
        return [await note(), *await asyncio.gather(note(), note())]

    async def main() -> list[Any]:
        runs = [
            run_coroutine_job(FakeJob(job, id=name), "default", [NOON], "log", clock=noon_clock())
            for name in ("a", "b")
        ]
        events = [event for outcome in await asyncio.gather(*runs) for event in outcome]
        assert current_run() is None
        return [event.retval for event in events]

    assert asyncio.run(main()) == [["a"] * 3, ["b"] * 3]


def test_waiting_ends_when_the_time_is_up() -> None:
    def job() -> None:
        assert not this_run().wait(0)
        assert not this_run().wait(0.001)
        assert this_run().cancel_reason is None

    (event,) = run_job(FakeJob(job), "default", now(), "log")
    assert event.code == EVENT_JOB_EXECUTED, event.exception
    (event,) = run_job(FakeJob(job, timeout=fakes.TIMEOUT), "default", now(), "log")
    assert event.code == EVENT_JOB_EXECUTED, event.exception


def test_one_may_wait_as_long_as_one_likes() -> None:
    run = CurrentRun("job", "default", NOON, 1, None, SystemClock(), None)
    for seconds in (None, 1e300, float("inf")):
        waiting = threading.Thread(target=run.wait, args=(seconds,))
        waiting.start()
        run.cancel("lost")
        waiting.join(fakes.TIMEOUT)
        assert not waiting.is_alive()


def test_the_first_reason_counts() -> None:
    run = CurrentRun("job", "default", NOON, 1, None, noon_clock(), None)
    assert (run.cancelled, run.cancel_reason) == (False, None)
    run.cancel("lost")
    run.cancel("shutdown")
    assert (run.cancelled, run.cancel_reason, run.wait()) == (True, "lost", True)
    assert "'job' (attempt 1" in repr(run)


def test_a_run_that_is_cancelled_while_it_asks_hears_of_it() -> None:
    """Between the look at the reason and the moment at which others can see that somebody has asked."""

    class Late(Running):
        def describe(self, deadline: float | None = None) -> CurrentRun:
            run = CurrentRun("job", "default", NOON, 1, None, SystemClock(), deadline)
            self.cancel("lost")
            return run

    for limited in (False, True):
        late = Late()
        late.cancelled = late.run = None
        run = late.limited(SystemClock().monotonic() + fakes.TIMEOUT) if limited else late.current()
        assert run.wait(fakes.TIMEOUT)
        assert run.cancel_reason == "lost"


def test_a_cancelled_run_is_not_the_next_one() -> None:
    """In a worker process: the word that the first is cancelled may come when it is over."""
    executor = ProcessPoolExecutor(1)
    scheduler = FakeScheduler()
    executor.start(scheduler, "test")
    for _ in range(30):
        ticket = FakeTicket()
        executor.submit_job(FakeJob(fakes.nothing, id="first"), now(), ticket)
        executor.submit_job(FakeJob(fakes.this_run, id="second"), now())
        executor.cancel(ticket, "lost")
        outcomes = {event.job_id: event for event in (scheduler.outcome(), scheduler.outcome())}
        assert outcomes["second"].retval[-1] is False
    executor.shutdown()


def test_a_run_that_fails_when_it_is_cancelled_has_failed() -> None:
    """Nobody makes anything else of what a function does about it."""
    executor = DebugExecutor()
    scheduler = FakeScheduler()
    executor.start(scheduler, "test")
    ticket = FakeTicket()

    def job() -> None:
        assert executor.cancel(ticket, "lost")
        if this_run().cancelled:
            raise RuntimeError("given up")

    executor.submit_job(FakeJob(job), now(), ticket)
    outcome = scheduler.outcome()
    assert (outcome.code, str(outcome.exception)) == (EVENT_JOB_ERROR, "given up")
    assert not executor.cancel(ticket, "lost")  # it is over
