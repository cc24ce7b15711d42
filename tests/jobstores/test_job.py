"""`Job`: what its attributes may be, how it is shown, and what of it is kept."""

import copy
import pickle
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from mainspring.jobstores.job import MODIFIABLE, Job
from mainspring.triggers import IntervalTrigger

from tests.jobstores.driving import START, at, every, new_job, once
from tests.jobstores.options import OTHER_OPTIONS, RIGHT_OPTIONS, WRONG_OPTIONS
from tests.jobstores.samples import EveryMinute, Mailer, greet, other_work, work

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def job() -> Job:
    return new_job("a", 60, name="it", misfire_grace_time=5)


def snapshot(job: Job) -> dict[str, Any]:
    return {slot: getattr(job, slot) for slot in Job.__slots__ if slot != "__weakref__"}


# -- made --------------------------------------------------------------------------------------------------------


def test_what_is_not_given_has_its_default() -> None:
    job = Job(None, func=work, trigger=every(60))
    assert UUID(job.id).version == 4
    assert job.id == UUID(job.id).hex
    assert (job.name, job.func, job.args, job.kwargs) == ("work", work, (), {})
    assert (job.executor, job.misfire_grace_time, job.coalesce, job.max_instances) == ("default", 1, True, 1)
    assert (job.recovery, job.max_recoveries, job.next_run_time, job.pending) == ("skip", 3, None, True)


@pytest.mark.parametrize("job_id", [None, ""])
def test_without_an_id_each_job_gets_another(job_id: str | None) -> None:
    ids = {Job(None, id=job_id, func=work, trigger=every(60)).id for _ in range(100)}
    assert len(ids) == 100
    assert all(UUID(each).version == 4 and UUID(each).variant == "specified in RFC 4122" for each in ids)


@pytest.mark.parametrize(
    ("func", "args", "name"),
    [
        (work, [], "work"),
        ("tests.jobstores.samples:greet", ["you"], "greet"),
        (Mailer.send, [Mailer("x"), "text"], "Mailer.send"),
        (Mailer("x").send, ["text"], "Mailer.send"),
        (Mailer.check, [], "Mailer.check"),
        (partial(greet, "you"), [], "greet"),
        (print, [], "print"),
    ],
)
def test_the_functions_name_is_the_jobs_name(func: Any, args: list[Any], name: str) -> None:
    assert Job(None, func=func, args=args, trigger=every(60)).name == name


def test_what_the_caller_gave_is_not_shared() -> None:
    args: list[Any] = [1]
    kwargs = {"k": 1}
    job = Job(None, func=work, args=args, kwargs=kwargs, trigger=every(60))
    args.append(2)
    kwargs["l"] = 2
    assert (job.args, job.kwargs) == ((1,), {"k": 1})


def test_kwargs_are_made_when_they_are_asked_for() -> None:
    job = Job(None, func=work, trigger=every(60))
    assert job._kwargs is None
    job.kwargs["k"] = 1
    assert job.kwargs == {"k": 1}
    assert Job(None, func=work, kwargs={}, trigger=every(60))._kwargs is None
    job._modify(kwargs={})
    assert (job._kwargs, job.kwargs) == (None, {})


