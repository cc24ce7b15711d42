"""A store that is told by its server what is due: the loop looks at once, though it polls once an hour."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from mainspring.events import EVENT_JOB_EXECUTED, Clock, SystemClock
from mainspring.jobstores.base import BaseJobStore
from mainspring.jobstores.owner import Owner
from mainspring.jobstores.record import ClaimResult, Run
from mainspring.jobstores.transitions import seal
from mainspring.scheduler.background import BackgroundScheduler
from mainspring.scheduler.engine import MAX_WAIT, Engine
from mainspring.scheduler.virtual import VirtualScheduler
from mainspring.triggers.instants import to_micros

from tests.guards.distant import DistantJobStore
from tests.guards.faults import STORES
from tests.scheduler.watching import START, TIMEOUT, Heard, at, nothing, started, virtual

HOUR = 3600.0
NOW = to_micros(START)


class Looked(DistantJobStore):
    """Says when it was looked at."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, poll_interval=HOUR)
        self.looks = 0
        self.nothing_was_due = Event()

    def claim_due(self, *args: Any, **kwargs: Any) -> ClaimResult:
        self.looks += 1
        result = super().claim_due(*args, **kwargs)
        if not result.claims:
            self.nothing_was_due.set()
        return result


def add_elsewhere(folder: Path, clock: Clock | None = None, **trigger: Any) -> None:
    """What another process adds, of which this one knows nothing."""
    options: dict[str, Any] = {
        "jobstores": {"default": DistantJobStore(folder)},
        "clock": clock or SystemClock(),
    }
    with started(BackgroundScheduler(**options), paused=True) as other:
        other.add_job("time:time", id="x", misfire_grace_time=None, **trigger)


def test_a_push_wakes_a_loop_that_polls_once_an_hour(tmp_path: Path) -> None:
    store = Looked(tmp_path)
    scheduler = BackgroundScheduler(jobstores={"default": store})
    heard = Heard(scheduler)
    with started(scheduler):
        assert store.nothing_was_due.wait(TIMEOUT)
        add_elsewhere(tmp_path)
        store.on_push(0)
        heard.wait(EVENT_JOB_EXECUTED, "x")


def test_a_push_may_name_a_time_that_comes(tmp_path: Path) -> None:
    """Then the loop looks at that time and not before."""
    clock = SystemClock()
    time = clock.now() + timedelta(seconds=1)
    store = Looked(tmp_path)
    scheduler = BackgroundScheduler(jobstores={"default": store})
    heard = Heard(scheduler)
    with started(scheduler):
        assert store.nothing_was_due.wait(TIMEOUT)
        looks = store.looks
        add_elsewhere(tmp_path, trigger="date", run_date=time)
        store.on_push(to_micros(time))
        event = heard.wait(EVENT_JOB_EXECUTED, "x")
        assert event.late < timedelta(seconds=TIMEOUT)
    assert store.looks <= looks + 3, "it was looked at all the while"


class Polling(VirtualScheduler):
    """Virtual time in which others work on the store, too, as they do in real time."""

    def _new_engine(self, paused: bool) -> Engine:
        engine = super()._new_engine(paused)
        engine.polls, engine.max_wait = True, MAX_WAIT
        return engine


def test_without_a_push_nobody_looks_and_lost_runs_are_searched_for_all_the_same(tmp_path: Path) -> None:
    """Else the tests above would show nothing: the loop wakes up every ten seconds, and does not look at the store for that."""
    store = Looked(tmp_path)
    scheduler = Polling(start=START, jobstores={"default": store}, job_defaults={"misfire_grace_time": None})
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.clock.unsubscribe(scheduler.wakeup)  # else each step of virtual time asks by itself
        scheduler.advance(timedelta(minutes=1))
        add_elsewhere(tmp_path, scheduler.clock)
        looks, searches = store.looks, store.server.asked.count("recover")
        scheduler.advance(timedelta(minutes=50))
        assert store.looks == looks
        assert 290 <= store.server.asked.count("recover") - searches <= 310
        assert not heard.of(EVENT_JOB_EXECUTED)
        scheduler.advance(timedelta(minutes=9))
        assert heard.seconds("x") == [60]


def test_what_such_a_search_finds_is_run_at_once(tmp_path: Path) -> None:
    """A run of somebody who is not heard of any more, in a store at which nobody looks for an hour."""
    store = Looked(tmp_path)
    scheduler = Polling(start=START, jobstores={"default": store}, job_defaults={"misfire_grace_time": None})
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.clock.unsubscribe(scheduler.wakeup)
        scheduler.add_job("time:time", id="x", recovery="rerun", next_run_time=at(24 * HOUR))
        other = Owner()
        run = Run(
            7,
            "schedule",
            (NOW,),
            NOW,
            "claimed",
            owner=other.name,
            lease_until=NOW + 60_000_000,
            claimed_at=NOW,
            recovery="rerun",
        )
        scheduler.advance(timedelta(seconds=1))
        store.write("x", lambda found: seal(replace(found, runs=(run,)), "s"))
        scheduler.advance(timedelta(minutes=2))
        (event,) = heard.of(EVENT_JOB_EXECUTED, "x")
        assert timedelta(seconds=65) <= event.late <= timedelta(seconds=85)


@pytest.mark.parametrize("kind", STORES)
def test_every_store_may_be_pushed_at_any_time(kind: str, tmp_path: Path) -> None:
    """Before its start, while it runs, when it was removed, and after the shutdown: from there on it is nothing."""
    store, other = STORES[kind](tmp_path), STORES["memory"](tmp_path)
    store.on_push(0)
    scheduler = BackgroundScheduler(jobstores={"default": store, "other": other})
    heard = Heard(scheduler)
    woken: list[int] = []
    with started(scheduler):
        for push in (store.on_push, other.on_push):
            push(0)
        scheduler.add_job(nothing, id="x", misfire_grace_time=None)
        heard.wait(EVENT_JOB_EXECUTED, "x")
        scheduler.remove_jobstore("other")
        count_the_wakeups(scheduler, woken)
        other.on_push(0)
        assert woken == []
    store.on_push(0)
    assert woken == []
    with started(scheduler):
        scheduler.add_job(nothing, id="y", misfire_grace_time=None)
        heard.wait(EVENT_JOB_EXECUTED, "y")


def count_the_wakeups(scheduler: BackgroundScheduler, woken: list[int]) -> None:
    engine = scheduler._engine
    assert engine is not None
    ask: Callable[..., None] = engine.look_again

    def look_again(port: Any = None, at: int = 0) -> None:
        woken.append(at)
        ask(port, at)

    engine.look_again = look_again  # type: ignore[method-assign]


def test_in_virtual_time_a_push_is_nothing(tmp_path: Path) -> None:
    """Else a test would depend on how fast its server is: whatever this process has written, it knows."""
    store = Looked(tmp_path)
    with started(virtual(jobstores={"default": store})) as scheduler:
        scheduler.clock.unsubscribe(scheduler.wakeup)
        scheduler.add_job("time:time", "interval", hours=1)
        scheduler.advance(timedelta(seconds=1))
        looks = store.looks
        store.on_push(0)
        scheduler.advance(timedelta(seconds=1))
        assert store.looks == looks


def test_a_store_that_knows_nothing_of_pushes_gets_the_attribute_all_the_same(tmp_path: Path) -> None:
    store = STORES["plain"](tmp_path)
    assert store.on_push is BaseJobStore.on_push
    with started(BackgroundScheduler(jobstores={"default": store})):
        assert store.on_push is not BaseJobStore.on_push
