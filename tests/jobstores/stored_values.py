"""Values of many kinds and types for the tests of the serializer, and what it means that one comes back."""

import dataclasses
import enum
import functools
import itertools
import threading
from collections import namedtuple
from datetime import UTC, datetime, time, tzinfo
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from mainspring.jobstores.serialization.envelope import UnsupportedSerializationError
from mainspring.jobstores.serialization.serializer import Serializer
from mainspring.triggers import BaseTrigger, IntervalTrigger

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


counter = itertools.count()


@dataclasses.dataclass
class Numbered:
    """Its equality is about what the constructor hands out anew."""

    x: int
    serial: int = dataclasses.field(init=False, compare=False)

    def __post_init__(self) -> None:
        self.serial = next(counter)

    def __eq__(self, other: object) -> bool:
        return type(other) is Numbered and other.serial == self.serial


class Meters(float): ...


class Text(str): ...


class Number(int): ...


class Things(list[int]): ...


class Lookup(dict[str, int]): ...


class Plain: ...


def function() -> None: ...
