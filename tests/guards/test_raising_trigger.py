"""A user's trigger that raises, or answers what is no fire time, costs its own job the schedule, and nobody else anything."""

from asyncio import CancelledError
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mainspring.events import (
    EVENT_JOB_ADDED,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MODIFIED,
    EVENT_JOB_PARKED,
    EVENT_JOBSTORE_FAILED,
    EVENT_SCHEDULER_STARTED,
)
from mainspring.scheduler.virtual import VirtualScheduler
from mainspring.triggers.interval import IntervalTrigger

from tests.guards.faults import SCRIPTS, STORES, InjectedFault, ScriptedTrigger, UnspeakableFault, raising
from tests.scheduler.watching import Heard, at, background, nothing, started, virtual

MINUTE = timedelta(minutes=1)

ANSWERS: dict[str, Callable[[datetime | None, datetime], Any]] = {
    "raises": raising(),
    "raises something that cannot be shown": raising(UnspeakableFault()),
    "a naive time": lambda previous, now: datetime(2030, 1, 1),  # noqa: DTZ001
    "a text": lambda previous, now: "tomorrow",
    "a number": lambda previous, now: 5,
    "a date": lambda previous, now: date(2030, 1, 1),
    "a wrong kind of nothing": lambda previous, now: False,
}
NOT_LATER: dict[str, Callable[[datetime | None, datetime], Any]] = {
    "the same time": lambda previous, now: previous,
    "an earlier time": lambda previous, now: previous - MINUTE if previous else None,
}


def once_then(answer: Callable[..., Any]) -> Callable[[datetime | None, datetime], Any]:
    """A fire time in a minute, and the answer from then on."""
    return lambda previous, now: at(60) if previous is None else answer(previous, now)


@pytest.fixture(autouse=True)
def scripts() -> Iterator[None]:
    yield
    SCRIPTS.clear()


@pytest.fixture(params=STORES)
def scheduler(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VirtualScheduler]:
    made = virtual(
        jobstores={"default": STORES[request.param](tmp_path)}, job_defaults={"misfire_grace_time": None}
    )
    with started(made) as scheduler:
        yield scheduler


@pytest.mark.parametrize("answer", ANSWERS)
def test_at_add_it_is_the_callers_error(scheduler: VirtualScheduler, answer: str) -> None:
    SCRIPTS["x"] = ANSWERS[answer]
    with pytest.raises((InjectedFault, UnspeakableFault, ValueError, TypeError)):
        scheduler.add_job(nothing, ScriptedTrigger("x"), id="bad")
    assert scheduler.get_jobs() == []


def test_at_add_the_message_says_what_was_answered(scheduler: VirtualScheduler) -> None:
    SCRIPTS["x"] = ANSWERS["a text"]
    with pytest.raises(
        ValueError, match=r"ScriptedTrigger.*None or a datetime with a timezone, got 'tomorrow'"
    ):
        scheduler.add_job(nothing, ScriptedTrigger("x"))


@pytest.mark.parametrize("coalesce", [True, False])
@pytest.mark.parametrize("answer", [*ANSWERS, *NOT_LATER])
def test_at_claim_the_due_run_runs_and_the_job_is_parked(
    scheduler: VirtualScheduler, answer: str, coalesce: bool
) -> None:
    heard = Heard(scheduler)
    SCRIPTS["x"] = once_then({**ANSWERS, **NOT_LATER}[answer])
    scheduler.add_job(nothing, ScriptedTrigger("x"), id="bad", coalesce=coalesce)
    scheduler.add_job(nothing, "interval", minutes=1, id="good")
    scheduler.advance(timedelta(minutes=5))
    assert heard.seconds("good") == [60, 120, 180, 240, 300]
    assert heard.seconds("bad") == [60]
    (parked,) = heard.of(EVENT_JOB_PARKED)
    assert (parked.job_id, parked.jobstore) == ("bad", "default")
    assert parked.reason.startswith("trigger: ")
    assert not heard.of(EVENT_JOBSTORE_FAILED)
    (listed,) = scheduler.get_parked_jobs()
    assert (listed.job_id, listed.reason, listed.fire_time) == ("bad", parked.reason, at(60))
    job = scheduler.get_job("bad")
    assert job is not None
    assert job.next_run_time is None
    assert [each.id for each in scheduler.get_jobs()] == ["good", "bad"]


