"""The ZooKeeper store when the connection fails between a request and its answer."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from mainspring.jobstores.base import JobLookupError, StoreUnreachableError
from mainspring.jobstores.owner import Owner
from mainspring.jobstores.uncertain import UncertainWriteError

from tests.jobstores.driving import (
    LEASE,
    claim,
    claim_once,
    every,
    finish,
    ids_of,
    insert,
    micros,
    new_job,
    once,
    record_of,
)
from tests.jobstores.zookeeper_proxy import GET, MULTI, SYNC, Loss, Proxy
from tests.jobstores.zookeeper_stores import AttentiveStore, started
from tests.servers import Server


@pytest.fixture
def proxy(zookeeper: Server) -> Iterator[Proxy]:
    proxy = Proxy(zookeeper.port)
    yield proxy
    proxy.close()


@pytest.fixture
def path() -> str:
    return f"/lost-{uuid4()}"


@pytest.fixture
def store(proxy: Proxy, path: str) -> Iterator[Any]:
    store = AttentiveStore(path, hosts=proxy.hosts)
    store.own(Owner(), LEASE)
    yield started(store)
    store.shutdown()


@pytest.fixture
def other(zookeeper: Server, path: str, store: Any) -> Iterator[Any]:
    """Another scheduler's, whose connection is good."""
    other = AttentiveStore(path, hosts=zookeeper.url)
    other.own(Owner(), LEASE)
    yield started(other)
    other.shutdown()


@pytest.mark.parametrize("loss", ["request", "reply", "late"])
def test_a_claim_is_won_once_whatever_gets_lost(store: Any, other: Any, proxy: Proxy, loss: Loss) -> None:
    insert(store, *(new_job(f"{n}", 0, every()) for n in range(40)))
    claim_once(store, micros(-1))
    proxy.lose((MULTI, loss))
    won = claim(store).claims
    assert proxy.lost.is_set()
    assert sorted(each.record.id for each in won) == sorted(f"{n}" for n in range(40))
    assert len({each.run.run for each in won}) == 40
    assert claim(other).claims == []
    before = {each.record.id: other.peek(each.record.id) for each in won}
    proxy.deliver()
    assert {job_id: other.peek(job_id) for job_id in before} == before
    finish(store, *won)
    assert all(other.peek(each.record.id).runs == () for each in won)


@pytest.mark.parametrize("loss", ["reply", "late"])
def test_what_comes_late_on_an_old_connection_is_not_done(
    store: Any, other: Any, proxy: Proxy, loss: Loss
) -> None:
    insert(store, new_job("a", 0, every()))
    stamp = record_of(store, "a").stamp
    proxy.lose((MULTI, loss))
    store.remove_job("a")
    with pytest.raises(JobLookupError):
        other.remove_job("a")
    insert(other, new_job("a", 5, every()))
    now = record_of(other, "a")
    assert not proxy.deliver(), "the server has answered on the connection that the session has left"
    assert record_of(other, "a") == now
    assert now.stamp != stamp


@pytest.mark.parametrize("loss", ["request", "reply"])
def test_jobs_are_added_once_or_an_error_says_that_none_was(
    store: Any, other: Any, proxy: Proxy, loss: Loss
) -> None:
    proxy.lose((MULTI, loss))
    if loss == "reply":
        insert(store, new_job("a", 0), new_job("b", 0))
    else:
        with pytest.raises(StoreUnreachableError, match="no job was added"):
            insert(store, new_job("a", 0), new_job("b", 0))
        insert(store, new_job("a", 0), new_job("b", 0))
    assert sorted(ids_of(other)) == ["a", "b"]
    assert [won.record.id for won in claim(other).claims] == ["a", "b"]


@pytest.mark.parametrize("loss", ["request", "reply"])
def test_ends_of_runs_are_written(store: Any, other: Any, proxy: Proxy, loss: Loss) -> None:
    insert(store, new_job("a", 0, once(0)), new_job("b", 0, every()))
    won = claim(store).claims
    proxy.lose((MULTI, loss))
    result = finish(store, *won)
    assert result.removed == ["a"]
    assert ids_of(other) == ["b"]
    assert record_of(other, "b").runs == ()


