"""A program whose jobs are migrated: its functions, classes of arguments, and a trigger of its own."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, IntEnum
from typing import Any, ClassVar

from apscheduler.triggers.base import BaseTrigger


def deliver(*args: Any, **kwargs: Any) -> None:
    """Takes anything."""


def invoice(order: int) -> None:
    """Takes one argument."""


class Color(Enum):
    RED = "red"


class Size(IntEnum):
    LARGE = 3


@dataclass
class Order:
    number: int
    color: Color = Color.RED


class Report:
    """A plain class: a bound method of it is a job's function."""

    made: ClassVar[list[str]] = []

    def __init__(self, title: str) -> None:
        self.title = title

    def send(self, to: str) -> None:
        self.made.append(f"{self.title} to {to}")


@dataclass
class Digest:
    """As `Report`, and JSON can carry it."""

    title: str

    def send(self, to: str) -> None:
        """Does nothing."""


class Slotted:
    __slots__ = ("left", "right")

    def __init__(self, left: int, right: int) -> None:
        self.left = left
        self.right = right

    def __repr__(self) -> str:  # tests are named by it
        return f"Slotted({self.left}, {self.right})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Slotted) and (self.left, self.right) == (other.left, other.right)

    __hash__ = None  # type: ignore[assignment]


class Whenever(BaseTrigger):  # type: ignore[misc]
    """A trigger of the program's own, for APScheduler."""

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        return now
