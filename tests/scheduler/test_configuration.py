"""Configuration: prefixes, nesting, text from files, and the refusal of what is not known."""

import concurrent.futures
import copy
import logging
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from mainspring.events.clock import ManualClock, SystemClock
from mainspring.executors.base import BaseExecutor
from mainspring.executors.debug import DebugExecutor
from mainspring.executors.pool import ThreadPoolExecutor
from mainspring.jobstores.base import BaseJobStore
from mainspring.jobstores.memory import MemoryJobStore
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.scheduler.background import BackgroundScheduler
from mainspring.scheduler.configuration import (
    JOB_DEFAULTS,
    Settings,
    build_executor,
    build_jobstore,
    read_settings,
)

LOGGER = logging.getLogger("a.logger.by.reference")


class ThirdPartyExecutor(DebugExecutor):
    """What somebody else wrote: arguments with and without annotations, and options passed on."""

    def __init__(  # type: ignore[no-untyped-def]
        self, width: int, label="none", retries=3, strict: bool = False, **connect_args: Any
    ) -> None:
        super().__init__()
        self.given = (width, label, retries, strict, connect_args)


def settings(**options: Any) -> Settings:
    return read_settings({}, "mainspring.", options)


# --- defaults and options ------------------------------------------------------------------------------------------


def test_defaults() -> None:
    made = settings()
    assert made.logger is logging.getLogger("mainspring.scheduler")
    assert made.timezone is not None
    assert made.jobstore_retry_interval == 10
    assert dict(made.job_defaults) == {
        "misfire_grace_time": 1,
        "coalesce": True,
        "max_instances": 1,
        "recovery": "skip",
        "max_recoveries": 3,
        "timeout": None,
        "max_retries": 0,
        "retry_delay": 10,
        "backoff": 1,
        "max_delay": None,
        "retry_jitter": 0,
        "retry_on": ("builtins:Exception",),
        "keep_failed": False,
        "while_running": "skip",
    }
    assert (made.executors, made.jobstores, made.extra) == ({}, {}, {})
    assert isinstance(made.clock, SystemClock)
    assert (made.lease, made.claim_window, made.max_clock_offset, made.random) == (30, 1000, 5, None)


def test_options_arrive() -> None:
    clock, source = ManualClock(), random.Random(1)
    made = settings(
        logger=LOGGER,
        timezone="Europe/Vienna",
        jobstore_retry_interval=2,
        lease=timedelta(minutes=1),
        claim_window=50,
        max_clock_offset=0.5,
        clock=clock,
        random=source,
    )
    assert (made.logger, made.timezone) == (LOGGER, ZoneInfo("Europe/Vienna"))
    assert (made.jobstore_retry_interval, made.lease, made.claim_window, made.max_clock_offset) == (
        2,
        60,
        50,
        0.5,
    )
    assert (made.clock, made.random) == (clock, source)


def test_a_logger_by_name_and_by_reference() -> None:
    assert settings(logger="my.app").logger is logging.getLogger("my.app")
    assert settings(logger="logging:root").logger is logging.root


def test_front_end_options_go_into_extra() -> None:
    made = read_settings({"mainspring.daemon": "no"}, "mainspring.", {}, front_end_options={"daemon"})
    assert made.extra == {"daemon": "no"}
    with pytest.raises(TypeError, match="Unknown option of the scheduler: 'daemon'"):
        settings(daemon=False)


