"""A third party's executor keeps what every executor keeps."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from mainspring.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MISSED,
    EVENT_JOB_SUBMITTED,
)
from mainspring.executors.base import MaxInstancesReachedError
from mainspring.jobstores.job import Job

from tests.executors.fakes import FakeScheduler, FakeTicket
from tests.jobstores.driving import every
from tests.thirdparty.jobs import fail, say
from tests.thirdparty.own_thread_executor import OwnThreadExecutor


@pytest.fixture
def scheduler() -> FakeScheduler:
    return FakeScheduler()


@pytest.fixture
def executor(scheduler: FakeScheduler) -> Iterator[OwnThreadExecutor]:
    executor = OwnThreadExecutor()
    executor.start(scheduler, "own")
    yield executor
    executor.shutdown()


def job(func: object = say, **attributes: object) -> Job:
    attributes = {"args": ["x"], "misfire_grace_time": None, **attributes}
    made = Job(None, id="a", func=func, trigger=every(60), **attributes)  # type: ignore[arg-type]
    made._jobstore_alias = "default"
    return made


def now() -> datetime:
    return datetime.now(UTC)


def test_a_run_is_announced_before_its_outcome(executor: OwnThreadExecutor, scheduler: FakeScheduler) -> None:
    ticket = FakeTicket()
    executor.submit_job(job(), [now()], ticket)
    event = scheduler.outcome()
    assert (event.code, event.job_id, event.retval) == (EVENT_JOB_EXECUTED, "a", "x")
    assert scheduler.codes() == [EVENT_JOB_SUBMITTED, EVENT_JOB_EXECUTED]
    assert ticket.errors == [None]


def test_an_exception_is_an_outcome(executor: OwnThreadExecutor, scheduler: FakeScheduler) -> None:
    ticket = FakeTicket()
    executor.submit_job(job(fail), [now()], ticket)
    event = scheduler.outcome()
    assert (event.code, str(event.exception)) == (EVENT_JOB_ERROR, "x")
    assert "ArithmeticError" in (event.traceback or "")
    assert ticket.errors == [event.exception]


def test_a_late_run_is_missed(executor: OwnThreadExecutor, scheduler: FakeScheduler) -> None:
    executor.submit_job(job(misfire_grace_time=1), [now() - timedelta(seconds=60)])
    assert scheduler.outcome().code == EVENT_JOB_MISSED


def test_several_run_times_are_one_submission(executor: OwnThreadExecutor, scheduler: FakeScheduler) -> None:
    ticket = FakeTicket()
    times = [now() - timedelta(seconds=seconds) for seconds in (3, 2, 1)]
    executor.submit_job(job(), times, ticket)
    assert [scheduler.outcome().scheduled_run_time for _ in times] == times
    assert ticket.errors == [None]


def test_a_run_whose_lease_is_over_does_not_start(
    executor: OwnThreadExecutor, scheduler: FakeScheduler
) -> None:
    executor.submit_job(job(), [now()], FakeTicket(leased=False))
    executor.submit_job(job(), [now()])
    scheduler.outcome()
    assert scheduler.codes() == [EVENT_JOB_SUBMITTED, EVENT_JOB_SUBMITTED, EVENT_JOB_EXECUTED]


def test_the_limit_of_instances_holds(executor: OwnThreadExecutor, scheduler: FakeScheduler) -> None:
    started, release = threading.Event(), threading.Event()

    def hold(word: str) -> None:
        started.set()
        release.wait(10)

    executor.submit_job(job(hold), [now()])
    assert started.wait(10)
    with pytest.raises(MaxInstancesReachedError):
        executor.submit_job(job(hold), [now()])
    release.set()
    scheduler.outcome()
    executor.submit_job(job(), [now()])
    assert scheduler.outcome().retval == "x"


def test_it_starts_again(executor: OwnThreadExecutor, scheduler: FakeScheduler) -> None:
    executor.shutdown()
    executor.start(scheduler, "own")
    executor.submit_job(job(), [now()])
    assert scheduler.outcome().code == EVENT_JOB_EXECUTED
