"""The file store with faults: each of its methods fails on request."""

from collections.abc import Callable
from typing import Any

from tests.thirdparty.file_store import FileJobStore


class FailingFileJobStore(FileJobStore):
    """Fails on request: before or after it has done what it was asked for."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.failing: dict[str, Callable[[Any], bool]] = {}
        self.afterwards = False

    def fail(self, method: str, which: Callable[[Any], bool] = lambda argument: True) -> None:
        self.failing[method] = which

    def _do(self, method: str, *arguments: Any) -> Any:
        which = self.failing.get(method)
        fails = which is not None and which(*arguments[:1] or (None,))
        if fails and not self.afterwards:
            raise OSError(f"{method}: disk on fire")
        answer = getattr(super(), method)(*arguments)
        if fails:
            raise OSError(f"{method}: disk on fire")
        return answer

    def lookup_job(self, job_id: str) -> Any:
        return self._do("lookup_job", job_id)

    def get_due_jobs(self, now: Any) -> Any:
        return self._do("get_due_jobs", now)

    def get_next_run_time(self) -> Any:
        return self._do("get_next_run_time")

    def get_all_jobs(self) -> Any:
        return self._do("get_all_jobs")

    def add_job(self, job: Any) -> None:
        self._do("add_job", job)

    def update_job(self, job: Any) -> None:
        self._do("update_job", job)

    def remove_job(self, job_id: str) -> None:
        self._do("remove_job", job_id)
