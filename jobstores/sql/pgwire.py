"""`Wire`: statements sent over a psycopg connection through libpq's pipeline mode: several in one round trip, and none waited for too long.

psycopg's cursors cost 50 µs of the processor for each statement, and a round trip; a claim is five statements and two round trips here.
"""

from __future__ import annotations

import hashlib
import select
from collections.abc import Sequence
from typing import Any, Final

import psycopg
from psycopg import pq
from psycopg.adapt import Transformer

from .pgarrays import encoded

_DONE: Final = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)

_CAN_POLL: Final = hasattr(select, "poll")  # not on Windows

FORGOTTEN: Final = ("26000", "0A000")
"""SQLSTATEs with which the server says that what was prepared is not there any more, or does not fit the table any more."""

MAX_PREPARED: Final = 200
"""So many statements are prepared on one connection at most; the others are sent with their text each time."""


class Wire:
    """One connection; nothing of psycopg's own way to run statements is used on it meanwhile. Used by one thread at a time."""

    def __init__(self, connection: psycopg.Connection[Any], timeout: float) -> None:
        self.connection = connection
        self.timeout = timeout
        self._pgconn = connection.pgconn
        self._encoding = connection.info.encoding
        self._transformer = Transformer(connection)
        self._names: dict[str, bytes] = {}
        self._generation = 0

    def is_usable(self) -> bool:
        """Whether the connection rests between two steps, and the server has not closed it: then there would be something to read."""
        pgconn = self._pgconn
        if (
            pgconn.status != pq.ConnStatus.OK
            or pgconn.transaction_status != pq.TransactionStatus.IDLE
            or pgconn.pipeline_status != pq.PipelineStatus.OFF
        ):
            return False
        # At most its last words, and then the end; else it is some news (of a setting, say), which libpq takes in.
        for _ in range(3):
            if not _is_ready(pgconn.socket, 0.0):
                return True
            try:
                pgconn.consume_input()
            except psycopg.OperationalError:
                return False
        return False

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, or has failed."""
        status = self._pgconn.transaction_status
        return status in (pq.TransactionStatus.INTRANS, pq.TransactionStatus.INERROR)

    def exchange(
        self, requests: Sequence[tuple[str, Sequence[Any]]], *, prepare: bool = True
    ) -> list[pq.abc.PGresult]:
        """Run statements, each with its values, in one round trip: their results.

        The first that fails is raised, and those behind it are not run. Without a BEGIN among them they are one transaction.
        After any error but the server's (`sqlstate`) the connection must be thrown away.
        """
        pgconn, names = self._pgconn, self._names
        # psycopg's way to say that its user's connection is behind a pooler which knows no prepared statements
        prepares = prepare and self.connection.prepare_threshold is not None
        encoding = self._encoding
        new: dict[str, tuple[int, bytes]] = {}
        sent = 0
        parameters = [[encoded(value, encoding) for value in values] for _, values in requests]
        pgconn.enter_pipeline_mode()
        for (sql, _), values in zip(requests, parameters, strict=True):
            name = names.get(sql) or new.get(sql, (0, None))[1]
            if name is None and prepares and len(names) + len(new) < MAX_PREPARED:
                name = self._name(sql)
                pgconn.send_prepare(name, sql.encode())
                new[sql] = sent, name
                sent += 1
            if name is None:
                pgconn.send_query_params(sql.encode(), values)
            else:
                pgconn.send_query_prepared(name, values)
            sent += 1
        pgconn.pipeline_sync()
        results = self._receive()
        pgconn.exit_pipeline_mode()
        answered = [result for result in results if result.status in _DONE]
        for sql, (place, name) in new.items():
            if place < len(answered):
                names[sql] = name
        if len(answered) < len(results):
            error = psycopg.errors.error_from_result(results[len(answered)], encoding)
            if error.sqlstate in FORGOTTEN:
                names.clear()
                self._generation += 1
            raise error
        if len(results) != sent:
            raise psycopg.OperationalError(f"{len(results)} answers to {sent} requests")
        if not new:
            return results
        prepared = {place for place, _ in new.values()}
        return [result for place, result in enumerate(results) if place not in prepared]

    def _name(self, sql: str) -> bytes:
        """What a statement is prepared as.

        From its text: a pooler may lend a session on which somebody else has prepared, and whatever is found there under this name is this
        statement, never another one that would then be run with these values. After what was prepared has been forgotten the names are
        new: some of it may be there still, and not fit its table any more.
        """
        digest = hashlib.sha256(sql.encode()).hexdigest()[:32]
        return f"mainspring_{digest}_{self._generation}".encode()

    def rows(self, result: pq.abc.PGresult) -> list[tuple[Any, ...]]:
        """The rows of a result."""
        transformer = self._transformer
        transformer.set_pgresult(result)
        return transformer.load_rows(0, result.ntuples, tuple)

    def _receive(self) -> list[pq.abc.PGresult]:
        """Send what is not sent yet, and take in the results up to the end of the pipeline."""
        pgconn = self._pgconn
        fd = pgconn.socket
        # Reading meanwhile: a server that cannot get rid of its answers takes in nothing either.
        while pgconn.flush():
            self._wait(fd, write=True)
            if _is_ready(fd, 0.0):
                pgconn.consume_input()
        results: list[pq.abc.PGresult] = []
        while True:
            while pgconn.is_busy():
                self._wait(fd)
                pgconn.consume_input()
            result = pgconn.get_result()
            if result is None:  # the end of one statement's results
                if pgconn.status != pq.ConnStatus.OK:
                    message = pgconn.error_message.decode(self._encoding, "replace").strip()
                    raise psycopg.OperationalError(f"the connection is lost: {message}")
            elif result.status == pq.ExecStatus.PIPELINE_SYNC:
                return results
            else:
                results.append(result)

    def _wait(self, fd: int, *, write: bool = False) -> None:
        """psycopg and libpq would wait for ever for a server that has stopped, or that a cut network has taken away."""
        if not _is_ready(fd, self.timeout, write=write):
            raise psycopg.errors.ConnectionTimeout(f"no answer within {self.timeout:g} seconds")


def _is_ready(fd: int, timeout: float, *, write: bool = False) -> bool:
    """Whether a socket can be read from (or, with `write`, written to) within so many seconds.

    Through the module, so that gevent's version of it is used.
    """
    if _CAN_POLL:
        poll = select.poll()
        poll.register(fd, select.POLLIN | select.POLLOUT if write else select.POLLIN)
        return bool(poll.poll(timeout * 1_000))
    return any(select.select([fd], [fd] if write else [], [], timeout))
