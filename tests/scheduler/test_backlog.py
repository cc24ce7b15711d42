"""A backlog longer than one claim takes: the rest follows when the first part has run, and not at some later look."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from mainspring.events import EVENT_JOB_EXECUTED, EVENT_JOB_SUBMITTED, JobExecutionEvent, JobSubmissionEvent
from mainspring.jobstores.base import BaseJobStore
from mainspring.jobstores.memory import MemoryJobStore
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.scheduler.virtual import VirtualScheduler

STORES = [MemoryJobStore, lambda: SQLAlchemyJobStore(url="sqlite://")]


@pytest.mark.parametrize("make", STORES, ids=["memory", "sqlite"])
def test_the_rest_of_a_backlog_follows_at_once(make: Callable[[], BaseJobStore]) -> None:
    submitted: list[int] = []
    executed: list[datetime] = []

    def on_submission(event: JobSubmissionEvent) -> None:
        submitted.append(len(event.scheduled_run_times))

    def on_execution(event: JobExecutionEvent) -> None:
        executed.append(event.scheduled_run_time)

    begin = datetime(2027, 1, 1, tzinfo=UTC)
    scheduler = VirtualScheduler(start=begin, jobstores={"default": make()})
    scheduler.add_listener(on_submission, EVENT_JOB_SUBMITTED)
    scheduler.add_listener(on_execution, EVENT_JOB_EXECUTED)
    scheduler.start()
    scheduler.add_job("time:time", "interval", minutes=1, coalesce=False, misfire_grace_time=None)
    scheduler.pause()
    scheduler.advance(timedelta(minutes=2300))
    scheduler.resume()
    scheduler.advance(timedelta(seconds=1))
    assert submitted == [1000, 1000, 300]
    assert executed == [begin + timedelta(minutes=minutes) for minutes in range(1, 2301)]
    scheduler.shutdown()
