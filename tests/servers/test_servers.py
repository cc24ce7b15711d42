"""The servers of the tests: they start, end in every way, keep their data, and are gone with the session."""

import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pymongo
import pytest
import redis
import sqlalchemy
from kazoo.client import KazooClient
from kazoo.handlers.threading import KazooTimeoutError
from pymongo.errors import AutoReconnect

from tests import servers
from tests.servers import KINDS, MissingProgramError, PostgreSQL, Redis, Server, server
from tests.servers.asking import own_server, shared_server
from tests.servers.keeper import descendants
from tests.servers.kept import TIMEOUT

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def own(request: pytest.FixtureRequest) -> Iterator[Server]:
    yield from own_server(request.param)


# MongoDB's `{ping: 1}`, as a message of the kind OP_MSG.
PING = (
    bytes([51, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xDD, 7, 0, 0])
    + bytes(5)
    + b"\x1e\0\0\0\x10ping\0\1\0\0\0\x02$db\0\6\0\0\0admin\0\0"
)


class Client:
    """Whoever writes and reads one value on a server of any kind, and waits a second for an answer."""

    def __init__(self, server: Server) -> None:
        self._mongodb = server.url if server.name == "mongodb" else None
        self._zookeeper = server.url if server.name == "zookeeper" else None
        self._redis = redis.Redis.from_url(server.url, socket_timeout=1) if server.name == "redis" else None
        if self._redis is None and self._zookeeper is None and self._mongodb is None:
            # PostgreSQL's driver has no time limit of its own for an answer.
            limit = {"postgresql": {}, "mariadb": {"read_timeout": 1}}[server.name]
            self._engine = sqlalchemy.create_engine(
                server.url, connect_args=limit, poolclass=sqlalchemy.NullPool
            )

    def write(self, value: int) -> None:
        if self._redis is not None:
            self._redis.rpush("kept", value)
            return
        if self._zookeeper is not None:
            with connected(self._zookeeper) as client:
                client.create(f"/kept-{value}", b"")
            return
        if self._mongodb is not None:
            with collection(self._mongodb) as kept:
                kept.insert_one({"_id": value})
            return
        with self._engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS kept (value INTEGER)")
            connection.exec_driver_sql(f"INSERT INTO kept VALUES ({value})")

    def read(self) -> list[int]:
        if self._redis is not None:
            return [int(value) for value in self._redis.lrange("kept", 0, -1)]
        if self._zookeeper is not None:
            with connected(self._zookeeper) as client:
                return sorted(int(name[5:]) for name in client.get_children("/") if name.startswith("kept-"))
        if self._mongodb is not None:
            with collection(self._mongodb) as kept:
                return sorted(document["_id"] for document in kept.find())
        with self._engine.begin() as connection:
            return [row[0] for row in connection.exec_driver_sql("SELECT value FROM kept ORDER BY value")]


@contextmanager
def collection(url: str) -> Iterator[Any]:
    client: Any = pymongo.MongoClient(url, serverSelectionTimeoutMS=1_000, socketTimeoutMS=1_000)
    with client:
        yield client.tests.get_collection("kept", write_concern=pymongo.WriteConcern("majority", j=True))


@contextmanager
def connected(hosts: str) -> Iterator[Any]:
    client = KazooClient(hosts, timeout=1.0)
    try:
        client.start(timeout=1.0)
        yield client
    finally:
        client.stop()
        client.close()


def test_it_keeps_its_port_and_data_through_stops_and_kills(own: Server) -> None:
    port, client = own.port, Client(own)
    client.write(1)
    own.stop()
    assert not own.running
    assert server.is_free(port)
    unreachable = (redis.ConnectionError, sqlalchemy.exc.OperationalError, KazooTimeoutError, AutoReconnect)
    with pytest.raises((OSError, *unreachable)):
        client.read()
    own.start()
    assert own.running
    client.write(2)
    own.kill()
    assert not own.running
    assert server.is_free(port)
    own.start()
    assert own.port == port
    assert client.read() == [1, 2]


def test_a_frozen_one_accepts_and_does_not_answer_until_it_is_thawed(own: Server) -> None:
    own.freeze()
    assert own.running
    with socket.create_connection(("127.0.0.1", own.port), timeout=TIMEOUT) as connection:
        # What makes them answer at once; MariaDB speaks first.
        question = {
            "postgresql": b"\0\0\0\x08\x04\xd2\x16\x2f",
            "redis": b"PING\r\n",
            "mongodb": PING,
            "zookeeper": b"conf",
        }
        connection.sendall(question.get(own.name, b""))
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        own.thaw()
        connection.settimeout(TIMEOUT)
        assert connection.recv(1)


