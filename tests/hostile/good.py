"""What the jobs beside the hostile ones do, and all that may be called: it sees to it that dangerous things can be reached through it."""

import enum
import functools
import os
import subprocess
from collections import deque
from dataclasses import dataclass
from typing import Any

from tests.hostile import bystander

__all__ = ["bystander", "subprocess"]

RAN: deque[str] = deque()
"""What has run."""


def run(what: str = "", *args: Any, **kwargs: Any) -> None:
    """The job."""
    RAN.append(what)


class Color(enum.Enum):
    RED = 1


@dataclass
class Plain:
    number: int = 0

    def act(self) -> None:
        RAN.append("act")


class Base:
    system = staticmethod(os.system)


class Heir(Base, bystander.Foreign): ...


class Callable:
    def __call__(self, *args: Any) -> None:
        RAN.append("callable")


instance = Callable()
plain = Plain()
partial_system = functools.partial(os.system)
named_partial: Any = functools.update_wrapper(functools.partial(os.system), run)
wrapped: Any = functools.wraps(run)(os.system) if hasattr(os.system, "__dict__") else bystander.wraps(run)
bound_elsewhere = bystander.Foreign().method
