"""What becomes of single jobs: their options, arguments, functions and states, and the reasons and remedies of those that are refused."""

import json
import pickle
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import SimpleNamespace
from typing import Any
from uuid import UUID, SafeUUID
from zoneinfo import ZoneInfo

import pytest
import pytz  # type: ignore[import-untyped]
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger
from dateutil import tz
from hypothesis import given, settings
from hypothesis import strategies as some
from mainspring.jobstores.migration.jobs import OldJob, UntakableJobError
from mainspring.jobstores.record import Plan
from mainspring.triggers.instants import to_micros

from tests.migration import shop
from tests.migration.olds import FUNCTION, NOW, arrival, reader, state

SHOP = "tests.migration.shop"
TRIGGER = DateTrigger(NOW + timedelta(days=1))


def refused(data: bytes, time: float | None = None, **options: Any) -> str:
    with pytest.raises(UntakableJobError) as raised:
        reader(**options).arrival(OldJob("job", data, time))
    return str(raised.value)


# -- options and states ------------------------------------------------------------------------------------------------


def test_the_options_stay() -> None:
    taken, notes = arrival(
        state(
            TRIGGER,
            name="a name",
            executor="other",
            misfire_grace_time=None,
            coalesce=False,
            max_instances=5,
            args=(1,),
            kwargs={"a": "b"},
        )
    )
    job = taken.job
    assert (job.id, job.name, job.executor, job.misfire_grace_time) == ("job", "a name", "other", None)
    assert (job.coalesce, job.max_instances, job.args, job.kwargs, job.func_ref) == (
        False,
        5,
        (1,),
        {"a": "b"},
        FUNCTION,
    )
    assert (job.recovery, job.max_retries) == ("skip", 0)
    assert notes == []


def test_a_paused_job_is_paused_and_keeps_what_comes_next() -> None:
    taken, notes = arrival(state(IntervalTrigger(hours=1, start_date=NOW), None))
    assert taken.plan == Plan(None, to_micros(NOW), "paused")
    assert notes == []


def test_a_paused_date_keeps_its_date_though_it_has_passed() -> None:
    past = NOW - timedelta(days=3)
    taken, _ = arrival(state(DateTrigger(past), None))
    assert taken.plan == Plan(None, to_micros(past), "paused")


@pytest.mark.parametrize(
    "trigger",
    [DateTrigger(NOW), CronTrigger(hour=5, timezone="UTC"), IntervalTrigger(hours=1, start_date=NOW)],
)
def test_an_overdue_job_stays_overdue(trigger: Any) -> None:
    past = NOW - timedelta(days=3, minutes=7)
    taken, _ = arrival(state(trigger, past))
    assert taken.plan == Plan(to_micros(past), to_micros(past))


def test_a_job_whose_trigger_is_over_is_kept() -> None:
    taken, _ = arrival(state(CronTrigger(year=2020, timezone="UTC"), None))
    assert taken.plan == Plan(None, None, "paused")


def test_the_columns_next_run_time_can_pause_a_job() -> None:
    taken, notes = arrival(state(TRIGGER), time=None)
    assert taken.plan.state == "paused"
    assert "is paused, as it was there" in notes[0]


def test_of_two_next_run_times_that_differ_the_jobs_own_counts() -> None:
    taken, notes = arrival(state(TRIGGER), time=NOW.timestamp())
    assert taken.plan.next_run_time == to_micros(NOW + timedelta(days=1))
    assert "another next run time" in notes[0]
    assert arrival(state(TRIGGER), time=(NOW + timedelta(days=1)).timestamp() + 1e-6)[1] == []


def test_a_coalesce_that_is_no_bool_counts_as_it_did() -> None:
    changed = pickle.loads(state(TRIGGER)) | {"coalesce": "false"}
    taken, notes = arrival(pickle.dumps(changed))
    assert taken.job.coalesce is True
    assert notes == ["its coalesce is 'false', which counted as True"]


def test_a_wrong_option_is_named() -> None:
    assert "max_instances must be an integer" in refused(
        pickle.dumps(pickle.loads(state(TRIGGER)) | {"max_instances": 0})
    )


def test_a_row_of_another_id() -> None:
    with pytest.raises(UntakableJobError, match="a job of another one, 'job'"):
        reader().arrival(OldJob("other", state(TRIGGER), None))


