"""What holds for all tests, and the servers that they may ask for."""

import os
import signal
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from tests import servers
from tests.servers import ForeignServer, Server
from tests.servers.asking import own_server, shared_server

# A shell that starts something in the background has it ignore SIGINT (POSIX, "Asynchronous Lists"), and so would every program
# that the tests start, Python's own handler included: those that are sent a Ctrl-C would never notice.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Processes that share out the tests (pytest-xdist) have to agree on their names: none has an address of the memory in it."""
    changing = [item.nodeid for item in items if " at 0x" in item.nodeid]
    if changing:
        raise pytest.UsageError(
            f"named otherwise in each process (give the parameter an id, or a repr): {changing[:5]}"
        )


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Where several processes share out the tests (pytest-xdist), they send what a test has logged as UTF-8; some log what is none on purpose."""
    return _as_utf_8((yield))


def _as_utf_8(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_as_utf_8(key): _as_utf_8(each) for key, each in value.items()}
    return type(value)(map(_as_utf_8, value)) if isinstance(value, list | tuple) else value


@pytest.fixture(scope="session")
def postgresql() -> Server:
    """The session's PostgreSQL. Tests share it, each with a table of its own, and none stops it."""
    return shared_server(servers.PostgreSQL)


@pytest.fixture(scope="session")
def mariadb() -> Server:
    """The session's MariaDB. Tests share it, each with a table of its own, and none stops it."""
    return shared_server(servers.MariaDB)


@pytest.fixture(scope="session")
def redis_server() -> Server:
    """The session's Redis. Tests share it, each with keys of its own, and none stops it."""
    return shared_server(servers.Redis)


@pytest.fixture(scope="session")
def mongodb_server() -> Server | ForeignServer:
    """The session's MongoDB, or that which MAINSPRING_TEST_MONGODB names. Tests share it, each with a collection of its own, and none stops it."""
    url = os.environ.get("MAINSPRING_TEST_MONGODB")
    return ForeignServer("mongodb", url) if url else shared_server(servers.MongoDB)


@pytest.fixture(scope="session")
def mongodb_with_changes() -> Server | ForeignServer:
    """One that has change streams; shared as the other is."""
    url = os.environ.get("MAINSPRING_TEST_MONGODB")
    return ForeignServer("mongodb", url) if url else shared_server(servers.MongoDBWithChanges)


@pytest.fixture(scope="session")
def zookeeper() -> Server:
    """The session's ZooKeeper. Tests share it, each with a path of its own, and none stops it."""
    return shared_server(servers.ZooKeeper)


@pytest.fixture
def own_postgresql() -> Iterator[Server]:
    """A PostgreSQL to stop, kill and freeze."""
    yield from own_server(servers.PostgreSQL)


@pytest.fixture
def own_mariadb() -> Iterator[Server]:
    """A MariaDB to stop, kill and freeze."""
    yield from own_server(servers.MariaDB)


@pytest.fixture
def own_redis() -> Iterator[Server]:
    """A Redis to stop, kill and freeze."""
    yield from own_server(servers.Redis)


@pytest.fixture
def own_zookeeper() -> Iterator[Server]:
    """A ZooKeeper to stop, kill and freeze."""
    yield from own_server(servers.ZooKeeper)


@pytest.fixture
def own_mongodb() -> Iterator[Server]:
    """A MongoDB to stop, kill and freeze."""
    yield from own_server(servers.MongoDB)


@pytest.fixture(scope="session")
def mysql() -> ForeignServer:
    """A MySQL 8, which Debian does not pack: MAINSPRING_TEST_MYSQL is the URL of a database of it that tests may write to."""
    url = os.environ.get("MAINSPRING_TEST_MYSQL")
    if not url:
        pytest.skip(
            "MAINSPRING_TEST_MYSQL does not name a MySQL 8 (mysql+pymysql://USER:PASSWORD@HOST/DATABASE)"
        )
    return ForeignServer("mysql", url)
