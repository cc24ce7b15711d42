"""A store that fails for a while: said once, over once, the other stores' jobs go on, and nothing that ended is forgotten."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from mainspring.events import (
    EVENT_JOB_EXECUTED,
    EVENT_JOB_LOST,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
    EVENT_JOB_REMOVED,
    EVENT_JOB_SUBMITTED,
    EVENT_JOBSTORE_FAILED,
    EVENT_JOBSTORE_RECOVERED,
)
from mainspring.jobstores.base import BaseJobStore

from tests.guards.faults import STORES, HoldingExecutor, InjectedFault, failing
from tests.scheduler.watching import Heard, at, background, nothing, started, virtual

MINUTE = timedelta(minutes=1)
OUTAGE = [
    "add_job",
    "claim_due",
    "extend_leases",
    "find_job",
    "find_jobs",
    "finish_runs",
    "get_all_jobs",
    "get_due_jobs",
    "get_next_run_time",
    "give_back",
    "insert",
    "lookup_job",
    "overdue_executors",
    "peek",
    "read",
    "read_all",
    "recover",
    "remove",
    "remove_all_jobs",
    "remove_job",
    "restore",
    "update_job",
    "write",
]


@contextmanager
def out_of_order(store: BaseJobStore) -> Iterator[None]:
    """While this lasts, the store does nothing but raise."""
    with ExitStack() as stack:
        for method in OUTAGE:
            stack.enter_context(failing(store, method))
        yield


@pytest.fixture(params=STORES)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], BaseJobStore]:
    return lambda: STORES[request.param](tmp_path)


def test_failed_once_recovered_once_and_the_other_store_on_time(
    make: Callable[[], BaseJobStore], caplog: pytest.LogCaptureFixture
) -> None:
    store = make()
    scheduler = virtual(jobstores={"bad": store})
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.add_job(nothing, "interval", minutes=1, id="bad", jobstore="bad", misfire_grace_time=None)
        scheduler.add_job(nothing, "date", run_date=at(90), id="x", jobstore="bad", misfire_grace_time=None)
        scheduler.add_job(nothing, "date", run_date=at(90), id="y", jobstore="bad")
        scheduler.add_job(nothing, "interval", seconds=10, id="good")
        scheduler.advance(MINUTE)
        with out_of_order(store):
            scheduler.advance(10 * MINUTE)
            (failed,) = heard.of(EVENT_JOBSTORE_FAILED)
            assert failed.alias == "bad"
            assert isinstance(failed.exception, InjectedFault)
            assert not heard.of(EVENT_JOBSTORE_RECOVERED)
            assert caplog.text.count("Error getting due jobs from job store 'bad'") == 1
        scheduler.advance(MINUTE)
        assert [event.alias for event in heard.of(EVENT_JOBSTORE_RECOVERED)] == ["bad"]
        assert len(heard.of(EVENT_JOBSTORE_FAILED)) == 1
        assert heard.seconds("good") == [10 * number for number in range(1, 73)]
        assert all(event.late == timedelta(0) for event in heard.of(EVENT_JOB_EXECUTED, "good"))
        # What was due meanwhile: coalesced, run, or missed, each as its job says.
        assert heard.seconds("bad") == [60, 660, 720]
        assert heard.seconds("x") == [90]
        assert heard.seconds("y", EVENT_JOB_MISSED) == [90]
        assert not heard.of(EVENT_JOB_LOST | EVENT_JOB_MAX_INSTANCES)


def test_a_second_outage_is_said_again(make: Callable[[], BaseJobStore]) -> None:
    store = make()
    scheduler = virtual(jobstores={"bad": store})
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.add_job(nothing, "interval", minutes=1, jobstore="bad")
        for _ in range(3):
            with out_of_order(store):
                scheduler.advance(2 * MINUTE)
            scheduler.advance(2 * MINUTE)
    assert [event.code for event in heard.of(EVENT_JOBSTORE_FAILED | EVENT_JOBSTORE_RECOVERED)] == [
        EVENT_JOBSTORE_FAILED,
        EVENT_JOBSTORE_RECOVERED,
    ] * 3


def test_it_is_tried_again_with_growing_pauses_up_to_the_retry_interval(
    make: Callable[[], BaseJobStore],
) -> None:
    store = make()
    scheduler = virtual(jobstores={"bad": store}, jobstore_retry_interval=60)
    with started(scheduler), failing(store, "claim_due") as calls:
        scheduler.add_job(nothing, "date", run_date=at(60), jobstore="bad")
        scheduler.advance(2 * MINUTE)
        # 0.5 s, doubled, each up to a quarter shorter: 8 or 9 tries in the first two minutes, and then one a minute.
        assert 7 <= len(calls) <= 10
        calls.clear()
        scheduler.advance(60 * MINUTE)
        assert 59 <= len(calls) <= 81


def test_runs_that_ended_meanwhile_are_written_later(make: Callable[[], BaseJobStore]) -> None:
    store, executor = make(), HoldingExecutor()
    scheduler = virtual(jobstores={"bad": store}, executors={"default": executor})
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.add_job(nothing, "interval", minutes=1, id="x", jobstore="bad", misfire_grace_time=None)
        scheduler.add_job(nothing, "date", run_date=at(60), id="y", jobstore="bad", misfire_grace_time=None)
        scheduler.advance(MINUTE)
        with out_of_order(store):
            scheduler.advance(timedelta(seconds=5))
            executor.release()
            scheduler.advance(timedelta(seconds=20))
            assert not heard.of(EVENT_JOB_REMOVED)
        scheduler.advance(timedelta(seconds=20))
        assert len(heard.of(EVENT_JOB_REMOVED, "y")) == 1
        scheduler.advance(MINUTE)
        executor.release()
        assert heard.seconds("x") == [60, 120]
        assert not heard.of(EVENT_JOB_MAX_INSTANCES | EVENT_JOB_LOST)


def test_while_paused_ends_are_written_and_the_recovery_is_said(make: Callable[[], BaseJobStore]) -> None:
    store, executor = make(), HoldingExecutor()
    scheduler = virtual(jobstores={"bad": store}, executors={"default": executor})
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.add_job(nothing, "date", run_date=at(60), id="x", jobstore="bad", misfire_grace_time=None)
        scheduler.advance(MINUTE)
        scheduler.pause()
        with out_of_order(store):
            executor.release()
            scheduler.advance(MINUTE)
            assert len(heard.of(EVENT_JOBSTORE_FAILED)) == 1
        scheduler.advance(MINUTE)
        assert len(heard.of(EVENT_JOBSTORE_RECOVERED)) == 1
        assert len(heard.of(EVENT_JOB_REMOVED, "x")) == 1


def test_the_caller_of_the_api_is_told_and_the_loop_finds_out_for_itself(
    make: Callable[[], BaseJobStore],
) -> None:
    store = make()
    with started(virtual(jobstores={"bad": store})) as scheduler:
        heard = Heard(scheduler)
        with out_of_order(store):
            with pytest.raises(InjectedFault):
                scheduler.add_job(nothing, id="x", jobstore="bad")
            with pytest.raises(InjectedFault):
                scheduler.get_jobs()
            scheduler.add_job(nothing, "date", run_date=at(1), id="y")
            with pytest.raises(InjectedFault):
                scheduler.remove_job("z")
            assert [job.id for job in scheduler.get_jobs("default")] == ["y"]
        scheduler.advance(MINUTE)
        assert heard.seconds("y") == [1]
        scheduler.add_job(nothing, id="x", jobstore="bad")
        scheduler.advance(MINUTE)
        assert heard.seconds("x") == [60]


def test_in_real_threads(make: Callable[[], BaseJobStore]) -> None:
    store = make()
    scheduler, clock = background(jobstores={"bad": store}, job_defaults={"misfire_grace_time": None})
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.add_job(nothing, "interval", minutes=1, id="bad", jobstore="bad")
        scheduler.add_job(nothing, "interval", minutes=1, id="good")
        with out_of_order(store):
            for minute in range(1, 6):
                clock.advance(MINUTE)
                heard.wait(EVENT_JOB_EXECUTED, "good", minute)
            heard.wait(EVENT_JOBSTORE_FAILED)
        assert not heard.of(EVENT_JOB_SUBMITTED, "bad")
        clock.advance(MINUTE)
        heard.wait(EVENT_JOBSTORE_RECOVERED)
        heard.wait(EVENT_JOB_EXECUTED, "bad")
    assert len(heard.of(EVENT_JOBSTORE_FAILED)) == 1
