"""A store whose server is frozen: whoever asks it waits, and nobody else; the other stores' jobs run, and their leases hold."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from threading import enumerate as threads
from typing import Any

import pytest
from mainspring.events import (
    EVENT_JOB_EXECUTED,
    EVENT_JOB_REMOVED,
    EVENT_JOB_SUBMITTED,
    EVENT_JOBSTORE_FAILED,
    EVENT_JOBSTORE_RECOVERED,
    EVENT_SCHEDULER_SHUTDOWN,
    ManualClock,
)
from mainspring.jobstores.memory import MemoryJobStore
from mainspring.scheduler import drivers
from mainspring.scheduler.background import BackgroundScheduler
from mainspring.triggers.instants import to_micros

from tests.guards.distant import DistantJobStore
from tests.guards.faults import HoldingExecutor
from tests.guards.test_jobs_that_call_the_scheduler import join_the_keepers
from tests.scheduler.watching import (
    TIMEOUT,
    Heard,
    at,
    background,
    nothing,
    started,
    stop,
    virtual,
    within_time,
)

MINUTE = timedelta(minutes=1)
LEASE = 30


class House:
    """A scheduler with a store in memory and two behind servers."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.stores: dict[str, DistantJobStore] = {}
        for alias in ("one", "two"):
            (folder / alias).mkdir()
            self.stores[alias] = DistantJobStore(folder / alias)
        self.server = self.stores["one"].server
        self.clock: ManualClock
        self.scheduler: BackgroundScheduler
        self.scheduler, self.clock = background(
            jobstores={"default": MemoryJobStore(), **self.stores},
            # The time jumps here, so that the next run may be due before the end of the last one is written.
            job_defaults={"misfire_grace_time": None, "max_instances": 3},
            lease=LEASE,
            **options,
        )
        self.heard = Heard(self.scheduler)
        self.passed = 0

    def fail(self) -> None:
        """Let the first server be frozen: the loop has found that it does not answer, and an attempt waits for it."""
        self.server.go_away()
        self.clock.advance(timedelta(seconds=1))
        self.heard.wait(EVENT_JOBSTORE_FAILED)
        self.server.come_back()
        self.server.freeze()
        self.clock.advance(timedelta(seconds=11))
        self.server.wait_for_question("give_back")

    def pass_the_time(self) -> None:
        """A moment for the threads, and then longer than any pause between two attempts."""
        self.passed += 1
        assert self.passed < 200, "nothing happens, however long it is waited for"
        Event().wait(0.05)
        self.clock.advance(timedelta(seconds=11))


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., House]]:
    houses: list[House] = []

    def make(**options: Any) -> House:
        houses.append(House(tmp_path, **options))
        return houses[-1]

    yield make
    for house in houses:
        house.server.come_back()
        stop(house.scheduler)


def test_the_others_go_on_and_one_attempt_waits_alone(make: Callable[..., House]) -> None:
    house = make()
    house.scheduler.start()
    for alias in ("default", "one", "two"):
        house.scheduler.add_job("time:time", "interval", minutes=1, id=alias, jobstore=alias)
    house.fail()
    before = len(house.heard.of(EVENT_JOB_EXECUTED, "one"))
    for minute in range(1, 21):
        house.clock.advance(MINUTE)
        for alias in ("default", "two"):
            house.heard.wait(EVENT_JOB_EXECUTED, alias, minute)
        assert house.server.waiting == 1
    assert len(house.heard.of(EVENT_JOB_EXECUTED, "one")) == before
    assert len(house.heard.of(EVENT_JOBSTORE_FAILED)) == 1
    assert not house.heard.of(EVENT_JOBSTORE_RECOVERED)
    house.server.come_back()
    house.heard.wait(EVENT_JOBSTORE_RECOVERED)
    house.heard.wait(EVENT_JOB_EXECUTED, "one", before + 1)
    assert len(house.heard.of(EVENT_JOBSTORE_FAILED)) == 1


