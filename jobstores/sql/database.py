"""`Database`: steps on an SQL database, read or read-and-write, repeated while others are at work, and accounted for if a commit fails."""

from __future__ import annotations

import os
from collections.abc import Callable
from time import sleep
from typing import Final, TypeVar

import sqlalchemy as sa

from ..errors import JobStoreError, StoreUnreachableError
from ..uncertain import Stamps, UncertainWriteError, was_written
from .dialects import Dialect
from .schema import Schema
from .session import Session

T = TypeVar("T")

_PAUSES: Final = (0.01, 0.05, 0.2, 0.5, None)
"""Seconds to wait before a step that met other writers is tried again; each try waits by itself, as the dialect says."""


class Database:
    """Runs steps. Thread-safe; unusable before `open` and in a fork of the process that called it."""

    def __init__(self, engine: sa.Engine, dialect: Dialect, schema: Schema, owned: bool) -> None:
        self.engine = engine
        self.dialect = dialect
        self._schema = schema
        self._owned = owned
        self._tables_missing = False
        self._created_in = os.getpid()
        self._opened_in: int | None = None

    def open(self) -> None:
        """Make it usable in this process, with tables as this library uses them."""
        pid = os.getpid()
        if pid != self._created_in:
            self.dialect.forked()
            self._created_in = pid
        self._opened_in = pid
        self._tables_missing = False
        self._repeated(self.dialect.prepare)
        self._bring_up_to_date()

    def _bring_up_to_date(self) -> None:
        """Make the tables, or those of an older version into today's."""

        def create(session: Session) -> tuple[None, Stamps]:
            self.dialect.exclude(session)
            self._schema.bring_up_to_date(session.connection)
            return None, {}

        if not self._is_current():
            self.writing(create)

    def _is_current(self) -> bool:
        try:
            return self.reading(lambda session: self._schema.is_current(session.connection))
        except StoreUnreachableError:
            raise
        except JobStoreError as error:
            # Asked only now, since the catalogue is slow, and on a connection of its own: that one's transaction may have failed.
            if error.__cause__ is not None:
                self.reading(lambda session: self._schema.check_versions(session.connection))
            raise

    def close(self) -> None:
        """Give up the connections, unless the engine is the caller's or the process another one than `open` was called in."""
        if self._opened_in == os.getpid():
            self.dialect.close()
            if self._owned and self.dialect.shared:
                self.engine.dispose()
        self._opened_in = None

    def reading(self, ask: Callable[[Session], T]) -> T:
        """What `ask` answers. Raises JobStoreError for whatever the database or its driver raises."""

        def attempt() -> T:
            with self.dialect.reading() as session:
                return ask(session)

        return self._repeated(attempt)

    def writing(
        self,
        step: Callable[[Session], tuple[T, Stamps | None]],
        stamps: Callable[[Session, list[str]], dict[str, str]] | None = None,
    ) -> T:
        """Run `step` as one atomic step, and commit it if it says that it wrote something: what it answers beside its result.

        It may be run several times, each time from the beginning. `stamps` reads the stamps of the records of some ids: it is asked
        if the commit fails, on another connection, since a commit may fail after it was done. Raises OvertakenError, with nothing
        written, if a record was written by somebody else since it was read.
        """

        def attempt() -> T:
            with self.dialect.writing() as session:
                self.dialect.begin(session)
                answer, written = step(session)
                if written is None:
                    self.dialect.rollback(session)
                    return answer
                try:
                    self.dialect.commit(session)
                    return answer
                except self.dialect.errors as error:
                    if self.dialect.is_refused(error):
                        raise
                    failure = error
                    if self.dialect.shared:
                        session.invalidate()
            if stamps is not None and self._was_written(written, stamps, failure):
                return answer
            raise failure

        return self._repeated(attempt)

    def _was_written(
        self,
        written: Stamps,
        stamps: Callable[[Session, list[str]], dict[str, str]],
        failure: Exception,
    ) -> bool:
        """Whether a transaction whose commit raised was written. All of it was, or nothing: one record tells for all."""

        def ask(session: Session) -> dict[str, str]:
            self.dialect.await_end(session, written)
            return stamps(session, [*written])

        try:
            found = self.reading(ask)
        except JobStoreError as error:
            raise UncertainWriteError(
                f"{self}: committing failed ({_reason(failure)}), and so did finding out whether it was written: {error}"
            ) from failure
        answer = was_written(written, found)
        if answer is not None:
            return answer
        raise UncertainWriteError(
            f"{self}: committing failed ({_reason(failure)}), and others have since written whatever would tell whether it was written"
        ) from failure

    def _repeated(self, attempt: Callable[[], T]) -> T:
        """Try until nobody is in the way, within bounds; errors of the database come out as JobStoreError."""
        self._check_process()
        if self._tables_missing:
            # The server was restarted with an empty disk, or another one has taken its place.
            self._tables_missing = False
            self._bring_up_to_date()
        for pause in _PAUSES:
            try:
                return attempt()
            except self.dialect.errors as error:
                if self.dialect.is_unreachable(error):
                    raise StoreUnreachableError(f"{self} cannot be reached: {_reason(error)}") from error
                self._tables_missing |= self.dialect.is_missing(error)
                if pause is None or not self.dialect.is_passing(error):
                    raise JobStoreError(f"{self} failed: {_reason(error)}") from error
            sleep(pause)
        raise AssertionError("the last pause is None")

    def _check_process(self) -> None:
        if self._opened_in == os.getpid():
            return
        if self._opened_in is None:
            raise JobStoreError(
                f"{self} is not started: call start(), or add the store to a scheduler and start that"
            )
        raise JobStoreError(
            f"{self} was started by process {self._opened_in}, and this is a fork of it ({os.getpid()}): its connections must not be "
            "used here. Start the store (or its scheduler) in this process first"
        )

    def __str__(self) -> str:
        # Its password is shown as ***, and the rest of the url may have one, too.
        return f"job store on {self.engine.url.set(query={})}"


def _reason(error: Exception) -> str:
    """The driver's own words, in one line, without the statement and its parameters, which hold the users' data."""
    cause = error.orig or error if isinstance(error, sa.exc.DBAPIError) else error
    return " ".join(line.strip() for line in str(cause).splitlines() if line.strip()) or type(cause).__name__
