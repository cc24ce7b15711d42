"""MariaDB and MySQL under the job store: locked rows that claims pass over, and what these servers need to be told to keep text as it is."""

from __future__ import annotations

import math
import select
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import sqlalchemy as sa

try:
    import pymysql
    from pymysql.constants import CLIENT
except ImportError as exc:
    raise ImportError(
        'SQLAlchemyJobStore reaches MariaDB and MySQL by PyMySQL, which is not installed: pip install "mainspring[mysql]"'
    ) from exc

from ..errors import JobStoreError
from .dialects import Dialect
from .mysqlsession import MySQLSession
from .mysqlstatements import MySQLStatements
from .schema import Schema
from .session import Session

LOCK_TRIES: Final = 5
"""So often `Database` tries a step that waits for locks: together they wait for `timeout`."""

IDLE: Final = 30
"""Seconds at least after which the server closes a connection of the store's that does nothing."""

_MARIADB: Final = (10, 6)
_MYSQL: Final = (8, 0, 17)
"""The first versions that can pass over locked rows, read JSON as a table, and compare text exactly."""

_PASSING: Final = frozenset(
    {
        1020,  # the record has changed since the snapshot
        1050,  # somebody else has just made the table
        1062,  # somebody else has just inserted that id
        1205,  # waited for a lock in vain
        1412,  # the table is just being made, ...
        1684,  # ... so that it cannot even be described
        1213,  # a deadlock, of which this was the one to give way; on a Galera cluster: another node has committed first
        3101,  # the same on MySQL's group replication
    }
)
_READ_ONLY: Final = frozenset({1290, 1836})
_LOST: Final = frozenset(
    {0, 1053, 1077, 1078, 1079, 1152, 1158, 1159, 1160, 1161, 1927, 2006, 2013, 2014, 2055, 4031}
)
"""The connection is gone, or of no use any more."""
_UNREACHABLE: Final = frozenset({1040, 1047, 1129, 1203, 1226, 2002, 2003, 2005}) | _LOST | _READ_ONLY
_UNCERTAIN: Final = frozenset({1180}) | _LOST
"""After these a COMMIT may have been done."""

_NAME_DATABASE: Final = "use one such as 'mysql+pymysql://user@host/database', or give tableschema="

_SQL_MODE: Final = "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION"
"""Above all: an id that is too long is refused, and not cut off."""


