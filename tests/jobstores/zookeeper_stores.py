"""Stores on a ZooKeeper for tests."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from kazoo.client import KazooClient
from mainspring.jobstores.record import Record, Wanted
from mainspring.jobstores.recordstore import Choice, Won
from mainspring.jobstores.zookeeper import ZooKeeperJobStore


class AttentiveStore(ZooKeeperJobStore):
    """One that waits, before it looks, for what the server has to tell it, as a clock that stands still in a test gives it no time for that."""

    def _claim(self, now: int, wanted: Wanted, choose: Callable[[Record], Choice], stamp: str) -> Won:
        catch_up(self)
        return super()._claim(now, wanted, choose, stamp)

    def _expired(self, now: int) -> list[str]:
        catch_up(self)
        return super()._expired(now)

    def overdue_executors(self, now: int) -> set[str]:
        catch_up(self)
        return super().overdue_executors(now)


def catch_up(store: ZooKeeperJobStore) -> None:
    """Wait until all watches have fired that are to fire for what has been written so far."""
    store._link.catch_up(
        store._paths.path
    )  # watches come before the answer, and are handed to a thread of their own
    told = threading.Event()
    store._link.client().handler.callback_queue.put(told.set)
    assert told.wait(10)
    store._view.refresh(own=True)


@contextmanager
def connected(hosts: str, **settings: Any) -> Iterator[Any]:
    """A client of the tests' own."""
    client = KazooClient(hosts, **settings)
    client.start(10)
    try:
        yield client
    finally:
        client.stop()
        client.close()


def started(store: ZooKeeperJobStore) -> ZooKeeperJobStore:
    store.start(None, "default")
    return store
