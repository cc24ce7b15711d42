"""Where records are written past all stores, as somebody would who has the right to write: one small class for each kind of store."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mainspring.jobstores.base import BaseJobStore

from tests.hostile.corpus import Hostile
from tests.hostile.payloads import NOW

Row = dict[str, Any]


def row_of(record: Hostile) -> Row:
    """The plain fields of a job that is due, and those in which this one differs."""
    return {
        "id": record.id,
        "incarnation": 5,
        "executor": "default",
        "wake_at": NOW,
        "next_run_time": NOW,
        "fire_time": NOW,
        "state": "active",
        "runs": None,
        "lease_at": None,
        "revision": 7,
        "stamp": "somebody.1",
        "payload": record.payload,
        "reason": None,
        "forgotten": 0,
        "version": 1,
    } | dict(record.changed)


class Storage(ABC):
    """A place of one test's own, named by `place`: a table, or the beginning of keys."""

    untyped = False
    """Whether any type may be written into any plain field."""
    lines = False
    """Whether the plain fields are kept as one text."""
    largest = 5 << 20
    """Bytes of a payload that is written."""

    def __init__(self, url: str, place: str) -> None:
        self.url = url
        self.place = place

    @abstractmethod
    def store(self, **options: Any) -> BaseJobStore:
        """A job store there."""

    @abstractmethod
    def write(self, records: Iterable[Hostile]) -> set[str]:
        """Write records; answers the ids of those that the server has taken."""

    @abstractmethod
    def clear(self) -> None:
        """Leave nothing behind."""


class SqlStorage(Storage):
    mark = "%s"
    refusals: tuple[type[Exception], ...] = ()

    def store(self, **options: Any) -> BaseJobStore:
        from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore

        return SQLAlchemyJobStore(self.url, tablename=self.place, **options)

    @abstractmethod
    def connection(self) -> Any:
        """A connection of the driver's, which commits each statement."""

    def begin(self, cursor: Any) -> None:
        cursor.execute("BEGIN")

    def write(self, records: Iterable[Hostile]) -> set[str]:
        rows = [(record, tuple(row_of(record).values())) for record in records]
        names = [*row_of(rows[0][0])]
        statement = (
            f"INSERT INTO {self.place} ({', '.join(names)}) VALUES ({', '.join([self.mark] * len(names))})"
        )
        connection = self.connection()
        cursor = connection.cursor()
        self.begin(cursor)
        usual = [values for record, values in rows if not record.changed]
        for first in range(0, len(usual), 500):
            cursor.executemany(statement, usual[first : first + 500])
        cursor.execute("COMMIT")
        taken = {record.id for record, _ in rows}
        for record, values in rows:
            if record.changed:
                try:
                    cursor.execute(statement, values)
                except self.refusals:
                    taken.discard(record.id)
        connection.close()
        return taken

    def clear(self) -> None:
        connection = self.connection()
        for table in (self.place, f"{self.place}_schema"):
            connection.cursor().execute(f"DROP TABLE IF EXISTS {table}")
        connection.close()


class SQLite(SqlStorage):
    mark = "?"
    untyped = True
    largest = 80 << 20

    def connection(self) -> Any:
        import sqlite3

        return sqlite3.connect(self.url.removeprefix("sqlite:///"), isolation_level=None)

    def write(self, records: Iterable[Hostile]) -> set[str]:
        rows = [*records]
        taken = super().write(rows)
        connection = self.connection()
        # What SQLite calls text may be any bytes.
        ids = [record.id for record in rows if record.kind == "types"]
        for job_id, column in zip(ids, ("executor", "state", "runs", "reason"), strict=False):
            connection.execute(
                f"UPDATE {self.place} SET {column} = CAST(x'ff' AS TEXT) WHERE id = ?", (job_id,)
            )
        connection.close()
        return taken


class PostgreSQL(SqlStorage):
    def connection(self) -> Any:
        import psycopg

        self.refusals = (psycopg.Error, ValueError)
        return psycopg.connect(self.url.replace("+psycopg", ""), autocommit=True)


class MariaDB(SqlStorage):
    def connection(self) -> Any:
        import pymysql
        import sqlalchemy

        self.refusals = (pymysql.Error, UnicodeError)
        url = sqlalchemy.make_url(self.url)
        return pymysql.connect(
            host=url.host or "",
            port=url.port or 0,
            user=url.username,
            password=url.password or "",
            database=url.database,
            autocommit=True,
        )


