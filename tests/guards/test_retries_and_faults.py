"""Failed runs and stores that fail, too: no attempt is forgotten, and none takes place twice."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from mainspring.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, EVENT_JOB_PARKED, EVENT_JOB_REMOVED
from mainspring.jobstores.base import BaseJobStore
from mainspring.scheduler.virtual import VirtualScheduler

from tests.guards.faults import STORES, HoldingExecutor, InjectedFault, failing, release_all
from tests.guards.test_failing_store import out_of_order
from tests.jobstores.options import Trouble
from tests.scheduler.flaky import CALLS, EACH_MINUTE, MINUTE, ONCE, SECOND, Ends, clean, fails, flaky
from tests.scheduler.watching import TIMEOUT, Heard, at, nothing, started, virtual

__all__ = ["clean"]  # a fixture


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BaseJobStore:
    return STORES[request.param](tmp_path)


@pytest.fixture
def scheduler(store: BaseJobStore) -> Iterator[VirtualScheduler]:
    with started(
        virtual(jobstores={"default": store}, job_defaults={"misfire_grace_time": None})
    ) as scheduler:
        yield scheduler
        release_all(scheduler)


def test_a_failure_that_cannot_be_written_is_written_later_and_tried_again(
    scheduler: VirtualScheduler, store: BaseJobStore
) -> None:
    ends = Ends(scheduler)
    fails("x", Trouble())
    scheduler.add_job(flaky, **ONCE, id="x", max_retries=1)
    scheduler.advance(59 * SECOND)
    with failing(store, "finish_runs"):
        scheduler.advance(5 * MINUTE)
        assert ends.told("attempt", "retry_at") == [(1, at(70))]
    scheduler.advance(MINUTE)
    assert ends.told("attempt", "is_last_attempt") == [(1, False), (2, True)]
    assert scheduler.get_jobs() == []


def test_a_retry_that_comes_due_while_the_store_is_away_is_run_when_it_is_back(
    scheduler: VirtualScheduler, store: BaseJobStore
) -> None:
    ends = Ends(scheduler)
    fails("x", Trouble())
    scheduler.add_job(flaky, **ONCE, id="x", max_retries=1, misfire_grace_time=1)
    scheduler.advance(65 * SECOND)
    with out_of_order(store):
        scheduler.advance(10 * MINUTE)
    scheduler.advance(MINUTE)
    assert ends.told("code") == [EVENT_JOB_ERROR, EVENT_JOB_EXECUTED]
    assert ends.seconds[1] > 660


@pytest.mark.parametrize("times", [1, 3])
def test_a_failure_whose_write_is_carried_out_and_raises_is_tried_again_once(
    scheduler: VirtualScheduler, store: BaseJobStore, times: int
) -> None:
    """The connection was lost while the answer was on its way."""
    ends, heard = Ends(scheduler), Heard(scheduler)
    fails("x", Trouble())
    scheduler.add_job(flaky, **ONCE, id="x", max_retries=5)
    finish, left = store.finish_runs, [None] * times

    def finish_runs(outcomes: Any) -> Any:
        result = finish(outcomes)
        if left:
            left.pop()
            raise InjectedFault("no answer")
        return result

    vars(store)["finish_runs"] = finish_runs
    scheduler.advance(10 * MINUTE)
    assert ends.told("attempt") == [1, 2]
    assert CALLS == ["x"] * 2
    assert not left
    assert len(heard.of(EVENT_JOB_REMOVED, "x")) <= 1
    assert scheduler.get_runs() == []


def test_a_job_that_is_to_be_kept_is_kept_when_its_store_is_back(
    scheduler: VirtualScheduler, store: BaseJobStore
) -> None:
    heard = Heard(scheduler)
    fails("x", Trouble("why"))
    scheduler.add_job(flaky, **ONCE, id="x", keep_failed=True)
    scheduler.advance(59 * SECOND)
    with failing(store, "finish_runs"):
        scheduler.advance(5 * MINUTE)
        assert scheduler.get_parked_jobs() == []
        assert [job.id for job in scheduler.get_jobs()] == ["x"], "it is there all the time"
    scheduler.advance(MINUTE)
    (parked,) = scheduler.get_parked_jobs()
    assert "why" in parked.reason
    assert len(heard.of(EVENT_JOB_PARKED, "x")) == 1


def test_what_cannot_be_asked_for_raises_and_leaves_nothing(
    scheduler: VirtualScheduler, store: BaseJobStore
) -> None:
    scheduler.add_job(flaky, **EACH_MINUTE, id="x")
    with failing(store, "write"), pytest.raises(InjectedFault):
        scheduler.run_job_now("x")
    with failing(store, "read_all"), pytest.raises(InjectedFault):
        scheduler.get_runs()
    scheduler.advance(SECOND)
    assert (CALLS, scheduler.get_runs()) == ([], [])
    scheduler.run_job_now("x")
    scheduler.advance(SECOND)
    assert CALLS == ["x"]


def test_an_exception_that_cannot_be_shown_is_tried_again(scheduler: VirtualScheduler) -> None:
    class Speechless(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    ends = Ends(scheduler)
    fails("x", Speechless(), Speechless())
    scheduler.add_job(flaky, **ONCE, id="x", max_retries=1, keep_failed=True)
    scheduler.add_job(nothing, **EACH_MINUTE, id="other")
    scheduler.advance(3 * MINUTE)
    assert [(event.attempt, event.code) for event in ends.events if event.job_id == "x"] == [
        (1, EVENT_JOB_ERROR),
        (2, EVENT_JOB_ERROR),
    ]
    assert [parked.job_id for parked in scheduler.get_parked_jobs()] == ["x"]
    assert len([event for event in ends.events if event.job_id == "other"]) == 3


def test_a_listener_that_raises_on_a_failure_does_not_cost_the_next_attempt(
    scheduler: VirtualScheduler,
) -> None:
    def listen(event: Any) -> None:
        raise InjectedFault("no")

    scheduler.add_listener(listen)
    fails("x", Trouble())
    scheduler.add_job(flaky, **ONCE, id="x", max_retries=1)
    scheduler.advance(3 * MINUTE)
    assert CALLS == ["x"] * 2


def keepers() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "mainspring-keeper"}


def test_what_fails_while_it_is_shut_down_is_tried_again_after_the_next_start(
    scheduler: VirtualScheduler,
) -> None:
    executor = HoldingExecutor()
    scheduler.add_executor(executor, "held")
    heard = Heard(scheduler)
    fails("x", Trouble())
    scheduler.add_job(flaky, **ONCE, id="x", executor="held", max_retries=1)
    scheduler.advance(MINUTE)
    own = scheduler._keeper
    others = keepers() - ({own._thread} if own and own._thread else set())  # what other tests have left
    scheduler.shutdown(wait=False)
    executor.release()
    heard.wait(EVENT_JOB_ERROR, "x")
    for thread in keepers() - others:
        thread.join(TIMEOUT)
        assert not thread.is_alive()
    with started(scheduler):
        assert [(run.kind, run.attempt) for run in scheduler.get_runs()] == [("retry", 2)]
        scheduler.advance(timedelta(seconds=11))
        executor.release()
        assert heard.wait(EVENT_JOB_EXECUTED, "x").attempt == 2
