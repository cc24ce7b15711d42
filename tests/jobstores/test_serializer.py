"""The serializer: a value comes back equal in value and type, or is refused with its name when it is stored."""

import dataclasses
import enum
import functools
import json
import math
import pickle
import subprocess
import sys
import threading
from collections import Counter, OrderedDict, deque, namedtuple
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from pathlib import PosixPath, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple
from unittest import mock
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from dateutil import tz as dateutil_tz
from hypothesis import example, given
from hypothesis import strategies as st
from mainspring.jobstores.envelope import UnsupportedSerializationError
from mainspring.jobstores.serializer import Serializer
from mainspring.triggers import BaseTrigger, DateTrigger, IntervalTrigger

ID = "job-1"
TRIGGER = IntervalTrigger(minutes=5, start_date=datetime(2026, 1, 1, tzinfo=UTC))


def state(*args: Any, trigger: BaseTrigger = TRIGGER, **kwargs: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "id": ID,
        "func": "json:dumps",
        "trigger": trigger,
        "executor": "default",
        "args": args,
        "kwargs": kwargs,
        "name": "dumps",
        "misfire_grace_time": 1,
        "coalesce": True,
        "max_instances": 1,
    }


def comes_back(value: Any, serializer: Serializer | None = None) -> Any:
    serializer = serializer or Serializer()
    restored = serializer.loads(ID, serializer.dumps(ID, state(value, kw=value)))
    assert identical(restored["args"], (value,))
    assert identical(restored["kwargs"], {"kw": value})
    return restored["args"][0]


def refused(
    value: Any, *, trigger: BaseTrigger = TRIGGER, serializer: str = "json"
) -> UnsupportedSerializationError:
    with pytest.raises(UnsupportedSerializationError) as caught:
        Serializer(serializer).dumps(ID, state("fine", value, trigger=trigger))
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, ValueError)
    return caught.value


