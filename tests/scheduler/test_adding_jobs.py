"""`add_job`: what it takes, what it answers, what it refuses."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from mainspring.events import (
    EVENT_JOB_EXECUTED,
    EVENT_JOB_REMOVED,
)
from mainspring.jobstores.policy import DEFAULT, POLICY_OPTIONS
from mainspring.scheduler.virtual import VirtualScheduler
from mainspring.triggers.cron import CronTrigger
from mainspring.triggers.date import DateTrigger
from mainspring.triggers.interval import IntervalTrigger

from tests.jobstores.options import OTHER_OPTIONS
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
        **OTHER_OPTIONS,
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
            **{name: getattr(DEFAULT, name) for name in POLICY_OPTIONS},
        }
        job = scheduler.add_job(nothing, **others)
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
    (
        {"trigger": IntervalTrigger},
        TypeError,
        r"Expected a trigger instance or the name of one, got the class IntervalTrigger; call it: IntervalTrigger\(\.\.\.\)",
    ),
    (
        {"trigger": "0 5 * * *"},
        LookupError,
        r"\"0 5 \* \* \*\" was found; a crontab line is made .*from_crontab",
    ),
    ({"trigger": "@daily"}, LookupError, "from_crontab"),
    ({"trigger": "cron", "args": "0 5 * * *"}, TypeError, "args must be a list or tuple .*from_crontab"),
    ({"trigger": "cron", "args": "@daily"}, TypeError, "args must be a list or tuple .*from_crontab"),
    ({"trigger": "rrule"}, TypeError, "The trigger \"rrule\" needs the argument 'rule'"),
    ({"trigger": "cron", "weekday": "mon"}, TypeError, "did you mean 'day_of_week'"),
    ({"trigger": "date", "run_time": at(1)}, TypeError, "did you mean 'run_date'"),
    (
        {"trigger": CronTrigger(hour=5), "minute": 5},
        TypeError,
        r"Unknown argument beside CronTrigger: 'minute'; give it to CronTrigger\(\.\.\.\)",
    ),
    (
        {"trigger": IntervalTrigger(hours=5), "timezone": "UTC"},
        TypeError,
        r"'timezone'; give it to IntervalTrigger\(\.\.\.\)",
    ),
    ({"trigger": CronTrigger(hour=5), "xyz": 5}, TypeError, "Unknown argument beside CronTrigger: 'xyz'$"),
    ({"trigger": CronTrigger(hour=5), "max_instance": 5}, TypeError, "did you mean 'max_instances'"),
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
