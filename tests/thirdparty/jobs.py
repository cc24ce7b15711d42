"""What the jobs of a third party's program do: they say that they ran."""

from queue import SimpleQueue
from threading import Event
from typing import Any

RELEASE = Event()
RAN: "SimpleQueue[Any]" = SimpleQueue()


def say(word: Any, **more: Any) -> Any:
    RAN.put(word)
    return word


def fail(word: str) -> None:
    RAN.put(word)
    raise ArithmeticError(word)


def hold() -> None:
    RAN.put("held")
    RELEASE.wait(10)


class Greeter:
    def __init__(self, name: str) -> None:
        self.name = name

    def greet(self, greeting: str) -> None:
        RAN.put(f"{greeting} {self.name}")
