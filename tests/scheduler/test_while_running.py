"""What becomes of a fire time that comes while the job still runs: skipped, or queued and run once right after; on each kind of store."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from mainspring.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_SUBMITTED,
)
from mainspring.executors.pool import ThreadPoolExecutor
from mainspring.scheduler import decision
from mainspring.scheduler.virtual import VirtualScheduler

from tests.guards.faults import HOOKS, STORES, HoldingExecutor, release_all
from tests.guards.test_jobs_that_call_the_scheduler import hooked
from tests.jobstores.options import Trouble
from tests.scheduler.flaky import EACH_MINUTE, MINUTE, ONCE, SECOND, clean, fails, flaky
from tests.scheduler.watching import TIMEOUT, Heard, at, background, started, virtual

__all__ = ["clean"]  # a fixture


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def scheduler(store: str, tmp_path: Path) -> Iterator[VirtualScheduler]:
    scheduler = virtual(
        jobstores={"default": STORES[store](tmp_path)},
        executors={"default": HoldingExecutor()},
        job_defaults={"misfire_grace_time": None, "while_running": "queue"},
        lease=36_000,  # nobody extends it while virtual time passes in leaps
    )
    with started(scheduler):
        yield scheduler
        release_all(scheduler)


@pytest.fixture
def held(scheduler: VirtualScheduler) -> HoldingExecutor:
    """Runs are over when the test says so."""
    executor = scheduler._executors["default"]
    assert isinstance(executor, HoldingExecutor)
    return executor


def skipped(heard: Heard) -> list[float]:
    """The run times that were given up, in seconds after the start."""
    return heard.seconds("x", EVENT_JOB_MAX_INSTANCES)


def test_it_runs_once_more_right_after(scheduler: VirtualScheduler, held: HoldingExecutor) -> None:
    heard = Heard(scheduler)
    scheduler.add_job(flaky, **EACH_MINUTE, id="x")
    scheduler.advance(130 * SECOND)
    assert len(held.held) == 1
    held.release()
    scheduler.advance(SECOND)
    assert len(held.held) == 1
    held.release()
    scheduler.advance(10 * SECOND)
    assert (heard.seconds("x"), skipped(heard), held.held) == ([60, 120], [], [])
    first, second = heard.of(EVENT_JOB_EXECUTED)
    assert first.run_id != second.run_id
    assert (first.attempt, second.attempt) == (1, 1)
    assert second.late == 11 * SECOND
    assert [event.scheduled_run_time for event in heard.of(EVENT_JOB_SUBMITTED)] == [at(60), at(120)]
    scheduler.advance(MINUTE)
    assert len(held.held) == 1, "the schedule goes on"


def test_at_most_one_waits_and_it_is_the_latest(scheduler: VirtualScheduler, held: HoldingExecutor) -> None:
    heard = Heard(scheduler)
    scheduler.add_job(flaky, **EACH_MINUTE, id="x")
    scheduler.advance(timedelta(seconds=310))
    assert skipped(heard) == [120, 180, 240]
    assert [(run.kind, run.state, run.blocked, run.due) for run in scheduler.get_runs()] == [
        ("schedule", "claimed", False, at(60)),
        ("queued", "waiting", True, at(300)),
    ]
    held.release()
    scheduler.advance(SECOND)
    held.release()
    assert heard.seconds("x") == [60, 300]


def test_with_room_for_two(scheduler: VirtualScheduler, held: HoldingExecutor) -> None:
    heard = Heard(scheduler)
    scheduler.add_job(flaky, **EACH_MINUTE, id="x", max_instances=2)
    scheduler.advance(250 * SECOND)
    assert (len(held.held), skipped(heard)) == (2, [180])
    first, held.held = held.held[:1], held.held[1:]
    rest, held.held = held.held, first
    held.release()
    held.held = rest
    scheduler.advance(SECOND)
    assert len(held.held) == 2
    held.release()
    assert heard.seconds("x") == [60, 120, 240]


def test_a_backlog_without_coalesce_is_queued_as_its_last_one(
    scheduler: VirtualScheduler, held: HoldingExecutor
) -> None:
    heard = Heard(scheduler)
    scheduler.add_job(flaky, **EACH_MINUTE, id="x", coalesce=False)
    scheduler.advance(70 * SECOND)
    scheduler.pause()
    scheduler.advance(240 * SECOND)
    scheduler.resume()
    scheduler.advance(SECOND)
    (event,) = heard.of(EVENT_JOB_MAX_INSTANCES)
    assert list(event.scheduled_run_times) == [at(120), at(180), at(240)]
    held.release()
    scheduler.advance(SECOND)
    held.release()
    assert heard.seconds("x") == [60, 300]


def test_the_grace_is_not_for_it(scheduler: VirtualScheduler, held: HoldingExecutor) -> None:
    heard = Heard(scheduler)
    scheduler.add_job(flaky, **EACH_MINUTE, id="x", misfire_grace_time=1)
    scheduler.advance(175 * SECOND)
    held.release()
    scheduler.advance(SECOND)
    held.release()
    # The first was held in its executor for longer than its grace; the queued one waited for that, as it was meant to.
    assert heard.seconds("x") == [120]


def test_a_one_off_that_waits_is_there_until_it_has_run(
    scheduler: VirtualScheduler, held: HoldingExecutor
) -> None:
    heard = Heard(scheduler)
    scheduler.add_job(flaky, **ONCE, id="x").run_now()
    scheduler.advance(70 * SECOND)
    (job,) = scheduler.get_jobs()
    assert job.next_run_time is None
    held.release()
    scheduler.advance(SECOND)
    held.release()
    scheduler.advance(SECOND)
    assert (heard.seconds("x"), skipped(heard), scheduler.get_jobs()) == ([0, 60], [], [])


def test_pause_holds_it_and_resume_lets_it_go(scheduler: VirtualScheduler, held: HoldingExecutor) -> None:
    scheduler.add_job(flaky, **EACH_MINUTE, id="x")
    scheduler.advance(130 * SECOND)
    scheduler.pause_job("x")
    held.release()
    scheduler.advance(timedelta(hours=1))
    assert held.held == []
    assert [(run.kind, run.blocked) for run in scheduler.get_runs()] == [("queued", True)]
    scheduler.resume_job("x")
    scheduler.advance(SECOND)
    assert len(held.held) == 1


def test_remove_drops_it(scheduler: VirtualScheduler, held: HoldingExecutor) -> None:
    scheduler.add_job(flaky, **EACH_MINUTE, id="x")
    scheduler.advance(130 * SECOND)
    scheduler.remove_job("x")
    held.release()
    scheduler.advance(timedelta(hours=1))
    assert (held.held, scheduler.get_runs()) == ([], [])


def test_modify_changes_what_comes(scheduler: VirtualScheduler, held: HoldingExecutor) -> None:
    heard = Heard(scheduler)
    scheduler.add_job(flaky, **EACH_MINUTE, id="x", while_running="skip")
    scheduler.advance(130 * SECOND)
    assert (skipped(heard), len(scheduler.get_runs())) == ([120], 1)
    scheduler.modify_job("x", while_running="queue")
    scheduler.advance(MINUTE)
    assert [run.kind for run in scheduler.get_runs()] == ["schedule", "queued"]
    scheduler.modify_job("x", while_running="skip")
    scheduler.advance(MINUTE)
    assert skipped(heard) == [120, 240]
    held.release()
    scheduler.advance(SECOND)
    held.release()
    assert heard.seconds("x") == [60, 180], "what waits has been promised"


def test_more_instances_let_it_go(scheduler: VirtualScheduler, held: HoldingExecutor) -> None:
    scheduler.add_job(flaky, **EACH_MINUTE, id="x")
    scheduler.advance(130 * SECOND)
    scheduler.modify_job("x", max_instances=2)
    scheduler.advance(SECOND)
    assert len(held.held) == 2


def test_queued_behind_a_run_with_retries(scheduler: VirtualScheduler, held: HoldingExecutor) -> None:
    """The failed run waits for its delay, and the queued one goes first."""
    heard = Heard(scheduler)
    fails("x", Trouble(), "ok", "ok")
    scheduler.add_job(flaky, **EACH_MINUTE, id="x", max_retries=1, retry_delay=30)
    scheduler.advance(130 * SECOND)
    for _ in range(4):
        held.release()
        scheduler.advance(15 * SECOND)
    told = heard.of(EVENT_JOB_ERROR | EVENT_JOB_EXECUTED, "x")
    assert [((event.scheduled_run_time - at(0)).seconds, event.attempt) for event in told][:3] == [
        (60, 1),
        (120, 1),
        (60, 2),
    ]


def test_in_threads(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queued, queue = Event(), decision._queued

    def noticed(*arguments: Any) -> Any:
        queued.set()
        return queue(*arguments)

    monkeypatch.setattr(decision, "_queued", noticed)
    scheduler, clock = background(
        jobstores={"default": STORES[store](tmp_path)},
        executors={"default": ThreadPoolExecutor(5)},
        job_defaults={"misfire_grace_time": None, "while_running": "queue"},
    )
    heard = Heard(scheduler)
    begun: list[Event] = [Event(), Event()]
    ends: list[Event] = [Event(), Event()]
    runs = iter(range(2))

    def run() -> Any:
        number = next(runs)
        begun[number].set()
        return ends[number].wait(TIMEOUT)

    HOOKS["x"] = run
    try:
        with started(scheduler):
            scheduler.add_job(hooked, "interval", minutes=1, id="x", args=["x"])
            clock.advance(MINUTE)
            assert begun[0].wait(TIMEOUT)
            clock.advance(MINUTE)
            assert queued.wait(TIMEOUT)
            ends[0].set()
            heard.wait(EVENT_JOB_EXECUTED, "x", 1)
            clock.advance(SECOND)
            assert begun[1].wait(TIMEOUT)
            ends[1].set()
            heard.wait(EVENT_JOB_EXECUTED, "x", 2)
        assert heard.seconds("x") == [60, 120]
        assert not heard.of(EVENT_JOB_MAX_INSTANCES)
    finally:
        HOOKS.clear()
