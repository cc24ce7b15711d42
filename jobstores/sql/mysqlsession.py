"""`MySQLSession`: a step on MariaDB or MySQL in as few round trips as it has questions whose answers it waits for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

import pymysql
import sqlalchemy as sa
from pymysql.constants import CLIENT, ER, SERVER_STATUS

from ..errors import JobStoreError
from .mysqlstatements import FEW, MySQLStatements, unpacked
from .session import OvertakenError, Session

_PACKET: Final = 524_288
"""Characters after which statements that were kept go into another packet."""

_ROOM: Final = 65_536
"""Bytes in a packet beside a payload."""

_CHECK: Final = "SET @mainspring = IF(ROW_COUNT() = {}, 0, (SELECT 1 UNION SELECT 2))"
"""Fails (a subquery with two rows) if the statement before has changed another number of rows; what comes behind it is then not run."""


class MySQLSession(Session):
    """What needs no answer at once (the BEGIN, the writes) is kept, and sent with what does: the next question, or the COMMIT.

    All of it goes as one text of several statements, of which the server runs none behind one that fails; so it may end with a COMMIT
    though it is not known yet whether all rows were still as they had been read. On a connection of a caller's engine, which does not
    take several statements, each is sent by itself.
    """

    def __init__(self, connection: sa.Connection, statements: MySQLStatements, largest: int) -> None:
        """`largest`: what the server takes in one packet, in bytes."""
        super().__init__(connection)
        self._largest = largest
        self._driver: Any = connection.connection.driver_connection
        self._statements = statements
        self._kept: list[tuple[str, Sequence[Any], int | None]] = []
        """Statements, their values, and how many rows they have to change if that is to be checked."""
        self._asked: list[_Answer] = []
        self._begin = self._begun = False
        self.has_begun = False
        """Whether what begins a transaction was sent, even if it has ended since."""

    @property
    def connection(self) -> sa.Connection:
        # What was kept comes before whatever is done on it.
        self.flush()
        return self._connection

    # -- as every session ----------------------------------------------------------------------------------------------

    def rows(self, sql: str, values: Sequence[Any] = ()) -> Sequence[Sequence[Any]]:
        return self.ask(sql, values)()

    def ask(self, sql: str, values: Sequence[Any] = ()) -> Callable[[], Sequence[Sequence[Any]]]:
        answer = _Answer(self, len(self._kept), sql in self._statements.packed)
        self._kept.append((sql, values, None))
        self._asked.append(answer)
        return answer

    def run(self, sql: str, values: Sequence[Any] = ()) -> None:
        self._kept.append((sql, values, None))

    def insert(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        self._check_sizes(sql, rows)
        if len(rows) == 1:
            self.run(sql, rows[0])
            return
        self.flush()
        with self._driver.cursor() as cursor:
            cursor.executemany(sql, rows)  # which PyMySQL makes one statement of, or a few

    def write(self, batches: Mapping[str, Sequence[tuple[Any, ...]]]) -> None:
        dialect = self._connection.dialect
        for sql, rows in batches.items():
            self._check_sizes(sql, rows)
            # By id: whoever locks several rows does it in this order, or two of them could wait for each other.
            ordered = sorted(rows, key=itemgetter(-2)) if len(rows) > 1 else rows
            if len(rows) < FEW or "payload" in self._statements.names[sql]:
                self._kept += [(sql, row, 1) for row in ordered]
            else:
                self._kept += self._statements.many(sql, ordered, dialect)

    def _check_sizes(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Raises JobStoreError if there is a payload that the server would not take: it would hang up, as if it had failed."""
        names = self._statements.names[sql]
        if "payload" not in names:
            return
        place = names.index("payload")
        longest = max([len(row[place]) for row in rows])
        if 2 * longest + _ROOM > self._largest:  # PyMySQL writes bytes as hexadecimal digits
            raise JobStoreError(
                f"a payload of {longest} bytes is too large for this server: it takes {self._largest} bytes in one packet, in which there have "
                "to be twice as many. Raise its max_allowed_packet, or store large arguments elsewhere and pass a reference"
            )

    # -- the transaction -----------------------------------------------------------------------------------------------

    def begin(self, *statements: str) -> None:
        """Begin with these statements, when there is something to do."""
        self._kept += [(sql, (), None) for sql in statements]
        self._begin = True

    def commit(self) -> None:
        """Write what is kept, and commit."""
        self._kept.append(("COMMIT", (), None))
        self.flush()
        self._begun = False

    def rollback(self) -> None:
        """Drop what is kept, and undo what was sent."""
        self._kept.clear()
        self._asked.clear()
        self._begin = False
        if self._begun:
            self._begun = False
            self._driver.rollback()

    def end_transaction(self) -> None:
        """End a transaction that nobody has begun but the server, or a listener of the caller's engine."""
        if self._driver.server_status & SERVER_STATUS.SERVER_STATUS_IN_TRANS:
            self._driver.rollback()

    def flush(self) -> None:
        """Send what is kept. Raises OvertakenError if a row had been written by others."""
        kept, asked = self._kept, self._asked
        if not kept:
            return
        self._kept, self._asked = [], []
        if self._begin:
            self._begin, self._begun, self.has_begun = False, True, True
        at_once = bool(self._driver.client_flag & CLIENT.MULTI_STATEMENTS)
        try:
            with self._driver.cursor() as cursor:
                results = (_send_at_once if at_once else _send_each)(cursor, kept)
        except pymysql.err.OperationalError as error:
            if error.args[0] == ER.SUBQUERY_NO_1_ROW:
                raise OvertakenError from error
            raise
        for answer in asked:
            rows = results[answer.place]
            answer.rows = unpacked(rows) if answer.is_packed else rows


class _Answer:
    """The rows of a statement that is kept, and sent when they are asked for at the latest."""

    __slots__ = ("is_packed", "place", "rows", "session")

    def __init__(self, session: MySQLSession, place: int, is_packed: bool) -> None:
        self.session = session
        self.place = place
        self.is_packed = is_packed
        self.rows: Sequence[Sequence[Any]] | None = None

    def __call__(self) -> Sequence[Sequence[Any]]:
        if self.rows is None:
            self.session.flush()
        assert self.rows is not None
        return self.rows


def _send_each(cursor: Any, kept: Sequence[tuple[str, Sequence[Any], int | None]]) -> list[Any]:
    results = []
    for sql, values, changed in kept:
        cursor.execute(sql, values)
        if changed is not None and cursor.rowcount != changed:
            raise OvertakenError
        results.append(cursor.fetchall())
    return results


def _send_at_once(cursor: Any, kept: Sequence[tuple[str, Sequence[Any], int | None]]) -> list[Any]:
    texts: list[str] = []
    length = 0
    places: list[int] = []
    results: list[Any] = []
    for sql, values, changed in kept:
        text = cursor.mogrify(sql, values)
        if length and length + len(text) > _PACKET:
            results += _exchange(cursor, texts)
            texts, length = [], 0
        places.append(len(results) + len(texts))
        texts.append(text)
        if changed is not None:
            texts.append(_CHECK.format(changed))
        length += len(text)
    results += _exchange(cursor, texts)
    return [results[place] for place in places]


def _exchange(cursor: Any, texts: Sequence[str]) -> list[Any]:
    """The rows of each of these statements, in one round trip."""
    cursor.execute(";".join(texts))
    results = [cursor.fetchall()]
    while cursor.nextset():
        results.append(cursor.fetchall())
    return results