@pytest.mark.parametrize(
    ("version", "reason"), [(2, "version 2 of APScheduler's format"), ("x", "version 'x'")]
)
def test_a_version_that_is_not_known(version: Any, reason: str) -> None:
    assert reason in refused(pickle.dumps(pickle.loads(state(TRIGGER)) | {"version": version}))


def test_what_apscheduler_4_stores_is_no_job() -> None:
    assert "no job of APScheduler 3" in refused(pickle.dumps([1]))
    assert "a job of another one" in refused(pickle.dumps({"id": UUID(int=3), "task_id": "x"}))


# -- functions -----------------------------------------------------------------------------------------------------------


def test_functions_are_not_imported() -> None:
    taken, notes = arrival(pickle.dumps(pickle.loads(state(TRIGGER)) | {"func": "no.such.module:function"}))
    assert taken.job.func_ref == "no.such.module:function"
    assert taken.job.name == "a job"
    assert notes == []


def test_unless_they_are_checked() -> None:
    missing = pickle.dumps(pickle.loads(state(TRIGGER)) | {"func": "no.such.module:function"})
    assert "cannot be called here" in refused(missing, check_callables=True)
    assert "if it has moved, rename it" in refused(missing, check_callables=True)
    wrong = pickle.dumps(pickle.loads(state(TRIGGER)) | {"func": f"{SHOP}:invoice"})
    assert "order" in refused(wrong, check_callables=True)
    taken, _ = arrival(state(TRIGGER), check_callables=True)
    assert taken.job.func is shop.deliver


def test_functions_and_classes_move() -> None:
    old = pickle.loads(state(TRIGGER))
    renames = {"shop.tasks": SHOP, "shop.tasks:old": f"{SHOP}:invoice", "shop": "store"}
    moved = {
        "shop.tasks:deliver": FUNCTION,
        "shop.tasks:old": f"{SHOP}:invoice",
        "shop.other:f": "store.other:f",
        "shopping:f": "shopping:f",
    }
    for func, new in moved.items():
        taken, _ = arrival(pickle.dumps(old | {"func": func}), rename=renames)
        assert taken.job.func_ref == new
    data = pickle.dumps(old | {"args": (shop.Order(5),)}, 2).replace(f"c{SHOP}\n".encode(), b"cgone\n")
    time = NOW.timestamp() + 86_400
    taken, _ = reader([SHOP], {"gone": SHOP}).arrival(OldJob("job", data, time))
    assert taken.job.args == (shop.Order(5),)


@pytest.mark.parametrize("names", [{"a": "b:c"}, {"a:b": "c"}, {"": "a"}, {"a b": "c"}, {"a:b:c": "a:b"}])
def test_a_renaming_that_makes_no_sense(names: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="cannot rename"):
        reader(rename=names)


def test_a_function_of_the_main_program_has_a_note() -> None:
    _, notes = arrival(pickle.dumps(pickle.loads(state(TRIGGER)) | {"func": "__main__:f"}))
    assert notes == ["its function __main__:f is in a program's main file: only that program can run it"]


def test_a_bound_method_brings_its_object() -> None:
    data = state(TRIGGER, func=shop.Digest("news").send, args=("all",), name="x")
    assert pickle.loads(data)["func"] == f"{SHOP}:Digest.send"
    assert f"args[0] holds {SHOP}:Digest" in refused(data)
    taken, _ = arrival(data, allow=[f"{SHOP}:Digest"])
    assert taken.job.func_ref == f"{SHOP}:Digest.send"
    assert taken.job.args == (shop.Digest("news"), "all")


# -- arguments -----------------------------------------------------------------------------------------------------------

