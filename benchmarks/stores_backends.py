"""The stores that stores.py measures: how each library opens one, what its server has spent, and how often it is asked."""

import importlib
import os
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from . import stores_mongodb, stores_zookeeper
from .engine_cases import Library, sqlite_engine

SERVERS = ("postgresql", "mariadb", "redis", "mongodb", "zookeeper")
STORES = ("memory", "sqlite", *SERVERS)
SETTINGS = {
    "sqlite": "synchronous=FULL",
    "postgresql": "fsync and synchronous_commit on",
    "mariadb": "innodb_flush_log_at_trx_commit=1",
    "redis": "appendonly yes, appendfsync always",
    "mongodb": "majority, journal (by the stand-in: in its file, not flushed)",
    "zookeeper": "forceSync=yes, one server",
}
"""What a commit survives here: a power failure, but for MongoDB's stand-in, which survives a kill."""

CLASSES = {
    "memory": "MemoryJobStore",
    "mongodb": "MongoDBJobStore",
    "redis": "RedisJobStore",
    "sqlalchemy": "SQLAlchemyJobStore",
    "zookeeper": "ZooKeeperJobStore",
}

Wrap = Callable[[type], type]


@dataclass(frozen=True)
class Backend:
    """One store: its kind, and the URL of its server's database (a file's path for SQLite, nothing for memory)."""

    kind: str
    url: str

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    def through(self, port: int) -> "Backend":
        """The same server behind another port of this machine."""
        parts = urlsplit(self.url)
        account, at, _ = parts.netloc.rpartition("@")
        return replace(self, url=parts._replace(netloc=f"{account}{at}127.0.0.1:{port}").geturl())

    def store(self, library: Library, wrap: Wrap = lambda cls: cls, **options: Any) -> Any:
        """A store of this library, of the class that *wrap* makes of its own. The *options* are for ours only."""
        kind = self.kind if self.kind in CLASSES else "sqlalchemy"
        cls = wrap(getattr(importlib.import_module(f"{library.package}.jobstores.{kind}"), CLASSES[kind]))
        if kind == "memory":
            return cls()
        if not library.ours:
            options = {}
        if kind == "zookeeper":
            return cls(**stores_zookeeper.options(library.package, self.url), **options)
        if kind == "mongodb":
            return cls(**stores_mongodb.options(library.ours, self.url), **options)
        if kind == "redis":
            parts = urlsplit(self.url)
            return cls(db=int(parts.path.strip("/") or 0), host=parts.hostname, port=parts.port, **options)
        if self.kind == "sqlite" and not library.ours:
            return cls(engine=sqlite_engine(Path(self.url), durable=True))
        return cls(url=f"sqlite:///{self.url}" if self.kind == "sqlite" else self.url, **options)

    def prepare(self) -> None:
        """Give a server what tests do without: the memory and the log that it has as it is installed."""
        if self.kind == "mariadb":
            with self.mariadb() as connection, connection.cursor() as cursor:
                cursor.execute("SET GLOBAL innodb_buffer_pool_size = 128 * 1024 * 1024")
                cursor.execute("SET GLOBAL innodb_log_file_size = 96 * 1024 * 1024")

    def clear(self) -> None:
        """Have it empty, and at rest: what filled it, or was measured before, is not to be paid for by what is measured now."""
        if self.kind == "sqlite":
            for suffix in ("", "-wal", "-shm", "-journal"):
                Path(self.url + suffix).unlink(missing_ok=True)
        elif self.kind == "redis":
            with self.redis() as client:
                client.flushall()
        elif self.kind == "mongodb":
            stores_mongodb.clear(self.url)
        elif self.kind == "zookeeper":
            stores_zookeeper.clear(self.url)
        elif self.kind == "postgresql":
            with self.postgresql() as connection:
                connection.execute("DROP SCHEMA public CASCADE")
                connection.execute("CREATE SCHEMA public")
        elif self.kind == "mariadb":
            with self.mariadb() as connection, connection.cursor() as cursor:
                cursor.execute("SHOW FULL TABLES")
                for name, _ in cursor.fetchall():
                    cursor.execute(f"DROP TABLE `{name}`")
        self.settle()

    def settle(self) -> None:
        """Have the server write now what it would write at some time in the middle of a measurement."""
        if self.kind == "postgresql":
            with self.postgresql() as connection:
                connection.execute("CHECKPOINT")

    def server_version(self) -> str:
        """What the server says of itself."""
        if self.kind == "postgresql":
            with self.postgresql() as connection:
                return f"PostgreSQL {connection.execute('SHOW server_version').fetchone()[0]}"
        if self.kind == "mariadb":
            with self.mariadb() as connection:
                return str(connection.get_server_info())
        if self.kind == "redis":
            with self.redis() as client:
                return f"Redis {client.info('server')['redis_version']}"
        if self.kind == "mongodb":
            return stores_mongodb.server_version(self.url)
        if self.kind == "zookeeper":
            return stores_zookeeper.server_version(self.url)
        return f"SQLite {sqlite3.sqlite_version}"

    @contextmanager
    def postgresql(self) -> Iterator[Any]:
        """A connection of the bare driver, which commits every statement."""
        psycopg = importlib.import_module("psycopg")
        with psycopg.connect(self.url.replace("+psycopg", "", 1), autocommit=True) as connection:
            yield connection

    @contextmanager
    def mariadb(self) -> Iterator[Any]:
        """The same of PyMySQL."""
        parts = urlsplit(self.url)
        with importlib.import_module("pymysql").connect(
            host=parts.hostname,
            port=parts.port,
            user=parts.username or "root",
            password=parts.password or "",
            database=parts.path.strip("/").split("?")[0],
            autocommit=True,
        ) as connection:
            yield connection

    @contextmanager
    def redis(self) -> Iterator[Any]:
        """A client of redis-py."""
        client = importlib.import_module("redis").Redis.from_url(self.url)
        try:
            yield client
        finally:
            client.close()