@pytest.mark.parametrize("question", ["claim_due", "recover", "give_back", "overdue_executors"])
def test_the_very_first_question_that_is_not_answered_holds_up_nobody(
    make: Callable[..., House], question: str
) -> None:
    """Or one that is answered late: nobody has found out yet that the store does not answer."""
    house = make()
    house.scheduler.start()
    for alias in ("default", "one", "two"):
        house.scheduler.add_job("time:time", "interval", minutes=1, id=alias, jobstore=alias)
    house.server.freeze(question)
    while not house.server.waiting:
        house.pass_the_time()
    before = {alias: len(house.heard.of(EVENT_JOB_EXECUTED, alias)) for alias in ("default", "one", "two")}
    for more in range(1, 11):
        house.clock.advance(MINUTE)
        for alias in ("default", "two"):
            house.heard.wait(EVENT_JOB_EXECUTED, alias, before[alias] + more)
        assert house.server.waiting == 1
    house.server.come_back()
    house.heard.wait(EVENT_JOB_EXECUTED, "one", before["one"] + 1)
    assert not house.heard.of(EVENT_JOBSTORE_FAILED)


def hold_what_is_won(store: DistantJobStore) -> tuple[Event, Event]:
    """The first claim that wins something is done, and its answer comes when the second event is set; the first says that it waits."""
    held, answer, claim = Event(), Event(), store.claim_due

    def claim_due(*args: Any, **kwargs: Any) -> Any:
        result = claim(*args, **kwargs)
        if result.claims and not held.is_set():
            held.set()
            assert answer.wait(TIMEOUT)
        return result

    store.claim_due = claim_due  # type: ignore[method-assign]
    return held, answer


def test_what_a_late_answer_has_won_is_run_though_the_scheduler_shuts_down_meanwhile(
    make: Callable[..., House],
) -> None:
    """Its claim is written: the shutdown waits for the answer, and for the run."""
    house = make()
    held, answer = hold_what_is_won(house.stores["one"])
    house.scheduler.start()
    house.scheduler.add_job("time:time", id="x", jobstore="one")
    assert held.wait(TIMEOUT)
    shutdown = Thread(target=house.scheduler.shutdown, daemon=True)
    shutdown.start()
    loop = house.scheduler._thread
    assert loop is not None
    while house.scheduler.running:
        pass
    assert loop.is_alive()
    answer.set()
    shutdown.join(TIMEOUT)
    assert not shutdown.is_alive()
    house.heard.wait(EVENT_JOB_EXECUTED, "x")
    with started(house.scheduler):
        assert house.scheduler.get_jobs("one") == []


def test_a_listener_of_one_store_shuts_down_while_the_answer_of_another_is_on_its_way(
    make: Callable[..., House],
) -> None:
    """In the loop's own thread, so that the shutdown cannot wait for the loop: what the other claim has won goes back."""
    house = make()
    held, answer = hold_what_is_won(house.stores["one"])

    def shut_down(event: Any) -> None:
        if event.job_id == "default" and not answer.is_set():
            house.scheduler.shutdown()
            answer.set()

    house.scheduler.add_listener(shut_down, EVENT_JOB_SUBMITTED)
    house.scheduler.start()
    house.scheduler.add_job("time:time", id="x", jobstore="one")
    assert held.wait(TIMEOUT)
    house.scheduler.add_job("time:time", id="default")
    house.heard.wait(EVENT_SCHEDULER_SHUTDOWN)
    join_the_keepers()
    assert not house.heard.of(EVENT_JOB_SUBMITTED, "x")
    assert house.stores["one"].closed.is_set()
    with started(house.scheduler):
        house.heard.wait(EVENT_JOB_EXECUTED, "x")
        house.heard.wait(EVENT_JOB_EXECUTED, "default")


