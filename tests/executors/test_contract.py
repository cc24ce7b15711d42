"""What every executor of this library keeps: slots, SUBMITTED first, the end of a run in order, the lease, what is refused."""

import concurrent.futures
import multiprocessing
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from mainspring.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MISSED,
    EVENT_JOB_SUBMITTED,
    EVENT_JOB_TIMEOUT,
    JobSubmissionEvent,
)
from mainspring.executors import (
    BaseExecutor,
    CoroutineFunctionError,
    DebugExecutor,
    ExecutorNotRunningError,
    JobTimeoutError,
    MaxInstancesReachedError,
    current_run,
)
from mainspring.executors.futures import FuturesExecutor
from mainspring.executors.pool import ProcessPoolExecutor, ThreadPoolExecutor
from mainspring.executors.submission import Submission

from tests.executors import fakes
from tests.executors.fakes import FakeJob, FakeScheduler, FakeTicket, micros, now

Make = Callable[[], BaseExecutor]


def futures_of_threads() -> BaseExecutor:
    return FuturesExecutor(concurrent.futures.ThreadPoolExecutor(2))


def futures_of_processes() -> BaseExecutor:
    spawn = multiprocessing.get_context("spawn")
    return FuturesExecutor(concurrent.futures.ProcessPoolExecutor(2, mp_context=spawn))


MAKERS: list[Make] = [
    DebugExecutor,
    partial(ThreadPoolExecutor, 2),
    partial(ProcessPoolExecutor, 2),
    futures_of_threads,
    futures_of_processes,
]
NAMES = ["debug", "threads", "processes", "futures of threads", "futures of processes"]


@pytest.fixture(params=MAKERS, ids=NAMES)
def executor(request: pytest.FixtureRequest) -> Iterator[BaseExecutor]:
    executor: BaseExecutor = request.param()
    yield executor
    executor.shutdown()
    pool = getattr(executor, "_pool", None)
    if pool is not None:
        pool.shutdown()


@pytest.fixture
def scheduler(executor: BaseExecutor) -> FakeScheduler:
    scheduler = FakeScheduler()
    executor.start(scheduler, "test")
    return scheduler


def test_a_result(executor: BaseExecutor, scheduler: FakeScheduler) -> None:
    run_times = now()
    executor.submit_job(FakeJob(fakes.add, (1,), {"b": 2}), run_times)
    outcome = scheduler.outcome()
    assert (outcome.code, outcome.retval) == (EVENT_JOB_EXECUTED, 3)
    assert outcome.scheduled_run_time == run_times[0]
    assert scheduler.events[0] == JobSubmissionEvent(EVENT_JOB_SUBMITTED, "job", "default", run_times)
    assert len(scheduler.events) == 2


@pytest.mark.parametrize(
    ("func", "args", "error"), [(fakes.boom, ("bang",), ValueError), (fakes.leave, (), SystemExit)]
)
def test_an_exception(
    executor: BaseExecutor, scheduler: FakeScheduler, func: Any, args: Any, error: type[BaseException]
) -> None:
    ticket = FakeTicket()
    executor.submit_job(FakeJob(func, args), now(), ticket)
    outcome = scheduler.outcome()
    assert outcome.code == EVENT_JOB_ERROR
    assert type(outcome.exception) is error
    assert ticket.errors == [outcome.exception]
    assert outcome.traceback is not None
    assert f"in {func.__name__}" in outcome.traceback
    executor.submit_job(FakeJob(fakes.nothing), now())  # and the worker goes on
    assert scheduler.outcome().code == EVENT_JOB_EXECUTED


