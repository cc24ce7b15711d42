"""`add_job`, `add_jobs` and `scheduled_job`: what they take, what they answer, what they refuse, before and after the start."""

import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from mainspring.events import (
    EVENT_JOB_ADDED,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MODIFIED,
    EVENT_JOB_REMOVED,
    JobEvent,
)
from mainspring.jobstores.base import ConflictingIdError
from mainspring.jobstores.memory import MemoryJobStore
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.scheduler.virtual import VirtualScheduler
from mainspring.triggers.cron import CronTrigger
from mainspring.triggers.date import DateTrigger
from mainspring.triggers.interval import IntervalTrigger

from tests.scheduler.watching import START, Heard, answer, at, nothing, started, virtual

MINUTE = timedelta(minutes=1)


@pytest.fixture
def scheduler() -> Iterator[VirtualScheduler]:
    with started(virtual()) as scheduler:
        yield scheduler


def takes_two(first: Any, second: Any, *, third: Any = None) -> None:
    """A job with a signature."""


# -- what it is called with --------------------------------------------------------------------------------------------


def test_without_a_trigger_it_runs_once_now(scheduler: VirtualScheduler) -> None:
    heard = Heard(scheduler)
    job = scheduler.add_job(answer, args=["it ran"], id="x")
    assert isinstance(job.trigger, DateTrigger)
    assert job.next_run_time == START
    scheduler.advance(MINUTE)
    (event,) = heard.of(EVENT_JOB_EXECUTED)
    assert (event.retval, event.scheduled_run_time) == ("it ran", START)
    assert len(heard.of(EVENT_JOB_REMOVED, "x")) == 1


def test_a_trigger_by_its_name_gets_the_zone_of_the_scheduler() -> None:
    with started(virtual(timezone="Europe/Berlin")) as scheduler:
        for name, arguments in (
            ("interval", {"hours": 1}),
            ("cron", {"hour": 5}),
            ("date", {"run_date": "2026-04-01 12:00:00"}),
        ):
            job = scheduler.add_job(nothing, name, **arguments)
            assert str(job.trigger.timezone) == "Europe/Berlin"  # type: ignore[attr-defined]
            assert job.next_run_time is not None
            assert str(job.next_run_time.tzinfo) == "Europe/Berlin"
        job = scheduler.add_job(nothing, "cron", hour=5, timezone="UTC")
        assert job.next_run_time == datetime(2026, 3, 3, 5, tzinfo=UTC)


def test_a_trigger_that_is_made_already(scheduler: VirtualScheduler) -> None:
    trigger = CronTrigger(hour=13, timezone="UTC")
    job = scheduler.add_job(nothing, trigger)
    assert job.trigger == trigger
    assert job.next_run_time == at(3600)


def test_a_function_by_its_reference(scheduler: VirtualScheduler) -> None:
    job = scheduler.add_job("tests.scheduler.watching:answer", args=[5], id="x")
    assert job.func is answer
    assert job.func_ref == "tests.scheduler.watching:answer"
    heard = Heard(scheduler)
    scheduler.advance(MINUTE)
    assert heard.of(EVENT_JOB_EXECUTED)[0].retval == 5


def test_lambdas_partials_methods_and_callables_run_from_memory(scheduler: VirtualScheduler) -> None:
    heard = Heard(scheduler)

    class Caller:
        def method(self) -> str:
            return "method"

        def __call__(self) -> str:
            return "call"

    for func in (lambda: "lambda", partial(answer, "partial"), Caller().method, Caller()):
        scheduler.add_job(func)
    scheduler.advance(MINUTE)
    assert [event.retval for event in heard.of(EVENT_JOB_EXECUTED)] == ["lambda", "partial", "method", "call"]


def test_name_and_id(scheduler: VirtualScheduler) -> None:
    first, second = scheduler.add_job(nothing), scheduler.add_job(nothing, id="", name="mine")
    assert len(first.id) == len(second.id) == 32
    assert first.id != second.id
    assert (first.name, second.name) == ("nothing", "mine")
    assert scheduler.add_job(nothing, id="x") == scheduler.get_job("x")


