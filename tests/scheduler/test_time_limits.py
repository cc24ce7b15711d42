"""Runs that are over their time limit, end to end: one event of its own, tried again like a failure, kept like one."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from mainspring.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_PARKED,
    EVENT_JOB_SUBMITTED,
    EVENT_JOB_TIMEOUT,
    ManualClock,
)
from mainspring.executors.errors import JobTimeoutError
from mainspring.executors.pool import ThreadPoolExecutor
from mainspring.scheduler.background import BackgroundScheduler
from mainspring.scheduler.ticket import Ticket
from mainspring.triggers.base import BaseTrigger

from tests.guards.faults import HOOKS, STORES
from tests.guards.test_jobs_that_call_the_scheduler import hooked
from tests.scheduler.flaky import EACH_MINUTE, ENDS, MINUTE, ONCE, SECOND
from tests.scheduler.watching import TIMEOUT, Heard, at, background, started


class Stage:
    """A scheduler in threads, and a job "x" whose first calls hang until the test lets them go; the others return at once."""

    def __init__(self, store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.scheduler: BackgroundScheduler
        self.clock: ManualClock
        self.scheduler, self.clock = background(
            jobstores={"default": store},
            executors={"default": ThreadPoolExecutor(5)},
            job_defaults={"misfire_grace_time": None, "timeout": 30},
        )
        self.heard = Heard(self.scheduler)
        self.begun, self.go_on, self.ended = ([Event() for _ in range(5)] for _ in range(3))
        self.hanging = 5
        self.calls, ends = iter(range(5)), iter(self.ended)
        HOOKS["x"] = self.run
        ended = Ticket.ended

        def noticed(ticket: Ticket, error: BaseException | None) -> None:
            ended(ticket, error)
            next(ends).set()

        monkeypatch.setattr(Ticket, "ended", noticed)

    def run(self) -> Any:
        number = next(self.calls)
        self.begun[number].set()
        return number if number >= self.hanging else self.go_on[number].wait(TIMEOUT)

    def wait_for_call(self, number: int) -> None:
        assert self.begun[number].wait(TIMEOUT)

    def time_out(self, number: int) -> Any:
        """Let the call be over its time; its event."""
        self.wait_for_call(number)
        self.clock.advance(31 * SECOND)
        return self.heard.wait(EVENT_JOB_TIMEOUT, "x", number + 1)

    def let_go(self, number: int) -> None:
        """The call returns after all, and some time passes behind that."""
        self.go_on[number].set()
        assert self.ended[number].wait(TIMEOUT)
        self.clock.advance(10 * SECOND)


@pytest.fixture(params=STORES)
def stage(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    stage = Stage(STORES[request.param](tmp_path), monkeypatch)
    with started(stage.scheduler):
        yield stage
        for event in stage.go_on:
            event.set()
    HOOKS.clear()


def add(stage: Stage, **options: Any) -> None:
    trigger = {} if "trigger" in options else ONCE
    stage.scheduler.add_job(hooked, id="x", args=["x"], **{**trigger, **options})
    stage.clock.advance(MINUTE)


def test_it_has_an_event_of_its_own(stage: Stage) -> None:
    add(stage)
    event = stage.time_out(0)
    assert isinstance(event.exception, JobTimeoutError)
    assert isinstance(event.exception, TimeoutError)
    assert (event.scheduled_run_time, event.attempt, event.is_last_attempt) == (at(60), 1, True)
    assert event.retval is None
    stage.let_go(0)
    assert [each.code for each in stage.heard.of(ENDS)] == [EVENT_JOB_TIMEOUT]


def test_that_which_counts_is_the_limit_that_it_began_with(stage: Stage) -> None:
    """A job in memory is the object that the edit changes."""
    stage.hanging = 1
    add(stage, max_retries=1)
    stage.wait_for_call(0)
    stage.scheduler.modify_job("x", timeout=None)
    event = stage.time_out(0)
    assert isinstance(event.exception, JobTimeoutError)
    assert event.exception.limit == 30
    assert event.retry_at is not None


def test_it_has_its_event_though_its_trigger_cannot_show_itself(stage: Stage) -> None:
    add(stage, trigger=Shy())
    event = stage.time_out(0)
    assert 'Job "hooked" has reached its time limit' in str(event.exception)


class Shy(BaseTrigger):
    """Once, after a minute; and it has a fault."""

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        return at(60) if previous_fire_time is None else None

    def __str__(self) -> str:
        raise RuntimeError("it cannot be shown")


def test_it_is_tried_again_like_a_failure(stage: Stage) -> None:
    stage.hanging = 1
    add(stage, max_retries=1, retry_delay=5)
    event = stage.time_out(0)
    assert event.retry_at is not None
    assert not event.is_last_attempt
    # A thread cannot be ended. Until the call returns the run goes on, and the next attempt follows then.
    stage.clock.advance(MINUTE)
    assert [(run.state, run.attempt) for run in stage.scheduler.get_runs()] == [("claimed", 1)]
    stage.let_go(0)
    done = stage.heard.wait(EVENT_JOB_EXECUTED, "x")
    assert (done.attempt, done.retval, done.run_id) == (2, 1, event.run_id)
    assert not stage.heard.of(EVENT_JOB_ERROR)


def test_what_a_time_out_is_to_retry_on(stage: Stage) -> None:
    add(stage, max_retries=1, retry_on=[KeyError])
    assert stage.time_out(0).is_last_attempt


def test_it_is_kept_like_a_failure(stage: Stage) -> None:
    add(stage, keep_failed=True)
    stage.time_out(0)
    stage.let_go(0)
    event = stage.heard.wait(EVENT_JOB_PARKED, "x")
    assert event.reason.startswith("failed: JobTimeoutError")


def test_the_limit_counts_for_each_attempt(stage: Stage) -> None:
    stage.hanging = 2
    add(stage, max_retries=2, retry_delay=5)
    first = stage.time_out(0)
    stage.let_go(0)
    second = stage.time_out(1)
    assert (first.attempt, second.attempt) == (1, 2)
    stage.let_go(1)
    assert stage.heard.wait(EVENT_JOB_EXECUTED, "x").attempt == 3
    assert len(stage.heard.of(EVENT_JOB_SUBMITTED, "x")) == 3


def test_in_time_it_is_not_heard_of(stage: Stage) -> None:
    add(stage, **EACH_MINUTE)
    stage.wait_for_call(0)
    stage.hanging = 1
    stage.clock.advance(29 * SECOND)
    stage.let_go(0)
    stage.heard.wait(EVENT_JOB_EXECUTED, "x")
    stage.clock.advance(MINUTE)
    stage.heard.wait(EVENT_JOB_EXECUTED, "x", 2)
    assert not stage.heard.of(EVENT_JOB_TIMEOUT)


@pytest.mark.parametrize("stage", ["memory"], indirect=True)
def test_a_call_that_returns_when_the_scheduler_was_started_again_makes_room_at_once(stage: Stage) -> None:
    stage.hanging = 1
    add(stage, max_retries=1, retry_delay=0)
    stage.time_out(0)
    stage.scheduler.shutdown(wait=False)
    stage.scheduler.start()
    stage.clock.advance(SECOND)
    stage.go_on[0].set()
    assert stage.heard.wait(EVENT_JOB_EXECUTED, "x").attempt == 2