# --- the mapping with prefixed keys --------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["mainspring.", "apscheduler."])
def test_a_flat_configuration_as_an_ini_file_gives_it(prefix: str) -> None:
    flat = {
        f"{prefix}jobstores.mine": {"type": "memory"},
        f"{prefix}jobstores.default": {"type": "sqlalchemy", "url": "sqlite://"},
        f"{prefix}executors.default.class": "apscheduler.executors.pool:ThreadPoolExecutor",
        f"{prefix}executors.default.max_workers": "20",
        f"{prefix}executors.inline.type": "debug",
        f"{prefix}job_defaults.coalesce": "false",
        f"{prefix}job_defaults.max_instances": "3",
        f"{prefix}job_defaults.misfire_grace_time": "None",
        f"{prefix}jobstore_retry_interval": "2.5",
        f"{prefix}timezone": "UTC",
        "somebody.else": "whatever",
    }
    made = read_settings(flat, "mainspring.", {})
    assert made.jobstores.keys() == {"mine", "default"}
    assert made.jobstores["default"] == {"type": "sqlalchemy", "url": "sqlite://"}
    assert made.executors["default"]["max_workers"] == "20"
    assert isinstance(build_executor("default", made.executors["default"]), ThreadPoolExecutor)
    assert isinstance(build_executor("inline", made.executors["inline"]), DebugExecutor)
    wanted = {"coalesce": False, "max_instances": 3, "misfire_grace_time": None}
    assert dict(made.job_defaults) == {**JOB_DEFAULTS, **wanted}
    assert made.jobstore_retry_interval == 2.5


def test_our_prefix_wins_over_apschedulers() -> None:
    both = {"mainspring.lease": 7, "apscheduler.lease": 8, "apscheduler.claim_window": 9}
    made = read_settings(both, "mainspring.", {})
    assert (made.lease, made.claim_window) == (7, 9)


def test_a_prefix_of_the_programs_own_is_the_only_one_read() -> None:
    made = read_settings({"app.lease": 7, "mainspring.lease": 8, "mainspring.nonsense": 1}, "app.", {})
    assert made.lease == 7


def test_an_empty_prefix_takes_every_key() -> None:
    assert read_settings({"lease": 7}, "", {}).lease == 7
    with pytest.raises(TypeError, match="'leese'; did you mean 'lease'"):
        read_settings({"leese": 7}, "", {})


def test_options_override_the_mappings_top_level() -> None:
    flat = {"mainspring.job_defaults.max_instances": 3, "mainspring.lease": 7}
    made = read_settings(flat, "mainspring.", {"job_defaults": {"coalesce": False}, "lease": 8})
    assert made.lease == 8
    assert (made.job_defaults["max_instances"], made.job_defaults["coalesce"]) == (1, False)


def test_dotted_keys_and_mappings_merge() -> None:
    flat = {
        "mainspring.executors.a.type": "threadpool",
        "mainspring.executors": {"b": {"type": "debug"}, "a": {"max_workers": 3}},
    }
    made = read_settings(flat, "mainspring.", {})
    assert made.executors == {"a": {"type": "threadpool", "max_workers": 3}, "b": {"type": "debug"}}


def test_the_callers_mappings_are_only_read() -> None:
    flat = {
        "mainspring.executors": {"a": {"type": "threadpool", "max_workers": "3"}},
        "mainspring.executors.b.type": "debug",
    }
    options: dict[str, Any] = {
        "jobstores": {"default": {"type": "memory"}},
        "job_defaults": {"coalesce": "no"},
    }
    before = copy.deepcopy((flat, options))
    made = read_settings(flat, "mainspring.", options)
    build_executor("a", made.executors["a"])
    build_jobstore("default", options["jobstores"]["default"])
    made.executors["a"]["type"] = "changed"
    assert (flat, options) == before