def test_several_run_times_are_judged_one_by_one(executor: BaseExecutor, scheduler: FakeScheduler) -> None:
    ticket = FakeTicket(micros(now()[0]))
    start = now()[0]
    run_times = [start - timedelta(days=1), start, start + timedelta(seconds=1)]
    executor.submit_job(FakeJob(fakes.boom, misfire_grace_time=600), run_times, ticket)
    outcomes = [scheduler.outcome() for _ in run_times]
    assert [o.code for o in outcomes] == [EVENT_JOB_MISSED, EVENT_JOB_ERROR, EVENT_JOB_ERROR]
    assert [o.scheduled_run_time for o in outcomes] == run_times
    assert ticket.errors == [outcomes[-1].exception]
    missed = outcomes[0]
    assert missed.late is not None
    assert missed.late > timedelta(days=1)
    assert missed.queued is not None
    assert missed.queued < timedelta(hours=1)


def test_the_ticket_is_told_of_failures_and_misses_before_the_end(
    executor: BaseExecutor, scheduler: FakeScheduler
) -> None:
    start = now()[0]
    again = start + timedelta(seconds=10)
    ticket = FakeTicket(micros(start), attempt=2, run_id=7, retry_at=again)
    run_times = [start - timedelta(days=1), start, start]
    executor.submit_job(FakeJob(fakes.boom, misfire_grace_time=600), run_times, ticket)
    missed, *failed = (scheduler.outcome() for _ in run_times)
    assert [(e.attempt, e.run_id, e.retry_at) for e in (missed, *failed)] == [
        (2, 7, None),
        (2, 7, again),
        (2, 7, again),
    ]
    assert ticket.told == [
        ("missed", 0, missed.late),
        ("failed", 1, failed[0].exception),
        ("failed", 2, failed[1].exception),
        ("ended", failed[1].exception),
    ]


def test_the_last_attempt_is_told_as_such(executor: BaseExecutor, scheduler: FakeScheduler) -> None:
    executor.submit_job(FakeJob(fakes.boom), now(), FakeTicket(attempt=3, run_id=7))
    outcome = scheduler.outcome()
    assert (outcome.attempt, outcome.run_id, outcome.is_last_attempt) == (3, 7, True)
    executor.submit_job(FakeJob(fakes.nothing), now(), FakeTicket(attempt=4, run_id=7))
    outcome = scheduler.outcome()
    assert (outcome.attempt, outcome.run_id, outcome.is_last_attempt) == (4, 7, True)


def test_a_missed_run_is_no_error(executor: BaseExecutor, scheduler: FakeScheduler) -> None:
    ticket = FakeTicket()
    executor.submit_job(FakeJob(fakes.nothing, misfire_grace_time=1), [now()[0] - timedelta(days=1)], ticket)
    assert scheduler.outcome().code == EVENT_JOB_MISSED
    assert ticket.errors == [None]


def test_a_run_over_its_time_limit(executor: BaseExecutor, scheduler: FakeScheduler) -> None:
    again = now()[0] + timedelta(seconds=10)
    ticket = FakeTicket(attempt=2, run_id=7, retry_at=again)
    job = FakeJob(fakes.until_cancelled, timeout=0.05, max_instances=1)
    executor.submit_job(job, now(), ticket)
    outcome = scheduler.outcome()
    assert outcome.code == EVENT_JOB_TIMEOUT
    assert isinstance(outcome.exception, JobTimeoutError)
    assert outcome.exception.limit == 0.05
    assert str(outcome.exception).startswith('Job "job" has reached its time limit of 0.05 s (scheduled at ')
    assert (outcome.attempt, outcome.run_id, outcome.retry_at) == (2, 7, again)
    executor.shutdown()
    assert ticket.told == [("failed", 0, outcome.exception), ("ended", outcome.exception)]
    assert executor._slots == {}
    executor.start(scheduler, "test")
    executor.submit_job(FakeJob(fakes.add, (1,), timeout=fakes.TIMEOUT), now())
    assert scheduler.outcome().retval == 1
    assert scheduler.outcomes.empty()


