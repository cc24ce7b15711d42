"""The ZooKeeper store: what its constructor takes, its clients, its life, and what there is on the server."""

import logging
import multiprocessing
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from kazoo.client import KazooClient
from kazoo.security import make_digest_acl
from mainspring.jobstores.base import JobStoreError, StoreUnreachableError, UnsupportedSerializationError
from mainspring.jobstores.owner import Owner
from mainspring.jobstores.zookeeper import ZooKeeperJobStore, layout
from mainspring.jobstores.zookeeper.layout import Layout

from tests.jobstores.driving import (
    LEASE,
    StubScheduler,
    claim,
    every,
    finish,
    ids_of,
    insert,
    micros,
    new_job,
    record_of,
)
from tests.jobstores.zookeeper_stores import AttentiveStore, connected, started
from tests.servers import Server


@pytest.fixture
def path() -> str:
    return f"/life-{uuid4()}"


@pytest.fixture
def client(zookeeper: Server) -> Iterator[Any]:
    with connected(zookeeper.url) as client:
        yield client


# -- arguments ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"host": "x"}, TypeError, "Unknown argument of ZooKeeperJobStore: 'host'; did you mean 'hosts'"),
        ({"hosts": ""}, TypeError, "hosts must be text"),
        ({"path": "jobs"}, ValueError, "path must begin with a slash, such as '/jobs'"),
        ({"path": "/a//b"}, ValueError, "has a part that no node can be named"),
        ({"path": "/a/../b"}, ValueError, "has a part that no node can be named"),
        ({"path": "/zookeeper/x"}, ValueError, "server's own"),
        ({"path": 3}, TypeError, "path must be text"),
        ({"client": object()}, TypeError, "client must be a kazoo.client.KazooClient, got builtins.object"),
        ({"client": "localhost:2181"}, TypeError, "give it as hosts="),
        ({"client": KazooClient(), "hosts": "x:1"}, TypeError, "brings its own settings: leave out hosts"),
        ({"close_connection_on_exit": "no"}, TypeError, "close_connection_on_exit must be True or False"),
        ({"timeout": 0}, ValueError, "timeout must be a positive number of seconds"),
        ({"session_timeout": -1}, ValueError, "session_timeout must be a positive number of seconds"),
        ({"poll_interval": "1"}, ValueError, "poll_interval must be a positive number of seconds"),
        ({"serializer": "yaml"}, ValueError, "serializer"),
    ],
)
def test_what_makes_no_sense_is_refused_at_the_call(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        ZooKeeperJobStore(**arguments)


def test_nothing_secret_is_shown(path: str, zookeeper: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    store = ZooKeeperJobStore(path, hosts=zookeeper.url, auth_data=[("digest", "me:hidden-word")])
    started(store)
    insert(store, new_job("a", 0))
    store.shutdown()
    assert "hidden-word" not in caplog.text + repr(store)
    assert "Sending request" in caplog.text, "kazoo has logged its requests"
    with pytest.raises(JobStoreError) as caught:
        ids_of(store)
    assert "hidden-word" not in str(caught.value)


def test_without_kazoo_the_error_says_what_to_install() -> None:
    program = "import sys; sys.modules['kazoo'] = None; import mainspring.jobstores.zookeeper"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert 'pip install "mainspring[zookeeper]"' in ran.stderr
    assert "ImportError" in ran.stderr


# -- clients -----------------------------------------------------------------------------------------------------------


def test_a_client_is_used_with_its_chroot_and_left_open(path: str, client: Any, zookeeper: Server) -> None:
    client.ensure_path(f"{path}/below")
    with connected(f"{zookeeper.url}{path}/below") as given:
        store = started(ZooKeeperJobStore("/jobs", given))
        insert(store, new_job("a", 0, every()))
        finish(store, *claim(store).claims)
        store.shutdown()
        assert given.connected
        assert client.get_children(f"{path}/below/jobs/schedulers") == []
    assert client.exists(f"{path}/below/jobs/records")


def test_a_client_that_is_not_started_is_started_and_closed_if_asked_for(
    path: str, zookeeper: Server
) -> None:
    given = KazooClient(zookeeper.url)
    store = started(ZooKeeperJobStore(path, given, close_connection_on_exit=True))
    assert given.connected
    assert ids_of(store) == []
    store.shutdown()
    assert not given.connected


def test_nodes_are_made_with_the_clients_acl_and_nobody_else_gets_in(path: str, zookeeper: Server) -> None:
    acl = [make_digest_acl("me", "word", all=True)]
    arguments: dict[str, Any] = {
        "hosts": zookeeper.url,
        "auth_data": [("digest", "me:word")],
        "default_acl": acl,
    }
    store = started(AttentiveStore(path, **arguments))
    insert(store, new_job("a", 0, every()))
    finish(store, *claim(store).claims)
    with pytest.raises(
        JobStoreError, match="the nodes' ACL does not name what it is authenticated as"
    ) as caught:
        started(ZooKeeperJobStore(path, hosts=zookeeper.url))
    assert not isinstance(caught.value, StoreUnreachableError)
    with connected(zookeeper.url, auth_data=[("digest", "me:word")]) as mine:
        name = layout.name_of("a")
        paths = Layout(path)
        for node in (paths.record(name), paths.payload(name), path):
            assert mine.get_acls(node)[0] == acl
    store.shutdown()


# -- life --------------------------------------------------------------------------------------------------------------


def test_before_start_and_after_shutdown_it_says_so(path: str, zookeeper: Server) -> None:
    store = ZooKeeperJobStore(path, hosts=zookeeper.url)
    with pytest.raises(JobStoreError, match="is not started: call start"):
        store.get_all_jobs()
    started(store)
    insert(store, new_job("a", 0))
    store.shutdown()
    store.shutdown()
    with pytest.raises(JobStoreError, match="is not started: call start"):
        store.get_all_jobs()
    started(store)
    assert [won.record.id for won in claim(store, micros(0)).claims] == ["a"]
    store.shutdown()


def test_a_newer_layout_is_refused(path: str, client: Any, zookeeper: Server) -> None:
    store = started(ZooKeeperJobStore(path, hosts=zookeeper.url))
    store.shutdown()
    client.set(f"{path}/version", b"2")
    with pytest.raises(JobStoreError, match="layout 2, and this version of the library knows layout 1"):
        started(ZooKeeperJobStore(path, hosts=zookeeper.url))


def in_a_fork(store: ZooKeeperJobStore, answers: Any) -> None:
    try:
        ids_of(store)
    except JobStoreError as error:
        answers.put(str(error))
    started(store)
    insert(store, new_job("child", 5))
    answers.put(ids_of(store))
    store.shutdown()


@pytest.mark.parametrize("is_given", [False, True])
def test_a_fork_gets_a_connection_of_its_own_when_it_starts_the_store(
    path: str, zookeeper: Server, is_given: bool
) -> None:
    with connected(zookeeper.url) as given:
        store = ZooKeeperJobStore(path, given) if is_given else ZooKeeperJobStore(path, hosts=zookeeper.url)
        started(store)
        insert(store, new_job("parent", 5))
        context = multiprocessing.get_context("fork")
        answers = context.SimpleQueue()
        child = context.Process(target=in_a_fork, args=(store, answers))
        child.start()
        assert "this is a fork of it" in answers.get()
        assert answers.get() == ["child", "parent"]
        child.join(30)
        assert child.exitcode == 0
        assert ids_of(store) == ["child", "parent"]
        store.shutdown()


def test_a_program_that_does_not_shut_it_down_ends(path: str, zookeeper: Server) -> None:
    program = f"""
from mainspring.jobstores.zookeeper import ZooKeeperJobStore
store = ZooKeeperJobStore({path!r}, hosts={zookeeper.url!r})
store.start(None, "default")
print(len(store.get_all_jobs()))
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout == "0\n"


# -- what is kept ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "job_id",
    ["a/b", "/", ".", "..", "zookeeper", "ünï\U0001f600", "a\0b", " ", "%41", "~x", "x" * 5_000, "\ud800"],
)
def test_any_text_is_an_id(path: str, zookeeper: Server, job_id: str) -> None:
    store = started(AttentiveStore(path, hosts=zookeeper.url))
    insert(store, new_job(job_id, 0, every(), executor="it is / an executor.\n"))
    assert ids_of(store) == [job_id]
    assert store.overdue_executors(micros(0)) == {"it is / an executor.\n"}
    (won,) = claim(store, micros(0), {"it is / an executor.\n": 1}).claims
    finish(store, won)
    assert record_of(store, job_id).runs == ()
    store.remove_job(job_id)
    assert ids_of(store) == []
    store.shutdown()


def test_a_job_that_does_not_fit_into_a_node_is_refused_when_it_is_added(
    path: str, zookeeper: Server
) -> None:
    store = started(ZooKeeperJobStore(path, hosts=zookeeper.url))
    with pytest.raises(
        UnsupportedSerializationError, match=r"takes 1\d{6} bytes, and a node of ZooKeeper's at most 1000000"
    ):
        insert(store, new_job("a", 0, kwargs={"x": "y" * 1_000_000}))
    insert(store, new_job("b", 0, kwargs={"x": "y" * 990_000}), new_job("c", 0, kwargs={"x": "y" * 990_000}))
    assert [len(won.job.kwargs["x"]) for won in claim(store).claims] == [990_000] * 2
    store.shutdown()


def test_what_others_have_written_there_harms_nobody(path: str, client: Any, zookeeper: Server) -> None:
    store = AttentiveStore(path, hosts=zookeeper.url)
    store.own(Owner(), LEASE)
    store.start(StubScheduler(), "default")
    writer = started(ZooKeeperJobStore(path, hosts=zookeeper.url))
    insert(writer, *(new_job(name, 0, every()) for name in ("good", "torn", "later", "bare")))
    writer.shutdown()
    paths = Layout(path)
    client.set(paths.record("torn"), b"torn\nhalf\ta li")
    client.set(paths.record("later"), client.get(paths.record("later"))[0].replace(b"\t1\t0\t", b"\t99\t0\t"))
    client.delete(paths.payload("bare"))
    client.create(paths.record("foreign"), b"\xff\x00")
    for entry in ("foreign", "000000000000000001.-.default.nobody.0123456789abcdef"):
        client.create(f"{paths.index_in(layout.bucket_of('nobody'))}/{entry}", b"")
    result = claim(store)
    assert [won.record.id for won in result.claims] == ["good"]
    assert {record.id for record in store.read_all()} == {"good", "torn", "later", "bare", "foreign"}
    finish(store, *result.claims)
    # They are there until somebody removes them.
    for name in ("torn", "bare", "foreign"):
        store.remove_job(name)
    assert {record.id for record in store.read_all()} == {"good", "later"}
    assert client.get_children(paths.index_in(layout.bucket_of("torn"))) == []
    store.remove_all_jobs()
    assert store.read_all() == []
    store.shutdown()
