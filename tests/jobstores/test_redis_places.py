"""The Redis store on a Redis Cluster, and behind a Sentinel that has a replica take over."""

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from queue import Queue
from threading import Event
from typing import Any, ClassVar
from uuid import uuid4

import pytest
import redis.cluster
import redis.sentinel
from mainspring.jobstores.base import JobStoreError, StoreUnreachableError
from mainspring.jobstores.owner import Owner
from mainspring.jobstores.redis import RedisJobStore

from tests.jobstores.contract import JobStoreContract
from tests.jobstores.contract_base import NewStore
from tests.jobstores.driving import LEASE, claim, every, finish, ids_of, insert, new_job, record_of
from tests.servers import Redis, Server
from tests.servers.asking import own_server
from tests.servers.kept import TIMEOUT
from tests.servers.server import free_port

# Any: their methods have no annotations.
RedisCluster: Any = redis.cluster.RedisCluster
Sentinel: Any = redis.sentinel.Sentinel

# -- a cluster -----------------------------------------------------------------------------------------------------------


class Node(Redis):
    """A node of a Redis Cluster."""

    name = "redis-cluster"

    bus: int
    """The port on which the nodes talk among themselves."""

    def _command(self) -> list[str]:
        self.bus = free_port()
        return [
            *super()._command(),
            "--cluster-enabled",
            "yes",
            "--cluster-port",
            str(self.bus),
            "--cluster-node-timeout",
            "500",
        ]


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[Node]]:
    """Two nodes, each with half of the slots."""
    with ExitStack() as stack:
        nodes: list[Any] = []
        for _ in range(2):
            server = own_server(Node)
            nodes.append(next(server))
            stack.callback(next, server, None)
        clients: list[Any] = [redis.Redis(port=node.port) for node in nodes]
        clients[0].execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 8191)
        clients[1].execute_command("CLUSTER", "ADDSLOTSRANGE", 8192, 16383)
        clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", nodes[1].port, nodes[1].bus)
        wait_until(
            lambda: all(
                b"cluster_state:ok" in client.execute_command("CLUSTER", "INFO") for client in clients
            )
        )
        yield nodes


def wait_until(fulfilled: Callable[[], Any]) -> None:
    for _ in range(int(TIMEOUT * 50)):
        try:
            if fulfilled():
                return
        except (redis.RedisError, JobStoreError):
            pass
        Event().wait(0.02)
    raise AssertionError("it has not come to that")


@pytest.fixture(scope="module")
def cluster(nodes: list[Node]) -> Iterator[Any]:
    with RedisCluster(host="127.0.0.1", port=nodes[0].port) as client:
        yield client


class TestOnACluster(JobStoreContract):
    @pytest.fixture
    def new_store(self, cluster: Any) -> NewStore:
        jobs_key = f"test {uuid4()}"
        return lambda: RedisJobStore(client=cluster, jobs_key=jobs_key)


def test_a_cluster_has_no_databases(cluster: Any) -> None:
    with pytest.raises(ValueError, match="has no databases"):
        RedisJobStore(2, cluster)
    RedisJobStore(0, cluster)


def test_a_cluster_client_that_decodes_is_no_hindrance(nodes: list[Node]) -> None:
    with RedisCluster(host="127.0.0.1", port=nodes[0].port, decode_responses=True) as client:
        store = RedisJobStore(client=client, jobs_key=f"test {uuid4()}")
        store.start(None, "default")
        insert(store, new_job("ünï", 0, args=[b"\0"]))
        assert [won.job.args for won in claim(store).claims] == [(b"\0",)]
        store.shutdown()
        assert client.ping()


