"""The options that say how runs are cared for: in job_defaults, in each call that adds or changes jobs, checked there, and kept."""

from collections.abc import Callable, Iterator, Mapping
from configparser import ConfigParser
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from mainspring.jobstores.policy import DEFAULT, POLICY_OPTIONS
from mainspring.scheduler.background import BackgroundScheduler
from mainspring.scheduler.configuration import read_settings
from mainspring.scheduler.virtual import VirtualScheduler

from tests.guards.faults import STORES
from tests.jobstores.options import OTHER_OPTIONS, RIGHT_OPTIONS, TROUBLE, WRONG_OPTIONS, Trouble
from tests.scheduler.watching import nothing, started, virtual

EACH_MINUTE: dict[str, Any] = {"trigger": "interval", "minutes": 1}
WRONG = [
    pytest.param(name, value, error, message, id=f"{name}={value!r}")
    for name, value, error, message in WRONG_OPTIONS
]


@pytest.fixture(params=STORES)
def scheduler(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VirtualScheduler]:
    with started(virtual(jobstores={"default": STORES[request.param](tmp_path)})) as scheduler:
        yield scheduler


def options_of(scheduler: Any, job_id: str = "x") -> dict[str, Any]:
    job = scheduler.get_job(job_id)
    assert job is not None
    return {name: getattr(job, name) for name in POLICY_OPTIONS}


# -- where they are given ------------------------------------------------------------------------------------------

GIVEN: dict[str, Callable[[Any, Mapping[str, Any]], Any]] = {
    "add_job": lambda scheduler, options: scheduler.add_job(nothing, **EACH_MINUTE, id="x", **options),
    "add_jobs": lambda scheduler, options: scheduler.add_jobs(
        [{"func": nothing, "id": "y"}, {"func": nothing, **EACH_MINUTE, "id": "x", **options}]
    ),
    "scheduled_job": lambda scheduler, options: scheduler.scheduled_job(**EACH_MINUTE, id="x", **options)(
        nothing
    ),
    "replacing": lambda scheduler, options: [
        scheduler.add_job(nothing, **EACH_MINUTE, id="x", replace_existing=True, **each)
        for each in ({}, options)
    ],
    "modify_job": lambda scheduler, options: (
        scheduler.add_job(nothing, **EACH_MINUTE, id="x"),
        scheduler.modify_job("x", **options),
    ),
    "job.modify": lambda scheduler, options: scheduler.add_job(nothing, **EACH_MINUTE, id="x").modify(
        **options
    ),
}


@pytest.mark.parametrize("call", GIVEN.values(), ids=GIVEN)
def test_each_call_takes_them(scheduler: VirtualScheduler, call: Callable[[Any, Any], Any]) -> None:
    given = dict(OTHER_OPTIONS)
    call(scheduler, given)
    assert options_of(scheduler) == OTHER_OPTIONS
    assert given == OTHER_OPTIONS, "the caller's own"


@pytest.mark.parametrize("call", GIVEN.values(), ids=GIVEN)
def test_a_pending_job_takes_them(call: Callable[[Any, Any], Any]) -> None:
    scheduler = virtual()
    if call is GIVEN["replacing"]:
        scheduler.add_job(nothing, id="x")
    call(scheduler, OTHER_OPTIONS)
    job = scheduler.get_jobs()[-1]
    assert {name: getattr(job, name) for name in POLICY_OPTIONS} == OTHER_OPTIONS
    with started(scheduler):
        assert options_of(scheduler) == OTHER_OPTIONS


@pytest.mark.parametrize(("name", "value", "kept"), RIGHT_OPTIONS)
def test_each_value_is_kept_as_it_is_meant(name: str, value: Any, kept: Any) -> None:
    with started(virtual()) as scheduler:
        scheduler.add_job(nothing, **EACH_MINUTE, id="x", **{name: value})
        assert options_of(scheduler) == {
            **{each: getattr(DEFAULT, each) for each in POLICY_OPTIONS},
            name: kept,
        }
        scheduler.add_job(nothing, **EACH_MINUTE, id="y")
        scheduler.modify_job("y", **{name: value})
        assert options_of(scheduler, "y") == options_of(scheduler)