def test_the_run_times_after_one_that_took_too_long_are_run(
    executor: BaseExecutor, scheduler: FakeScheduler
) -> None:
    start = now()[0]
    run_times = [start, start + timedelta(seconds=1), start + timedelta(seconds=2)]
    ticket = FakeTicket()
    job = FakeJob(fakes.until_cancelled_at, (run_times[1],), timeout=0.5)
    executor.submit_job(job, run_times, ticket)
    outcomes = sorted(
        (scheduler.outcome() for _ in run_times), key=lambda event: str(event.scheduled_run_time)
    )
    assert [event.code for event in outcomes] == [EVENT_JOB_EXECUTED, EVENT_JOB_TIMEOUT, EVENT_JOB_EXECUTED]
    assert [event.retval for event in outcomes] == [False, None, False]
    assert ticket.told == [("failed", 1, outcomes[1].exception), ("ended", outcomes[1].exception)]


def test_a_timeout_error_of_the_jobs_own_is_an_error(
    executor: BaseExecutor, scheduler: FakeScheduler
) -> None:
    executor.submit_job(FakeJob(fakes.own_timeout_error, timeout=fakes.TIMEOUT), now())
    outcome = scheduler.outcome()
    assert (outcome.code, type(outcome.exception)) == (EVENT_JOB_ERROR, TimeoutError)


def test_what_a_job_knows_of_its_run(executor: BaseExecutor, scheduler: FakeScheduler) -> None:
    run_times = [*now(), now()[0] + timedelta(seconds=1)]
    job = FakeJob(fakes.this_run, id="known", _jobstore_alias="elsewhere")
    executor.submit_job(job, run_times, FakeTicket(attempt=2, run_id=7))
    for run_time in run_times:
        assert scheduler.outcome().retval == ("known", "elsewhere", run_time, 2, 7, False)
    executor.submit_job(FakeJob(fakes.this_run, timeout=fakes.TIMEOUT), run_times[:1])
    assert scheduler.outcome().retval == ("job", "default", run_times[0], 1, None, False)
    assert current_run() is None


def test_the_time_that_is_left(executor: BaseExecutor, scheduler: FakeScheduler) -> None:
    executor.submit_job(FakeJob(fakes.seconds_left), now())
    assert scheduler.outcome().retval is None
    executor.submit_job(FakeJob(fakes.seconds_left, timeout=fakes.TIMEOUT), now())
    left = scheduler.outcome().retval
    assert isinstance(left, float)
    assert 0 < left <= fakes.TIMEOUT


def test_listeners_are_in_no_run(executor: BaseExecutor, scheduler: FakeScheduler) -> None:
    seen: SimpleQueue[Any] = SimpleQueue()
    scheduler.listeners.add(lambda event: seen.put(current_run()), fakes.OUTCOMES)
    executor.submit_job(FakeJob(fakes.nothing), now())
    executor.submit_job(FakeJob(fakes.until_cancelled, timeout=0.05), now())
    assert [seen.get(timeout=fakes.TIMEOUT) for _ in range(2)] == [None, None]


@pytest.mark.parametrize("executor", MAKERS[:4], indirect=True, ids=NAMES[:4])
def test_a_run_that_is_cancelled_hears_of_it(
    executor: BaseExecutor, scheduler: FakeScheduler, tmp_path: Path
) -> None:
    began = tmp_path / "began"
    tickets = [FakeTicket(), FakeTicket()]
    # In a thread of its own, since one of the executors runs the job inline.
    runs = [
        threading.Thread(
            target=executor.submit_job,
            args=(FakeJob(fakes.touch_until_cancelled, (str(began),)), now(), ticket),
        )
        for ticket in tickets
    ]
    for count, run in enumerate(runs, 1):
        run.start()
        wait_for_lines(began, count)
    assert executor.cancel(tickets[1], "lost")
    assert scheduler.outcome().retval == "lost"
    assert not executor.cancel(FakeTicket(), "lost")
    executor.shutdown()
    assert scheduler.outcome().retval == "shutdown"
    assert [ticket.errors for ticket in tickets] == [[None], [None]]
    for run in runs:
        run.join(fakes.TIMEOUT)


