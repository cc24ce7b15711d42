"""A process that imports a file into a store that others share, and may be killed at one of its writes; run by `test_processes.py`."""

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from mainspring.jobstores.base import JobStoreError
from mainspring.jobstores.recordstore import RecordJobStore
from mainspring.jobstores.transfer import ConflictingIdsError, storage
from mainspring.scheduler.background import BackgroundScheduler

from tests.cluster.stores import SharedStore


def killed_at(store: RecordJobStore, number: int) -> None:
    """Have this process killed before the n-th write of a store, the first being 0."""
    left = [number]

    def deadly(write: Callable[..., Any]) -> Callable[..., Any]:
        def written(*arguments: Any) -> Any:
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return write(*arguments)

        return written

    for name in ("insert", "_apply"):
        setattr(store, name, deadly(getattr(store, name)))


def main(shared: SharedStore, file: str, number: int | None) -> None:
    storage.BATCH = 5  # type: ignore[misc]
    store = shared.open()
    scheduler = BackgroundScheduler(jobstores={"default": store}, timezone="UTC")
    scheduler.start(paused=True)
    # Its own recovery writes nothing here: it has no leases.
    print("ready", flush=True)
    sys.stdin.readline()
    if number is not None:
        killed_at(store, number)
    try:
        print(scheduler.import_jobs(file).imported, flush=True)
    except (ConflictingIdsError, JobStoreError) as exc:
        print(type(exc).__name__, flush=True)
    finally:
        scheduler.shutdown()


if __name__ == "__main__":
    options = json.loads(sys.argv[1])
    main(SharedStore(**options["store"]), options["file"], options["number"])
