"""The stores that several processes share in these tests: what names one, how a process opens it, and how it is brought to rest."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
from mainspring.jobstores.recordstore import RecordJobStore

from tests.jobstores.zookeeper_stores import connected
from tests.servers import MariaDB, MongoDB, PostgreSQL, Redis, Server, ZooKeeper

SERVERS: dict[str, type[Server]] = {
    "postgresql": PostgreSQL,
    "mariadb": MariaDB,
    "redis": Redis,
    "mongodb": MongoDB,
    "zookeeper": ZooKeeper,
}
KINDS = ("sqlite", *SERVERS)
TIMEOUT = 60.0  # seconds
POLL_INTERVAL = 0.2  # seconds


@dataclass(frozen=True)
class SharedStore:
    """One store, as text that goes from process to process."""

    kind: str
    url: str
    name: str
    """Of the table, or what the keys begin with: of this test alone, on a server that many share."""

    def open(self, poll_interval: float = POLL_INTERVAL) -> RecordJobStore:
        """The job store, for one scheduler."""
        if self.kind == "redis":
            from mainspring.jobstores.redis import RedisJobStore

            return RedisJobStore(url=self.url, jobs_key=self.name, poll_interval=poll_interval)
        if self.kind == "zookeeper":
            from mainspring.jobstores.zookeeper import ZooKeeperJobStore

            return ZooKeeperJobStore(f"/{self.name}", hosts=self.url, poll_interval=poll_interval)
        if self.kind == "mongodb":
            from mainspring.jobstores.mongodb import MongoDBJobStore

            return MongoDBJobStore(collection=self.name, url=self.url, poll_interval=poll_interval)
        from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore

        return SQLAlchemyJobStore(self.url, tablename=self.name, poll_interval=poll_interval)

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """Meanwhile nobody is in the middle of a write, and nobody can begin one.

        On Redis, MongoDB and ZooKeeper, where a record is written in one step and nobody holds a lock, there is nothing to wait for.
        """
        if self.kind == "sqlite":
            database = self.url.removeprefix("sqlite:///")
            with closing(sqlite3.connect(database, TIMEOUT, isolation_level=None)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                yield
                connection.execute("ROLLBACK")
        elif self.kind in ("redis", "mongodb", "zookeeper"):
            yield
        else:
            lock = {
                "postgresql": f"LOCK TABLE {self.name} IN EXCLUSIVE MODE",
                "mariadb": f"LOCK TABLES {self.name} WRITE",
            }
            with self._connection() as connection:
                connection.exec_driver_sql(lock[self.kind])
                yield

    def clear(self) -> None:
        """Leave nothing on the server."""
        if self.kind == "redis":
            import redis

            with redis.Redis.from_url(self.url) as client:
                for key in client.scan_iter(f"*{self.name}*", count=1_000):
                    client.unlink(key)
        elif self.kind == "zookeeper":
            with connected(self.url) as client:
                client.delete(f"/{self.name}", recursive=True)
        elif self.kind == "mongodb":
            import pymongo

            mongodb: Any = pymongo.MongoClient(self.url)
            with mongodb:
                mongodb["mainspring"].drop_collection(self.name)
        elif self.kind != "sqlite":  # whose file is in the test's own folder
            with self._connection() as connection:
                for table in sa.inspect(connection).get_table_names():
                    if table.startswith(self.name):
                        connection.exec_driver_sql(f"DROP TABLE {table}")
                connection.commit()

    @contextmanager
    def _connection(self) -> Iterator[sa.Connection]:
        engine = sa.create_engine(self.url, poolclass=sa.NullPool)
        with engine.connect() as connection:
            yield connection

    def options(self) -> dict[str, Any]:
        """As JSON takes it; back by `SharedStore(**options)`."""
        return asdict(self)
