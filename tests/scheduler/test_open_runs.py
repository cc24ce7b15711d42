"""What `get_runs()` shows: the open runs of all jobs, in each state, as their stores have them."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from mainspring.jobstores.memory import MemoryJobStore
from mainspring.scheduler.virtual import VirtualScheduler

from tests.guards.faults import STORES, HoldingExecutor, release_all
from tests.jobstores.options import Trouble
from tests.scheduler.flaky import EACH_MINUTE, MINUTE, ONCE, SECOND, clean, fails, flaky
from tests.scheduler.test_lost_runs import Cluster, cluster
from tests.scheduler.watching import at, nothing, started, virtual

__all__ = ["clean", "cluster"]  # fixtures


@pytest.fixture(params=STORES)
def scheduler(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VirtualScheduler]:
    scheduler = virtual(
        jobstores={"default": STORES[request.param](tmp_path), "more": MemoryJobStore()},
        executors={"default": HoldingExecutor()},
        job_defaults={"misfire_grace_time": None},
    )
    with started(scheduler):
        yield scheduler
        release_all(scheduler)


def held(scheduler: VirtualScheduler) -> HoldingExecutor:
    executor = scheduler._executors["default"]
    assert isinstance(executor, HoldingExecutor)
    return executor


def test_nothing_is_open(scheduler: VirtualScheduler) -> None:
    assert scheduler.get_runs() == []
    scheduler.add_job(nothing, **EACH_MINUTE, id="x")
    scheduler.advance(59 * SECOND)
    assert scheduler.get_runs() == [], "a fire time that is to come is no run"


def test_a_run_that_goes_on(scheduler: VirtualScheduler) -> None:
    scheduler.add_job(nothing, **EACH_MINUTE, id="x")
    scheduler.advance(65 * SECOND)
    (run,) = scheduler.get_runs()
    assert (run.job_id, run.jobstore, run.kind, run.state) == ("x", "default", "schedule", "claimed")
    assert (run.attempt, run.scheduled_run_times, run.due, run.blocked) == (1, (at(60),), at(60), False)
    assert scheduler._engine is not None
    assert (run.owner, run.claimed_at, run.here) == (scheduler._engine.owner.name, at(60), True)
    shared = scheduler._engine.ports()[0].shared
    assert (run.lease_until is None) == (not shared)
    held(scheduler).release()
    assert scheduler.get_runs() == [], "it has ended, though that is not written yet"
    scheduler.advance(SECOND)
    assert scheduler.get_runs() == []


def test_the_run_of_a_one_off_that_is_gone_for_people(scheduler: VirtualScheduler) -> None:
    scheduler.add_job(nothing, **ONCE, id="x")
    scheduler.advance(65 * SECOND)
    assert scheduler.get_jobs() == []
    assert [run.job_id for run in scheduler.get_runs()] == ["x"]


def test_several_run_times_are_one_run(scheduler: VirtualScheduler) -> None:
    scheduler.add_job(nothing, **EACH_MINUTE, id="x", coalesce=False)
    scheduler.pause()
    scheduler.advance(130 * SECOND)
    scheduler.resume()
    scheduler.advance(SECOND)
    assert [run.scheduled_run_times for run in scheduler.get_runs()] == [(at(60), at(120))]


def test_all_kinds_by_their_times(scheduler: VirtualScheduler) -> None:
    fails("failing", Trouble())
    scheduler.add_job(flaky, **ONCE, id="failing", args=["failing"], max_retries=1, retry_delay=40)
    scheduler.advance(MINUTE)
    held(scheduler).release()
    scheduler.add_job(nothing, "interval", seconds=10, id="queued", while_running="queue")
    scheduler.add_job(nothing, **EACH_MINUTE, id="now", jobstore="more")
    scheduler.advance(15 * SECOND)
    scheduler.advance(10 * SECOND)
    scheduler.pause()
    scheduler.run_job_now("now")
    assert [(run.job_id, run.kind, run.state, run.blocked, run.due) for run in scheduler.get_runs()] == [
        ("queued", "schedule", "claimed", False, at(70)),
        ("queued", "queued", "waiting", True, at(80)),
        ("now", "now", "waiting", False, at(85)),
        ("failing", "retry", "waiting", False, at(100)),
    ]
    assert [run.job_id for run in scheduler.get_runs("more")] == ["now"]
    assert [run.job_id for run in scheduler.get_runs("default")] == ["queued", "queued", "failing"]
    assert scheduler.get_runs("nowhere") == []
    retry = scheduler.get_runs()[-1]
    assert (retry.attempt, retry.scheduled_run_times, retry.owner, retry.claimed_at) == (
        2,
        (at(60),),
        None,
        None,
    )


def test_a_run_has_one_number_from_its_wish_to_its_last_attempt(scheduler: VirtualScheduler) -> None:
    fails("x", Trouble(), Trouble())
    scheduler.add_job(flaky, **EACH_MINUTE, id="x", next_run_time=None, max_retries=2)
    numbers = {scheduler.run_job_now("x").run_id}
    for _ in range(3):
        numbers |= {run.run_id for run in scheduler.get_runs()}
        scheduler.advance(SECOND)
        numbers |= {run.run_id for run in scheduler.get_runs()}
        held(scheduler).release()
        scheduler.resume_job("x")
        scheduler.modify_job("x", next_run_time=at(36_000))
        scheduler.advance(10 * SECOND)
    assert len(numbers) == 1


def test_what_was_lost_is_shown_until_it_is_dismissed(cluster: Cluster) -> None:
    crashed, _ = cluster.crash(**EACH_MINUTE)
    scheduler, _ = cluster.boot()
    cluster.advance(scheduler, timedelta(seconds=50))
    (run,) = scheduler.get_runs()
    assert crashed._engine is not None
    assert (run.state, run.owner, run.here) == ("lost", crashed._engine.owner.name, False)
    (lost,) = scheduler.get_lost_runs()
    scheduler.dismiss_lost(lost)
    assert scheduler.get_runs() == []
