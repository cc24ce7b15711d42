"""A third party's store and executor under the real scheduler: a program of APScheduler 3 with its imports changed."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import pytest
from mainspring.events import (
    EVENT_JOB_ADDED,
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MODIFIED,
    EVENT_JOB_REMOVED,
    EVENT_JOBSTORE_FAILED,
    EVENT_JOBSTORE_RECOVERED,
)
from mainspring.jobstores.base import ConflictingIdError, JobLookupError
from mainspring.scheduler.background import BackgroundScheduler

from tests.thirdparty.failing_store import FailingFileJobStore
from tests.thirdparty.file_store import FileJobStore
from tests.thirdparty.jobs import RAN, RELEASE, Greeter, fail, hold, say
from tests.thirdparty.own_thread_executor import OwnThreadExecutor

TIMEOUT = 10


class Program:
    """A scheduler on a folder, and what its listeners hear."""

    def __init__(self, path: Path, store: type[FileJobStore] = FileJobStore) -> None:
        self.store = store(str(path / "jobs"))
        self.heard: SimpleQueue[Any] = SimpleQueue()
        self.scheduler = BackgroundScheduler(
            jobstores={"default": self.store, "other": {"type": "memory"}},
            executors={"default": OwnThreadExecutor()},
            job_defaults={"misfire_grace_time": None},
            timezone="UTC",
        )
        self.scheduler.add_listener(self.heard.put)

    def wait_for(self, code: int, job_id: str | None = None) -> Any:
        """The next event of that code, about that job."""
        while True:
            event = self.heard.get(timeout=TIMEOUT)
            if event.code == code and job_id in (None, getattr(event, "job_id", None)):
                return event


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    programs: list[Program] = []
    while not RAN.empty():
        RAN.get()
    RELEASE.clear()

    def start(store: type[FileJobStore] = FileJobStore, **options: Any) -> Program:
        program = Program(tmp_path, store)
        program.scheduler.start(**options)
        programs.append(program)
        return program

    yield start
    RELEASE.set()
    for program in programs:
        if program.scheduler.running:
            program.scheduler.shutdown()


Start = Callable[..., Program]


def ran() -> Any:
    return RAN.get(timeout=TIMEOUT)


def soon(seconds: float = 0) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def test_jobs_are_added_and_run(start: Start) -> None:
    program = start()
    scheduler = program.scheduler
    job = scheduler.add_job(say, args=["once"], id="once")
    assert not job.pending
    program.wait_for(EVENT_JOB_ADDED, "once")
    assert ran() == "once"
    assert program.wait_for(EVENT_JOB_EXECUTED, "once").retval == "once"
    program.wait_for(EVENT_JOB_REMOVED, "once")
    assert scheduler.get_job("once") is None
    scheduler.add_job(Greeter("world").greet, "date", args=["hello"])
    assert ran() == "hello world"
    scheduler.add_job(fail, args=["failing"], id="failing")
    assert ran() == "failing"
    assert str(program.wait_for(EVENT_JOB_ERROR, "failing").exception) == "failing"


def test_an_interval_goes_on(start: Start) -> None:
    program = start()
    program.scheduler.add_job(say, "interval", seconds=0.05, args=["tick"], id="tick")
    assert [ran() for _ in range(5)] == ["tick"] * 5
    program.scheduler.remove_job("tick")
    assert program.scheduler.get_jobs() == []


def test_a_one_off_that_runs_is_no_job_any_more(start: Start) -> None:
    program = start()
    scheduler = program.scheduler
    scheduler.add_job(hold, id="once")
    assert ran() == "held"
    assert (scheduler.get_job("once"), scheduler.get_jobs("default")) == (None, [])
    with pytest.raises(JobLookupError):
        scheduler.modify_job("once", name="too late")
    # Its id is free again, as a job that adds itself anew expects.
    scheduler.add_job(say, "date", run_date=soon(3600), args=["second"], id="once")
    RELEASE.set()
    program.wait_for(EVENT_JOB_EXECUTED, "once")
    assert [job.args for job in scheduler.get_jobs("default")] == [("second",)]


def test_an_edit_answers_the_job_even_if_it_runs_for_the_last_time_at_once(start: Start) -> None:
    scheduler = start().scheduler
    for number in range(10):
        scheduler.add_job(say, "date", run_date=soon(3600), args=[number], id=f"{number}")
        job = scheduler.reschedule_job(f"{number}", trigger="date", run_date=soon())
        assert (job.id, job.args) == (f"{number}", (number,))
        assert ran() == number


def test_a_replacement_that_runs_for_the_last_time_at_once_is_not_added_once_more(start: Start) -> None:
    program = start()
    scheduler = program.scheduler
    for number in range(10):
        scheduler.add_job(say, "date", run_date=soon(3600), args=["old"], id=f"{number}")
        when = soon()
        job = scheduler.add_job(
            say, "date", run_date=when, args=[number], id=f"{number}", replace_existing=True
        )
        assert (job.id, job.args) == (f"{number}", (number,))
        assert ran() == number
    scheduler.shutdown()
    assert RAN.empty()


def test_jobs_are_shown_changed_paused_and_removed(start: Start) -> None:
    program = start()
    scheduler = program.scheduler
    scheduler.add_job(say, "interval", hours=1, args=["a"], id="a", name="first")
    scheduler.add_job(say, "date", run_date=soon(3600), args=["b"], id="b")
    scheduler.add_job(say, "interval", hours=1, args=["c"], id="c", next_run_time=None)
    assert [job.id for job in scheduler.get_jobs()][-1] == "c"
    with pytest.raises(ConflictingIdError):
        scheduler.add_job(say, "interval", hours=1, id="a", args=[1])

    job = scheduler.modify_job("a", name="changed", args=["new"])
    assert (job.name, job.args) == ("changed", ("new",))
    program.wait_for(EVENT_JOB_MODIFIED, "a")
    scheduler.modify_job("a", next_run_time=soon())
    assert ran() == "new"

    scheduler.pause_job("b")
    paused = scheduler.get_job("b")
    assert paused is not None
    assert paused.next_run_time is None
    resumed = scheduler.resume_job("b")
    assert resumed is not None
    assert resumed.next_run_time is not None

    scheduler.reschedule_job("b", trigger="date", run_date=soon())
    assert ran() == "b"
    job = scheduler.get_job("c") or pytest.fail("gone")
    job.resume()
    assert job.next_run_time is not None
    job.pause()
    job.remove()
    with pytest.raises(JobLookupError):
        job.remove()
    scheduler.remove_all_jobs()
    assert scheduler.get_jobs() == []


def test_replacing_keeps_the_time_of_an_equal_trigger(start: Start) -> None:
    scheduler = start().scheduler
    first = scheduler.add_job(say, "interval", hours=1, args=["old"], id="a")
    again = scheduler.add_job(say, "interval", hours=1, args=["new"], id="a", replace_existing=True)
    assert again.next_run_time == first.next_run_time
    assert (scheduler.get_job("a") or pytest.fail("gone")).args == ("new",)


def test_the_same_scheduler_starts_again(start: Start) -> None:
    program = start()
    for round_ in range(3):
        program.scheduler.add_job(say, args=[round_])
        assert ran() == round_
        program.scheduler.shutdown()
        program.scheduler.add_job(say, args=[f"pending {round_}"])
        program.scheduler.start()
        assert ran() == f"pending {round_}"


def test_jobs_survive_on_the_folder(start: Start) -> None:
    first = start(paused=True)
    scheduler = first.scheduler
    scheduler.add_job(say, "date", run_date=soon(), args=["due while nobody was there"])
    scheduler.add_job(say, "interval", hours=1, args=["tick"], id="interval", name="hourly")
    scheduler.add_job(Greeter("folder").greet, "interval", hours=1, args=["hi"], id="bound")
    scheduler.add_job(say, "interval", hours=1, args=["x"], id="paused", next_run_time=None)
    before = {
        job.id: (job.next_run_time, str(job.trigger), job.name) for job in scheduler.get_jobs("default")
    }
    scheduler.shutdown()

    second = start().scheduler
    assert ran() == "due while nobody was there"
    after = {job.id: (job.next_run_time, str(job.trigger), job.name) for job in second.get_jobs("default")}
    assert after == {job_id: known for job_id, known in before.items() if job_id in after}
    assert {"interval", "bound", "paused"} <= after.keys()
    second.modify_job("bound", next_run_time=soon())
    assert ran() == "hi folder"
    assert (second.get_job("paused") or pytest.fail("gone")).next_run_time is None


@pytest.mark.parametrize("afterwards", [False, True])
@pytest.mark.parametrize(
    "method", ["get_due_jobs", "get_next_run_time", "get_all_jobs", "update_job", "remove_job", "lookup_job"]
)
def test_a_store_that_fails_for_a_while(start: Start, method: str, afterwards: bool) -> None:
    """Each method in turn: the loop goes on, the other store's jobs run on, and nothing is lost or run twice."""
    program = start(FailingFileJobStore)
    scheduler, store = program.scheduler, program.store
    assert isinstance(store, FailingFileJobStore)
    scheduler.add_job(say, "interval", hours=1, args=["elsewhere"], executor="unknown", next_run_time=soon())
    scheduler.add_job(say, "interval", seconds=0.05, args=["other store"], jobstore="other", id="other")
    when = soon(0.3)
    for number in range(4):
        scheduler.add_job(say, "date", run_date=when, args=[number], id=f"{number}")
    store.afterwards = afterwards
    store.fail(method)
    failed = method in ("get_due_jobs", "get_next_run_time", "get_all_jobs") or (
        method == "update_job" and not afterwards
    )
    if failed or method == "remove_job":
        assert program.wait_for(EVENT_JOBSTORE_FAILED).alias == "default"
    assert ran() == "other store"
    store.failing.clear()
    if failed or method == "remove_job":
        assert program.wait_for(EVENT_JOBSTORE_RECOVERED).alias == "default"
    seen: list[Any] = []
    while not {0, 1, 2, 3} <= {*seen}:
        seen.append(ran())
    scheduler.remove_job("other")
    for number in range(4):
        if scheduler.get_job(f"{number}") is not None:
            program.wait_for(EVENT_JOB_REMOVED, f"{number}")
    assert [job.args for job in scheduler.get_jobs()] == [("elsewhere",)]
    scheduler.shutdown()
    try:
        while True:
            seen.append(RAN.get_nowait())
    except Empty:
        pass
    assert sorted(word for word in seen if word != "other store") == [0, 1, 2, 3]


def test_an_add_that_fails_is_the_callers_to_know(start: Start) -> None:
    program = start(FailingFileJobStore)
    assert isinstance(program.store, FailingFileJobStore)
    program.store.fail("add_job")
    with pytest.raises(OSError, match="disk on fire"):
        program.scheduler.add_job(say, args=["x"], id="x")
    program.store.failing.clear()
    program.scheduler.add_job(say, args=["y"], id="x")
    assert ran() == "y"


def test_an_edit_that_fails_is_the_callers_to_know(start: Start) -> None:
    program = start(FailingFileJobStore)
    assert isinstance(program.store, FailingFileJobStore)
    program.scheduler.add_job(say, "interval", hours=1, args=["x"], id="x")
    program.store.fail("update_job")
    with pytest.raises(OSError, match="disk on fire"):
        program.scheduler.modify_job("x", args=["y"])
    program.store.failing.clear()
    assert (program.scheduler.get_job("x") or pytest.fail("gone")).args == ("x",)
