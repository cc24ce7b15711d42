"""`Link`: a store's way to its server: scripts and commands, and what the driver's errors mean."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, TypeAlias

import redis
from redis.client import NEVER_DECODE
from redis.cluster import RedisCluster
from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    NoScriptError,
    RedisClusterException,
    RedisError,
    ResponseError,
)

from ..errors import JobStoreError, StoreUnreachableError
from ..recordlines import to_bytes, to_text
from .connecting import Client, described, new_pool, node_pool
from .keys import kind_of
from .scripts import Script

Argument: TypeAlias = str | bytes | int

_FOR_NOW: Final = (
    # starting, or reading its data
    "LOADING",
    # a replica (after a failover: the server that was the primary), or one that has lost its primary
    "READONLY",
    "MASTERDOWN",
    "NOREPLICAS",
    # somebody's script takes long
    "BUSY",
    # no memory, no disk
    "OOM",
    "MISCONF",
    # a cluster that is being changed
    "CLUSTERDOWN",
    "TRYAGAIN",
    "MOVED",
    "ASK",
    "UNBLOCKED",
)
"""The codes of errors that go away without anybody changing the program."""

# An argument until version 5.3, deprecated since.
_COMMAND_NAME: Final = ("EVALSHA",) if redis.VERSION < (5, 3) else ()  # type: ignore[attr-defined,unused-ignore]


class LostReplyError(StoreUnreachableError):
    """The request may have been received, and its answer has not come."""


class Link:
    """Thread-safe. Unusable before `open` and in a fork of the process that called it."""

    def __init__(self, client: Client, db: int | None, timeout: float) -> None:
        self._client = client
        self._db = db
        self._timeout = timeout
        self._place = described(client, db)
        # Any: it has methods without annotations.
        self._cluster: Any = client if isinstance(client, RedisCluster) else None
        self._pool: redis.ConnectionPool | None = None
        self._opened_in: int | None = None
        self.answers = False
        """Whether the server answered when it was asked last."""

    @property
    def waits_forever(self) -> bool:
        """Whether an answer of a server that stands still would be waited for without end."""
        return (
            self._cluster is not None
            and self._cluster.get_connection_kwargs().get("socket_timeout", 0) is None
        )

    @property
    def opened_here(self) -> bool:
        """Whether this process has opened it, and not closed it since."""
        return self._opened_in == os.getpid()

    def open(self) -> None:
        """Make it usable in this process. Connects when it is first used."""
        self.close()
        if isinstance(self._client, redis.Redis):
            self._pool = new_pool(self._client, self._db, self._timeout)
        self._opened_in = os.getpid()

    def close(self) -> None:
        """Give up the connections. Those that a fork has of its parent's are left alone."""
        if self.opened_here and self._pool is not None:
            self._pool.disconnect()
        self._pool = self._opened_in = None

    def listening_pool(self, key: str) -> redis.ConnectionPool:
        """A pool for a connection that listens; in a cluster to the node which has the key."""
        if isinstance(self._client, RedisCluster):
            return node_pool(self._client, key, self._timeout)
        return new_pool(self._client, self._db, self._timeout)

    # -- asking --------------------------------------------------------------------------------------------------------

    def run(self, script: Script, keys: Sequence[str], *arguments: Argument) -> Any:
        """What a script answers. Raises JobStoreError; for scripts that only read, or may be run twice."""
        try:
            return self.run_once(script, keys, *arguments)
        except LostReplyError as lost:
            raise StoreUnreachableError(str(lost)) from lost.__cause__

    def run_once(self, script: Script, keys: Sequence[str], *arguments: Argument) -> Any:
        """What a script answers. Raises JobStoreError, and `LostReplyError` if it may have been run all the same.

        The server keeps scripts until it is restarted, fails over or is told to forget them: then it has not run anything, and is given
        the text.
        """
        try:
            try:
                return self._ask("EVALSHA", script.sha, len(keys), *keys, *arguments)
            except NoScriptError:
                return self._ask("EVAL", script.text, len(keys), *keys, *arguments)
        except RedisError as error:
            if _code(error) == "WRONGTYPE":
                raise self._not_ours(keys) from error
            raise self._translated(error) from error

    def _not_ours(self, keys: Sequence[str]) -> JobStoreError:
        """Something else is kept under one of the keys."""
        for key in keys:
            kind = to_text(self.ask("TYPE", key))
            if kind not in ("none", kind_of(key)):
                return JobStoreError(
                    f"{self}: the key {key} is a {kind} and not a {kind_of(key)}, so somebody else has written it: give another jobs_key"
                )
        return JobStoreError(
            f"{self}: under its keys ({', '.join(keys)}) are those of somebody else: give another jobs_key"
        )

    def ask(self, *command: Argument) -> Any:
        """What a command answers."""
        try:
            return self._ask(*command)
        except LostReplyError as lost:
            raise StoreUnreachableError(str(lost)) from lost.__cause__
        except RedisError as error:
            raise self._translated(error) from error

    def settings(self, key: str, pattern: str) -> Any:
        """What CONFIG GET answers, in a cluster of the node with that key."""
        if self._cluster is None:
            return self.ask("CONFIG", "GET", pattern)
        try:
            node = self._cluster.get_node_from_key(key)
            return self._cluster.execute_command("CONFIG GET", pattern, target_nodes=node)
        except (RedisError, RedisClusterException) as error:
            raise JobStoreError(f"{self}: {_reason(error)}") from error

    def _ask(self, *command: Argument) -> Any:
        packed = [to_bytes(part) if isinstance(part, str) else part for part in command]
        self._check_process()
        try:
            answer = self._ask_cluster(self._cluster, packed) if self._cluster else self._ask_server(packed)
        except ResponseError:
            self.answers = True
            raise
        except (RedisError, RedisClusterException):
            self.answers = False
            raise
        self.answers = True
        return answer

    def _ask_server(self, command: list[Any]) -> Any:
        # Step by step rather than with execute_command(), to tell a server that cannot be reached from one whose answer got lost.
        pool = self._pool
        if pool is None:
            raise self._closed()
        connection: Any = pool.get_connection(*_COMMAND_NAME)
        try:
            connection.send_command(*command)
            return connection.read_response()
        except ResponseError:
            raise
        except (redis.ConnectionError, redis.TimeoutError) as error:
            connection.disconnect()
            if _is_refusal(error) or _code(error) in _FOR_NOW:
                raise  # the server has answered
            raise LostReplyError(f"{self}: {_reason(error)}") from error
        except BaseException:
            connection.disconnect()  # its answer is still to come
            raise
        finally:
            pool.release(connection)

    def _ask_cluster(self, cluster: Any, command: list[Any]) -> Any:
        # It finds the node by the keys, and repeats what was moved or failed: no script does anything when it is run again.
        try:
            return cluster.execute_command(command[0].decode(), *command[1:], **{NEVER_DECODE: True})
        except (ClusterDownError, AuthenticationError, AuthorizationError):
            raise
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise LostReplyError(f"{self}: {_reason(error)}") from error
        except RedisClusterException as error:
            raise StoreUnreachableError(f"{self}: {_reason(error)}") from error

    # -- errors --------------------------------------------------------------------------------------------------------

    def _translated(self, error: RedisError) -> JobStoreError:
        """What a store raises for an error of the driver's."""
        text = str(error)
        if isinstance(error, AskError) and self._cluster is None:
            return JobStoreError(
                f"{self}: the server is a node of a Redis Cluster: give client=RedisCluster(...)"
            )
        if isinstance(error, redis.ConnectionError | redis.TimeoutError | ClusterDownError):
            for_now = not _is_refusal(error) and "CERTIFICATE_VERIFY_FAILED" not in text
        else:
            for_now = _code(error) in _FOR_NOW
        kind = StoreUnreachableError if for_now else JobStoreError
        reason = _reason(error)
        if _code(error) == "OOM":
            reason = f"{reason.rstrip('.')}. The server's memory is full: raise its maxmemory, or remove what else it keeps"
        return kind(f"{self}: {reason}")

    def _check_process(self) -> None:
        if not self.opened_here:
            raise self._closed()

    def _closed(self) -> JobStoreError:
        if self._opened_in is None or self.opened_here:
            return JobStoreError(
                f"{self} is not started: call start(), or add the store to a scheduler and start that"
            )
        return JobStoreError(
            f"{self} was started by process {self._opened_in}, and this is a fork of it ({os.getpid()}): its connections must not be "
            "used here. Start the store (or its scheduler) in this process first"
        )

    def __str__(self) -> str:
        return f"job store on {self._place}"


