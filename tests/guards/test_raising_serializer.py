"""A serializer, or what it meets in a job, that raises: on the way in it is the caller's error, on the way out the job is set aside."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from mainspring.events import (
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MODIFIED,
    EVENT_JOB_QUARANTINED,
    EVENT_JOBSTORE_FAILED,
)
from mainspring.jobstores.base import JobRestoreError
from mainspring.jobstores.serialization.serializer import Serializer, UnsupportedSerializationError
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.scheduler.virtual import VirtualScheduler

from tests.guards.faults import InjectedFault, UnspeakableFault
from tests.scheduler.watching import Heard, at, background, nothing, started, virtual

MINUTE = timedelta(minutes=1)


class FailingSerializer(Serializer):
    """Raises when a test says so, for one job or for all."""

    __slots__ = ("error", "on_dumps", "on_loads")

    def __init__(self) -> None:
        super().__init__()
        self.on_dumps: Callable[[str], bool] = lambda job_id: False
        self.on_loads: Callable[[str], bool] = lambda job_id: False
        self.error: BaseException = InjectedFault("the serializer fails")

    def dumps(self, job_id: str, state: Any) -> bytes:
        if self.on_dumps(job_id):
            raise self.error
        return super().dumps(job_id, state)

    def loads(self, job_id: str, data: bytes) -> dict[str, Any]:
        if self.on_loads(job_id):
            raise self.error
        return super().loads(job_id, data)


@pytest.fixture
def serializer() -> FailingSerializer:
    return FailingSerializer()


@pytest.fixture
def store(tmp_path: Path, serializer: FailingSerializer) -> SQLAlchemyJobStore:
    return made(tmp_path, serializer)


def made(folder: Path, serializer: FailingSerializer) -> SQLAlchemyJobStore:
    store = SQLAlchemyJobStore(f"sqlite:///{folder / 'jobs.sqlite'}")
    store._serializer = serializer
    return store


@pytest.fixture
def scheduler(store: SQLAlchemyJobStore) -> Iterator[VirtualScheduler]:
    with started(virtual(jobstores={"default": store})) as scheduler:
        yield scheduler


def test_dumps_at_add(scheduler: VirtualScheduler, serializer: FailingSerializer) -> None:
    serializer.on_dumps = lambda job_id: job_id == "bad"
    with pytest.raises(InjectedFault):
        scheduler.add_job(nothing, "interval", minutes=1, id="bad")
    with pytest.raises(InjectedFault):
        scheduler.add_jobs({"func": nothing, "id": job_id} for job_id in ("good", "bad", "better"))
    assert scheduler.get_jobs() == []


def test_dumps_when_a_job_is_edited_or_replaced(
    scheduler: VirtualScheduler, serializer: FailingSerializer
) -> None:
    heard = Heard(scheduler)
    scheduler.add_job(nothing, "interval", minutes=1, id="x", args=[1])
    serializer.on_dumps = lambda job_id: True
    with pytest.raises(InjectedFault):
        scheduler.modify_job("x", args=[2])
    with pytest.raises(InjectedFault):
        scheduler.reschedule_job("x", trigger="interval", minutes=2)
    with pytest.raises(InjectedFault):
        scheduler.add_job(nothing, "interval", minutes=3, id="x", replace_existing=True)
    assert not heard.of(EVENT_JOB_MODIFIED)
    job = scheduler.get_job("x")
    assert job is not None
    assert job.args == (1,)
    scheduler.advance(timedelta(minutes=2))
    assert heard.seconds("x") == [60, 120]


def test_dumps_at_the_start(store: SQLAlchemyJobStore, serializer: FailingSerializer) -> None:
    scheduler = virtual(jobstores={"default": store})
    scheduler.add_job(nothing, "interval", minutes=1, id="good")
    scheduler.add_job(nothing, "interval", minutes=1, id="bad")
    serializer.on_dumps = lambda job_id: job_id == "bad"
    with pytest.raises(InjectedFault):
        scheduler.start()
    assert [job.id for job in scheduler.get_jobs(pending=True)] == ["good", "bad"]
    scheduler.remove_job("bad")
    with started(scheduler):
        assert [job.id for job in scheduler.get_jobs(pending=False)] == ["good"]


def test_what_cannot_be_stored_is_refused_when_it_is_added(scheduler: VirtualScheduler) -> None:
    with pytest.raises(UnsupportedSerializationError, match=r"kwargs\['what'\]\[1\]"):
        scheduler.add_job(nothing, kwargs={"what": [1, object()]})
    assert scheduler.get_jobs() == []


@pytest.mark.parametrize(
    "error", [InjectedFault("the serializer fails"), UnspeakableFault(), SystemExit(1), GeneratorExit()]
)
def test_loads_at_a_claim(tmp_path: Path, serializer: FailingSerializer, error: BaseException) -> None:
    """In the thread of the loop; the jobs come from an earlier program, so that each has to be restored."""
    with started(virtual(jobstores={"default": made(tmp_path, serializer)})) as first:
        first.add_job(nothing, "date", run_date=at(60), id="bad", misfire_grace_time=None)
        first.add_job(nothing, "date", run_date=at(60), id="good")
    scheduler, clock = background(jobstores={"default": made(tmp_path, serializer)})
    serializer.error = error
    serializer.on_loads = lambda job_id: job_id == "bad"
    heard = Heard(scheduler)
    with started(scheduler):
        clock.advance(MINUTE)
        heard.wait(EVENT_JOB_EXECUTED, "good")
        event = heard.wait(EVENT_JOB_QUARANTINED, "bad")
        assert event.exception is error
        assert [job.job_id for job in scheduler.get_quarantined_jobs()] == ["bad"]
        serializer.on_loads = lambda job_id: False
        clock.advance(2 * MINUTE)
        heard.wait(EVENT_JOB_EXECUTED, "bad")
    assert not heard.of(EVENT_JOBSTORE_FAILED)


def test_loads_when_the_program_asks(scheduler: VirtualScheduler, serializer: FailingSerializer) -> None:
    scheduler.add_job(nothing, "interval", minutes=1, id="bad")
    scheduler.add_job(nothing, "interval", minutes=1, id="good")
    serializer.on_loads = lambda job_id: job_id == "bad"
    assert [job.id for job in scheduler.get_jobs()] == ["good"]
    with pytest.raises(JobRestoreError, match="the serializer fails"):
        scheduler.get_job("bad")
    with pytest.raises(JobRestoreError, match="the serializer fails"):
        scheduler.modify_job("bad", name="new")
    scheduler.remove_job("bad")
    serializer.on_loads = lambda job_id: False
    assert [job.id for job in scheduler.get_jobs()] == ["good"]