# -- checks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("id", 1, TypeError, "id must be a string, got int: 1"),
        ("name", None, TypeError, "name must be a string, got NoneType: None"),
        ("name", b"x", TypeError, "name must be a string, got bytes: b'x'"),
        ("name", "", ValueError, "name must be a non-empty string"),
        ("executor", 5, TypeError, "executor must be a string, got int: 5"),
        ("executor", "", ValueError, "executor must be a non-empty string"),
        (
            "misfire_grace_time",
            0,
            ValueError,
            "misfire_grace_time must be None (no limit) or a positive number",
        ),
        ("misfire_grace_time", -1, ValueError, "got -1"),
        ("misfire_grace_time", float("nan"), ValueError, "got nan"),
        ("misfire_grace_time", float("inf"), ValueError, "got inf"),
        pytest.param(
            "misfire_grace_time", 10**400, ValueError, "of seconds, got 1000", id="beyond all floats"
        ),
        ("misfire_grace_time", "5", TypeError, "got str: '5'"),
        ("misfire_grace_time", True, TypeError, "got bool: True"),
        ("misfire_grace_time", timedelta(0), ValueError, "got 0.0"),
        ("coalesce", "false", TypeError, "coalesce must be True or False, got the text 'false'"),
        ("max_instances", 0, ValueError, "max_instances must be an integer of at least 1, got 0"),
        ("max_instances", "3", TypeError, "max_instances must be an integer of at least 1, got str: '3'"),
        ("max_instances", 1.0, TypeError, "got float: 1.0"),
        ("max_instances", True, TypeError, "got bool: True"),
        ("max_recoveries", -1, ValueError, "max_recoveries must be an integer of at least 0, got -1"),
        ("recovery", "retry", ValueError, "recovery must be 'skip'"),
        ("recovery", None, ValueError, "or 'rerun', got None"),
        *WRONG_OPTIONS,
        ("trigger", "interval", TypeError, "Expected a trigger instance, got str instead"),
        ("trigger", IntervalTrigger, TypeError, "Expected a trigger instance, got ABCMeta instead"),
        (
            "func",
            5,
            TypeError,
            "func must be a callable or a textual reference to one ('module:function'), got int",
        ),
        ("func", None, TypeError, "got NoneType"),
        ("func", "nowhere", ValueError, "'nowhere' is not a reference"),
        ("func", "tests.jobstores.samples:gone", LookupError, "has no attribute 'gone'"),
        ("func", "tests.gone:work", LookupError, "module 'tests.gone' cannot be imported"),
        ("args", "text", TypeError, "args must be a list or tuple of positional arguments, got str: 'text'"),
        ("args", 5, TypeError, "args must be a list or tuple of positional arguments, got int: 5"),
        ("args", None, TypeError, "got NoneType"),
        ("kwargs", [1], TypeError, "kwargs must be a mapping of argument names to values, got list: [1]"),
        ("kwargs", None, TypeError, "got NoneType"),
        (
            "next_run_time",
            "now",
            TypeError,
            "next_run_time must be None or a datetime with a timezone, got 'now'",
        ),
        ("next_run_time", datetime(2026, 1, 1), TypeError, "a datetime with a timezone"),  # noqa: DTZ001
        ("id", "b", ValueError, "The job ID may not be changed"),
    ],
)
def test_a_wrong_value_is_refused_and_nothing_is_changed(
    job: Job, name: str, value: Any, error: type[Exception], message: str
) -> None:
    before = snapshot(job)
    # What is right beside it is not taken, wherever it stands.
    right: dict[str, Any] = {"coalesce": False, "max_recoveries": 7, "executor": "x", "name": "new"}
    for changes in ({**right, name: value}, {name: value, **{k: v for k, v in right.items() if k != name}}):
        with pytest.raises(error) as caught:
            job._modify(**changes)
        assert message in str(caught.value)
        assert snapshot(job) == before


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("id", "a", "a"),
        ("name", "é ☂", "é ☂"),
        ("executor", "other", "other"),
        ("misfire_grace_time", None, None),
        ("misfire_grace_time", 30, 30),
        ("misfire_grace_time", 0.25, 0.25),
        ("misfire_grace_time", timedelta(minutes=1), 60.0),
        ("coalesce", False, False),
        ("coalesce", 0, False),
        ("coalesce", 1, True),
        ("max_instances", 100, 100),
        ("max_recoveries", 0, 0),
        ("recovery", "rerun", "rerun"),
        *RIGHT_OPTIONS,
        ("args", [1, 2], (1, 2)),
        ("args", (n for n in range(2)), (0, 1)),
        ("args", {1}, (1,)),
        ("kwargs", {"a": 1}, {"a": 1}),
        ("func", "tests.jobstores.samples:other_work", other_work),
        ("next_run_time", None, None),
        ("next_run_time", at(7), at(7)),
    ],
)
def test_a_right_value_is_taken(job: Job, name: str, value: Any, kept: Any) -> None:
    job._modify(**{name: value})
    assert getattr(job, name) == kept
    assert type(getattr(job, name)) is type(kept)


@pytest.mark.parametrize("names", [["fun"], ["func_ref"], ["pending"], ["_record", "seconds"], ["timezone"]])
def test_what_cannot_be_modified_is_named(job: Job, names: list[str]) -> None:
    before = snapshot(job)
    with pytest.raises(AttributeError) as caught:
        job._modify(**dict.fromkeys(names), name="new")
    assert (
        str(caught.value) == f"The following are not modifiable attributes of Job: {', '.join(sorted(names))}"
    )
    assert snapshot(job) == before