class MySQL(Dialect):
    """One MariaDB or MySQL database, by PyMySQL.

    A claim reads with `FOR UPDATE SKIP LOCKED` under READ COMMITTED (where no gaps between rows are locked): what it has read is locked
    until its commit, so that nobody else writes it, and nobody else's claim even sees it; what others have locked it passes over, so that
    claims never wait for each other. Edits read with `FOR UPDATE` in the order of the ids. Whoever writes without having read compares
    the stamps.
    """

    name = "mysql"
    errors = (sa.exc.SQLAlchemyError, pymysql.Error)
    # of UTC_TIMESTAMP, which no time zone of the session moves
    server_time = "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"
    skips_locked = True
    statements: MySQLStatements

    def __init__(
        self, engine: sa.Engine, schema: Schema, *, owned: bool, synchronous: str, timeout: float
    ) -> None:
        _check_driver(engine.dialect.driver)
        super().__init__(engine, schema, owned=owned, synchronous=synchronous, timeout=timeout)
        self._names_schema = schema.records.schema is not None
        wait = max(1, math.ceil(timeout / LOCK_TRIES))
        self._settings = {
            "sql_mode": f"'{_SQL_MODE}'",
            "innodb_lock_wait_timeout": wait,
            "lock_wait_timeout": wait,
        }
        self._largest = 0
        """The server's `max_allowed_packet`."""
        if owned:
            # First of all: what SQLAlchemy finds out about the server, it is to find as it is used.
            sa.event.listen(engine, "connect", self._configure, insert=True)

    def _statements(self) -> MySQLStatements:
        return MySQLStatements(self._schema, self._engine.dialect)

    # -- connections ---------------------------------------------------------------------------------------------------

    @classmethod
    def complete(cls, url: sa.URL) -> sa.URL:
        name = url.drivername
        if "+" not in name:
            return url.set(drivername=f"{name}+pymysql")
        _check_driver(url.get_driver_name())
        return url

    @classmethod
    def engine_arguments(cls, url: sa.URL, options: Mapping[str, Any], timeout: float) -> dict[str, Any]:
        connect: dict[str, Any] = {
            "charset": "utf8mb4",
            "connect_timeout": timeout,
            "read_timeout": timeout,
            "write_timeout": timeout,
        }
        connect = {name: value for name, value in connect.items() if name not in url.query}
        connect |= options.get("connect_args", {})
        # Steps begin and end their transactions themselves, and leave nothing behind that a ROLLBACK would have to undo.
        connect["autocommit"] = True
        connect["client_flag"] = (
            connect.get("client_flag", 0)
            | CLIENT.MULTI_STATEMENTS
            | CLIENT.FOUND_ROWS  # as SQLAlchemy has it
        )
        own = {"pool_timeout": timeout, "pool_reset_on_return": None}
        return own | dict(options) | {"connect_args": connect}

    @classmethod
    def check_place(cls, url: sa.URL, options: Mapping[str, Any], tableschema: str | None) -> None:
        # What else is given may name one, or a file of the driver's that does: then the start will tell.
        if not (
            url.database or url.query or options.get("connect_args") or "creator" in options or tableschema
        ):
            raise ValueError(f"the url names no database: {_NAME_DATABASE}")

    def _configure(self, connection: Any, _: Any) -> None:
        """A new connection of the store's own engine."""
        # If this process is frozen in the middle of a step, others do not wait for it for ever.
        idle = max(IDLE, math.ceil(3 * self._timeout))
        settings = self._settings | {"wait_timeout": idle}
        if "mariadb" in connection.get_server_info().lower():
            settings["idle_transaction_timeout"] = max(1, math.ceil(self._timeout / 2))
        with connection.cursor() as cursor:
            cursor.execute(
                "SET " + ", ".join(f"SESSION {name} = {value}" for name, value in settings.items())
            )
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")

    @contextmanager
    def _session(self) -> Iterator[MySQLSession]:
        with self._engine.connect() as connection:
            while not _is_usable(connection.connection.driver_connection):
                # The server has hung up on it in the meantime. SQLAlchemy takes the next one.
                connection.invalidate()
            session = MySQLSession(connection, self.statements, self._largest)
            try:
                yield session
            except BaseException as error:
                # Interrupted in the middle of an answer, it would take the rest for the answer to the next question.
                if not isinstance(error, Exception) or _code(error) in _LOST:
                    connection.invalidate()
                raise
            finally:
                if not connection.invalidated:
                    self._leave(session, connection)

    def _leave(self, session: MySQLSession, connection: sa.Connection) -> None:
        """Leave the connection as it was."""
        try:
            session.rollback()
            if session.has_begun and not self._owned:
                names = ", ".join(f"SESSION {name} = @mainspring_{name}" for name in self._settings)
                session.run(f"SET {names}")
                session.flush()
        except pymysql.Error:
            connection.invalidate()

    # -- life ----------------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        try:
            with self._session() as session:
                ((charset, self._largest, database),) = session.rows(
                    "SELECT @@character_set_connection, @@max_allowed_packet, DATABASE()"
                )
        except RuntimeError as error:
            if "cryptography" not in str(error):
                raise
            raise JobStoreError(f"{error}: pip install cryptography") from error
        dialect: Any = self._engine.dialect
        server, needed = ("MariaDB", _MARIADB) if dialect.is_mariadb else ("MySQL", _MYSQL)
        version = tuple(part for part in dialect.server_version_info if isinstance(part, int))
        if version < needed:
            raise JobStoreError(
                f"the job store needs {server} {_dotted(needed)} or later, where a claim can pass over what others have locked; this is "
                f"{_dotted(version)}"
            )
        if database is None and not self._names_schema:
            raise JobStoreError(f"the connections lead to no database: {_NAME_DATABASE}")
        if charset != "utf8mb4":
            raise JobStoreError(
                f"the connections of the job store have to speak utf8mb4, and not {charset}: add ?charset=utf8mb4 to the url"
            )

    def forked(self) -> None:
        # Without a word to the server: PyMySQL says goodbye only when it is told to close.
        self._engine.dispose(close=False)

    # -- steps ---------------------------------------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[Session]:
        with self._session() as session:
            yield session
            if not self._owned:
                session.end_transaction()  # which a caller's engine begins by itself

    @contextmanager
    def writing(self) -> Iterator[Session]:
        with self._session() as session:
            yield session

    def begin(self, session: Session) -> None:
        assert isinstance(session, MySQLSession)
        if self._owned:
            session.begin("BEGIN")
            return
        session.end_transaction()
        kept = [f"@mainspring_{name} = @@SESSION.{name}" for name in self._settings]
        changed = [f"SESSION {name} = {value}" for name, value in self._settings.items()]
        session.begin(
            f"SET {', '.join(kept + changed)}", "SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "BEGIN"
        )

    def commit(self, session: Session) -> None:
        assert isinstance(session, MySQLSession)
        session.commit()

    def rollback(self, session: Session) -> None:
        assert isinstance(session, MySQLSession)
        session.rollback()

    # -- errors --------------------------------------------------------------------------------------------------------

    def is_passing(self, error: BaseException) -> bool:
        return _code(error) in _PASSING

    def is_refused(self, error: BaseException) -> bool:
        code = _code(error)
        # Those between 2000 and 2999 are the driver's.
        return code is not None and code not in _UNCERTAIN and not 2000 <= code < 3000

    def is_missing(self, error: BaseException) -> bool:
        return _code(error) == 1146

    def is_unreachable(self, error: BaseException) -> bool:
        code = _code(error)
        if code in _READ_ONLY and self._owned:
            # Another server has taken its place: it is looked for anew, by new connections.
            self._engine.dispose()
        return code in _UNREACHABLE or super().is_unreachable(error)


def _check_driver(name: str) -> None:
    if name != "pymysql":
        raise ValueError(
            f"SQLAlchemyJobStore reaches MariaDB and MySQL by PyMySQL, and not by {name}: use a url such as "
            "'mysql+pymysql://user@host/database'"
        )


def _code(error: BaseException) -> int | None:
    """The number of an error of the server's, or of the driver's: 0 for a connection that is closed."""
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    if not isinstance(cause, pymysql.Error):
        return None
    code = cause.args[0] if cause.args else None
    return code if isinstance(code, int) else 0 if "closed" in str(cause).lower() else None


def _is_usable(connection: Any) -> bool:
    """Whether the server has said nothing on an idle connection: all that it may say there is that it ends it."""
    if connection is None or not connection.open:
        return False
    if sys.platform == "win32":
        return not select.select([connection._sock], [], [], 0)[0]
    poll = select.poll()  # which takes any number of a file, as select() does not
    poll.register(connection._sock, select.POLLIN)
    return not poll.poll(0)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
