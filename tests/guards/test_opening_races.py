"""A store is being opened, its server does not answer, and meanwhile somebody shuts down, starts again, or removes it: each order, forced."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from mainspring.events import (
    EVENT_JOB_ADDED,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_SUBMITTED,
    EVENT_JOBSTORE_FAILED,
    EVENT_JOBSTORE_RECOVERED,
    EVENT_SCHEDULER_SHUTDOWN,
    ManualClock,
)
from mainspring.jobstores.base import StoreUnreachableError
from mainspring.jobstores.memory import MemoryJobStore
from mainspring.scheduler.background import BackgroundScheduler

from tests.guards.distant import DistantJobStore
from tests.guards.faults import HoldingExecutor
from tests.guards.test_jobs_that_call_the_scheduler import join_the_keepers
from tests.scheduler.watching import TIMEOUT, Heard, background, started, stop, within_time

RETRY = timedelta(seconds=11)  # later than any pause between two attempts


class Opening:
    """A scheduler that has started without its store "distant", for which a job is pending, and an attempt to open it that hangs."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.store = DistantJobStore(folder)
        self.server = self.store.server
        self.clock: ManualClock
        self.scheduler: BackgroundScheduler
        self.scheduler, self.clock = background(
            jobstores={"default": MemoryJobStore(), "distant": self.store},
            job_defaults={"misfire_grace_time": None},
            **options,
        )
        self.heard = Heard(self.scheduler)
        self.scheduler.add_job("time:time", "interval", minutes=1, id="far", jobstore="distant")

    def start(self, hangs_at: str = "start") -> None:
        self.server.go_away()
        self.scheduler.start()
        self.server.come_back()
        self.server.freeze(hangs_at)
        self.clock.advance(RETRY)
        self.server.wait_for_question(hangs_at)

    def pending(self) -> list[str]:
        return [job.id for job in self.scheduler.get_jobs(pending=True)]

    def stored(self) -> list[str]:
        return [job.id for job in self.scheduler.get_jobs("distant", pending=False)]


@pytest.fixture
def opening(tmp_path: Path) -> Iterator[Opening]:
    opening = Opening(tmp_path)
    yield opening
    opening.server.come_back()
    stop(opening.scheduler)


def in_a_thread(call: Callable[[], object]) -> Thread:
    thread = Thread(target=call, daemon=True)
    thread.start()
    return thread


def test_a_shutdown_waits_for_no_attempt_which_closes_what_it_opens(opening: Opening) -> None:
    opening.start()
    within_time(opening.scheduler.shutdown)
    assert opening.heard.codes()[-1] == EVENT_SCHEDULER_SHUTDOWN
    assert not opening.store.closed.is_set()
    opening.server.come_back()
    assert opening.store.closed.wait(TIMEOUT)
    assert not opening.store.open
    assert opening.pending() == ["far"]
    assert opening.heard.codes()[-1] == EVENT_SCHEDULER_SHUTDOWN
    assert not opening.heard.of(EVENT_JOB_ADDED)
    with started(opening.scheduler):
        assert opening.stored() == ["far"]


def test_a_start_behind_it_waits_for_the_attempt_neither_and_does_not_start_the_store_beside_it(
    opening: Opening,
) -> None:
    recovered = Event()
    opening.scheduler.add_listener(lambda event: recovered.set(), EVENT_JOBSTORE_RECOVERED)
    opening.start()
    within_time(opening.scheduler.shutdown)
    within_time(opening.scheduler.start)
    assert opening.server.asked.count("start") == 2
    assert "an earlier attempt to open it" in str(opening.heard.of(EVENT_JOBSTORE_FAILED)[-1].exception)
    opening.clock.advance(RETRY)  # still no second one
    with pytest.raises(
        StoreUnreachableError, match="an earlier attempt to open it waits for the server still"
    ):
        opening.stored()
    assert opening.server.asked.count("start") == 2
    opening.server.come_back()
    assert opening.store.closed.wait(
        TIMEOUT
    )  # by the attempt of the first start, which nobody wants any more
    while not recovered.wait(0.1):
        opening.clock.advance(RETRY)
    assert opening.stored() == ["far"]
    opening.clock.advance(timedelta(minutes=1))
    opening.heard.wait(EVENT_JOB_EXECUTED, "far")


def test_a_shutdown_that_leaves_runs_behind_leaves_no_attempt_behind(tmp_path: Path) -> None:
    """The stores are closed when the last run has ended; what could not be opened by then is not opened for that."""
    executor = HoldingExecutor()
    opening = Opening(tmp_path, executors={"default": executor})
    opening.start()
    opening.scheduler.add_job("time:time", id="near")
    opening.heard.wait(EVENT_JOB_SUBMITTED, "near")
    within_time(lambda: opening.scheduler.shutdown(wait=False))
    opening.server.come_back()
    assert opening.store.closed.wait(TIMEOUT)
    assert not opening.store.open
    executor.release()
    join_the_keepers()
    assert opening.pending() == ["far"]


