"""Drivers of the loop that may block: they run its steps at once, and wait when it says so."""

from __future__ import annotations

from collections.abc import Callable

from ..jobstores.errors import ends_program
from .loop import Call, Loop


def drive(loop: Loop, wait: Callable[[float], object]) -> None:
    """Run the loop in this thread until it ends; `wait(seconds)` returns after so long, or sooner."""
    try:
        command = next(loop)
        while True:
            if not isinstance(command, Call):
                wait(command.seconds)
                command = loop.send(None)
                continue
            try:
                answer = command.step()
            except BaseException as exc:
                if ends_program(exc):
                    raise
                command = loop.throw(exc)
            else:
                command = loop.send(answer)
    except StopIteration:
        return
