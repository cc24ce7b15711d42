"""What the Redis store publishes, and what it hears: what is due sooner than was known is looked at by those who would wait."""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from queue import Empty, Queue
from typing import Any

import pytest
import redis
from mainspring.events import EVENT_JOB_EXECUTED
from mainspring.jobstores import edits
from mainspring.jobstores.job import Job
from mainspring.jobstores.owner import Owner
from mainspring.jobstores.record import Run
from mainspring.jobstores.redis import RedisJobStore
from mainspring.scheduler.background import BackgroundScheduler
from mainspring.triggers import DateTrigger
from mainspring.triggers.instants import to_micros

from tests.jobstores.driving import LEASE, claim, every, finish, insert, new_job, once, outcome_of
from tests.jobstores.redis_proxy import Proxy
from tests.jobstores.samples import work
from tests.servers import Server

NOW = datetime.now(UTC)
"""The server's clock judges what is future here, so these jobs are due in relation to the present: by minutes, as all other tests may
run between the import of this module and its own."""


def at(minutes: float) -> int:
    return to_micros(NOW + timedelta(minutes=minutes))


def due(job_id: str, minutes: float, executor: str = "default") -> Job:
    when = NOW + timedelta(minutes=minutes)
    return Job(None, id=job_id, trigger=DateTrigger(when), next_run_time=when, func=work, executor=executor)


@pytest.fixture
def client(redis_server: Server) -> Iterator[Any]:
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushdb()
        yield client
        client.flushdb()


class Ears:
    """A store and what it hears."""

    def __init__(self, url: str) -> None:
        self.heard: Queue[int] = Queue()
        self.store = RedisJobStore(url=url)
        self.store.own(Owner(), LEASE)
        self.store.on_push = self.heard.put
        self.store.start(None, "default")

    def next(self) -> int:
        return self.heard.get(timeout=10)

    def silence(self) -> None:
        """Nothing has been heard of what was published so far."""
        marker = 7
        self.publish(marker)
        assert self.next() == marker

    def publish(self, at: int) -> None:
        self.store._link.ask("PUBLISH", "{mainspring}.push", f"{at} somebody")


@pytest.fixture
def open_ears(client: Any) -> Iterator[Callable[[str], Ears]]:
    opened: list[Ears] = []

    def open_ears(url: str) -> Ears:
        ears = Ears(url)
        opened.append(ears)
        assert ears.next() == 0  # it listens from now on
        return ears

    yield open_ears
    for ears in opened:
        ears.store.shutdown()


@pytest.fixture
def ears(open_ears: Callable[[str], Ears], redis_server: Server) -> Ears:
    return open_ears(redis_server.url)


@pytest.fixture
def other(client: Any, redis_server: Server) -> Iterator[RedisJobStore]:
    store = RedisJobStore(url=redis_server.url)
    store.own(Owner(), LEASE)
    store.start(None, "default")
    yield store
    store.shutdown()


def test_only_what_is_due_before_all_others_is_told(ears: Ears, other: RedisJobStore) -> None:
    insert(other, due("a", 1_000))
    assert ears.next() == at(1_000)
    insert(other, due("b", 2_000), due("c", 1_500))
    ears.silence()
    insert(other, due("d", 800), due("e", 700), due("f", 900))
    assert ears.next() == at(700)
    # Other executors are others' affair.
    insert(other, due("x", 5_000))
    ears.silence()


def test_each_executor_has_a_time_of_its_own(ears: Ears, other: RedisJobStore) -> None:
    insert(other, due("a", 1_000))
    assert ears.next() == at(1_000)
    insert(other, due("b", 2_000, "elsewhere"))
    assert ears.next() == at(2_000)


def test_when_something_is_overdue_whatever_is_added_is_told(ears: Ears, other: RedisJobStore) -> None:
    insert(other, due("late", -50))
    assert ears.next() == at(-50)
    insert(other, due("a", 100))
    assert ears.next() == at(100)
    insert(other, due("b", 200))
    assert ears.next() == at(200)


def test_edits_tell_of_earlier_times_only(ears: Ears, other: RedisJobStore) -> None:
    insert(other, due("a", 1_000), due("b", 2_000))
    assert ears.next() == at(1_000)

    def move(job_id: str, minutes: float) -> None:
        job = other.lookup_job(job_id)
        assert job is not None
        job._modify(next_run_time=NOW + timedelta(minutes=minutes))
        other.update_job(job)

    move("b", 1_500)
    move("a", 1_200)
    ears.silence()
    move("b", 1_100)
    assert ears.next() == at(1_100)
    other.remove_job("b")
    ears.silence()


def test_what_becomes_free_by_the_end_of_a_run_is_told(ears: Ears, other: RedisJobStore) -> None:
    insert(other, new_job("a", 0, every(100_000)))
    ears.next()
    claims = claim(other, at(0)).claims
    blocked = Run(5, "now", (at(0),), at(0), "waiting", blocked=True)
    other.write("a", lambda record: edits.run_now(record, blocked, other.owner.stamp()))
    ears.silence()
    finish(other, *claims)
    assert ears.next() == at(0)


