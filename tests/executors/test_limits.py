"""Time limits of runs that cannot be ended: threads, inline, third parties; and of coroutines, which can."""

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from mainspring.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_TIMEOUT,
    Clock,
    JobExecutionEvent,
    ManualClock,
    SystemClock,
)
from mainspring.executors import (
    BaseExecutor,
    DebugExecutor,
    JobTimeoutError,
    MaxInstancesReachedError,
    current_run,
    limits,
)
from mainspring.executors.base import run_coroutine_job, run_job
from mainspring.executors.pool import ThreadPoolExecutor

from tests.executors import fakes
from tests.executors.fakes import NOON, FakeJob, FakeScheduler, FakeTicket, noon_clock, now

SECOND = timedelta(seconds=1)


class Gate:
    """A job that tells that it runs, and runs until it is let go."""

    def __init__(self) -> None:
        self.inside = threading.Event()
        self.let_go = threading.Event()

    def __call__(self) -> str:
        self.inside.set()
        assert self.let_go.wait(fakes.TIMEOUT)
        return "done"


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.let_go.set()


@pytest.fixture
def clock() -> ManualClock:
    return noon_clock()


def started(executor: BaseExecutor, clock: Clock | None = None) -> FakeScheduler:
    scheduler = FakeScheduler(clock)
    executor.start(scheduler, "test")
    return scheduler


def until(true: Callable[[], bool]) -> None:
    """Wait for what comes about without a signal."""
    for _ in range(int(fakes.TIMEOUT * 100)):
        if true():
            return
        threading.Event().wait(0.01)
    raise AssertionError(f"not so after {fakes.TIMEOUT} s")


def watchers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "mainspring-limits"]


class OwnClock(SystemClock):
    """One by which nobody else's runs are watched."""


# A thread


