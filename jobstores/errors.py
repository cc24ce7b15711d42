"""The errors of job stores; `mainspring.jobstores.base` exports them."""

from __future__ import annotations


class JobLookupError(KeyError):
    """There is no job of that id in the store, or the handle is of an earlier job that had the same id."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"No job by the id of {job_id} was found")
        self.job_id = job_id

    def __str__(self) -> str:
        return str(self.args[0])


class ConflictingIdError(KeyError):
    """The id of a job that is added is already taken."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"Job identifier ({job_id}) conflicts with an existing job")
        self.job_id = job_id

    def __str__(self) -> str:
        return str(self.args[0])


class TransientJobError(ValueError):
    """The job's function has no reference by which another process could find it, so only a memory store can keep it."""

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"Job ({job_id}) cannot be added to this job store because a reference to the callable could not be determined; "
            "use a function defined at the top level of a module, give it as text ('package.module:function'), or a memory job store"
        )
        self.job_id = job_id


class StaleJobError(RuntimeError):
    """`update_job` was given a job that somebody else has changed since it was read. Read it again and repeat the change."""

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"Job ({job_id}) was changed by somebody else since it was read; read it again and repeat the change"
        )
        self.job_id = job_id


class JobStoreError(RuntimeError):
    """The store cannot be reached, or failed; `__cause__` is the driver's error."""


class JobRestoreError(ValueError):
    """This process cannot make the job of a record: its function, arguments or trigger do not come back."""