def test_runs_of_a_claim_in_doubt_are_given_back(store: Any, other: Any, proxy: Proxy) -> None:
    insert(store, new_job("a", 0, every(), recovery="rerun"))
    claim_once(store, micros(-1))
    # The claim arrives, its answer does not, nor what asks for it.
    proxy.lose((MULTI, "reply"), (SYNC, "request"))
    with pytest.raises(UncertainWriteError, match="it is not known whether it was written"):
        claim(store)
    (run,) = record_of(other, "a").runs
    assert (run.state, run.owner) == ("claimed", store.owner.name)
    (won,) = claim(store).claims
    assert won.run.run != run.run
    finish(store, won)
    assert record_of(other, "a").runs == ()


def test_a_read_that_fails_is_an_error_and_the_next_one_is_answered(store: Any, proxy: Proxy) -> None:
    insert(store, new_job("a", 0))
    proxy.lose((GET, "reply"))
    with pytest.raises(StoreUnreachableError, match="the connection was lost"):
        store.lookup_job("a")
    assert store.lookup_job("a").id == "a"


@pytest.mark.parametrize("place", range(8))
@pytest.mark.parametrize("loss", ["request", "reply"])
def test_many_jobs_are_added_all_or_none(
    store: Any, other: Any, proxy: Proxy, loss: Loss, place: int
) -> None:
    jobs = [new_job(f"{n:04}", 5, kwargs={"x": "y" * 1_000}) for n in range(1_200)]
    lost: list[tuple[int, Loss]] = [(MULTI, loss)]
    seen = 0

    def count(number: int) -> Loss | None:
        # The one at that place among the transactions, whichever these are.
        nonlocal seen
        if number == MULTI:
            seen += 1
            if seen == place + 1:
                return lost.pop()[1]
        return None

    proxy._loss = count  # type: ignore[method-assign]
    try:
        insert(store, *jobs)
    except StoreUnreachableError:
        pass
    finally:
        del proxy._loss
    claim_once(store, micros(-1))  # what was in doubt is settled
    there = ids_of(other)
    assert len(there) in (0, 1_200)
    assert other._reading.names() == [] or len(there) == 1_200
    assert len(claim(other, micros(5), {"default": 2_000}).claims) == len(there)


def test_an_addition_whose_scheduler_has_died_is_undone_or_finished(
    store: Any, other: Any, proxy: Proxy
) -> None:
    jobs = [new_job(f"{n:04}", 5, kwargs={"x": "y" * 1_000}) for n in range(1_200)]
    store._additions._try_to_settle = lambda: None
    store._additions.settle_own = lambda: None
    proxy.lose((MULTI, "request"))
    with pytest.raises(StoreUnreachableError):
        insert(store, *jobs)
    insert(store, *(new_job(f"x{n:04}", 5, kwargs={"x": "y" * 1_000}) for n in range(1_200)))
    assert claim(other, micros(5)).claims == []  # the index lacks them so far
    assert len(ids_of(other)) == 1_200
    store.shutdown()
    store.start(None, "default")
    assert len(claim(other, micros(5), {"default": 2_000}).claims) == 1_200


def test_nobody_sees_what_is_being_added(store: Any, other: Any, proxy: Proxy) -> None:
    seen: list[Any] = []
    transact = store._additions._transact

    def looking(steps: Any) -> None:
        transact(steps)
        if other._reading.names() and not seen:
            seen.append((ids_of(other), claim(other, micros(5)).claims, other.lookup_job("0001")))

    store._additions._transact = looking
    insert(store, *(new_job(f"{n:04}", 5, kwargs={"x": "y" * 1_000}) for n in range(1_200)))
    assert seen == [([], [], None)]
    assert len(ids_of(other)) == 1_200
