"""In which order a pass over a shared store goes: what is due is claimed before the ends of other runs are written."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from mainspring.events import (
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_REMOVED,
    EVENT_JOBSTORE_FAILED,
    EVENT_JOBSTORE_RECOVERED,
    JobEvent,
    ManualClock,
    SchedulerEvent,
)
from mainspring.jobstores.errors import JobStoreError
from mainspring.jobstores.record import ClaimResult, FinishResult
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.scheduler.background import BackgroundScheduler
from mainspring.scheduler.port import MANY, SETTLE_WITHIN
from mainspring.scheduler.virtual import VirtualScheduler

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
WITHIN = timedelta(microseconds=SETTLE_WITHIN)
"""The end of a run is written by then."""


class ToldStore(SQLAlchemyJobStore):
    """Keeps what it was asked to write, in order."""

    steps: list[str]
    is_full: bool = False
    cannot_claim: bool = False

    def claim_due(self, *arguments: Any) -> ClaimResult:
        if self.cannot_claim:
            raise JobStoreError("a record is in the way")
        result = super().claim_due(*arguments)
        self.steps += [f"claimed {claim.record.id}" for claim in result.claims]
        return result

    def finish_runs(self, outcomes: Any) -> FinishResult:
        if self.is_full:
            raise JobStoreError("the disk is full")
        self.steps += [f"finished {outcome.job_id}" for outcome in outcomes]
        return super().finish_runs(outcomes)


@pytest.fixture
def store(tmp_path: Path) -> ToldStore:
    store = ToldStore(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    store.steps = []
    return store


@pytest.fixture
def scheduler(store: ToldStore) -> Iterator[VirtualScheduler]:
    scheduler = VirtualScheduler(start=START, jobstores={"default": store})
    scheduler.start()
    yield scheduler
    scheduler.shutdown()


def heard(scheduler: VirtualScheduler) -> Callable[[], list[int]]:
    """What answers the codes of the events so far."""
    told: list[JobEvent] = []
    scheduler.add_listener(told.append, EVENT_JOB_MAX_INSTANCES | EVENT_JOB_EXECUTED)
    return lambda: [event.code for event in told]


def run() -> None:
    """Ends at once: virtual time stands still meanwhile."""


def test_what_is_due_does_not_wait_for_an_end_to_be_written(
    scheduler: VirtualScheduler, store: ToldStore
) -> None:
    scheduler.add_job(run, "date", run_date=START + timedelta(seconds=1), id="first")
    scheduler.add_job(run, "date", run_date=START + timedelta(seconds=1) + WITHIN, id="second")
    scheduler.advance(timedelta(seconds=1) + WITHIN)
    assert store.steps == ["claimed first", "claimed second", "finished first", "finished second"]


def test_an_end_is_written_in_time_when_nothing_else_is_due(
    scheduler: VirtualScheduler, store: ToldStore
) -> None:
    scheduler.add_job(run, "date", run_date=START + timedelta(seconds=1), id="first")
    scheduler.advance(timedelta(seconds=1) + WITHIN - timedelta(microseconds=1))
    assert store.steps == ["claimed first"]
    scheduler.advance(timedelta(microseconds=1))
    assert store.steps == ["claimed first", "finished first"]


def test_an_end_that_makes_room_for_what_is_due_soon_is_written_at_once(
    scheduler: VirtualScheduler, store: ToldStore
) -> None:
    told = heard(scheduler)
    scheduler.add_job(run, "interval", seconds=WITHIN.total_seconds() / 4, start_date=START, id="often")
    scheduler.add_job(run, "date", run_date=START + WITHIN / 4, id="beside")
    scheduler.advance(WITHIN / 4)
    # So others find room for the next one, too.
    assert store.steps == [
        "claimed often",
        "finished often",
        "claimed often",
        "claimed beside",
        "finished often",
        "finished beside",
    ]
    assert told() == [EVENT_JOB_EXECUTED] * 3


def test_a_job_that_is_called_for_before_its_end_is_written_is_not_skipped_for_it(
    scheduler: VirtualScheduler, store: ToldStore
) -> None:
    told = heard(scheduler)
    scheduler.add_job(run, "interval", hours=1, start_date=START, id="seldom")
    scheduler.add_job(run, "date", run_date=START + WITHIN / 4, id="beside")
    scheduler.advance(timedelta())
    scheduler.modify_job("seldom", next_run_time=START + WITHIN / 4)
    scheduler.advance(WITHIN / 4)
    # The first claim of that moment passes it over; it is decided once there is room, in the same moment.
    assert store.steps == [
        "claimed seldom",
        "claimed beside",
        "finished seldom",
        "finished beside",
        "claimed seldom",
    ]
    assert told() == [EVENT_JOB_EXECUTED] * 3


def test_a_clock_that_is_set_back_does_not_hold_up_an_end(tmp_path: Path) -> None:
    clock = ManualClock(START)
    store = ToldStore(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    store.steps = []
    scheduler = BackgroundScheduler(jobstores={"default": store}, clock=clock)
    removed = Event()
    scheduler.add_listener(lambda event: removed.set(), EVENT_JOB_REMOVED)
    scheduler.add_listener(lambda event: clock.set(START - timedelta(hours=1)), EVENT_JOB_EXECUTED)
    scheduler.add_job(run, "date", run_date=START, id="first")
    scheduler.start()
    assert removed.wait(10)
    scheduler.shutdown()


def test_a_store_that_can_be_read_and_not_written_fails_once_until_it_can(
    scheduler: VirtualScheduler, store: ToldStore
) -> None:
    told: list[SchedulerEvent] = []
    scheduler.add_listener(told.append, EVENT_JOBSTORE_FAILED | EVENT_JOBSTORE_RECOVERED)
    scheduler.add_job(run, "date", run_date=START + timedelta(seconds=1), id="first")
    store.is_full = True
    scheduler.advance(timedelta(minutes=5))
    assert [event.code for event in told] == [EVENT_JOBSTORE_FAILED]
    store.is_full = False
    scheduler.advance(timedelta(minutes=1))
    assert [event.code for event in told] == [EVENT_JOBSTORE_FAILED, EVENT_JOBSTORE_RECOVERED]
    assert store.steps == ["claimed first", "finished first"]


def test_claims_that_fail_do_not_hold_up_the_end_of_a_run(
    scheduler: VirtualScheduler, store: ToldStore
) -> None:
    scheduler.add_job(run, "date", run_date=START + timedelta(seconds=1), id="first")
    scheduler.add_job(run, "date", run_date=START + timedelta(seconds=1) + WITHIN / 2, id="second")
    scheduler.advance(timedelta(seconds=1))
    store.cannot_claim = True
    scheduler.advance(timedelta(minutes=1))
    assert store.steps == ["claimed first", "finished first"]
    store.cannot_claim = False


def test_many_ends_are_not_left_behind_a_claim(scheduler: VirtualScheduler, store: ToldStore) -> None:
    for number in range(MANY):
        scheduler.add_job(run, "date", run_date=START + timedelta(seconds=1), id=f"{number}")
    scheduler.add_job(run, "date", run_date=START + timedelta(seconds=1) + WITHIN / 2, id="next")
    scheduler.advance(timedelta(seconds=1) + WITHIN / 2)
    assert [step.split()[0] for step in store.steps] == ["claimed"] * MANY + ["finished"] * MANY + ["claimed"]
