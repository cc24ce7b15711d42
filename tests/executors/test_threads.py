"""The thread pool's own doings: when threads start, what waits, what can be taken back, its options."""

import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from mainspring.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED
from mainspring.executors import WorkerStartError
from mainspring.executors.pool import ProcessPoolExecutor, ThreadPoolExecutor

from tests.executors import fakes
from tests.executors.fakes import FakeJob, FakeScheduler, FakeTicket, now


class Gate:
    """A job that tells that it runs, and runs until it is let go."""

    def __init__(self) -> None:
        self.inside = threading.Semaphore(0)
        self.let_go = threading.Event()

    def __call__(self) -> str:
        self.inside.release()
        assert self.let_go.wait(fakes.TIMEOUT)
        return threading.current_thread().name

    def entered(self) -> None:
        assert self.inside.acquire(timeout=fakes.TIMEOUT)


@pytest.fixture
def scheduler() -> FakeScheduler:
    return FakeScheduler()


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.let_go.set()


def started(scheduler: FakeScheduler, max_workers: int, **options: Any) -> ThreadPoolExecutor:
    executor = ThreadPoolExecutor(max_workers, options)
    executor.start(scheduler, "alias")
    return executor


def workers(prefix: str = "mainspring-alias-") -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith(prefix)}


def until(true: Callable[[], bool]) -> None:
    """Wait for what comes about without a signal."""
    for _ in range(int(fakes.TIMEOUT * 100)):
        if true():
            return
        threading.Event().wait(0.01)
    raise AssertionError(f"not so after {fakes.TIMEOUT} s")


def test_threads_start_when_needed_and_are_used_again(scheduler: FakeScheduler, gate: Gate) -> None:
    executor = started(scheduler, 3)
    assert workers() == set()
    for _ in range(5):
        executor.submit_job(FakeJob(fakes.thread_name), now())
        assert scheduler.outcome().retval == "mainspring-alias-0"
        until(lambda: executor._crew.outstanding() == 0)  # the thread is idle a moment after the event
    for _ in range(4):
        executor.submit_job(FakeJob(gate), now())
    for _ in range(3):
        gate.entered()
    assert workers() == {"mainspring-alias-0", "mainspring-alias-1", "mainspring-alias-2"}
    assert all(thread.daemon for thread in threading.enumerate() if thread.name in workers())
    gate.let_go.set()
    executor.shutdown()
    assert workers() == set()


def test_a_listener_that_takes_long_does_not_hold_up_other_runs(scheduler: FakeScheduler) -> None:
    executor = started(scheduler, 2)
    told, go_on = threading.Event(), threading.Event()

    def linger(event: Any) -> None:
        if event.job_id == "first":
            told.set()
            assert go_on.wait(fakes.TIMEOUT)

    scheduler.listeners.add(linger, EVENT_JOB_EXECUTED)
    executor.submit_job(FakeJob(fakes.nothing, id="first"), now())
    assert told.wait(fakes.TIMEOUT)
    assert executor.free_slots() == 2  # the slot is free, but not the thread
    scheduler.outcome()
    executor.submit_job(FakeJob(fakes.nothing, id="second"), now())
    assert scheduler.outcome().job_id == "second"
    go_on.set()
    executor.shutdown()


def test_free_slots_waiting_and_withdraw(scheduler: FakeScheduler, gate: Gate) -> None:
    executor = ThreadPoolExecutor(2)
    assert (executor.free_slots(), executor.waiting()) == (0, 0)
    executor.start(scheduler, "alias")
    assert (executor.free_slots(), executor.waiting()) == (2, 0)
    job = FakeJob(gate, max_instances=4)
    tickets = [FakeTicket() for _ in range(4)]
    executor.submit_job(job, now(), tickets[0])
    assert executor.free_slots() == 1
    for ticket in tickets[1:]:
        executor.submit_job(job, now(), ticket)
    gate.entered()
    gate.entered()
    assert (executor.free_slots(), executor.waiting()) == (0, 2)

    assert executor.withdraw() == tickets[2:]
    assert (executor.free_slots(), executor.waiting()) == (0, 0)
    assert executor.withdraw() == []
    executor.submit_job(job, now())  # the slots of the withdrawn are free
    executor.submit_job(job, now())
    executor.withdraw()

    gate.let_go.set()
    scheduler.outcome()
    scheduler.outcome()
    assert executor.free_slots() == 2
    executor.shutdown()
    assert [len(ticket.errors) for ticket in tickets] == [1, 1, 0, 0]
    assert scheduler.outcomes.empty()


def test_withdraw_after_shutdown_without_wait(scheduler: FakeScheduler, gate: Gate) -> None:
    executor = started(scheduler, 1)
    first, second = FakeTicket(), FakeTicket()
    executor.submit_job(FakeJob(gate), now(), first)
    gate.entered()
    executor.submit_job(FakeJob(gate), now(), second)
    executor.shutdown(wait=False)
    assert executor.withdraw() == [second]
    gate.let_go.set()
    executor.shutdown()  # the worker still finds its dismissal
    assert (first.errors, second.errors) == ([None], [])