def wait_for_lines(path: Path, count: int) -> None:
    for _ in range(int(fakes.TIMEOUT * 100)):
        if path.exists() and path.read_text().count("\n") >= count:
            return
        threading.Event().wait(0.01)
    raise AssertionError(f"not {count} lines in {path.name} after {fakes.TIMEOUT} s")


@pytest.mark.parametrize("executor", MAKERS[1:3], indirect=True, ids=NAMES[1:3])
def test_what_begins_after_the_shutdown_is_cancelled_already(
    executor: BaseExecutor, scheduler: FakeScheduler
) -> None:
    for _ in range(6):
        executor.submit_job(FakeJob(fakes.until_cancelled), now())
    executor.shutdown()
    assert [scheduler.outcome().retval for _ in range(6)] == ["shutdown"] * 6


def test_a_ticket_may_lift_the_grace(executor: BaseExecutor, scheduler: FakeScheduler) -> None:
    ticket = FakeTicket()
    ticket.misfire_grace_time = None  # type: ignore[attr-defined]  # a rerun is never judged
    executor.submit_job(FakeJob(fakes.nothing, misfire_grace_time=1), [now()[0] - timedelta(days=1)], ticket)
    assert scheduler.outcome().code == EVENT_JOB_EXECUTED


@pytest.mark.parametrize("func", [fakes.coroutine, partial(fakes.coroutine), fakes.disguised_coroutine])
def test_a_coroutine_function_is_refused(executor: BaseExecutor, scheduler: FakeScheduler, func: Any) -> None:
    ticket = FakeTicket()
    executor.submit_job(FakeJob(func), now(), ticket)
    outcome = scheduler.outcome()
    assert isinstance(outcome.exception, CoroutineFunctionError)
    assert "a function that calls asyncio.run(...)" in str(outcome.exception)
    assert ticket.errors == [outcome.exception]


def test_the_end_of_a_run_in_order(executor: BaseExecutor, scheduler: FakeScheduler) -> None:
    """The ticket is told while the slot is taken; when the event comes, the slot is free."""
    job = FakeJob(fakes.nothing, max_instances=1)
    seen: list[str] = []
    ticket = FakeTicket()

    def try_again(when: str) -> None:
        try:
            executor._take_slot(another_submission(executor, job))
        except MaxInstancesReachedError:
            seen.append(f"{when}: taken")
        else:
            seen.append(f"{when}: free")

    ticket.at_end = lambda: try_again("ended")
    scheduler.listeners.add(lambda event: try_again("executed"), EVENT_JOB_EXECUTED)
    told = threading.Event()
    scheduler.listeners.add(lambda event: told.set(), EVENT_JOB_EXECUTED)
    executor.submit_job(job, now(), ticket)
    assert told.wait(fakes.TIMEOUT)
    assert seen == ["ended: taken", "executed: free"]


def another_submission(executor: BaseExecutor, job: FakeJob) -> Submission:
    assert executor._where is not None
    return Submission(executor._where, job, job._jobstore_alias, [])


def test_a_run_whose_lease_is_over_is_dropped(executor: BaseExecutor, scheduler: FakeScheduler) -> None:
    job = FakeJob(fakes.add, (1,), max_instances=1)
    lost = FakeTicket(leased=False)
    executor.submit_job(job, now(), lost)
    executor.submit_job(FakeJob(fakes.add, (2,), id="other"), now())
    assert scheduler.outcome().retval == 2
    executor.shutdown()
    assert lost.errors == []
    executor.start(scheduler, "test")
    executor.submit_job(job, now())  # its slot is free
    assert scheduler.outcome().retval == 1


