"""A scheduler with a store in memory and one on a real server, which is down, frozen, killed and brought back under it."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from mainspring.events import (
    EVENT_JOB_EXECUTED,
    EVENT_JOBSTORE_FAILED,
    EVENT_JOBSTORE_RECOVERED,
)
from mainspring.jobstores.base import BaseJobStore, StoreUnreachableError
from mainspring.jobstores.memory import MemoryJobStore
from mainspring.jobstores.mongodb import MongoDBJobStore
from mainspring.jobstores.redis import RedisJobStore
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.scheduler.background import BackgroundScheduler

from tests.guards.test_jobs_that_call_the_scheduler import join_the_keepers
from tests.scheduler.watching import Heard, nothing, stop, within_time
from tests.servers import Server

TIMEOUT = 3.0  # seconds that the store waits for an answer


def sql_store(server: Server) -> BaseJobStore:
    return SQLAlchemyJobStore(url=server.url, timeout=TIMEOUT)


def redis_store(server: Server) -> BaseJobStore:
    return RedisJobStore(url=server.url, timeout=TIMEOUT)


def mongodb_store(server: Server) -> BaseJobStore:
    return MongoDBJobStore(url=server.url, timeout=TIMEOUT)


MAKE: dict[str, Callable[[Server], BaseJobStore]] = {
    "own_postgresql": sql_store,
    "own_mariadb": sql_store,
    "own_redis": redis_store,
    "own_mongodb": mongodb_store,
}


@pytest.fixture(params=MAKE)
def server(request: pytest.FixtureRequest) -> Iterator[tuple[Server, BackgroundScheduler, Heard]]:
    """It runs; the scheduler with a job "near" does not, whose store "distant" is there."""
    server: Server = request.getfixturevalue(request.param)
    scheduler = BackgroundScheduler(
        jobstores={"default": MemoryJobStore(), "distant": MAKE[request.param](server)},
        jobstore_retry_interval=0.5,
        job_defaults={"misfire_grace_time": None},
    )
    heard = Heard(scheduler)
    scheduler.add_job(nothing, "interval", seconds=0.1, id="near")
    yield server, scheduler, heard
    if server.running:
        server.thaw()
    stop(scheduler)
    # As long as the server is there: what is left would keep on trying for the length of a lease, in the midst of the next tests.
    if server.running:
        join_the_keepers()


def runs(heard: Heard, job_id: str) -> int:
    return len(heard.of(EVENT_JOB_EXECUTED, job_id))


def nobody_was_late(heard: Heard) -> None:
    """The job in memory ran at its times, and waited for no answer of the server: two seconds are for a busy machine."""
    assert max(event.late for event in heard.of(EVENT_JOB_EXECUTED, "near")) < timedelta(seconds=TIMEOUT - 1)


def test_down_at_the_start(server: tuple[Server, BackgroundScheduler, Heard]) -> None:
    backend, scheduler, heard = server
    backend.stop()
    scheduler.add_job("time:time", "interval", seconds=0.1, id="far", jobstore="distant")
    within_time(scheduler.start)
    heard.wait(EVENT_JOB_EXECUTED, "near", 10)
    with pytest.raises(StoreUnreachableError, match='"distant" could not be opened since'):
        scheduler.get_jobs()
    assert [job.id for job in scheduler.get_jobs(pending=True)] == ["far"]
    backend.start()
    heard.wait(EVENT_JOBSTORE_RECOVERED)
    heard.wait(EVENT_JOB_EXECUTED, "far", 3)
    assert sorted(job.id for job in scheduler.get_jobs()) == ["far", "near"]
    assert len(heard.of(EVENT_JOBSTORE_FAILED)) == 1
    nobody_was_late(heard)


def test_frozen_and_thawed(server: tuple[Server, BackgroundScheduler, Heard]) -> None:
    backend, scheduler, heard = server
    within_time(scheduler.start)
    scheduler.add_job("time:time", "interval", seconds=0.1, id="far", jobstore="distant")
    heard.wait(EVENT_JOB_EXECUTED, "far", 3)
    backend.freeze()
    heard.wait(EVENT_JOBSTORE_FAILED)
    heard.wait(EVENT_JOB_EXECUTED, "near", runs(heard, "near") + 30)  # while attempts are made and hang
    with pytest.raises(StoreUnreachableError):
        within_time(lambda: scheduler.get_jobs("distant"))
    backend.thaw()
    heard.wait(EVENT_JOBSTORE_RECOVERED)
    heard.wait(EVENT_JOB_EXECUTED, "far", runs(heard, "far") + 3)
    assert len(heard.of(EVENT_JOBSTORE_FAILED)) == len(heard.of(EVENT_JOBSTORE_RECOVERED)) == 1
    nobody_was_late(heard)


def test_killed_and_started_again(server: tuple[Server, BackgroundScheduler, Heard]) -> None:
    backend, scheduler, heard = server
    within_time(scheduler.start)
    scheduler.add_job("time:time", "interval", seconds=0.1, id="far", jobstore="distant")
    heard.wait(EVENT_JOB_EXECUTED, "far", 3)
    backend.kill()
    heard.wait(EVENT_JOBSTORE_FAILED)
    heard.wait(EVENT_JOB_EXECUTED, "near", runs(heard, "near") + 10)
    backend.start()
    heard.wait(EVENT_JOBSTORE_RECOVERED)
    heard.wait(EVENT_JOB_EXECUTED, "far", runs(heard, "far") + 3)
    nobody_was_late(heard)


def test_shut_down_while_it_is_frozen(server: tuple[Server, BackgroundScheduler, Heard]) -> None:
    backend, scheduler, heard = server
    within_time(scheduler.start)
    scheduler.add_job("time:time", "interval", hours=1, id="far", jobstore="distant")
    backend.freeze()
    heard.wait(EVENT_JOBSTORE_FAILED)
    within_time(scheduler.shutdown)
    assert not scheduler.running
    backend.thaw()
    within_time(scheduler.start)
    assert sorted(job.id for job in scheduler.get_jobs("distant")) == ["far"]
