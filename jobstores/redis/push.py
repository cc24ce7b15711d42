"""`Listener`: a thread that hears what other schedulers publish, so that what they add or change is looked at when it is due."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from threading import Event, Thread, current_thread
from typing import Any, Final

import redis

from ..recordlines import to_bytes
from .link import _COMMAND_NAME

SILENCE: Final = 30.0
"""Seconds without a word after which the server is asked whether it is still there."""

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
"""Seconds between two attempts to connect: they double, and are shortened at random so that schedulers do not come all at once."""


class Listener:
    """Listens on a connection of its own from `start` to `stop`. Nothing depends on it: what it misses is found by polling."""

    def __init__(
        self,
        connect: Callable[[], redis.ConnectionPool],
        channel: str,
        own: str,
        heard: Callable[[int], None],
        logger: logging.Logger,
    ) -> None:
        """`own`: whose pushes are passed over; `heard` is told times in µs UTC, and 0 whenever something may have been missed."""
        self._connect = connect
        self._channel = channel
        self._own = to_bytes(own)
        self._heard = heard
        self._logger = logger
        self._stopping = Event()
        self._pool: redis.ConnectionPool | None = None
        self._thread = Thread(target=self._run, name="mainspring-redis-push", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End it. At once, unless it is connecting just now: then it ends when that has succeeded or failed."""
        self._stopping.set()
        self._disconnect()
        if current_thread() is not self._thread:
            self._thread.join(1.0)

    def _disconnect(self) -> None:
        pool = self._pool
        if pool is not None:
            pool.disconnect()  # the connection that is listened to, too: the thread wakes up with an error

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            try:
                for at in self._listen():
                    pause = FIRST_PAUSE
                    self._tell(at)
            except Exception as error:
                # Whatever it is: a scheduler without pushes polls. Its own calls say loudly enough that the server is gone.
                if not self._stopping.is_set():
                    self._logger.debug("Listening for pushes failed; it is tried again: %s", error)
            finally:
                self._disconnect()
            self._stopping.wait(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, LONGEST_PAUSE)

    def _listen(self) -> Any:
        """Subscribe, and yield the times that are heard, until the connection fails."""
        self._pool = pool = self._connect()
        connection: Any = pool.get_connection(*_COMMAND_NAME)
        connection.send_command("SUBSCRIBE", to_bytes(self._channel))
        connection.read_response()
        yield 0  # what was published while nobody listened
        while not self._stopping.is_set():
            if not connection.can_read(timeout=SILENCE):
                connection.send_command(
                    "PING"
                )  # the answer, or anything else, has to come within the timeout
            kind, *rest = connection.read_response()
            if kind == b"message":
                at, _, sender = rest[1].partition(b" ")
                if sender != self._own:
                    yield int(at)

    def _tell(self, at: int) -> None:
        try:
            self._heard(at)
        except Exception:
            self._logger.exception("A push could not be handed on")
