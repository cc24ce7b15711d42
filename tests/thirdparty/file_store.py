"""A job store as a third party wrote it for APScheduler 3: a folder with one pickled job state in a file for each job.

Only the imports were changed (by the `sed` of docs/compatibility.md), and only what APScheduler's contract has is used. It restores each
job on every look, catches what it cannot restore, and knows nothing of records, runs or claims.
"""

import os
import pickle
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from mainspring.jobstores.base import BaseJobStore, ConflictingIdError, JobLookupError
from mainspring.jobstores.job import Job


class FileJobStore(BaseJobStore):
    """Stores jobs in the files of a folder, which is created on start."""

    def __init__(self, path: str, pickle_protocol: int = pickle.HIGHEST_PROTOCOL) -> None:
        super().__init__()
        self.path = path
        self.pickle_protocol = pickle_protocol

    def start(self, scheduler: Any, alias: str) -> None:
        super().start(scheduler, alias)
        os.makedirs(self.path, exist_ok=True)

    def lookup_job(self, job_id: str) -> Job | None:
        try:
            with open(self._filename(job_id), "rb") as file:
                return self._reconstitute_job(pickle.load(file))
        except FileNotFoundError:
            return None

    def get_due_jobs(self, now: datetime) -> list[Job]:
        return [job for job in self.get_all_jobs() if job.next_run_time and job.next_run_time <= now]

    def get_next_run_time(self) -> datetime | None:
        times = [job.next_run_time for job in self.get_all_jobs() if job.next_run_time]
        return min(times) if times else None

    def get_all_jobs(self) -> list[Job]:
        jobs = []
        for name in os.listdir(self.path):
            if not name.endswith(".job"):
                continue
            try:
                with open(os.path.join(self.path, name), "rb") as file:
                    jobs.append(self._reconstitute_job(pickle.load(file)))
            except FileNotFoundError:
                pass
            except BaseException:
                self._logger.exception('Unable to restore the job of file "%s"', name)
        paused_sort_key = datetime.min.replace(tzinfo=UTC)
        jobs.sort(key=lambda job: job.next_run_time or paused_sort_key)
        self._fix_paused_jobs_sorting(jobs)
        return jobs

    def add_job(self, job: Job) -> None:
        try:
            self._write(job, "xb")
        except FileExistsError:
            raise ConflictingIdError(job.id) from None

    def update_job(self, job: Job) -> None:
        if not os.path.exists(self._filename(job.id)):
            raise JobLookupError(job.id)
        self._write(job, "wb")

    def remove_job(self, job_id: str) -> None:
        try:
            os.remove(self._filename(job_id))
        except FileNotFoundError:
            raise JobLookupError(job_id) from None

    def remove_all_jobs(self) -> None:
        for name in os.listdir(self.path):
            os.remove(os.path.join(self.path, name))

    def _write(self, job: Job, mode: str) -> None:
        state = pickle.dumps(job.__getstate__(), self.pickle_protocol)
        filename = self._filename(job.id)
        if mode == "xb" and os.path.exists(filename):
            raise FileExistsError(filename)
        with open(filename + ".new", "wb") as file:
            file.write(state)
        os.replace(filename + ".new", filename)

    def _reconstitute_job(self, job_state: dict[str, Any]) -> Job:
        job = Job.__new__(Job)
        job.__setstate__(job_state)
        job._scheduler = self._scheduler
        job._jobstore_alias = self._alias
        return job

    def _filename(self, job_id: str) -> str:
        digest = urlsafe_b64encode(sha256(job_id.encode()).digest()).decode().rstrip("=")
        return os.path.join(self.path, digest + ".job")

    def __repr__(self) -> str:
        return f"<{self.__class__.__name__} (path={self.path})>"