def test_options_that_are_not_given_come_from_the_defaults() -> None:
    with started(virtual()) as scheduler:
        job = scheduler.add_job(nothing)
        assert (job.misfire_grace_time, job.coalesce, job.max_instances) == (1, True, 1)
        assert (job.recovery, job.max_recoveries, job.executor) == ("skip", 3, "default")
    defaults = {
        "misfire_grace_time": 30,
        "coalesce": False,
        "max_instances": 3,
        "recovery": "rerun",
        "max_recoveries": 5,
    }
    given = dict(defaults)
    with started(virtual(job_defaults=given)) as scheduler:
        job = scheduler.add_job(nothing)
        assert {name: getattr(job, name) for name in defaults} == defaults
        others = {
            "misfire_grace_time": None,
            "coalesce": True,
            "max_instances": 1,
            "recovery": "skip",
            "max_recoveries": 0,
        }
        job = scheduler.add_job(nothing, **others)  # type: ignore[arg-type]
        assert {name: getattr(job, name) for name in others} == others
    assert given == defaults  # the caller's own


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (at(30), at(30)),
        (datetime(2026, 3, 2, 13, 0, tzinfo=ZoneInfo("Europe/Berlin")), at(0)),
        (datetime(2026, 3, 2, 14, 0), at(3600)),  # noqa: DTZ001 - naive: in the scheduler's zone, here Berlin's
        ("2026-03-02 13:00:30", at(30)),
        ("2026-03-02T12:00:30Z", at(30)),
        (date(2026, 3, 3), at(39600)),
        (None, None),
    ],
)
def test_next_run_time_in_all_its_forms(given: Any, expected: datetime | None) -> None:
    scheduler = virtual(timezone="Europe/Berlin")
    pending = scheduler.add_job(nothing, "interval", minutes=1, next_run_time=given)
    with started(scheduler):
        assert pending.next_run_time == expected
        job = scheduler.add_job(nothing, "interval", minutes=1, next_run_time=given)
        assert job.next_run_time == expected
        assert scheduler.add_job(nothing, "date", run_date=at(600), next_run_time=given).next_run_time == (
            expected
        )


def test_next_run_time_becomes_the_anchor_of_an_interval_without_a_start(scheduler: VirtualScheduler) -> None:
    heard = Heard(scheduler)
    scheduler.add_job(nothing, "interval", minutes=1, next_run_time=at(10), id="x")
    scheduler.add_job(
        nothing,
        "interval",
        minutes=1,
        start_date=at(0),
        next_run_time=at(10),
        id="y",
        misfire_grace_time=None,
    )
    scheduler.advance(timedelta(minutes=3))
    assert heard.seconds("x") == [10, 70, 130]
    assert heard.seconds("y") == [10, 60, 120, 180]


def test_a_next_run_time_that_has_passed_is_overdue(scheduler: VirtualScheduler) -> None:
    heard = Heard(scheduler)
    scheduler.add_job(nothing, "interval", minutes=1, next_run_time=at(-90), id="x", misfire_grace_time=None)
    scheduler.advance(timedelta(0))
    assert heard.seconds("x") == [-30]


def test_a_job_that_is_added_paused(scheduler: VirtualScheduler) -> None:
    heard = Heard(scheduler)
    scheduler.add_job(nothing, "interval", minutes=1, next_run_time=None, id="x")
    scheduler.advance(timedelta(minutes=5))
    assert heard.seconds("x") == []
    scheduler.resume_job("x")
    scheduler.advance(timedelta(minutes=2))
    assert heard.seconds("x") == [300, 360, 420]


