"""`Listener`: a connection of its own on which a thread waits for what others announce (`LISTEN`)."""

from __future__ import annotations

import logging
import selectors
import socket
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread, current_thread
from typing import Any, Final

import psycopg

from .pgwire import Wire

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 10.0
"""Seconds before it connects again."""

_END_WITHIN: Final = 2.0
"""Seconds that `stop` waits for the thread: one that is just connecting ends by itself as soon as that has come to an end."""

_logger = logging.getLogger("mainspring.jobstores")


class Listener:
    """Hears a channel from `start` to `stop`, over as many connections as it takes. It polls nothing: it sleeps until something comes."""

    def __init__(
        self,
        connect: Callable[[], psycopg.Connection[Any]],
        channel: str,
        heard: Callable[[int, str | None], None],
        timeout: float,
    ) -> None:
        """`heard`: called with a time (µs UTC) and an executor; with 0 and None when something may have been missed."""
        self._connect = connect
        self._channel = channel
        self._heard = heard
        self._timeout = timeout
        self._ending = Event()
        self._woken, self._waker = socket.socketpair()
        self._thread = Thread(target=self._run, name="mainspring-listen", daemon=True)

    def start(self) -> None:
        """Begin to listen, soon."""
        self._thread.start()

    def stop(self) -> None:
        """End it, and close its connection."""
        self._ending.set()
        with suppress(OSError):
            self._waker.send(b"x")
        if current_thread() is not self._thread:
            self._thread.join(_END_WITHIN)

    def _run(self) -> None:
        pause, failed = _FIRST_PAUSE, False
        try:
            while not self._ending.is_set():
                try:
                    connection = self._connect()
                    with connection:
                        self._listen(Wire(connection, self._timeout))
                        if failed:
                            _logger.info("Listening on channel %s again", self._channel)
                        pause, failed = _FIRST_PAUSE, False
                        # Whatever was announced before this moment was not heard.
                        self._tell(0, None)
                        self._hear(connection)
                except Exception as error:  # whatever it is: jobs are found by polling meanwhile
                    if not failed and not self._ending.is_set():
                        _logger.warning(
                            "Not listening on channel %s for now, jobs that others add are found by polling: %s",
                            self._channel,
                            error,
                        )
                    failed = True
                    self._ending.wait(pause)
                    pause = min(pause * 2, _LONGEST_PAUSE)
        finally:
            self._woken.close()
            self._waker.close()

    def _listen(self, wire: Wire) -> None:
        name = self._channel.replace('"', '""')
        wire.exchange([(f'LISTEN "{name}"', ())], prepare=False)

    def _hear(self, connection: psycopg.Connection[Any]) -> None:
        """Pass on what comes, until the connection fails or it is told to stop."""
        pgconn = connection.pgconn
        with selectors.DefaultSelector() as selector:
            selector.register(pgconn.socket, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while True:
                while (notice := pgconn.notifies()) is not None:
                    at, _, executor = notice.extra.decode("utf-8", "replace").partition(" ")
                    if at.removeprefix("-").isdecimal():
                        self._tell(int(at), executor)
                selector.select()
                if self._ending.is_set():
                    return
                pgconn.consume_input()

    def _tell(self, at: int, executor: str | None) -> None:
        try:
            self._heard(at, executor)
        except Exception:
            _logger.exception("What channel %s told could not be passed on", self._channel)
