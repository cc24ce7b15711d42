"""PostgreSQL under the job store: rows are locked while they are claimed or edited, and what is added is announced."""

from __future__ import annotations

import hashlib
import logging
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import sqlalchemy as sa

try:
    import psycopg
except ImportError as exc:
    raise ImportError(
        'a job store on PostgreSQL needs psycopg 3, which is not installed: pip install "mainspring[postgresql]"'
    ) from exc
from sqlalchemy.pool import PoolProxiedConnection, QueuePool

from ..uncertain import Stamps
from .dialects import Dialect
from .pgconnections import TimedConnection, keep_from_children
from .pglistener import Listener
from .pgsession import PostgreSQLSession, Request
from .pgstatements import BEGIN, PostgreSQLStatements
from .pgwire import Wire
from .schema import Schema
from .session import Session

_logger = logging.getLogger("mainspring.jobstores")

_WIRE: Final = "mainspring.wire"

LOCK_TRIES: Final = 5
"""A step waits a fifth of `timeout` for a lock, and is tried five times."""

_PASSING: Final = frozenset({"40001", "40P01", "55P03", "23505", "26000", "0A000"})
"""Serialization failure, deadlock, lock timeout, an id that another one has just inserted, and prepared statements that are gone."""

_UNREACHABLE: Final = frozenset({"57P01", "57P02", "57P03", "57P05", "53300", "25006", "25P03"})
"""Shut down, crashed, starting up, idle for too long, too many clients, a standby that only reads, a transaction that stood still."""

_REFUSED: Final = frozenset({"22", "23", "25", "26", "42"})
"""Classes of errors that a server tells of instead of committing."""

_PERMANENT: Final = re.compile(
    r"authentication failed|no password supplied|does not exist|no pg_hba\.conf entry|permission denied|not permitted to log in|"
    # the client's or the server's certificate, and its file
    r"certificate verify failed|server certificate for|certificate file|client certificate|"
    # what the url says, found by libpq (of a port or a timeout, of sslmode and the like) or by the server
    r"invalid (port number|connection option|integer value|value for parameter|\w+ value\b)|value  invalid when|"
    r"unsupported (frontend protocol|startup parameter)"
)
"""What is said when a connection is refused for good, without what stands in quotes: that may be the name of a host.

libpq gives no code of it, only this text, in the language of the server's `lc_messages`. In another one than English all that a server says
at the door counts as passing.
"""

_QUOTED: Final = re.compile(r'"[^"\n]*"|\'[^\'\n]*\'')

