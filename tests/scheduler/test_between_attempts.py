"""What people do between two attempts: pause, resume, remove, change and reschedule a job whose run has failed."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from mainspring.events import EVENT_JOB_EXECUTED
from mainspring.executors.debug import DebugExecutor
from mainspring.scheduler.virtual import VirtualScheduler

from tests.guards.faults import STORES, HoldingExecutor, release_all
from tests.jobstores.options import Trouble
from tests.scheduler.flaky import (
    CALLS,
    EACH_MINUTE,
    MINUTE,
    ONCE,
    SECOND,
    Ends,
    clean,
    fails,
    flaky,
    other_flaky,
    trouble,
)
from tests.scheduler.watching import Heard, at, nothing, started, virtual

__all__ = ["clean"]  # a fixture


@pytest.fixture(params=STORES)
def scheduler(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VirtualScheduler]:
    with started(virtual(jobstores={"default": STORES[request.param](tmp_path)})) as scheduler:
        yield scheduler
        release_all(scheduler)


def test_pause_holds_a_retry_and_resume_lets_it_go(scheduler: VirtualScheduler) -> None:
    ends = Ends(scheduler)
    fails("x", Trouble())
    scheduler.add_job(flaky, **ONCE, id="x", max_retries=1)
    scheduler.advance(65 * SECOND)
    scheduler.pause_job("x")
    scheduler.advance(timedelta(hours=1))
    assert ends.told("attempt") == [1]
    assert [run.blocked for run in scheduler.get_runs()] == [True]
    resumed = scheduler.resume_job("x")
    assert resumed is not None
    scheduler.advance(SECOND)
    assert ends.told("attempt") == [1, 2]
    assert scheduler.get_jobs() == []


def test_pause_while_it_fails_holds_the_retry(scheduler: VirtualScheduler) -> None:
    executor = HoldingExecutor()
    scheduler.add_executor(executor, "held")
    fails("x", Trouble())
    scheduler.add_job(flaky, **EACH_MINUTE, id="x", executor="held", max_retries=1, misfire_grace_time=None)
    scheduler.advance(MINUTE)
    scheduler.pause_job("x")
    executor.release()
    scheduler.advance(timedelta(hours=1))
    (run,) = scheduler.get_runs()
    assert (run.kind, run.state, run.blocked, executor.held) == ("retry", "waiting", True, [])
    scheduler.resume_job("x")
    scheduler.advance(SECOND)
    assert len(executor.held) == 1


def test_remove_drops_the_retry(scheduler: VirtualScheduler) -> None:
    ends = Ends(scheduler)
    fails("x", Trouble())
    scheduler.add_job(flaky, **ONCE, id="x", max_retries=1)
    scheduler.advance(65 * SECOND)
    scheduler.remove_job("x")
    assert (scheduler.get_jobs(), scheduler.get_runs()) == ([], [])
    scheduler.add_job(nothing, "date", run_date=at(90), id="x")
    scheduler.advance(MINUTE)
    assert CALLS == ["x"]
    assert ends.told("attempt", "retry_at") == [(1, at(70)), (1, None)]


def test_remove_while_it_fails_drops_the_retry(scheduler: VirtualScheduler) -> None:
    executor = HoldingExecutor()
    scheduler.add_executor(executor, "held")
    fails("x", Trouble())
    scheduler.add_job(flaky, **ONCE, id="x", executor="held", max_retries=1, misfire_grace_time=None)
    scheduler.advance(MINUTE)
    scheduler.remove_job("x")
    executor.release()
    scheduler.advance(timedelta(hours=1))
    assert (scheduler.get_jobs(), scheduler.get_runs(), executor.held) == ([], [], [])


def test_the_next_attempt_runs_what_the_job_is_by_then(scheduler: VirtualScheduler) -> None:
    scheduler.add_executor(DebugExecutor(), "second")
    heard = Heard(scheduler)
    fails("x", Trouble())
    scheduler.add_job(flaky, **ONCE, id="x", max_retries=1)
    scheduler.advance(65 * SECOND)
    scheduler.modify_job("x", func=other_flaky, args=["y"], executor="second", name="changed")
    scheduler.advance(10 * SECOND)
    assert CALLS == ["x", "other y"]
    (event,) = heard.of(EVENT_JOB_EXECUTED, "x")
    assert (event.retval, event.attempt) == ("other", 2)


@pytest.mark.parametrize(("max_retries", "attempts"), [(0, 2), (1, 2), (2, 3), (5, 6)])
def test_the_next_attempt_has_the_retries_that_the_job_has_by_then(
    scheduler: VirtualScheduler, max_retries: int, attempts: int
) -> None:
    ends = Ends(scheduler)
    fails("x", *trouble(20))
    scheduler.add_job(flaky, **ONCE, id="x", max_retries=1)
    scheduler.advance(65 * SECOND)
    scheduler.modify_job("x", max_retries=max_retries, retry_delay=1)
    scheduler.advance(timedelta(hours=1))
    assert ends.told("attempt") == [*range(1, attempts + 1)]


def test_rescheduled_between_two_attempts_it_does_both(scheduler: VirtualScheduler) -> None:
    ends = Ends(scheduler)
    fails("x", Trouble())
    scheduler.add_job(flaky, **ONCE, id="x", max_retries=1)
    scheduler.advance(65 * SECOND)
    job = scheduler.reschedule_job("x", trigger="interval", minutes=1)
    assert job.next_run_time == at(125)
    scheduler.advance(2 * MINUTE)
    assert ends.seconds == [60, 70, 125, 185]


# -- the same job, added again -------------------------------------------------------------------------------------


def test_a_program_that_starts_again_does_not_disturb_a_retry(scheduler: VirtualScheduler) -> None:
    """It adds its jobs anew, with the same triggers; the next attempt has the definition of the new version."""
    ends = Ends(scheduler)
    fails("x", Trouble())
    scheduler.add_job(flaky, **ONCE, id="x", max_retries=1)
    scheduler.advance(65 * SECOND)
    job = scheduler.add_job(other_flaky, **ONCE, id="x", max_retries=1, replace_existing=True)
    assert job.next_run_time is None
    assert [(run.kind, run.attempt) for run in scheduler.get_runs()] == [("retry", 2)]
    scheduler.advance(MINUTE)
    assert CALLS == ["x", "other x"]
    assert ends.told("attempt") == [1, 2]
    assert scheduler.get_jobs() == []


def test_replaced_with_another_trigger_it_does_both(scheduler: VirtualScheduler) -> None:
    ends = Ends(scheduler)
    fails("x", Trouble())
    scheduler.add_job(flaky, **ONCE, id="x", max_retries=1)
    scheduler.advance(65 * SECOND)
    job = scheduler.add_job(flaky, "date", run_date=at(90), id="x", replace_existing=True)
    assert job.next_run_time == at(90)
    scheduler.advance(MINUTE)
    assert (ends.seconds, ends.told("attempt")) == ([60, 70, 90], [1, 2, 1])
    assert scheduler.get_jobs() == []


def test_a_job_that_was_kept_for_its_failure_and_is_added_again_stays_until_somebody_frees_it(
    scheduler: VirtualScheduler,
) -> None:
    fails("x", Trouble())
    scheduler.add_job(flaky, **ONCE, id="x", keep_failed=True)
    scheduler.advance(65 * SECOND)
    scheduler.add_job(flaky, **ONCE, id="x", keep_failed=True, replace_existing=True)
    scheduler.advance(MINUTE)
    assert CALLS == ["x"]
    assert len(scheduler.get_parked_jobs()) == 1
    scheduler.add_job(flaky, "date", run_date=at(180), id="x", replace_existing=True)
    assert scheduler.get_parked_jobs() == []
    scheduler.advance(MINUTE)
    assert CALLS == ["x"] * 2
    assert scheduler.get_jobs() == []