def identical(one: Any, other: Any) -> bool:
    """Equal in value and type, all the way down; NaN is NaN, 0.0 is not -0.0, folds and zones count."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return repr(one) == repr(other)
    if isinstance(one, complex):
        return identical(one.real, other.real) and identical(one.imag, other.imag)
    if isinstance(one, Decimal):
        return str(one) == str(other)
    if isinstance(one, datetime | time):
        return repr(one) == repr(other)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(identical, one, other))
    if isinstance(one, dict):
        return identical(list(one.items()), list(other.items()))
    if isinstance(one, set | frozenset):
        return identical(sorted(map(typed, one)), sorted(map(typed, other)))
    if dataclasses.is_dataclass(one):
        return identical(vars_of(one), vars_of(other))
    return bool(one == other)


def vars_of(value: Any) -> list[Any]:
    return [getattr(value, field.name) for field in dataclasses.fields(value)]


def typed(value: Any) -> str:
    """A text that differs where the values do; equal sets may be iterated, and so shown, in another order."""
    inside = map(typed, value) if isinstance(value, tuple | frozenset) else [repr(value)]
    return f"{type(value)}{sorted(inside) if isinstance(value, frozenset) else list(inside)}"


class Color(enum.Enum):
    RED = object()
    GREEN = 2
    ALSO_GREEN = 2


class Level(enum.IntEnum):
    LOW = 1


class Kind(enum.StrEnum):
    A = "a"


class Rights(enum.Flag):
    READ = 1
    WRITE = 2
    ALL = 3


class Mode(enum.IntFlag):
    X = 1
    Y = 4


class Point(NamedTuple):
    x: float
    y: Any = 0


Pair = namedtuple("Pair", ["one", "two"])


class Holder:
    class Inside(enum.Enum):
        YES = True

    @classmethod
    def make(cls) -> None: ...


@dataclasses.dataclass
class Order:
    id: int
    lines: list[Any] = dataclasses.field(default_factory=list)
    total: Decimal = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.total = Decimal(sum(self.lines))

    @functools.cached_property
    def shown(self) -> str:
        return f"{self.id}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    street: str
    zone: tzinfo | None = None


@dataclasses.dataclass(eq=False)
class Unequal:
    x: float
    lock: Any = dataclasses.field(default_factory=threading.Lock, init=False, compare=False)


@dataclasses.dataclass
class Growing:
    x: int

    def __post_init__(self) -> None:
        self.x += 1


@dataclasses.dataclass
class Needy:
    x: int
    seed: dataclasses.InitVar[int]


@dataclasses.dataclass
class Bag(dict[str, int]):
    x: int = 0


class Meters(float): ...


class Text(str): ...


class Number(int): ...


class Things(list[int]): ...


class Lookup(dict[str, int]): ...


class Plain: ...


def function() -> None: ...


# ----- what comes back

zones = st.one_of(
    st.none(),
    st.sampled_from([UTC, ZoneInfo("Europe/Berlin"), ZoneInfo("UTC"), ZoneInfo("America/New_York")]),
    st.builds(timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23))),
    st.builds(
        timezone,
        st.timedeltas(timedelta(hours=-23), timedelta(hours=23)),
        st.text(st.characters(codec="utf-8")),
    ),
)
texts = st.one_of(st.text(), st.text(st.sampled_from('$\ud83d\ude00\udcff\0"\\é😀ab'), max_size=5))
hashables = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False),
        texts,
        st.binary(),
        st.dates(),
        st.timedeltas(),
        st.decimals(allow_nan=False),
        st.uuids(),
        st.sampled_from(
            [Color.RED, Level.LOW, Kind.A, Rights.READ | Rights.WRITE, Mode.X, ~Mode.Y, Holder.Inside.YES]
        ),
    ),
    lambda inner: st.one_of(
        st.tuples(inner, inner), st.frozensets(inner, max_size=3), st.builds(Point, inner, inner)
    ),
    max_leaves=6,
)
leaves = st.one_of(
    hashables,
    st.floats(),
    st.complex_numbers(),
    st.decimals(),
    st.binary().map(bytearray),
    st.datetimes(timezones=zones, allow_imaginary=True),
    st.builds(lambda at, fold: at.replace(fold=fold), st.datetimes(timezones=zones), st.integers(0, 1)),
    st.times(timezones=zones),
    zones,
    st.builds(range, st.integers(), st.integers(), st.integers(1, 99)),
    st.sampled_from([function, Plain, Holder.make, math.sin, len, PosixPath("/a"), PureWindowsPath("C:\\x")]),
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(hashables, inner, max_size=3),
        st.dictionaries(st.sampled_from(["$a", "$tuple", "a", "$"]), inner, max_size=3),
        st.sets(hashables, max_size=3),
        st.tuples(inner),
        st.builds(lambda street, zone: Address(street=street, zone=zone), inner, inner),
    ),
    max_leaves=12,
)


@given(values)
@example({1: "a", "1": "b", None: 0, 2.5: 1, False: 2})
@example({"$tuple": [1]})
@example({"$dict": []})
@example([10**5000, -(10**5000), 1 << 2000, -0.0])
@example(["\ud83d\ude00", {"\udcff": 1}])  # two halves would come back as one character
@example({(1, 2): {frozenset({1}): [{}]}})
def test_what_is_stored_comes_back(value: Any) -> None:
    comes_back(value)


@pytest.mark.parametrize(
    "value",
    [
        datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
        datetime(2026, 3, 29, 2, 30, tzinfo=ZoneInfo("Europe/Berlin")),
        datetime(1, 1, 1),  # noqa: DTZ001
        datetime.max.replace(tzinfo=timezone(timedelta(microseconds=-1), "odd")),
        time(2, 30, fold=1),
        time(1, 2, 3, 4, tzinfo=UTC),
        date(1, 1, 1),
        Decimal("sNaN123"),
        Decimal("-0E+17"),
        math.nan,
        -math.inf,
        complex(-0.0, math.nan),
        UUID(int=0),
        PosixPath("/tmp/\udcff"),
        PurePosixPath("//a/../b"),
        range(10**700, 0, -3),
        Point(1.5, [Color.GREEN]),
        Pair({1}, b"x"),
        Order(1, [1, 2]),
        Address(street="x"),
        Color.ALSO_GREEN,
        Rights.ALL,
        Rights(0),
        Mode.X | 8,
    ],
    ids=repr,
)
def test_each_kind_of_value_comes_back(value: Any) -> None:
    comes_back(value)


@pytest.mark.parametrize("zone", [UTC, ZoneInfo("Europe/Berlin"), timezone(timedelta(hours=2), "CEST")])
def test_zones_are_kept_as_they_were(zone: tzinfo) -> None:
    at = datetime(2026, 7, 1, 12, tzinfo=zone)
    back = comes_back(at)
    assert back.tzinfo == zone
    assert back.tzname() == at.tzname()


def test_a_dataclass_with_a_cached_property_comes_back() -> None:
    order = Order(1)
    assert order.shown == "1"
    comes_back(order)


def test_a_dataclass_without_equality_is_compared_by_its_fields() -> None:
    serializer = Serializer()
    (back,) = serializer.loads(ID, serializer.dumps(ID, state(Unequal(1.5))))["args"]
    assert type(back) is Unequal
    assert back.x == 1.5


def test_enum_members_functions_and_classes_are_the_same_objects() -> None:
    for value in (Color.RED, Level.LOW, function, Plain, math.sin):
        assert comes_back(value) is value


def test_the_whole_state_comes_back() -> None:
    serializer = Serializer()
    given_state = state(1, a="x") | {"later_option": {"any": (1, timedelta(1))}}
    before = repr(given_state)
    assert serializer.loads(ID, serializer.dumps(ID, given_state)) == given_state
    assert repr(given_state) == before


def test_keyword_arguments_may_have_any_name() -> None:
    serializer = Serializer()
    for kwargs in ({"$tuple": [1]}, {"a b": 1}, {"é": 1}):
        assert serializer.loads(ID, serializer.dumps(ID, state(**kwargs)))["kwargs"] == kwargs


def test_equal_sets_give_the_same_bytes_in_every_process() -> None:
    program = (
        "from mainspring.jobstores.tags import TagCodec, to_text;"
        "print(to_text(TagCodec().encode({*map(str, range(50))}, '')))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": "tests/checkout"},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_the_payload_is_compact_readable_json() -> None:
    envelope = json.loads(Serializer().dumps(ID, state(1, é="ü", at=timedelta(1))))
    assert envelope["serializer"] == "json"
    assert envelope["signature"] is None
    body = json.loads(envelope["body"])
    assert body["func"] == "json:dumps"
    assert body["kwargs"] == {"é": "ü", "at": {"$timedelta": [1, 0, 0]}}
    assert '": ' not in envelope["body"]


# ----- what is refused


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (Number(1), "would come back as a plain int"),
        (Text("x"), "would come back as a plain str"),
        (Meters(1), "would come back as a plain float"),
        (Things(), "would come back as a plain list"),
        (Lookup(), "would come back as a plain dict"),
        (OrderedDict(), "would come back as a plain dict"),
        (Counter(), "would come back as a plain dict"),
        (deque(), 'no tag is known.*serializer="pickle"'),
        (threading.Lock(), "JSON has nothing for it"),
        (object(), "JSON has nothing for it"),
        (Plain(), "JSON has nothing for it"),
        (ValueError("x"), "plain BaseException"),
        (lambda: None, "lambda"),
        (functools.partial(function), "partial of function"),
        (Plain().__init__, "JSON has nothing for it"),  # type: ignore[misc]
        ([].append, "no module and name"),
        (Growing(1), "built again from its fields, it differs in 'x'"),
        (Needy(1, 2), "building it again from its fields fails: TypeError"),
        (Bag(1), "on top of a built-in type"),
        (mock.Mock(), "JSON has nothing for it"),
        (mock.Mock(spec=Color), "JSON has nothing for it"),
        (mock.Mock(spec=IntervalTrigger), "JSON has nothing for it"),
        (json, "JSON has nothing for it"),
        (dateutil_tz.gettz("Europe/Berlin"), "JSON has nothing for it"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_would_not_come_back_equal_is_refused(value: Any, says: str) -> None:
    error = refused(value)
    assert error.path == "args[1]"
    with pytest.raises(UnsupportedSerializationError, match=says):
        raise error


def test_the_message_names_argument_type_and_remedy() -> None:
    message = str(refused(threading.Lock()))
    assert message.startswith("args[1] (of type _thread.lock) cannot be stored: ")
    assert "look it up inside the job" in message
    assert 'serializer="pickle"' in message


def local_class() -> Any:
    class Local(enum.Enum):
        X = 1

    return Local.X


def test_an_instance_of_a_local_class_is_refused() -> None:
    assert "class cannot be found again" in refused(local_class()).reason


def test_zones_without_a_name_are_refused_with_advice() -> None:
    error = refused(datetime(2026, 1, 1, tzinfo=dateutil_tz.tzoffset(None, 60)))
    assert error.path == "args[1].tzinfo"
    assert "zoneinfo.ZoneInfo('Area/City')" in error.remedy


def test_a_bound_method_as_an_argument_is_refused() -> None:
    assert "bound to an object" in refused(Order(1).__post_init__).reason


def test_an_attribute_that_is_no_field_would_be_lost() -> None:
    order = Order(1)
    order.note = "x"  # type: ignore[attr-defined]
    assert "differs in 'note'" in refused(order).reason


lock = threading.Lock()


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ([1, [lock]], "args[1][1][0]"),
        ({"x": [0, 1, lock]}, "args[1]['x'][2]"),
        ({1: (lock,)}, "args[1][1][0]"),
        ({Number(1): 1}, "args[1].keys()"),
        ({frozenset({Number(1)}): 1}, "args[1].keys()<item>"),
        ({"k" * 500: lock}, "args[1]['kkkkkkkkkkkk...kkkkkkkkkkkkk']"),
        (Order(1, [5, Meters(1)]), "args[1].lines[1]"),
        (Point(1, {"a": lock}), "args[1].y['a']"),
        ({Color.GREEN: lock}, "args[1][<Color.GREEN: 2>]"),
    ],
)
def test_the_path_leads_to_the_place(value: Any, path: str) -> None:
    assert refused(value).path == path


def test_keyword_arguments_are_named() -> None:
    with pytest.raises(UnsupportedSerializationError, match=r"^kwargs\['x'\]\[2\] \(of type object\) cannot"):
        Serializer().dumps(ID, state(x=[0, 1, object()]))


def test_options_are_named() -> None:
    with pytest.raises(UnsupportedSerializationError, match=r"^misfire_grace_time "):
        Serializer().dumps(ID, state() | {"misfire_grace_time": object()})
    with pytest.raises(UnsupportedSerializationError, match=r"^func .*'module:function'"):
        Serializer().dumps(ID, state() | {"func": json.dumps})


def circles() -> Iterator[Any]:
    one: list[Any] = []
    one.append(one)
    yield one
    two: dict[str, Any] = {}
    two["x"] = [(two,)]
    yield two
    three = Order(1)
    three.total = three  # type: ignore[assignment]
    yield {"x": Address(street=[three], zone=None)}  # type: ignore[arg-type]
    four = Unequal(1)
    four.x = [four]  # type: ignore[assignment]
    yield four


@pytest.mark.parametrize("value", [*circles()], ids=lambda value: type(value).__name__)
def test_circles_are_refused(value: Any) -> None:
    error = refused(value)
    assert "contains itself" in error.reason or "differs" in error.reason


def test_the_same_object_twice_is_no_circle() -> None:
    shared = [1]
    comes_back([shared, {"again": shared}])


def test_deep_nesting_is_refused_and_moderate_nesting_comes_back() -> None:
    def nested(depth: int, wrap: Callable[[Any], Any]) -> Any:
        value: Any = 1
        for _ in range(depth):
            value = wrap(value)
        return value

    for wrap in (
        lambda v: [v],
        lambda v: (v,),
        lambda v: {1: v},
        lambda v: Point(0, v),
        lambda v: Address(street=v),
    ):
        assert "nested more than 100 levels deep" in refused(nested(150, wrap)).reason
        comes_back(nested(99, wrap))


# ----- triggers


class Simple(BaseTrigger):
    """As people write them: attributes, nothing else."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        return self.at if previous_fire_time is None else None


