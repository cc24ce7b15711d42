"""How often the Redis store asks its server, and what it leaves there."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from mainspring.jobstores.base import StoreUnreachableError
from mainspring.jobstores.owner import Owner
from mainspring.jobstores.redis import RedisJobStore
from mainspring.jobstores.redis.scripts import COMMIT, LOOK
from mainspring.triggers.instants import from_micros

from tests.jobstores.driving import (
    LEASE,
    NOW,
    StubScheduler,
    claim,
    claim_once,
    every,
    finish,
    insert,
    micros,
    new_job,
    once,
)
from tests.servers import Server


@pytest.fixture
def client(redis_server: Server) -> Iterator[Any]:
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushdb()
        yield client
        client.flushdb()


@pytest.fixture
def new_store(redis_server: Server, client: Any) -> Iterator[Callable[[], RedisJobStore]]:
    opened: list[RedisJobStore] = []

    def new_store() -> RedisJobStore:
        store = RedisJobStore(url=redis_server.url)
        store.own(Owner(), LEASE)
        store.start(StubScheduler(), "default")
        opened.append(store)
        return store

    yield new_store
    for store in opened:
        store.shutdown()


@pytest.fixture
def two(new_store: Callable[[], RedisJobStore]) -> tuple[RedisJobStore, RedisJobStore]:
    return new_store(), new_store()


Two = tuple[RedisJobStore, RedisJobStore]


def known(store: RedisJobStore) -> None:
    """Have the jobs restored, so that a claim is one step."""
    store.restore(store.read_all())


# -- how often the server is asked ----------------------------------------------------------------------------------------


@pytest.fixture
def asked(two: Two) -> list[str]:
    """What the first store asks for."""
    names = {script.sha: name for name, script in (("look", LOOK), ("commit", COMMIT))}
    asked: list[str] = []
    link = two[0]._link
    ask = link._ask

    def counting(*command: Any) -> Any:
        asked.append(names.get(command[1], command[1]) if command[0] == "EVALSHA" else command[0])
        return ask(*command)

    link._ask = counting  # type: ignore[method-assign]
    return asked


def test_a_look_when_nothing_is_due_is_one_round_trip_that_writes_nothing(
    two: Two, asked: list[str], client: Any
) -> None:
    one, other = two
    insert(other, *(new_job(f"{n:04}", 60 + n, executor=f"{n % 3}") for n in range(500)))
    before = client.info("persistence")["rdb_changes_since_last_save"]
    assert claim_once(one, NOW, {f"{n}": 10 for n in range(4)}).wake_at == micros(60)
    assert asked == ["look"]
    assert client.info("persistence")["rdb_changes_since_last_save"] == before


def test_one_due_job_is_a_look_and_a_write_and_its_end_one_write(two: Two, asked: list[str]) -> None:
    one, other = two
    insert(other, new_job("a", 0, every(60)), *(new_job(f"{n}", 500) for n in range(100)))
    known(one)
    asked.clear()
    claims = claim_once(one).claims
    assert asked == ["look", "commit"]
    asked.clear()
    finish(one, *claims)
    assert asked == ["commit"]


def test_a_job_that_was_waited_for_is_one_write(two: Two, asked: list[str]) -> None:
    one, other = two
    insert(other, new_job("a", 10, every(60, 10)), new_job("b", 30, every(60, 30)))
    known(one)
    assert claim_once(one, NOW).wake_at == micros(10)
    asked.clear()
    result = claim_once(one, micros(10.1))
    assert [won.record.id for won in result.claims] == ["a"]
    assert (result.wake_at, result.more, asked) == (micros(30), False, ["commit"])
    asked.clear()
    assert [won.record.id for won in claim_once(one, micros(30)).claims] == ["b"]
    assert asked == ["commit"]


def test_what_is_due_beside_it_is_found_all_the_same(two: Two, asked: list[str]) -> None:
    one, other = two
    insert(other, new_job("a", 10, every(60, 10)))
    known(one)
    assert claim_once(one, NOW).wake_at == micros(10)
    insert(other, new_job("b", 5, every(60, 5)), new_job("c", 5, every(60, 5)))
    known(one)
    asked.clear()
    result = claim_once(one, micros(10), {"default": 2})
    assert sorted(won.record.id for won in result.claims) == ["a", "b"]
    assert (result.more, asked) == (True, ["commit", "look", "commit"])


def test_a_look_that_fails_does_not_undo_what_is_won(two: Two) -> None:
    one, other = two
    insert(other, new_job("a", 10, every(60, 10)), new_job("b", 11, every(60, 11)))
    known(one)
    claim_once(one, NOW)

    def fail(*_: Any) -> Any:
        raise StoreUnreachableError("no")

    look_and_claim, one._look_and_claim = one._look_and_claim, fail  # type: ignore[method-assign, assignment]
    result = claim_once(one, micros(12))
    assert ([won.record.id for won in result.claims], result.more) == (["a"], True)
    one._look_and_claim = look_and_claim  # type: ignore[method-assign]
    assert [won.record.id for won in claim_once(one, micros(12)).claims] == ["b"]


def test_what_was_foreseen_and_has_changed_is_looked_at(two: Two) -> None:
    one, other = two
    insert(other, new_job("a", 10, every(60, 10), name="old"), new_job("b", 20, every(60, 20)))
    known(one)
    claim_once(one, NOW)
    job = other.lookup_job("a")
    assert job is not None
    job._modify(name="new")
    other.update_job(job)
    assert claim_once(one, micros(10)).claims == []
    assert one.claims_lost == 1
    assert [won.job.name for won in claim(one, micros(10)).claims] == ["new"]


def test_many_due_jobs_are_a_look_and_a_write(two: Two, asked: list[str]) -> None:
    one, other = two
    insert(other, *(new_job(f"{n}", 0, every(60)) for n in range(900)))
    known(one)
    asked.clear()
    claims = claim_once(one).claims
    assert (len(claims), asked) == (900, ["look", "commit"])
    asked.clear()
    finish(one, *claims)
    assert asked == ["commit"]


def test_jobs_are_added_in_one_round_trip(two: Two, asked: list[str]) -> None:
    insert(two[0], *(new_job(f"{n}", 0) for n in range(300)))
    assert asked == ["commit"]


# -- what is left behind ----------------------------------------------------------------------------------------------------


def test_nothing_is_left_of_jobs_that_are_gone(two: Two, client: Any) -> None:
    one, other = two
    insert(
        one, *(new_job(f"{n}", 0, once(0)) for n in range(20)), new_job("a", 5), new_job("b", 5, executor="x")
    )
    finish(other, *claim(other).claims)
    one.remove_job("a")
    assert {key.decode().split(":")[0] for key in client.keys("*")} == {
        "{mainspring}.records",
        "{mainspring}.payloads",
        "{mainspring}.executors",
        "{mainspring}.version",
        "{mainspring}.due",
        "{mainspring}.write",
    }
    assert client.hkeys("{mainspring}.payloads") == [b"b"]
    one.remove_all_jobs()
    one.shutdown()
    other.shutdown()
    assert client.keys("*") == [b"{mainspring}.version"]


def test_the_servers_clock_is_told(two: Two, client: Any) -> None:
    def micros_of(answer: tuple[int, int]) -> int:
        return answer[0] * 1_000_000 + answer[1]

    before = micros_of(client.time())
    told = two[0].server_time()
    assert told is not None
    assert before <= told <= micros_of(client.time())
    assert from_micros(told, StubScheduler().timezone).year >= 2025