def test_a_thread_over_its_limit_keeps_its_slot_until_it_returns(
    clock: ManualClock, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    executor = ThreadPoolExecutor(1)
    scheduler = started(executor, clock)
    ticket = FakeTicket(retry_at=NOON + 9 * SECOND)
    job = FakeJob(gate, max_instances=1, timeout=2)
    executor.submit_job(job, [NOON], ticket)
    assert gate.inside.wait(fakes.TIMEOUT)
    clock.advance(1.999 * SECOND)
    assert scheduler.outcomes.empty()
    assert ticket.told == []
    clock.advance(0.001 * SECOND)
    outcome = scheduler.outcomes.get_nowait()  # before advance() has returned
    assert outcome.code == EVENT_JOB_TIMEOUT
    assert isinstance(outcome.exception, JobTimeoutError)
    assert (
        str(outcome.exception)
        == f'Job "job" has reached its time limit of 2 s (scheduled at {NOON}): a thread cannot be ended: '
        "it keeps its slot until it returns"
    )
    assert outcome.retry_at == ticket.retry_at
    assert outcome.traceback is not None
    assert outcome.traceback.startswith("The job was here:")
    assert "in __call__" in outcome.traceback
    assert "executors/run.py" not in outcome.traceback
    assert str(outcome.exception) in caplog.text
    assert "in __call__" in caplog.text
    assert ticket.told == [("failed", 0, outcome.exception)]  # its end is still to come
    assert executor.free_slots() == 0
    with pytest.raises(MaxInstancesReachedError):
        executor.submit_job(job, [NOON])
    clock.advance(3 * SECOND)
    gate.let_go.set()
    executor.shutdown()
    assert ticket.told == [("failed", 0, outcome.exception), ("ended", outcome.exception)]
    assert scheduler.outcomes.empty()
    assert executor._slots == {}
    assert 'Job "job" has returned 3.000 s after its time limit; its result is dropped' in caplog.text


def test_what_is_raised_behind_the_limit_is_dropped(
    clock: ManualClock, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    executor = ThreadPoolExecutor(1)
    scheduler = started(executor, clock)

    def fail() -> None:
        gate()
        raise ValueError("too late")

    executor.submit_job(FakeJob(fail, timeout=2), [NOON])
    assert gate.inside.wait(fakes.TIMEOUT)
    clock.advance(2 * SECOND)
    gate.let_go.set()
    executor.shutdown()
    assert scheduler.outcome().code == EVENT_JOB_TIMEOUT
    assert scheduler.outcomes.empty()
    assert "has raised ValueError('too late') 0.000 s after its time limit, which is dropped" in caplog.text


def test_time_in_the_queue_does_not_count(clock: ManualClock, gate: Gate) -> None:
    executor = ThreadPoolExecutor(1)
    scheduler = started(executor, clock)
    executor.submit_job(FakeJob(gate), [NOON])
    assert gate.inside.wait(fakes.TIMEOUT)
    executor.submit_job(FakeJob(fakes.add, (1,), timeout=2), [NOON])
    clock.advance(60 * SECOND)
    gate.let_go.set()
    assert [scheduler.outcome().retval for _ in range(2)] == ["done", 1]
    executor.shutdown()


def test_each_run_time_has_the_whole_limit(clock: ManualClock) -> None:
    executor = DebugExecutor()
    scheduler = started(executor, clock)
    ticket = FakeTicket()
    executor.submit_job(FakeJob(lambda: clock.advance(1.5 * SECOND), timeout=2), [NOON] * 3, ticket)
    assert [scheduler.outcome().code for _ in range(3)] == [EVENT_JOB_EXECUTED] * 3
    assert ticket.told == [("ended", None)]


def test_a_job_that_moves_the_clock_itself(clock: ManualClock) -> None:
    """The event is published while it moves the clock, by nobody's watch but its own, and to listeners that are in no run."""
    executor = DebugExecutor()
    scheduler = started(executor, clock)
    seen: list[Any] = []
    scheduler.listeners.add(lambda event: seen.append(current_run()), EVENT_JOB_TIMEOUT)

    def take_long() -> None:
        clock.advance(2 * SECOND)
        run = current_run()
        assert run is not None
        seen.append((run.cancelled, run.cancel_reason, run.time_left))

    executor.submit_job(FakeJob(take_long, timeout=2), [NOON])
    assert seen == [None, (True, "timeout", 0)]
    assert [event.code for event in scheduler.events[1:]] == [EVENT_JOB_TIMEOUT]


def test_by_the_systems_clock(gate: Gate) -> None:
    """The job waits for its own time to be up."""
    executor = ThreadPoolExecutor(2)
    scheduler = started(executor)
    scheduler.listeners.add(lambda event: gate.let_go.set(), EVENT_JOB_TIMEOUT)
    executor.submit_job(FakeJob(gate, timeout=0.05, id="short"), now())
    executor.submit_job(FakeJob(gate, timeout=fakes.TIMEOUT, id="long"), now())
    outcomes = {event.job_id: event.code for event in (scheduler.outcome(), scheduler.outcome())}
    assert outcomes == {"short": EVENT_JOB_TIMEOUT, "long": EVENT_JOB_EXECUTED}
    executor.shutdown()
    assert scheduler.outcomes.empty()


def test_a_listener_that_takes_long_does_not_hold_up_other_limits() -> None:
    executor = ThreadPoolExecutor(2)
    scheduler = started(executor)
    both = threading.Barrier(2)
    scheduler.listeners.add(lambda event: both.wait(fakes.TIMEOUT) and None, EVENT_JOB_TIMEOUT)
    for limit in (0.02, 0.04):
        executor.submit_job(FakeJob(fakes.until_cancelled, timeout=limit), now())
    assert [scheduler.outcome().code for _ in range(2)] == [EVENT_JOB_TIMEOUT] * 2
    executor.shutdown()


def test_who_watches_goes_when_nothing_is_watched(monkeypatch: pytest.MonkeyPatch, gate: Gate) -> None:
    monkeypatch.setattr(limits, "LOOK_EVERY", 0.01)
    clock = OwnClock()
    others = watchers()
    executor = ThreadPoolExecutor(1)
    scheduler = started(executor, clock)
    executor.submit_job(FakeJob(gate, timeout=3600), now())
    assert gate.inside.wait(fakes.TIMEOUT)
    (watcher,) = [thread for thread in watchers() if thread not in others]
    assert watcher.daemon
    gate.let_go.set()
    assert scheduler.outcome().code == EVENT_JOB_EXECUTED
    watcher.join(fakes.TIMEOUT)
    assert not watcher.is_alive()
    assert id(clock) not in limits._watchers
    executor.submit_job(FakeJob(fakes.add, (1,), timeout=0.01), now())  # and comes again
    assert scheduler.outcome().code in (EVENT_JOB_EXECUTED, EVENT_JOB_TIMEOUT)
    executor.shutdown()


def test_a_clock_by_which_nothing_is_watched_is_left_alone(clock: ManualClock) -> None:
    executor = DebugExecutor()
    started(executor, clock)
    executor.submit_job(FakeJob(lambda: clock.advance(SECOND), timeout=2), [NOON])
    executor.submit_job(FakeJob(lambda: clock.advance(SECOND), timeout=1), [NOON])
    assert clock._subscribers == ()
    assert id(clock) not in limits._watchers


def test_runs_that_end_in_time_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TIDY_FROM", 10)
    clock = OwnClock()
    executor = DebugExecutor()
    started(executor, clock)
    for _ in range(100):
        executor.submit_job(FakeJob(fakes.nothing, timeout=3600), now())
    watcher = limits._watchers[id(clock)]
    assert len(watcher._heap) < 20


def test_no_more_threads_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody watches then; what returns too late has timed out all the same."""

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    executor = DebugExecutor()
    scheduler = started(executor, OwnClock())
    executor.submit_job(FakeJob(fakes.until_cancelled, timeout=0.01), now())
    outcome = scheduler.outcome()
    assert outcome.code == EVENT_JOB_TIMEOUT
    assert "what came of it is dropped" in str(outcome.exception)
    executor.submit_job(FakeJob(fakes.nothing, timeout=fakes.TIMEOUT), now())
    assert scheduler.outcome().code == EVENT_JOB_EXECUTED


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_limits_in_a_forked_child(gate: Gate) -> None:
    executor = ThreadPoolExecutor(1)
    started(executor)
    executor.submit_job(FakeJob(gate, timeout=3600), now())
    assert gate.inside.wait(fakes.TIMEOUT)
    child = os.fork()
    if child == 0:
        verdict = 1
        try:
            scheduler = started(executor)
            executor.submit_job(FakeJob(fakes.until_cancelled, timeout=0.01), now())
            verdict = 0 if scheduler.outcome().code == EVENT_JOB_TIMEOUT else 2
        finally:
            os._exit(verdict)
    _, status = os.waitpid(child, 0)
    gate.let_go.set()
    executor.shutdown()
    assert os.waitstatus_to_exitcode(status) == 0


# One outcome, whatever comes first


def test_it_returns_while_the_ticket_is_told_of_the_limit(clock: ManualClock, gate: Gate) -> None:
    """The thread of the run waits then: `failed` comes before `ended`, and there is one outcome."""
    executor = ThreadPoolExecutor(1)
    scheduler = started(executor, clock)
    ticket = FakeTicket()
    telling, go_on = threading.Event(), threading.Event()

    def while_told() -> None:
        telling.set()
        assert go_on.wait(fakes.TIMEOUT)

    returning = threading.Event()

    def run() -> None:
        gate()
        returning.set()

    ticket.at_failure = while_told
    executor.submit_job(FakeJob(run, timeout=2), [NOON], ticket)
    assert gate.inside.wait(fakes.TIMEOUT)
    mover = threading.Thread(target=clock.advance, args=(2 * SECOND,))
    mover.start()
    assert telling.wait(fakes.TIMEOUT)
    gate.let_go.set()
    assert returning.wait(fakes.TIMEOUT)
    go_on.set()
    mover.join(fakes.TIMEOUT)
    executor.shutdown()
    outcome = scheduler.outcome()
    assert outcome.code == EVENT_JOB_TIMEOUT
    assert scheduler.outcomes.empty()
    assert ticket.told == [("failed", 0, outcome.exception), ("ended", outcome.exception)]


@pytest.mark.parametrize("when", ["before it has decided", "after it has decided"])
def test_the_limit_passes_while_it_returns(
    clock: ManualClock, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In time by the clock that it read, and then the limit passes before, or after, it has said so."""
    in_time, close = limits.TimeLimit.in_time, limits.Watch.close

    def close_late(self: limits.Watch) -> None:
        if when == "before it has decided":
            clock.advance(2 * SECOND)
            close(self)

    def decide(self: limits.TimeLimit, error: BaseException | None = None) -> bool:
        verdict = in_time(self, error)
        if when == "after it has decided":
            clock.advance(2 * SECOND)  # it is still watched: `close_late` has not closed it
            close(self._watch)
        return verdict

    monkeypatch.setattr(limits.Watch, "close", close_late)
    monkeypatch.setattr(limits.TimeLimit, "in_time", decide)
    executor = DebugExecutor()
    scheduler = started(executor, clock)
    ticket = FakeTicket()
    executor.submit_job(FakeJob(fakes.add, (1,), timeout=2), [NOON], ticket)
    outcome = scheduler.outcome()
    assert scheduler.outcomes.empty()
    if when == "before it has decided":
        assert outcome.code == EVENT_JOB_TIMEOUT
        assert ticket.told == [("failed", 0, outcome.exception), ("ended", outcome.exception)]
    else:
        assert (outcome.code, outcome.retval) == (EVENT_JOB_EXECUTED, 1)
        assert ticket.told == [("ended", None)]


def test_many_runs_that_take_about_as_long_as_they_may() -> None:
    """Each has one outcome, and its ticket is told once of it, and then of the end."""
    executor = ThreadPoolExecutor(4)
    scheduler = started(executor)
    tickets = [FakeTicket() for _ in range(600)]
    for number, ticket in enumerate(tickets):
        job = FakeJob(lambda: threading.Event().wait(0.003), id=str(number), timeout=0.003 + number % 7 / 1e4)
        executor.submit_job(job, now(), ticket)
    executor.shutdown()
    until(lambda: scheduler.outcomes.qsize() == len(tickets))
    outcomes = {event.job_id: event for event in (scheduler.outcome() for _ in tickets)}
    assert len(outcomes) == len(tickets)
    for number, ticket in enumerate(tickets):
        event = outcomes[str(number)]
        ended = ("ended", event.exception)
        if event.code == EVENT_JOB_TIMEOUT:
            assert ticket.told == [("failed", 0, event.exception), ended]
        else:
            assert event.code == EVENT_JOB_EXECUTED
            assert ticket.told == [ended]
    assert executor._slots == {}


def test_a_ticket_that_raises_through_at_the_limit(clock: ManualClock, gate: Gate) -> None:
    """The run has failed nevertheless, and its ticket hears of the end."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    executor = ThreadPoolExecutor(1)
    started(executor, clock)
    ticket = FakeTicket()
    ticket.at_failure = interrupt
    executor.submit_job(FakeJob(gate, timeout=2), [NOON], ticket)
    assert gate.inside.wait(fakes.TIMEOUT)
    with pytest.raises(KeyboardInterrupt):
        clock.advance(2 * SECOND)
    gate.let_go.set()
    executor.shutdown()
    assert [type(error) for error in ticket.errors] == [JobTimeoutError]


# Inline, and by others


def test_ctrl_c_ends_an_inline_job_behind_its_limit_and_is_raised_on(clock: ManualClock) -> None:
    executor = DebugExecutor()
    scheduler = started(executor, clock)

    def interrupted() -> None:
        clock.advance(2 * SECOND)
        raise KeyboardInterrupt

    ticket = FakeTicket()
    with pytest.raises(KeyboardInterrupt):
        executor.submit_job(FakeJob(interrupted, timeout=2), [NOON], ticket)
    assert scheduler.outcome().code == EVENT_JOB_TIMEOUT
    assert scheduler.outcomes.empty()
    assert [type(error) for error in ticket.errors] == [JobTimeoutError]


def test_run_job_logs_at_once_and_returns_the_event(
    clock: ManualClock, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    returned: list[JobExecutionEvent] = []
    job = FakeJob(gate, timeout=2)
    run = threading.Thread(
        target=lambda: returned.extend(run_job(job, "default", [NOON], "log", clock=clock))
    )
    run.start()
    assert gate.inside.wait(fakes.TIMEOUT)
    clock.advance(2 * SECOND)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "has reached its time limit of 2 s" in caplog.text
    assert returned == []
    gate.let_go.set()
    run.join(fakes.TIMEOUT)
    (event,) = returned
    assert event.code == EVENT_JOB_TIMEOUT
    assert isinstance(event.exception, JobTimeoutError)
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


def test_an_executor_of_somebody_elses(clock: ManualClock) -> None:
    class Inline(BaseExecutor):
        def _do_submit_job(self, job: Any, run_times: Any) -> None:
            if job.id == "ended":
                self._run_job_error(job.id, JobTimeoutError("it was ended"))
                return
            events = run_job(job, job._jobstore_alias, run_times, self._logger.name, clock=clock)
            self._run_job_success(job.id, events)

    executor = Inline()
    scheduler = started(executor, clock)
    ticket = FakeTicket(attempt=2, run_id=7, retry_at=NOON)
    executor.submit_job(FakeJob(lambda: clock.advance(2 * SECOND), timeout=2), [NOON], ticket)
    outcome = scheduler.outcome()
    assert (outcome.code, outcome.attempt, outcome.run_id) == (EVENT_JOB_TIMEOUT, 2, 7)
    assert outcome.retry_at == NOON
    assert ticket.told == [("failed", 0, outcome.exception), ("ended", outcome.exception)]
    # One that has ways of its own to end a run says so by the error.
    executor.submit_job(FakeJob(fakes.nothing, id="ended"), [NOON])
    assert scheduler.outcome().code == EVENT_JOB_TIMEOUT


# Coroutines


def run_async(job: FakeJob, *times: Any, clock: Clock | None = None) -> list[JobExecutionEvent]:
    return asyncio.run(
        run_coroutine_job(
            job, "default", times or [NOON], "mainspring.executors.test", clock=clock or noon_clock()
        )
    )


async def hang() -> None:
    await asyncio.Event().wait()


def test_a_coroutine_over_its_limit_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    cancelled: list[bool] = []

    async def job() -> None:
        try:
            await hang()
        except asyncio.CancelledError:
            run = current_run()
            assert run is not None
            cancelled.append(run.cancelled)
            raise

    events = run_async(FakeJob(job, timeout=0.01), NOON, NOON, clock=SystemClock())
    assert [event.code for event in events] == [EVENT_JOB_TIMEOUT] * 2
    assert cancelled == [True, True]
    assert str(events[0].exception).endswith("it was cancelled")
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2


def test_a_coroutine_by_a_clock_that_is_moved(clock: ManualClock) -> None:
    async def job() -> None:
        clock.advance(2 * SECOND)
        await hang()

    (event,) = run_async(FakeJob(job, timeout=2), clock=clock)
    assert event.code == EVENT_JOB_TIMEOUT
    assert clock._subscribers == ()


def test_a_coroutine_by_a_clock_that_is_moved_by_another_thread(clock: ManualClock) -> None:
    inside = threading.Event()

    async def job() -> None:
        inside.set()
        await hang()

    def move() -> None:
        assert inside.wait(fakes.TIMEOUT)
        clock.advance(2 * SECOND)

    mover = threading.Thread(target=move)
    mover.start()
    (event,) = run_async(FakeJob(job, timeout=2), clock=clock)
    mover.join(fakes.TIMEOUT)
    assert event.code == EVENT_JOB_TIMEOUT


@pytest.mark.parametrize("timeout", [None, fakes.TIMEOUT])
def test_a_coroutines_own_timeout_error_is_an_error(timeout: float | None) -> None:
    async def job() -> None:
        async with asyncio.timeout(0):
            await hang()

    (event,) = run_async(FakeJob(job, timeout=timeout), clock=SystemClock())
    assert (event.code, type(event.exception)) == (EVENT_JOB_ERROR, TimeoutError)


def test_a_coroutine_in_time() -> None:
    (event,) = run_async(FakeJob(fakes.coroutine, timeout=fakes.TIMEOUT), clock=SystemClock())
    assert (event.code, event.retval) == (EVENT_JOB_EXECUTED, 1)


def test_a_coroutine_that_is_not_to_be_cancelled() -> None:
    async def stubborn() -> str:
        try:
            await hang()
        except asyncio.CancelledError:
            pass
        return "a result"

    (event,) = run_async(FakeJob(stubborn, timeout=0.01), clock=SystemClock())
    assert (event.code, event.retval) == (EVENT_JOB_TIMEOUT, None)


def test_a_plain_function_in_an_event_loop_is_judged_when_it_returns(clock: ManualClock) -> None:
    (event,) = run_async(FakeJob(lambda: clock.advance(2 * SECOND), timeout=2), clock=clock)
    assert event.code == EVENT_JOB_TIMEOUT
    assert "was not to be cancelled" in str(event.exception)


def test_a_coroutine_that_others_cancel_has_failed() -> None:
    async def main() -> list[JobExecutionEvent]:
        begun = asyncio.Event()

        async def job() -> None:
            begun.set()
            await hang()

        task = asyncio.create_task(
            run_coroutine_job(
                FakeJob(job, timeout=fakes.TIMEOUT), "default", [NOON], "log", clock=SystemClock()
            )
        )
        await begun.wait()
        task.cancel()
        return await task

    (event,) = asyncio.run(main())
    assert (event.code, type(event.exception)) == (EVENT_JOB_ERROR, asyncio.CancelledError)
