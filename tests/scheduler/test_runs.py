"""Which runs take place, end to end: misfire grace, coalescing, `max_instances`, and the order and contents of their events."""

import logging
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from mainspring.events import (
    EVENT_ALL,
    EVENT_JOB_ADDED,
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
    EVENT_JOB_REMOVED,
    EVENT_JOB_SUBMITTED,
    JobExecutionEvent,
    JobSubmissionEvent,
)
from mainspring.executors.pool import ThreadPoolExecutor
from mainspring.scheduler.background import BackgroundScheduler
from mainspring.scheduler.base import BaseScheduler
from mainspring.scheduler.ticket import Ticket
from mainspring.scheduler.virtual import VirtualScheduler

from tests.guards.faults import HOOKS, STORES
from tests.guards.test_jobs_that_call_the_scheduler import hooked
from tests.scheduler.watching import (
    TIMEOUT,
    Heard,
    answer,
    at,
    background,
    boom,
    nothing,
    started,
    virtual,
)

MINUTE = timedelta(minutes=1)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def scheduler(store: str, tmp_path: Path) -> Iterator[VirtualScheduler]:
    with started(virtual(jobstores={"default": STORES[store](tmp_path)})) as scheduler:
        yield scheduler


@pytest.fixture(autouse=True)
def hooks() -> Iterator[None]:
    yield
    HOOKS.clear()


def down(scheduler: BaseScheduler, seconds: float) -> None:
    """The time in which a program is not running."""
    scheduler.pause()
    assert isinstance(scheduler, VirtualScheduler)
    scheduler.advance(timedelta(seconds=seconds))
    scheduler.resume()


# -- lateness ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grace", "late", "runs"),
    [(1, 1, True), (1, 1.001, False), (30, 30, True), (0.5, 0.6, False), (None, 1e6, True)],
)
def test_the_grace_is_inclusive(scheduler: VirtualScheduler, grace: Any, late: float, runs: bool) -> None:
    heard = Heard(scheduler)
    scheduler.add_job(nothing, "date", run_date=at(60), id="x", misfire_grace_time=grace)
    down(scheduler, 60 + late)
    scheduler.advance(MINUTE)
    (event,) = heard.of(EVENT_JOB_EXECUTED | EVENT_JOB_MISSED)
    assert event.code == (EVENT_JOB_EXECUTED if runs else EVENT_JOB_MISSED)
    assert (event.scheduled_run_time, event.late) == (at(60), timedelta(seconds=late))
    assert len(heard.of(EVENT_JOB_REMOVED, "x")) == 1


def test_a_run_that_starts_late_tells_by_how_much(scheduler: VirtualScheduler) -> None:
    heard = Heard(scheduler)
    scheduler.add_job(nothing, "date", run_date=at(60), id="x", misfire_grace_time=30)
    down(scheduler, 70)
    scheduler.advance(timedelta(0))
    (event,) = heard.of(EVENT_JOB_EXECUTED)
    assert (event.late, event.queued) == (timedelta(seconds=10), timedelta(0))


def test_coalesce_runs_the_last_one_of_a_backlog(scheduler: VirtualScheduler) -> None:
    heard = Heard(scheduler)
    scheduler.add_job(nothing, "interval", minutes=1, id="x", misfire_grace_time=None)
    down(scheduler, 330)
    scheduler.advance(MINUTE)
    assert heard.seconds("x") == [300, 360]
    assert len(heard.of(EVENT_JOB_SUBMITTED)) == 2


def test_without_coalesce_each_one_runs_in_one_submission(scheduler: VirtualScheduler) -> None:
    heard = Heard(scheduler)
    scheduler.add_job(nothing, "interval", minutes=1, id="x", misfire_grace_time=None, coalesce=False)
    down(scheduler, 330)
    scheduler.advance(MINUTE)
    assert heard.seconds("x") == [60, 120, 180, 240, 300, 360]
    first, second = heard.of(EVENT_JOB_SUBMITTED)
    # Lists, as in APScheduler 3.
    assert first.scheduled_run_times == [at(60 * minute) for minute in range(1, 6)]
    assert second.scheduled_run_times == [at(360)]