@pytest.mark.parametrize(("name", "value", "error", "message"), WRONG)
def test_what_is_wrong_is_refused_at_the_call(
    name: str, value: Any, error: type[Exception], message: str
) -> None:
    with started(virtual()) as scheduler:
        job = scheduler.add_job(nothing, **EACH_MINUTE, id="there")
        calls: list[Callable[[], Any]] = [
            lambda: scheduler.add_job(nothing, **EACH_MINUTE, id="x", **{name: value}),
            lambda: scheduler.add_jobs([{"func": nothing}, {"func": nothing, name: value}]),
            lambda: scheduler.scheduled_job(**EACH_MINUTE, **{name: value})(nothing),
            lambda: scheduler.modify_job("there", **{name: value}),
            lambda: job.modify(**{name: value}),
        ]
        for call in calls:
            with pytest.raises(error) as caught:
                call()
            assert message in str(caught.value)
        assert [each.id for each in scheduler.get_jobs()] == ["there"]
        assert options_of(scheduler, "there") == {each: getattr(DEFAULT, each) for each in POLICY_OPTIONS}


# misspelt -> what was meant
MISSPELT = {
    "max_retry": "max_retries",
    "max_retrys": "max_retries",
    "retry_delays": "retry_delay",
    "back_off": "backoff",
    "max_delays": "max_delay",
    "retry_jiter": "retry_jitter",
    "retryon": "retry_on",
    "keep_faild": "keep_failed",
    "time_out": "timeout",
    "whilerunning": "while_running",
}


@pytest.mark.parametrize("name", MISSPELT)
def test_an_unknown_name_is_told_with_the_nearest_known_one(name: str) -> None:
    wrong: dict[str, Any] = {name: 1}
    advice = rf"'{name}'.*did you mean '{MISSPELT[name]}'"
    with started(virtual()) as scheduler:
        for arguments in (EACH_MINUTE, {}):
            with pytest.raises(TypeError, match=advice):
                scheduler.add_job(nothing, **arguments, **wrong)
        with pytest.raises(TypeError, match=advice):
            scheduler.add_jobs([{"func": nothing, **EACH_MINUTE, name: 1}])
        scheduler.add_job(nothing, **EACH_MINUTE, id="x")
        with pytest.raises(AttributeError, match=rf"{name}.*did you mean '{MISSPELT[name]}'"):
            scheduler.modify_job("x", **wrong)
    with pytest.raises(TypeError, match=advice):
        virtual(job_defaults=wrong)


# -- job_defaults --------------------------------------------------------------------------------------------------


def test_defaults_are_for_jobs_that_say_nothing_else() -> None:
    given = dict(OTHER_OPTIONS)
    with started(virtual(job_defaults=given)) as scheduler:
        scheduler.add_job(nothing, **EACH_MINUTE, id="x")
        assert options_of(scheduler) == OTHER_OPTIONS
        for name in POLICY_OPTIONS:
            scheduler.add_job(nothing, **EACH_MINUTE, id=name, **{name: getattr(DEFAULT, name)})
            assert options_of(scheduler, name) == {**OTHER_OPTIONS, name: getattr(DEFAULT, name)}
        jobs = [scheduler.add_job(nothing, **EACH_MINUTE) for _ in range(2)]
        assert jobs[0]._policy is jobs[1]._policy
    assert given == OTHER_OPTIONS, "the caller's own"


@pytest.mark.parametrize(("name", "value", "kept"), RIGHT_OPTIONS)
def test_defaults_take_what_add_job_takes(name: str, value: Any, kept: Any) -> None:
    assert read_settings({}, "mainspring.", {"job_defaults": {name: value}}).job_defaults[name] == kept


INI = """
[scheduler]
mainspring.job_defaults.timeout = 7.5
mainspring.job_defaults.max_retries = 4
mainspring.job_defaults.retry_delay = 3
mainspring.job_defaults.backoff = 2.5
mainspring.job_defaults.max_delay = 60
mainspring.job_defaults.retry_jitter = 0.5
mainspring.job_defaults.retry_on = builtins:OSError, tests.jobstores.options:Trouble
mainspring.job_defaults.keep_failed = yes
mainspring.job_defaults.while_running = queue
mainspring.job_defaults.recovery = rerun
mainspring.job_defaults.max_recoveries = 5
"""


def test_defaults_from_a_file() -> None:
    parser = ConfigParser()
    parser.read_string(INI)
    with started(VirtualScheduler(dict(parser["scheduler"]))) as scheduler:
        job = scheduler.add_job(nothing, **EACH_MINUTE, id="x")
        assert options_of(scheduler) == OTHER_OPTIONS
        assert (job.recovery, job.max_recoveries) == ("rerun", 5)
        assert type(job.max_retries) is int


