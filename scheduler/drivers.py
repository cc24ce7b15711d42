"""Drivers of the loop that may block: they run its steps at once, and wait when it says so."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ..jobstores.errors import ends_program
from .loop import Aside, Call, Loop


def drive(loop: Loop, wait: Callable[[float], object]) -> None:
    """Run the loop in this thread until it ends; `wait(seconds)` returns after so long, or sooner."""
    try:
        command = next(loop)
        while True:
            if not isinstance(command, Call):
                if isinstance(command, Aside):
                    aside(command.step)
                else:
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


def aside(step: Callable[[], None]) -> None:
    """Run a step in a thread of its own, for which nobody waits: neither this call nor the end of the program."""
    try:
        threading.Thread(target=step, name="mainspring-aside", daemon=True).start()
    except RuntimeError:
        step()  # no more threads can be started: better here than never
