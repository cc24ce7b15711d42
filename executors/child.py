"""What runs in a worker process: take a request from the pipe, run it, tell what happens, take the next."""

import os
import signal
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from queue import SimpleQueue
from types import FrameType
from typing import Any

from ..events import SystemClock
from .portable import Message, Request, Served, dumps, pack_error, serve

READY, UNFIT = "ready", "unfit"
ORPHANED = (
    71  # exit code of a worker whose parent is gone; nobody is left to read it, save in `ps` and audit logs
)


_CLOCK = SystemClock()


def main(connection: Connection, initializer: Callable[..., Any] | None, initargs: Sequence[Any]) -> None:
    """The life of a worker process: READY, or UNFIT and the error of the initializer; then requests, until None comes."""
    # Ctrl-C goes to the whole foreground process group, and a service manager's SIGTERM to all processes of the service.
    # The parent shuts down in order, and ends this process when its run is done. It has blocked both signals, so that none
    # comes before these lines.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A handler, and not SIG_IGN, which programs that a job starts would inherit; nor may its forked children keep it.
    signal.signal(signal.SIGTERM, _leave_it_to_the_parent)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_end_on_sigterm)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    requests: SimpleQueue[tuple[Request, Served] | None] = SimpleQueue()
    threading.Thread(
        target=_receive, args=(connection, requests), name="mainspring-pipe", daemon=True
    ).start()

    def tell(message: Message) -> None:
        connection.send_bytes(dumps(message))

    try:
        if initializer is not None:
            initializer(*initargs)
    except BaseException as exc:
        tell((UNFIT, pack_error(exc)))
        return
    tell((READY, os.getpid()))
    while (entry := requests.get()) is not None:
        request, served = entry
        serve(request, _CLOCK, tell, served)
        del entry, request, served  # an idle process keeps nothing of its last run alive


def _leave_it_to_the_parent(number: int, frame: FrameType | None) -> None:
    pass


def _end_on_sigterm() -> None:
    """In a process that a job forks: it is ended by SIGTERM, as any other."""
    if signal.getsignal(signal.SIGTERM) is _leave_it_to_the_parent:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _receive(connection: Connection, requests: "SimpleQueue[tuple[Request, Served] | None]") -> None:
    """Pass on what comes through the pipe; die at once when the parent's end of it closes.

    A run whose owner is gone is lost, or started again by somebody else: it must not go on here as well. A word that
    comes is the reason for which the run of the last request is cancelled, if that still goes on.
    """
    served: Served | None = None
    try:
        while True:
            message = connection.recv()
            if isinstance(message, Request):
                served = Served(message, _CLOCK)
                requests.put((message, served))
            elif isinstance(message, str):
                if served is not None:
                    served.cancel(message)
            else:
                requests.put(None)
    except (EOFError, OSError):
        os._exit(ORPHANED)