def test_all_that_is_modifiable_is_an_attribute(job: Job) -> None:
    assert all(hasattr(job, name) for name in MODIFIABLE)


def test_arguments_have_to_fit_the_function_they_will_be_called_with() -> None:
    job = Job(None, func=greet, args=["you"], trigger=every(60))
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"args": []}, "missing: 'name'"),
        ({"args": [1, 2, 3]}, "3 positional arguments are given"),
        ({"kwargs": {"greetin": "x"}}, "did you mean 'greeting'?"),
        ({"kwargs": {"name": "x"}}, "given both in args and in kwargs: 'name'"),
        ({"func": Mailer.check}, "1 positional arguments are given"),
    ]
    for changes, message in wrong:
        with pytest.raises(ValueError, match=re.escape(message)):
            job._modify(**changes)
        assert (job.func, job.args, job.kwargs) == (greet, ("you",), {})
    job._modify(args=[], kwargs={"name": "x", "greeting": "y"})
    job._modify(func=other_work)
    assert (job.func, job.args, job.kwargs) == (other_work, (), {"name": "x", "greeting": "y"})
    with pytest.raises(ValueError, match="missing: 'name'"):
        Job(None, func=greet, trigger=every(60))


# -- references ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("func", "reference"),
    [
        (work, "tests.jobstores.samples:work"),
        ("tests.jobstores.samples:Mailer.check", "tests.jobstores.samples:Mailer.check"),
        (Mailer.check, "tests.jobstores.samples:Mailer.check"),
        (Mailer.ping, "tests.jobstores.samples:Mailer.ping"),
        (Mailer("x").check, "tests.jobstores.samples:Mailer.check"),
        (lambda: None, None),
        (partial(work, 1), None),
    ],
)
def test_the_reference_is_where_others_find_the_function(func: Any, reference: str | None) -> None:
    assert Job(None, func=func, trigger=every(60)).func_ref == reference


def test_a_reference_that_was_given_is_kept_until_the_function_changes(job: Job) -> None:
    job._modify(func="tests.jobstores.samples:work")
    job._modify(args=[1])
    assert job.func_ref == "tests.jobstores.samples:work"
    job._modify(func=other_work)
    assert job.func_ref == "tests.jobstores.samples:other_work"
    job._modify(func=lambda *args: None)
    assert job.func_ref is None


# -- shown, compared -----------------------------------------------------------------------------------------------


def test_it_is_shown_with_its_trigger_and_next_run_time(job: Job) -> None:
    assert repr(job) == "<Job (id=a name=it)>"
    assert str(job) == "it (trigger: interval[0:01:00], pending)"
    job._jobstore_alias = "default"
    assert str(job) == "it (trigger: interval[0:01:00], next run at: 2026-03-01 12:01:00 UTC)"
    job._modify(next_run_time=None)
    assert str(job) == "it (trigger: interval[0:01:00], paused)"
    job._modify(next_run_time=at(0), trigger=IntervalTrigger(hours=2, timezone=BERLIN))
    assert str(job) == "it (trigger: interval[2:00:00], next run at: 2026-03-01 13:00:00 CET)"


def test_jobs_are_equal_by_id(job: Job) -> None:
    same, other = new_job("a", None, func=other_work), new_job("b", 60)
    assert job == same
    assert job != other
    assert job != "a"
    assert hash(job) == hash(same)
    assert len({job, same, other}) == 2


def test_the_next_run_time_is_in_the_triggers_zone(job: Job) -> None:
    zone = timezone(timedelta(hours=5))
    job._modify(next_run_time=START.astimezone(zone))
    assert (job.next_run_time, job.next_run_time and job.next_run_time.tzinfo) == (START, UTC)
    job._modify(trigger=IntervalTrigger(hours=1, timezone=BERLIN))
    shown = job.next_run_time
    assert shown is not None
    assert (shown, shown.tzinfo, shown.hour) == (START, BERLIN, 13)
    # A user's trigger may have none: then it is the scheduler's.
    job._modify(trigger=EveryMinute())
    assert (job.next_run_time and job.next_run_time.tzinfo) == UTC

    class Scheduler:
        timezone = BERLIN

    job._scheduler = Scheduler()
    assert job.timezone == BERLIN
    exact = START + timedelta(days=90_000, microseconds=1)
    job._modify(next_run_time=exact)
    assert job.next_run_time == exact


