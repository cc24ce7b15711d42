"""The fixtures of the store contract: stores that are started as the engine starts them."""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest
from mainspring.jobstores.base import BaseJobStore
from mainspring.jobstores.owner import Owner

from tests.jobstores.driving import LEASE, StubScheduler

NewStore: TypeAlias = Callable[[], BaseJobStore]
OpenStore: TypeAlias = Callable[[], Any]
"""Makes a store object on the test's storage, with an owner of its own, and starts it: what another scheduler has of the store."""


class StoreFixtures:
    """Base of the parts of the contract. A test file brings the fixture `new_store` (NewStore)."""

    @pytest.fixture
    def scheduler(self) -> StubScheduler:
        return StubScheduler()

    @pytest.fixture
    def open_store(self, new_store: NewStore, scheduler: StubScheduler) -> Iterator[OpenStore]:
        opened: list[BaseJobStore] = []

        def open_store() -> BaseJobStore:
            store = new_store()
            store.own(Owner(), LEASE)
            store.start(scheduler, "default")
            opened.append(store)
            return store

        yield open_store
        for store in opened:
            store.shutdown()

    @pytest.fixture
    def store(self, open_store: OpenStore) -> Any:
        return open_store()
