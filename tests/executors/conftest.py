"""What the tests of executors have in common: a process pool that is shut down behind the test."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from mainspring.executors.pool import ProcessPoolExecutor

from tests.executors.fakes import FakeScheduler


@pytest.fixture
def scheduler() -> FakeScheduler:
    return FakeScheduler()


@pytest.fixture
def start(scheduler: FakeScheduler) -> Iterator[Callable[..., ProcessPoolExecutor]]:
    executors: list[ProcessPoolExecutor] = []

    def start(max_workers: int = 1, **options: Any) -> ProcessPoolExecutor:
        executor = ProcessPoolExecutor(max_workers, options)
        executor.start(scheduler, "test")
        executors.append(executor)
        return executor

    yield start
    for executor in executors:
        executor.shutdown()
