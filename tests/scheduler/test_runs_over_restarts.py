"""Retries, queued runs and runs that were asked for, on an SQLite file: they outlast a restart and a crash, and any scheduler takes them."""

from datetime import timedelta
from typing import Any

import pytest
from mainspring.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_LOST,
    EVENT_JOB_PARKED,
    EVENT_JOB_REMOVED,
)
from mainspring.executors.debug import DebugExecutor
from mainspring.scheduler.virtual import VirtualScheduler

from tests.guards.faults import HoldingExecutor
from tests.jobstores.options import OTHER_OPTIONS, Trouble
from tests.scheduler.flaky import CALLS, EACH_MINUTE, MINUTE, ONCE, SECOND, clean, fails, flaky
from tests.scheduler.test_lost_runs import Cluster, cluster
from tests.scheduler.watching import Heard, at, nothing

__all__ = ["clean", "cluster"]  # fixtures


def failed_once(cluster: Cluster, **options: Any) -> VirtualScheduler:
    """A scheduler whose one-off "x" has failed at 60 s; its next attempt is due at 70 s, of three at most."""
    scheduler, _ = cluster.boot()
    fails("x", Trouble("first"))
    scheduler.add_job(flaky, **ONCE, id="x", **{"max_retries": 2, **options})
    cluster.advance(scheduler, 65 * SECOND)
    assert CALLS == ["x"]
    return scheduler


def attempts(heard: Heard) -> list[tuple[int, int]]:
    return [(event.code, event.attempt) for event in heard.of(EVENT_JOB_ERROR | EVENT_JOB_EXECUTED, "x")]


# -- retries -------------------------------------------------------------------------------------------------------


def test_a_retry_survives_a_restart(cluster: Cluster) -> None:
    failed_once(cluster).shutdown()
    scheduler, heard = cluster.boot()
    (job,) = scheduler.get_jobs()
    (run,) = scheduler.get_runs()
    assert (job.id, run.kind, run.attempt, run.due) == ("x", "retry", 2, at(70))
    cluster.advance(scheduler, 4 * SECOND)
    assert not attempts(heard)
    cluster.advance(scheduler, 2 * SECOND)
    assert attempts(heard) == [(EVENT_JOB_EXECUTED, 2)]
    (event,) = heard.of(EVENT_JOB_EXECUTED)
    assert (event.run_id, event.scheduled_run_time) == (run.run_id, at(60))
    cluster.advance(scheduler, SECOND)
    assert len(heard.of(EVENT_JOB_REMOVED, "x")) == 1
    assert scheduler.get_jobs() == []


def test_a_retry_that_came_due_while_nobody_was_there_is_run(cluster: Cluster) -> None:
    failed_once(cluster, misfire_grace_time=1).shutdown()
    cluster.now += timedelta(days=2)
    scheduler, heard = cluster.boot()
    cluster.advance(scheduler, SECOND)
    assert attempts(heard) == [(EVENT_JOB_EXECUTED, 2)]


def test_a_retry_is_taken_by_another_scheduler_with_what_is_left(cluster: Cluster) -> None:
    failed_once(cluster)  # it is not heard of any more
    scheduler, heard = cluster.boot()
    fails("x", Trouble("second"), Trouble("third"))
    cluster.advance(scheduler, MINUTE)
    assert attempts(heard) == [(EVENT_JOB_ERROR, 2), (EVENT_JOB_ERROR, 3)]
    assert [event.retry_at is None for event in heard.of(EVENT_JOB_ERROR)] == [False, True]
    assert scheduler.get_jobs() == []


def test_attempts_go_from_one_scheduler_to_the_other(cluster: Cluster) -> None:
    first = failed_once(cluster, max_retries=3)
    second, heard = cluster.boot()
    told = Heard(first)
    fails("x", Trouble(), Trouble())
    cluster.advance(second, 10 * SECOND)  # 75 s: it has taken the second attempt
    first.advance_to(at(85))  # and the other one the third
    second.advance_to(at(120))
    assert attempts(heard) == [(EVENT_JOB_ERROR, 2), (EVENT_JOB_EXECUTED, 4)]
    assert attempts(told) == [(EVENT_JOB_ERROR, 3)]