def test_so_does_a_listener_of_anything_else_that_the_loop_finds(make: Callable[..., House]) -> None:
    """Then nothing is being submitted, and nothing has been claimed as far as anybody knows."""
    house = make()
    held, answer = hold_what_is_won(house.stores["one"])

    def shut_down(event: Any) -> None:
        house.scheduler.shutdown()
        answer.set()

    house.scheduler.add_listener(shut_down, EVENT_JOBSTORE_FAILED)
    house.scheduler.start()
    house.scheduler.add_job("time:time", id="x", jobstore="one")
    assert held.wait(TIMEOUT)
    loop = house.scheduler._thread
    assert loop is not None
    house.stores["two"].server.go_away()
    house.clock.advance(timedelta(seconds=1))
    house.heard.wait(EVENT_SCHEDULER_SHUTDOWN)
    loop.join(TIMEOUT)
    assert not loop.is_alive()
    join_the_keepers()
    assert house.stores["one"].closed.is_set()
    house.stores["two"].server.come_back()
    with started(house.scheduler):
        house.heard.wait(EVENT_JOB_EXECUTED, "x")


def test_removed_while_its_answer_is_on_its_way(make: Callable[..., House]) -> None:
    """What the claim has won is run, and then the store is closed."""
    house = make()
    held, answer = hold_what_is_won(house.stores["one"])
    house.scheduler.start()
    house.scheduler.add_job("time:time", id="x", jobstore="one")
    assert held.wait(TIMEOUT)
    house.scheduler.remove_jobstore("one")
    assert not house.stores["one"].closed.is_set()
    answer.set()
    house.heard.wait(EVENT_JOB_EXECUTED, "x")
    while not house.stores["one"].closed.is_set():
        house.pass_the_time()
    house.scheduler.add_job("time:time", id="y")
    house.heard.wait(EVENT_JOB_EXECUTED, "y")


def test_an_attempt_that_fails_in_the_end_is_followed_by_the_next(make: Callable[..., House]) -> None:
    house = make()
    house.scheduler.start()
    house.fail()
    asked = house.server.asked.count("give_back")
    house.server.go_away()
    while house.server.asked.count("give_back") < asked + 3:
        house.pass_the_time()
    house.server.come_back()
    while not house.heard.of(EVENT_JOBSTORE_RECOVERED):
        house.pass_the_time()
    assert len(house.heard.of(EVENT_JOBSTORE_FAILED)) == 1


def test_a_shutdown_waits_for_no_attempt_and_what_it_finds_changes_nothing(
    make: Callable[..., House],
) -> None:
    house = make()
    house.scheduler.start()
    house.fail()
    within_time(house.scheduler.shutdown)
    events = len(house.heard.events)
    (attempt,) = [thread for thread in threads() if thread.name == "mainspring-aside"]
    assert attempt.daemon
    house.server.come_back()
    attempt.join(TIMEOUT)
    assert not attempt.is_alive()
    assert len(house.heard.events) == events
    with started(house.scheduler):
        house.scheduler.add_job("time:time", id="x", jobstore="one")
        house.heard.wait(EVENT_JOB_EXECUTED, "x")


def test_a_shutdown_waits_not_for_ends_that_a_silent_store_does_not_take(make: Callable[..., House]) -> None:
    """The keeper writes them when it answers, and closes the stores then."""
    executor = HoldingExecutor()
    house = make(executors={"default": executor})
    house.scheduler.start()
    house.scheduler.add_job("time:time", "date", run_date=at(1), id="x", jobstore="one")
    house.clock.advance(timedelta(seconds=1))
    house.heard.wait(EVENT_JOB_SUBMITTED, "x")
    house.fail()
    executor.release()
    within_time(house.scheduler.shutdown)
    assert not house.heard.of(EVENT_JOB_REMOVED)
    assert not house.stores["one"].closed.is_set()
    house.server.come_back()
    house.heard.wait(EVENT_JOB_REMOVED, "x")
    assert house.stores["one"].closed.wait(TIMEOUT)
    assert house.stores["two"].closed.wait(TIMEOUT)


