"""Real servers for tests: PostgreSQL, MariaDB, Redis and ZooKeeper, as Debian packs them, and MongoDB, started by the test session and gone with it.

`postgresql()`, `mariadb()`, `redis()`, `mongodb()` and `zookeeper()` are the session's, running. A server of one's own, to stop, kill or
freeze, is an instance of a class of `kinds` or `mongo`. As pytest's fixtures: `tests/conftest.py`.
"""

from dataclasses import dataclass
from functools import cache

from tests.servers.kinds import KINDS, MariaDB, PostgreSQL, Redis, ZooKeeper
from tests.servers.mongo import MongoDB, MongoDBWithChanges
from tests.servers.server import DATABASE, PASSWORD, USER, MissingProgramError, Server

__all__ = [
    "DATABASE",
    "KINDS",
    "PASSWORD",
    "USER",
    "ForeignServer",
    "MariaDB",
    "MissingProgramError",
    "MongoDB",
    "MongoDBWithChanges",
    "PostgreSQL",
    "Redis",
    "Server",
    "ZooKeeper",
    "mariadb",
    "mongodb",
    "postgresql",
    "redis",
    "shared",
    "zookeeper",
]


@dataclass(frozen=True)
class ForeignServer:
    """One that the tests have not started, and only connect to."""

    name: str
    url: str


@cache
def shared(kind: type[Server]) -> Server:
    """The session's server of this kind, started when it is first asked for. MissingProgramError if it is not installed."""
    server = kind()
    server.start()
    return server


def postgresql() -> Server:
    """The session's PostgreSQL."""
    return shared(PostgreSQL)


def mariadb() -> Server:
    """The session's MariaDB."""
    return shared(MariaDB)


def redis() -> Server:
    """The session's Redis."""
    return shared(Redis)


def mongodb() -> Server:
    """The session's MongoDB."""
    return shared(MongoDB)


def zookeeper() -> Server:
    """The session's ZooKeeper."""
    return shared(ZooKeeper)
