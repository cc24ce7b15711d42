"""Stores on a real PostgreSQL, in a table of the test's own, and what they send to the server."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, TypeAlias
from uuid import uuid4

import psycopg
import pytest
from mainspring.jobstores.owner import Owner
from mainspring.jobstores.sql.pgwire import Wire
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore

from tests.jobstores.driving import LEASE, StubScheduler

Open: TypeAlias = Callable[..., SQLAlchemyJobStore]
"""Makes a store on the test's table, with an owner of its own, and starts it."""

RAN: SimpleQueue[str] = SimpleQueue()
"""What jobs have noted."""


def note(what: str) -> None:
    """A job."""
    RAN.put(what)


def ask(url: str, statement: str) -> list[tuple[Any, ...]]:
    """What a connection of its own answers."""
    with psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


@contextmanager
def table_of_its_own(url: str) -> Iterator[str]:
    """The name of a table; it is dropped at the end."""
    name = f"jobs_{uuid4().hex}"
    yield name
    ask(url, f"DROP TABLE IF EXISTS {name}, {name}_schema")


@contextmanager
def stores(url: str, table: str) -> Iterator[Open]:
    """What opens stores, and shuts them down at the end."""
    opened = []

    def open_store(**options: Any) -> SQLAlchemyJobStore:
        store = SQLAlchemyJobStore(**({"url": url, "tablename": table} | options))
        store.own(Owner(), LEASE)
        opened.append(store)
        store.start(StubScheduler(), "default")
        return store

    yield open_store
    for store in opened:
        store.shutdown()


class Sent:
    """The round trips of all stores: the first words of the statements of each, prepared ones too."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._trips: list[list[str]] = []
        exchange = Wire.exchange

        def noted(wire: Wire, requests: Sequence[tuple[str, Sequence[Any]]], **options: Any) -> Any:
            self._trips.append([_word(sql) for sql, _ in requests])
            return exchange(wire, requests, **options)

        monkeypatch.setattr(Wire, "exchange", noted)

    def taken(self) -> list[list[str]]:
        """What has come since it was asked last."""
        taken, self._trips = self._trips, []
        return taken


def _word(sql: str) -> str:
    if sql.startswith("WITH written AS ("):
        return sql.split("(")[1].split()[0]
    if "pg_notify" in sql:
        return "NOTIFY"
    if "set_config" in sql:
        return "SET"
    return "SELECT FOR UPDATE" if "FOR UPDATE" in sql else sql.split()[0]
