"""The machine over each kind of store."""

from __future__ import annotations

from typing import ClassVar
from uuid import uuid4

import pymongo
import redis
import sqlalchemy as sa
from mainspring.jobstores.base import BaseJobStore
from mainspring.jobstores.memory import MemoryJobStore
from mainspring.jobstores.mongodb import MongoDBJobStore
from mainspring.jobstores.redis import RedisJobStore
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.jobstores.zookeeper import ZooKeeperJobStore

from tests.jobstores.zookeeper_stores import connected
from tests.model.machine import SchedulerMachine


class MemoryMachine(SchedulerMachine):
    """Over the memory store."""

    shared = False

    def make_store(self) -> BaseJobStore:
        return MemoryJobStore()


class SQLiteMachine(SchedulerMachine):
    """Over a file; without waiting for the disk, which is not what is tested."""

    shared = True

    def make_store(self) -> BaseJobStore:
        return SQLAlchemyJobStore(url=f"sqlite:///{self.folder / 'jobs.sqlite'}", synchronous="NORMAL")


class ServerMachine(SchedulerMachine):
    """Over a server that the tests have started; `url` is set by the test."""

    shared = True
    url: ClassVar[str]


class SQLServerMachine(ServerMachine):
    """Over tables of its own in an SQL server's database."""

    def make_store(self) -> BaseJobStore:
        self.metadata = sa.MetaData()
        return SQLAlchemyJobStore(url=self.url, tablename=f"model_{uuid4().hex[:12]}", metadata=self.metadata)

    def forget_store(self) -> None:
        engine = sa.create_engine(self.url)
        self.metadata.drop_all(engine)
        engine.dispose()


class PostgreSQLMachine(SQLServerMachine):
    """Over PostgreSQL."""


class MariaDBMachine(SQLServerMachine):
    """Over MariaDB."""


class RedisMachine(ServerMachine):
    """Over Redis, with keys of its own."""

    def make_store(self) -> BaseJobStore:
        self.prefix = f"{{model-{uuid4().hex[:12]}}}"
        return RedisJobStore(jobs_key=f"{self.prefix}.jobs", client=redis.Redis.from_url(self.url))

    def forget_store(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            left = [*client.scan_iter(f"{self.prefix}*")]
            if left:
                client.delete(*left)


class MongoDBMachine(ServerMachine):
    """Over MongoDB, with a collection of its own."""

    def make_store(self) -> BaseJobStore:
        self.collection = f"model {uuid4().hex[:12]}"
        return MongoDBJobStore(collection=self.collection, url=self.url)

    def forget_store(self) -> None:
        client: pymongo.MongoClient[dict[str, object]] = pymongo.MongoClient(self.url)
        with client:
            client["mainspring"].drop_collection(self.collection)


class ZooKeeperMachine(ServerMachine):
    """Over ZooKeeper, with a path of its own."""

    def make_store(self) -> BaseJobStore:
        self.path = f"/model-{uuid4().hex[:12]}"
        return ZooKeeperJobStore(self.path, hosts=self.url)

    def forget_store(self) -> None:
        with connected(self.url) as client:
            client.delete(self.path, recursive=True)
