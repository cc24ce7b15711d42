"""Jobs that are added before the scheduler is started: they wait, can be changed, and get into their stores with the start."""

import logging
from collections.abc import Callable
from datetime import timedelta

import pytest
from mainspring.events import (
    EVENT_JOB_ADDED,
    EVENT_JOB_MODIFIED,
    JobEvent,
)
from mainspring.jobstores.memory import MemoryJobStore
from mainspring.scheduler.virtual import VirtualScheduler

from tests.scheduler.watching import Heard, at, nothing, started, virtual

MINUTE = timedelta(minutes=1)


def test_before_the_start_a_job_is_pending(caplog: pytest.LogCaptureFixture) -> None:
    scheduler = virtual()
    heard = Heard(scheduler, EVENT_JOB_ADDED)
    with caplog.at_level(logging.INFO, "mainspring.scheduler"):
        job = scheduler.add_job(nothing, "interval", minutes=1, id="x", name="mine")
    assert caplog.messages == [
        "Adding job tentatively -- it will be properly scheduled when the scheduler starts"
    ]
    assert job.pending
    assert str(job) == "mine (trigger: interval[0:01:00], pending)"
    assert scheduler.get_job("x") is job
    assert scheduler.get_jobs(pending=True) == scheduler.get_jobs() == [job]
    assert scheduler.get_jobs(pending=False) == []
    assert heard.events == []
    caplog.clear()
    with started(scheduler), caplog.at_level(logging.INFO, "mainspring.scheduler"):
        assert not job.pending
        assert scheduler.get_job("x") is job
        assert str(job) == "mine (trigger: interval[0:01:00], next run at: 2026-03-02 12:01:00 UTC)"
    assert [(event.job_id, event.jobstore) for event in heard.events] == [("x", "default")]


def test_a_pending_interval_begins_with_the_start_of_the_scheduler() -> None:
    scheduler = virtual()
    job = scheduler.add_job(nothing, "interval", minutes=1)
    scheduler._manual_clock.advance(timedelta(minutes=5))
    with started(scheduler):
        assert job.next_run_time == at(360)


def test_a_pending_job_can_be_changed_paused_resumed_rescheduled_and_removed() -> None:
    scheduler = virtual()
    for job_id in ("changed", "paused", "resumed", "rescheduled", "removed", "given other seconds"):
        scheduler.add_job(nothing, "interval", minutes=1, id=job_id)
    scheduler.modify_job("changed", name="new", max_instances=2, next_run_time=at(5))
    scheduler.modify_job("given other seconds", seconds=7)
    scheduler.pause_job("paused")
    scheduler.pause_job("resumed")
    scheduler.resume_job("resumed")
    scheduler.reschedule_job("rescheduled", trigger="date", run_date=at(9))
    scheduler.remove_job("removed")
    with pytest.raises(AttributeError, match="not modifiable attributes of Job: nmae"):
        scheduler.modify_job("changed", nmae="x")
    with started(scheduler):
        jobs = {job.id: job for job in scheduler.get_jobs()}
        assert {job.id: job.next_run_time for job in jobs.values()} == {
            "changed": at(5),
            "paused": None,
            "resumed": at(60),
            "rescheduled": at(9),
            "given other seconds": at(7),
        }
        assert (jobs["changed"].name, jobs["changed"].max_instances) == ("new", 2)


@pytest.mark.parametrize(
    "change",
    [
        lambda scheduler: scheduler.pause_job("x"),
        lambda scheduler: scheduler.resume_job("x"),
        lambda scheduler: scheduler.modify_job("x", name="new"),
        lambda scheduler: scheduler.reschedule_job("x", trigger="interval", seconds=7),
    ],
    ids=["pause", "resume", "modify", "reschedule"],
)
def test_a_change_of_a_pending_job_is_told(change: Callable[[VirtualScheduler], object]) -> None:
    scheduler = virtual()
    scheduler.add_job(nothing, "interval", minutes=1, id="x", jobstore="more")
    heard = Heard(scheduler)
    change(scheduler)
    assert heard.events == [JobEvent(EVENT_JOB_MODIFIED, "x", "more")]


def test_a_pending_job_that_is_paused_is_shown_as_such() -> None:
    scheduler = virtual()
    job = scheduler.add_job(nothing, "interval", minutes=1, id="x", jobstore="more")
    assert str(job) == "nothing (trigger: interval[0:01:00], pending)"
    assert str(job.pause()) == "nothing (trigger: interval[0:01:00], paused)"
    assert str(job.resume()) == "nothing (trigger: interval[0:01:00], pending)"
    added_paused = scheduler.add_job(nothing, "interval", minutes=1, id="x", next_run_time=None)
    assert str(added_paused) == "nothing (trigger: interval[0:01:00], paused)"
    assert str(job) == "nothing (trigger: interval[0:01:00], pending)"
    assert added_paused.pending


def test_the_same_by_its_handle() -> None:
    scheduler = virtual()
    job = scheduler.add_job(nothing, "interval", minutes=1, id="x")
    assert job.modify(name="new") is job
    assert job.reschedule("interval", minutes=5) is job
    assert job.pause().resume() is job
    assert (job.name, str(job.trigger)) == ("new", "interval[0:05:00]")
    job.remove()
    assert scheduler.get_jobs() == []


def test_many_pending_jobs_are_added_in_no_time() -> None:
    """Each one compared with all the others would take minutes."""
    scheduler = virtual()
    for number in range(20_000):
        scheduler.add_job(nothing, "interval", hours=1, id=f"{number}")
    with started(scheduler):
        assert len(scheduler.get_jobs()) == 20_000


def test_a_handle_is_of_one_store_though_another_has_the_same_id() -> None:
    scheduler = virtual(jobstores={"one": MemoryJobStore(), "two": MemoryJobStore()})
    first = scheduler.add_job(nothing, "interval", minutes=1, id="x", jobstore="one")
    second = scheduler.add_job(nothing, "interval", minutes=1, id="x", jobstore="two")
    second.modify(name="second")
    assert (first.name, second.name) == ("nothing", "second")
    second.remove()
    assert scheduler.get_job("x") is first
