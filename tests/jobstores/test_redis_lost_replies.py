"""The Redis store when requests or answers get lost: each write is made once, or never, and the store knows which."""

from collections.abc import Callable, Iterator
from random import Random

import pytest
import redis
from mainspring.jobstores.base import JobStoreError, StoreUnreachableError
from mainspring.jobstores.owner import Owner
from mainspring.jobstores.record import Claim
from mainspring.jobstores.redis import RedisJobStore
from mainspring.jobstores.redis.scripts import COMMIT, FENCE, LOOK, READ
from mainspring.jobstores.uncertain import UncertainWriteError

from tests.jobstores.driving import (
    LEASE,
    claim,
    claim_once,
    every,
    finish,
    ids_of,
    insert,
    key_of,
    micros,
    new_job,
    once,
    record_of,
)
from tests.jobstores.redis_proxy import Loss, Proxy
from tests.servers import Server

NewStore = Callable[..., RedisJobStore]


@pytest.fixture
def new_store() -> Iterator[NewStore]:
    opened: list[RedisJobStore] = []

    def new_store(url: str) -> RedisJobStore:
        store = RedisJobStore(url=url)
        store.own(Owner(), LEASE)
        store.start(None, "default")
        opened.append(store)
        return store

    yield new_store
    for store in opened:
        store.shutdown()


@pytest.fixture
def server(redis_server: Server) -> Iterator[Server]:
    """The session's server, with database 0 empty."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushdb()
        yield redis_server
        client.flushdb()


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    proxy = Proxy(server.port)
    yield proxy
    proxy.close()


@pytest.fixture
def store(proxy: Proxy, new_store: NewStore) -> RedisJobStore:
    """A store behind the proxy."""
    return new_store(proxy.url)


@pytest.fixture
def other(server: Server, new_store: NewStore) -> RedisJobStore:
    """Another scheduler's, whose connection loses nothing."""
    return new_store(server.url)


@pytest.mark.parametrize("loss", ["request", "reply", "both"])
@pytest.mark.parametrize("size", [1, 30])
def test_a_claim_whose_answer_gets_lost_is_won_once(
    store: RedisJobStore, other: RedisJobStore, proxy: Proxy, loss: Loss, size: int
) -> None:
    insert(store, *(new_job(f"{n}", 0, every(60)) for n in range(size)))
    store.restore(store.read_all())
    proxy.lose((COMMIT, loss))
    claims = claim(store).claims
    assert proxy.has_lost
    assert len(claims) == size
    assert all(record_of(other, each.record.id).runs == (each.run,) for each in claims)
    # What is late finds the door closed, and writes nothing.
    proxy.deliver()
    assert all(record_of(other, each.record.id).runs == (each.run,) for each in claims)
    assert claim(other).claims == []
    finish(store, *claims)
    assert {record.wake_at for record in other.read_all()} == {micros(60)}


def test_a_look_whose_answer_gets_lost_is_another_look(
    store: RedisJobStore, other: RedisJobStore, proxy: Proxy
) -> None:
    insert(store, *(new_job(f"{n:02}", 0, every(60)) for n in range(30)))
    proxy.lose((LOOK, "reply"))
    with pytest.raises(StoreUnreachableError) as caught:
        claim_once(store)
    assert type(caught.value) is StoreUnreachableError  # no lost write
    # They are reserved for nobody now, and found again when that ends.
    assert len(claim(other, micros(3)).claims) == 30


@pytest.mark.parametrize("loss", ["request", "reply", "both"])
def test_an_end_whose_answer_gets_lost_is_written(
    store: RedisJobStore, other: RedisJobStore, proxy: Proxy, loss: Loss
) -> None:
    insert(store, new_job("a", 0, every(60)), new_job("b", 0, once(0)))
    claims = claim(store).claims
    proxy.lose((COMMIT, loss))
    result = finish(store, *claims)
    assert proxy.has_lost
    assert result.removed == ["b"]
    proxy.deliver()
    (record,) = other.read_all()
    assert (record.id, record.runs) == ("a", ())


@pytest.mark.parametrize("loss", ["request", "reply", "both"])
def test_an_extension_whose_answer_gets_lost_is_written(
    store: RedisJobStore, other: RedisJobStore, proxy: Proxy, loss: Loss
) -> None:
    insert(store, new_job("a", 0, every(3600)))
    (won,) = claim(store).claims
    proxy.lose((COMMIT, loss))
    assert store.extend_leases([key_of(won)], micros(100)) == []
    assert record_of(other, "a").runs[0].lease_until == micros(100)
    proxy.deliver()
    assert record_of(other, "a").wake_at == micros(100)


