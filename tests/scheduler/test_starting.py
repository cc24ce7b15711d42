"""What a start does and says, in which order."""

from mainspring.events import (
    EVENT_EXECUTOR_ADDED,
    EVENT_JOB_ADDED,
    EVENT_JOBSTORE_ADDED,
    EVENT_SCHEDULER_SHUTDOWN,
    EVENT_SCHEDULER_STARTED,
)
from mainspring.jobstores.memory import MemoryJobStore

from tests.scheduler.watching import Heard, nothing, virtual


def test_the_default_executor_and_store_are_announced_before_the_jobs_that_go_into_them() -> None:
    scheduler = virtual()
    heard = Heard(scheduler)
    scheduler.add_job(nothing, "interval", hours=1, id="x")
    scheduler.start()
    told = [(event.code, event.alias) for event in heard.events]
    assert told == [
        (EVENT_EXECUTOR_ADDED, "default"),
        (EVENT_JOBSTORE_ADDED, "default"),
        (EVENT_JOB_ADDED, None),
        (EVENT_SCHEDULER_STARTED, None),
    ]
    scheduler.shutdown()


def test_the_defaults_are_announced_once_and_only_if_the_start_has_added_them() -> None:
    scheduler = virtual(jobstores={"default": MemoryJobStore()})
    heard = Heard(scheduler)
    for _ in range(2):
        scheduler.start()
        scheduler.shutdown()
    assert heard.codes() == [
        EVENT_EXECUTOR_ADDED,
        *(2 * [EVENT_SCHEDULER_STARTED, EVENT_SCHEDULER_SHUTDOWN]),
    ]
