"""SQLite under the job store: write-ahead log, one writer at a time, and what `BEGIN IMMEDIATE` makes atomic."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Condition, Lock
from typing import Any, Final
from weakref import WeakSet

import sqlalchemy as sa
from sqlalchemy.pool import SingletonThreadPool, StaticPool

from .dialects import Dialect
from .schema import Schema
from .session import Session

BUSY_TIMEOUT: Final = 2_000
"""ms that SQLite itself waits for another process's transaction; the store tries several times."""

_PAGE_SIZE: Final = 8_192
"""Bytes. A record takes about 1 KB; a claim of many writes half as many pages as with SQLite's 4,096."""

_WAIT_BEFORE_FORK: Final = 10.0
"""Seconds."""

_CACHE_KIB: Final = 16_384

_logger = logging.getLogger("mainspring.jobstores")

_abandoned: list[Any] = []
_all: WeakSet[SQLite] = WeakSet()


class SQLite(Dialect):
    """One SQLite database, through one engine.

    `BEGIN IMMEDIATE` takes the database's only write lock before anything is read, so that what is read stays true until the commit;
    and in write-ahead mode it disturbs no reader. A lock of this process stands before it: its threads are woken as soon as the lock is
    free, where SQLite would let them sleep and look again, up to 100 ms too late. It holds nobody up: there is one writer anyhow.

    A database in memory has one connection only, which the threads of its process use in turn, for reading too.
    """

    name = "sqlite"
    errors = (sa.exc.SQLAlchemyError, sqlite3.Error)

    def __init__(
        self, engine: sa.Engine, schema: Schema, *, owned: bool, synchronous: str, timeout: float
    ) -> None:
        super().__init__(engine, schema, owned=owned, synchronous=synchronous, timeout=timeout)
        self._writers = Lock()
        self._readers = 0
        self._gate = Condition(Lock())  # who holds it lets nobody begin to read
        self._held_for_fork = False
        self._met_no_text = False
        _all.add(self)
        self.shared = not _is_in_memory(engine.url)
        if not self.shared and isinstance(engine.pool, SingletonThreadPool):
            raise ValueError(
                "this engine gives each thread an in-memory database of its own: create it with poolclass=StaticPool and "
                "connect_args={'check_same_thread': False}, or pass url='sqlite://' instead of an engine"
            )
        if owned:
            sa.event.listen(engine, "connect", self._configure)

    @classmethod
    def engine_arguments(cls, url: sa.URL, options: Mapping[str, Any], timeout: float) -> dict[str, Any]:
        arguments = dict(options)
        if _is_in_memory(url):
            arguments.setdefault("poolclass", StaticPool)
            arguments["connect_args"] = {"check_same_thread": False} | dict(options.get("connect_args", {}))
        return arguments

    def _configure(self, connection: Any, _: Any) -> None:
        """A new connection of the store's own engine."""
        for pragma in (
            f"page_size={_PAGE_SIZE}",  # of a database that is still to be made
            f"busy_timeout={BUSY_TIMEOUT}",
            f"synchronous={self._synchronous}",
            f"cache_size=-{_CACHE_KIB}",
        ):
            connection.execute(f"PRAGMA {pragma}").close()

    def prepare(self) -> None:
        """Turn the write-ahead log on. It is a property of the file: with an engine of the caller's, the file is his, too."""
        if not self.shared:
            return
        self._check_folder()
        with self.reading() as session:
            pragma = "PRAGMA journal_mode=WAL" if self._owned else "PRAGMA journal_mode"
            mode = session.rows(pragma)[0][0]
        if mode != "wal":
            _logger.warning(
                "The database %s works in journal mode %r: with PRAGMA journal_mode=WAL, readers and writers would not wait for each other",
                self._engine.url.database,
                mode,
            )

    def _check_folder(self) -> None:
        """SQLite makes a file, but no folder; of its own it says only that it is unable to open the file."""
        database = self._engine.url.database or ""
        folder = os.path.dirname(os.path.abspath(database))
        if self._owned and not database.startswith("file:") and not os.path.isdir(folder):
            raise sqlite3.OperationalError(f"unable to open database file: there is no folder {folder}")

    @contextmanager
    def reading(self) -> Iterator[Session]:
        if not self.shared:
            with self._writers, self._connected() as connection:
                yield Session(connection)
            return
        with self._gate:
            self._readers += 1
        try:
            with self._connected() as connection:
                yield Session(connection)
        finally:
            with self._gate:
                self._readers -= 1
                self._gate.notify_all()

    @contextmanager
    def writing(self) -> Iterator[Session]:
        with self._writers, self._connected() as connection:
            if self._owned:
                yield Session(connection)
            else:
                with self._settings(connection):
                    yield Session(connection)

    @contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        with self._engine.connect() as connection:
            if not self._met_no_text:
                yield connection
                return
            driver: Any = connection.connection.driver_connection
            before, driver.text_factory = driver.text_factory, _text_or_bytes
            try:
                yield connection
            finally:
                driver.text_factory = before

    @contextmanager
    def _settings(self, connection: sa.Connection) -> Iterator[None]:
        """The store's settings on a connection of the caller's engine, for this step only.

        Past SQLAlchemy: its first statement would begin a transaction, in which `synchronous` cannot be changed.
        """
        driver = _outside_a_transaction(connection)
        wanted = {"synchronous": self._synchronous, "busy_timeout": BUSY_TIMEOUT}
        found = {pragma: driver.execute(f"PRAGMA {pragma}").fetchone()[0] for pragma in wanted}
        for pragma, value in wanted.items():
            driver.execute(f"PRAGMA {pragma}={value}")
        try:
            yield
        finally:
            if not connection.invalidated:
                driver = _outside_a_transaction(connection)
                for pragma, value in found.items():
                    driver.execute(f"PRAGMA {pragma}={value}")

    def begin(self, session: Session) -> None:
        connection = session.connection
        connection.begin()
        _outside_a_transaction(connection)
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def is_passing(self, error: BaseException) -> bool:
        cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        if not self._met_no_text and "Could not decode to UTF-8" in str(cause):
            # SQLite keeps any bytes as text. From now on they are read as bytes, and damage their own record only.
            self._met_no_text = True
            return True
        code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
        return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

    def _is_unread(self) -> bool:
        return not self._readers

    def forked(self) -> None:
        # Whoever held the lock in the parent does not exist here. And closing the parent's connections would be using
        # them, which SQLite forbids; so they are kept from being collected, too.
        self._writers = Lock()
        self._readers, self._gate = 0, Condition(Lock())
        _abandoned.append(self._engine.pool)
        self._engine.dispose(close=False)


