"""What would not come back equal is refused when it is stored: with its place, its type and what to do."""

import enum
import functools
import json
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from unittest import mock

import pytest
from dateutil import tz as dateutil_tz
from mainspring.jobstores.serialization.envelope import UnsupportedSerializationError
from mainspring.jobstores.serialization.serializer import Serializer
from mainspring.triggers import IntervalTrigger

from tests.jobstores.stored_values import (
    ID,
    Address,
    Bag,
    Color,
    Growing,
    Lookup,
    Meters,
    Needy,
    Number,
    Numbered,
    Order,
    Plain,
    Point,
    Text,
    Things,
    Unequal,
    comes_back,
    function,
    refused,
    state,
)


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
        (Numbered(1), "it differs in its own comparison"),
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
