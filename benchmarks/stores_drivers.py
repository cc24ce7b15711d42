"""The writes of a burst by the bare drivers: for each run a claim and an end, in batches of the sizes that ours had, as durable.

What a driver can do at best, with nothing decided: no schedule is computed, nothing is read, no function is called. The table is that
of ours (which has to be filled with ours before), the columns are those that a claim and an end of ours write.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from typing import Any

from . import stores_mongodb, stores_zookeeper
from .stores_backends import Backend

TABLE = "mainspring_jobs"
CLAIM = ("wake_at", "next_run_time", "fire_time", "state", "runs", "stamp", "reason", "forgotten", "lease_at")
END = ("wake_at", "runs", "stamp", "lease_at")
NOW = 1_800_000_000_000_000
RUNS = json.dumps(
    [
        {
            "run": str(2**62 + 1),
            "kind": "schedule",
            "fire_times": [NOW],
            "due": NOW,
            "attempt": 1,
            "state": "claimed",
            "owner": "a-host.with-a-name:12345:1234567:abcdefgh",
            "lease_until": NOW,
            "claimed_at": NOW,
            "recovery": "skip",
        }
    ]
)
"""As long as what a claim writes."""

Row = tuple[Any, ...]
Write = Callable[[Sequence[str], Sequence[Row]], None]
"""Write these columns, and after them the ids and the stamps that were seen: one commit."""
Opened = Generator[tuple[list[Row], Write]]
"""The rows (id, stamp), and what writes them; once."""


def runs_per_second(backend: Backend, size: int, claims: int, ends: int) -> float:
    """Claim and end so many runs, in batches of these sizes."""
    with closing(_open(backend)) as opened:
        ids, write = next(opened)
        begin = time.perf_counter()
        ended = 0
        for claimed in range(0, size, claims):
            rows = ids[claimed : claimed + claims]
            write(
                CLAIM, [(NOW, NOW, NOW, "active", RUNS, "b:1", None, 0, NOW, key, seen) for key, seen in rows]
            )
            for first in range(ended, claimed + len(rows), ends):
                done = ids[first : min(first + ends, claimed + len(rows))]
                write(END, [(NOW, None, "b:2", None, key, "b:1") for key, _ in done])
            ended = claimed + len(rows)
        elapsed = time.perf_counter() - begin
    return size / elapsed


def _open(backend: Backend) -> Opened:
    openers: dict[str, Callable[[Backend], Opened]] = {
        "sqlite": _sqlite,
        "postgresql": _postgresql,
        "mariadb": _mariadb,
        "redis": _redis,
        "mongodb": lambda backend: stores_mongodb.driver(backend.url),
        "zookeeper": lambda backend: stores_zookeeper.driver(backend.url),
    }
    return openers[backend.kind](backend)


def _update(columns: Sequence[str], mark: str) -> str:
    values = ", ".join(f"{name} = {mark}" for name in columns)
    return f"UPDATE {TABLE} SET {values} WHERE id = {mark} AND stamp = {mark}"


def _checked(written: int, rows: Sequence[Row]) -> None:
    if written != len(rows):
        raise AssertionError(f"{written} of {len(rows)} rows were written")


def _sqlite(backend: Backend) -> Opened:
    connection = sqlite3.connect(backend.url, isolation_level=None)
    connection.execute("PRAGMA synchronous=FULL")

    def write(columns: Sequence[str], rows: Sequence[Row]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        _checked(connection.executemany(_update(columns, "?"), rows).rowcount, rows)
        connection.execute("COMMIT")

    yield connection.execute(f"SELECT id, stamp FROM {TABLE} ORDER BY seq").fetchall(), write
    connection.close()


def _postgresql(backend: Backend) -> Opened:
    """One UPDATE of all rows, from arrays, which is a round trip: executemany() would be a statement for each row."""
    types = {"state": "text", "runs": "text", "stamp": "text", "reason": "text", "forgotten": "int"}

    def write(columns: Sequence[str], rows: Sequence[Row]) -> None:
        arrays = ", ".join(f"%s::{types.get(name, 'bigint')}[]" for name in columns)
        values = ", ".join(f"{name} = new.{name}" for name in columns)
        names = ", ".join(columns)
        cursor = connection.execute(
            f"UPDATE {TABLE} AS old SET {values} FROM unnest({arrays}, %s::text[], %s::text[]) AS new({names}, id_, seen_) "
            "WHERE old.id = new.id_ AND old.stamp = new.seen_",
            [[*column] for column in zip(*rows, strict=True)],
        )
        _checked(cursor.rowcount, rows)

    with backend.postgresql() as connection:
        yield connection.execute(f"SELECT id, stamp FROM {TABLE} ORDER BY seq").fetchall(), write


def _mariadb(backend: Backend) -> Opened:
    """One UPDATE of all rows, joined to a JSON document: PyMySQL's executemany() would be a round trip for each row."""
    types = {
        "state": "varchar(16)",
        "runs": "text",
        "stamp": "varchar(64)",
        "reason": "text",
        "forgotten": "int",
    }

    def write(columns: Sequence[str], rows: Sequence[Row]) -> None:
        kinds = [types.get(name, "bigint") for name in columns] + ["varchar(255)", "varchar(64)"]
        fields = ", ".join(
            f"{name} {kind} PATH '$[{place}]'"
            for place, (name, kind) in enumerate(zip((*columns, "id_", "seen_"), kinds, strict=True))
        )
        values = ", ".join(f"old.{name} = new.{name}" for name in columns)
        _checked(
            cursor.execute(
                f"UPDATE {TABLE} AS old JOIN JSON_TABLE(%s, '$[*]' COLUMNS({fields})) AS new "
                f"ON old.id = new.id_ AND old.stamp = new.seen_ SET {values}",
                (json.dumps(rows),),
            ),
            rows,
        )

    with backend.mariadb() as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT id, stamp FROM {TABLE} ORDER BY seq")
        yield [*cursor.fetchall()], write


def _redis(backend: Backend) -> Opened:
    """A hash for each record and a sorted set of the next times, in keys of its own."""
    payload = "x" * 400

    def write(columns: Sequence[str], rows: Sequence[Row]) -> None:
        with client.pipeline(transaction=True) as pipeline:
            for *values, key, _ in rows:
                pipeline.hset(
                    f"bare:{key}",
                    mapping=dict(
                        zip(columns, ["" if value is None else value for value in values], strict=True)
                    ),
                )
                pipeline.zadd("bare", {key: values[0]})
            pipeline.execute()

    with backend.redis() as client:
        ids = [(f"job{number}", "") for number in range(20_000)]
        with client.pipeline(transaction=False) as pipeline:
            for key, _ in ids:
                pipeline.hset(f"bare:{key}", mapping={"payload": payload})
                pipeline.zadd("bare", {key: NOW - 1})
            pipeline.execute()
        yield ids, write
