"""A listener that raises harms nobody: not the loop, not the run, not the listeners behind it, not the call that it was told of."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from mainspring.events import (
    EVENT_JOB_ADDED,
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_SUBMITTED,
    EVENT_SCHEDULER_SHUTDOWN,
    EVENT_SCHEDULER_STARTED,
)

from tests.guards.faults import STORES, HoldingExecutor, InjectedFault, UnspeakableFault
from tests.guards.test_jobs_that_call_the_scheduler import join_the_keepers
from tests.scheduler.watching import Heard, at, background, boom, nothing, started, virtual, within_time

MINUTE = timedelta(minutes=1)


def test_everything_goes_on_when_every_event_meets_one_that_raises(caplog: pytest.LogCaptureFixture) -> None:
    def fail(event: Any) -> None:
        raise InjectedFault(f"the listener fails at {event.code}")

    scheduler = virtual()
    scheduler.add_listener(fail)
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.add_job(nothing, "interval", minutes=1, id="x")
        scheduler.add_job(boom, "interval", minutes=1, id="y")
        scheduler.add_job(nothing, "interval", minutes=1, id="z", jobstore="default", executor="nobody's")
        scheduler.advance(timedelta(minutes=2))
        scheduler.pause_job("x")
        scheduler.resume_job("x")
        scheduler.modify_job("x", name="changed")
        scheduler.reschedule_job("x", trigger="interval", minutes=1)
        scheduler.add_executor("debug", "more")
        scheduler.remove_executor("more")
        scheduler.add_jobstore("memory", "more")
        scheduler.remove_jobstore("more")
        scheduler.pause()
        scheduler.resume()
        scheduler.advance(MINUTE)
        scheduler.remove_job("y")
        scheduler.remove_all_jobs()
    assert heard.seconds("x") == [60, 120, 180]
    assert heard.seconds("y", EVENT_JOB_ERROR) == [60, 120, 180]
    assert heard.of(EVENT_SCHEDULER_STARTED)
    assert heard.codes()[-1] == EVENT_SCHEDULER_SHUTDOWN
    assert caplog.text.count("Error notifying listener") == len(heard.events)


@pytest.mark.parametrize(
    "error", [InjectedFault(), UnspeakableFault(), SystemExit(1), KeyboardInterrupt(), GeneratorExit()]
)
def test_in_the_threads_of_the_scheduler_whatever_it_raises(error: BaseException) -> None:
    """SUBMITTED is published in the loop's thread, EXECUTED in a worker's: both live on."""
    scheduler, clock = background()
    told: list[int] = []

    def fail(event: Any) -> None:
        told.append(event.code)
        raise error

    scheduler.add_listener(fail, EVENT_JOB_SUBMITTED | EVENT_JOB_EXECUTED)
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.add_job(nothing, "interval", minutes=1, id="x")
        for minute in (1, 2, 3):
            clock.advance(MINUTE)
            heard.wait(EVENT_JOB_EXECUTED, "x", minute)
    assert told == [EVENT_JOB_SUBMITTED, EVENT_JOB_EXECUTED] * 3


def test_a_listener_that_is_removed_or_added_by_one() -> None:
    scheduler = virtual()
    calls: list[int] = []
    heard: list[Any] = []

    def once(event: Any) -> None:
        calls.append(event.code)
        scheduler.remove_listener(once)
        scheduler.add_listener(heard.append)

    scheduler.add_listener(once, EVENT_SCHEDULER_STARTED)
    with started(scheduler):
        scheduler.add_job(nothing, "interval", minutes=1)
    assert calls[0] == EVENT_SCHEDULER_STARTED
    assert [event.code for event in heard] == [EVENT_JOB_ADDED, EVENT_SCHEDULER_SHUTDOWN]


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("code", [EVENT_JOB_SUBMITTED, EVENT_JOB_EXECUTED, EVENT_JOB_MAX_INSTANCES])
def test_an_order_to_exit_in_the_middle_of_a_batch_loses_no_run(
    store: str, code: int, tmp_path: Path
) -> None:
    """`sys.exit()` in the main thread comes out; what was claimed and not started is there when the scheduler is started again."""
    scheduler = virtual(
        jobstores={"default": STORES[store](tmp_path)},
        executors={"holding": HoldingExecutor()},
        job_defaults={"misfire_grace_time": None},
    )
    orders = [SystemExit("told to exit")]

    def leave(event: Any) -> None:
        if orders:
            raise orders.pop()

    heard = Heard(scheduler)
    scheduler.start()
    scheduler.add_job(nothing, "interval", minutes=1, id="busy", executor="holding")
    scheduler.advance(MINUTE)
    for number in range(4):
        scheduler.add_job(nothing, "date", run_date=at(120), id=f"{number}")
    scheduler.add_listener(leave, code)
    with pytest.raises(SystemExit, match="told to exit"):
        scheduler.advance(MINUTE)
    within_time(lambda: scheduler.shutdown(wait=False))
    holding = scheduler._executors["holding"]
    assert isinstance(holding, HoldingExecutor)
    holding.release()
    join_the_keepers()
    with started(scheduler):
        scheduler.advance(MINUTE)
        assert [heard.seconds(f"{number}") for number in range(4)] == [[120]] * 4
        holding.release()