def test_an_attempt_that_comes_too_late_opens_nothing(opening: Opening) -> None:
    """It was made, and its thread is slow: the shutdown comes first."""
    opening.server.go_away()
    opening.scheduler.start()
    engine: Any = opening.scheduler._engine
    port = engine.port("distant")
    within_time(opening.scheduler.shutdown)
    opening.server.come_back()
    opening.server.asked.clear()
    engine.outages.attempt(port)()
    assert opening.server.asked == []
    assert not opening.store.open
    assert opening.pending() == ["far"]


def test_removed_while_an_attempt_hangs(opening: Opening) -> None:
    opening.start()
    within_time(lambda: opening.scheduler.remove_jobstore("distant"))
    assert [job.id for job in opening.scheduler.get_jobs()] == ["far"]
    assert not opening.store.closed.is_set()
    opening.server.come_back()
    assert opening.store.closed.wait(TIMEOUT)
    assert opening.pending() == ["far"]
    assert not opening.heard.of(EVENT_JOBSTORE_RECOVERED | EVENT_JOB_ADDED)


def test_removed_without_a_shutdown_it_is_not_left_open_behind_somebodys_back(opening: Opening) -> None:
    opening.start()
    within_time(lambda: opening.scheduler.remove_jobstore("distant", shutdown=False))
    opening.server.come_back()
    assert opening.store.closed.wait(TIMEOUT)


def test_shut_down_between_the_opening_and_the_jobs_that_are_pending(opening: Opening) -> None:
    """The store is closed under the attempt's hands: the job is still pending, or it is in the store; not both, and not neither."""
    opening.start(hangs_at="insert")
    within_time(opening.scheduler.shutdown)
    assert opening.store.closed.is_set()
    opening.server.come_back()
    with started(opening.scheduler):
        assert opening.pending() == []
        assert opening.stored() == ["far"]


def test_while_the_jobs_are_added_the_loop_does_not_look_at_the_store(opening: Opening) -> None:
    opening.start(hangs_at="insert")
    opening.clock.advance(timedelta(minutes=5))
    assert "claim_due" not in opening.server.asked
    opening.server.come_back()
    opening.heard.wait(EVENT_JOBSTORE_RECOVERED)
    assert opening.heard.of(EVENT_JOB_ADDED | EVENT_JOBSTORE_RECOVERED)[0].code == EVENT_JOB_ADDED


def test_a_pending_job_that_is_changed_while_it_is_added(opening: Opening) -> None:
    """The change waits, and is made in the store."""
    opening.start(hangs_at="insert")
    thread = in_a_thread(lambda: opening.scheduler.modify_job("far", "distant", name="new"))
    opening.server.come_back()
    thread.join(TIMEOUT)
    assert not thread.is_alive()
    assert [job.name for job in opening.scheduler.get_jobs("distant")] == ["new"]


# -- the same while `add_jobstore` opens it ------------------------------------------------------------------------


@pytest.fixture
def adding(tmp_path: Path) -> Iterator[tuple[BackgroundScheduler, DistantJobStore, Thread]]:
    """Another thread adds a store, and hangs in its start."""
    store = DistantJobStore(tmp_path)
    store.server.freeze()
    scheduler, _ = background()
    scheduler.start()
    thread = in_a_thread(lambda: scheduler.add_jobstore(store, "distant"))
    store.server.wait_for_question("start")
    yield scheduler, store, thread
    store.server.come_back()
    thread.join(TIMEOUT)
    stop(scheduler)


def test_shut_down_while_another_thread_adds_a_store(
    adding: tuple[BackgroundScheduler, DistantJobStore, Thread],
) -> None:
    scheduler, store, thread = adding
    within_time(scheduler.shutdown)
    store.server.come_back()
    thread.join(TIMEOUT)
    assert store.closed.is_set()
    assert not store.open
    scheduler.start()
    assert store.open


def test_removed_while_another_thread_adds_it(
    adding: tuple[BackgroundScheduler, DistantJobStore, Thread],
) -> None:
    scheduler, store, thread = adding
    scheduler.remove_jobstore("distant")
    store.server.come_back()
    thread.join(TIMEOUT)
    assert store.closed.wait(TIMEOUT)
    assert not store.open
    engine = scheduler._engine
    assert engine is not None
    assert engine.port("distant") is None