# --- what a server spends ------------------------------------------------------------------------------------------------


def server_cpu(port: int) -> float:
    """Seconds of CPU that the server behind a port of this machine has used, with all its processes; 0 if there is none."""
    if not port:
        return 0.0
    processes = dict(_processes())
    listening = _listening_sockets(port)
    server = {pid for pid in processes if listening & _sockets(pid)}
    found = 0
    for pid, (_, ticks) in processes.items():
        ancestor = pid
        while ancestor not in server and ancestor in processes:
            ancestor = processes[ancestor][0]
        if ancestor in server:
            found += ticks
    return found / os.sysconf("SC_CLK_TCK")


def _processes() -> Iterator[tuple[int, tuple[int, int]]]:
    """Process ids, each with its parent and the ticks that it and those of its children that have ended have used."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # The program's name is in parentheses, and may contain some.
                values = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has ended meanwhile
            yield int(entry.name), (int(values[1]), sum(map(int, values[11:15])))


def _listening_sockets(port: int) -> set[str]:
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    rows = [line.split() for line in lines]
    return {f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and row[1].endswith(f":{port:04X}")}


def _sockets(pid: int) -> set[str]:
    found = set()
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            found.add(os.readlink(entry))
    except OSError:
        pass  # it has ended, or is somebody else's
    return found


# --- how often it is asked -----------------------------------------------------------------------------------------------


class RoundTrips:
    """A port that passes on to a server, and counts: what is sent after something was received begins one more round trip."""

    def __init__(self, port: int) -> None:
        self.count = 0
        self._server = port
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            server = socket.create_connection(("127.0.0.1", self._server))
            answered = threading.Event()
            answered.set()
            for sockets in ((client, server), (server, client)):
                for end in sockets:
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._pass_on, args=(client, server, answered, True), daemon=True).start()
            threading.Thread(
                target=self._pass_on, args=(server, client, answered, False), daemon=True
            ).start()

    def _pass_on(self, source: Any, target: Any, answered: threading.Event, question: bool) -> None:
        try:
            while data := source.recv(65_536):
                if not question:
                    answered.set()
                elif answered.is_set():
                    answered.clear()
                    with self._lock:
                        self.count += 1
                target.sendall(data)
        except OSError:
            pass  # one side is gone, and then so is the other
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
