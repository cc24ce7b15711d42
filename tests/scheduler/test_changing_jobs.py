"""`modify_job`, `reschedule_job`, `pause_job`, `resume_job`, `remove_job` and the same of a `Job`, on each kind of store."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from mainspring.events import (
    EVENT_ALL_JOBS_REMOVED,
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MISSED,
    EVENT_JOB_MODIFIED,
    EVENT_JOB_REMOVED,
    EVENT_JOB_SUBMITTED,
)
from mainspring.jobstores.base import JobLookupError
from mainspring.jobstores.job import Job
from mainspring.jobstores.memory import MemoryJobStore
from mainspring.scheduler.virtual import VirtualScheduler
from mainspring.triggers.cron import CronTrigger
from mainspring.triggers.date import DateTrigger
from mainspring.triggers.interval import IntervalTrigger

from tests.guards.faults import STORES
from tests.jobstores.options import OTHER_OPTIONS
from tests.scheduler.watching import Heard, answer, at, nothing, other, started, virtual

MINUTE = timedelta(minutes=1)


@pytest.fixture(params=STORES)
def scheduler(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VirtualScheduler]:
    scheduler = virtual(
        jobstores={"default": STORES[request.param](tmp_path), "more": MemoryJobStore()},
        job_defaults={"misfire_grace_time": None},
    )
    with started(scheduler):
        yield scheduler


def job_of(scheduler: VirtualScheduler, job_id: str = "x") -> Job:
    job = scheduler.get_job(job_id)
    assert job is not None
    return job


# -- modify ------------------------------------------------------------------------------------------------------------


def test_modify_changes_what_a_job_is(scheduler: VirtualScheduler) -> None:
    heard = Heard(scheduler)
    scheduler.add_job(nothing, "interval", minutes=1, id="x")
    changes: dict[str, Any] = {
        "func": answer,
        "args": ("new",),
        "kwargs": {},
        "name": "changed",
        "executor": "default",
        "misfire_grace_time": 7,
        "coalesce": False,
        "max_instances": 5,
        "recovery": "rerun",
        "max_recoveries": 1,
        **OTHER_OPTIONS,
    }
    modified = scheduler.modify_job("x", **changes)
    for job in (modified, job_of(scheduler)):
        assert {name: getattr(job, name) for name in changes} == changes
        assert job.next_run_time == at(60)
    scheduler.advance(MINUTE)
    assert [event.retval for event in heard.of(EVENT_JOB_EXECUTED)] == ["new"]
    assert len(heard.of(EVENT_JOB_MODIFIED, "x")) == 1


def test_modify_with_arguments_of_its_trigger_reschedules_it(scheduler: VirtualScheduler) -> None:
    """`seconds=60` on `minutes=1` makes 60 s, and not 120; start, end, zone and jitter stay."""
    heard = Heard(scheduler)
    scheduler.add_job(
        nothing,
        "interval",
        minutes=5,
        id="x",
        start_date=at(0),
        end_date=at(3600),
        timezone="Europe/Berlin",
        jitter=0,
    )
    job = scheduler.modify_job("x", seconds=90)
    trigger = job.trigger
    assert isinstance(trigger, IntervalTrigger)
    assert (trigger.interval, trigger.start_date, trigger.end_date) == (
        timedelta(seconds=90),
        at(0),
        at(3600),
    )
    assert (str(trigger.timezone), trigger.jitter) == ("Europe/Berlin", 0)
    scheduler.advance(timedelta(minutes=5))
    assert heard.seconds("x") == [0, 90, 180, 270]


def test_modify_with_arguments_of_its_trigger_and_others(scheduler: VirtualScheduler) -> None:
    scheduler.add_job(nothing, "cron", hour=5, minute=7, id="x")
    job = scheduler.modify_job("x", hour=6, name="at six", max_instances=2)
    assert (job.name, job.max_instances) == ("at six", 2)
    assert isinstance(job.trigger, CronTrigger)
    assert job.next_run_time is not None
    assert (job.next_run_time.hour, job.next_run_time.minute) == (6, 0)
    scheduler.add_job(nothing, "date", run_date=at(60), id="once")
    assert scheduler.modify_job("once", run_date=at(90)).next_run_time == at(90)


def test_modify_by_the_name_of_a_trigger_and_its_arguments(scheduler: VirtualScheduler) -> None:
    scheduler.add_job(nothing, "cron", hour=5, id="x")
    job = scheduler.modify_job("x", trigger="interval", seconds=30)
    assert str(job.trigger) == "interval[0:00:30]"
    assert job.next_run_time == at(30)


def test_modify_with_a_trigger_alone_leaves_the_next_run_time(scheduler: VirtualScheduler) -> None:
    heard = Heard(scheduler)
    scheduler.add_job(nothing, "interval", minutes=5, id="x")
    job = scheduler.modify_job("x", trigger=IntervalTrigger(minutes=1, start_date=at(30), timezone="UTC"))
    assert job.next_run_time == at(300)
    scheduler.advance(timedelta(minutes=7))
    assert heard.seconds("x") == [300, 330, 390]


def test_modify_the_next_run_time(scheduler: VirtualScheduler) -> None:
    heard = Heard(scheduler)
    scheduler.add_job(nothing, "interval", minutes=5, id="x")
    assert scheduler.modify_job("x", next_run_time=at(10)).next_run_time == at(10)
    scheduler.advance(timedelta(minutes=5))
    assert heard.seconds("x") == [10, 300]
    assert scheduler.modify_job("x", next_run_time=None).next_run_time is None
    scheduler.advance(timedelta(minutes=10))
    assert heard.seconds("x") == [10, 300]
    scheduler.modify_job("x", next_run_time=at(1000))
    scheduler.advance_to(at(1000))
    assert heard.seconds("x") == [10, 300, 1000]


MISTAKES: list[tuple[dict[str, Any], type[Exception], str]] = [
    (
        {"nmae": "x"},
        AttributeError,
        r"The following are not modifiable attributes of Job: nmae.*did you mean 'name'",
    ),
    (
        {"secs": 5, "foo": 1},
        AttributeError,
        "The following are not modifiable attributes of Job: foo, secs",
    ),
    ({"hour": 5}, AttributeError, "hour -- and no arguments of its trigger"),
    ({"func_ref": "a:b"}, AttributeError, "func_ref"),
    ({"id": "y"}, ValueError, "The job ID may not be changed"),
    ({"args": [1]}, ValueError, "takes_nothing"),
    ({"trigger": 5}, TypeError, "Expected a trigger instance, got int instead"),
    (
        {"trigger": "interval"},
        TypeError,
        '"interval" alone: give its arguments beside it, or use reschedule_job',
    ),
    ({"trigger": "soon"}, TypeError, "Expected a trigger instance, got str instead"),
    ({"trigger": CronTrigger}, TypeError, r"got the class CronTrigger; call it: CronTrigger\(\.\.\.\)"),
    ({"trigger": CronTrigger, "hour": 5}, TypeError, r"got the class CronTrigger; call it"),
    ({"trigger": "cron", "nam": 5}, TypeError, "did you mean 'name'"),
    ({"max_instances": 0}, ValueError, "max_instances"),
    ({"next_run_time": "soon"}, ValueError, "soon"),
    ({"seconds": -5}, ValueError, "an interval must be positive"),
]


@pytest.mark.parametrize("number", range(len(MISTAKES)))
def test_modify_refuses_what_is_wrong_and_changes_nothing(scheduler: VirtualScheduler, number: int) -> None:
    changes, error, message = MISTAKES[number]
    scheduler.add_job(takes_nothing, "interval", minutes=1, id="x", name="old")
    heard = Heard(scheduler)
    with pytest.raises(error, match=message):
        scheduler.modify_job("x", **{"name": "new", **changes})
    assert (job_of(scheduler).name, job_of(scheduler).next_run_time) == ("old", at(60))
    assert heard.events == []


def takes_nothing() -> None:
    """A job without arguments."""


# -- reschedule, pause, resume -----------------------------------------------------------------------------------------


def test_reschedule_counts_from_now(scheduler: VirtualScheduler) -> None:
    heard = Heard(scheduler)
    scheduler.add_job(nothing, "interval", minutes=5, id="x")
    scheduler.advance(timedelta(seconds=10))
    job = scheduler.reschedule_job("x", trigger="interval", minutes=1)
    assert (str(job.trigger), job.next_run_time) == ("interval[0:01:00]", at(70))
    scheduler.reschedule_job("x", trigger=DateTrigger(at(20), timezone="UTC"))
    scheduler.advance(MINUTE)
    assert heard.seconds("x") == [20]
    assert len(heard.of(EVENT_JOB_MODIFIED)) == 2
    assert len(heard.of(EVENT_JOB_REMOVED)) == 1


RESCHEDULED_WRONGLY: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
    (
        (CronTrigger(hour=6),),
        {},
        "jobstore: expected an alias, got a CronTrigger; give it as trigger=$",
    ),
    ((5,), {"trigger": "date"}, "jobstore: expected an alias, got a int$"),
    (
        ("cron",),
        {"hour": 9},
        "jobstore: expected an alias, got 'cron', the name of a trigger; give it as trigger='cron'",
    ),
    (("interval",), {}, "the name of a trigger; give it as trigger='interval'"),
    (("0 5 * * *",), {}, "jobstore: expected an alias, got .*; a crontab line is made a trigger by"),
    ((), {"hour": 9}, "'hour': arguments without a trigger; give the trigger, too"),
    ((), {"trigger": "cron", "xyz": 9}, "Unknown argument of the trigger \"cron\": 'xyz'; known are: "),
    ((), {"trigger": CronTrigger(hour=9), "minute": 9}, r"give it to CronTrigger\(\.\.\.\)"),
]


@pytest.mark.parametrize("number", range(len(RESCHEDULED_WRONGLY)))
@pytest.mark.parametrize("running", [True, False])
def test_reschedule_says_where_the_trigger_is_given(number: int, running: bool) -> None:
    where, arguments, message = RESCHEDULED_WRONGLY[number]
    scheduler = virtual()
    scheduler.add_job(nothing, "interval", minutes=1, id="x")
    if running:
        scheduler.start()
    with pytest.raises(TypeError, match=message) as caught:
        scheduler.reschedule_job("x", *where, **arguments)
    assert "replace_existing" not in str(caught.value)
    assert "max_instances" not in str(caught.value)
    assert str(job_of(scheduler).trigger) == "interval[0:01:00]"
    if running:
        scheduler.shutdown()


def test_a_store_may_be_called_as_a_trigger_is() -> None:
    with started(virtual(jobstores={"date": MemoryJobStore()})) as scheduler:
        scheduler.add_job(nothing, "interval", minutes=1, id="x", jobstore="date")
        assert str(scheduler.reschedule_job("x", "date", "interval", minutes=2).trigger) == (
            "interval[0:02:00]"
        )
        assert scheduler.reschedule_job("x", "date").next_run_time == at(0)


def test_a_pending_job_needs_the_arguments_of_a_trigger_too() -> None:
    scheduler = virtual()
    scheduler.add_job(nothing, "interval", minutes=1, id="x")
    with pytest.raises(TypeError, match='"cron" alone: give its arguments beside it, or use reschedule_job'):
        scheduler.modify_job("x", trigger="cron", name="new")
    assert job_of(scheduler).name == "nothing"
    assert str(scheduler.modify_job("x", trigger="cron", hour=5).trigger) == "cron[hour='5']"


def test_reschedule_lets_a_paused_job_run(scheduler: VirtualScheduler) -> None:
    scheduler.add_job(nothing, "interval", minutes=5, id="x", next_run_time=None)
    assert scheduler.reschedule_job("x", trigger="interval", minutes=1).next_run_time == at(60)


def test_pause_and_resume_of_an_interval(scheduler: VirtualScheduler) -> None:
    """The first fire time behind now, on the same grid: what would have been due meanwhile is not."""
    heard = Heard(scheduler)
    scheduler.add_job(nothing, "interval", minutes=1, id="x")
    scheduler.advance(timedelta(seconds=90))
    assert scheduler.pause_job("x").next_run_time is None
    scheduler.advance(timedelta(minutes=5))
    resumed = scheduler.resume_job("x")
    assert resumed is not None
    assert resumed.next_run_time == at(420)
    scheduler.advance(timedelta(minutes=2))
    assert heard.seconds("x") == [60, 420, 480]


def test_resuming_before_its_time_runs_nothing_twice(scheduler: VirtualScheduler) -> None:
    heard = Heard(scheduler)
    scheduler.add_job(nothing, "interval", minutes=1, id="x")
    scheduler.advance(MINUTE)
    for _ in range(3):
        scheduler.pause_job("x")
        scheduler.resume_job("x")
    scheduler.advance(MINUTE)
    assert heard.seconds("x") == [60, 120]


def test_a_paused_date_keeps_its_time_even_if_it_passes(scheduler: VirtualScheduler) -> None:
    """Resumed too late, it is overdue, and its grace decides."""
    heard = Heard(scheduler)
    scheduler.add_job(nothing, "date", run_date=at(60), id="late")
    scheduler.add_job(nothing, "date", run_date=at(60), id="too late", misfire_grace_time=1)
    scheduler.add_job(nothing, "date", run_date=at(3600), id="early")
    for job_id in ("late", "too late", "early"):
        scheduler.pause_job(job_id)
    scheduler.advance(timedelta(minutes=5))
    for job_id in ("late", "too late", "early"):
        scheduler.resume_job(job_id)
    scheduler.advance(timedelta(hours=1))
    assert heard.seconds("late") == [60]
    assert heard.seconds("too late", EVENT_JOB_MISSED) == [60]
    assert heard.seconds("early") == [3600]
    assert scheduler.get_jobs() == []


def test_a_paused_job_that_gets_another_trigger_goes_on_with_that(scheduler: VirtualScheduler) -> None:
    for job_id in ("paused before", "paused with it", "as it was"):
        scheduler.add_job(nothing, "cron", hour=15, id=job_id, timezone="UTC")
    scheduler.pause_job("paused before")
    scheduler.pause_job("as it was")
    evening = CronTrigger(hour=17, timezone="UTC")
    assert scheduler.modify_job("paused before", trigger=evening).next_run_time is None
    scheduler.modify_job("paused with it", trigger=evening, next_run_time=None)
    scheduler.modify_job("as it was", trigger=CronTrigger(hour=15, timezone="UTC"))
    times = {}
    for job_id in ("paused before", "paused with it", "as it was"):
        resumed = scheduler.resume_job(job_id)
        assert resumed is not None
        times[job_id] = resumed.next_run_time
    assert times == {
        "paused before": at(5 * 3600),
        "paused with it": at(5 * 3600),
        "as it was": at(3 * 3600),
    }


def test_resuming_what_has_no_further_run_removes_it(scheduler: VirtualScheduler) -> None:
    heard = Heard(scheduler)
    scheduler.add_job(nothing, "interval", minutes=1, end_date=at(120), id="x")
    scheduler.pause_job("x")
    scheduler.advance(timedelta(minutes=5))
    assert scheduler.resume_job("x") is None
    assert scheduler.get_jobs() == []
    assert len(heard.of(EVENT_JOB_REMOVED, "x")) == 1


def test_resuming_what_is_not_paused_changes_nothing(scheduler: VirtualScheduler) -> None:
    scheduler.add_job(nothing, "interval", minutes=5, id="x", next_run_time=at(10))
    resumed = scheduler.resume_job("x")
    assert resumed is not None
    assert resumed.next_run_time == at(10)


# -- remove ------------------------------------------------------------------------------------------------------------


def test_remove(scheduler: VirtualScheduler) -> None:
    heard = Heard(scheduler)
    scheduler.add_job(nothing, "interval", minutes=1, id="x")
    scheduler.remove_job("x")
    scheduler.advance(timedelta(minutes=5))
    assert heard.seconds("x") == []
    assert [(event.job_id, event.jobstore) for event in heard.of(EVENT_JOB_REMOVED)] == [("x", "default")]


def test_remove_all(scheduler: VirtualScheduler) -> None:
    for job_id in "abc":
        scheduler.add_job(nothing, "interval", minutes=1, id=job_id)
        scheduler.add_job(nothing, "interval", minutes=1, id=job_id, jobstore="more")
    heard = Heard(scheduler)
    scheduler.remove_all_jobs("default")
    assert len(scheduler.get_jobs()) == 3
    scheduler.remove_all_jobs()
    assert scheduler.get_jobs() == []
    with pytest.raises(KeyError, match="No such job store: nope"):
        scheduler.remove_all_jobs("nope")
    assert [(event.code, event.alias) for event in heard.events] == [
        (EVENT_ALL_JOBS_REMOVED, "default"),
        (EVENT_ALL_JOBS_REMOVED, None),
    ]


def test_remove_all_of_a_scheduler_that_is_stopped() -> None:
    scheduler = virtual(jobstores={"more": MemoryJobStore()})
    scheduler.add_job(nothing, id="x")
    scheduler.add_job(nothing, id="y", jobstore="more")
    scheduler.add_job(nothing, id="z", jobstore="later")
    with pytest.raises(KeyError, match="No such job store: nope"):
        scheduler.remove_all_jobs("nope")
    scheduler.remove_all_jobs("default")
    scheduler.remove_all_jobs("default")
    scheduler.remove_all_jobs("later")
    assert [job.id for job in scheduler.get_jobs()] == ["y"]
    scheduler.remove_all_jobs("more")
    scheduler.remove_all_jobs("more")
    scheduler.remove_all_jobs()


CALLS: dict[str, Callable[[VirtualScheduler, str, str | None], object]] = {
    "modify": lambda scheduler, job_id, jobstore: scheduler.modify_job(job_id, jobstore, name="y"),
    "reschedule": lambda scheduler, job_id, jobstore: scheduler.reschedule_job(job_id, jobstore, "date"),
    "pause": lambda scheduler, job_id, jobstore: scheduler.pause_job(job_id, jobstore),
    "resume": lambda scheduler, job_id, jobstore: scheduler.resume_job(job_id, jobstore),
    "remove": lambda scheduler, job_id, jobstore: scheduler.remove_job(job_id, jobstore),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_job_or_a_store_that_is_not_there(scheduler: VirtualScheduler, call: str) -> None:
    scheduler.add_job(nothing, "interval", minutes=1, id="x", jobstore="more")
    for job_id, jobstore in (("nope", None), ("x", "default"), ("nope", "more"), ("x", "nowhere")):
        with pytest.raises(JobLookupError, match=f"No job by the id of {job_id} was found"):
            CALLS[call](scheduler, job_id, jobstore)
    CALLS[call](scheduler, "x", None)


# -- by the handle ---------------------------------------------------------------------------------------------------------


def test_a_handle_does_the_same(scheduler: VirtualScheduler) -> None:
    job = scheduler.add_job(nothing, "interval", minutes=5, id="x")
    assert job.modify(name="changed", seconds=90) is job
    assert (job.name, str(job.trigger)) == ("changed", "interval[0:01:30]")
    assert job.pause() is job
    assert job.next_run_time is None
    assert str(job) == "changed (trigger: interval[0:01:30], paused)"
    assert job.resume() is job
    assert job.next_run_time == job_of(scheduler).next_run_time is not None
    assert job.reschedule("interval", minutes=2) is job
    assert job.next_run_time == at(120)
    job.remove()
    for call in (job.remove, job.pause, job.resume, lambda: job.modify(name="y"), job.refresh):
        with pytest.raises(JobLookupError):
            call()


def test_a_handle_of_an_earlier_job_of_the_same_id_does_nothing_to_the_new_one(
    scheduler: VirtualScheduler,
) -> None:
    old = scheduler.add_job(nothing, "interval", minutes=5, id="x")
    old.remove()
    scheduler.add_job(other, "interval", minutes=5, id="x", name="new")
    for call in (old.remove, old.pause, lambda: old.modify(name="y"), lambda: old.reschedule("date")):
        with pytest.raises(JobLookupError):
            call()
    assert (job_of(scheduler).name, job_of(scheduler).next_run_time) == ("new", at(300))


def test_a_handle_follows_in_memory_and_is_refreshed_elsewhere(scheduler: VirtualScheduler) -> None:
    job = scheduler.add_job(nothing, "interval", minutes=1, id="x")
    scheduler.advance(MINUTE)
    scheduler.modify_job("x", name="changed")
    if job is scheduler.get_job("x"):
        assert (job.name, job.next_run_time) == ("changed", at(120))
    assert job.refresh() is job
    assert (job.name, job.next_run_time) == ("changed", at(120))


def test_an_attempt_is_judged_by_the_options_that_it_began_with(scheduler: VirtualScheduler) -> None:
    heard: list[bool] = []
    scheduler.add_listener(lambda event: heard.append(event.is_last_attempt), EVENT_JOB_ERROR)
    scheduler.add_listener(lambda event: scheduler.modify_job("x", max_retries=1), EVENT_JOB_SUBMITTED)
    scheduler.add_job("operator:truediv", "interval", minutes=5, args=(1, 0), id="x")
    scheduler.advance(5 * MINUTE)
    assert (heard, scheduler.get_runs()) == ([True], [])
    scheduler.advance(5 * MINUTE)
    assert heard == [True, False]
