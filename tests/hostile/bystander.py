"""A module that is loaded in the process and not allowed: whatever of it is called says so."""

import functools
import sys
from collections import deque
from datetime import datetime
from typing import Any

from mainspring.triggers import BaseTrigger

CALLED: deque[str] = deque()
"""What of this module was called."""


def run(*args: Any, **kwargs: Any) -> None:
    CALLED.append("run")


def forged(*args: Any) -> None:
    CALLED.append("forged")


forged.__module__ = "tests.hostile.good"
forged.__qualname__ = "run"


def wraps(function: Any) -> Any:
    """A function that has another one's name, as decorators give it."""

    @functools.wraps(function)
    def wrapper(*args: Any) -> None:
        CALLED.append("wrapper")

    return wrapper


class Foreign:
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        CALLED.append("Foreign()") if args or kwargs else None

    def __setstate__(self, state: Any) -> None:
        CALLED.append("__setstate__")

    def method(self, *args: Any) -> None:
        CALLED.append("method")

    @classmethod
    def made(cls, *args: Any) -> None:
        CALLED.append("made")


class Watched(BaseTrigger):
    def __setstate__(self, state: Any) -> None:
        CALLED.append("trigger")

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        CALLED.append("get_next_fire_time")
        return None


def __getattr__(name: str) -> Any:
    if name.startswith("lazy"):
        CALLED.append(name)
        return sys.modules[__name__]
    raise AttributeError(name)
