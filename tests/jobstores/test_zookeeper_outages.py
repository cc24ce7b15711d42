"""The ZooKeeper store when its server goes away, freezes, and comes back."""

from collections.abc import Callable, Iterator
from threading import Thread
from time import monotonic
from typing import Any

import pytest
from mainspring.jobstores.base import JobStoreError, StoreUnreachableError
from mainspring.jobstores.owner import Owner
from mainspring.jobstores.uncertain import UncertainWriteError
from mainspring.jobstores.zookeeper import ZooKeeperJobStore
from mainspring.scheduler.port import NOBODY

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
    record_of,
)
from tests.servers import Server

NewStore = Callable[..., ZooKeeperJobStore]


@pytest.fixture
def new_store() -> Iterator[NewStore]:
    opened: list[ZooKeeperJobStore] = []

    def new_store(hosts: str, **arguments: Any) -> ZooKeeperJobStore:
        store = ZooKeeperJobStore(hosts=hosts, **arguments)
        store.own(Owner(), LEASE)
        store.start(None, "default")
        opened.append(store)
        return store

    yield new_store
    for store in opened:
        store.shutdown()


def until_it_answers(call: Callable[[], Any]) -> Any:
    """What a call answers, made again while the server is unreachable."""
    deadline = monotonic() + 30
    while True:
        try:
            return call()
        except StoreUnreachableError:
            assert monotonic() < deadline


def test_a_server_that_is_down_is_unreachable_and_found_again(
    own_zookeeper: Server, new_store: NewStore
) -> None:
    store = new_store(own_zookeeper.url)
    insert(store, new_job("a", 0, every()), new_job("b", 60))
    (won,) = claim(store).claims
    own_zookeeper.kill()
    calls: list[Callable[[], object]] = [
        lambda: claim_once(store, micros(60)),
        lambda: insert(store, new_job("c", 0)),
        lambda: store.lookup_job("a"),
        lambda: store.remove_job("b"),
        lambda: store.give_back([NOBODY]),
        lambda: finish(store, won),
        lambda: store.overdue_executors(micros(0)),
        lambda: store.recover(micros(0)),
        store.get_all_jobs,
        store.remove_all_jobs,
        store.server_time,
    ]
    for call in calls:
        with pytest.raises(StoreUnreachableError, match=f"ZooKeeper at {own_zookeeper.url}: "):
            call()
    own_zookeeper.start()
    until_it_answers(lambda: finish(store, won))
    assert record_of(store, "a").runs == ()
    assert sorted(each.record.id for each in claim(store, micros(60)).claims) == ["a", "b"]


def test_one_that_is_not_there_at_the_start_is_unreachable_for_now(own_zookeeper: Server) -> None:
    own_zookeeper.stop()
    store = ZooKeeperJobStore(hosts=own_zookeeper.url, timeout=0.3)
    with pytest.raises(StoreUnreachableError, match="it does not answer"):
        store.start(None, "default")
    with pytest.raises(JobStoreError, match="is not started"):
        ids_of(store)
    own_zookeeper.start()
    until_it_answers(lambda: store.start(None, "default"))
    assert ids_of(store) == []
    store.shutdown()


def test_a_frozen_one_does_not_answer_and_what_was_asked_is_known_when_it_does(
    own_zookeeper: Server, new_store: NewStore
) -> None:
    store = new_store(own_zookeeper.url, timeout=0.5, session_timeout=20.0)
    insert(store, new_job("a", 0, every(), recovery="rerun"))
    claim_once(store, micros(-1))
    own_zookeeper.freeze()
    with pytest.raises(StoreUnreachableError, match="it does not answer") as caught:
        claim(store)
    assert isinstance(caught.value, UncertainWriteError)
    with pytest.raises(StoreUnreachableError):
        store.lookup_job("a")
    own_zookeeper.thaw()
    # The claim was done when it went on. Nobody here has started its run, so it is given back before anything else is claimed.
    (won,) = until_it_answers(lambda: claim(store)).claims
    assert [run.run for run in record_of(store, "a").runs] == [won.run.run]
    finish(store, won)
    assert record_of(store, "a").runs == ()


@pytest.mark.parametrize("how", ["kill", "freeze"])
def test_shutting_down_does_not_wait_for_a_server_that_is_gone(
    own_zookeeper: Server, new_store: NewStore, how: str
) -> None:
    store = new_store(own_zookeeper.url)
    insert(store, new_job("a", 0))
    getattr(own_zookeeper, how)()
    ending = Thread(target=store.shutdown)
    ending.start()
    ending.join(5)
    assert not ending.is_alive()


def test_a_job_outlasts_a_kill_of_the_server(own_zookeeper: Server, new_store: NewStore) -> None:
    store = new_store(own_zookeeper.url)
    for number in range(20):
        insert(store, new_job(f"{number:02}", 0))
    own_zookeeper.kill()
    own_zookeeper.start()
    assert until_it_answers(lambda: ids_of(store)) == [f"{number:02}" for number in range(20)]
