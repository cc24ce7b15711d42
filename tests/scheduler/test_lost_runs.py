"""Runs whose scheduler is gone, on an SQLite file: lost or run again, listed, told, dismissed, rerun, found after all."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from mainspring.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_FOUND,
    EVENT_JOB_LOST,
    EVENT_JOB_PARKED,
    EVENT_JOB_REMOVED,
    RunEvent,
)
from mainspring.executors.debug import DebugExecutor
from mainspring.jobstores.base import JobLookupError
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.scheduler.engine import Engine
from mainspring.scheduler.virtual import VirtualScheduler

from tests.guards.faults import HoldingExecutor
from tests.scheduler.watching import START, Heard, answer, at, nothing, stop

MINUTE = timedelta(minutes=1)
A_WHILE = 2 * MINUTE


class PollingScheduler(VirtualScheduler):
    """In virtual time nobody else works, so a store is not polled; here somebody else does."""

    def _new_engine(self, paused: bool) -> Engine:
        engine = super()._new_engine(paused)
        engine.polls = True
        return engine


class Cluster:
    """Schedulers on one file, one after the other; those that crash go on existing, and nobody lets their time pass any more."""

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder / 'jobs.sqlite'}"
        self.now = START
        self.started: list[VirtualScheduler] = []

    def boot(self, executor: Any = None, **options: Any) -> tuple[VirtualScheduler, Heard]:
        """One more scheduler; its jobs run inline, unless it is given another executor."""
        scheduler = PollingScheduler(
            start=self.now,
            jobstores={"default": SQLAlchemyJobStore(self.url)},
            executors={"default": executor or DebugExecutor()},
            job_defaults={"misfire_grace_time": None},
            **options,
        )
        heard = Heard(scheduler)
        scheduler.start()
        self.started.append(scheduler)
        return scheduler, heard

    def advance(self, scheduler: VirtualScheduler, duration: timedelta) -> None:
        scheduler.advance(duration)
        self.now = scheduler.now

    def crash(self, **job: Any) -> tuple[VirtualScheduler, HoldingExecutor]:
        """A scheduler that has claimed a run of this job, "x", at 60 s, and is not heard of any more."""
        executor = HoldingExecutor()
        scheduler, _ = self.boot(executor)
        scheduler.add_job(**{"func": answer, "args": ["ran"], "id": "x", **job})
        self.advance(scheduler, MINUTE)
        assert len(executor.held) == 1
        return scheduler, executor


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path)
    with ExitStack() as stack:
        yield cluster
        for scheduler in cluster.started:
            for executor in scheduler._executors.values():
                if isinstance(executor, HoldingExecutor):
                    stack.callback(executor.release)
            stack.callback(stop, scheduler)


ONCE: dict[str, Any] = {"trigger": "date", "run_date": at(60)}
EVERY_MINUTE: dict[str, Any] = {"trigger": "interval", "minutes": 1}


def test_a_run_is_lost_when_its_lease_is_over_and_not_before(cluster: Cluster) -> None:
    cluster.crash(**ONCE)
    scheduler, heard = cluster.boot()
    cluster.advance(scheduler, timedelta(seconds=34))  # the lease, and five seconds
    assert (scheduler.get_lost_runs(), heard.of(EVENT_JOB_LOST)) == ([], [])
    cluster.advance(scheduler, timedelta(seconds=6))
    assert len(scheduler.get_lost_runs()) == 1
    cluster.advance(scheduler, A_WHILE)
    (event,) = heard.of(EVENT_JOB_LOST)
    assert isinstance(event, RunEvent)
    assert (event.job_id, event.jobstore, event.scheduled_run_time) == ("x", "default", at(60))
    assert not heard.of(EVENT_JOB_EXECUTED)


def test_what_is_told_and_listed_of_it(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    crashed, _ = cluster.crash(**EVERY_MINUTE)
    scheduler, heard = cluster.boot()
    with caplog.at_level("ERROR", "mainspring.scheduler"):
        cluster.advance(scheduler, timedelta(seconds=40))
    assert 'The run of 2026-03-02 12:01:00+00:00 of job "x" (attempt 1) was lost: ' in caplog.text
    assert "rerun_lost() runs it again, dismiss_lost() lists it no longer" in caplog.text
    (run,) = scheduler.get_lost_runs()
    assert (run.job_id, run.jobstore, run.scheduled_run_times, run.attempt) == ("x", "default", (at(60),), 1)
    assert run.claimed_at == at(60)
    assert crashed._engine is not None
    assert run.owner == crashed._engine.owner.name
    (event,) = heard.of(EVENT_JOB_LOST)
    assert (event.run, event.owner) == (run.run, run.owner)
    assert scheduler.get_lost_runs("default") == [run]
    assert scheduler.get_lost_runs("nope") == []


def test_an_interval_goes_on_beside_it(cluster: Cluster) -> None:
    cluster.crash(**EVERY_MINUTE)
    scheduler, heard = cluster.boot()
    cluster.advance(scheduler, 3 * MINUTE)
    assert heard.seconds("x") == [120, 180, 240]
    assert [run.scheduled_run_times for run in scheduler.get_lost_runs()] == [(at(60),)]
    assert scheduler.get_parked_jobs() == []


def test_a_one_off_stands_parked_instead_of_vanishing(cluster: Cluster) -> None:
    cluster.crash(**ONCE)
    scheduler, heard = cluster.boot()
    cluster.advance(scheduler, A_WHILE)
    (event,) = heard.of(EVENT_JOB_PARKED, "x")
    (parked,) = scheduler.get_parked_jobs()
    assert (parked.job_id, parked.fire_time, parked.reason) == ("x", at(60), event.reason)
    assert parked.reason.startswith("lost")
    (job,) = scheduler.get_jobs()
    assert (job.id, job.next_run_time) == ("x", None)
    assert not heard.of(EVENT_JOB_REMOVED)


def test_dismissing_it(cluster: Cluster) -> None:
    """The one-off ends with it; the interval goes on."""
    cluster.crash(**ONCE)
    scheduler, heard = cluster.boot()
    cluster.advance(scheduler, A_WHILE)
    (run,) = scheduler.get_lost_runs()
    scheduler.dismiss_lost(run)
    assert scheduler.get_lost_runs() == scheduler.get_jobs() == scheduler.get_parked_jobs() == []
    assert len(heard.of(EVENT_JOB_REMOVED, "x")) == 1
    for call in (scheduler.dismiss_lost, scheduler.rerun_lost):
        with pytest.raises(JobLookupError, match="x"):
            call(run)
    cluster.advance(scheduler, A_WHILE)
    assert not heard.of(EVENT_JOB_EXECUTED)


def test_dismissing_one_of_an_interval(cluster: Cluster) -> None:
    cluster.crash(**EVERY_MINUTE)
    scheduler, heard = cluster.boot()
    cluster.advance(scheduler, MINUTE)
    scheduler.dismiss_lost(scheduler.get_lost_runs()[0])
    assert scheduler.get_lost_runs() == []
    cluster.advance(scheduler, MINUTE)
    assert heard.seconds("x") == [120, 180]


@pytest.mark.parametrize("job", [ONCE, EVERY_MINUTE])
def test_running_it_again(cluster: Cluster, job: dict[str, Any]) -> None:
    """At once, whatever the grace says, with the time that it was scheduled for."""
    cluster.crash(**job, misfire_grace_time=1)
    scheduler, heard = cluster.boot()
    cluster.advance(scheduler, timedelta(seconds=50))
    (run,) = scheduler.get_lost_runs()
    scheduler.rerun_lost(run)
    assert scheduler.get_lost_runs() == []
    cluster.advance(scheduler, timedelta(seconds=5))
    (event,) = heard.of(EVENT_JOB_EXECUTED, "x")
    assert (event.retval, event.scheduled_run_time) == ("ran", at(60))
    with pytest.raises(JobLookupError):
        scheduler.rerun_lost(run)
    cluster.advance(scheduler, MINUTE)
    if job is ONCE:
        assert scheduler.get_jobs() == scheduler.get_parked_jobs() == []
        assert len(heard.of(EVENT_JOB_REMOVED, "x")) == 1
    else:
        assert heard.seconds("x") == [60, 120]


@pytest.mark.parametrize("job", [ONCE, EVERY_MINUTE])
def test_it_is_found_if_its_owner_completes_it_after_all(cluster: Cluster, job: dict[str, Any]) -> None:
    """The one-off that stood parked only for that ends."""
    frozen, executor = cluster.crash(**job)
    scheduler, _ = cluster.boot()
    cluster.advance(scheduler, timedelta(seconds=40))
    assert len(scheduler.get_lost_runs()) == 1
    heard = Heard(frozen)
    executor.release()
    frozen.advance(timedelta(seconds=1))
    (event,) = heard.of(EVENT_JOB_FOUND, "x")
    assert event.scheduled_run_time == at(60)
    assert scheduler.get_lost_runs() == []
    assert scheduler.get_parked_jobs() == []
    assert [job.id for job in scheduler.get_jobs()] == ([] if job is ONCE else ["x"])
    assert len(heard.of(EVENT_JOB_EXECUTED, "x")) == 1


def test_a_run_that_was_run_again_is_not_found(cluster: Cluster) -> None:
    frozen, executor = cluster.crash(**ONCE)
    scheduler, heard = cluster.boot()
    cluster.advance(scheduler, A_WHILE)
    scheduler.rerun_lost(scheduler.get_lost_runs()[0])
    cluster.advance(scheduler, MINUTE)
    told = Heard(frozen)
    executor.release()
    frozen.advance(MINUTE)
    assert not told.of(EVENT_JOB_FOUND)
    assert len(heard.of(EVENT_JOB_EXECUTED)) == 1


def test_recovery_rerun_runs_it_again_by_itself(cluster: Cluster) -> None:
    cluster.crash(**ONCE, recovery="rerun", misfire_grace_time=1)
    scheduler, heard = cluster.boot()
    cluster.advance(scheduler, A_WHILE)
    (event,) = heard.of(EVENT_JOB_EXECUTED, "x")
    assert (event.scheduled_run_time, event.retval) == (at(60), "ran")
    assert scheduler.get_lost_runs() == scheduler.get_jobs() == []
    assert not heard.of(EVENT_JOB_LOST | EVENT_JOB_PARKED)


def test_recovery_rerun_gives_up_after_so_many_crashes(cluster: Cluster) -> None:
    cluster.crash(**ONCE, recovery="rerun", max_recoveries=2)
    for _ in range(2):
        scheduler, _ = cluster.boot(HoldingExecutor())
        cluster.advance(scheduler, MINUTE)
    scheduler, heard = cluster.boot()
    cluster.advance(scheduler, A_WHILE)
    assert not heard.of(EVENT_JOB_EXECUTED)
    (parked,) = scheduler.get_parked_jobs()
    assert "it was run again 2 times" in parked.reason
    (run,) = scheduler.get_lost_runs()
    assert (run.attempt, run.scheduled_run_times) == (3, (at(60),))
    scheduler.rerun_lost(run)
    cluster.advance(scheduler, MINUTE)
    assert len(heard.of(EVENT_JOB_EXECUTED, "x")) == 1


def test_what_recovery_was_when_it_was_claimed_counts(cluster: Cluster) -> None:
    cluster.crash(**EVERY_MINUTE, recovery="skip")
    scheduler, heard = cluster.boot()
    scheduler.modify_job("x", recovery="rerun", minutes=60)
    cluster.advance(scheduler, MINUTE)
    assert len(scheduler.get_lost_runs()) == 1
    assert not heard.of(EVENT_JOB_EXECUTED)


def test_a_removed_job_takes_its_lost_runs_along(cluster: Cluster) -> None:
    cluster.crash(**ONCE)
    scheduler, _ = cluster.boot()
    cluster.advance(scheduler, A_WHILE)
    scheduler.remove_job("x")
    assert scheduler.get_lost_runs() == []
    assert scheduler.get_parked_jobs() == []


def test_parked_for_a_loss_it_can_be_rescheduled(cluster: Cluster) -> None:
    cluster.crash(**ONCE)
    scheduler, heard = cluster.boot()
    cluster.advance(scheduler, A_WHILE)
    assert scheduler.resume_job("x") is not None  # a date has no later time: it stays parked
    assert len(scheduler.get_parked_jobs()) == 1
    scheduler.reschedule_job("x", trigger="interval", minutes=1)
    assert scheduler.get_parked_jobs() == []
    cluster.advance(scheduler, MINUTE)
    assert len(heard.of(EVENT_JOB_EXECUTED, "x")) == 1
    assert len(scheduler.get_lost_runs()) == 1  # until somebody has dealt with it


def test_a_lost_run_is_listed_over_a_restart(cluster: Cluster) -> None:
    cluster.crash(**EVERY_MINUTE)
    for times in range(3):
        scheduler, heard = cluster.boot()
        cluster.advance(scheduler, MINUTE)
        assert len(scheduler.get_lost_runs()) == 1
        assert len(heard.of(EVENT_JOB_LOST)) == (times == 0)
        scheduler.shutdown()


def test_a_shutdown_loses_nothing(cluster: Cluster) -> None:
    scheduler, heard = cluster.boot()
    scheduler.add_job(nothing, **EVERY_MINUTE, id="x")
    cluster.advance(scheduler, 2 * MINUTE)
    scheduler.shutdown()
    scheduler, _ = cluster.boot()
    cluster.advance(scheduler, A_WHILE)
    assert scheduler.get_lost_runs() == []
    assert not heard.of(EVENT_JOB_ERROR)


@pytest.mark.parametrize("code", [EVENT_JOB_LOST, EVENT_JOB_FOUND])
def test_a_lost_run_has_the_number_by_which_it_is_known_everywhere(cluster: Cluster, code: int) -> None:
    crashed, executor = cluster.crash(**ONCE)
    (run,) = crashed.get_runs()
    scheduler, heard = cluster.boot()
    cluster.advance(scheduler, A_WHILE)
    (lost,) = scheduler.get_lost_runs()
    assert lost.run_id == run.run_id
    assert [one.run_id for one in scheduler.get_runs()] == [run.run_id]
    if code == EVENT_JOB_FOUND:
        heard = Heard(crashed)
        executor.release()
        crashed.advance(timedelta(seconds=1))
    (event,) = heard.of(code)
    assert (event.run_id, event.attempt) == (run.run_id, 1)