BERLIN = ZoneInfo("Europe/Berlin")
VALUES: list[Any] = [
    *(
        None,
        True,
        5,
        -(2**70),
        1.5,
        "text",
        "ü\ud800",
        b"bytes",
        bytearray(b"x"),
        1 + 2j,
        range(1, 10, 2),
        (),
        [],
        {},
        set(),
        frozenset(),
    ),
    *([1, [2, [3]]], (1, (2,)), {"a": {1: "b"}, (1, 2): None}, {1, 2}, frozenset({1, "a"})),
    *(
        date(2027, 1, 1),
        time(5, 30, tzinfo=UTC),
        timedelta(days=1, microseconds=1),
        timezone(timedelta(hours=2), "name"),
        UTC,
        BERLIN,
    ),
    *(
        datetime(2027, 1, 1),  # noqa: DTZ001  (a naive one)
        datetime(2027, 1, 1, tzinfo=BERLIN),
        datetime(2027, 10, 31, 2, 30, fold=1, tzinfo=BERLIN),
    ),
    *(
        Decimal("1.50"),
        UUID(int=5),
        UUID(int=5, is_safe=SafeUUID.safe),
        PurePosixPath("/a/b"),
        Path("x"),
        PureWindowsPath("c:/x"),
    ),
    *(OrderedDict(a=1), deque([1, 2], 5), defaultdict(list, {"a": [1]}), int, datetime),
]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "value", VALUES, ids=lambda value: type(value).__name__
)  # a set is shown in another order each time
def test_arguments_come_back_equal(value: Any, protocol: int) -> None:
    taken, notes = arrival(state(TRIGGER, protocol=protocol, args=(value, [value]), kwargs={"x": value}))
    for found in (*taken.job.args[:1], taken.job.args[1][0], taken.job.kwargs["x"]):
        assert found == value
        assert type(found) is type(value)
    assert getattr(taken.job.args[0], "tzinfo", None) == getattr(value, "tzinfo", None)
    assert notes == []


plain = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text() | some.binary() | some.dates()
    | some.datetimes() | some.timedeltas() | some.decimals(allow_nan=False) | some.uuids() | some.complex_numbers(allow_nan=False),
    lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner) | some.tuples(inner, inner) | some.sets(some.integers()),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(plain, some.integers(0, 5))
def test_whatever_they_are(value: Any, protocol: int) -> None:
    data = pickle.dumps(pickle.loads(state(TRIGGER)) | {"args": (value,)}, protocol)
    assert arrival(data)[0].job.args == (value,)


@pytest.mark.parametrize(
    ("zone", "library", "found"),
    [
        (pytz.timezone("Europe/Berlin"), "pytz", BERLIN),
        (tz.tzoffset("x", 3600), None, timezone(timedelta(hours=1))),
        (tz.gettz("Europe/Berlin"), None, BERLIN),
        (pytz.utc, None, UTC),
        (tz.tzutc(), None, UTC),
        (pytz.FixedOffset(90), None, timezone(timedelta(minutes=90))),
    ],
)
@pytest.mark.parametrize("protocol", range(6))
def test_zones_of_other_libraries_become_those_of_python(
    zone: Any, library: str | None, found: Any, protocol: int
) -> None:
    taken, notes = arrival(state(TRIGGER, protocol=protocol, args=(zone,)))
    assert taken.job.args == (found,)
    assert [note.split(" of ")[1].split(",")[0] for note in notes] == ([library] if library else [])


def test_moments_of_pytz_stay_the_same_instants() -> None:
    zone = pytz.timezone("Europe/Berlin")
    moments = [zone.localize(datetime(2027, 10, 31, 2, 30), is_dst=is_dst) for is_dst in (True, False)]  # noqa: DTZ001
    taken, _ = arrival(state(TRIGGER, args=tuple(moments)))
    assert [moment.astimezone(UTC) for moment in taken.job.args] == [
        moment.astimezone(UTC) for moment in moments
    ]
    assert [moment.tzinfo for moment in taken.job.args] == [BERLIN, BERLIN]


OWN: list[Any] = [
    shop.Color.RED,
    shop.Size.LARGE,
    shop.Order(3),
    shop.Slotted(1, 2),
    shop.Order,
    [shop.Order(1), {"x": shop.Color.RED}],
]


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("value", OWN, ids=repr)
def test_the_programs_own_classes_need_to_be_allowed(value: Any, protocol: int) -> None:
    data = state(TRIGGER, protocol=protocol, args=(1, value))
    reason = refused(data)
    assert reason.startswith("args[1]")
    assert "not looked up unless it is allowed" in reason
    assert f"or {SHOP}; or give" in reason
    taken, _ = arrival(data, allow=[SHOP])
    assert taken.job.args == (1, value)


@pytest.mark.parametrize("protocol", [0, 1])
def test_also_of_the_old_protocols(protocol: int) -> None:
    data = state(
        TRIGGER, protocol=protocol, args=(shop.Order(3), shop.Size.LARGE), kwargs={"x": shop.Color.RED}
    )
    taken, _ = arrival(data, allow=[SHOP])
    assert taken.job.args == (shop.Order(3), shop.Size.LARGE)
    assert taken.job.kwargs == {"x": shop.Color.RED}


