"""Jobs that are not there: every method by id says so with the same error, whether it is the job or the store that is missing."""

from collections.abc import Callable
from typing import Any

import pytest
from mainspring.jobstores.base import JobLookupError
from mainspring.scheduler.base import BaseScheduler

from tests.scheduler.watching import nothing, virtual

BY_ID: dict[str, Callable[..., Any]] = {
    "modify": lambda scheduler, *where: scheduler.modify_job(*where, name="other"),
    "reschedule": lambda scheduler, *where: scheduler.reschedule_job(*where, trigger="interval", hours=2),
    "pause": BaseScheduler.pause_job,
    "resume": BaseScheduler.resume_job,
    "remove": BaseScheduler.remove_job,
}


@pytest.mark.parametrize("method", BY_ID.values(), ids=BY_ID)
@pytest.mark.parametrize("where", [("missing",), ("missing", "default"), ("x", "nowhere")])
@pytest.mark.parametrize("is_started", [True, False])
def test_a_job_or_a_store_that_is_not_there(
    method: Callable[..., Any], where: tuple[str, ...], is_started: bool
) -> None:
    scheduler = virtual()
    scheduler.add_job(nothing, "interval", hours=1, id="x")
    if is_started:
        scheduler.start()
    with pytest.raises(JobLookupError, match=f"No job by the id of {where[0]} was found"):
        method(scheduler, *where)
    assert scheduler.get_job(*where) is None
    assert [job.id for job in scheduler.get_jobs()] == ["x"]


def test_a_handle_of_a_job_whose_store_was_removed() -> None:
    scheduler = virtual()
    scheduler.start()
    scheduler.add_jobstore("memory", "other")
    job = scheduler.add_job(nothing, "interval", hours=1, id="x", jobstore="other")
    scheduler.remove_jobstore("other")
    with pytest.raises(JobLookupError) as raised:
        job.pause()
    assert str(raised.value.__cause__) == "'No such job store: other'"
