"""What ends retries: too many of them, failures that no attempt could mend; and what people may do about a job that has failed for good."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from mainspring.events import EVENT_JOB_ERROR
from mainspring.executors import UnpicklableError
from mainspring.scheduler.ticket import MAX_RETRIES_WAITING
from mainspring.scheduler.virtual import VirtualScheduler

from tests.scheduler.watching import Heard, started, virtual


@pytest.fixture
def scheduler() -> Iterator[VirtualScheduler]:
    with started(virtual()) as scheduler:
        yield scheduler


def fail() -> None:
    raise ValueError("no")


def test_a_job_has_at_most_so_many_retries_waiting(
    scheduler: VirtualScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    heard = Heard(scheduler)
    scheduler.add_job(fail, "interval", seconds=1, max_retries=3, retry_delay=3600)
    scheduler.advance(timedelta(seconds=MAX_RETRIES_WAITING + 10))
    assert [run.kind for run in scheduler.get_runs()] == ["retry"] * MAX_RETRIES_WAITING
    errors = heard.of(EVENT_JOB_ERROR)
    assert [error.retry_at is None for error in errors] == [False] * MAX_RETRIES_WAITING + [True] * 10
    assert "was the last one (100 retries of the job wait already)" in caplog.text
    # When those have had their turn, there is room for others.
    scheduler.advance(timedelta(hours=1, seconds=5))
    assert [error.attempt for error in heard.of(EVENT_JOB_ERROR)].count(2) > 0
    assert len(scheduler.get_runs()) <= MAX_RETRIES_WAITING


@pytest.mark.parametrize("options", [{"keep_failed": True}, {"max_retries": 1, "retry_delay": 3600}])
def test_once_now_is_meant_anew_each_time_that_a_job_is_added(
    scheduler: VirtualScheduler, options: dict[str, Any]
) -> None:
    """It is parked, or waits for its next attempt: to replace it by "once, now" has it run once more, and is no equal trigger."""
    heard = Heard(scheduler)
    for number in range(1, 4):
        scheduler.add_job(fail, id="x", replace_existing=True, **options)
        scheduler.advance(timedelta(seconds=1))
        assert len(heard.of(EVENT_JOB_ERROR)) == number
    # A date that was given is the same date, and has had its run.
    scheduler.remove_job("x")
    date: dict[str, Any] = {
        "trigger": "date",
        "run_date": scheduler.now - timedelta(seconds=1),
        "misfire_grace_time": None,
    }
    for _ in range(2):
        scheduler.add_job(fail, id="x", replace_existing=True, **date, **options)
        scheduler.advance(timedelta(seconds=1))
        assert len(heard.of(EVENT_JOB_ERROR)) == number + 1


async def coroutine() -> None: ...


def cannot_travel() -> None:
    raise UnpicklableError("the result cannot be sent back")


def was_another_over_there() -> None:
    raise UnpicklableError("Trouble: no", ("builtins:OSError", "builtins:Exception"))


@pytest.mark.parametrize(
    ("func", "retry_on", "attempts"),
    [
        (coroutine, Exception, 1),
        (cannot_travel, Exception, 1),
        (cannot_travel, TypeError, 1),
        (cannot_travel, UnpicklableError, 2),
        (was_another_over_there, Exception, 2),
        (was_another_over_there, UnpicklableError, 1),
    ],
)
def test_what_could_not_go_otherwise_is_tried_again_only_if_it_is_named(
    scheduler: VirtualScheduler, func: Any, retry_on: Any, attempts: int
) -> None:
    """A function that has run, and whose result cannot be sent back from its process, must not run again for that."""
    heard = Heard(scheduler)
    scheduler.add_job(func, max_retries=1, retry_on=retry_on)
    scheduler.advance(timedelta(minutes=1))
    assert len(heard.of(EVENT_JOB_ERROR)) == attempts


def test_that_a_job_stays_parked_is_said(
    scheduler: VirtualScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler.add_job(fail, id="x", keep_failed=True)
    scheduler.advance(timedelta(seconds=1))
    job = scheduler.resume_job("x")
    assert job is not None
    assert str(job).endswith(", parked)")
    assert 'Job "x" stays parked (failed: ValueError: no (attempt 1))' in caplog.text
    assert "run_job_now()" in caplog.text


def test_an_explanation_shows_the_first_of_many(scheduler: VirtualScheduler) -> None:
    scheduler.add_job(fail, "interval", seconds=1, id="x", max_retries=1, retry_delay=3600)
    scheduler.advance(timedelta(seconds=30))
    explanation = scheduler.explain_job("x")
    assert len(explanation.runs) == 30
    assert "    - … and 20 more" in str(explanation).splitlines()


@pytest.mark.parametrize("method", ["rerun_lost", "dismiss_lost"])
def test_lost_runs_are_named_by_what_lists_them(scheduler: VirtualScheduler, method: str) -> None:
    with pytest.raises(
        TypeError, match=rf"{method}\(\) takes a LostRun, as get_lost_runs\(\) lists them, got int: 5"
    ):
        getattr(scheduler, method)(5)
