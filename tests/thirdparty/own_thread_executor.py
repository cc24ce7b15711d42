"""An executor as a third party wrote it for APScheduler 3: it runs all jobs in one thread of its own, through `run_job`.

Only the imports were changed (by the `sed` of docs/compatibility.md), and only what APScheduler's contract has is used.
"""

import sys
from collections import deque
from datetime import datetime
from threading import Condition, Thread
from typing import Any

from mainspring.executors.base import BaseExecutor, run_job


class OwnThreadExecutor(BaseExecutor):
    """Runs jobs one after the other in a thread that it starts with the scheduler."""

    def start(self, scheduler: Any, alias: str) -> None:
        super().start(scheduler, alias)
        self._condition = Condition(self._lock)
        self._queue: deque[tuple[Any, list[datetime]]] = deque()
        self._stopping = False
        self._thread = Thread(target=self._work, name=f"executor {alias}", daemon=True)
        self._thread.start()

    def shutdown(self, wait: bool = True) -> None:
        with self._condition:
            self._stopping = True
            self._condition.notify()
        if wait:
            self._thread.join()

    def _do_submit_job(self, job: Any, run_times: list[datetime]) -> None:
        with self._condition:
            self._queue.append((job, run_times))
            self._condition.notify()

    def _work(self) -> None:
        while True:
            with self._condition:
                while not self._queue:
                    if self._stopping:
                        return
                    self._condition.wait()
                job, run_times = self._queue.popleft()
            try:
                events = run_job(job, job._jobstore_alias, run_times, self._logger.name)
            except BaseException:
                self._logger.debug('Job "%s" broke on its way', job.id)
                self._run_job_error(job.id, *sys.exc_info()[1:])
            else:
                self._run_job_success(job.id, events)
