"""Waiting for runs to end, without waiting for those that wait themselves.

A job may call `shutdown()`: its own run must not be waited for, and two such runs must not wait for each other, in
whichever executors they run. So every thread that is inside a shutdown is listed here, and who waits leaves those out.
"""

import os
import threading
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Final

HEAR_SIGNALS_EVERY: Final = 1.0
"""Seconds for which a thread that may be the main one waits at a time.

A signal that comes right before the main thread waits does not end that wait: Python calls the handler, which raises on Ctrl-C, between two
steps of that thread, and it has made its last one by then. Unbounded, such a wait would never hear of it.
"""

_lock = threading.RLock()
_inside: dict[int, int] = {}  # thread ident -> how often it entered; written under the lock
_acting_for: dict[int, int] = {}  # thread ident -> ident of the worker thread whose run goes on in it
_waiting: set[SimpleQueue[None]] = set()  # of each thread that waits, by which it is told to look again


@contextmanager
def inside_shutdown() -> Iterator[None]:
    """While this thread is in here, no shutdown waits for the run that goes on in it. May be nested."""
    me = threading.get_ident()
    idents = {me, _acting_for.get(me, me)}
    with _lock:
        for ident in idents:
            _inside[ident] = _inside.get(ident, 0) + 1
    something_ended()
    try:
        yield
    finally:
        with _lock:
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
    """Wait until `done(idents of the threads that are inside a shutdown)`, asked anew at each `something_ended()`. Ctrl-C ends it.

    No Condition: Ctrl-C at the wrong moment of its wait, before it has all of its lock back, would come out as another error.
    """
    told: SimpleQueue[None] = SimpleQueue()
    with inside_shutdown():
        _waiting.add(told)  # before it is asked: what ends from here on is told
        try:
            while not done(_inside):
                try:
                    told.get(timeout=HEAR_SIGNALS_EVERY)
                except Empty:
                    pass
        finally:
            _waiting.discard(told)


def something_ended() -> None:
    """A worker or a run has ended: have those who wait look again."""
    for told in tuple(_waiting):
        if told.empty():  # else they have not looked since
            told.put(None)


def _forget_after_fork() -> None:
    """None of the threads that waited came along into a forked child, and one of them may have held the lock."""
    global _lock
    _lock = threading.RLock()
    _inside.clear()
    _acting_for.clear()
    _waiting.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