def test_it_is_kept_over_a_restart_when_it_has_failed(cluster: Cluster) -> None:
    scheduler = failed_once(cluster, keep_failed=True, max_retries=0)
    reason = scheduler.get_parked_jobs()[0].reason
    assert "first" in reason
    scheduler.shutdown()
    scheduler, heard = cluster.boot()
    (parked,) = scheduler.get_parked_jobs()
    assert (parked.job_id, parked.reason) == ("x", reason)
    cluster.advance(scheduler, MINUTE)
    assert not attempts(heard)
    scheduler.run_job_now("x")
    cluster.advance(scheduler, SECOND)
    assert attempts(heard) == [(EVENT_JOB_EXECUTED, 1)]


@pytest.mark.parametrize("serializer", ["json", "pickle"])
def test_the_options_outlast_a_restart(cluster: Cluster, serializer: str) -> None:
    scheduler, _ = cluster.boot()
    scheduler.add_job(nothing, **EACH_MINUTE, id="x", **OTHER_OPTIONS)
    scheduler.add_job(nothing, **EACH_MINUTE, id="plain")
    scheduler.shutdown()
    scheduler, _ = cluster.boot()
    job, plain = scheduler.get_job("x"), scheduler.get_job("plain")
    assert job is not None
    assert plain is not None
    assert {name: getattr(job, name) for name in OTHER_OPTIONS} == OTHER_OPTIONS
    assert plain._policy.options() == {}


# -- recovery ------------------------------------------------------------------------------------------------------


def test_a_recovered_run_has_the_retries_of_its_job(cluster: Cluster) -> None:
    cluster.crash(**ONCE, func=flaky, args=["x"], recovery="rerun", max_retries=1)
    scheduler, heard = cluster.boot()
    fails("x", Trouble(), Trouble())
    cluster.advance(scheduler, 2 * MINUTE)
    assert attempts(heard) == [(EVENT_JOB_ERROR, 2), (EVENT_JOB_ERROR, 3)]
    assert len({event.run_id for event in heard.of(EVENT_JOB_ERROR)}) == 1
    assert scheduler.get_jobs() == scheduler.get_lost_runs() == []


def test_a_retry_that_is_recovered_is_the_same_one(cluster: Cluster) -> None:
    """The failure and the crash each cost what they cost."""
    failed_once(cluster, max_retries=1, recovery="rerun")
    dying, _ = cluster.boot(HoldingExecutor())
    cluster.advance(dying, 10 * SECOND)
    (run,) = dying.get_runs()
    assert (run.kind, run.attempt, run.state) == ("retry", 2, "claimed")
    fails("x", Trouble())
    scheduler, heard = cluster.boot()
    cluster.advance(scheduler, 2 * MINUTE)
    assert attempts(heard) == [(EVENT_JOB_ERROR, 3)]
    assert heard.of(EVENT_JOB_ERROR)[0].run_id == run.run_id
    assert scheduler.get_jobs() == []


def test_a_lost_retry_parks_its_one_off(cluster: Cluster) -> None:
    failed_once(cluster)
    dying, _ = cluster.boot(HoldingExecutor())
    cluster.advance(dying, 10 * SECOND)
    scheduler, heard = cluster.boot()
    cluster.advance(scheduler, 2 * MINUTE)
    assert len(heard.of(EVENT_JOB_LOST, "x")) == len(heard.of(EVENT_JOB_PARKED, "x")) == 1
    (lost,) = scheduler.get_lost_runs()
    assert lost.attempt == 2
    fails("x", Trouble())
    scheduler.rerun_lost(lost)
    cluster.advance(scheduler, MINUTE)
    assert attempts(heard) == [(EVENT_JOB_ERROR, 3), (EVENT_JOB_EXECUTED, 4)]
    assert scheduler.get_jobs() == []


def test_a_job_that_kills_its_process_does_not_circle_for_ever(cluster: Cluster) -> None:
    """However many retries it has: they are for failures."""
    cluster.crash(**EACH_MINUTE, recovery="rerun", max_recoveries=2, max_retries=50)
    for _ in range(2):
        scheduler, _ = cluster.boot(HoldingExecutor())
        cluster.advance(scheduler, 55 * SECOND)
        assert max(run.attempt for run in scheduler.get_runs()) > 1
    scheduler, heard = cluster.boot()
    cluster.advance(scheduler, timedelta(minutes=10))
    (parked,) = scheduler.get_parked_jobs()
    assert parked.reason == "given up: a run was recovered 2 times, and its owner died again"
    assert [event.reason for event in heard.of(EVENT_JOB_PARKED, "x")] == [parked.reason]
    assert not heard.of(EVENT_JOB_EXECUTED)


