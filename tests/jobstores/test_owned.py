"""A store written for APScheduler's contract alone: the parts of the contract that apply, answered by the base class."""

import copy
from datetime import datetime
from typing import Any

import pytest
from mainspring.jobstores.base import BaseJobStore, ConflictingIdError, JobLookupError
from mainspring.jobstores.job import Job

from tests.jobstores.contract import OwnedJobStoreContract
from tests.jobstores.contract_base import NewStore


class StateStore(BaseJobStore):
    """The ten methods of APScheduler's contract over a dict of job states, and nothing of the engine's."""

    def __init__(self) -> None:
        self.states: dict[str, dict[str, Any]] = {}

    def lookup_job(self, job_id: str) -> Job | None:
        state = self.states.get(job_id)
        return None if state is None else self._job(state)

    def get_due_jobs(self, now: datetime) -> list[Job]:
        return [
            job for job in self.get_all_jobs() if job.next_run_time is not None and job.next_run_time <= now
        ]

    def get_next_run_time(self) -> datetime | None:
        return next((job.next_run_time for job in self.get_all_jobs()), None)

    def get_all_jobs(self) -> list[Job]:
        jobs = [self._job(state) for state in list(self.states.values())]
        jobs.sort(key=lambda job: job.next_run_time.timestamp() if job.next_run_time else 0)
        self._fix_paused_jobs_sorting(jobs)
        return jobs

    def add_job(self, job: Job) -> None:
        if job.id in self.states:
            raise ConflictingIdError(job.id)
        self.states[job.id] = copy.deepcopy(job.__getstate__())

    def update_job(self, job: Job) -> None:
        if job.id not in self.states:
            raise JobLookupError(job.id)
        self.states[job.id] = copy.deepcopy(job.__getstate__())

    def remove_job(self, job_id: str) -> None:
        if self.states.pop(job_id, None) is None:
            raise JobLookupError(job_id)

    def remove_all_jobs(self) -> None:
        self.states.clear()

    def _job(self, state: dict[str, Any]) -> Job:
        job = Job.__new__(Job)
        job.__setstate__(copy.deepcopy(state))
        job._scheduler, job._jobstore_alias = self._scheduler, self._alias
        return job


class TestStoreOfAPSchedulersContract(OwnedJobStoreContract):
    @pytest.fixture
    def new_store(self) -> NewStore:
        return StateStore
