"""`Job` as a handle: what it asks of its scheduler, which one follows what, and that none reaches another job of its id."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from mainspring.jobstores.base import JobLookupError
from mainspring.jobstores.job import Job
from mainspring.jobstores.memory import MemoryJobStore
from mainspring.scheduler.background import BackgroundScheduler

from tests.jobstores.driving import at, insert, new_job
from tests.jobstores.samples import work


class Recording:
    """A scheduler that notes what a handle asks of it."""

    def __init__(self, answer: Job | None) -> None:
        self.answer = answer
        self.asked: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        def method(*arguments: Any) -> Any:
            self.asked.append((name, *arguments))
            return self.answer

        return method


@pytest.mark.parametrize(
    ("call", "asked"),
    [
        (lambda job: job.modify(name="x"), ("_modify_job", {"name": "x"})),
        (lambda job: job.reschedule("interval", hours=1), ("_reschedule_job", "interval", {"hours": 1})),
        (lambda job: job.pause(), ("_pause_job",)),
        (lambda job: job.resume(), ("_resume_job",)),
        (lambda job: job.remove(), ("_remove_job",)),
    ],
)
def test_a_handle_names_its_incarnation(call: Callable[[Job], Any], asked: tuple[Any, ...]) -> None:
    store = MemoryJobStore()
    job = new_job("a", 60)
    insert(store, job)
    handle = job._clone()
    scheduler = Recording(new_job("a", 90, name="as it is now"))
    handle._scheduler, handle._jobstore_alias = scheduler, "there"
    answer = call(handle)
    method, *arguments = asked
    assert job._record is not None
    assert scheduler.asked == [(method, "a", "there", job._record.incarnation, *arguments)]
    if method != "_remove_job":
        assert answer is handle
        assert (handle.name, handle.next_run_time) == ("as it is now", at(90))


@pytest.fixture
def scheduler() -> Iterator[BackgroundScheduler]:
    scheduler = BackgroundScheduler(timezone="UTC")
    scheduler.start(paused=True)
    yield scheduler
    scheduler.shutdown()


def test_in_memory_every_handle_follows(scheduler: BackgroundScheduler) -> None:
    job = scheduler.add_job(work, "interval", hours=1, id="a")
    assert scheduler.get_job("a") is job
    scheduler.modify_job("a", name="new", args=[1], max_instances=3)
    assert (job.name, job.args, job.max_instances) == ("new", (1,), 3)
    scheduler.pause_job("a")
    assert job.next_run_time is None
    scheduler.resume_job("a")
    assert job.next_run_time is not None
    scheduler.reschedule_job("a", trigger="interval", minutes=5)
    assert str(job.trigger) == "interval[0:05:00]"
    assert job.modify(name="newer") is job
    assert (scheduler.get_job("a") or pytest.fail("gone")).name == "newer"
    assert job.refresh() is job


def test_a_handle_of_a_removed_job_reaches_nobody_else(scheduler: BackgroundScheduler) -> None:
    old = scheduler.add_job(work, "interval", hours=1, id="a")
    old.remove()
    assert old.next_run_time is None
    new = scheduler.add_job(work, "interval", hours=1, id="a", name="another")
    for call in (
        lambda: old.modify(name="mine"),
        lambda: old.reschedule("interval", hours=2),
        old.pause,
        old.resume,
        old.remove,
        old.refresh,
    ):
        with pytest.raises(JobLookupError, match="No job by the id of a was found"):
            call()
    assert (new.name, str(new.trigger)) == ("another", "interval[1:00:00]")
    assert new.next_run_time is not None


def test_a_pending_job_can_be_changed_by_its_handle() -> None:
    scheduler = BackgroundScheduler(timezone="UTC")
    job = scheduler.add_job(work, "interval", hours=1, id="a")
    assert job.pending
    job.modify(name="new")
    assert job.name == "new"
    assert [each.name for each in scheduler.get_jobs()] == ["new"]
    job.remove()
    assert scheduler.get_jobs() == []
