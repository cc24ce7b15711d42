"""`ExplainMethods`: why a job did or did not run lately, and what comes next, as data and in words.

In `answering.py` the job is looked for, and its triggers are asked; `inquiry.py` and `runreasons.py` find the reasons, and `explanation.py` is the
answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..runs import RunMethods

if TYPE_CHECKING:
    from .explanation import JobExplanation


class ExplainMethods(RunMethods):
    """What `BaseScheduler` offers to people who look for a reason. Thread-safe."""

    def explain_job(self, job_id: str, jobstore: str | None = None) -> JobExplanation:
        """Why a job did or did not run lately, and what comes next, in words (`print(scheduler.explain_job("x"))`) and as data.

        Works for jobs that wait for the start of the scheduler, too, and for those that this process cannot restore. A store that does not answer is
        part of the explanation, and not raised; what a trigger of your own raises, likewise. Reads one record, and changes nothing.

        Raises `JobLookupError` if there is no such job, and this process remembers none (what it knows of runs is gone with it); KeyError if there is no
        such job store; `SchedulerNotRunningError` if the scheduler was not started, and the job does not wait for that.
        """
        # Not above: what finds the reasons takes milliseconds to load, and most programs never ask.
        from .answering import Answering

        return Answering(self).explain(job_id, jobstore)