def test_a_ticket_that_raises_harms_nobody(
    executor: BaseExecutor, scheduler: FakeScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    ticket = FakeTicket()
    ticket.at_end = lambda: fakes.boom("the store's fault")
    job = FakeJob(fakes.nothing, max_instances=1)
    executor.submit_job(job, now(), ticket)
    assert scheduler.outcome().code == EVENT_JOB_EXECUTED
    executor.submit_job(job, now())
    assert scheduler.outcome().code == EVENT_JOB_EXECUTED
    assert "the store's fault" in caplog.text


def test_a_ticket_that_raises_when_it_is_told_of_failures_harms_nobody(
    executor: BaseExecutor, scheduler: FakeScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    ticket = FakeTicket()
    ticket.at_failure = lambda: fakes.boom("the store's fault")
    executor.submit_job(
        FakeJob(fakes.boom, misfire_grace_time=600), [now()[0] - timedelta(days=1), *now()], ticket
    )
    outcomes = [scheduler.outcome() for _ in range(2)]
    assert [o.code for o in outcomes] == [EVENT_JOB_MISSED, EVENT_JOB_ERROR]
    assert [entry[:-1] for entry in ticket.told] == [("missed", 0), ("failed", 1), ("ended",)]
    assert caplog.text.count("ValueError: the store's fault") == 2


def test_a_ticket_of_somebody_who_runs_nothing_again(executor: BaseExecutor) -> None:
    class Plain:
        claimed_at = 0

        def __init__(self) -> None:
            self.errors: list[BaseException | None] = []

        def may_start(self) -> bool:
            return True

        def ended(self, error: BaseException | None) -> None:
            self.errors.append(error)

    scheduler = FakeScheduler()
    executor.start(scheduler, "test")
    tickets: list[Any] = [Plain(), Plain()]
    executor.submit_job(FakeJob(fakes.boom), now(), tickets[0])
    failed = scheduler.outcome()
    executor.submit_job(FakeJob(fakes.nothing), now(), tickets[1])
    executed = scheduler.outcome()
    assert [(e.attempt, e.run_id, e.retry_at) for e in (failed, executed)] == [(1, None, None)] * 2
    assert [ticket.errors for ticket in tickets] == [[failed.exception], [None]]


def test_not_running(executor: BaseExecutor) -> None:
    scheduler = FakeScheduler()
    job = FakeJob(fakes.nothing, max_instances=1)
    with pytest.raises(ExecutorNotRunningError):
        executor.submit_job(job, now())
    executor.start(scheduler, "test")
    executor.shutdown()
    with pytest.raises(ExecutorNotRunningError):
        executor.submit_job(job, now())
    executor.start(scheduler, "test")
    executor.submit_job(job, now())
    assert scheduler.outcome().code == EVENT_JOB_EXECUTED


def test_shutdown_waits_for_all_that_was_submitted(executor: BaseExecutor, scheduler: FakeScheduler) -> None:
    tickets = [FakeTicket() for _ in range(20)]
    for number, ticket in enumerate(tickets):
        executor.submit_job(FakeJob(fakes.add, (number,)), now(), ticket)
    executor.shutdown()
    assert sorted(scheduler.outcome().retval for _ in tickets) == list(range(20))
    assert [ticket.errors for ticket in tickets] == [[None]] * 20


def test_only_what_somebody_wants_is_published(executor: BaseExecutor) -> None:
    scheduler = FakeScheduler(mask=EVENT_JOB_ERROR)
    executor.start(scheduler, "test")
    executor.submit_job(FakeJob(fakes.nothing), now())
    executor.submit_job(FakeJob(fakes.boom), now())
    executor.shutdown()
    assert scheduler.codes() == [EVENT_JOB_ERROR]


def test_the_ticket_is_told_what_no_listener_wants_to_hear(executor: BaseExecutor) -> None:
    scheduler = FakeScheduler(mask=EVENT_JOB_EXECUTED)
    executor.start(scheduler, "test")
    ticket = FakeTicket()
    job = FakeJob(fakes.boom, misfire_grace_time=600)
    executor.submit_job(job, [now()[0] - timedelta(days=1), *now()], ticket)
    executor.shutdown()
    assert scheduler.events == []
    assert [entry[:-1] for entry in ticket.told] == [("missed", 0), ("failed", 1), ("ended",)]