def test_max_recoveries_comes_from_the_defaults(cluster: Cluster) -> None:
    executor = HoldingExecutor()
    scheduler = VirtualScheduler(
        start=cluster.now,
        job_defaults={"recovery": "rerun", "max_recoveries": 0},
        jobstores={"default": {"type": "sqlalchemy", "url": cluster.url}},
        executors={"default": executor},
    )
    scheduler.start()
    cluster.started.append(scheduler)
    scheduler.add_job(nothing, **EACH_MINUTE, id="x")
    cluster.advance(scheduler, MINUTE)
    assert len(executor.held) == 1
    scheduler, heard = cluster.boot()
    cluster.advance(scheduler, MINUTE)
    assert scheduler.get_parked_jobs()[0].reason == "given up: a run's owner died, and max_recoveries is 0"
    assert not heard.of(EVENT_JOB_EXECUTED)


# -- runs that wait ------------------------------------------------------------------------------------------------


def test_a_queued_run_survives_the_process_it_waited_for(cluster: Cluster) -> None:
    dying, _ = cluster.crash(trigger="interval", seconds=50, func=flaky, args=["x"], while_running="queue")
    cluster.advance(dying, 45 * SECOND)
    assert [(run.kind, run.state, run.due) for run in dying.get_runs()] == [
        ("schedule", "claimed", at(50)),
        ("queued", "waiting", at(100)),
    ]
    scheduler, heard = cluster.boot()
    cluster.advance(scheduler, 40 * SECOND)
    (event,) = heard.of(EVENT_JOB_EXECUTED, "x")
    assert event.scheduled_run_time == at(100)
    assert len(heard.of(EVENT_JOB_LOST, "x")) == 1


def test_a_job_is_asked_to_run_by_a_scheduler_that_has_not_its_executor(cluster: Cluster) -> None:
    runner, heard = cluster.boot()
    runner.add_executor(DebugExecutor(), "elsewhere")
    runner.add_job(flaky, **EACH_MINUTE, id="x", executor="elsewhere", next_run_time=at(36_000))
    asking, _ = cluster.boot()
    run = asking.run_job_now("x")
    assert (run.state, run.kind, run.owner, run.here) == ("waiting", "now", None, False)
    cluster.advance(asking, 2 * SECOND)
    assert not heard.of(EVENT_JOB_EXECUTED)
    runner.advance_to(at(3))
    (event,) = heard.of(EVENT_JOB_EXECUTED, "x")
    assert (event.run_id, event.scheduled_run_time) == (run.run_id, at(0))
    job = asking.get_job("x")
    assert job is not None
    assert job.next_run_time == at(36_000), "its schedule is as it was"


def test_a_run_that_was_asked_for_survives_a_restart(cluster: Cluster) -> None:
    scheduler, _ = cluster.boot()
    scheduler.add_job(flaky, **EACH_MINUTE, id="x", next_run_time=None)
    scheduler.pause()
    run = scheduler.run_job_now("x")
    scheduler.shutdown()
    cluster.now += timedelta(hours=3)
    scheduler, heard = cluster.boot()
    cluster.advance(scheduler, SECOND)
    (event,) = heard.of(EVENT_JOB_EXECUTED, "x")
    assert (event.run_id, event.scheduled_run_time) == (run.run_id, at(0))


def test_the_open_runs_of_all_processes_are_shown(cluster: Cluster) -> None:
    first, executor = cluster.crash(**EACH_MINUTE, max_instances=2)
    scheduler, _ = cluster.boot()
    assert first._engine is not None
    (theirs,) = scheduler.get_runs()
    (own,) = first.get_runs()
    assert (theirs.state, theirs.owner, theirs.here) == ("claimed", first._engine.owner.name, False)
    assert (own.run_id, own.here) == (theirs.run_id, True)
    assert (theirs.claimed_at, theirs.lease_until) == (at(60), at(90))
    executor.release()
    # It has ended here, and that is on its way to the store; others do not know yet.
    assert (first.get_runs(), len(scheduler.get_runs())) == ([], 1)
    first.advance(SECOND)
    assert scheduler.get_runs() == []