def test_a_job_without_a_fire_time_left_is_kept_with_a_warning(
    scheduler: VirtualScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    job = scheduler.add_job(nothing, "interval", minutes=1, end_date=at(-1), id="x", name="late")
    assert job.next_run_time is None
    assert 'Job "late" has no fire time left: it is kept, and will not run' in caplog.text
    scheduler.advance(MINUTE)
    assert [job.id for job in scheduler.get_jobs()] == ["x"]


# -- what it refuses ---------------------------------------------------------------------------------------------------

REFUSALS: list[tuple[Mapping[str, Any], type[Exception], str]] = [
    ({"func": 5}, TypeError, "func must be a callable or a textual reference"),
    ({"func": "no reference"}, ValueError, "not a reference"),
    ({"func": "tests.scheduler.watching:missing"}, LookupError, "missing"),
    ({"func": "no_such_module:func"}, LookupError, "no_such_module"),
    ({"trigger": "nope"}, LookupError, 'No trigger by the name "nope" was found'),
    ({"trigger": 5}, TypeError, "Expected a trigger instance or the name of one, got int instead"),
    ({"trigger": IntervalTrigger}, TypeError, "Expected a trigger instance or the name of one"),
    ({"trigger": "interval", "seconds": 5, "minute": 1}, TypeError, "did you mean 'minutes'"),
    ({"trigger": "interval", "seconds": 0}, ValueError, "an interval must be positive"),
    ({"trigger": "interval", "seconds": -1}, ValueError, "an interval must be positive"),
    ({"trigger": "date", "run_date": "soon"}, ValueError, "soon"),
    ({"trigger": "cron", "hour": "25"}, ValueError, "25"),
    ({"seconds": 5}, TypeError, "Unknown argument .there is no trigger"),
    ({"trigger": DateTrigger(at(1)), "misfire_grace": 5}, TypeError, "did you mean 'misfire_grace_time'"),
    ({"args": 5}, TypeError, "args must be a list or tuple"),
    ({"args": "text"}, TypeError, "args must be a list or tuple"),
    ({"kwargs": [1]}, TypeError, "kwargs must be a mapping"),
    ({"func": takes_two, "args": [1]}, ValueError, "second"),
    ({"func": takes_two, "args": [1, 2, 3]}, ValueError, "it takes 2 positional"),
    ({"func": takes_two, "args": [1, 2], "kwargs": {"fourth": 4}}, ValueError, "fourth"),
    ({"id": 5}, TypeError, "id must be a string, got int"),
    ({"name": 5}, TypeError, "name must be a string, got int"),
    ({"name": ""}, ValueError, "name must be a non-empty string"),
    ({"misfire_grace_time": 0}, ValueError, "misfire_grace_time must be None"),
    ({"misfire_grace_time": -1}, ValueError, "misfire_grace_time must be None"),
    ({"misfire_grace_time": "5"}, TypeError, "misfire_grace_time must be None"),
    ({"max_instances": 0}, ValueError, "max_instances must be an integer of at least 1"),
    ({"max_instances": 1.5}, TypeError, "max_instances must be an integer"),
    ({"max_instances": True}, TypeError, "max_instances must be an integer"),
    ({"coalesce": "false"}, TypeError, "coalesce must be True or False"),
    ({"recovery": "again"}, ValueError, "recovery must be 'skip'"),
    ({"max_recoveries": -1}, ValueError, "max_recoveries must be an integer of at least 0"),
    ({"executor": 5}, TypeError, "executor must be a string"),
    ({"executor": ""}, ValueError, "executor must be a non-empty string"),
    ({"jobstore": 5}, TypeError, "jobstore must be the alias of a job store"),
    ({"next_run_time": "soon"}, ValueError, "soon"),
    ({"next_run_time": 5}, TypeError, "expected a datetime, a date or a text"),
]


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("number", range(len(REFUSALS)))
def test_what_is_wrong_is_refused_at_the_call(number: int, running: bool) -> None:
    arguments, error, message = REFUSALS[number]
    scheduler = virtual()
    if running:
        scheduler.start()
    call: dict[str, Any] = {"func": nothing, **arguments}
    with pytest.raises(error, match=message):
        scheduler.add_job(**call)
    with pytest.raises(error, match=message):
        scheduler.add_jobs([{"func": nothing}, call])
    assert scheduler.get_jobs() == []
    if running:
        scheduler.shutdown()


def test_an_unknown_store_is_refused_when_the_scheduler_runs(scheduler: VirtualScheduler) -> None:
    with pytest.raises(KeyError, match="No such job store: nope"):
        scheduler.add_job(nothing, jobstore="nope")
    with pytest.raises(KeyError, match="No such job store: nope"):
        scheduler.add_jobs([{"func": nothing}, {"func": nothing, "jobstore": "nope"}])
    assert scheduler.get_jobs() == []


@pytest.mark.parametrize("item", [5, "func", ("func", nothing), {"trigger": "date"}])
def test_items_of_add_jobs_that_are_none(scheduler: VirtualScheduler, item: Any) -> None:
    with pytest.raises(TypeError, match=r"add_jobs\(\)"):
        scheduler.add_jobs([{"func": nothing}, item])
    assert scheduler.get_jobs() == []


# -- pending jobs --------------------------------------------------------------------------------------------------------


def test_before_the_start_a_job_is_pending(caplog: pytest.LogCaptureFixture) -> None:
    scheduler = virtual()
    heard = Heard(scheduler, EVENT_JOB_ADDED)
    with caplog.at_level(logging.INFO, "mainspring.scheduler"):
        job = scheduler.add_job(nothing, "interval", minutes=1, id="x", name="mine")
    assert caplog.messages == [
        "Adding job tentatively -- it will be properly scheduled when the scheduler starts"
    ]
    assert job.pending
    assert str(job) == "mine (trigger: interval[0:01:00], pending)"
    assert scheduler.get_job("x") is job
    assert scheduler.get_jobs(pending=True) == scheduler.get_jobs() == [job]
    assert scheduler.get_jobs(pending=False) == []
    assert heard.events == []
    caplog.clear()
    with started(scheduler), caplog.at_level(logging.INFO, "mainspring.scheduler"):
        assert not job.pending
        assert scheduler.get_job("x") is job
        assert str(job) == "mine (trigger: interval[0:01:00], next run at: 2026-03-02 12:01:00 UTC)"
    assert [(event.job_id, event.jobstore) for event in heard.events] == [("x", "default")]


def test_a_pending_interval_begins_with_the_start_of_the_scheduler() -> None:
    scheduler = virtual()
    job = scheduler.add_job(nothing, "interval", minutes=1)
    scheduler._manual_clock.advance(timedelta(minutes=5))
    with started(scheduler):
        assert job.next_run_time == at(360)


def test_a_pending_job_can_be_changed_paused_resumed_rescheduled_and_removed() -> None:
    scheduler = virtual()
    for job_id in ("changed", "paused", "resumed", "rescheduled", "removed", "given other seconds"):
        scheduler.add_job(nothing, "interval", minutes=1, id=job_id)
    scheduler.modify_job("changed", name="new", max_instances=2, next_run_time=at(5))
    scheduler.modify_job("given other seconds", seconds=7)
    scheduler.pause_job("paused")
    scheduler.pause_job("resumed")
    scheduler.resume_job("resumed")
    scheduler.reschedule_job("rescheduled", trigger="date", run_date=at(9))
    scheduler.remove_job("removed")
    with pytest.raises(AttributeError, match="not modifiable attributes of Job: nmae"):
        scheduler.modify_job("changed", nmae="x")
    with started(scheduler):
        jobs = {job.id: job for job in scheduler.get_jobs()}
        assert {job.id: job.next_run_time for job in jobs.values()} == {
            "changed": at(5),
            "paused": None,
            "resumed": at(60),
            "rescheduled": at(9),
            "given other seconds": at(7),
        }
        assert (jobs["changed"].name, jobs["changed"].max_instances) == ("new", 2)


@pytest.mark.parametrize(
    "change",
    [
        lambda scheduler: scheduler.pause_job("x"),
        lambda scheduler: scheduler.resume_job("x"),
        lambda scheduler: scheduler.modify_job("x", name="new"),
        lambda scheduler: scheduler.reschedule_job("x", trigger="interval", seconds=7),
    ],
    ids=["pause", "resume", "modify", "reschedule"],
)
def test_a_change_of_a_pending_job_is_told(change: Callable[[VirtualScheduler], object]) -> None:
    scheduler = virtual()
    scheduler.add_job(nothing, "interval", minutes=1, id="x", jobstore="more")
    heard = Heard(scheduler)
    change(scheduler)
    assert heard.events == [JobEvent(EVENT_JOB_MODIFIED, "x", "more")]


def test_a_pending_job_that_is_paused_is_shown_as_such() -> None:
    scheduler = virtual()
    job = scheduler.add_job(nothing, "interval", minutes=1, id="x", jobstore="more")
    assert str(job) == "nothing (trigger: interval[0:01:00], pending)"
    assert str(job.pause()) == "nothing (trigger: interval[0:01:00], paused)"
    assert str(job.resume()) == "nothing (trigger: interval[0:01:00], pending)"
    added_paused = scheduler.add_job(nothing, "interval", minutes=1, id="x", next_run_time=None)
    assert str(added_paused) == "nothing (trigger: interval[0:01:00], paused)"
    assert str(job) == "nothing (trigger: interval[0:01:00], pending)"
    assert added_paused.pending


def test_the_same_by_its_handle() -> None:
    scheduler = virtual()
    job = scheduler.add_job(nothing, "interval", minutes=1, id="x")
    assert job.modify(name="new") is job
    assert job.reschedule("interval", minutes=5) is job
    assert job.pause().resume() is job
    assert (job.name, str(job.trigger)) == ("new", "interval[0:05:00]")
    job.remove()
    assert scheduler.get_jobs() == []


def test_many_pending_jobs_are_added_in_no_time() -> None:
    """Each one compared with all the others would take minutes."""
    scheduler = virtual()
    for number in range(20_000):
        scheduler.add_job(nothing, "interval", hours=1, id=f"{number}")
    with started(scheduler):
        assert len(scheduler.get_jobs()) == 20_000


# -- add_jobs and scheduled_job ------------------------------------------------------------------------------------------


def test_add_jobs_takes_what_add_job_takes_and_answers_in_the_same_order(tmp_path: Path) -> None:
    stores = {
        "default": MemoryJobStore(),
        "file": SQLAlchemyJobStore(f"sqlite:///{tmp_path / 'jobs.sqlite'}"),
    }
    with started(virtual(jobstores=stores)) as scheduler:
        heard = Heard(scheduler)
        jobs = scheduler.add_jobs(
            {
                "func": answer,
                "trigger": "interval",
                "minutes": 1 + number,
                "args": [number],
                "id": f"{number}",
                "name": f"job {number}",
                "jobstore": "file" if number % 2 else "default",
                "max_instances": 2,
                "next_run_time": at(number),
            }
            for number in range(6)
        )
        assert [job.id for job in jobs] == [f"{number}" for number in range(6)]
        assert [(event.job_id, event.jobstore) for event in heard.of(EVENT_JOB_ADDED)] == [
            (f"{number}", "file" if number % 2 else "default") for number in range(6)
        ]
        assert all(job.max_instances == 2 and not job.pending for job in jobs)
        assert jobs[0] is scheduler.get_job("0")
        scheduler.advance(timedelta(seconds=30))
        assert sorted(event.retval for event in heard.of(EVENT_JOB_EXECUTED)) == list(range(6))
        assert scheduler.add_jobs([]) == []


def test_add_jobs_is_all_or_none_over_several_stores(tmp_path: Path) -> None:
    """The second store refuses its part, for what JSON cannot keep, or since an id is taken: the first one's goes again."""
    stores = {
        "default": MemoryJobStore(),
        "file": SQLAlchemyJobStore(f"sqlite:///{tmp_path / 'jobs.sqlite'}"),
    }
    with started(virtual(jobstores=stores)) as scheduler:
        scheduler.add_job(nothing, "interval", hours=1, id="taken", jobstore="file")
        heard = Heard(scheduler)
        bad: list[tuple[dict[str, Any], type[Exception]]] = [
            ({"id": "taken"}, ConflictingIdError),
            ({"args": [object()]}, TypeError),
            ({"func": lambda *args: None}, ValueError),
        ]
        for item, error in bad:
            with pytest.raises(error):
                scheduler.add_jobs(
                    [
                        {"func": nothing, "id": "a"},
                        {"func": nothing, "id": "b", "jobstore": "file"},
                        {"func": nothing, "jobstore": "file", **item},
                    ]
                )
            assert [job.id for job in scheduler.get_jobs()] == ["taken"]
        assert heard.events == []
        scheduler.advance(MINUTE)
        assert not heard.of(EVENT_JOB_EXECUTED)


@pytest.mark.parametrize("running", [True, False])
def test_scheduled_job_answers_the_function_and_replaces_what_is_there(running: bool) -> None:
    scheduler = virtual()
    if running:
        scheduler.start()

    @scheduler.scheduled_job("interval", minutes=1, id="x", args=["first"])
    def first(word: str) -> str:
        return word

    @scheduler.scheduled_job("interval", minutes=1, id="x", kwargs={"word": "second"}, max_instances=2)
    def second(word: str) -> str:
        return word

    assert first("called") == "called"
    if not running:
        scheduler.start()
    heard = Heard(scheduler)
    scheduler.advance(MINUTE)
    assert [event.retval for event in heard.of(EVENT_JOB_EXECUTED)] == ["second"]
    (job,) = scheduler.get_jobs()
    assert (job.name, job.max_instances) == (second.__qualname__, 2)
    scheduler.shutdown()


@pytest.mark.parametrize(
    "add",
    [
        lambda scheduler: scheduler.add_job(nothing, id="new"),
        lambda scheduler: scheduler.add_jobs([{"func": nothing, "id": "new"}]),
        lambda scheduler: scheduler.add_job(nothing, id="there", replace_existing=True),
    ],
    ids=["one", "many", "replaced"],
)
def test_the_loop_is_woken_when_the_job_is_announced(
    scheduler: VirtualScheduler, add: Callable[[VirtualScheduler], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else another thread's loop submits it before it is said to be there."""
    scheduler.add_job(nothing, "interval", minutes=1, id="there")
    engine = scheduler._engine
    assert engine is not None
    order: list[str] = []
    monkeypatch.setattr(engine, "look_again", lambda *arguments: order.append("look"))
    scheduler.add_listener(lambda event: order.append("announced"), EVENT_JOB_ADDED)
    add(scheduler)
    assert order == ["announced", "look"]
