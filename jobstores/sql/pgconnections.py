"""The connections of PostgreSQL's driver: none waits for ever, and a fork leaves its parent's alone."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any
from weakref import WeakSet

import psycopg
from psycopg.pq import TransactionStatus

_seen: WeakSet[psycopg.Connection[Any]] = WeakSet()
"""All connections that stores of this process have used."""

_kept: list[psycopg.Connection[Any]] = []


class TimedConnection(psycopg.Connection[Any]):
    """A connection of the store's own engine. What is run on it in psycopg's own way ends in time, too."""

    answer_timeout = 10.0
    """Seconds that the server may be silent for."""

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        return super().wait(_timed(gen, self.answer_timeout), *args, **kwargs)


def _timed(generator: Any, timeout: float) -> Generator[Any, Any, Any]:
    """psycopg's steps of one exchange, until the server has been silent for too long.

    psycopg waits for the socket a tenth of a second at a time, and tells its steps each time that nothing has come.
    """
    ticks = 0
    try:
        wanted = next(generator)
        while True:
            ready = yield wanted
            ticks = 0 if ready else ticks + 1
            if ticks > timeout * 10:
                raise psycopg.errors.ConnectionTimeout(f"no answer within {timeout:g} seconds")
            wanted = generator.send(ready)
    except StopIteration as end:
        return end.value


def keep_from_children(connection: psycopg.Connection[Any]) -> None:
    """See to it that a fork does not touch the server's side of this connection."""
    _seen.add(connection)


def _after_fork_in_child() -> None:
    """Put nothing in the place of the parent's sockets.

    When a connection is collected, or the child exits, libpq says good-bye to the server, on the socket that it shares with the
    parent: the server would hang up on the parent. Those that rest are closed then, into nothing; those that another thread of the
    parent was using, and may have left in any state, are kept as they are for ever.
    """
    nothing = None
    for connection in [*_seen]:
        try:
            socket = connection.pgconn.socket
        except psycopg.Error:
            continue  # it was closed
        if nothing is None:
            nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, socket, inheritable=False)
        if connection.pgconn.transaction_status == TransactionStatus.IDLE:
            connection.close()
        else:
            _kept.append(connection)
    if nothing is not None:
        os.close(nothing)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
