"""The ZooKeeper store: what a look and a batch ask of the server, and how it hears of what others change."""

import queue
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from mainspring.jobstores.owner import Owner
from mainspring.jobstores.zookeeper import ZooKeeperJobStore, layout
from mainspring.jobstores.zookeeper.layout import BUCKETS

from tests.jobstores.driving import LEASE, claim, claim_once, every, finish, insert, micros, new_job
from tests.jobstores.zookeeper_proxy import CHILDREN, GET, MULTI, SYNC, Proxy
from tests.jobstores.zookeeper_stores import catch_up, connected
from tests.servers import Server

NewStore = Callable[..., ZooKeeperJobStore]


@pytest.fixture
def path() -> str:
    return f"/watched-{uuid4()}"


@pytest.fixture
def proxy(zookeeper: Server) -> Iterator[Proxy]:
    proxy = Proxy(zookeeper.port)
    yield proxy
    proxy.close()


@pytest.fixture
def new_store(path: str, zookeeper: Server) -> Iterator[NewStore]:
    opened: list[ZooKeeperJobStore] = []

    def new_store(hosts: str = zookeeper.url, **arguments: Any) -> ZooKeeperJobStore:
        pushed = arguments.pop("on_push", None)
        store = ZooKeeperJobStore(path, hosts=hosts, **arguments)
        if pushed is not None:
            store.on_push = pushed
        store.own(Owner(), LEASE)
        store.start(None, "default")
        opened.append(store)
        return store

    yield new_store
    for store in opened:
        store.shutdown()


def test_a_look_asks_nothing_while_nothing_changes(new_store: NewStore, proxy: Proxy) -> None:
    insert(new_store(), *(new_job(f"{n}", 60, every()) for n in range(600)))
    store = new_store(proxy.hosts)
    assert claim_once(store, micros(0)).wake_at == micros(60)
    assert proxy.asked.count(CHILDREN) == BUCKETS + 2  # and the additions, and the schedulers
    proxy.asked.clear()
    for second in range(1, 50):
        assert claim_once(store, micros(second)).wake_at == micros(60)
        assert store.overdue_executors(micros(second)) == set()
        assert store.recover(micros(second)) == []
    assert proxy.asked == []


def test_a_batch_takes_few_requests_and_reads_what_it_does_not_know_without_payloads(
    new_store: NewStore, proxy: Proxy
) -> None:
    insert(new_store(), *(new_job(f"{n}", 0, every()) for n in range(48)))
    store = new_store(proxy.hosts)
    claim_once(store, micros(-1))
    proxy.asked.clear()
    won = claim(store, micros(0)).claims
    assert len(won) == 48
    # Each record; then, to restore the jobs, each record and its payload.
    assert proxy.asked.count(GET) == 3 * 48
    assert proxy.asked.count(MULTI) == 2
    proxy.asked.clear()
    finish(store, *won)
    assert proxy.asked == [MULTI, MULTI]
    proxy.asked.clear()
    again = claim(store, micros(60)).claims
    assert len(again) == 48
    assert [number for number in proxy.asked if number != CHILDREN] == [MULTI, MULTI]


def test_only_what_has_changed_is_read_again(new_store: NewStore, proxy: Proxy) -> None:
    one = new_store()
    insert(one, *(new_job(f"{n}", 60, every()) for n in range(20)))
    store = new_store(proxy.hosts)
    claim_once(store, micros(0))
    proxy.asked.clear()
    one.remove_job("7")
    insert(one, new_job("new", 30))
    catch_up_but_read_nothing(store)
    changed = {layout.bucket_of("7"), layout.bucket_of("new")}
    assert claim_once(store, micros(0)).wake_at == micros(30)
    assert [number for number in proxy.asked if number != SYNC] == [CHILDREN] * len(changed)


def catch_up_but_read_nothing(store: ZooKeeperJobStore) -> None:
    refresh = store._view.refresh
    store._view.refresh = lambda own: None  # type: ignore[method-assign]
    catch_up(store)
    store._view.refresh = refresh  # type: ignore[method-assign]


def test_what_others_change_wakes_the_loop_and_ones_own_changes_do_not(new_store: NewStore) -> None:
    heard: queue.SimpleQueue[int] = queue.SimpleQueue()
    store, other = new_store(on_push=heard.put), new_store()
    claim_once(store, micros(10))
    insert(store, new_job("own", 60))
    catch_up(store)
    assert heard.empty()
    insert(other, new_job("foreign", 60))
    assert heard.get(timeout=10) == micros(10) + 100_000
    assert heard.empty()


def test_a_lost_connection_takes_the_watches_along_and_all_is_read_again(
    new_store: NewStore, proxy: Proxy
) -> None:
    one, store = new_store(), new_store(proxy.hosts)
    claim_once(store, micros(0))
    connection = store._link.connection
    proxy.cut()
    insert(one, new_job("a", 0))
    while store._link.connection == connection:
        pass  # it is noticed by the client's thread
    assert [won.record.id for won in claim(store, micros(0)).claims] == ["a"]


def test_a_session_that_has_expired_is_followed_by_another(new_store: NewStore, zookeeper: Server) -> None:
    one, store = new_store(), new_store()
    insert(store, new_job("a", 0, every()))
    (won,) = claim(store, micros(0)).claims
    session = store._link.client().client_id
    # ZooKeeper's own way to try that: the same session, ended by somebody else.
    with connected(zookeeper.url, client_id=session):
        pass
    insert(one, new_job("b", 0, every()))
    expected = {"b"}
    for _ in range(1_000):
        try:
            expected -= {each.record.id for each in claim(store, micros(1)).claims}
        except Exception:
            continue
        if not expected:
            break
    assert not expected
    assert store._link.client().client_id != session
    finish(store, won)
    assert store.read_all() != []


def test_the_clock_is_the_servers(new_store: NewStore) -> None:
    import time

    before = time.time_ns() // 1_000
    told = new_store().server_time()
    assert told is not None
    assert before - 1_000 <= told <= time.time_ns() // 1_000


def test_schedulers_begin_with_buckets_of_their_own(new_store: NewStore) -> None:
    stores = [new_store() for _ in range(4)]
    insert(stores[0], *(new_job(f"{n}", 0, every()) for n in range(200)))
    for store in stores:
        claim_once(store, micros(-1))
    for store in stores:
        catch_up(store)
        claim_once(store, micros(-1))
    shares = [
        {each.record.id for each in claim(store, micros(0), {"default": 20}).claims} for store in stores
    ]
    assert [len(share) for share in shares] == [20] * 4
    assert sum(store.claims_lost for store in stores) == 0
    # Nothing is left lying for it.
    rest = claim(stores[0], micros(0), {"default": 200}).claims
    assert len(rest) == 120
