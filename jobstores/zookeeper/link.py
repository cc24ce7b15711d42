"""`Link`: a store's way to its server: its client's life, requests that are under way together, and what the driver's errors mean."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Sequence
from typing import Any, Final

from kazoo.exceptions import (
    AuthFailedError,
    ConnectionClosedError,
    ConnectionLoss,
    InvalidACLError,
    KazooException,
    NoAuthError,
    NoNodeError,
    NotReadOnlyCallError,
    OperationTimeoutError,
    RequestTimeoutError,
    SessionExpiredError,
    SessionMovedError,
    ThrottledOpError,
    ZookeeperError,
)
from kazoo.protocol.states import KazooState, KeeperState

from ..errors import JobStoreError, StoreUnreachableError
from .arguments import ClientSource
from .calls import Call, sync

IN_FLIGHT: Final = 200
"""At most so many requests are under way at once."""

_GRACE: Final = 0.5
"""Seconds that a connection is waited for which is being made anew: a server that is restarted, or another one of the ensemble."""

_FAREWELL: Final = 1.0
"""Seconds that the end of the session is waited for."""

_LOST: Final = (
    ConnectionLoss,
    ConnectionClosedError,
    SessionExpiredError,
    SessionMovedError,
    OperationTimeoutError,
    RequestTimeoutError,
)
"""Errors after which nobody knows whether the request was done."""

_FOR_NOW: Final = (*_LOST, NotReadOnlyCallError, ThrottledOpError)
"""Errors that go away without anybody changing the program."""


class Link:
    """Thread-safe. Unusable before `open` and in a fork of the process that called it."""

    def __init__(self, source: ClientSource, timeout: float) -> None:
        self._source = source
        self._timeout = timeout
        self._made_in = os.getpid()
        self._opened_in: int | None = None
        self._client: Any = None
        self.closes = False
        """Whether the client is the store's to close."""
        self._up: Any = threading.Event()
        self.lock = threading.RLock()
        """Held while requests are begun, never while one is waited for: the server does them in that order."""
        self._numbers = itertools.count(1)
        self.connection = 0
        """How many connections have been lost. Watches do not outlive one. Written by the client's thread alone, without the lock: whoever begins a
        request may hold that while it waits for this thread."""
        self.requests = 0
        """How many requests have been begun."""

    @property
    def opened_here(self) -> bool:
        """Whether this process has opened it, and not closed it since."""
        return self._opened_in == os.getpid()

    # -- life ----------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Connect. Raises StoreUnreachableError if that takes longer than the timeout."""
        if self._opened_in not in (None, os.getpid()):
            self.lock = threading.RLock()  # a fork: threads of another process may hold the old one
        self.close()
        source = self._source
        if source.given is None:
            client, self.closes = source.new(), True
        elif self._made_in == os.getpid():
            client, self.closes = source.given, source.close_on_exit
        else:
            client, self.closes = source.twin(), True
        self._up = client.handler.event_object()
        self._client, self._opened_in = client, os.getpid()
        client.add_listener(self._state_changed)
        self.connection += 1
        try:
            if not client.connected:
                client.start_async().wait(self._timeout)
            if not client.connected:
                refused = client.client_state == KeeperState.AUTH_FAILED
                kind = JobStoreError if refused else StoreUnreachableError
                reason = "it refuses the authentication" if refused else "it does not answer"
                raise kind(f"{self}: {reason}")
            self._up.set()
        except BaseException:
            if not self.closes:
                client.remove_listener(self._state_changed)
                self._client = self._opened_in = None
            self.close()
            raise

    def close(self) -> None:
        """Give up the connection, if it is the store's to close. That of a parent is left alone."""
        client, self._client = self._client, None
        was_here, self._opened_in = self.opened_here, None
        if client is None or not was_here:
            return
        client.remove_listener(self._state_changed)
        if self.closes:
            # It says goodbye, so that the server forgets the session at once, and kazoo waits ten seconds for the answer.
            farewell = threading.Thread(
                target=_end, args=(client,), name="mainspring-zookeeper-end", daemon=True
            )
            farewell.start()
            farewell.join(_FAREWELL)

    def _state_changed(self, state: str) -> None:
        # In the client's thread: nothing here may wait.
        if state == KazooState.CONNECTED:
            self._up.set()
        else:
            self.connection += 1
            self._up.clear()

    # -- asking --------------------------------------------------------------------------------------------------------

    def client(self) -> Any:
        """The client, connected. Raises JobStoreError."""
        client = self._client
        if client is None or not self.opened_here:
            raise self._closed()
        if not client.connected and (not self._up.wait(min(_GRACE, self._timeout)) or not client.connected):
            if client.client_state == KeeperState.AUTH_FAILED:
                raise JobStoreError(f"{self}: it refuses the authentication")
            raise StoreUnreachableError(f"{self}: there is no connection to it")
        return client

    def begin(self, calls: Sequence[Call]) -> tuple[int, list[Any]]:
        """Begin requests. Answers their number, which counts in the order in which the server does them, and their futures."""
        client = self.client()
        with self.lock:
            self.requests += len(calls)
            return next(self._numbers), [call(client) for call in calls]

    def wait(self, futures: Sequence[Any]) -> list[Any]:
        """What was answered: values, or the errors, `ConnectionLoss` for an answer that does not come."""
        answers: list[Any] = []
        patience: float = self._timeout
        for future in futures:
            if not future.wait(patience) and not future.ready():
                patience = 0.0  # the others come behind it
                answers.append(ConnectionLoss("it does not answer"))
            elif future.successful():
                answers.append(future.value)
            else:
                answers.append(future.exception)
        return answers

    def ask(self, calls: Sequence[Call]) -> list[Any]:
        """What requests answer, which may be done twice: values, and None where there is no such node. Raises JobStoreError."""
        answers: list[Any] = []
        for start in range(0, len(calls), IN_FLIGHT):
            for answer in self.wait(self.begin(calls[start : start + IN_FLIGHT])[1]):
                if isinstance(answer, NoNodeError):
                    answers.append(None)
                elif isinstance(answer, Exception):
                    raise self.translated(answer) from answer
                else:
                    answers.append(answer)
        return answers

    def catch_up(self, path: str) -> None:
        """Have the server that answers know all that has been written on any of the ensemble."""
        self.ask([sync(path)])

    # -- errors --------------------------------------------------------------------------------------------------------

    def translated(self, error: Exception) -> JobStoreError:
        """What a store raises for an error of the driver's."""
        if isinstance(error, JobStoreError):
            return error
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, NoAuthError):
            reason = "the client may not do that: the nodes' ACL does not name what it is authenticated as"
        elif isinstance(error, InvalidACLError):
            reason = "the server does not accept the ACL of new nodes (default_acl)"
        elif isinstance(error, AuthFailedError):
            reason = "it refuses the authentication"
        elif isinstance(error, NotReadOnlyCallError):
            reason = "the server that answers can only be read from: it has lost its ensemble"
        elif type(error) is ConnectionLoss and not error.args:
            reason = "the connection was lost"
        elif isinstance(error, SessionExpiredError):
            reason = "the session has expired"
        elif isinstance(error, NoNodeError):
            reason = "a node of the store's layout is missing: somebody has deleted it"
        kind = StoreUnreachableError if isinstance(error, _FOR_NOW) else JobStoreError
        return kind(f"{self}: {reason}")

    def _closed(self) -> JobStoreError:
        if self._opened_in is None or self.opened_here:
            return JobStoreError(
                f"{self} is not started: call start(), or add the store to a scheduler and start that"
            )
        return JobStoreError(
            f"{self} was started by process {self._opened_in}, and this is a fork of it ({os.getpid()}): its connection must not be "
            "used here. Start the store (or its scheduler) in this process first"
        )

    def __str__(self) -> str:
        return str(self._source)


def _end(client: Any) -> None:
    try:
        client.stop()
        client.close()
    except Exception:
        pass  # nothing is left to be done with it


def is_lost(error: object) -> bool:
    """Whether it is not known what became of a request."""
    return isinstance(error, _LOST)


def is_refusal(error: object) -> bool:
    """Whether the server has answered that it did not do it."""
    return isinstance(error, ZookeeperError | KazooException) and not is_lost(error)
