"""Waiting for runs to end, without waiting for those that wait themselves.

A job may call `shutdown()`: its own run must not be waited for, and two such runs must not wait for each other, in
whichever executors they run. So every thread that is inside a shutdown is listed here, and who waits leaves those out.
"""

import os
import threading
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager

_changed = threading.Condition()
_inside: dict[int, int] = {}  # thread ident -> how often it entered
_acting_for: dict[int, int] = {}  # thread ident -> ident of the worker thread whose run goes on in it


@contextmanager
def inside_shutdown() -> Iterator[None]:
    """While this thread is in here, no shutdown waits for the run that goes on in it. May be nested."""
    me = threading.get_ident()
    idents = {me, _acting_for.get(me, me)}
    with _changed:
        for ident in idents:
            _inside[ident] = _inside.get(ident, 0) + 1
        _changed.notify_all()
    try:
        yield
    finally:
        with _changed:
            for ident in idents:
                _inside[ident] -= 1
                if not _inside[ident]:
                    del _inside[ident]


@contextmanager
def acting_for(ident: int) -> Iterator[None]:
    """While this thread is in here, it runs a job for the worker thread `ident`, which does nothing but wait for it."""
    me = threading.get_ident()
    _acting_for[me] = ident
    try:
        yield
    finally:
        del _acting_for[me]


def wait_until(done: Callable[[Container[int]], bool]) -> None:
    """Wait until `done(idents of the threads that are inside a shutdown)`, asked anew at each `something_ended()`.

    `done` is called under a lock of this module; it may take no lock under which `something_ended` is called.
    """
    with inside_shutdown(), _changed:
        _changed.wait_for(lambda: done(_inside))


def something_ended() -> None:
    """A worker or a run has ended: have those who wait look again."""
    with _changed:
        _changed.notify_all()


def _forget_after_fork() -> None:
    """None of the threads that wait came along into a forked child, and one of them may have held the lock."""
    global _changed
    _changed = threading.Condition()
    _inside.clear()
    _acting_for.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