def test_what_an_allowed_module_has_imported_is_not_allowed_with_it() -> None:
    data = state(TRIGGER, args=(SimpleNamespace(a=1),))
    assert "types:SimpleNamespace" in refused(data, allow=[SHOP])
    sneaky = pickle.dumps(pickle.loads(state(TRIGGER)) | {"args": (shop.Order(1),)}, 2).replace(
        f"c{SHOP}\nOrder\n".encode(), f"c{SHOP}\ndataclass\n".encode()
    )
    assert "dataclass" in refused(sneaky, allow=[SHOP])


class Nine:
    """Pickled, it is a size that there is none of."""

    def __reduce__(self) -> Any:
        return shop.Size, (9,)


def test_a_class_that_raises_is_the_reason() -> None:
    reason = refused(state(TRIGGER, args=(Nine(),)), allow=[SHOP])
    assert reason == f"a {SHOP}:Size in it cannot be made: ValueError: 9 is not a valid Size"


def test_where_in_the_arguments() -> None:
    assert refused(state(TRIGGER, kwargs={"a": [0, {"b": shop.Order(1)}]})).startswith(
        "kwargs['a'][1]['b'] holds"
    )


# -- triggers that cannot be taken ------------------------------------------------------------------------------------------


def test_a_trigger_of_the_programs_own() -> None:
    reason = refused(state(shop.Whenever(), NOW))
    assert f"its trigger is of the class {SHOP}:Whenever, which is not APScheduler's" in reason


def test_one_that_now_is_mainsprings() -> None:
    from mainspring.triggers import BaseTrigger

    class Moved(BaseTrigger):
        def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
            return now

    Moved.__module__, Moved.__qualname__ = SHOP, "Moved"
    data = state(shop.Whenever(), NOW).replace(b"\x08Whenever", b"\x05Moved")
    shop.Moved = Moved  # type: ignore[attr-defined]
    try:
        data = pickle.dumps(pickle.loads(state(TRIGGER)) | {"trigger": Moved()}, 2)
        taken, notes = arrival(data, time=NOW.timestamp() + 86_400, allow=[SHOP])
    finally:
        del shop.Moved  # type: ignore[attr-defined]
    assert type(taken.job.trigger) is Moved
    assert "the program's own class" in notes[0]


@pytest.mark.parametrize("length", [timedelta(0), timedelta(seconds=-5)])
def test_an_interval_that_is_not_positive(length: timedelta) -> None:
    trigger = IntervalTrigger(hours=1, start_date=NOW)
    trigger.interval = length
    assert "its trigger is refused here" in refused(state(trigger, NOW), NOW.timestamp())


def test_a_rule_for_a_zone() -> None:
    reason = refused(state(IntervalTrigger(hours=1, start_date=NOW, timezone=tz.tzstr("EST5EDT"))))
    assert (
        reason
        == "its next run time is in the time zone dateutil.tz.tz:tzstr: a zone that is a rule in text, without a name"
    )


def test_a_zone_that_is_not_there() -> None:
    data = state(CronTrigger(hour=5, timezone=ZoneInfo("Europe/Berlin"))).replace(
        b"Europe/Berlin", b"Europe/Berlim"
    )
    assert "did you mean 'Europe/Berlin'" in refused(data)


# -- old versions -------------------------------------------------------------------------------------------------------


def old_states() -> Iterator[Any]:
    """States that APScheduler 3.0.6, 3.6.3 and 3.10.4 have written, with pytz."""
    from base64 import b64decode

    for file in sorted(Path(__file__).with_name("old_states").glob("*.json")):
        for name, text in json.loads(file.read_text()).items():
            yield pytest.param(name, b64decode(text), id=f"{file.stem}-{name}")


@pytest.mark.parametrize(("name", "data"), [*old_states()])
def test_states_of_old_versions(name: str, data: bytes) -> None:
    moments = {"i": 1793491200, "c": 1795993200, "d": 1814392800, "or": 1793491200}
    shown = {
        "i": "interval[0:05:00]",
        "d": "date[2027-07-01 00:00:00 CEST]",
        "or": "or[interval[0:05:00], and[cron[hour='5']]]",
    }
    taken, _ = reader().arrival(OldJob(name, data, float(moments[name])))
    assert str(taken.job.trigger) == shown.get(name, "cron[day='last', day_of_week='0-4', hour='*/2']")
    assert taken.plan.next_run_time == moments[name] * 1_000_000
    assert taken.job.func_ref == "os:getcwd"
