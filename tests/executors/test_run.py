"""run_job: the misfire check, the outcomes as events, the log, and what is refused."""

import asyncio
import functools
import gc
import logging
import weakref
from datetime import timedelta
from typing import Any

import pytest
from mainspring.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MISSED,
    JobExecutionEvent,
    ManualClock,
)
from mainspring.executors import CoroutineFunctionError
from mainspring.executors.base import run_coroutine_job, run_job

from tests.executors import fakes
from tests.executors.fakes import NOON, FakeJob, FakeScheduler, micros, noon_clock

SECOND = timedelta(seconds=1)


def run(job: FakeJob, *args: Any, **options: Any) -> list[JobExecutionEvent]:
    options.setdefault("clock", noon_clock())
    return run_job(job, "default", args or [NOON], "mainspring.executors.test", **options)


def test_a_run_is_told_with_its_result() -> None:
    (event,) = run(
        FakeJob(fakes.add, (1,), {"b": 2}), clock=noon_clock(late=1.5), claimed_at=micros(NOON + SECOND)
    )
    assert event == JobExecutionEvent(
        EVENT_JOB_EXECUTED,
        "job",
        "default",
        NOON,
        3,
        late=timedelta(seconds=1.5),
        queued=timedelta(seconds=0.5),
    )


def test_an_exception_is_told_with_the_traceback_of_the_job_alone() -> None:
    (event,) = run(FakeJob(fakes.boom))
    assert event.code == EVENT_JOB_ERROR
    assert repr(event.exception) == "ValueError('boom')"
    assert event.traceback is not None
    assert event.traceback.startswith("Traceback (most recent call last)")
    assert "in boom" in event.traceback
    assert event.traceback.endswith("ValueError: boom\n")
    assert "/executors/run.py" not in event.traceback


def test_what_the_job_held_goes_when_the_event_goes(caplog: pytest.LogCaptureFixture) -> None:
    # pytest keeps the log's records, and they the exception
    caplog.set_level(logging.CRITICAL, "mainspring.executors.test")

    class Held:
        pass

    seen: list[weakref.ref[Held]] = []

    def fail() -> None:
        held = Held()
        seen.append(weakref.ref(held))
        raise ValueError

    gc.collect()
    gc.disable()  # a cycle would keep it until the next collection
    try:
        run(FakeJob(fail))
        assert seen[0]() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("func", [fakes.leave, fakes.interrupt])
def test_system_exit_and_keyboard_interrupt_end_the_run_only(func: Any) -> None:
    (event,) = run(FakeJob(func))
    assert event.code == EVENT_JOB_ERROR
    assert type(event.exception) in (SystemExit, KeyboardInterrupt)


@pytest.mark.parametrize(
    ("grace", "late", "code"),
    [
        (None, 1e6, EVENT_JOB_EXECUTED),
        (1, 0, EVENT_JOB_EXECUTED),
        (1, 1, EVENT_JOB_EXECUTED),  # exactly the grace is still in time
        (1, 1.000001, EVENT_JOB_MISSED),
        (0.25, 0.25, EVENT_JOB_EXECUTED),
        (0.25, 0.3, EVENT_JOB_MISSED),
        (1, -5, EVENT_JOB_EXECUTED),  # the clock was set back
    ],
)
def test_misfire(grace: float | None, late: float, code: int) -> None:
    (event,) = run(FakeJob(fakes.nothing, misfire_grace_time=grace), clock=noon_clock(late))
    assert event.code == code
    assert event.late == timedelta(seconds=late)


def test_each_run_time_is_judged_when_its_run_starts() -> None:
    clock = noon_clock()
    job = FakeJob(lambda: clock.advance(SECOND), misfire_grace_time=1)
    times = [NOON + timedelta(seconds=s) for s in (-1, 0, 0.5, 0.2, 2)]
    events = run(job, *times, clock=clock)
    # starts at:  0, 1, 2 (1.5 s late), 2 (1.8 s late), 2
    assert [e.code for e in events] == [
        EVENT_JOB_EXECUTED,
        EVENT_JOB_EXECUTED,
        EVENT_JOB_MISSED,
        EVENT_JOB_MISSED,
        EVENT_JOB_EXECUTED,
    ]
    assert [e.scheduled_run_time for e in events] == times


@pytest.mark.parametrize(
    ("claimed", "queued"),
    [(-10, 2), (0, 2), (0.5, 1.5), (2, 0), (7, 0)],  # seconds after noon; run at noon + 2 s
)
def test_queued_is_the_part_of_the_lateness_after_the_claim(claimed: float, queued: float) -> None:
    at = micros(NOON + timedelta(seconds=claimed))
    (event,) = run(FakeJob(fakes.nothing), clock=noon_clock(2), claimed_at=at)
    assert event.queued == timedelta(seconds=queued)


