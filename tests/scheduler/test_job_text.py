"""What the log says of a job while it runs: the text that people see in the warnings that everybody meets."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from mainspring.jobstores.base import BaseJobStore
from mainspring.jobstores.memory import MemoryJobStore
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.scheduler.virtual import VirtualScheduler

START = datetime(2027, 1, 1, tzinfo=UTC)
STORES = [MemoryJobStore, lambda: SQLAlchemyJobStore(url="sqlite://")]


@pytest.mark.parametrize("make", STORES, ids=["memory", "sqlite"])
def test_a_run_shows_its_jobs_next_run(
    make: Callable[[], BaseJobStore], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "mainspring.executors")
    scheduler = VirtualScheduler(start=START, jobstores={"default": make()})
    scheduler.start()
    scheduler.add_job("time:time", "interval", hours=1, name="hourly")
    scheduler.advance(timedelta(hours=2))
    assert shown_when_run(caplog) == ["2027-01-01 02:00:00 UTC", "2027-01-01 03:00:00 UTC"]
    scheduler.shutdown()


def test_so_does_one_that_was_read_from_a_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mainspring.executors")
    for hours in (0, 2):
        store = SQLAlchemyJobStore(url=f"sqlite:///{tmp_path / 'jobs.sqlite'}")
        scheduler = VirtualScheduler(start=START, jobstores={"default": store})
        scheduler.start()
        if not hours:
            scheduler.add_job("time:time", "interval", hours=1, name="hourly", id="hourly")
        scheduler.advance(timedelta(hours=hours))
        scheduler.shutdown()
    assert shown_when_run(caplog) == ["2027-01-01 02:00:00 UTC", "2027-01-01 03:00:00 UTC"]


def shown_when_run(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The next run times in the lines that say that a run begins."""
    lines = [line for line in caplog.text.splitlines() if "Running job" in line]
    return [line.partition("next run at: ")[2].partition(")")[0] for line in lines]


@pytest.mark.parametrize("make", STORES, ids=["memory", "sqlite"])
def test_the_last_run_is_not_shown_as_paused(
    make: Callable[[], BaseJobStore], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "mainspring.executors")
    scheduler = VirtualScheduler(start=START, jobstores={"default": make()})
    scheduler.start()
    scheduler.add_job("time:time", name="once")
    scheduler.advance(timedelta(0))
    assert 'Running job "once (trigger: date[2027-01-01 00:00:00 UTC], no further run)"' in caplog.text
    scheduler.shutdown()