@pytest.mark.parametrize("loss", ["request", "reply", "both"])
def test_an_addition_whose_answer_gets_lost_is_made_once(
    store: RedisJobStore, other: RedisJobStore, proxy: Proxy, loss: Loss
) -> None:
    proxy.lose((COMMIT, loss))
    insert(store, new_job("a", 0), new_job("b", 5))
    assert proxy.has_lost
    assert ids_of(other) == ["a", "b"]
    # A late addition does not bring back what has been removed since.
    other.remove_job("a")
    proxy.deliver()
    assert ids_of(other) == ["b"]


@pytest.mark.parametrize("loss", ["request", "reply", "both"])
def test_a_removal_whose_answer_gets_lost_is_made_once(
    store: RedisJobStore, other: RedisJobStore, proxy: Proxy, loss: Loss
) -> None:
    insert(store, new_job("a", 0))
    proxy.lose((COMMIT, loss))
    store.remove_job("a")
    assert ids_of(other) == []
    insert(other, new_job("a", 0))
    proxy.deliver()
    assert ids_of(other) == ["a"]


def test_an_edit_whose_answer_gets_lost_is_not_taken_for_somebody_elses(
    store: RedisJobStore, other: RedisJobStore, proxy: Proxy
) -> None:
    insert(store, new_job("a", 0, name="old"))
    job = store.lookup_job("a")
    assert job is not None
    job._modify(name="new")
    proxy.lose((COMMIT, "reply"))
    store.update_job(job)
    assert proxy.has_lost
    found = other.lookup_job("a")
    assert found is not None
    assert found.name == "new"


@pytest.mark.parametrize("loss", ["reply", "both"])
def test_runs_of_a_claim_in_doubt_are_not_started_and_given_back(
    store: RedisJobStore, other: RedisJobStore, proxy: Proxy, loss: Loss
) -> None:
    insert(store, *(new_job(f"{n}", 0, every(60)) for n in range(3)))
    store.restore(store.read_all())
    proxy.lose((COMMIT, loss), (FENCE, "request"))
    with pytest.raises(UncertainWriteError, match="not known whether it was written"):
        claim_once(store)
    assert proxy.has_lost
    assert all(len(record.runs) == (loss == "reply") for record in other.read_all())
    # As soon as the server can be reached: they are given back, and claimed.
    claims = claim(store).claims
    assert len(claims) == 3
    proxy.deliver()
    for won in claims:
        (run,) = record_of(other, won.record.id).runs
        assert (run.run, run.owner, run.state) == (won.run.run, store.owner.name, "claimed")


def test_runs_in_doubt_are_given_back_after_a_restart_too(
    store: RedisJobStore, other: RedisJobStore, proxy: Proxy
) -> None:
    insert(store, new_job("a", 0, every(60)))
    proxy.lose((COMMIT, "reply"), (FENCE, "request"))
    with pytest.raises(UncertainWriteError):
        claim_once(store)
    store.shutdown()
    store.own(Owner(), LEASE)
    store.start(None, "default")
    (won,) = claim(store).claims
    assert record_of(other, "a").runs == (won.run,)
    assert won.run.owner == store.owner.name


def test_what_is_lost_twice_was_not_written(store: RedisJobStore, other: RedisJobStore, proxy: Proxy) -> None:
    proxy.lose((COMMIT, "request"), (COMMIT, "both"))
    with pytest.raises(StoreUnreachableError):
        insert(store, new_job("a", 5))
    proxy.deliver()
    assert ids_of(other) == []
    insert(store, new_job("a", 5))
    assert ids_of(other) == ["a"]


@pytest.mark.parametrize("seed", range(6))
def test_whatever_gets_lost_each_run_is_won_once(server: Server, new_store: NewStore, seed: int) -> None:
    random = Random(seed)
    proxies = [Proxy(server.port) for _ in range(2)]
    stores = [new_store(proxy.url) for proxy in proxies]
    quiet = new_store(server.url)
    ids = [f"{n:02}" for n in range(60)]
    insert(quiet, *(new_job(job_id, 0, once(0)) for job_id in ids))
    won: list[str] = []
    held: list[list[Claim]] = [[], []]
    now = 0
    while quiet.read_all():
        now += 1  # seconds: what was reserved by a look whose answer got lost is free again after two
        number = random.randrange(2)
        store, proxy = stores[number], proxies[number]
        proxy.lose(*((random.choice(SCRIPTS), random.choice(LOSSES)) for _ in range(random.randrange(3))))
        try:
            claims = claim(store, micros(now), {"default": random.choice([1, 5, 20])}).claims
            won += [each.record.id for each in claims]
            held[number] += claims
            finish(store, *held[number])
            held[number].clear()
        except JobStoreError:
            pass  # it is tried again
        proxy.forgive()
        if random.random() < 0.3:
            proxy.deliver()
    assert sorted(won) == ids
    for proxy in proxies:
        proxy.deliver()
        proxy.close()
    assert quiet.read_all() == []


SCRIPTS = (COMMIT, COMMIT, FENCE, LOOK, READ)
LOSSES: tuple[Loss, ...] = ("request", "reply", "both")
