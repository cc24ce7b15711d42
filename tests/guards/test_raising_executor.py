"""An executor that raises: the run is told to have failed, its slot and its open run are given back, and the next one is tried."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from mainspring.events import (
    EVENT_EXECUTOR_REMOVED,
    EVENT_JOB_ADDED,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_REMOVED,
    EVENT_JOB_SUBMIT_FAILED,
    EVENT_JOB_SUBMITTED,
    EVENT_JOBSTORE_FAILED,
    EVENT_SCHEDULER_STARTED,
)
from mainspring.executors.base import BaseExecutor
from mainspring.executors.debug import DebugExecutor
from mainspring.executors.pool import ThreadPoolExecutor

from tests.guards.faults import STORES, InjectedFault, InlineExecutor, UnspeakableFault, failing
from tests.scheduler.watching import Heard, at, background, nothing, started, virtual

MINUTE = timedelta(minutes=1)
SUBMITS: list[tuple[Callable[[], BaseExecutor], str]] = [
    (DebugExecutor, "submit_job"),
    (DebugExecutor, "_submit"),
    (InlineExecutor, "submit_job"),
    (InlineExecutor, "_do_submit_job"),
]


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize(("kind", "method"), SUBMITS)
def test_a_submit_that_raises(
    kind: Callable[[], BaseExecutor], method: str, store: str, tmp_path: Path
) -> None:
    executor = kind()
    scheduler = virtual(executors={"bad": executor}, jobstores={"default": STORES[store](tmp_path)})
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.add_job(nothing, "interval", minutes=1, id="bad", executor="bad")
        scheduler.add_job(nothing, "date", run_date=at(150), id="one-off", executor="bad")
        scheduler.add_job(nothing, "interval", minutes=1, id="good")
        scheduler.advance(timedelta(seconds=90))
        with failing(executor, method):
            scheduler.advance(timedelta(minutes=2))
        scheduler.advance(timedelta(minutes=2))
        assert heard.seconds("good") == [60, 120, 180, 240, 300]
        # What failed is not tried again by itself, and takes no room from what follows.
        assert heard.seconds("bad") == [60, 240, 300]
        assert not heard.of(EVENT_JOB_MAX_INSTANCES | EVENT_JOBSTORE_FAILED)
        failed = heard.of(EVENT_JOB_SUBMIT_FAILED)
        assert [(event.job_id, event.scheduled_run_time) for event in failed] == [
            ("bad", at(120)),
            ("one-off", at(150)),
            ("bad", at(180)),
        ]
        assert isinstance(failed[0].exception, InjectedFault)
        assert failed[0].jobstore == "default"
        assert failed[0].reason == f'executor "bad" refused the run: InjectedFault: {method} fails'
        # The end of its trigger ends the one-off, as if it had run.
        assert len(heard.of(EVENT_JOB_REMOVED, "one-off")) == 1
        assert sorted(job.id for job in scheduler.get_jobs()) == ["bad", "good"]


@pytest.mark.parametrize("error", [UnspeakableFault(), SystemExit(1), GeneratorExit()])
def test_a_submit_that_raises_worse(error: BaseException) -> None:
    executor = ThreadPoolExecutor(1)
    scheduler, clock = background(executors={"bad": executor})
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.add_job(nothing, "interval", minutes=1, id="bad", executor="bad")
        scheduler.add_job(nothing, "interval", minutes=1, id="good")
        with failing(executor, "submit_job", error):
            clock.advance(MINUTE)
            assert heard.wait(EVENT_JOB_SUBMIT_FAILED, "bad").exception is error
            heard.wait(EVENT_JOB_EXECUTED, "good")
        clock.advance(MINUTE)
        heard.wait(EVENT_JOB_EXECUTED, "good", 2)
        heard.wait(EVENT_JOB_EXECUTED, "bad")


def test_submitted_is_told_before_the_failure_of_the_hand_over() -> None:
    """SUBMITTED says that it is handed over; that this fails is known only then."""
    executor = InlineExecutor()
    scheduler = virtual(executors={"bad": executor})
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.add_job(nothing, "date", run_date=at(1), id="x", executor="bad")
        with failing(executor, "_do_submit_job"):
            scheduler.advance(MINUTE)
    assert heard.codes("x")[1:] == [EVENT_JOB_SUBMITTED, EVENT_JOB_SUBMIT_FAILED, EVENT_JOB_REMOVED]


@pytest.mark.parametrize("kind", [DebugExecutor, InlineExecutor])
def test_an_executor_that_cannot_be_started(kind: Callable[[], BaseExecutor]) -> None:
    executor = kind()
    scheduler = virtual(executors={"bad": executor})
    scheduler.add_job(nothing, "date", run_date=at(1), id="x")
    heard = Heard(scheduler)
    with failing(executor, "start"), pytest.raises(InjectedFault):
        scheduler.start()
    assert not scheduler.running
    assert not heard.of(EVENT_SCHEDULER_STARTED | EVENT_JOB_ADDED)
    assert [job.id for job in scheduler.get_jobs(pending=True)] == ["x"]
    with started(scheduler):
        scheduler.advance(MINUTE)
        assert heard.seconds("x") == [1]


def test_an_executor_that_cannot_be_started_is_not_added() -> None:
    executor = InlineExecutor()
    with started(virtual()) as scheduler:
        heard = Heard(scheduler)
        with failing(executor, "start"), pytest.raises(InjectedFault):
            scheduler.add_executor(executor, "bad")
        assert heard.events == []
        with pytest.raises(KeyError, match="No such executor: bad"):
            scheduler.remove_executor("bad")
        scheduler.add_executor(executor, "bad")


@pytest.mark.parametrize("method", ["shutdown", "withdraw"])
@pytest.mark.parametrize("kind", [DebugExecutor, InlineExecutor])
def test_an_executor_that_cannot_be_shut_down(
    kind: Callable[[], BaseExecutor], method: str, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = kind(), Ended()
    scheduler = virtual(executors={"bad": bad, "default": good})
    with started(scheduler):
        with failing(bad, method):
            scheduler.shutdown(wait=False)
        assert good.ended == [False]
        assert not scheduler.running
        assert 'Error shutting down executor "bad"' in caplog.text


class Ended(DebugExecutor):
    def start(self, scheduler: Any, alias: str) -> None:
        super().start(scheduler, alias)
        self.ended: list[bool] = []

    def shutdown(self, wait: bool = True) -> None:
        self.ended.append(wait)
        super().shutdown(wait)


def test_an_executor_that_cannot_be_shut_down_is_removed_all_the_same() -> None:
    executor = InlineExecutor()
    with started(virtual(executors={"bad": executor})) as scheduler:
        heard = Heard(scheduler)
        with failing(executor, "shutdown"), pytest.raises(InjectedFault):
            scheduler.remove_executor("bad")
        assert heard.codes() == [EVENT_EXECUTOR_REMOVED]
        scheduler.add_executor(executor, "bad")


@pytest.mark.parametrize("method", ["free_slots", "waiting"])
def test_an_executor_that_cannot_tell_what_it_can_take(method: str, tmp_path: Path) -> None:
    """Asked for a store that is shared: the jobs of the other executors go on, and its own as soon as it answers again."""
    executor = ThreadPoolExecutor(2)
    scheduler, clock = background(
        executors={"bad": executor}, jobstores={"default": STORES["sqlite"](tmp_path)}
    )
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.add_job(nothing, "interval", minutes=1, id="bad", executor="bad", misfire_grace_time=None)
        scheduler.add_job(nothing, "interval", minutes=1, id="good")
        with failing(executor, method):
            clock.advance(MINUTE)
            heard.wait(EVENT_JOB_EXECUTED, "good")
        clock.advance(MINUTE)
        heard.wait(EVENT_JOB_EXECUTED, "bad")
        heard.wait(EVENT_JOB_EXECUTED, "good", 2)
    assert not heard.of(EVENT_JOBSTORE_FAILED)
