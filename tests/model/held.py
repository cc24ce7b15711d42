"""What the model test's scheduler runs: a function that notes its calls, and an executor that holds runs until they are released."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mainspring.executors import current_run
from mainspring.executors.base import DirectExecutor, Ticket
from mainspring.executors.submission import Submission

called: Callable[[str, int], object] = print
"""Called with the id and the tag of each job that runs; set by the machine that is running."""


class Failed(Exception):
    """What a job raises that is to fail."""


def work(job_id: str, tag: int, fails: int) -> int:
    """The function of all jobs; so many attempts of each run fail. Stored by its name, so it stands in a module."""
    called(job_id, tag)
    run = current_run()
    assert run is not None
    assert run.job_id == job_id
    if run.attempt <= fails:
        raise Failed(tag)
    return tag


class HoldingExecutor(DirectExecutor):
    """Begins a run when it is told to: so runs overlap, wait, and are overtaken by edits, in virtual time."""

    def _prepare(self) -> None:
        super()._prepare()
        self.held: list[Submission] = []

    def _submit(self, submission: Submission) -> None:
        self.held.append(submission)

    def release(self, job_id: str, place: int) -> None:
        """Begin, and end, the run that stands at that place among those of a job."""
        of_job = [submission for submission in self.held if submission.job.id == job_id]
        self.held.remove(of_job[place])
        self._perform(of_job[place])

    def waiting(self) -> int:
        return len(self.held)

    def withdraw(self) -> list[Ticket]:
        withdrawn, self.held = self.held, []
        for submission in withdrawn:
            self._give_back(submission)
        return [submission.ticket for submission in withdrawn if submission.ticket is not None]

    def shutdown(self, wait: bool = True) -> None:
        super().shutdown(wait)
        while wait and self.held:
            self._perform(self.held.pop(0))

    def _do_submit_job(self, job: Any, run_times: Any) -> None:
        raise AssertionError("submissions come whole")
