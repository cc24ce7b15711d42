"""ZooKeeper for stores.py: how each library opens a store there, how it is emptied, and the writes of a burst by the bare driver."""

import importlib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

TOGETHER = 24
"""So many records of ours go into a transaction."""

Row = tuple[Any, ...]


@contextmanager
def client(url: str) -> Iterator[Any]:
    """A client of kazoo."""
    client = importlib.import_module("kazoo.client").KazooClient(hosts(url))
    client.start()
    try:
        yield client
    finally:
        client.stop()
        client.close()


def hosts(url: str) -> str:
    """`zookeeper://HOST:PORT` as kazoo takes it."""
    return url.removeprefix("zookeeper://")


def options(package: str, url: str) -> dict[str, Any]:
    return {"path": f"/{package}", "hosts": hosts(url)}


def clear(url: str) -> None:
    with client(url) as zookeeper:
        for name in zookeeper.get_children("/"):
            if name != "zookeeper":
                zookeeper.delete(f"/{name}", recursive=True)


def server_version(url: str) -> str:
    with client(url) as zookeeper:
        told = zookeeper.command(b"srvr")
    # Where it does not answer such questions, it answers why.
    return told.splitlines()[0] if told.startswith("Zookeeper version") else "ZooKeeper"


def driver(url: str) -> Generator[tuple[list[Row], Callable[[Sequence[str], Sequence[Row]], None]]]:
    """A node for each record, and one whose name has the next time, in folders of its own: as many to a transaction as ours has."""
    line, payload = b"x" * 400, b"x" * 400

    def write(columns: Sequence[str], rows: Sequence[Row]) -> None:
        futures = []
        for first in range(0, len(rows), TOGETHER):
            transaction = zookeeper.transaction()
            for row in rows[first : first + TOGETHER]:
                key, writes = row[-2], written[row[-2]]
                written[key] += 1
                transaction.set_data(f"/bare/records/{key}", line, writes)
                transaction.delete(f"/bare/index/{key}.{writes}")
                transaction.create(f"/bare/index/{key}.{writes + 1}")
            futures.append(transaction.commit_async())
        for future in futures:
            if any(isinstance(answer, Exception) for answer in future.get(timeout=60)):
                raise AssertionError("a transaction was refused")

    with client(url) as zookeeper:
        for folder in ("records", "payloads", "index"):
            zookeeper.ensure_path(f"/bare/{folder}")
        written = {f"job{number}": 0 for number in range(5_000)}
        futures = []
        for key in written:
            transaction = zookeeper.transaction()
            transaction.create(f"/bare/records/{key}", line)
            transaction.create(f"/bare/payloads/{key}", payload)
            transaction.create(f"/bare/index/{key}.0")
            futures.append(transaction.commit_async())
        for future in futures:
            future.get(timeout=60)
        yield [(key, "") for key in written], write