def test_the_log_of_a_missed_run_says_where_the_time_went(caplog: pytest.LogCaptureFixture) -> None:
    job = FakeJob(fakes.nothing, misfire_grace_time=1)
    run(job, clock=noon_clock(3), claimed_at=micros(NOON + SECOND))
    run(job, clock=noon_clock(3), claimed_at=micros(NOON + 2 * SECOND))
    run(job, clock=noon_clock(3))
    in_queue, before, unknown = (record.getMessage() for record in caplog.records)
    start = 'Run time of job "job" was missed by 0:00:03'
    assert in_queue.startswith(f"{start}: 0:00:01 before it was taken from the store, 0:00:02 in the queue")
    assert "more workers" in in_queue
    assert "misfire_grace_time (now 1 s)" in in_queue
    assert before.startswith(f"{start}: 0:00:02 before it was taken from the store, 0:00:01 in the queue")
    assert "more workers" not in before
    assert "misfire_grace_time (now 1 s)" in before
    assert unknown.startswith(start)
    assert "more workers" in unknown
    assert {record.levelname for record in caplog.records} == {"WARNING"}


def test_the_log_of_runs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    run(FakeJob(fakes.nothing))
    run(FakeJob(fakes.boom))
    assert [(r.name, r.levelname, r.getMessage()) for r in caplog.records] == [
        ("mainspring.executors.test", "INFO", f'Running job "job" (scheduled at {NOON})'),
        ("mainspring.executors.test", "INFO", 'Job "job" executed successfully'),
        ("mainspring.executors.test", "INFO", f'Running job "job" (scheduled at {NOON})'),
        ("mainspring.executors.test", "ERROR", 'Job "job" raised an exception'),
    ]
    assert "ValueError: boom" in caplog.text


def test_events_that_nobody_wants_are_not_built() -> None:
    wanted = [EVENT_JOB_MISSED]
    job = FakeJob(fakes.nothing, misfire_grace_time=1)
    late = NOON - timedelta(seconds=9)
    events = run(job, NOON, late, wants=lambda code: code in wanted)
    assert [(e.code, e.scheduled_run_time) for e in events] == [(EVENT_JOB_MISSED, late)]
    assert run(FakeJob(fakes.boom), wants=lambda code: code in wanted) == []


class Service:
    async def method(self) -> None:
        pass

    async def __call__(self) -> None:
        pass


async def stream() -> Any:
    yield 1


@pytest.mark.parametrize(
    "func",
    [
        fakes.coroutine,
        functools.partial(fakes.coroutine),
        Service().method,
        functools.partial(Service().method),
        Service(),
        stream,
        fakes.disguised_coroutine,
        functools.partial(fakes.disguised_coroutine),
    ],
)
def test_a_coroutine_function_is_refused(func: Any) -> None:
    (event,) = run(FakeJob(func))
    assert event.code == EVENT_JOB_ERROR
    assert isinstance(event.exception, CoroutineFunctionError)
    assert "a function that calls asyncio.run(...)" in str(event.exception)


@pytest.mark.parametrize("func", [int, functools.partial(fakes.add, 1), "".join, Service, print])
def test_other_callables_are_not(func: Any) -> None:
    args: tuple[Any, ...] = ([],) if func == "".join else ()
    (event,) = run(FakeJob(func, args))
    assert event.code == EVENT_JOB_EXECUTED


def test_the_clock_of_the_jobs_scheduler_is_the_default() -> None:
    job = FakeJob(fakes.nothing, misfire_grace_time=1)
    job._scheduler = FakeScheduler(clock=noon_clock())  # type: ignore[attr-defined]
    (event,) = run_job(job, "default", [NOON], "log")
    assert event.code == EVENT_JOB_EXECUTED
    job._scheduler = None  # type: ignore[attr-defined]
    (event,) = run_job(job, "default", [NOON - timedelta(days=3000)], "log")
    assert event.code == EVENT_JOB_MISSED


# The twin for coroutine functions


def run_async(job: FakeJob, *times: Any, clock: ManualClock | None = None) -> list[JobExecutionEvent]:
    return asyncio.run(
        run_coroutine_job(
            job, "default", times or [NOON], "mainspring.executors.test", clock=clock or noon_clock()
        )
    )


def test_a_coroutine_function_is_awaited() -> None:
    (event,) = run_async(FakeJob(fakes.coroutine))
    assert (event.code, event.retval) == (EVENT_JOB_EXECUTED, 1)
    (event,) = run_async(FakeJob(fakes.add, (1, 1)))
    assert (event.code, event.retval) == (EVENT_JOB_EXECUTED, 2)


def test_a_coroutine_that_raises_or_is_late() -> None:
    async def fail() -> None:
        raise ValueError("boom")

    clock = noon_clock(late=2)
    events = run_async(FakeJob(fail, misfire_grace_time=1), NOON, NOON + SECOND, clock=clock)
    assert [e.code for e in events] == [EVENT_JOB_MISSED, EVENT_JOB_ERROR]
    assert events[1].traceback is not None
    assert "in fail" in events[1].traceback
    assert "mainspring/executors/run.py" not in events[1].traceback


def test_a_cancelled_coroutine_has_failed_and_so_has_what_was_to_follow() -> None:
    async def main() -> list[JobExecutionEvent]:
        begun = asyncio.Event()

        async def hang() -> None:
            begun.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(
            run_coroutine_job(FakeJob(hang), "default", [NOON, NOON], "log", clock=noon_clock())
        )
        await begun.wait()
        task.cancel()
        return await task

    events = asyncio.run(main())
    assert [type(e.exception) for e in events] == [asyncio.CancelledError] * 2
