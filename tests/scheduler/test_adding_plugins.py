"""Executors and job stores that are added one by one."""

import pytest
from mainspring.executors.debug import DebugExecutor
from mainspring.jobstores.memory import MemoryJobStore
from mainspring.scheduler.virtual import VirtualScheduler


def test_arguments_beside_something_that_is_made_already_are_refused() -> None:
    scheduler = VirtualScheduler()
    with pytest.raises(TypeError, match=r"'max_workers' was given beside .*DebugExecutor"):
        scheduler.add_executor(DebugExecutor(), "inline", max_workers=3)
    with pytest.raises(TypeError, match="'url' was given beside <MemoryJobStore>"):
        scheduler.add_jobstore(MemoryJobStore(), "memory", url="sqlite://")
    # Nothing was added, so that the aliases are still free.
    scheduler.add_executor("threadpool", "inline", max_workers=3)
    scheduler.add_jobstore("memory", "memory")