# -- states --------------------------------------------------------------------------------------------------------


STATE_KEYS = {
    *("version", "id", "func", "trigger", "executor", "args", "kwargs", "name", "misfire_grace_time"),
    *("coalesce", "max_instances", "next_run_time"),
}
"""What APScheduler's states have."""


@pytest.mark.parametrize(
    "copied", [lambda state: state, copy.deepcopy, lambda state: pickle.loads(pickle.dumps(state))]
)
@pytest.mark.parametrize(
    "job",
    [
        new_job("a", 60, args=[1, "x"], kwargs={"k": [1]}, name="é"),
        new_job("a", None, once(5), coalesce=False, max_instances=4, misfire_grace_time=2.5, executor="e"),
        new_job("a", 60, IntervalTrigger(hours=1, jitter=3, timezone=BERLIN).bind(START, "a")),
        new_job("a", 60, EveryMinute(), recovery="rerun", max_recoveries=1),
        new_job("a", 60, **OTHER_OPTIONS),
        new_job("a", 60, timeout=5),
        new_job("a", 60, func="tests.jobstores.samples:Mailer.check"),
        new_job("a", 60, func=Mailer("me").send, args=["text"]),
    ],
    ids=lambda job: str(job),
)
def test_a_state_makes_the_same_job(job: Job, copied: Callable[[Any], Any]) -> None:
    state = job.__getstate__()
    assert state.keys() >= STATE_KEYS
    made = Job.__new__(Job)
    made.__setstate__(copied(state))
    assert made.__getstate__() == state
    assert made.func(*made.args, **made.kwargs) == job.func(*job.args, **job.kwargs)
    assert (made.pending, made._scheduler, made._record) == (True, None, None)
    assert type(made.args) is tuple
    assert repr(made.trigger) == repr(job.trigger) or isinstance(job.trigger, EveryMinute)


def test_a_job_can_be_pickled_whole(job: Job) -> None:
    job._scheduler = threading.Lock()  # which cannot
    made = pickle.loads(pickle.dumps(job))
    assert made.__getstate__() == job.__getstate__()
    assert made._scheduler is None


def test_a_bound_method_is_stored_with_its_self() -> None:
    mailer = Mailer("me")
    state = new_job("a", 60, func=mailer.send, args=["text"]).__getstate__()
    assert (state["func"], state["args"]) == ("tests.jobstores.samples:Mailer.send", (mailer, "text"))
    # A method of the class has nothing to store beside it.
    state = new_job("a", 60, func=mailer.check).__getstate__()
    assert (state["func"], state["args"]) == ("tests.jobstores.samples:Mailer.check", ())


@pytest.mark.parametrize("func", [lambda: None, partial(work, 1)])
def test_what_nobody_could_find_has_no_state(func: Any) -> None:
    job = new_job("a", 60, func=func)
    with pytest.raises(ValueError, match="This Job cannot be serialized since the reference to its callable"):
        job.__getstate__()


def test_a_state_of_apscheduler_is_understood(job: Job) -> None:
    state = {key: value for key, value in job.__getstate__().items() if key in STATE_KEYS}
    made = Job.__new__(Job)
    made.__setstate__({**state, "args": ["x"]})
    assert (made.recovery, made.max_recoveries, made.args) == ("skip", 3, ("x",))
    assert made.next_run_time == at(60)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"version": 2}, ValueError, "Job has version 2, but only version 1 or lower can be handled"),
        ({"func": "tests.gone:work"}, LookupError, "tests.gone"),
        ({"func": "tests.jobstores.samples:gone"}, LookupError, "gone"),
    ],
)
def test_a_state_that_is_not_understood_is_refused(
    job: Job, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Job.__new__(Job).__setstate__({**job.__getstate__(), **change})


# -- copies --------------------------------------------------------------------------------------------------------


def test_a_clone_is_prepared_without_the_job_seeing_it(job: Job) -> None:
    job._modify(kwargs={"k": 1})
    clone = job._clone()
    assert snapshot(clone) == snapshot(job)
    clone._modify(name="new", next_run_time=None, args=[1])
    clone.kwargs["l"] = 2
    assert (job.name, job.next_run_time, job.args, job.kwargs) == ("it", at(60), (), {"k": 1})
    job._adopt(clone)
    assert snapshot(job) == snapshot(clone)