@pytest.mark.parametrize(
    ("flat", "message"),
    [
        ({"mainspring.executors": 5, "mainspring.executors.a.type": "debug"}, "was given a value of its own"),
        ({"mainspring.executors.a.type": "debug", "mainspring.executors": 5}, "other keys go into it"),
        ({"mainspring..lease": 5}, "has an empty part"),
    ],
)
def test_keys_that_contradict_each_other(flat: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_settings(flat, "mainspring.", {})


def test_a_configuration_has_to_be_a_mapping() -> None:
    with pytest.raises(TypeError, match="Expected a mapping of options as gconfig, got str instead"):
        read_settings("scheduler.ini", "mainspring.", {})  # type: ignore[arg-type]


# --- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"time_zone": "UTC"}, "Unknown option of the scheduler: 'time_zone'; did you mean 'timezone'"),
        ({"job_default": {}}, "did you mean 'job_defaults'"),
        (
            {"job_defaults": {"coalesced": True}},
            "Unknown option in job_defaults: 'coalesced'; did you mean 'coalesce'",
        ),
        ({"job_defaults": ["coalesce"]}, "Expected a mapping as job_defaults, got list instead"),
        ({"executors": ["threadpool"]}, "Expected a mapping of aliases as executors, got list instead"),
        (
            {"executors": {1: DebugExecutor()}},
            "Expected a non-empty string as alias in executors, got 1 instead",
        ),
        (
            {"executors": {"default": 5}},
            r"Expected executor instance or dict for executors\['default'\], got int instead",
        ),
        (
            {"jobstores": {"a": 5}},
            r"Expected job store instance or dict for jobstores\['a'\], got int instead",
        ),
        ({"jobstores": {"a": MemoryJobStore}}, "got the class MemoryJobStore instead"),
        (
            {"executors": {"a": {"type": "threadpool", "max_worker": 3}}},
            r"Unknown argument of ThreadPoolExecutor in executors\['a'\]: 'max_worker'; did you mean 'max_workers'",
        ),
        ({"jobstores": {"a": {"type": "sqlalchemy", "uri": "sqlite://"}}}, "'uri'; did you mean 'url'"),
        (
            {"executors": {"a": {"class": "collections:OrderedDict"}}},
            r"Expected a subclass of .*BaseExecutor as",
        ),
        ({"executors": {"a": {"class": MemoryJobStore}}}, r"Expected a subclass of .*BaseExecutor as"),
        ({"clock": "now"}, "Expected an instance of .*Clock as clock, got 'now' instead"),
        ({"random": 5}, "Expected an instance of random.Random as random, got 5 instead"),
        ({"logger": 5}, "Expected an instance of logging.Logger as logger, got 5 instead"),
        ({"lease": None}, "Expected a positive number of seconds as lease, got None instead"),
        ({"claim_window": 1.5}, "Expected a whole number of at least 1 as claim_window, got 1.5 instead"),
        ({"claim_window": True}, "Expected a whole number of at least 1 as claim_window, got True instead"),
        (
            {"job_defaults": {"coalesce": None}},
            r"Expected a bool, or .* as job_defaults\['coalesce'\], got None",
        ),
    ],
)
def test_unknown_names_and_wrong_types(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        settings(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"executors": {"a": {}}}, 'Cannot create executor "a" -- either "type" or "class" must be defined'),
        ({"jobstores": {"a": {}}}, 'Cannot create job store "a" -- either "type" or "class" must be defined'),
        (
            {"executors": {"a": {"type": "debug", "class": DebugExecutor}}},
            'both "type" and "class" are defined',
        ),
        ({"lease": 0}, "Expected a positive number of seconds as lease, got 0 instead"),
        ({"lease": "soon"}, "Expected a positive number of seconds as lease, got 'soon' instead"),
        ({"lease": float("inf")}, "positive number of seconds"),
        ({"claim_window": 0}, "at least 1 as claim_window, got 0"),
        ({"jobstore_retry_interval": -1}, "as jobstore_retry_interval, got -1 instead"),
        ({"job_defaults": {"max_instances": 0}}, r"at least 1 as job_defaults\['max_instances'\], got 0"),
        ({"job_defaults": {"max_recoveries": -1}}, r"at least 0 as job_defaults\['max_recoveries'\], got -1"),
        ({"job_defaults": {"misfire_grace_time": 0}}, r"as job_defaults\['misfire_grace_time'\], got 0"),
        (
            {"job_defaults": {"recovery": "again"}},
            r"one of 'skip', 'rerun' as job_defaults\['recovery'\], got 'again'",
        ),
    ],
)
def test_values_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        settings(**options)


