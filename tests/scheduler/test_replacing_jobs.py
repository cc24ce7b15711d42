"""`add_job(…, replace_existing=True)` on each kind of store."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from mainspring.events import (
    EVENT_JOB_EXECUTED,
)
from mainspring.jobstores.base import ConflictingIdError
from mainspring.jobstores.job import Job
from mainspring.jobstores.memory import MemoryJobStore
from mainspring.jobstores.record import Plan, Record
from mainspring.scheduler.virtual import VirtualScheduler
from mainspring.triggers import AndTrigger, CronTrigger, IntervalTrigger

from tests.guards.faults import STORES
from tests.scheduler.watching import Heard, answer, at, nothing, other, started, virtual

MINUTE = timedelta(minutes=1)


@pytest.fixture(params=STORES)
def scheduler(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VirtualScheduler]:
    scheduler = virtual(
        jobstores={"default": STORES[request.param](tmp_path), "more": MemoryJobStore()},
        job_defaults={"misfire_grace_time": None},
    )
    with started(scheduler):
        yield scheduler


def job_of(scheduler: VirtualScheduler, job_id: str = "x") -> Job:
    job = scheduler.get_job(job_id)
    assert job is not None
    return job


def test_replacing_with_an_equal_trigger_keeps_the_next_run_time(scheduler: VirtualScheduler) -> None:
    """So that eight workers that restart do not push a job forward for ever."""
    heard = Heard(scheduler)
    first = scheduler.add_job(answer, "interval", minutes=1, id="x", args=["old"])
    for _ in range(5):
        scheduler.advance(timedelta(seconds=10))
        second = scheduler.add_job(
            answer, "interval", minutes=1, id="x", args=["new"], replace_existing=True, max_instances=3
        )
        assert second.next_run_time == at(60)
    assert second == first
    scheduler.advance(timedelta(seconds=70))
    assert heard.seconds("x") == [60, 120]
    assert [event.retval for event in heard.of(EVENT_JOB_EXECUTED)] == ["new", "new"]
    assert job_of(scheduler).max_instances == 3


def test_replacing_with_an_equal_trigger_keeps_the_pause_and_an_overdue_run(
    scheduler: VirtualScheduler,
) -> None:
    scheduler.add_job(nothing, "interval", minutes=1, id="x")
    scheduler.pause_job("x")
    scheduler.add_job(nothing, "interval", minutes=1, id="x", replace_existing=True)
    assert job_of(scheduler).next_run_time is None
    scheduler.pause()
    scheduler.add_job(nothing, "date", run_date=at(5), id="y")
    scheduler.advance(MINUTE)
    scheduler.add_job(other, "date", run_date=at(5), id="y", replace_existing=True)
    heard = Heard(scheduler)
    scheduler.resume()
    scheduler.advance(timedelta(0))
    assert heard.seconds("y") == [5]


def test_replacing_with_another_trigger_or_a_next_run_time_begins_anew(scheduler: VirtualScheduler) -> None:
    scheduler.add_job(nothing, "interval", minutes=1, id="x")
    scheduler.pause_job("x")
    assert scheduler.add_job(
        nothing, "interval", minutes=5, id="x", replace_existing=True
    ).next_run_time == at(300)
    assert scheduler.add_job(
        nothing, "interval", minutes=5, id="x", replace_existing=True, next_run_time=at(7)
    ).next_run_time == at(7)
    assert (
        scheduler.add_job(
            nothing, "interval", minutes=5, id="x", replace_existing=True, next_run_time=None
        ).next_run_time
        is None
    )
    assert len(scheduler.get_jobs()) == 1


def test_replacing_what_is_not_there_adds_it(scheduler: VirtualScheduler) -> None:
    assert scheduler.add_job(nothing, "interval", minutes=5, id="x", replace_existing=True) == job_of(
        scheduler
    )
    with pytest.raises(ConflictingIdError):
        scheduler.add_job(nothing, "interval", minutes=5, id="x")


def test_a_replaced_job_in_memory_is_the_one_that_everybody_holds() -> None:
    with started(virtual()) as scheduler:
        old = scheduler.add_job(nothing, "interval", minutes=1, id="x", name="old")
        new = scheduler.add_job(nothing, "interval", minutes=2, id="x", name="new", replace_existing=True)
        for job in (old, new, job_of(scheduler)):
            assert (job.name, job.pending, job.next_run_time) == ("new", False, at(120))
        assert old is new is scheduler.get_job("x")


def test_replacing_with_an_equal_trigger_that_cannot_be_bound_at_this_moment(
    scheduler: VirtualScheduler,
) -> None:
    """The stored one was bound on a whole second, and a program that adds its jobs at each start never starts on one."""

    def both() -> AndTrigger:
        return AndTrigger([IntervalTrigger(hours=2, timezone="UTC"), CronTrigger(minute=0, timezone="UTC")])

    first = scheduler.add_job(answer, both(), args=[1], id="x", next_run_time=at(7200)).next_run_time
    scheduler.advance(timedelta(seconds=7, microseconds=5))
    job = scheduler.add_job(answer, both(), args=[1], id="x", replace_existing=True, max_instances=3)
    assert (job.next_run_time, job.max_instances) == (first, 3)
    assert job.next_run_time == at(7200)
    with pytest.raises(ValueError, match="never fires on a whole second"):
        scheduler.add_job(answer, both(), args=[1], id="y", replace_existing=True)
    other_one = AndTrigger([IntervalTrigger(hours=4), CronTrigger(minute=0)])
    with pytest.raises(ValueError, match="never fires on a whole second"):
        scheduler.add_job(answer, other_one, args=[1], id="x", replace_existing=True)
    assert job_of(scheduler).next_run_time == at(7200)


class AddingMeanwhile(MemoryJobStore):
    """Where another worker adds the same job between the question whether it is there and the answer to it."""

    other: Job | None = None

    def peek(self, job_id: str) -> Record | None:
        found = super().peek(job_id)
        if found is None and self.other is not None:
            other, self.other = self.other, None
            self.insert([(other, Plan(1, 1))])
        return found


def test_workers_that_start_together_replace_what_one_of_them_adds() -> None:
    store = AddingMeanwhile()
    scheduler = virtual(jobstores={"default": store})
    store.other = scheduler.add_job(nothing, "interval", minutes=1, id="x", args=["other's"])
    scheduler.remove_job("x")
    scheduler.add_job(answer, "interval", minutes=1, id="x", args=["mine"], replace_existing=True)
    scheduler.add_job(nothing, "interval", minutes=1, id="y")
    with started(scheduler):
        assert store.other is None  # it was added
        assert job_of(scheduler).args == ("mine",)
        assert [job.id for job in scheduler.get_jobs()] == ["x", "y"]


def test_a_job_that_may_not_be_replaced_is_still_refused() -> None:
    store = AddingMeanwhile()
    scheduler = virtual(jobstores={"default": store})
    store.other = scheduler.add_job(nothing, "interval", minutes=1, id="x")
    scheduler.remove_job("x")
    with started(scheduler), pytest.raises(ConflictingIdError):
        scheduler.add_jobs(
            [
                {"func": nothing, "trigger": "interval", "minutes": 1, "id": "y", "replace_existing": True},
                {"func": nothing, "trigger": "interval", "minutes": 1, "id": "x"},
            ]
        )