@pytest.mark.parametrize(
    ("name", "text", "kept"),
    [
        ("timeout", "none", None),
        ("timeout", "", None),
        ("timeout", "30", 30),
        ("max_delay", "None", None),
        ("retry_delay", "0", 0),
        ("backoff", "1", 1),
        ("retry_on", "builtins:OSError", ("builtins:OSError",)),
        ("retry_on", f"builtins:OSError,{TROUBLE},", ("builtins:OSError", TROUBLE)),
        ("keep_failed", "off", False),
        ("while_running", "skip", "skip"),
    ],
)
def test_defaults_from_text(name: str, text: str, kept: Any) -> None:
    read = read_settings({f"mainspring.job_defaults.{name}": text}, "mainspring.", {}).job_defaults[name]
    assert (read, type(read)) == (kept, type(kept))


WRONG_DEFAULTS: list[tuple[str, Any, type[Exception], str]] = [
    (
        "timeout",
        0,
        ValueError,
        "Expected a positive number of seconds as job_defaults['timeout'], got 0 instead",
    ),
    ("timeout", "soon", ValueError, "job_defaults['timeout'], got 'soon' instead"),
    ("timeout", [1], TypeError, "job_defaults['timeout']"),
    ("timeout", True, TypeError, "job_defaults['timeout'], got True instead"),
    ("max_retries", -1, ValueError, "a whole number of at least 0 as job_defaults['max_retries'], got -1"),
    ("max_retries", "1.5", ValueError, "job_defaults['max_retries'], got '1.5' instead"),
    ("max_retries", 1.5, TypeError, "job_defaults['max_retries'], got 1.5 instead"),
    ("max_retries", None, TypeError, "job_defaults['max_retries'], got None instead"),
    ("retry_delay", -1, ValueError, "a number of at least 0 as job_defaults['retry_delay'], got -1 instead"),
    ("retry_delay", "nan", ValueError, "job_defaults['retry_delay'], got 'nan' instead"),
    ("retry_delay", None, TypeError, "job_defaults['retry_delay'], got None instead"),
    ("retry_delay", timedelta(seconds=-1), ValueError, "job_defaults['retry_delay']"),
    ("backoff", "0.5", ValueError, "a number of at least 1 as job_defaults['backoff'], got '0.5' instead"),
    ("backoff", float("inf"), ValueError, "job_defaults['backoff'], got inf instead"),
    ("backoff", timedelta(seconds=2), TypeError, "job_defaults['backoff']"),
    ("max_delay", 0, ValueError, "job_defaults['max_delay'], got 0 instead"),
    ("retry_jitter", "-1", ValueError, "job_defaults['retry_jitter'], got '-1' instead"),
    ("retry_on", (), ValueError, "job_defaults['retry_on'] must name at least one exception class"),
    ("retry_on", "", ValueError, "job_defaults['retry_on'] must name at least one exception class"),
    ("retry_on", "OSError", ValueError, "job_defaults['retry_on']: 'OSError' is not a reference"),
    (
        "retry_on",
        "tests.gone:Trouble",
        LookupError,
        "job_defaults['retry_on']: cannot resolve the reference 'tests.gone:Trouble'",
    ),
    ("retry_on", [int], TypeError, "job_defaults['retry_on'] must be exception classes"),
    ("retry_on", Trouble(), TypeError, "job_defaults['retry_on'] must be exception classes"),
    ("keep_failed", "perhaps", TypeError, "job_defaults['keep_failed'], got 'perhaps' instead"),
    (
        "while_running",
        "wait",
        ValueError,
        "one of 'skip', 'queue' as job_defaults['while_running'], got 'wait'",
    ),
]


@pytest.mark.parametrize(("name", "value", "error", "message"), WRONG_DEFAULTS)
def test_wrong_defaults_are_refused_by_the_constructor(
    name: str, value: Any, error: type[Exception], message: str
) -> None:
    calls: list[tuple[Any, ...]] = [({}, {name: value}), ({f"mainspring.job_defaults.{name}": value}, {})]
    for gconfig, defaults in calls:
        options = {"job_defaults": defaults} if defaults else {}
        with pytest.raises(error) as caught:
            BackgroundScheduler(gconfig, **options)
        assert message in str(caught.value)