_PLANS: Final = {
    # All statements of ours find their rows by an index, whatever the statistics of a young table make the planner believe; a batch
    # that is joined row by row locks in the order of its rows. And none is worth planning twice.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}


class PostgreSQL(Dialect):
    """One PostgreSQL database, by psycopg 3.

    A claim reads with `FOR UPDATE SKIP LOCKED`: what it has read is locked until its commit, so that nobody else writes it, and nobody
    else's claim even sees it; what others have locked it passes over, so that claims never wait for each other. Edits read with `FOR
    UPDATE` in the order of the ids. Whoever writes without having read compares the stamps.
    """

    name = "postgresql"
    errors = (sa.exc.SQLAlchemyError, psycopg.Error)
    server_time = "SELECT (extract(epoch from clock_timestamp()) * 1000000)::bigint"
    clusters = False
    skips_locked = True
    pushes = True
    statements: PostgreSQLStatements

    def __init__(
        self, engine: sa.Engine, schema: Schema, *, owned: bool, synchronous: str, timeout: float
    ) -> None:
        _check_driver(engine.dialect.driver)
        super().__init__(engine, schema, owned=owned, synchronous=synchronous, timeout=timeout)
        self._channel = ""
        self._listener: Listener | None = None
        settings = {
            "lock_timeout": f"{max(1, int(timeout * 1_000 / LOCK_TRIES))}ms",
            # If this process is frozen in the middle of a step, others do not wait for it for ever.
            "idle_in_transaction_session_timeout": f"{max(1_000, int(timeout * 500))}ms",
        } | _PLANS
        set_each = ", ".join(f"set_config('{name}', '{value}', %s)" for name, value in settings.items())
        self._set_for_session = f"SELECT {set_each}" % (("false",) * len(settings))
        self._set_for_step = f"SELECT {set_each}" % (("true",) * len(settings))
        if owned:
            sa.event.listen(engine, "do_connect", self._connect)

    def _statements(self) -> PostgreSQLStatements:
        return PostgreSQLStatements(self._schema, self._engine.dialect)

    # -- connections ---------------------------------------------------------------------------------------------------

    @classmethod
    def complete(cls, url: sa.URL) -> sa.URL:
        if url.drivername == "postgresql":
            return url.set(drivername="postgresql+psycopg")
        _check_driver(url.get_driver_name())
        return url

    @classmethod
    def engine_arguments(cls, url: sa.URL, options: Mapping[str, Any], timeout: float) -> dict[str, Any]:
        connect = {
            "connect_timeout": max(2, math.ceil(timeout)),
            # A connection whose other end has vanished without a word is found out, the listening one's too.
            "keepalives_idle": max(1, math.ceil(timeout)),
            "keepalives_interval": max(1, math.ceil(timeout / 3)),
            "keepalives_count": 3,
            "tcp_user_timeout": max(1, int(timeout * 1_000)),
        }
        # No reset: what is given back was ended, or is thrown away.
        arguments: dict[str, Any] = {"use_native_hstore": False, "pool_reset_on_return": None}
        arguments |= options
        if issubclass(arguments.get("poolclass", QueuePool), QueuePool):
            arguments.setdefault("pool_timeout", timeout)
        arguments["connect_args"] = connect | dict(options.get("connect_args", {}))
        # Steps begin and end their transactions themselves.
        arguments["isolation_level"] = "AUTOCOMMIT"
        return arguments

    def _connect(self, dialect: Any, record: Any, args: Any, parameters: Any) -> TimedConnection:
        """A new connection of the store's own engine."""
        connection = TimedConnection.connect(*args, **parameters)
        keep_from_children(connection)
        connection.answer_timeout = self._timeout
        try:
            connection.autocommit = True
            if not self._is_pooled(connection):
                connection.execute(self._set_for_session)
        except BaseException:
            connection.close()
            raise
        return connection

    @staticmethod
    def _is_pooled(connection: psycopg.Connection[Any]) -> bool:
        """Whether the user has said that a pooler lends the server's sessions out for one transaction each: none is to be set up."""
        return connection.prepare_threshold is None

    @contextmanager
    def _session(self) -> Iterator[PostgreSQLSession]:
        # What a connection of SQLAlchemy's does beside lending one of the driver's would cost as much as a statement.
        lent = self._engine.raw_connection()
        wire = self._wire(lent)
        while not wire.is_usable():
            lent.invalidate()  # the server has hung up on it in the meantime
            lent = self._engine.raw_connection()
            wire = self._wire(lent)
        session = PostgreSQLSession(self._engine, lent, wire, self.statements)
        try:
            yield session
        finally:
            session.close()

    def _wire(self, lent: PoolProxiedConnection) -> Wire:
        driver: Any = lent.driver_connection
        wire: Wire | None = lent.info.get(_WIRE)
        if wire is None or wire.connection is not driver:
            keep_from_children(driver)
            wire = lent.info[_WIRE] = Wire(driver, self._timeout)
        wire.timeout = self._timeout  # another store may use the same engine
        if wire.in_transaction:
            driver.rollback()  # begun by a listener of the caller's engine
        return wire

    # -- life ----------------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        with self._session() as session:
            question = "SELECT current_schema()::text, current_setting('synchronous_commit'), current_setting('fsync')"
            schema, *durable = session.rows(question)[0]
        if "off" in durable:
            _logger.warning(
                "%s has synchronous_commit=%s and fsync=%s: a crash of the server can undo claims, and their runs would be dispatched again",
                self._engine.url.set(query={}),
                *durable,
            )
        schema = self._schema.records.schema or schema
        name = f"mainspring {schema}.{self._schema.records.name}"
        if len(name.encode()) > 63:  # as long as a name may be
            name = f"mainspring {hashlib.sha256(name.encode()).hexdigest()[:40]}"
        self._channel = name

    def listen(self, heard: Callable[[int, str | None], None]) -> None:
        self.close()

        def connect() -> psycopg.Connection[Any]:
            lent = self._engine.raw_connection()
            connection: Any = lent.driver_connection
            lent.detach()  # it is not the pool's any more
            keep_from_children(connection)
            return connection  # type: ignore[no-any-return]

        self._listener = Listener(connect, self._channel, heard, self._timeout)
        self._listener.start()

    def close(self) -> None:
        if self._listener is not None:
            self._listener.stop()
            self._listener = None

    def forked(self) -> None:
        self._listener = None
        self._engine.dispose(close=False)

    # -- steps ---------------------------------------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[Session]:
        with self._session() as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        with self._session() as session:
            yield session

    def begin(self, session: Session) -> None:
        assert isinstance(session, PostgreSQLSession)
        requests: list[Request] = [(BEGIN, ())]
        if not self._owned or self._is_pooled(session.driver):
            requests.append((self._set_for_step, ()))
        session.begin(*requests)

    def commit(self, session: Session) -> None:
        assert isinstance(session, PostgreSQLSession)
        session.commit()

    def rollback(self, session: Session) -> None:
        assert isinstance(session, PostgreSQLSession)
        session.rollback()

    def exclude(self, session: Session) -> None:
        name = f"mainspring {self._schema.records.fullname}"
        session.run("SELECT pg_advisory_xact_lock(hashtextextended($1::text, 0))", (name,))

    def await_end(self, session: Session, written: Stamps) -> None:
        # A locked read waits for the end of what has changed rows; of new rows it sees nothing before.
        for stamp in {after for before, after in written.values() if before is None and after is not None}:
            session.rows(self.statements.lock_stamp, (stamp,))

    def announce(self, session: Session, sooner: Mapping[str, int]) -> None:
        for executor, at in sooner.items():
            session.run(self.statements.notify, (self._channel, f"{at} {executor}", executor, at))

    # -- errors --------------------------------------------------------------------------------------------------------

    def is_passing(self, error: BaseException) -> bool:
        return _state(error) in _PASSING

    def is_refused(self, error: BaseException) -> bool:
        state = _state(error)
        return state is not None and (state[:2] in _REFUSED or state in _PASSING)

    def is_missing(self, error: BaseException) -> bool:
        return _state(error) == "42P01"

    def is_unreachable(self, error: BaseException) -> bool:
        state = _state(error)
        if state is not None:
            if state == "25006" and self._owned:
                # A standby has taken the place of the primary: it is looked for anew, by new connections.
                self._engine.dispose()
            return state[:2] == "08" or state in _UNREACHABLE
        cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        if isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError):
            return not _PERMANENT.search(_QUOTED.sub("", str(cause)))
        return super().is_unreachable(error)


def _check_driver(name: str) -> None:
    if name != "psycopg":
        raise ValueError(
            f"SQLAlchemyJobStore reaches PostgreSQL by psycopg 3, and not by {name}: use a url such as "
            "'postgresql+psycopg://user@host/database'"
        )


def _state(error: BaseException) -> str | None:
    """The server's code for it, if it comes from the server."""
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    return cause.sqlstate if isinstance(cause, psycopg.Error) else None