def test_a_parked_job_runs_again_when_it_is_rescheduled(scheduler: VirtualScheduler) -> None:
    heard = Heard(scheduler)
    SCRIPTS["x"] = once_then(raising())
    scheduler.add_job(nothing, ScriptedTrigger("x"), id="bad")
    scheduler.advance(MINUTE)
    assert scheduler.get_parked_jobs()
    scheduler.reschedule_job("bad", trigger="interval", minutes=1)
    scheduler.advance(MINUTE)
    assert heard.seconds("bad") == [60, 120]
    assert scheduler.get_parked_jobs() == []


def test_pausing_a_parked_job_changes_nothing_and_resuming_needs_a_trigger_that_answers(
    scheduler: VirtualScheduler,
) -> None:
    heard = Heard(scheduler)
    SCRIPTS["x"] = once_then(raising())
    scheduler.add_job(nothing, ScriptedTrigger("x"), id="bad")
    scheduler.advance(MINUTE)
    scheduler.pause_job("bad")
    assert [job.job_id for job in scheduler.get_parked_jobs()] == ["bad"]
    with pytest.raises(InjectedFault):
        scheduler.resume_job("bad")
    assert [job.job_id for job in scheduler.get_parked_jobs()] == ["bad"]
    SCRIPTS["x"] = lambda previous, now: (previous or now) + MINUTE
    resumed = scheduler.resume_job("bad")
    assert resumed is not None
    assert resumed.next_run_time == at(120)
    scheduler.advance(MINUTE)
    assert heard.seconds("bad") == [60, 120]


def test_replacing_a_job_that_was_parked_by_its_trigger_lets_it_try_again(
    scheduler: VirtualScheduler,
) -> None:
    SCRIPTS["x"] = once_then(raising())
    scheduler.add_job(nothing, ScriptedTrigger("x"), id="bad")
    scheduler.advance(MINUTE)
    SCRIPTS["x"] = lambda previous, now: (previous or now) + MINUTE
    scheduler.add_job(nothing, ScriptedTrigger("x"), id="bad", replace_existing=True)
    assert scheduler.get_parked_jobs() == []
    job = scheduler.get_job("bad")
    assert job is not None
    assert job.next_run_time == at(120)


@pytest.mark.parametrize("answer", ANSWERS)
def test_at_reschedule_it_is_the_callers_error_and_the_job_stays_as_it_was(
    scheduler: VirtualScheduler, answer: str
) -> None:
    heard = Heard(scheduler)
    SCRIPTS["x"] = ANSWERS[answer]
    scheduler.add_job(nothing, "interval", minutes=1, id="good")
    with pytest.raises((InjectedFault, UnspeakableFault, ValueError, TypeError)):
        scheduler.reschedule_job("good", trigger=ScriptedTrigger("x"))
    assert not heard.of(EVENT_JOB_MODIFIED)
    job = scheduler.get_job("good")
    assert job is not None
    assert isinstance(job.trigger, IntervalTrigger)
    scheduler.advance(MINUTE)
    assert heard.seconds("good") == [60]


class UnboundTrigger(ScriptedTrigger):
    """Fails when it is bound."""

    def bind(self, now: datetime, job_id: str, anchor: datetime | None = None) -> Any:
        raise InjectedFault("bind fails")


def test_a_trigger_that_cannot_be_bound(scheduler: VirtualScheduler) -> None:
    with pytest.raises(InjectedFault):
        scheduler.add_job(nothing, UnboundTrigger("x"))
    assert scheduler.get_jobs() == []


class OddTrigger(BaseException):
    """Not a trigger at all."""


def test_what_is_no_trigger_is_refused(scheduler: VirtualScheduler) -> None:
    with pytest.raises(TypeError, match="Expected a trigger instance or the name of one, got OddTrigger"):
        scheduler.add_job(nothing, OddTrigger())  # type: ignore[arg-type]


class ZonedTrigger(ScriptedTrigger):
    """Names its zone in text, as a trigger of somebody's may well do."""

    timezone = "Europe/Berlin"


class ShyTrigger(ScriptedTrigger):
    """Fails when it is looked at."""

    @property
    def timezone(self) -> Any:
        raise AttributeError("no zone")

    def __str__(self) -> str:
        raise InjectedFault("no words for it")