class Versioned(Simple):
    def __getstate__(self) -> Any:
        return {"version": 1, "when": self.at, "inner": TRIGGER}

    def __setstate__(self, stored: Any) -> None:
        self.at = stored["when"]


class Slotted(Simple):
    __slots__ = ("more",)

    def __init__(self, at: datetime) -> None:
        super().__init__(at)
        self.more = (1, 2)


class Forgetful(Simple):
    def __getstate__(self) -> Any:
        return {"at": self.at}

    def __setstate__(self, stored: Any) -> None:
        self.at = stored["at"] + timedelta(1)


class Raising(Simple):
    def __getstate__(self) -> Any:
        raise RuntimeError("no")


class Weekdays(IntervalTrigger):
    __slots__ = ()


class Labelled(IntervalTrigger):
    """A subclass of ours with an attribute that the inherited state knows nothing of."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.label = "x"


AT = datetime(2026, 1, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))


@pytest.mark.parametrize(
    "trigger",
    [TRIGGER, IntervalTrigger(seconds=1.5, jitter=3), DateTrigger(AT), Weekdays(days=1, start_date=AT)],
    ids=str,
)
@pytest.mark.parametrize("how", ["json", "pickle"])
def test_our_triggers_and_subclasses_of_them_come_back(trigger: BaseTrigger, how: str) -> None:
    serializer = Serializer(how)
    back = serializer.loads(ID, serializer.dumps(ID, state(trigger, trigger=trigger)))
    assert identical(back["trigger"], trigger)
    assert identical(back["args"], (trigger,))


@pytest.mark.parametrize("kind", [Simple, Versioned, Slotted])
@pytest.mark.parametrize("how", ["json", "pickle"])
def test_a_users_trigger_comes_back(kind: type[Simple], how: str) -> None:
    serializer = Serializer(how)
    trigger = kind(AT)
    back = serializer.loads(ID, serializer.dumps(ID, state(trigger=trigger)))["trigger"]
    assert type(back) is kind
    assert back.at == AT
    assert getattr(back, "more", None) == getattr(trigger, "more", None)


def test_a_users_trigger_that_does_not_come_back_is_refused() -> None:
    for trigger, says in (
        (Forgetful(AT), "has another state"),
        (Raising(AT), "__getstate__ and __setstate__ fail: RuntimeError"),
        (Labelled(days=1), "leaves out ['label']"),
    ):
        error = refused(1, trigger=trigger)
        assert error.path == "trigger"
        assert says in error.reason
    assert refused(1, trigger=Simple(lock)).path == "trigger['at']"  # type: ignore[arg-type]


# ----- pickle


@pytest.mark.parametrize("protocol", [None, *range(pickle.HIGHEST_PROTOCOL + 1)])
def test_pickle_stores_what_json_refuses(protocol: int | None) -> None:
    serializer = Serializer("pickle", protocol)
    value = (Number(1), OrderedDict(a=1), Things([1]), deque([2]), {1: Order(1)})
    restored = serializer.loads(ID, serializer.dumps(ID, state(value)))
    assert identical(restored["args"], (value,))
    assert restored == state(value)


def test_what_pickle_cannot_store_is_named() -> None:
    error = refused([threading.Lock()], serializer="pickle")
    assert error.path == "args[1]"
    assert "cannot be pickled" in error.reason
    with pytest.raises(UnsupportedSerializationError, match=r"^kwargs\['x'\]"):
        Serializer("pickle").dumps(ID, state(x=lambda: 1))


# ----- options


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"serializer": "picle"}, ValueError, "did you mean 'pickle'"),
        ({"serializer": 3}, ValueError, 'must be "json" or "pickle", got 3'),
        ({"pickle_protocol": 99}, ValueError, "pickle_protocol must be an int from 0 to"),
        ({"pickle_protocol": True}, ValueError, "got True"),
        ({"signing_keys": "secret"}, TypeError, r"write signing_keys=\[key\]"),
        ({"signing_keys": [3]}, TypeError, "must be str or bytes, got int"),
        ({"signing_keys": [""]}, ValueError, "must not be empty"),
        ({"allowed_callables": "myapp"}, TypeError, r"allowed_callables=\['myapp'\]"),
        ({"allowed_callables": [print]}, TypeError, "as text"),
        ({"allowed_callables": ["my app"]}, ValueError, "neither a module"),
        ({"allowed_callables": ["myapp:"]}, ValueError, "is not a reference"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        Serializer(**options)


def test_a_protocol_alone_means_pickle() -> None:
    assert Serializer().serializer == "json"
    assert Serializer(pickle_protocol=2).serializer == "pickle"
    assert Serializer("json", pickle_protocol=2).serializer == "json"
