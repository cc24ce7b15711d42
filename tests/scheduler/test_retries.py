"""Failed runs are tried again: when, how often, for which exceptions, and what is told and left; on each kind of store."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from mainspring.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
    EVENT_JOB_PARKED,
    EVENT_JOB_REMOVED,
    EVENT_JOB_SUBMIT_FAILED,
    EVENT_JOB_SUBMITTED,
)
from mainspring.jobstores.base import ConflictingIdError, JobLookupError
from mainspring.scheduler.virtual import VirtualScheduler

from tests.guards.faults import STORES, HoldingExecutor, failing, release_all
from tests.jobstores.options import BigTrouble, Trouble
from tests.scheduler.flaky import CALLS, EACH_MINUTE, MINUTE, ONCE, SECOND, Ends, clean, fails, flaky, trouble
from tests.scheduler.watching import Heard, at, nothing, started, virtual

__all__ = ["clean"]  # a fixture


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def scheduler(store: str, tmp_path: Path) -> Iterator[VirtualScheduler]:
    with started(virtual(jobstores={"default": STORES[store](tmp_path)}, random=Random(1))) as scheduler:
        yield scheduler
        release_all(scheduler)


# -- when ----------------------------------------------------------------------------------------------------------

# options -> when the attempts of a run at 60 s take place, all of them failing
TIMES: dict[str, tuple[dict[str, Any], list[float]]] = {
    "none": ({}, [60]),
    "ten seconds": ({"max_retries": 2}, [60, 70, 80]),
    "fixed": ({"max_retries": 3, "retry_delay": 5}, [60, 65, 70, 75]),
    "a timedelta": ({"max_retries": 1, "retry_delay": timedelta(minutes=2)}, [60, 180]),
    "at once": ({"max_retries": 3, "retry_delay": 0}, [60, 60, 60, 60]),
    "exponential": ({"max_retries": 4, "retry_delay": 1, "backoff": 2}, [60, 61, 63, 67, 75]),
    "bounded": ({"max_retries": 4, "retry_delay": 1, "backoff": 3, "max_delay": 5}, [60, 61, 64, 69, 74]),
}


@pytest.mark.parametrize("row", TIMES.values(), ids=TIMES)
def test_the_times_of_the_attempts(
    scheduler: VirtualScheduler, row: tuple[dict[str, Any], list[float]]
) -> None:
    options, seconds = row
    ends = Ends(scheduler)
    fails("x", *trouble(20))
    scheduler.add_job(flaky, **ONCE, id="x", **options)
    scheduler.advance(timedelta(minutes=10))
    assert ends.seconds == pytest.approx(seconds, abs=0.2), "ends are written to a shared store soon"
    assert ends.told("attempt") == [*range(1, len(seconds) + 1)]
    assert [str(error) for error in ends.told("exception")] == [
        f"no. {place}" for place in range(1, len(seconds) + 1)
    ]


def test_jitter_spreads_what_failed_together(scheduler: VirtualScheduler) -> None:
    ends = Ends(scheduler)
    for number in range(50):
        fails(f"{number}", Trouble())
        scheduler.add_job(flaky, **ONCE, args=[f"{number}"], max_retries=1, retry_delay=10, retry_jitter=30)
    scheduler.advance(timedelta(minutes=10))
    retried = ends.seconds[50:]
    assert len(retried) == 50
    assert all(70 <= second < 100 for second in retried)
    assert len(set(retried)) > 45


def test_a_delay_counts_from_the_end_of_the_failed_attempt(scheduler: VirtualScheduler) -> None:
    executor = HoldingExecutor()
    scheduler.add_executor(executor, "held")
    ends = Ends(scheduler)
    fails("x", Trouble())
    scheduler.add_job(flaky, **ONCE, id="x", executor="held", max_retries=1, misfire_grace_time=None)
    scheduler.advance(100 * SECOND)
    executor.release()
    scheduler.advance(9 * SECOND)
    assert not executor.held
    scheduler.advance(SECOND)
    executor.release()
    assert ends.seconds == [100, 110]
    assert ends.told("retry_at") == [at(110), None]


# -- what is told --------------------------------------------------------------------------------------------------


def test_each_attempt_has_its_events(scheduler: VirtualScheduler) -> None:
    heard, ends = Heard(scheduler), Ends(scheduler)
    fails("x", *trouble(2))
    scheduler.add_job(flaky, **ONCE, id="x", max_retries=2, retry_delay=7)
    scheduler.advance(3 * MINUTE)
    assert ends.told("code") == [EVENT_JOB_ERROR, EVENT_JOB_ERROR, EVENT_JOB_EXECUTED]
    assert ends.told("attempt", "retry_at", "is_last_attempt") == [
        (1, at(67), False),
        (2, at(74), False),
        (3, None, True),
    ]
    assert ends.told("scheduled_run_time") == [at(60)] * 3, "they are one run"
    (run_id,) = set(ends.told("run_id"))
    assert isinstance(run_id, int)
    assert ends.told("late") == [timedelta(0), 7 * SECOND, 14 * SECOND]
    submitted = heard.of(EVENT_JOB_SUBMITTED, "x")
    assert [list(event.scheduled_run_times) for event in submitted] == [[at(60)]] * 3
    assert [(event.attempt, event.run_id) for event in submitted] == [(1, run_id), (2, run_id), (3, run_id)]
    assert len(heard.of(EVENT_JOB_REMOVED, "x")) == 1
    assert heard.codes("x")[-1] == EVENT_JOB_REMOVED


def test_the_last_failure_says_that_it_is_the_last(scheduler: VirtualScheduler) -> None:
    ends = Ends(scheduler)
    fails("x", *trouble(2))
    scheduler.add_job(flaky, **ONCE, id="x", max_retries=1)
    scheduler.advance(3 * MINUTE)
    assert ends.told("code", "is_last_attempt") == [(EVENT_JOB_ERROR, False), (EVENT_JOB_ERROR, True)]


def test_runs_of_one_job_have_numbers_of_their_own(scheduler: VirtualScheduler) -> None:
    ends = Ends(scheduler)
    fails("x", Trouble(), "ok", Trouble(), "ok")
    scheduler.add_job(flaky, **EACH_MINUTE, id="x", max_retries=1)
    scheduler.advance(150 * SECOND)
    numbers = ends.told("run_id")
    assert numbers[0] == numbers[1] != numbers[2] == numbers[3]
    assert ends.told("attempt") == [1, 2, 1, 2]


def test_the_log_says_what_follows(scheduler: VirtualScheduler, caplog: pytest.LogCaptureFixture) -> None:
    fails("x", *trouble(2))
    scheduler.add_job(flaky, **ONCE, id="x", name="mine", max_retries=1)
    with caplog.at_level(logging.INFO, "mainspring.scheduler"):
        scheduler.advance(3 * MINUTE)
    first, last = (
        record for record in caplog.records if "Attempt" in record.message and "mainspring.sch" in record.name
    )
    assert first.levelname == "WARNING"
    assert 'Attempt 1 of a run of job "x" (mine) failed' in first.message
    assert "no. 1" in first.message
    assert "The next attempt follows at 2026-03-02 12:01:10+00:00 (retry 1 of 1)" in first.message
    assert last.levelname == "ERROR"
    assert 'Attempt 2 of a run of job "x" (mine) failed, and was the last one' in last.message
    assert "no. 2" in last.message


def test_of_a_job_without_retries_the_log_says_nothing_new(
    scheduler: VirtualScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    fails("x", Trouble())
    scheduler.add_job(flaky, **ONCE, id="x")
    scheduler.advance(3 * MINUTE)
    assert not [record for record in caplog.records if "ttempt" in record.message]


# -- which failures ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("retry_on", "error", "attempts"),
    [
        (Trouble, Trouble(), 2),
        (Trouble, BigTrouble(), 2),
        (BigTrouble, Trouble(), 1),
        ([KeyError, "tests.jobstores.options:Trouble"], BigTrouble(), 2),
        ("builtins:LookupError", KeyError(), 2),
        (OSError, Trouble(), 1),
    ],
)
def test_retry_on(scheduler: VirtualScheduler, retry_on: Any, error: Exception, attempts: int) -> None:
    ends = Ends(scheduler)
    fails("x", error)
    scheduler.add_job(flaky, **ONCE, id="x", max_retries=1, retry_on=retry_on)
    scheduler.advance(3 * MINUTE)
    assert len(ends.events) == attempts
    assert ends.events[0].is_last_attempt == (attempts == 1)


def test_the_log_says_that_an_exception_is_not_retried(
    scheduler: VirtualScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    fails("x", Trouble())
    scheduler.add_job(flaky, **ONCE, id="x", max_retries=3, retry_on=OSError)
    scheduler.advance(3 * MINUTE)
    assert "its exception is none of retry_on" in caplog.text


def test_a_missed_run_is_no_failure(scheduler: VirtualScheduler) -> None:
    ends = Ends(scheduler)
    scheduler.add_job(flaky, **ONCE, id="x", max_retries=3, keep_failed=True)
    scheduler.pause()
    scheduler.advance(2 * MINUTE)
    scheduler.resume()
    scheduler.advance(MINUTE)
    assert ends.told("code", "is_last_attempt") == [(EVENT_JOB_MISSED, True)]
    assert (CALLS, scheduler.get_jobs()) == ([], [])


def test_a_retry_is_never_too_late(scheduler: VirtualScheduler) -> None:
    ends = Ends(scheduler)
    fails("x", Trouble())
    scheduler.add_job(flaky, **ONCE, id="x", max_retries=1, misfire_grace_time=1)
    scheduler.advance(65 * SECOND)
    scheduler.pause()
    scheduler.advance(timedelta(days=3))
    scheduler.resume()
    scheduler.advance(SECOND)
    assert ends.told("code") == [EVENT_JOB_ERROR, EVENT_JOB_EXECUTED]


# -- what is left --------------------------------------------------------------------------------------------------


def test_a_one_off_is_there_until_its_last_attempt(scheduler: VirtualScheduler) -> None:
    fails("x", *trouble(2))
    scheduler.add_job(flaky, **ONCE, id="x", max_retries=1)
    scheduler.advance(65 * SECOND)
    job = scheduler.get_job("x")
    assert job is not None
    assert (job.id, job.next_run_time, scheduler.get_jobs()) == ("x", None, [job])
    with pytest.raises(ConflictingIdError):
        scheduler.add_job(nothing, id="x")
    assert scheduler.get_parked_jobs() == []
    scheduler.advance(MINUTE)
    assert (scheduler.get_job("x"), scheduler.get_jobs(), scheduler.get_runs()) == (None, [], [])
    with pytest.raises(JobLookupError):
        scheduler.remove_job("x")


def test_a_one_off_that_is_to_be_kept_stands_parked(scheduler: VirtualScheduler) -> None:
    heard = Heard(scheduler)
    fails("x", *trouble(2))
    scheduler.add_job(flaky, **ONCE, id="x", max_retries=1, keep_failed=True)
    scheduler.advance(3 * MINUTE)
    (parked,) = scheduler.get_parked_jobs()
    assert parked.job_id == "x"
    assert parked.reason.startswith("failed: ")
    assert "no. 2" in parked.reason
    (event,) = heard.of(EVENT_JOB_PARKED, "x")
    assert event.reason == parked.reason
    assert [job.id for job in scheduler.get_jobs()] == ["x"]
    assert not heard.of(EVENT_JOB_REMOVED, "x")
    scheduler.run_job_now("x")
    assert scheduler.get_parked_jobs() == []
    scheduler.advance(SECOND)
    assert heard.of(EVENT_JOB_EXECUTED, "x")
    scheduler.advance(SECOND)
    assert scheduler.get_jobs() == []
    assert len(heard.of(EVENT_JOB_REMOVED, "x")) == 1


def test_a_job_that_goes_on_is_not_parked(scheduler: VirtualScheduler) -> None:
    fails("x", *trouble(3))
    scheduler.add_job(flaky, **EACH_MINUTE, id="x", keep_failed=True)
    scheduler.advance(3 * MINUTE)
    assert scheduler.get_parked_jobs() == []
    assert [job.next_run_time for job in scheduler.get_jobs()] == [at(240)]


def test_an_endless_text_is_kept_in_part(scheduler: VirtualScheduler) -> None:
    fails("x", Trouble("o" * 100_000))
    scheduler.add_job(flaky, **ONCE, id="x", keep_failed=True)
    scheduler.advance(2 * MINUTE)
    (parked,) = scheduler.get_parked_jobs()
    assert len(parked.reason) < 1_000


def test_a_text_that_is_no_utf_8_is_kept_as_well(scheduler: VirtualScheduler) -> None:
    """Else a store could not write that the run has ended, nor anything else any more."""
    heard = Heard(scheduler)
    fails("x", Trouble("no such file: caf\udce9\0"))
    scheduler.add_job(flaky, **ONCE, id="x", keep_failed=True)
    scheduler.add_job(flaky, **EACH_MINUTE, id="beside it", args=["y"])
    scheduler.advance(3 * MINUTE)
    (parked,) = scheduler.get_parked_jobs()
    assert parked.reason == "failed: Trouble: no such file: caf\\udce9\\x00 (attempt 1)"
    assert len(heard.of(EVENT_JOB_EXECUTED, "beside it")) == 3


# -- beside the schedule -------------------------------------------------------------------------------------------


def test_a_retry_counts_against_max_instances(scheduler: VirtualScheduler) -> None:
    heard, ends = Heard(scheduler), Ends(scheduler)
    fails("x", Trouble())
    scheduler.add_job(flaky, **EACH_MINUTE, id="x", max_retries=1, retry_delay=60)
    scheduler.advance(125 * SECOND)
    assert ends.told("attempt") == [1, 2]
    assert [event.scheduled_run_time for event in heard.of(EVENT_JOB_MAX_INSTANCES)] == [at(120)]
    scheduler.advance(MINUTE)
    assert ends.seconds == [60, 120, 180]


def test_a_backlog_tries_again_what_failed_of_it(scheduler: VirtualScheduler) -> None:
    ends = Ends(scheduler)
    scheduler.add_job(flaky, **EACH_MINUTE, id="x", max_retries=1, coalesce=False, misfire_grace_time=None)
    fails("x", "ok", Trouble(), "ok", Trouble(), "ok")
    scheduler.pause()
    scheduler.advance(220 * SECOND)
    scheduler.resume()
    scheduler.advance(SECOND)
    assert ends.told("code") == [EVENT_JOB_EXECUTED, EVENT_JOB_ERROR, EVENT_JOB_EXECUTED]
    fails("x")
    del ends.events[:]
    scheduler.advance(20 * SECOND)
    assert ends.told("scheduled_run_time", "attempt") == [(at(120), 2), (at(240), 1)]


def test_of_a_backlog_all_that_fail_are_tried_again_together(scheduler: VirtualScheduler) -> None:
    ends, heard = Ends(scheduler), Heard(scheduler)
    scheduler.add_job(
        flaky, **EACH_MINUTE, id="x", max_retries=1, coalesce=False, misfire_grace_time=None, retry_delay=5
    )
    fails("x", Trouble(), "ok", Trouble())
    scheduler.pause()
    scheduler.advance(190 * SECOND)
    scheduler.resume()
    scheduler.advance(6 * SECOND)
    assert set(ends.told("retry_at")) == {None, at(195)}
    assert [list(event.scheduled_run_times) for event in heard.of(EVENT_JOB_SUBMITTED)] == [
        [at(60), at(120), at(180)],
        [at(60), at(180)],
    ]
    assert CALLS == ["x"] * 5


# -- executors ----------------------------------------------------------------------------------------------------


def test_an_executor_of_somebody_s_own_has_retries_too(scheduler: VirtualScheduler) -> None:
    executor = HoldingExecutor()
    scheduler.add_executor(executor, "held")
    ends = Ends(scheduler)
    fails("x", *trouble(2))
    scheduler.add_job(flaky, **ONCE, id="x", executor="held", max_retries=2, misfire_grace_time=None)
    for _ in range(3):
        scheduler.advance(MINUTE)
        executor.release()
    assert ends.told("attempt", "is_last_attempt") == [(1, False), (2, False), (3, True)]


def test_what_an_executor_refuses_is_no_failure_of_the_job(scheduler: VirtualScheduler) -> None:
    """Whether it would be taken the next time, nobody knows; it is told, as without retries."""
    executor, heard = HoldingExecutor(), Heard(scheduler)
    scheduler.add_executor(executor, "refusing")
    scheduler.add_job(flaky, **ONCE, id="x", executor="refusing", max_retries=2, keep_failed=True)
    with failing(executor, "_do_submit_job") as calls:
        scheduler.advance(timedelta(hours=1))
    assert len(calls) == len(heard.of(EVENT_JOB_SUBMIT_FAILED, "x")) == 1
    assert (CALLS, scheduler.get_runs(), scheduler.get_jobs()) == ([], [], [])