def test_a_store_that_hangs_costs_no_other_store_its_leases(make: Callable[..., House]) -> None:
    executor = HoldingExecutor()
    house = make(executors={"default": executor})
    house.scheduler.start()
    for alias in house.stores:
        house.scheduler.add_job("time:time", "date", run_date=at(1), id=alias, jobstore=alias)
    house.clock.advance(timedelta(seconds=1))
    for alias in house.stores:
        house.heard.wait(EVENT_JOB_SUBMITTED, alias)
    house.server.freeze("extend_leases")
    house.clock.advance(timedelta(seconds=LEASE / 3))
    house.server.wait_for_question("extend_leases")
    other = house.stores["two"]
    for times in range(2, 12):
        house.clock.advance(timedelta(seconds=LEASE / 3))
        other.server.wait_until_asked("extend_leases", times)
        assert house.server.waiting == 1, f"{times} thirds of a lease"
        # As the one that was asked for before is written by now.
        (run,) = other.read_all()[0].runs
        assert run.lease_until is not None
        assert run.lease_until >= to_micros(house.clock.now()) + LEASE / 3 * 1_000_000
    house.server.come_back()
    executor.release()
    for alias in house.stores:
        house.heard.wait(EVENT_JOB_EXECUTED, alias)


def test_after_a_shutdown_that_does_not_wait_ends_are_written_where_they_can_be(
    make: Callable[..., House],
) -> None:
    executor = HoldingExecutor()
    house = make(executors={"default": executor})
    house.scheduler.start()
    for alias in house.stores:
        house.scheduler.add_job("time:time", "date", run_date=at(1), id=alias, jobstore=alias)
    house.clock.advance(timedelta(seconds=1))
    for alias in house.stores:
        house.heard.wait(EVENT_JOB_SUBMITTED, alias)
    within_time(lambda: house.scheduler.shutdown(wait=False))
    house.server.freeze("finish_runs")
    executor.release()
    house.server.wait_for_question("finish_runs")
    house.heard.wait(EVENT_JOB_REMOVED, "two")
    assert not house.heard.of(EVENT_JOB_REMOVED, "one")
    house.server.come_back()
    house.heard.wait(EVENT_JOB_REMOVED, "one")
    join_the_keepers()
    assert all(store.closed.is_set() for store in house.stores.values())


def test_in_virtual_time_an_attempt_is_made_at_its_time(tmp_path: Path) -> None:
    """At once, in the same thread: a test that is run again does the same again."""
    store = DistantJobStore(tmp_path)
    scheduler = virtual(jobstores={"default": store}, job_defaults={"misfire_grace_time": None})
    heard = Heard(scheduler)
    before = set(threads())
    with started(scheduler):
        scheduler.add_job("time:time", "interval", minutes=1, id="x")
        store.server.go_away()
        scheduler.advance(10 * MINUTE)
        store.server.come_back()
        scheduler.advance(timedelta(seconds=11))
        assert len(heard.of(EVENT_JOBSTORE_RECOVERED)) == 1
        assert heard.seconds("x") == [600]
        assert {thread.name for thread in set(threads()) - before} <= {"mainspring-keeper"}


def test_where_no_thread_can_be_started_the_attempt_is_made_in_the_loops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("can't start new thread")

    made: list[str] = []
    monkeypatch.setattr("threading.Thread.start", refuse)
    drivers.aside(lambda: made.append("made"))
    assert made == ["made"]


def test_a_memory_store_is_tried_out_like_any_other() -> None:
    store = MemoryJobStore()
    scheduler = virtual(jobstores={"default": store})
    heard = Heard(scheduler)
    claim, failures = store.claim_due, [1, 2, 3]

    def claim_due(*args: Any, **kwargs: Any) -> Any:
        if failures:
            raise OSError(f"failure {failures.pop(0)}")
        return claim(*args, **kwargs)

    store.claim_due = claim_due  # type: ignore[method-assign]
    with started(scheduler):
        scheduler.add_job(nothing, "interval", minutes=1, id="x")
        scheduler.advance(MINUTE)
        assert heard.seconds("x") == [60]
    assert len(heard.of(EVENT_JOBSTORE_FAILED)) == len(heard.of(EVENT_JOBSTORE_RECOVERED)) == 1
