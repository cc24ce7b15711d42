"""What stands for things while a pickle is read: APScheduler's objects, values that are not finished, and whatever is not known."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final
from uuid import UUID, SafeUUID

__all__ = [
    "APSCHEDULER",
    "Allowed",
    "Budget",
    "Foreign",
    "Known",
    "NamedZone",
    "OldClass",
    "PartialOffset",
    "PartialUUID",
    "RefusedPickleError",
    "StandIn",
]


class RefusedPickleError(ValueError):
    """The pickle is not read any further; the text says why."""


class Budget:
    """How much a pickle may come to: its size says little, since what stands in it once can be meant a billion times."""

    __slots__ = ("left",)

    def __init__(self, size: int) -> None:
        self.left = size

    def spend(self, amount: int) -> None:
        self.left -= amount
        if self.left < 0:
            raise RefusedPickleError(
                "read out in full it would be larger than any job's arguments are: a pickle that repeats itself"
            )


class StandIn:
    """An object of APScheduler's: the class that it names, and its state. None of its code is there, or needed."""

    __slots__ = ("reference", "state")

    def __init__(self, reference: str) -> None:
        self.reference = reference
        self.state: dict[str, Any] = {}

    def fill(self, state: Any) -> None:
        # Without a `__getstate__`, classes with slots have a pair: the instance's dict, or None, and the slots.
        parts = state if type(state) is tuple and len(state) == 2 else (state,)
        for part in parts:
            if type(part) is dict:
                self.state.update(part)
            elif part is not None:
                raise RefusedPickleError(f"the state of a {self.reference} in it is no dict")


class Foreign:
    """Something that was not looked up: a class or function, or what it would have made. It takes any call, and does nothing."""

    __slots__ = ("reason", "reference")

    def __init__(self, reference: str, reason: str = "") -> None:
        self.reference = reference
        self.reason = reason


class OldClass:
    """A class of APScheduler's."""

    __slots__ = ("reference",)

    def __init__(self, reference: str) -> None:
        self.reference = reference


class Allowed:
    """A class or function of the program's, which its owner has allowed: the only ones that are looked up, and called."""

    __slots__ = ("itself", "reference")

    def __init__(self, reference: str, itself: Any) -> None:
        self.reference = reference
        self.itself = itself


class Known:
    """A class or function of the standard library, or of a library of time zones, that pickles may name: what is done instead of calling it."""

    __slots__ = ("itself", "make", "reference")

    def __init__(self, reference: str, make: Callable[..., Any], itself: Any = None) -> None:
        self.reference = reference
        self.make = make
        self.itself = itself
        """The class, where a job may have it as an argument."""


class PartialUUID:
    """A UUID before it has its number."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: UUID | None = None

    def fill(self, state: Any) -> None:
        number = state.get("int") if type(state) is dict else None
        if type(number) is not int:
            raise RefusedPickleError("a UUID in it has no number")
        safe = state.get("is_safe", SafeUUID.unknown)
        self.value = UUID(int=number, is_safe=safe if isinstance(safe, SafeUUID) else SafeUUID.unknown)


class PartialOffset:
    """A `tzoffset` of dateutil before it has its offset."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: timedelta | None = None

    def fill(self, state: Any) -> None:
        offset = state.get("_offset") if type(state) is dict else None
        if not isinstance(offset, timedelta):
            raise RefusedPickleError("a tzoffset in it has no offset")
        self.value = offset


class NamedZone:
    """A zone of pytz: one of the offsets that a place has had. A bare one means the place; in a datetime, also which offset it has."""

    __slots__ = ("offset", "zone")

    def __init__(self, zone: tzinfo, offset: timedelta | None) -> None:
        self.zone = zone
        self.offset = offset

    def moment(self, naive: datetime) -> datetime:
        """The instant that pytz means by this wall time, as a datetime of the place: with the right fold, if the hour comes twice."""
        if self.offset is None:
            return naive.replace(tzinfo=self.zone)
        # pytz's own "LMT" is an offset that nobody means, but it is what such a datetime has been compared by.
        return (naive - self.offset).replace(tzinfo=UTC).astimezone(self.zone)


_CRON = "apscheduler.triggers.cron"
APSCHEDULER: Final = frozenset(
    {
        "apscheduler.triggers.date:DateTrigger",
        "apscheduler.triggers.interval:IntervalTrigger",
        "apscheduler.triggers.calendarinterval:CalendarIntervalTrigger",
        "apscheduler.triggers.combining:AndTrigger",
        "apscheduler.triggers.combining:OrTrigger",
        f"{_CRON}:CronTrigger",
        *(
            f"{_CRON}.fields:{name}"
            for name in ("BaseField", "MonthField", "WeekField", "DayOfMonthField", "DayOfWeekField")
        ),
        *(
            f"{_CRON}.expressions:{name}Expression"
            for name in ("All", "Range", "MonthRange", "WeekdayRange", "WeekdayPosition", "LastDayOfMonth")
        ),
    }
)
"""The classes of APScheduler 3 that its job states hold; there are no others in them."""
