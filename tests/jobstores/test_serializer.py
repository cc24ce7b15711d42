"""The serializer: a value comes back equal in value and type, as JSON with tags or as a pickle."""

import json
import math
import pickle
import subprocess
import sys
import threading
from collections import OrderedDict, deque
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from pathlib import Path, PosixPath, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mainspring.jobstores.serialization.envelope import UnsupportedSerializationError
from mainspring.jobstores.serialization.serializer import Serializer

from tests.jobstores.stored_values import (
    ID,
    Address,
    Color,
    Holder,
    Kind,
    Level,
    Mode,
    Number,
    Order,
    Pair,
    Plain,
    Point,
    Rights,
    Things,
    Unequal,
    comes_back,
    function,
    identical,
    refused,
    state,
)

CHECKOUT = Path(__file__).resolve().parents[1] / "checkout"


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
        "from mainspring.jobstores.serialization.tags import TagCodec, to_text;"
        "print(to_text(TagCodec().encode({*map(str, range(50))}, '')))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(CHECKOUT)},
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


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"serializer": "picle"}, ValueError, "did you mean 'pickle'"),
        ({"serializer": 3}, ValueError, 'must be "json" or "pickle", got 3'),
        ({"pickle_protocol": 99}, ValueError, "pickle_protocol must be an int from 0 to"),
        ({"pickle_protocol": True}, ValueError, "got True"),
        ({"signing_keys": "secret"}, TypeError, r"write signing_keys=\[key\]"),
        ({"signing_keys": [3]}, TypeError, "must be str or bytes, got int"),
        ({"signing_keys": 5}, TypeError, "signing_keys must be a list of keys, got int"),
        ({"signing_keys": [""]}, ValueError, "must not be empty"),
        ({"allowed_callables": "myapp"}, TypeError, r"allowed_callables=\['myapp'\]"),
        (
            {"allowed_callables": 5},
            TypeError,
            "allowed_callables must be a list of modules and references, got int",
        ),
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