def test_without_coalesce_the_grace_is_judged_for_each(scheduler: VirtualScheduler) -> None:
    heard = Heard(scheduler)
    scheduler.add_job(nothing, "interval", minutes=1, id="x", misfire_grace_time=100, coalesce=False)
    down(scheduler, 330)
    scheduler.advance(timedelta(0))
    assert heard.seconds("x", EVENT_JOB_MISSED) == [60, 120, 180]
    assert heard.seconds("x") == [240, 300]


def test_ten_days_of_a_second_coalesce_at_once(scheduler: VirtualScheduler) -> None:
    heard = Heard(scheduler)
    scheduler.add_job(nothing, "interval", seconds=1, id="x", misfire_grace_time=None)
    down(scheduler, 864_000.5)
    scheduler.advance(timedelta(0))
    assert heard.seconds("x") == [864_000]


def test_a_long_backlog_without_coalesce_comes_a_thousand_at_a_time(scheduler: VirtualScheduler) -> None:
    heard = Heard(scheduler)
    scheduler.add_job(nothing, "interval", seconds=1, id="x", misfire_grace_time=None, coalesce=False)
    down(scheduler, 2500)
    scheduler.advance(timedelta(milliseconds=500))
    assert heard.seconds("x") == list(range(1, 2501))
    assert [len(event.scheduled_run_times) for event in heard.of(EVENT_JOB_SUBMITTED)] == [1000, 1000, 500]


# -- max_instances -----------------------------------------------------------------------------------------------------


def with_a_pool(store: str, folder: Path, **options: Any) -> tuple[BackgroundScheduler, Any]:
    return background(
        jobstores={"default": STORES[store](folder)},
        executors={"default": ThreadPoolExecutor(5)},
        job_defaults={"misfire_grace_time": None, **options},
    )


