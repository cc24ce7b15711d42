"""The ZooKeeper store when an answer gets lost, and others go on with what it was about before that is found out."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from mainspring.jobstores import edits
from mainspring.jobstores.base import StoreUnreachableError
from mainspring.jobstores.uncertain import UncertainWriteError
from mainspring.jobstores.zookeeper import ZooKeeperJobStore
from mainspring.jobstores.zookeeper.layout import entry_of

from tests.jobstores.driving import (
    claim,
    every,
    finish,
    ids_of,
    insert,
    micros,
    new_job,
    once,
    record_of,
    waiting_run,
)
from tests.jobstores.zookeeper_proxy import MULTI, Proxy
from tests.jobstores.zookeeper_stores import AttentiveStore, catch_up, started
from tests.servers import Server


@pytest.fixture
def path() -> str:
    return f"/test-{uuid4()}"


@pytest.fixture
def proxy(zookeeper: Server) -> Iterator[Proxy]:
    proxy = Proxy(int(zookeeper.url.rpartition(":")[2]))
    yield proxy
    proxy.close()


@pytest.fixture
def store(proxy: Proxy, path: str) -> Iterator[ZooKeeperJobStore]:
    store = started(AttentiveStore(path, hosts=proxy.hosts))
    yield store
    store.shutdown()


@pytest.fixture
def other(zookeeper: Server, path: str, store: Any) -> Iterator[ZooKeeperJobStore]:
    """Another scheduler's, whose connection loses nothing."""
    other = started(AttentiveStore(path, hosts=zookeeper.url))
    yield other
    other.shutdown()


def after_the_loss(store: ZooKeeperJobStore, act: Callable[[], Any]) -> None:
    """Have this happen between the loss of an answer and the question what became of it."""
    catch_up, done = store._link.catch_up, [False]

    def act_and_catch_up(path: str) -> None:
        if not done[0]:
            done[0] = True
            act()
        catch_up(path)

    store._link.catch_up = act_and_catch_up  # type: ignore[method-assign]


def test_a_job_that_has_run_already_when_its_addition_is_looked_for_may_have_been_added(
    store: ZooKeeperJobStore, other: ZooKeeperJobStore, proxy: Proxy
) -> None:
    ran: list[str] = []

    def run_all() -> None:
        claims = claim(other).claims
        ran.extend(each.record.id for each in claims)
        finish(other, *claims)

    proxy.lose((MULTI, "reply"))
    after_the_loss(store, run_all)
    with pytest.raises(UncertainWriteError):
        insert(store, new_job("a", 0, once(0)))
    assert (ran, ids_of(other)) == (["a"], [])


def test_a_job_of_which_nothing_has_arrived_was_not_added_and_the_error_says_so(
    store: ZooKeeperJobStore, other: ZooKeeperJobStore, proxy: Proxy
) -> None:
    insert(store, new_job("b", 0))
    proxy.lose((MULTI, "request"))
    after_the_loss(
        store, lambda: finish(other, *claim(other).claims)
    )  # of what is there, others may do what they like
    with pytest.raises(StoreUnreachableError, match="no job was added") as caught:
        insert(store, new_job("a", 0, once(0)))
    assert not isinstance(caught.value, UncertainWriteError)
    assert ids_of(other) == ["b"]


def test_a_run_that_was_asked_for_is_run_once_though_others_take_it_before_that_is_known(
    store: ZooKeeperJobStore, other: ZooKeeperJobStore, proxy: Proxy
) -> None:
    insert(store, new_job("a", 3600, every(3600)))
    taken: list[Any] = []
    proxy.lose((MULTI, "reply"))
    after_the_loss(store, lambda: taken.extend(claim(other).claims))
    try:
        store.write("a", lambda record: edits.run_now(record, waiting_run(5), store.owner.stamp()))
    except UncertainWriteError:
        pass
    assert len(taken) == 1
    finish(other, *taken)
    assert claim(other).claims == []
    assert record_of(other, "a").runs == ()


def test_a_job_that_others_have_run_is_not_deferred_for_ever(
    path: str, zookeeper: Server, other: Any
) -> None:
    # In a bucket in which it has written itself, a store hears of others' changes when it looks there next, some time.
    store = started(ZooKeeperJobStore(path, hosts=zookeeper.url, poll_interval=1_000.0))
    try:
        assert claim(store).claims == []
        insert(store, new_job("a", 0, once(0), args=([1],)))
        finish(other, *claim(other).claims)
        result = claim(store)
        assert (result.claims, result.deferred, ids_of(store)) == ([], [], [])
    finally:
        store.shutdown()


def test_an_entry_that_is_not_its_records_any_more_is_not_asked_about_at_each_look(
    path: str, zookeeper: Server, other: Any
) -> None:
    store = started(ZooKeeperJobStore(path, hosts=zookeeper.url, poll_interval=1_000.0))
    try:
        insert(store, new_job("a", 3600, every(60)))
        now = entry_of(record_of(store, "a"))
        other._link.client().create(other._paths.entry("0" * len(now.partition(".")[0]) + now[18:]))
        catch_up(store)
        assert all(claim(store).claims == [] for _ in range(3))
        before = store._link.requests
        assert all(claim(store).claims == [] for _ in range(20))
        assert store._link.requests == before
        (won,) = claim(store, micros(3600)).claims
        assert won.record.id == "a"
    finally:
        store.shutdown()
