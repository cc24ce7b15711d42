"""Functions, classes and triggers for jobs of the tests, importable as a user's would be."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import ModuleType
from typing import Any, ClassVar

from mainspring.triggers import BaseTrigger


def work(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args, kwargs


def other_work(*args: Any, **kwargs: Any) -> None: ...


def greet(name: str, greeting: str = "hello") -> str:
    return f"{greeting} {name}"


@dataclass
class Mailer:
    """Something with methods; equal by value, so that one that was stored and restored can be compared."""

    address: str
    sent: list[str] = field(default_factory=list)

    def send(self, text: str) -> str:
        return f"{self.address}: {text}"

    @classmethod
    def check(cls) -> str:
        return cls.__name__

    @staticmethod
    def ping() -> str:
        return "pong"


class EveryMinute(BaseTrigger):
    """A user's trigger, that counts how often it was asked (by all instances, so that a restored one counts, too)."""

    asked: ClassVar[int] = 0

    def __repr__(self) -> str:  # tests are named by it
        return "EveryMinute()"

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        EveryMinute.asked += 1
        return now if previous_fire_time is None else previous_fire_time + timedelta(minutes=1)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    def __hash__(self) -> int:
        return hash(type(self))


class Failing(EveryMinute):
    """A user's trigger that raises once a run is due."""

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        if previous_fire_time is not None:
            raise RuntimeError("no idea when")
        return now


VANISHING = "tests_vanishing_jobs"


@contextmanager
def vanishing_module() -> Iterator[ModuleType]:
    """A module with a function `work`, which is gone from this process after the block, as in an older deployment."""
    module = ModuleType(VANISHING)
    exec("def work(*args): ...", module.__dict__)
    sys.modules[VANISHING] = module
    try:
        yield module
    finally:
        del sys.modules[VANISHING]