def test_a_run_that_finds_no_room_is_skipped_and_told(
    store: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler, clock = with_a_pool(store, tmp_path)
    heard = Heard(scheduler)
    go_on = Event()
    HOOKS["x"] = lambda: go_on.wait(TIMEOUT)
    with started(scheduler):
        scheduler.add_job(hooked, "interval", minutes=1, id="x", args=["x"])
        clock.advance(MINUTE)
        heard.wait(EVENT_JOB_SUBMITTED, "x")
        for minute in (1, 2):
            clock.advance(MINUTE)
            event = heard.wait(EVENT_JOB_MAX_INSTANCES, "x", minute)
            assert isinstance(event, JobSubmissionEvent)
            assert list(event.scheduled_run_times) == [at(60 + 60 * minute)]
            assert (event.scheduled_run_time, event.exception, event.traceback) == (
                at(60 + 60 * minute),
                None,
                None,
            )
        go_on.set()
        heard.wait(EVENT_JOB_EXECUTED, "x")
        clock.advance(MINUTE)
        heard.wait(EVENT_JOB_EXECUTED, "x", 2)
        assert heard.seconds("x") == [60, 240]
    assert "skipped: maximum number of running instances reached (1)" in caplog.text


def test_max_instances_is_exact(store: str, tmp_path: Path) -> None:
    scheduler, clock = with_a_pool(store, tmp_path, max_instances=3)
    heard = Heard(scheduler)
    go_on = Event()
    HOOKS["x"] = lambda: go_on.wait(TIMEOUT)
    with started(scheduler):
        scheduler.add_job(hooked, "interval", minutes=1, id="x", args=["x"])
        for minute in (1, 2, 3):
            clock.advance(MINUTE)
            heard.wait(EVENT_JOB_SUBMITTED, "x", minute)
        assert not heard.of(EVENT_JOB_MAX_INSTANCES)
        clock.advance(MINUTE)
        heard.wait(EVENT_JOB_MAX_INSTANCES, "x")
        scheduler.modify_job("x", max_instances=4)
        clock.advance(MINUTE)
        heard.wait(EVENT_JOB_SUBMITTED, "x", 4)
        go_on.set()
        heard.wait(EVENT_JOB_EXECUTED, "x", 4)
    assert len(heard.of(EVENT_JOB_MAX_INSTANCES)) == 1


def test_a_run_that_is_asked_for_waits_for_that_of_a_job_which_was_removed(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record of the new job knows nothing of it; the executor does."""
    scheduler, clock = with_a_pool(store, tmp_path)
    heard = Heard(scheduler)
    go_on, waits = Event(), Event()
    HOOKS["x"] = lambda: go_on.wait(TIMEOUT)
    postponed = Ticket.postponed

    def noticed(ticket: Ticket) -> None:
        postponed(ticket)
        waits.set()

    monkeypatch.setattr(Ticket, "postponed", noticed)
    with started(scheduler):
        for count in (1, 2):
            scheduler.add_job(hooked, "interval", hours=1, id="x", args=["x"])
            asked = scheduler.run_job_now("x")
            if count == 1:
                heard.wait(EVENT_JOB_SUBMITTED, "x")
                scheduler.remove_job("x")
        assert waits.wait(TIMEOUT)
        go_on.set()
        heard.wait(EVENT_JOB_EXECUTED, "x")
        clock.advance(timedelta(seconds=2))
        event = heard.wait(EVENT_JOB_EXECUTED, "x", 2)
        assert isinstance(event, JobExecutionEvent)
        assert (event.run_id, event.attempt) == (asked.run_id, 1)
    assert not heard.of(EVENT_JOB_MAX_INSTANCES)


# -- events ------------------------------------------------------------------------------------------------------------


def test_the_order_of_the_events_of_a_job(store: str, tmp_path: Path) -> None:
    """SUBMITTED before its outcome, and before REMOVED, in whatever thread each is published; fifty times over."""
    scheduler, clock = with_a_pool(store, tmp_path)
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.add_jobs(
            {"func": nothing, "trigger": "date", "run_date": at(60), "id": f"{number}"}
            for number in range(50)
        )
        clock.advance(MINUTE)
        heard.wait(EVENT_JOB_EXECUTED, count=50)
        clock.advance(MINUTE)  # ends are written to a shared store soon, by its clock
        heard.wait(EVENT_JOB_REMOVED, count=50)
    for number in range(50):
        added, submitted, *last = heard.codes(f"{number}")
        assert (added, submitted) == (EVENT_JOB_ADDED, EVENT_JOB_SUBMITTED)
        assert sorted(last) == [EVENT_JOB_REMOVED, EVENT_JOB_EXECUTED]


def test_the_order_in_one_thread(scheduler: VirtualScheduler) -> None:
    heard = Heard(scheduler)
    scheduler.add_job(nothing, "date", run_date=at(60), id="x")
    scheduler.advance(2 * MINUTE)
    assert heard.codes("x") == [EVENT_JOB_ADDED, EVENT_JOB_SUBMITTED, EVENT_JOB_EXECUTED, EVENT_JOB_REMOVED]


def test_what_the_events_of_a_run_tell(scheduler: VirtualScheduler) -> None:
    heard = Heard(scheduler)
    scheduler.add_job(answer, "date", run_date=at(60), id="good", args=[{"the": "answer"}])
    scheduler.add_job(boom, "date", run_date=at(60), id="bad", args=["what went wrong"])
    scheduler.advance(MINUTE)
    good = heard.of(EVENT_JOB_EXECUTED)[0]
    assert isinstance(good, JobExecutionEvent)
    assert (good.job_id, good.jobstore, good.scheduled_run_time) == ("good", "default", at(60))
    assert (good.retval, good.exception, good.traceback) == ({"the": "answer"}, None, None)
    (bad,) = heard.of(EVENT_JOB_ERROR)
    assert (bad.job_id, bad.jobstore, bad.scheduled_run_time, bad.retval) == ("bad", "default", at(60), None)
    assert isinstance(bad.exception, ArithmeticError)
    assert bad.traceback.splitlines()[-1] == "ArithmeticError: what went wrong"
    assert "in boom" in bad.traceback


def test_a_listener_on_several_codes_meets_no_event_without_what_it_reads(
    scheduler: VirtualScheduler,
) -> None:
    told: list[tuple[Any, ...]] = []

    def listen(event: Any) -> None:
        told.append(
            (event.job_id, event.scheduled_run_time, event.exception is None, event.traceback is None)
        )

    scheduler.add_listener(listen, EVENT_JOB_MAX_INSTANCES | EVENT_JOB_MISSED | EVENT_JOB_ERROR)
    scheduler.add_job(boom, "date", run_date=at(1), id="error")
    scheduler.add_job(nothing, "date", run_date=at(-60), id="missed")
    scheduler.advance(MINUTE)
    assert told == [("missed", at(-60), True, True), ("error", at(1), False, False)]


def test_a_job_that_fails_runs_again(scheduler: VirtualScheduler) -> None:
    heard = Heard(scheduler)
    scheduler.add_job(boom, "interval", minutes=1, id="x")
    scheduler.advance(timedelta(minutes=3))
    assert heard.seconds("x", EVENT_JOB_ERROR) == [60, 120, 180]


def test_jitter_moves_the_dispatch_and_not_the_grid(scheduler: VirtualScheduler) -> None:
    heard = Heard(scheduler)
    scheduler.add_job(nothing, "interval", minutes=1, jitter=20, id="x")
    scheduler.advance(timedelta(hours=1))
    seconds = heard.seconds("x")
    assert len(seconds) in (59, 60)
    for minute, second in enumerate(seconds, 1):
        assert 60 * minute <= second < 60 * minute + 20
    assert len({second % 60 for second in seconds}) > 30
    assert all(event.late == timedelta(0) for event in heard.of(EVENT_JOB_EXECUTED))


def test_every_event_is_of_a_known_code(scheduler: VirtualScheduler) -> None:
    heard = Heard(scheduler, EVENT_ALL)
    scheduler.add_job(nothing, "interval", minutes=1)
    scheduler.advance(timedelta(minutes=2))
    assert all(event.code & EVENT_ALL == event.code for event in heard.events)


# -- clocks that are set -----------------------------------------------------------------------------------------------


def test_a_clock_that_is_set_back_runs_nothing_twice_and_hides_nothing(store: str, tmp_path: Path) -> None:
    scheduler, clock = with_a_pool(store, tmp_path)
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.add_job(nothing, "interval", minutes=1, id="x")
        clock.advance(2 * MINUTE)
        heard.wait(EVENT_JOB_EXECUTED, "x")
        clock.set(at(-3600))
        scheduler.add_job(nothing, "date", run_date=at(-3600), id="y")
        heard.wait(EVENT_JOB_EXECUTED, "y")
        clock.set(at(180))
        heard.wait(EVENT_JOB_EXECUTED, "x", 2)
    assert heard.seconds("x") == [120, 180]


def test_a_machine_that_slept_catches_up_at_once(store: str, tmp_path: Path) -> None:
    scheduler, clock = with_a_pool(store, tmp_path)
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.add_job(nothing, "interval", minutes=1, id="x")
        scheduler.add_job(nothing, "interval", minutes=1, id="late", misfire_grace_time=1)
        clock.advance(timedelta(hours=8, seconds=30))
        assert heard.wait(EVENT_JOB_EXECUTED, "x").late == timedelta(seconds=30)
        assert heard.wait(EVENT_JOB_MISSED, "late").late == timedelta(seconds=30)


# -- log ---------------------------------------------------------------------------------------------------------------


def test_the_messages_that_people_grep_for(
    scheduler: VirtualScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "mainspring"):
        scheduler.add_job(nothing, "interval", minutes=1, id="x", name="mine")
        scheduler.add_job(boom, "date", run_date=at(60), id="y", name="yours")
        scheduler.add_job(nothing, "date", run_date=at(-60), id="z", name="theirs")
        scheduler.advance(MINUTE)
        scheduler.remove_job("x")
        scheduler.shutdown()
        scheduler.start()
    # As it was written at the time: a job in memory shows itself differently later.
    for line in (
        r'INFO +mainspring.scheduler:.* Added job "mine" to job store "default"$',
        r"INFO +mainspring.scheduler:.* Removed job x$",
        r"INFO +mainspring.scheduler:.* Removed job y$",
        r"INFO +mainspring.scheduler:.* Scheduler started$",
        r"INFO +mainspring.scheduler:.* Scheduler has been shut down$",
        r"DEBUG +mainspring.scheduler:.* Looking for jobs to run$",
        r"DEBUG +mainspring.scheduler:.* Next wakeup is due at 2026-03-02 12:01:00\+00:00 \(in \d+\.\d{6} seconds\)$",
        r'INFO +mainspring.executors.default:.* Running job "mine \(.*\)" \(scheduled at 2026-03-02 12:01:00\+00:00\)$',
        r'INFO +mainspring.executors.default:.* Job "mine \(.*\)" executed successfully$',
        r'ERROR +mainspring.executors.default:.* Job "yours \(.*\)" raised an exception$',
        r'WARNING +mainspring.executors.default:.* Run time of job "theirs \(.*\)" was missed by 0:01:00',
    ):
        assert re.search(line, caplog.text, re.MULTILINE), line
