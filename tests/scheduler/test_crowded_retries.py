"""A job that fails more often than it can be tried again gets so many retries and no more; and one that failed for good is had run anew by adding it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from mainspring.events import EVENT_JOB_ERROR
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