def _text_or_bytes(data: bytes) -> str | bytes:
    """What stands in a column of text: text, if it is that."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _before_fork() -> None:
    """Let no fork happen in the middle of a step.

    SQLite keeps in the memory of the process which locks its connections hold, and a fork has a copy of that: if it says "locked for
    writing", nobody ever takes it back there, and the child could never write to that file. And its library's own mutexes, which a
    reader holds for moments, would stop the child for ever in its first call.
    """
    for database in [*_all]:
        # Not for ever: the thread that forks may be in a step itself, through a listener of the caller's engine.
        database._held_for_fork = database._writers.acquire(timeout=_WAIT_BEFORE_FORK)
        if database._held_for_fork:
            database._gate.acquire()
            database._gate.wait_for(database._is_unread, _WAIT_BEFORE_FORK)


def _after_fork() -> None:
    for database in [*_all]:
        if database._held_for_fork:
            database._held_for_fork = False
            database._gate.release()
            database._writers.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)


def _outside_a_transaction(connection: sa.Connection) -> Any:
    """The driver's connection, out of a transaction that it, or a listener of the caller's engine, has begun by itself.

    Nothing was done in such a one. (Python's sqlite3 begins one always with autocommit=False; the recipe in SQLAlchemy's
    documentation for serializable SQLite begins one in a listener.)
    """
    driver: Any = connection.connection.driver_connection
    if driver.in_transaction:
        driver.execute("ROLLBACK")
    return driver


def _is_in_memory(url: sa.URL) -> bool:
    database = url.database
    if not database or database == ":memory:":
        return True
    return database.startswith("file:") and (
        ":memory:" in database or url.query.get("mode") == "memory" or "mode=memory" in database
    )
