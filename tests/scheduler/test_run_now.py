"""A job is asked to run now: whatever its state, beside its schedule, by its scheduler or by its handle."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from mainspring.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MODIFIED,
    EVENT_JOB_REMOVED,
    EVENT_JOB_SUBMITTED,
)
from mainspring.jobstores.base import JobLookupError
from mainspring.jobstores.memory import MemoryJobStore
from mainspring.scheduler import SchedulerNotRunningError
from mainspring.scheduler.errors import TooManyRunsError
from mainspring.scheduler.runs import OpenRun
from mainspring.scheduler.virtual import VirtualScheduler

from tests.guards.faults import SCRIPTS, STORES, HoldingExecutor, ScriptedTrigger, release_all
from tests.jobstores.options import Trouble
from tests.scheduler.flaky import CALLS, EACH_MINUTE, MINUTE, ONCE, SECOND, clean, fails, flaky
from tests.scheduler.watching import Heard, at, background, nothing, started, virtual

__all__ = ["clean"]  # a fixture


@pytest.fixture(params=STORES)
def scheduler(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VirtualScheduler]:
    stores = {"default": STORES[request.param](tmp_path), "more": MemoryJobStore()}
    with started(virtual(jobstores=stores)) as scheduler:
        yield scheduler
        release_all(scheduler)


@pytest.fixture
def held(scheduler: VirtualScheduler) -> HoldingExecutor:
    """An executor that runs its jobs when the test says so."""
    executor = HoldingExecutor()
    scheduler.add_executor(executor, "held")
    return executor


def test_it_runs_at_once_and_its_schedule_is_untouched(scheduler: VirtualScheduler) -> None:
    heard = Heard(scheduler)
    scheduler.add_job(flaky, **EACH_MINUTE, id="x", misfire_grace_time=1)
    scheduler.advance(10 * SECOND)
    run = scheduler.run_job_now("x")
    assert isinstance(run, OpenRun)
    assert (run.job_id, run.jobstore, run.kind, run.state, run.attempt) == (
        "x",
        "default",
        "now",
        "waiting",
        1,
    )
    assert (run.scheduled_run_times, run.due, run.owner) == ((at(10),), at(10), None)
    scheduler.advance(timedelta(0))
    (event,) = heard.of(EVENT_JOB_EXECUTED)
    assert (event.scheduled_run_time, event.run_id, event.attempt) == (at(10), run.run_id, 1)
    (submitted,) = heard.of(EVENT_JOB_SUBMITTED)
    assert list(submitted.scheduled_run_times) == [at(10)]
    assert not heard.of(EVENT_JOB_MODIFIED)
    scheduler.advance(2 * MINUTE)
    assert heard.seconds("x") == [10, 60, 120]
    assert scheduler.get_runs() == []


@pytest.mark.parametrize("by", ["scheduler", "handle"])
def test_by_the_scheduler_and_by_the_handle(scheduler: VirtualScheduler, by: str) -> None:
    job = scheduler.add_job(flaky, **EACH_MINUTE, id="x", jobstore="more")
    run = scheduler.run_job_now("x", "more") if by == "scheduler" else job.run_now()
    assert run.jobstore == "more"
    scheduler.advance(SECOND)
    assert CALLS == ["x"]


# -- whatever its state --------------------------------------------------------------------------------------------


def test_a_paused_job_runs_and_stays_paused(scheduler: VirtualScheduler) -> None:
    scheduler.add_job(flaky, **EACH_MINUTE, id="x")
    scheduler.pause_job("x")
    scheduler.run_job_now("x")
    scheduler.advance(timedelta(minutes=4.5))
    assert CALLS == ["x"]
    job = scheduler.get_job("x")
    assert job is not None
    assert job.next_run_time is None
    scheduler.resume_job("x")
    scheduler.advance(MINUTE)
    assert CALLS == ["x"] * 2


def test_a_job_that_was_added_paused_runs(scheduler: VirtualScheduler) -> None:
    scheduler.add_job(flaky, **ONCE, id="x", next_run_time=None).run_now()
    scheduler.advance(timedelta(minutes=5))
    assert (CALLS, len(scheduler.get_jobs())) == (["x"], 1)


def test_a_one_off_runs_before_its_time_and_at_its_time(scheduler: VirtualScheduler) -> None:
    heard = Heard(scheduler)
    scheduler.add_job(flaky, **ONCE, id="x")
    scheduler.run_job_now("x")
    scheduler.advance(timedelta(minutes=5))
    assert heard.seconds("x") == [0, 60]
    assert scheduler.get_jobs() == []


def test_a_job_that_is_parked_for_its_trigger_runs_and_stays_parked(scheduler: VirtualScheduler) -> None:
    def script(previous: Any, now: Any) -> Any:
        if previous is None:
            return at(60)
        raise RuntimeError("no idea")

    SCRIPTS["x"] = script
    scheduler.add_job(flaky, ScriptedTrigger("x"), id="x")
    scheduler.advance(2 * MINUTE)
    (before,) = scheduler.get_parked_jobs()
    scheduler.run_job_now("x")
    scheduler.advance(SECOND)
    assert CALLS == ["x"] * 2
    assert scheduler.get_parked_jobs() == [before]


def test_a_job_that_was_kept_for_its_failure_is_free(scheduler: VirtualScheduler) -> None:
    heard = Heard(scheduler)
    fails("x", Trouble(), Trouble())
    scheduler.add_job(flaky, **ONCE, id="x", keep_failed=True)
    scheduler.advance(2 * MINUTE)
    for attempt in range(2):
        assert len(scheduler.get_parked_jobs()) == 1
        scheduler.run_job_now("x")
        assert scheduler.get_parked_jobs() == []
        scheduler.advance(SECOND)
        assert len(heard.of(EVENT_JOB_ERROR)) == min(2, 2 + attempt)
    assert scheduler.get_jobs() == []
    assert len(heard.of(EVENT_JOB_REMOVED, "x")) == 1
    with pytest.raises(JobLookupError):
        scheduler.run_job_now("x")


def test_it_waits_for_room(scheduler: VirtualScheduler, held: HoldingExecutor) -> None:
    heard = Heard(scheduler)
    scheduler.add_job(flaky, **EACH_MINUTE, id="x", executor="held", misfire_grace_time=None)
    scheduler.advance(MINUTE)
    run = scheduler.run_job_now("x")
    scheduler.advance(SECOND)
    assert len(held.held) == 1
    assert [(each.kind, each.state, each.blocked) for each in scheduler.get_runs()] == [
        ("schedule", "claimed", False),
        ("now", "waiting", True),
    ]
    held.release()
    scheduler.advance(SECOND)
    held.release()
    assert heard.seconds("x") == [60, 60], "it was asked for at 60 s"
    assert heard.of(EVENT_JOB_EXECUTED)[1].run_id == run.run_id
    assert not heard.of(EVENT_JOB_MAX_INSTANCES)


def test_beside_a_run_where_two_may_go_on(scheduler: VirtualScheduler, held: HoldingExecutor) -> None:
    scheduler.add_job(flaky, **EACH_MINUTE, id="x", executor="held", max_instances=2)
    scheduler.advance(MINUTE)
    scheduler.run_job_now("x")
    scheduler.advance(SECOND)
    assert len(held.held) == 2


def test_between_two_attempts(scheduler: VirtualScheduler) -> None:
    heard = Heard(scheduler)
    fails("x", Trouble())
    scheduler.add_job(flaky, **ONCE, id="x", max_retries=1)
    scheduler.advance(65 * SECOND)
    scheduler.run_job_now("x")
    scheduler.advance(MINUTE)
    assert [event.attempt for event in heard.of(EVENT_JOB_EXECUTED)] == [1, 2]
    assert len({event.run_id for event in heard.of(EVENT_JOB_ERROR | EVENT_JOB_EXECUTED)}) == 2
    assert scheduler.get_jobs() == []


def test_it_is_tried_again_like_any_other(scheduler: VirtualScheduler) -> None:
    heard = Heard(scheduler)
    fails("x", Trouble())
    scheduler.add_job(flaky, **EACH_MINUTE, id="x", max_retries=1, next_run_time=at(3600))
    run = scheduler.run_job_now("x")
    scheduler.advance(MINUTE)
    (failed,), (done,) = heard.of(EVENT_JOB_ERROR), heard.of(EVENT_JOB_EXECUTED)
    assert (failed.attempt, failed.retry_at, done.attempt) == (1, at(10), 2)
    assert failed.run_id == done.run_id == run.run_id


def test_the_grace_is_not_for_it(scheduler: VirtualScheduler) -> None:
    heard = Heard(scheduler)
    scheduler.add_job(flaky, **EACH_MINUTE, id="x", misfire_grace_time=1, next_run_time=None)
    scheduler.pause()
    scheduler.run_job_now("x")
    scheduler.advance(timedelta(days=1))
    scheduler.resume()
    scheduler.advance(SECOND)
    assert heard.of(EVENT_JOB_EXECUTED)[0].late == timedelta(days=1)


# -- who is meant --------------------------------------------------------------------------------------------------


def test_nobody_of_that_name(scheduler: VirtualScheduler) -> None:
    scheduler.add_job(flaky, **EACH_MINUTE, id="x")
    for arguments in (("nobody",), ("x", "more"), ("x", "nowhere")):
        with pytest.raises(JobLookupError):
            scheduler.run_job_now(*arguments)
    scheduler.advance(SECOND)
    assert CALLS == []


def test_of_two_stores_the_first_that_has_it_or_the_one_that_is_named(scheduler: VirtualScheduler) -> None:
    heard = Heard(scheduler)
    scheduler.add_job(nothing, **EACH_MINUTE, id="x")
    scheduler.add_job(nothing, **EACH_MINUTE, id="x", jobstore="more")
    scheduler.add_job(nothing, **EACH_MINUTE, id="y", jobstore="more")
    for arguments, jobstore in ((("x",), "default"), (("x", "more"), "more"), (("y",), "more")):
        assert scheduler.run_job_now(*arguments).jobstore == jobstore
    scheduler.advance(SECOND)
    assert sorted((event.job_id, event.jobstore) for event in heard.of(EVENT_JOB_EXECUTED)) == [
        ("x", "default"),
        ("x", "more"),
        ("y", "more"),
    ]


def test_a_handle_of_a_job_that_was_removed_and_added_again_is_not_that_job(
    scheduler: VirtualScheduler,
) -> None:
    job = scheduler.add_job(flaky, **EACH_MINUTE, id="x")
    scheduler.remove_job("x")
    with pytest.raises(JobLookupError):
        job.run_now()
    scheduler.add_job(flaky, **EACH_MINUTE, id="x")
    with pytest.raises(JobLookupError):
        job.run_now()
    scheduler.advance(SECOND)
    assert CALLS == []


def test_a_one_off_in_its_last_run_cannot_be_asked(
    scheduler: VirtualScheduler, held: HoldingExecutor
) -> None:
    scheduler.add_job(flaky, **ONCE, id="x", executor="held")
    scheduler.advance(MINUTE)
    assert len(held.held) == 1
    with pytest.raises(JobLookupError):
        scheduler.run_job_now("x")


def test_before_the_start_and_after_the_end() -> None:
    scheduler = virtual()
    job = scheduler.add_job(flaky, **EACH_MINUTE, id="x")
    for call in (lambda: scheduler.run_job_now("x"), job.run_now, scheduler.get_runs):
        with pytest.raises(SchedulerNotRunningError):
            call()
    scheduler.start()
    assert job.run_now().job_id == "x"
    scheduler.advance(SECOND)
    scheduler.shutdown()
    with pytest.raises(SchedulerNotRunningError):
        scheduler.run_job_now("x")
    assert CALLS == ["x"]


def test_while_the_scheduler_is_paused_it_waits(scheduler: VirtualScheduler) -> None:
    scheduler.add_job(flaky, **EACH_MINUTE, id="x")
    scheduler.pause()
    scheduler.run_job_now("x")
    scheduler.advance(5 * SECOND)
    assert (CALLS, len(scheduler.get_runs())) == ([], 1)
    scheduler.resume()
    scheduler.advance(SECOND)
    assert CALLS == ["x"]


def test_a_hundred_may_wait(scheduler: VirtualScheduler) -> None:
    heard = Heard(scheduler)
    scheduler.add_job(flaky, **EACH_MINUTE, id="x", next_run_time=None)
    scheduler.pause()
    numbers = [scheduler.run_job_now("x").run_id for _ in range(100)]
    with pytest.raises(TooManyRunsError, match="100 runs of job 'x' that were asked for wait already"):
        scheduler.run_job_now("x")
    assert len(set(numbers)) == 100
    scheduler.resume()
    scheduler.advance(MINUTE)
    assert [event.run_id for event in heard.of(EVENT_JOB_EXECUTED)] == numbers
    scheduler.run_job_now("x")


# -- in threads ----------------------------------------------------------------------------------------------------


def test_a_sleeping_scheduler_wakes_up_for_it(tmp_path: Path) -> None:
    for kind in STORES:
        folder = tmp_path / kind
        folder.mkdir()
        scheduler, _ = background(jobstores={"default": STORES[kind](folder)})
        heard = Heard(scheduler)
        with started(scheduler):
            job = scheduler.add_job(flaky, "interval", days=9, id="x")
            first, second = job.run_now(), scheduler.run_job_now("x")
            heard.wait(EVENT_JOB_EXECUTED, "x", 1)
            assert heard.of(EVENT_JOB_EXECUTED)[0].run_id in (first.run_id, second.run_id)


def test_a_job_may_ask_for_itself(scheduler: VirtualScheduler) -> None:
    """As a chain: each run asks for the next, until it is enough."""
    heard = Heard(scheduler)
    asked: list[int] = []

    def again(event: Any) -> None:
        if len(asked) < 5:
            asked.append(scheduler.run_job_now("x").run_id)

    scheduler.add_listener(again, EVENT_JOB_EXECUTED)
    scheduler.add_job(flaky, **EACH_MINUTE, id="x", next_run_time=at(5))
    scheduler.advance(20 * SECOND)
    assert [event.run_id for event in heard.of(EVENT_JOB_EXECUTED)][1:] == asked
