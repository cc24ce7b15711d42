"""BaseExecutor: slots, the hand-over, and executors as third parties write them, with APScheduler's contract alone."""

import os
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from mainspring.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_SUBMITTED,
    JobExecutionEvent,
)
from mainspring.executors.base import BaseExecutor, MaxInstancesReachedError, run_job
from mainspring.executors.pool import ThreadPoolExecutor

from tests.executors import fakes
from tests.executors.fakes import NOON, FakeJob, FakeScheduler, FakeTicket, noon_clock, now


class HeldExecutor(BaseExecutor):
    """Keeps what it is given until it is told to run it."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[tuple[FakeJob, Sequence[datetime]]] = []

    def _do_submit_job(self, job: Any, run_times: Any) -> None:
        self.held.append((job, run_times))

    def run(self, index: int = 0) -> None:
        job, run_times = self.held.pop(index)
        try:
            events = run_job(job, job._jobstore_alias, run_times, self._logger.name)
        except BaseException as exc:
            self._run_job_error(job.id, exc)
        else:
            self._run_job_success(job.id, events)


def started(
    executor: HeldExecutor, scheduler: FakeScheduler | None = None
) -> tuple[HeldExecutor, FakeScheduler]:
    scheduler = scheduler or FakeScheduler(noon_clock())
    executor.start(scheduler, "held")
    return executor, scheduler


def test_run_times_come_as_a_list() -> None:
    """As in APScheduler 3, for whose executors this is the interface; and each gets one of its own."""
    executor, _ = started(HeldExecutor())
    times = (NOON, NOON)
    executor.submit_job(FakeJob(fakes.nothing, max_instances=2), times)
    executor.submit_job(FakeJob(fakes.nothing, max_instances=2), times)
    assert [run_times for _, run_times in executor.held] == [[NOON, NOON]] * 2
    assert executor.held[0][1] is not executor.held[1][1]


def test_the_limit_counts_per_job_and_store() -> None:
    executor, _ = started(HeldExecutor())
    job = FakeJob(fakes.nothing, max_instances=2)
    executor.submit_job(job, [NOON])
    executor.submit_job(job, [NOON])
    with pytest.raises(MaxInstancesReachedError) as caught:
        executor.submit_job(job, [NOON])
    assert caught.value.job is job
    assert "2" in str(caught.value)
    executor.submit_job(FakeJob(fakes.nothing, max_instances=1, id="other"), [NOON])
    executor.submit_job(FakeJob(fakes.nothing, max_instances=1, _jobstore_alias="elsewhere"), [NOON])
    executor.run()
    executor.submit_job(job, [NOON])
    with pytest.raises(MaxInstancesReachedError):
        executor.submit_job(job, [NOON])


def test_a_refused_submission_leaves_no_trace() -> None:
    executor, scheduler = started(HeldExecutor())
    job = FakeJob(fakes.nothing, max_instances=1)
    executor.submit_job(job, [NOON])
    ticket = FakeTicket()
    with pytest.raises(MaxInstancesReachedError):
        executor.submit_job(job, [NOON], ticket)
    assert scheduler.codes() == [EVENT_JOB_SUBMITTED]
    assert ticket.errors == []


def test_the_slot_comes_back_once_when_the_hand_over_raises() -> None:
    class Failing(HeldExecutor):
        def _do_submit_job(self, job: Any, run_times: Any) -> None:
            raise OSError("the queue server is away")

    executor, scheduler = started(Failing())
    ticket = FakeTicket()
    job = FakeJob(fakes.nothing, max_instances=1)
    for _ in range(3):
        with pytest.raises(OSError, match="the queue server is away"):
            executor.submit_job(job, [NOON], ticket)
    assert ticket.errors == []
    assert scheduler.codes() == [EVENT_JOB_SUBMITTED] * 3
    assert executor._slots == {}
    assert executor._submitted == {}


def test_a_hand_over_that_raises_after_the_outcome() -> None:
    class Both(HeldExecutor):
        def _do_submit_job(self, job: Any, run_times: Any) -> None:
            super()._do_submit_job(job, run_times)
            self.run()
            raise OSError

    executor, _ = started(Both())
    ticket = FakeTicket()
    with pytest.raises(OSError):  # noqa: PT011  # the bare one that was raised
        executor.submit_job(FakeJob(fakes.nothing), [NOON], ticket)
    assert ticket.errors == [None]
    assert executor._slots == {}


def test_a_listener_that_raises_through_gives_the_slot_back() -> None:
    executor, scheduler = started(HeldExecutor())

    def interrupt(event: Any) -> None:
        raise KeyboardInterrupt

    scheduler.listeners.add(interrupt, EVENT_JOB_SUBMITTED)
    with pytest.raises(KeyboardInterrupt):
        executor.submit_job(FakeJob(fakes.nothing), [NOON])
    assert executor._slots == {}


def test_outcomes_find_their_submissions() -> None:
    """Two runs of one job, of two stores, which end in the other order."""
    executor, scheduler = started(HeldExecutor())
    tickets = {name: FakeTicket() for name in ("first", "second", "elsewhere")}
    job = FakeJob(fakes.nothing)
    executor.submit_job(job, [NOON], tickets["first"])
    executor.submit_job(job, [NOON + timedelta(seconds=1)], tickets["second"])
    executor.submit_job(FakeJob(fakes.boom, _jobstore_alias="elsewhere"), [NOON], tickets["elsewhere"])
    for name in ("elsewhere", "second", "first"):
        executor.run(-1)
        assert [len(t.errors) for t in tickets.values() if t is tickets[name]] == [1]
    assert [len(ticket.errors) for ticket in tickets.values()] == [1, 1, 1]
    assert repr(tickets["elsewhere"].errors) == "[ValueError('boom')]"
    assert tickets["first"].errors == [None]
    assert executor._slots == {}
    assert [e.code for e in scheduler.events[3:]] == [EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, EVENT_JOB_EXECUTED]


def test_an_outcome_without_events_ends_the_oldest() -> None:
    executor, _ = started(HeldExecutor())
    first, second = FakeTicket(), FakeTicket()
    job = FakeJob(fakes.nothing)
    executor.submit_job(job, [NOON], first)
    executor.submit_job(job, [NOON], second)
    executor._run_job_success("job", [])
    assert (first.errors, second.errors) == ([None], [])


def test_a_run_that_did_not_come_to_run_job_is_an_error_for_each_run_time() -> None:
    executor, scheduler = started(HeldExecutor())
    ticket = FakeTicket()
    executor.submit_job(FakeJob(fakes.nothing), [NOON, NOON + timedelta(seconds=1)], ticket)
    error = RuntimeError("the pool is broken")
    executor._run_job_error("job", error, "Traceback: somewhere else")
    outcomes = [scheduler.outcome(), scheduler.outcome()]
    assert [(o.code, o.exception, o.traceback) for o in outcomes] == [
        (EVENT_JOB_ERROR, error, "Traceback: somewhere else")
    ] * 2
    assert ticket.errors == [error]
    assert executor._slots == {}


def test_the_ticket_is_told_of_what_other_executors_report() -> None:
    executor, scheduler = started(HeldExecutor())
    again = NOON + timedelta(seconds=10)
    ticket = FakeTicket(attempt=2, run_id=7, retry_at=again)
    calls: list[None] = []

    def third_call_raises() -> None:
        calls.append(None)
        if len(calls) == 3:
            raise ValueError

    late, failing = NOON - timedelta(seconds=2), NOON + timedelta(seconds=1)
    run_times = [NOON, late, NOON, failing, NOON]
    job = FakeJob(third_call_raises, misfire_grace_time=1)
    job._scheduler = scheduler  # type: ignore[attr-defined]  # by whose clock it is judged
    executor.submit_job(job, run_times, ticket)
    executor.run()
    outcomes = [scheduler.outcome() for _ in run_times]
    assert [o.scheduled_run_time for o in outcomes] == run_times
    assert {(o.attempt, o.run_id) for o in outcomes} == {(2, 7)}
    assert [o.retry_at for o in outcomes] == [None, None, None, again, None]
    error = outcomes[3].exception
    assert ticket.told == [
        ("missed", 1, timedelta(seconds=2)),
        ("failed", 3, error),
        ("ended", error),
    ]


def test_the_ticket_is_told_of_each_run_time_that_was_not_run() -> None:
    executor, scheduler = started(HeldExecutor())
    ticket = FakeTicket(retry_at=NOON)
    executor.submit_job(FakeJob(fakes.nothing), [NOON, NOON], ticket)
    error = RuntimeError("the pool is broken")
    executor._run_job_error("job", error)
    assert ticket.told == [("failed", 0, error), ("failed", 1, error), ("ended", error)]
    assert [scheduler.outcome().retry_at for _ in range(2)] == [NOON, NOON]


def test_outcomes_of_nothing_are_published_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    executor, scheduler = started(HeldExecutor())
    event = JobExecutionEvent(EVENT_JOB_EXECUTED, "job", "default", NOON)
    executor._run_job_success("job", [event])
    executor._run_job_error("job", ValueError())
    assert scheduler.events == [event]
    assert len(caplog.records) == 2


def test_a_lease_that_is_over_at_the_hand_over() -> None:
    executor, scheduler = started(HeldExecutor())
    ticket = FakeTicket(leased=False)
    executor.submit_job(FakeJob(fakes.nothing), [NOON], ticket)
    assert executor.held == []
    assert ticket.errors == []
    assert executor._slots == {}
    assert scheduler.codes() == [EVENT_JOB_SUBMITTED]


def test_a_third_party_executor_that_does_not_call_our_constructor() -> None:
    class Careless(HeldExecutor):
        def __init__(self) -> None:
            self.held = []

    executor, scheduler = started(Careless())
    executor.submit_job(FakeJob(fakes.nothing), [NOON])
    executor.run()
    assert scheduler.outcome().code == EVENT_JOB_EXECUTED
    assert executor.free_slots() is None
    assert executor.waiting() == 0
    assert executor.withdraw() == []


def test_a_scheduler_without_clock_and_registry() -> None:
    class Bare:
        def __init__(self) -> None:
            self.events: list[Any] = []

        def _dispatch_event(self, event: Any) -> None:
            self.events.append(event)

    executor, bare = HeldExecutor(), Bare()
    executor.start(bare, "held")
    executor.submit_job(FakeJob(fakes.nothing, misfire_grace_time=60), now())
    executor.run()
    assert [e.code for e in bare.events] == [EVENT_JOB_SUBMITTED, EVENT_JOB_EXECUTED]


def test_slots_are_exact_under_concurrency() -> None:
    """Eight threads submit one job with a limit of three; never more than three run, and every slot comes back."""
    scheduler = FakeScheduler()
    executor = ThreadPoolExecutor(8)
    executor.start(scheduler, "test")
    lock = threading.Lock()
    running = 0
    most = 0
    accepted = 0

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.0005)
        with lock:
            running -= 1

    job = FakeJob(work, max_instances=3)

    def submit() -> None:
        nonlocal accepted
        for _ in range(300):
            try:
                executor.submit_job(job, now())
            except MaxInstancesReachedError:
                continue
            with lock:
                accepted += 1

    threads = [threading.Thread(target=submit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(fakes.TIMEOUT)
    executor.shutdown()
    assert 1 <= most <= 3
    assert executor._slots == {}
    assert scheduler.codes().count(EVENT_JOB_EXECUTED) == accepted > 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_after_a_fork_the_copy_refuses_until_it_is_started() -> None:
    scheduler = FakeScheduler()
    executor = ThreadPoolExecutor(1)
    executor.start(scheduler, "test")
    inside, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        inside.set()
        go_on.wait(fakes.TIMEOUT)

    executor.submit_job(FakeJob(hold), now())
    assert inside.wait(fakes.TIMEOUT)
    child = os.fork()
    if child == 0:
        verdict = 1
        try:
            try:
                executor.submit_job(FakeJob(fakes.nothing), now())
            except RuntimeError:
                scheduler = FakeScheduler()
                executor.start(scheduler, "test")
                executor.submit_job(FakeJob(fakes.add, (1,)), now())
                verdict = 0 if scheduler.outcome().retval == 1 else 2
        finally:
            os._exit(verdict)
    _, status = os.waitpid(child, 0)
    go_on.set()
    executor.shutdown()
    assert os.waitstatus_to_exitcode(status) == 0