class Redis(Storage):
    lines = True
    largest = 80 << 20

    def store(self, **options: Any) -> BaseJobStore:
        from mainspring.jobstores.redis import RedisJobStore

        return RedisJobStore(url=self.url, jobs_key=self.place, **options)

    def client(self) -> Any:
        import redis

        return redis.Redis.from_url(self.url)

    def write(self, records: Iterable[Hostile]) -> set[str]:
        taken = set()
        with self.client() as client:
            pipe = client.pipeline(transaction=False)
            for record in records:
                row = row_of(record)
                pipe.hset(
                    f"{{{self.place}}}.records",
                    record.id,
                    line_of(row) if record.text is None else record.text,
                )
                pipe.hset(f"{{{self.place}}}.payloads", record.id, record.payload)
                pipe.zadd(f"{{{self.place}}}.due:{row['executor']}", {record.id: NOW})
                taken.add(record.id)
            pipe.execute()
        return taken

    def clear(self) -> None:
        with self.client() as client:
            for key in client.scan_iter(f"{{{self.place}}}.*"):
                client.unlink(key)


class MongoDB(Storage):
    untyped = True

    def store(self, **options: Any) -> BaseJobStore:
        from mainspring.jobstores.mongodb import MongoDBJobStore

        return MongoDBJobStore(collection=self.place, url=self.url, **options)

    def client(self) -> Any:
        import pymongo

        return pymongo.MongoClient(self.url)

    def write(self, records: Iterable[Hostile]) -> set[str]:
        from bson.int64 import Int64

        documents = []
        for record in records:
            row = row_of(record)
            del row["lease_at"]
            document = {name: Int64(value) if type(value) is int else value for name, value in row.items()}
            documents.append({"_id": document.pop("id"), **document})
        with self.client() as client:
            client["mainspring"][self.place].insert_many(documents, ordered=False)
        return {str(document["_id"]) for document in documents}

    def clear(self) -> None:
        with self.client() as client:
            client["mainspring"].drop_collection(self.place)


class ZooKeeper(Storage):
    lines = True
    largest = 900_000

    def store(self, **options: Any) -> BaseJobStore:
        from mainspring.jobstores.zookeeper import ZooKeeperJobStore

        return ZooKeeperJobStore(f"/{self.place}", hosts=self.url, **options)

    @contextmanager
    def client(self) -> Iterator[Any]:
        from kazoo.client import KazooClient

        client = KazooClient(self.url)
        client.start(10)
        try:
            yield client
        finally:
            client.stop()
            client.close()

    def write(self, records: Iterable[Hostile]) -> set[str]:
        from mainspring.jobstores.zookeeper.layout import Layout, encoded_alias, name_of

        paths, taken, answers = Layout(f"/{self.place}"), set(), []
        with self.client() as client:
            for record in records:
                row, name = row_of(record), name_of(record.id)
                line = line_of(row) if record.text is None else record.text
                if len(line) > self.largest:
                    continue  # the server closes the connection
                entry = f"{NOW:018d}.-.{encoded_alias(row['executor'])}.{name}.{row['revision']:016x}"
                answers.append(client.create_async(paths.record(name), record.id.encode() + b"\n" + line))
                answers.append(client.create_async(paths.payload(name), record.payload))
                answers.append(client.create_async(paths.entry(entry), b""))
                taken.add(record.id)
            for answer in answers:
                answer.get(30)
        return taken

    def clear(self) -> None:
        # One by one it would take a minute.
        with self.client() as client:
            buckets = [
                f"/{self.place}/{kind}/{bucket}"
                for kind in ("records", "payloads", "index")
                for bucket in client.get_children(f"/{self.place}/{kind}")
            ]
            names = [client.get_children_async(bucket) for bucket in buckets]
            gone = [
                client.delete_async(f"{bucket}/{name}")
                for bucket, found in zip(buckets, names, strict=True)
                for name in found.get(30)
            ]
            for answer in gone:
                answer.wait(30)
            client.delete(f"/{self.place}", recursive=True)


def line_of(row: Mapping[str, Any]) -> bytes:
    """The plain fields as `jobstores/redis/codec.py` writes them."""
    names = (
        "stamp",
        "state",
        "executor",
        "wake_at",
        "next_run_time",
        "fire_time",
        "incarnation",
        "revision",
        "version",
        "forgotten",
        "reason",
        "runs",
    )
    return "\t".join("" if row[name] is None else str(row[name]) for name in names).encode(
        "utf-8", "surrogatepass"
    )


STORAGES: dict[str, type[Storage]] = {
    "sqlite": SQLite,
    "postgresql": PostgreSQL,
    "mariadb": MariaDB,
    "redis": Redis,
    "mongodb": MongoDB,
    "zookeeper": ZooKeeper,
}