def test_a_frozen_one_can_be_stopped_and_killed(own: Server) -> None:
    own.freeze()
    own.stop()
    own.start()
    own.freeze()
    own.kill()
    own.start()


def test_all_of_its_processes_are_killed(own_postgresql: Server) -> None:
    Client(own_postgresql).write(1)
    pids = [own_postgresql.pid, *descendants(own_postgresql.pid)]
    assert len(pids) > 3
    own_postgresql.kill()
    assert not [pid for pid in pids if is_there(pid)]


def test_two_of_a_kind_have_nothing_in_common(own: Server) -> None:
    Client(own).write(1)
    for other in own_server(type(own)):
        assert other.port != own.port
        Client(other).write(2)
        assert Client(other).read() == [2]


def test_a_port_that_others_have_taken_meanwhile_is_not_insisted_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        taken = listener.getsockname()[1]
        ports = [taken, taken, server.free_port()]
        last = ports[-1]
        monkeypatch.setattr(server, "free_port", lambda: ports.pop(0))
        for own in own_server(Redis):
            assert own.port == last
            assert not ports


def test_one_that_does_not_start_shows_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Redis, "_command", lambda self: ["redis-server", "--appendfsync", "sometimes"])
    with pytest.raises(AssertionError, match=r"(?s)redis on port \d+ has ended.*appendfsync"):
        Redis().start()


@pytest.mark.parametrize("name", ["postgresql", "mariadb", "redis_server", "zookeeper"])
def test_the_sessions_servers_are_the_same_for_all(name: str, request: pytest.FixtureRequest) -> None:
    shared = request.getfixturevalue(name)
    assert shared.running
    assert shared is {"redis_server": servers.redis}.get(name, getattr(servers, name, None))()  # type: ignore[misc]


def test_a_missing_program_skips_and_fails_where_nothing_may_be_skipped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    class Elsewhere(Redis):
        pass

    asked: list[Callable[[], Server]] = [
        lambda: shared_server(Elsewhere),
        lambda: next(own_server(Elsewhere)),
    ]
    monkeypatch.delenv("CI", raising=False)
    for ask in asked:
        with pytest.raises(
            pytest.skip.Exception, match=r"redis-server is not installed .*apt-get install redis-server"
        ):
            ask()
    monkeypatch.setenv("CI", "true")
    for ask in asked:
        with pytest.raises(pytest.fail.Exception, match="redis-server is not installed"):
            ask()


def test_the_user_that_postgresql_needs_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(name: str) -> None:
        raise KeyError(name)

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("pwd.getpwnam", nobody)
    with pytest.raises(MissingProgramError, match="no user `postgres`"):
        PostgreSQL()


SESSION = """
import os
import sys
from tests.servers import KINDS
from tests.servers.keeper import descendants
from tests.servers.kept import keeper

servers = [kind() for kind in KINDS]
for server in servers:
    server.start()
servers[0].freeze()
pids = {process for server in servers for process in [server.pid, *descendants(server.pid)]}
if os.fork() != 0:  # the child outlives it, and has its ends of all pipes
    print(keeper().folder, keeper().pid, *pids, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("end", ["nothing", "SIGINT", "SIGTERM", "SIGKILL"])
def test_nothing_is_left_of_a_session(end: str) -> None:
    # Not pytest's folder, which others may not enter, and so not PostgreSQL's user, either.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)
        with subprocess.Popen(
            [sys.executable, "-c", SESSION],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": name},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as session:
            assert session.stdin is not None
            assert session.stdout is not None
            kept, *pids = session.stdout.readline().decode().split()
            assert Path(kept).parent == folder
            assert len(list(Path(kept).iterdir())) > 3
            watches = [os.pidfd_open(int(pid)) for pid in pids]
            if end != "nothing":
                session.send_signal(signal.Signals[end])
            else:
                session.stdin.close()
            for watch in watches:
                assert select.select([watch], [], [], TIMEOUT)[0], "a server goes on"
                os.close(watch)
        assert not list(folder.iterdir())


def is_there(pid: int) -> bool:
    """Whether a process runs, or is frozen; not: has ended, and is still listed."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