def _is_refusal(error: Exception) -> bool:
    """Whether the server answers, and does not let this client in."""
    return isinstance(error, AuthenticationError | AuthorizationError) or _code(error) in (
        "NOAUTH",
        "WRONGPASS",
        "NOPERM",
    )


# The driver takes these codes off its messages, and has a class for each instead.
_CODES: Final = {
    "BusyLoadingError": "LOADING",
    "ReadOnlyError": "READONLY",
    "OutOfMemoryError": "OOM",
    "MasterDownError": "MASTERDOWN",
    "ClusterDownError": "CLUSTERDOWN",
    "TryAgainError": "TRYAGAIN",
    "MovedError": "MOVED",
    "AskError": "ASK",
    "NoPermissionError": "NOPERM",
}


# Before version 7 a server wraps what a command of a script has met.
_inside_script: Final = re.compile("^Error running script .*: -([A-Z]+) ").search


def _code(error: Exception) -> str:
    """The code that the server's error begins with."""
    for kind in type(error).__mro__:
        if kind.__name__ in _CODES:
            return _CODES[kind.__name__]
    text = str(error)
    inside = _inside_script(text)
    return inside[1] if inside else text.partition(" ")[0]


# Which script it was tells nobody anything.
_without_script: Final = partial(
    re.compile(r" script: [0-9a-f]{40}.*$| *Error running script \(call to \w+\): ").sub, ""
)


def _reason(error: Exception) -> str:
    text = _without_script(" ".join(str(error).split()))
    return text or type(error).__name__