@pytest.mark.parametrize(
    "options", [{"executors": {"a": {"type": "thread"}}}, {"jobstores": {"a": {"type": "memry"}}}]
)
def test_an_unknown_type(options: dict[str, Any]) -> None:
    with pytest.raises(
        LookupError, match=r"^No .* by the name \"\w+\" was found; did you mean '(threadpool|memory)'"
    ):
        settings(**options)


# --- text ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("coalesce", "true", True),
        ("coalesce", " Off ", False),
        ("coalesce", 1, True),
        ("misfire_grace_time", "30", 30),
        ("misfire_grace_time", "0.5", 0.5),
        ("misfire_grace_time", timedelta(minutes=1), 60),
        ("misfire_grace_time", None, None),
        ("max_recoveries", "0", 0),
        ("recovery", "rerun", "rerun"),
    ],
)
def test_job_defaults_from_text(name: str, text: Any, value: Any) -> None:
    read = settings(job_defaults={name: text}).job_defaults[name]
    assert read == value
    assert type(read) is type(value)


# --- building ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "instance"), [(build_executor, DebugExecutor()), (build_jobstore, MemoryJobStore())]
)
def test_instances_pass_through(build: Callable[[str, Any], Any], instance: Any) -> None:
    assert build("a", instance) is instance


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "memory"},
        {"class": MemoryJobStore},
        {"class": "mainspring.jobstores.memory:MemoryJobStore"},
        {"class": "apscheduler.jobstores.memory:MemoryJobStore"},
    ],
)
def test_ways_to_name_a_class(spec: dict[str, Any]) -> None:
    assert type(build_jobstore("a", spec)) is MemoryJobStore


def test_arguments_reach_the_class_as_it_annotates_them() -> None:
    spec = {
        "class": ThirdPartyExecutor,
        "width": "5",
        "label": "x",
        "retries": "4",
        "strict": "yes",
        "host": "db",
        "port": "1",
    }
    made = build_executor("a", spec)
    assert isinstance(made, ThirdPartyExecutor)
    # connect_args are passed on as they are: only their receiver knows their types.
    assert made.given == (5, "x", 4, True, {"host": "db", "port": "1"})


def test_text_that_is_no_number() -> None:
    with pytest.raises(ValueError, match=r"as executors\['a'\]\['max_workers'\], got 'many' instead"):
        settings(executors={"a": {"type": "threadpool", "max_workers": "many"}})


def test_an_sqlalchemy_store_is_built(tmp_path: Any) -> None:
    store = build_jobstore("a", {"type": "sqlalchemy", "url": f"sqlite:///{tmp_path}/jobs.sqlite"})
    assert isinstance(store, SQLAlchemyJobStore)
    assert isinstance(store, BaseJobStore)


def test_any_futures_executor_is_wrapped() -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        made = settings(executors={"a": pool}).executors["a"]
        assert made is pool
        assert isinstance(build_executor("a", made), BaseExecutor)


def test_nothing_is_built_while_reading() -> None:
    made = settings(executors={"a": {"type": "threadpool"}})
    assert made.executors == {"a": {"type": "threadpool"}}


@pytest.mark.parametrize(
    ("kind", "add"), [(MemoryJobStore, "add_jobstore"), (ThreadPoolExecutor, "add_executor")]
)
def test_what_a_running_scheduler_uses_is_refused_to_others(kind: type, add: str) -> None:
    """The first that is shut down would end it for the other one."""
    shared = kind()
    one, another = BackgroundScheduler(), BackgroundScheduler()
    getattr(one, add)(shared, "first")
    one.start()
    try:
        for scheduler in (one, another):
            with pytest.raises(
                ValueError, match=f"this {kind.__name__} is in use, as 'first' of a scheduler that runs"
            ):
                getattr(scheduler, add)(shared, "second")
    finally:
        one.shutdown()
    getattr(another, add)(shared, "second")
