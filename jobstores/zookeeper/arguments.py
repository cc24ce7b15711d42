"""What `ZooKeeperJobStore` is given: refused where it makes no sense, before anything is connected; and how its client is made."""

from __future__ import annotations

import difflib
import inspect
import logging
from collections.abc import Mapping
from typing import Any, Final

try:
    from kazoo.client import KazooClient
    from kazoo.protocol.serialization import Auth
    from kazoo.retry import KazooRetry
except ImportError as exc:
    raise ImportError(
        'ZooKeeperJobStore needs kazoo, which is not installed: pip install "mainspring[zookeeper]"'
    ) from exc

from ..serialization.references import resolve_reference

_RETRIES: Final = ("max_retries", "retry_delay", "retry_backoff", "retry_max_delay")
"""Arguments that kazoo takes for the sake of older programs."""

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 2.0
"""Seconds between two attempts to connect. kazoo's own limit is an hour."""


class _NoCredentials(logging.Filter):
    """Keeps what a client is authenticated with out of the log: kazoo writes each request there, at the level DEBUG."""

    def filter(self, record: logging.LogRecord) -> bool:
        arguments = record.args if isinstance(record.args, tuple) else ()
        return not any(isinstance(each, Auth) for each in arguments)


_logger = logging.getLogger("kazoo.client.mainspring")
_logger.addFilter(_NoCredentials())


class ClientSource:
    """Where a store's client comes from: one that it was given, or the arguments to make one."""

    def __init__(self, client: Any, close_on_exit: Any, connect_args: Mapping[str, Any]) -> None:
        if not isinstance(close_on_exit, bool):
            raise TypeError(f"close_connection_on_exit must be True or False, got {close_on_exit!r}")
        self.close_on_exit: Final = close_on_exit
        self._args: Final = {**connect_args}
        self.given: Final[Any] = None if client is None else _checked_client(client, connect_args)
        if self.given is None:
            self._check()

    def _check(self) -> None:
        known = {*inspect.signature(KazooClient.__init__).parameters} - {"self", "kwargs"}
        for name in self._args:
            if name not in known and name not in _RETRIES:
                near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.65)
                tail = f"; did you mean {near[0]!r}?" if near else ""
                raise TypeError(f"Unknown argument of ZooKeeperJobStore: {name!r}{tail}")
        hosts = self._args.get("hosts", "127.0.0.1:2181")
        if not hosts or not isinstance(hosts, str | list | tuple):
            got = type(hosts).__name__ if hosts or hosts is None else "nothing"
            raise TypeError(
                f'hosts must be text, such as "one:2181,two:2181,three:2181/chroot", or a list of such, got {got}'
            )
        credentials = self._args.get("auth_data")
        if credentials is not None and not _is_pairs(credentials):
            # Not what it is: a password may be in it.
            raise TypeError(
                'auth_data must be a list of pairs of a scheme and what it takes, such as [("digest", "user:password")]'
            )
        self.new()  # it opens nothing, and refuses what it cannot use

    def new(self) -> Any:
        """A client of the store's own; not connected."""
        args = dict(self._args)
        if "connection_retry" not in args and not any(name in args for name in _RETRIES):
            args["connection_retry"] = {"max_tries": -1, "delay": FIRST_PAUSE, "max_delay": LONGEST_PAUSE}
            if "handler" in args:
                args["connection_retry"]["sleep_func"] = args["handler"].sleep_func
        args.setdefault("logger", _logger)
        return KazooClient(**args)

    def twin(self) -> Any:
        """A client with the settings of the one that was given, for a fork of its process."""
        given = self.given
        hosts = ",".join(
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in given.hosts
        )
        connection: Any = getattr(given, "_connection", None)
        return KazooClient(
            hosts + given.chroot,
            timeout=given._session_timeout / 1000,
            default_acl=given.default_acl,
            auth_data=given.auth_data,
            sasl_options=getattr(connection, "sasl_options", None),
            read_only=given.read_only,
            randomize_hosts=given.randomize_hosts,
            connection_retry=KazooRetry(max_tries=-1, delay=FIRST_PAUSE, max_delay=LONGEST_PAUSE),
            logger=_logger,
            **{
                name: getattr(given, name)
                for name in (
                    "keyfile",
                    "keyfile_password",
                    "certfile",
                    "ca",
                    "use_ssl",
                    "verify_certs",
                    "check_hostname",
                )
            },
        )

    def __str__(self) -> str:
        """The servers, for messages: nothing secret."""
        if self.given is not None:
            hosts = ",".join(f"{host}:{port}" for host, port in self.given.hosts) + self.given.chroot
        else:
            said = self._args.get("hosts", "127.0.0.1:2181")
            hosts = said if isinstance(said, str) else ",".join(map(str, said))
        return f"ZooKeeper at {hosts}"


def _is_pairs(credentials: Any) -> bool:
    return isinstance(credentials, list | tuple | set | frozenset) and all(
        isinstance(pair, list | tuple) and len(pair) == 2 and all(isinstance(part, str) for part in pair)
        for pair in credentials
    )


def _checked_client(client: Any, connect_args: Mapping[str, Any]) -> Any:
    if connect_args:
        raise TypeError(
            f"a client brings its own settings: leave out {', '.join(connect_args)}, or make the client with them"
        )
    if isinstance(client, str):
        if ":" not in client or client.rpartition(":")[2].isdecimal():
            raise TypeError("client is the name of a server: give it as hosts=...")
        client = resolve_reference(client)
    if not isinstance(client, KazooClient):
        kind = type(client)
        # Not its repr: whatever it is, a password may be in it.
        raise TypeError(
            f"client must be a kazoo.client.KazooClient, got {kind.__module__}.{kind.__qualname__}"
        )
    return client
