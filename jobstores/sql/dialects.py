"""`Dialect`: what an SQL server does its own way. One small object for each kind of server; all the rest is common to them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import sqlalchemy as sa


class Dialect(ABC):
    """How a store reaches one kind of server, and what makes a step of reading and writing atomic there.

    A step is the common code's: it reads records, decides, writes. The dialect opens it so that no other writer can come between, ends
    it, and says which errors mean that it should be tried again from its beginning.
    """

    name: ClassVar[str]
    """SQLAlchemy's name of it."""
    errors: ClassVar[tuple[type[Exception], ...]] = (sa.exc.SQLAlchemyError,)
    """What SQLAlchemy and the driver raise."""
    shared: bool
    """Whether other processes can use the same database."""

    def __init__(self, engine: sa.Engine, *, owned: bool, synchronous: str) -> None:
        """`owned`: the engine is the store's, not the caller's. `synchronous`: "FULL" or "NORMAL", what a commit has to survive."""
        self._engine = engine
        self._owned = owned
        self._synchronous = synchronous

    @classmethod
    @abstractmethod
    def engine_arguments(cls, url: sa.URL, options: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments for `create_engine`, from those that the user gave."""

    @abstractmethod
    def prepare(self) -> None:
        """Called at every start, before anything else: what belongs to the database as a whole."""

    @abstractmethod
    def reading(self) -> AbstractContextManager[sa.Connection]:
        """A connection for reading only."""

    @abstractmethod
    def writing(self) -> AbstractContextManager[sa.Connection]:
        """A connection for one step, before `begin`. Whatever was not committed when it is left is rolled back."""

    @abstractmethod
    def begin(self, connection: sa.Connection) -> None:
        """Open the atomic step: whatever is read from here on is not changed by anybody else before the commit."""

    def commit(self, connection: sa.Connection) -> None:
        """End the step. May raise after having written: the caller finds out."""
        connection.commit()

    @abstractmethod
    def is_passing(self, error: BaseException) -> bool:
        """Whether the step was refused only because others were at work: it is tried again."""

    @abstractmethod
    def forked(self) -> None:
        """The process is a fork of the one that used the engine: leave the parent's connections alone, and unlock what is locked."""
