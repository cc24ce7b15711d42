"""The errors of schedulers."""

from __future__ import annotations


class SchedulerAlreadyRunningError(Exception):
    """`start()` or `configure()` was called on a scheduler that runs."""

    def __init__(self) -> None:
        super().__init__("Scheduler is already running")


class SchedulerNotRunningError(Exception):
    """Something was asked that only a running scheduler can do."""

    def __init__(self) -> None:
        super().__init__("Scheduler is not running")


class ForkedSchedulerError(RuntimeError):
    """The copy of a running scheduler in a forked child was used: its threads and connections are the parent's."""

    def __init__(self) -> None:
        super().__init__(
            "This scheduler was started by the parent process; its threads did not come along with the fork, and its connections are not "
            "this process's. Call start() to run one here, too, or use it in the parent only"
        )


class TooManyRunsError(RuntimeError):
    """As many runs that were asked for wait already as a job may have."""

    def __init__(self, job_id: str, limit: int) -> None:
        super().__init__(
            f"{limit} runs of job {job_id!r} that were asked for wait already: for room (its max_instances), or for a scheduler that has its executor"
        )
        self.job_id = job_id