@pytest.mark.parametrize("kind", [ZonedTrigger, ShyTrigger])
def test_attributes_of_a_users_trigger_are_only_a_trigger_of_ours_promise(
    scheduler: VirtualScheduler, kind: type[ScriptedTrigger]
) -> None:
    heard = Heard(scheduler)
    SCRIPTS["x"] = lambda previous, now: (previous or now) + MINUTE
    scheduler.add_job(nothing, kind("x"), id="odd")
    scheduler.add_job(nothing, "interval", minutes=1, id="good")
    scheduler.advance(timedelta(minutes=2))
    assert heard.seconds("odd") == [60, 120]
    assert heard.seconds("good") == [60, 120]


def test_a_pending_job_whose_trigger_fails_stops_the_start_and_nothing_is_half_done() -> None:
    scheduler = virtual()
    heard = Heard(scheduler)
    scheduler.add_job(nothing, "interval", minutes=1, id="good")
    SCRIPTS["x"] = raising()
    scheduler.add_job(nothing, ScriptedTrigger("x"), id="bad")
    with pytest.raises(InjectedFault):
        scheduler.start()
    assert not scheduler.running
    assert [job.id for job in scheduler.get_jobs(pending=True)] == ["good", "bad"]
    assert not heard.of(EVENT_SCHEDULER_STARTED | EVENT_JOB_ADDED)
    SCRIPTS["x"] = lambda previous, now: (previous or now) + MINUTE
    with started(scheduler):
        scheduler.advance(MINUTE)
        assert heard.seconds("good") == heard.seconds("bad") == [60]


def test_a_trigger_that_never_gets_on_keeps_nobody_else() -> None:
    """Each answer is later than the one before, and by so little that a backlog of an hour has no end."""
    scheduler, _ = background(job_defaults={"misfire_grace_time": None})
    heard = Heard(scheduler)
    SCRIPTS["x"] = lambda previous, now: (previous or now) + timedelta(microseconds=1)
    with started(scheduler):
        scheduler.add_job(nothing, ScriptedTrigger("x"), id="slow", next_run_time=at(-3600))
        heard.wait(EVENT_JOB_EXECUTED, "slow", 2)
        scheduler.add_job(nothing, "date", run_date=at(0), id="good")
        heard.wait(EVENT_JOB_EXECUTED, "good")
        scheduler.remove_job("slow")


@pytest.mark.parametrize("error", [SystemExit("a trigger that exits"), CancelledError(), GeneratorExit()])
def test_a_trigger_that_raises_no_exception_but_worse_does_not_end_the_loops_thread(
    error: BaseException,
) -> None:
    scheduler, clock = background(job_defaults={"misfire_grace_time": None})
    heard = Heard(scheduler)
    SCRIPTS["x"] = once_then(raising(error))
    with started(scheduler):
        scheduler.add_job(nothing, ScriptedTrigger("x"), id="bad")
        scheduler.add_job(nothing, "interval", minutes=1, id="good")
        clock.advance(MINUTE)
        heard.wait(EVENT_JOB_PARKED, "bad")
        heard.wait(EVENT_JOB_EXECUTED, "bad")
        heard.wait(EVENT_JOB_EXECUTED, "good")
        clock.advance(MINUTE)
        heard.wait(EVENT_JOB_EXECUTED, "good", 2)
    assert not heard.of(EVENT_JOBSTORE_FAILED)


def test_an_order_to_exit_in_the_main_thread_is_obeyed() -> None:
    """A signal handler of the program's that calls `sys.exit()` may do so while a trigger is asked."""
    SCRIPTS["x"] = once_then(raising(SystemExit("told to exit")))
    with started(virtual()) as scheduler:
        scheduler.add_job(nothing, ScriptedTrigger("x"), id="bad")
        with pytest.raises(SystemExit, match="told to exit"):
            scheduler.advance(MINUTE)
        assert scheduler.get_parked_jobs() == []


def test_times_far_away_are_times(scheduler: VirtualScheduler) -> None:
    heard = Heard(scheduler)
    SCRIPTS["x"] = once_then(lambda previous, now: datetime.max.replace(tzinfo=UTC))
    scheduler.add_job(nothing, ScriptedTrigger("x"), id="far")
    scheduler.add_job(nothing, "interval", minutes=1, id="good")
    scheduler.advance(timedelta(minutes=2))
    assert heard.seconds("far") == [60]
    assert heard.seconds("good") == [60, 120]
    assert scheduler.get_parked_jobs() == []
