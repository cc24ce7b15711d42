"""`Dialect`: what an SQL server does its own way. One small object for each kind of server; all the rest is common to them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any, ClassVar, Final

import sqlalchemy as sa

from ..uncertain import Stamps
from .schema import Schema
from .session import Session
from .statements import Statements

DIALECTS: Final[dict[str, tuple[str, str]]] = {
    "sqlite": ("sqlite", "SQLite"),
    "mysql": ("mysql", "MySQL"),
    "mariadb": ("mysql", "MySQL"),
    "postgresql": ("postgresql", "PostgreSQL"),
}
"""By SQLAlchemy's name of the server: the module here, and its class. Imported when needed: each imports its driver."""

OTHERS: Final = ("comparing", "Comparing")
"""The same for all other servers."""


class Dialect(ABC):
    """How a store reaches one kind of server, and what makes a step of reading and writing atomic there.

    A step is the common code's: it reads records, decides, writes. The dialect opens it so that no other writer can come between what was
    read with a lock and what is written (or its writes compare the stamps that were read), ends it, and says which errors mean that it
    should be tried again from its beginning.
    """

    name: ClassVar[str]
    """SQLAlchemy's name of it."""
    errors: tuple[type[Exception], ...] = (sa.exc.SQLAlchemyError,)
    """What SQLAlchemy and the driver raise."""
    shared: bool = True
    """Whether other processes can use the same database."""
    clusters: ClassVar[bool] = True
    """Whether the server keeps rows in the order of their primary key."""
    server_time: ClassVar[str | None] = None
    """The statement that answers the server's time in µs UTC; None: it has no clock of its own."""
    skips_locked: ClassVar[bool] = False
    """Whether a claim locks rows, and passes over those that others have locked. Then its step disturbs nobody, and is not put off until
    a look has found something to write; and what is due and was not read is looked at again soon."""
    pushes: bool = False
    """Whether `announce` is to be called."""

    def __init__(
        self, engine: sa.Engine, schema: Schema, *, owned: bool, synchronous: str, timeout: float
    ) -> None:
        """`owned`: the engine is the store's, not the caller's. `synchronous`: "FULL" or "NORMAL", what a commit of SQLite has to survive.

        `timeout`: seconds that one answer of a server is waited for.
        """
        self._engine = engine
        self._schema = schema
        self._owned = owned
        self._synchronous = synchronous
        self._timeout = timeout
        self.statements = self._statements()

    # -- before there is a connection ----------------------------------------------------------------------------------

    @classmethod
    def complete(cls, url: sa.URL) -> sa.URL:
        """The url with the driver that is used where it names none."""
        return url

    @classmethod
    @abstractmethod
    def engine_arguments(cls, url: sa.URL, options: Mapping[str, Any], timeout: float) -> dict[str, Any]:
        """The arguments for `create_engine`, from those that the user gave."""

    @classmethod  # noqa: B027
    def check_place(cls, url: sa.URL, options: Mapping[str, Any], tableschema: str | None) -> None:
        """Refuse, with ValueError, what leads to no place for the tables. Most servers have a default one."""

    def _statements(self) -> Statements:
        """The statements in the spelling of this server."""
        return Statements(self._schema, self._engine.dialect)

    # -- life ----------------------------------------------------------------------------------------------------------

    @abstractmethod
    def prepare(self) -> None:
        """Called at every start, before anything else: what belongs to the database as a whole."""

    def listen(self, heard: Callable[[int, str | None], None]) -> None:  # noqa: B027 - most servers do not push
        """Called at the end of a start: from now on, call `heard` from any thread with what others announce.

        That is a time (µs UTC) and the executor that has something to do then; 0 and None: announcements may have been missed.
        """

    def close(self) -> None:  # noqa: B027 - nothing but the engine to close
        """Called before the engine is disposed of, in the process that started: end what `listen` began. Twice does nothing."""

    @abstractmethod
    def forked(self) -> None:
        """The process is a fork of the one that used the engine: leave the parent's connections alone, and unlock what is locked."""

    # -- steps ---------------------------------------------------------------------------------------------------------

    @abstractmethod
    def reading(self) -> AbstractContextManager[Session]:
        """A connection for reading only: each statement by itself, no transaction."""

    @abstractmethod
    def writing(self) -> AbstractContextManager[Session]:
        """A connection for one step, before `begin`. Whatever was not committed when it is left is rolled back."""

    @abstractmethod
    def begin(self, session: Session) -> None:
        """Open the atomic step: what is read from here on with a lock is not changed by anybody else before the commit."""

    def commit(self, session: Session) -> None:
        """End the step. May raise after having written: the caller finds out. OvertakenError: certainly nothing was written."""
        session.connection.commit()

    def rollback(self, session: Session) -> None:
        """End a step that has written nothing."""
        session.connection.rollback()

    def exclude(self, session: Session) -> None:  # noqa: B027 - where `begin` does it
        """In a step: let no other process make or migrate the tables before it ends."""

    def announce(self, session: Session, sooner: Mapping[str, int]) -> None:  # noqa: B027 - as `listen`
        """In a step, before its writes: tell the others from when on (µs UTC) there is something to do for executors.

        Only if that is earlier than the earliest future `wake_at` stored for that executor, or something is overdue there.
        """

    # -- errors --------------------------------------------------------------------------------------------------------

    @abstractmethod
    def is_passing(self, error: BaseException) -> bool:
        """Whether the step was refused only because others were at work: it is tried again."""

    def await_end(self, session: Session, written: Stamps) -> None:  # noqa: B027 - where locked reads wait for all of it
        """Called before the stamps are read of what a step may have written whose connection was lost: wait for the end of that step."""

    def is_refused(self, error: BaseException) -> bool:
        """Whether it is certain that a step whose commit raised this was not written: the server itself has said so."""
        return False

    def is_missing(self, error: BaseException) -> bool:
        """Whether a table is not there."""
        return False

    def is_unreachable(self, error: BaseException) -> bool:
        """Whether it means that the server cannot be reached or does not answer: `StoreUnreachableError`."""
        return isinstance(error, sa.exc.TimeoutError)  # of the pool: all its connections wait for the server


def dialect_class(url: sa.URL) -> type[Dialect]:
    """What the store needs to know of the kind of server that a url names."""
    module, attribute = DIALECTS.get(url.get_backend_name(), OTHERS)
    chosen: type[Dialect] = getattr(import_module(f".{module}", __package__), attribute)
    return chosen