def test_started_again_while_old_runs_go_on(scheduler: FakeScheduler, gate: Gate) -> None:
    executor = started(scheduler, 1)
    job = FakeJob(gate, max_instances=2)
    executor.submit_job(job, now())
    gate.entered()
    executor.shutdown(wait=False)
    executor.start(scheduler, "alias")
    assert executor.free_slots() == 1  # the old run has a worker of its own
    executor.submit_job(job, now())
    gate.entered()
    with pytest.raises(Exception, match="maximum number of instances"):
        executor.submit_job(job, now())  # but it counts for max_instances
    gate.let_go.set()
    executor.shutdown()
    assert {scheduler.outcome().code, scheduler.outcome().code} == {EVENT_JOB_EXECUTED}
    assert workers() == set()


def test_an_idle_worker_keeps_nothing_alive(scheduler: FakeScheduler) -> None:
    class Held:
        def __call__(self) -> None:
            pass

    executor = started(scheduler, 1)
    held = Held()
    gone = weakref.ref(held)
    executor.submit_job(FakeJob(held), now())
    scheduler.outcome()
    scheduler.events.clear()
    del held
    until(lambda: gone() is None)  # the thread is idle a moment after the event
    executor.shutdown()


def test_thread_name_prefix(scheduler: FakeScheduler) -> None:
    executor = started(scheduler, 1, thread_name_prefix="crew")
    executor.submit_job(FakeJob(fakes.thread_name), now())
    assert scheduler.outcome().retval == "crew_0"
    executor.shutdown()


def test_initializer(scheduler: FakeScheduler) -> None:
    local = threading.local()
    executor = started(scheduler, 1, initializer=lambda value: setattr(local, "x", value), initargs=("set",))
    executor.submit_job(FakeJob(lambda: local.x), now())
    executor.submit_job(FakeJob(lambda: local.x), now())
    assert [scheduler.outcome().retval, scheduler.outcome().retval] == ["set", "set"]
    executor.shutdown()


def test_an_initializer_that_raises_is_tried_again(scheduler: FakeScheduler) -> None:
    left = ["once"]

    def initializer() -> None:
        if left:
            raise OSError(left.pop())

    executor = started(scheduler, 1, initializer=initializer)
    ticket = FakeTicket()
    executor.submit_job(FakeJob(fakes.nothing), now(), ticket)
    outcome = scheduler.outcome()
    assert outcome.code == EVENT_JOB_ERROR
    assert isinstance(outcome.exception, WorkerStartError)
    assert "OSError('once')" in str(outcome.exception)
    assert ticket.errors == [outcome.exception]
    executor.submit_job(FakeJob(fakes.nothing), now())
    assert scheduler.outcome().code == EVENT_JOB_EXECUTED
    executor.shutdown()


def test_a_ticket_whose_lease_cannot_be_checked(
    scheduler: FakeScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(FakeTicket):
        def may_start(self) -> bool:
            raise OSError("no lease to be seen")

    executor = started(scheduler, 1)
    ticket = Broken()
    job = FakeJob(fakes.nothing, max_instances=1)
    executor.submit_job(job, now(), ticket)
    outcome = scheduler.outcome()
    assert isinstance(outcome.exception, OSError)
    assert ticket.errors == [outcome.exception]
    executor.submit_job(job, now())
    assert scheduler.outcome().code == EVENT_JOB_EXECUTED
    executor.shutdown()


def test_no_more_threads_to_be_had(
    scheduler: FakeScheduler, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    executor = started(scheduler, 2)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            executor.submit_job(FakeJob(gate, max_instances=1), now())
    executor.submit_job(FakeJob(gate, max_instances=1), now())  # the slot came back
    gate.entered()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        executor.submit_job(FakeJob(fakes.nothing), now())  # waits for the one worker there is
    gate.let_go.set()
    executor.shutdown()
    assert [scheduler.outcome().code for _ in range(2)] == [EVENT_JOB_EXECUTED] * 2


@pytest.mark.parametrize("pool", [ThreadPoolExecutor, ProcessPoolExecutor])
@pytest.mark.parametrize("given", [0, -1, "0", "many", "", 2.5, True, None])
def test_max_workers_is_a_positive_integer(pool: Any, given: Any) -> None:
    with pytest.raises(
        (ValueError, TypeError), match=f"max_workers must be a positive integer, got .*{given!r}"
    ):
        pool(given)


@pytest.mark.parametrize("pool", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_max_workers_from_a_configuration_file(pool: Any) -> None:
    executor = pool(max_workers="3")
    executor.start(FakeScheduler(), "alias")
    assert executor.free_slots() == 3
    executor.shutdown()


@pytest.mark.parametrize("pool", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_unknown_options_are_refused_with_the_nearest_name(pool: Any) -> None:
    options = {"initialiser": fakes.nothing}
    with pytest.raises(TypeError, match=f"{pool.__name__}.*'initialiser'.*did you mean 'initializer'"):
        pool(1, pool_kwargs=options)
    assert options == {"initialiser": fakes.nothing}


def test_the_default_is_ten_workers(scheduler: FakeScheduler) -> None:
    executor = ThreadPoolExecutor()
    executor.start(scheduler, "alias")
    assert executor.free_slots() == 10
    executor.shutdown()