def test_a_retry_and_a_run_that_is_asked_for_are_told(ears: Ears, other: RedisJobStore) -> None:
    insert(other, new_job("a", 0, every(100_000)))
    ears.next()
    (won,) = claim(other, at(50)).claims
    # Before the end of its lease: until then, whoever would wait looks by itself.
    retry = Run(5, "retry", won.run.fire_times, at(50.2), "waiting", 2, retried=1, root=won.run.run)
    other.finish_runs([outcome_of(won, retry=retry)])
    assert ears.next() == at(50.2)
    asked = Run(6, "now", (at(50.1),), at(50.1), "waiting")
    other.write("a", lambda record: edits.run_now(record, asked, other.owner.stamp()))
    assert ears.next() == at(50.1)


def test_claims_and_own_writes_are_not_told(ears: Ears, other: RedisJobStore) -> None:
    insert(ears.store, due("mine", 10))
    ears.silence()
    insert(other, new_job("a", 0, once(0)))
    ears.next()
    assert len(claim(other, at(0)).claims) == 1
    ears.silence()


def test_who_may_not_publish_writes_all_the_same(
    ears: Ears, other: RedisJobStore, client: Any, redis_server: Server
) -> None:
    client.execute_command("ACL", "SETUSER", "mute", "on", ">word", "~*", "+@all", "resetchannels")
    try:
        store = RedisJobStore(port=redis_server.port, username="mute", password="word")
        store.start(None, "default")
        insert(store, due("a", 10))
        store.shutdown()
    finally:
        client.execute_command("ACL", "DELUSER", "mute")
    ears.silence()
    assert [record.id for record in other.read_all()] == ["a"]


def test_after_the_connection_was_lost_it_is_looked_at_once(
    client: Any, redis_server: Server, open_ears: Callable[[str], Ears], other: RedisJobStore
) -> None:
    proxy = Proxy(redis_server.port)
    ears = open_ears(proxy.url)
    proxy.cut()
    assert ears.next() == 0
    insert(other, due("a", 1_000))
    assert ears.next() == at(1_000)
    proxy.close()


def test_what_a_listener_raises_does_not_end_the_listening(ears: Ears, other: RedisJobStore) -> None:
    heard = ears.heard

    def fail(at: int) -> None:
        heard.put(at)
        raise ValueError("no")

    ears.store.on_push = fail
    insert(other, due("a", 1_000))
    assert ears.next() == at(1_000)
    insert(other, due("b", 900))
    assert ears.next() == at(900)


def test_shutdown_ends_the_listening_at_once(open_ears: Callable[[str], Ears], redis_server: Server) -> None:
    ears = open_ears(redis_server.url)

    def listening() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name == "mainspring-redis-push"]

    assert len(listening()) == 1
    ears.store.shutdown()
    assert listening() == []
    ears.store.start(None, "default")
    assert ears.next() == 0
    assert len(listening()) == 1


def test_without_anybody_to_tell_nobody_listens(other: RedisJobStore) -> None:
    assert not [thread for thread in threading.enumerate() if thread.name == "mainspring-redis-push"]


# -- through schedulers, with a poll interval that hides nothing ---------------------------------------------------------------


@pytest.fixture
def runs() -> Queue[str]:
    RUNS.queue.clear()
    return RUNS


RUNS: Queue[str] = Queue()


def note(name: str) -> None:
    RUNS.put(name)


def test_a_job_added_elsewhere_runs_at_once(client: Any, redis_server: Server, runs: Queue[str]) -> None:
    def scheduler() -> BackgroundScheduler:
        scheduler = BackgroundScheduler()
        scheduler.add_jobstore(RedisJobStore(url=redis_server.url, poll_interval=3600))
        return scheduler

    runner, adder = scheduler(), scheduler()
    executed: Queue[str] = Queue()
    runner.add_listener(lambda event: executed.put(event.job_id), EVENT_JOB_EXECUTED)
    adder.start(paused=True)
    runner.start()
    try:
        # The first look may have come before its listener was there: what was missed then is looked for when it is.
        adder.add_job(note, args=["now"], id="now")
        assert runs.get(timeout=10) == "now"
        adder.add_job(note, "interval", hours=10, args=["moved"], id="moved")
        adder.modify_job("moved", next_run_time=datetime.now(UTC) + timedelta(milliseconds=50))
        assert runs.get(timeout=10) == "moved"
        assert executed.get(timeout=10) == "now"
        adder.add_job(
            note,
            "interval",
            hours=10,
            args=["soon"],
            id="soon",
            next_run_time=datetime.now(UTC) + timedelta(seconds=0.2),
        )
        assert runs.get(timeout=10) == "soon"
        scheduled = adder.add_job(note, "interval", hours=10, args=["asked for"])
        assert scheduled.run_now().state == "waiting"
        assert runs.get(timeout=10) == "asked for"
        adder.pause_job("moved")
        with suppress(Empty):
            pytest.fail(f"{runs.get_nowait()} ran once more")
    finally:
        runner.shutdown()
        adder.shutdown()