def test_a_cluster_client_that_waits_forever_is_warned_of(
    nodes: list[Node], cluster: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with RedisCluster(host="127.0.0.1", port=nodes[0].port, socket_timeout=None) as client:
        for given, warnings in ((cluster, 0), (client, 1)):
            caplog.clear()
            store = RedisJobStore(client=given)
            store.start(None, "default")
            store.shutdown()
            assert [record.getMessage().count("no socket_timeout") for record in caplog.records] == [
                1
            ] * warnings


@pytest.mark.parametrize("jobs_key", ["{a}", "{b}"])  # one on each node
def test_pushes_go_everywhere_in_a_cluster(cluster: Any, jobs_key: str) -> None:
    heard: Queue[int] = Queue()
    ears, other = (RedisJobStore(client=cluster, jobs_key=jobs_key) for _ in range(2))
    ears.own(Owner(), LEASE)
    ears.on_push = heard.put
    for store in (ears, other):
        store.start(None, "default")
    assert heard.get(timeout=10) == 0
    insert(other, new_job("a", 0))
    assert heard.get(timeout=10) > 0
    other.remove_all_jobs()
    for store in (ears, other):
        store.shutdown()


def test_slots_that_move_are_followed(nodes: list[Node], cluster: Any) -> None:
    key = "{moving}"
    store = RedisJobStore(client=cluster, jobs_key=key)
    store.start(None, "default")
    insert(store, new_job("a", 0, every(60)))
    store.remove_all_jobs()
    slot = cluster.keyslot(f"{key}.records")
    clients: list[Any] = [redis.Redis(port=node.port) for node in nodes]
    for client in clients:
        for name in client.keys(f"{key}*"):
            client.delete(name)
    owner = cluster.get_node_from_key(f"{key}.records")
    here = [node.port for node in nodes].index(owner.port)
    target = clients[1 - here].execute_command("CLUSTER", "MYID")
    for client in reversed(clients) if here == 0 else clients:
        client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", target)
    # The client's map is of before; it is sent on.
    insert(store, new_job("b", 0))
    assert [won.record.id for won in claim(store).claims] == ["b"]
    assert store.server_time() is not None
    store.shutdown()


def test_a_plain_client_of_one_node_is_told_that_it_is_a_cluster(nodes: list[Node]) -> None:
    names = [RedisJobStore(port=nodes[0].port, jobs_key=name) for name in "abcdefgh"]
    failures = []
    for store in names:
        try:
            store.start(None, "default")
        except JobStoreError as exc:
            failures.append(str(exc))
        else:
            store.shutdown()
    assert failures
    assert all("client=RedisCluster" in failure for failure in failures)


# -- Sentinel ------------------------------------------------------------------------------------------------------------


class Watcher(Redis):
    """A Sentinel."""

    name = "redis-sentinel"
    primary: ClassVar[Server]
    _stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def _command(self) -> list[str]:
        configuration = self._folder / "sentinel.conf"
        configuration.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {self._folder}\n"
            f"sentinel monitor jobs 127.0.0.1 {self.primary.port} 1\n"
            "sentinel down-after-milliseconds jobs 300\n"
            "sentinel failover-timeout jobs 2000\n"
        )
        return [str(self._programs()["redis-server"]), str(configuration), "--sentinel"]

    def _data_folder(self) -> str:
        with redis.Redis(port=self.port) as client:
            assert client.ping()
        return str(self._folder)


@pytest.fixture
def primary() -> Iterator[Server]:
    yield from own_server(Redis)


@pytest.fixture
def replica(primary: Server) -> Iterator[Server]:
    for server in own_server(Redis):
        with redis.Redis(port=primary.port) as client:
            client.config_set("repl-diskless-sync-delay", 0)
        with redis.Redis(port=server.port) as client:
            client.execute_command("REPLICAOF", "127.0.0.1", primary.port)
            wait_until(lambda: client.info("replication")["master_link_status"] == "up")
        yield server


@pytest.fixture
def sentinel(primary: Server, replica: Server) -> Iterator[Any]:
    Watcher.primary = primary
    servers = own_server(Watcher)
    sentinel = Sentinel([("127.0.0.1", next(servers).port)], socket_timeout=2)
    wait_until(lambda: len(sentinel.discover_slaves("jobs")) == 1)
    yield sentinel
    next(servers, None)


def test_when_a_replica_takes_over_the_store_goes_on_there(
    sentinel: Any, primary: Server, replica: Server
) -> None:
    store = RedisJobStore(client=sentinel.master_for("jobs"))
    heard: Queue[int] = Queue()
    store.own(Owner(), LEASE)
    store.on_push = heard.put
    store.start(None, "default")
    assert heard.get(timeout=10) == 0
    insert(store, new_job("a", 0, every(60)), new_job("b", 0, every(60)))
    claims = claim(store, wanted={"default": 1}).claims
    with redis.Redis(port=primary.port) as client:
        assert client.wait(1, 5_000) == 1
    primary.kill()
    with pytest.raises(StoreUnreachableError):
        store.get_all_jobs()
    wait_until(lambda: sentinel.discover_master("jobs") == ("127.0.0.1", replica.port))
    wait_until(store.read_all)
    finish(store, *claims)
    assert record_of(store, claims[0].record.id).runs == ()
    assert len(claim(store).claims) == 1
    # The old server is a replica when it comes back; nobody writes to it.
    assert heard.get(timeout=10) == 0
    assert ids_of(store) == ["a", "b"]
    store.shutdown()


def test_another_database_behind_a_sentinel(sentinel: Any, primary: Server) -> None:
    given = sentinel.master_for("jobs")
    store = RedisJobStore(3, given)
    store.start(None, "default")
    with redis.Redis(port=primary.port, db=3) as client:
        assert client.exists("{mainspring}.version")
    assert given.dbsize() == 0
    store.shutdown()
    assert given.ping()


def test_clients_for_replicas_are_refused(sentinel: Any) -> None:
    with pytest.raises(ValueError, match="one for replicas"):
        RedisJobStore(client=sentinel.slave_for("jobs"))


def test_without_an_answer_of_a_sentinel_the_server_is_unreachable() -> None:
    store = RedisJobStore(client=Sentinel([("127.0.0.1", 1)]).master_for("jobs"))
    with pytest.raises(StoreUnreachableError, match="Sentinel's service 'jobs'"):
        store.start(None, "default")
