"""`VirtualScheduler`: time passes when it is told to, and every run on the way happens, in order."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from mainspring.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, ManualClock
from mainspring.executors.pool import ThreadPoolExecutor
from mainspring.scheduler import SchedulerNotRunningError
from mainspring.scheduler.virtual import VirtualScheduler

from tests.guards.faults import STORES, HoldingExecutor
from tests.scheduler.watching import START, Heard, answer, at, nothing, started, virtual

MINUTE = timedelta(minutes=1)


def test_time_is_where_it_was_put_and_stands_still() -> None:
    scheduler = VirtualScheduler(start=START)
    assert scheduler.now == START
    with started(scheduler):
        assert scheduler.now == START
        scheduler.advance(timedelta(days=1, microseconds=1))
        assert scheduler.now == START + timedelta(days=1, microseconds=1)
        scheduler.advance_to(START + timedelta(days=2))
        assert scheduler.now == START + timedelta(days=2)
    assert scheduler.clock.now() == scheduler.now


def test_now_is_in_the_schedulers_zone_and_naive_times_are_too() -> None:
    with started(virtual(timezone="Europe/Berlin")) as scheduler:
        assert str(scheduler.now.tzinfo) == "Europe/Berlin"
        assert scheduler.now.hour == 13
        scheduler.advance_to(datetime(2026, 3, 2, 14, 0))  # noqa: DTZ001 - naive on purpose
        assert scheduler.now == at(3600)
        scheduler.advance_to(datetime(2026, 3, 2, 10, 0, tzinfo=ZoneInfo("America/New_York")))
        assert scheduler.now == at(3 * 3600)


def test_without_a_start_it_begins_now() -> None:
    scheduler = VirtualScheduler()
    assert abs(scheduler.now - datetime.now(UTC)) < timedelta(minutes=5)


def test_a_clock_may_be_given() -> None:
    clock = ManualClock(START)
    scheduler = VirtualScheduler(clock=clock)
    with started(scheduler):
        scheduler.advance(MINUTE)
    assert clock.now() == at(60)
    with pytest.raises(TypeError, match="give either start or clock"):
        VirtualScheduler(clock=clock, start=START)
    with pytest.raises(TypeError, match="needs a ManualClock"):
        VirtualScheduler(clock=5)


@pytest.mark.parametrize("kind", STORES)
def test_a_run_keeps_its_lease_however_far_the_time_jumps(kind: str, tmp_path: Path) -> None:
    """Nor does it matter when threads get to run: its lease is extended before anybody can look."""
    held = HoldingExecutor()
    store = STORES[kind](tmp_path)
    with started(virtual(jobstores={"default": store}, executors={"default": held})) as scheduler:
        scheduler.add_job(nothing, "date", run_date=at(60), id="x")
        for duration in (MINUTE, MINUTE, timedelta(seconds=29), timedelta(seconds=2), 60 * MINUTE):
            scheduler.advance(duration)
            (run,) = scheduler.get_runs()
            assert run.state == "claimed"
            if run.lease_until is None:
                assert kind != "sqlite", "what others share is leased"
            else:
                assert run.lease_until >= scheduler.now + timedelta(seconds=20)
        held.release()


@pytest.mark.parametrize("kind", STORES)
def test_the_leases_of_several_stores(kind: str, tmp_path: Path) -> None:
    held = HoldingExecutor()
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    stores = {folder.name: STORES[kind](folder) for folder in folders}
    with started(virtual(jobstores=stores, executors={"default": held})) as scheduler:
        for alias in stores:
            scheduler.add_job(nothing, "date", run_date=at(60), jobstore=alias)
        scheduler.advance(MINUTE)
        scheduler.advance(MINUTE)
        runs = scheduler.get_runs()
        assert len(runs) == 2
        assert all(run.lease_until is None or run.lease_until > scheduler.now for run in runs)
        held.release()


def test_what_it_refuses() -> None:
    scheduler = virtual()
    with pytest.raises(SchedulerNotRunningError):
        scheduler.advance(MINUTE)
    with started(scheduler):
        with pytest.raises(ValueError, match="time does not run backwards"):
            scheduler.advance(-MINUTE)
        with pytest.raises(ValueError, match="time does not run backwards"):
            scheduler.advance_to(at(-1))
        scheduler.advance(timedelta(0))
    with pytest.raises(SchedulerNotRunningError):
        scheduler.advance(MINUTE)


@pytest.mark.parametrize("call", [VirtualScheduler.advance, VirtualScheduler.advance_to])
def test_neither_a_job_nor_a_listener_can_advance_it(call: Callable[..., None]) -> None:
    scheduler = virtual()
    heard = Heard(scheduler)
    refused: list[str] = []

    def listen(event: Any) -> None:
        with pytest.raises(RuntimeError) as raised:
            scheduler.advance(MINUTE)
        refused.append(str(raised.value))

    argument = MINUTE if call is VirtualScheduler.advance else at(600)
    with started(scheduler):
        scheduler.add_job(call, "date", run_date=at(1), args=[scheduler, argument], id="x")
        scheduler.add_listener(listen, EVENT_JOB_ERROR)
        scheduler.advance(MINUTE)
        (event,) = heard.of(EVENT_JOB_ERROR, "x")
        assert isinstance(event.exception, RuntimeError)
        assert str(event.exception) == refused[0]
        assert "a job or a listener cannot advance it" in refused[0]
        assert scheduler.now == at(60)


@pytest.mark.parametrize("store", STORES)
def test_every_run_happens_at_its_time_and_in_order(store: str, tmp_path: Path) -> None:
    scheduler = virtual(jobstores={"default": STORES[store](tmp_path)})
    moments: list[tuple[str, datetime, datetime]] = []

    def listen(event: Any) -> None:
        moments.append((event.job_id, event.scheduled_run_time, scheduler.now))

    scheduler.add_listener(listen, EVENT_JOB_EXECUTED)
    with started(scheduler):
        for seconds in (7, 11, 13, 60):
            scheduler.add_job(nothing, "interval", seconds=seconds, id=f"{seconds}")
        scheduler.add_job(nothing, "cron", second="*/20", id="cron")
        scheduler.advance(timedelta(minutes=10))
    expected = sorted(
        [
            (at(step * seconds), f"{seconds}")
            for seconds in (7, 11, 13, 60)
            for step in range(1, 600 // seconds + 1)
        ]
        + [(at(20 * step), "cron") for step in range(31)]
    )
    assert sorted((run_time, job_id) for job_id, run_time, _ in moments) == expected
    assert [run_time for _, run_time, _ in moments] == sorted(run_time for _, run_time, _ in moments)
    assert all(run_time == now for _, run_time, now in moments)


def test_the_end_is_inclusive_and_nothing_runs_behind_it() -> None:
    scheduler = virtual()
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.add_job(nothing, "interval", seconds=10, id="x")
        scheduler.advance(timedelta(seconds=9, microseconds=999_999))
        assert heard.seconds("x") == []
        scheduler.advance(timedelta(microseconds=1))
        assert heard.seconds("x") == [10]


def test_in_one_step_or_in_many_it_is_the_same() -> None:
    seconds = []
    for steps in (1, 60, 1000):
        scheduler = virtual()
        heard = Heard(scheduler)
        with started(scheduler):
            scheduler.add_job(nothing, "interval", seconds=17, id="x")
            for _ in range(steps):
                scheduler.advance(timedelta(hours=1) / steps)
        seconds.append(heard.seconds("x"))
    assert seconds[0] == seconds[1] == seconds[2]


def test_what_a_job_adds_for_now_runs_now() -> None:
    scheduler = virtual()
    heard = Heard(scheduler)

    def add() -> None:
        scheduler.add_job(answer, args=[scheduler.now], id="y")

    with started(scheduler):
        scheduler.add_job(add, "date", run_date=at(10))
        scheduler.advance(timedelta(seconds=10))
    (event,) = heard.of(EVENT_JOB_EXECUTED, "y")
    assert event.retval == event.scheduled_run_time == at(10)


def test_a_job_that_lets_time_pass_by_its_clock_is_seen_to() -> None:
    """A job that takes a minute, as tests say it: the others are late by that much, and say so."""
    scheduler = virtual(job_defaults={"misfire_grace_time": None})
    heard = Heard(scheduler)
    clock = scheduler.clock
    assert isinstance(clock, ManualClock)
    with started(scheduler):
        scheduler.add_job(clock.advance, "date", run_date=at(10), args=[MINUTE])
        scheduler.add_job(nothing, "date", run_date=at(30), id="x")
        scheduler.advance(timedelta(seconds=100))
        (event,) = heard.of(EVENT_JOB_EXECUTED, "x")
        assert event.late == timedelta(seconds=40)
        assert scheduler.now == at(100)


def test_a_year_of_twenty_jobs() -> None:
    """Hourly to monthly, some 100,000 runs; each at its time."""
    scheduler = virtual(timezone="Europe/Berlin")
    runs: dict[str, int] = {}
    late: list[timedelta] = []

    def count(event: Any) -> None:
        runs[event.job_id] = runs.get(event.job_id, 0) + 1
        late.append(event.late)

    scheduler.add_listener(count, EVENT_JOB_EXECUTED)
    with started(scheduler):
        for number in range(11):
            scheduler.add_job(nothing, "interval", hours=1, start_date=at(60 * number), id=f"hourly {number}")
        for number in range(3):
            scheduler.add_job(nothing, "cron", hour=5, minute=number, id=f"daily {number}")
            scheduler.add_job(nothing, "cron", day_of_week=number, hour=6, id=f"weekly {number}")
            scheduler.add_job(nothing, "cron", day=1 + number, hour=7, id=f"monthly {number}")
        scheduler.advance(timedelta(days=365))
    assert {runs[f"hourly {number}"] for number in range(1, 11)} == {8760}
    assert runs["hourly 0"] == 8761  # the first moment, and the last
    assert {runs[f"daily {number}"] for number in range(3)} == {365}
    # From a Monday's noon to a Tuesday's.
    assert [runs[f"weekly {number}"] for number in range(3)] == [52, 53, 52]
    assert {runs[f"monthly {number}"] for number in range(3)} == {12}
    assert set(late) == {timedelta(0)}


def test_a_pool_can_be_used_and_works_by_the_same_clock() -> None:
    """Then runs go on beside the time that passes: a test has to wait for them."""
    scheduler = virtual(executors={"default": ThreadPoolExecutor(2)})
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.add_job(nothing, "date", run_date=at(60), id="x", misfire_grace_time=None)
        scheduler.advance(MINUTE)
        assert heard.wait(EVENT_JOB_EXECUTED, "x").late == timedelta(0)


def test_restarted_by_a_job_it_goes_on_to_where_it_was_to_be_advanced() -> None:
    scheduler = virtual()
    heard = Heard(scheduler)

    def again() -> None:
        scheduler.shutdown()
        scheduler.start()

    with started(scheduler):
        scheduler.add_job(again, "date", run_date=at(90))
        scheduler.add_job(nothing, "interval", minutes=1, id="x")
        scheduler.advance(timedelta(minutes=5))
        assert heard.seconds("x") == [60, 120, 180, 240, 300]
        assert scheduler.now == at(300)


def test_shut_down_by_a_job_time_passes_and_nothing_runs() -> None:
    scheduler = virtual()
    heard = Heard(scheduler)
    scheduler.start()
    scheduler.add_job(scheduler.shutdown, "date", run_date=at(90))
    scheduler.add_job(nothing, "interval", minutes=1, id="x")
    scheduler.advance(timedelta(minutes=5))
    assert heard.seconds("x") == [60]
    assert (scheduler.running, scheduler.now) == (False, at(300))
