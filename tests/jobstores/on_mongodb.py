"""Stores on MongoDB for tests: each test has a collection of its own, and whatever it opens is closed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pymongo
from mainspring.jobstores.mongodb import MongoDBJobStore
from mainspring.jobstores.owner import Owner

from tests.jobstores.driving import LEASE, StubScheduler

OpenStore = Callable[..., MongoDBJobStore]


class Place:
    """A collection on a server, and the stores that are open there."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.name = f"test {uuid4()}"
        self._opened: list[MongoDBJobStore] = []

    def made(self, url: str | None = None, **options: Any) -> MongoDBJobStore:
        """A store that is not started."""
        return MongoDBJobStore(collection=self.name, url=url or self.url, **options)

    def open(self, url: str | None = None, **options: Any) -> MongoDBJobStore:
        """What another scheduler has of the store."""
        return self.opened(self.made(url, **options))

    def opened(self, store: MongoDBJobStore) -> MongoDBJobStore:
        """The store, started."""
        store.own(Owner(), LEASE)
        store.start(StubScheduler(), "default")
        self._opened.append(store)
        return store

    @contextmanager
    def collection(self) -> Iterator[Any]:
        """What stands there."""
        client: Any = pymongo.MongoClient(self.url, serverSelectionTimeoutMS=5_000)
        with client:
            yield client["mainspring"][self.name]

    def documents(self) -> dict[Any, dict[str, Any]]:
        """The documents of jobs, staged ones included, by their ids."""
        with self.collection() as collection:
            found = {document["_id"]: document for document in collection.find()}
        return {name: each for name, each in found.items() if name != "\0layout"}

    def close(self) -> None:
        for store in self._opened:
            store.shutdown()


@contextmanager
def place_on(url: str) -> Iterator[Place]:
    """A collection on this server, which is gone afterwards."""
    place = Place(url)
    try:
        yield place
    finally:
        place.close()
        with place.collection() as collection:
            collection.drop()


def known(store: MongoDBJobStore) -> None:
    """Have the jobs restored, so that a claim is one step."""
    store.restore(store.read_all())
