"""The Redis store when its server goes away, freezes, comes back, comes back with nothing, or will not be written to; and in a fork."""

import logging
import multiprocessing
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import pytest
import redis
from mainspring.jobstores.base import BaseJobStore, JobStoreError, StoreUnreachableError
from mainspring.jobstores.owner import Owner
from mainspring.jobstores.redis import RedisJobStore
from mainspring.jobstores.uncertain import UncertainWriteError
from mainspring.scheduler.port import NOBODY

from tests.jobstores.driving import (
    LEASE,
    NOW,
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

NewStore = Callable[..., RedisJobStore]


@pytest.fixture
def new_store() -> Iterator[NewStore]:
    opened: list[RedisJobStore] = []

    def new_store(url: str, timeout: float = 10.0) -> RedisJobStore:
        store = RedisJobStore(url=url, timeout=timeout)
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


@contextmanager
def client_of(server: Server) -> Iterator[Any]:
    with redis.Redis.from_url(server.url) as client:
        yield client


# -- the server ------------------------------------------------------------------------------------------------------


def test_a_server_that_is_down_is_unreachable(own_redis: Server, new_store: NewStore) -> None:
    store = new_store(own_redis.url)
    insert(store, new_job("a", 0))
    own_redis.kill()
    calls: list[Callable[[], object]] = [
        lambda: claim_once(store),
        lambda: insert(store, new_job("b", 0)),
        lambda: store.lookup_job("a"),
        lambda: store.remove_job("a"),
        store.get_all_jobs,
        store.remove_all_jobs,
        store.server_time,
        lambda: store.overdue_executors(NOW),
        lambda: store.recover(NOW),
    ]
    for call in calls:
        with pytest.raises(StoreUnreachableError) as caught:
            call()
        assert isinstance(caught.value.__cause__, redis.ConnectionError)
    another = RedisJobStore(url=own_redis.url)
    with pytest.raises(StoreUnreachableError):
        another.start(None, "default")
    with pytest.raises(JobStoreError, match="is not started"):
        another.read_all()
    own_redis.start()
    # What was answered is on disk. Both go on, without being told.
    assert [won.record.id for won in claim(store).claims] == ["a"]
    another.start(None, "default")
    assert ids_of(another) == ["a"]
    another.shutdown()


def test_a_frozen_server_is_waited_for_no_longer_than_the_timeout(
    own_redis: Server, new_store: NewStore
) -> None:
    store = new_store(own_redis.url, timeout=0.3)
    insert(store, new_job("a", 0, every(60)))
    claims = claim(store).claims
    own_redis.freeze()
    failures: list[BaseException] = []
    done = Event()

    def calls() -> None:
        for call in (lambda: claim_once(store), lambda: finish(store, *claims), lambda: start_another()):
            try:
                call()
            except BaseException as exc:
                failures.append(exc)
        done.set()

    def start_another() -> None:
        RedisJobStore(url=own_redis.url, timeout=0.3).start(None, "default")

    Thread(target=calls, daemon=True).start()
    assert done.wait(30)
    own_redis.thaw()
    assert len(failures) == 3
    assert all(isinstance(failure, StoreUnreachableError) for failure in failures)
    # To look and to connect writes nothing: there is no doubt about what was done.
    assert [type(failures[n]) for n in (0, 2)] == [StoreUnreachableError] * 2
    finish(store, *claims)
    assert record_of(store, "a").runs == ()


def test_a_claim_that_a_frozen_server_carries_out_late_is_accounted_for(
    own_redis: Server, new_store: NewStore
) -> None:
    store = new_store(own_redis.url, timeout=0.3)
    insert(store, new_job("a", 0, every(60)))
    store.restore(store.read_all())
    commit = store._writing.commit

    def committing(*args: Any, **kwargs: Any) -> Any:
        own_redis.freeze()
        return commit(*args, **kwargs)

    store._writing.commit = committing  # type: ignore[method-assign]
    with pytest.raises(UncertainWriteError):
        claim_once(store)
    store._writing.commit = commit  # type: ignore[method-assign]
    own_redis.thaw()
    # Whether the server takes the late request first or the next one, exactly one claim stands in the end.
    (won,) = claim(store).claims
    assert record_of(store, "a").runs == (won.run,)


def test_a_server_that_comes_back_empty_is_used_as_it_is(own_redis: Server, new_store: NewStore) -> None:
    store = new_store(own_redis.url)
    insert(store, new_job("a", 0))
    claims = claim(store).claims
    with client_of(own_redis) as client:
        client.flushall()
        client.script_flush()
        assert finish(store, *claims).removed == []
        assert claim(store).claims == []
        assert ids_of(store) == []
        insert(store, new_job("b", 0))
        assert client.get("{mainspring}.version") == b"1"
    assert [won.record.id for won in claim(store).claims] == ["b"]


def test_scripts_that_the_server_has_forgotten_are_brought_again(server: Server, new_store: NewStore) -> None:
    store = new_store(server.url)
    with client_of(server) as client:
        client.script_flush()
        insert(store, new_job("a", 0, every(60)))
        client.script_flush()
        (won,) = claim(store).claims
        client.script_flush()
        finish(store, won)
        client.script_flush()
        assert ids_of(store) == ["a"]


@pytest.mark.parametrize(
    ("setting", "value", "normal", "code"),
    [
        ("min-replicas-to-write", "1", "0", "NOREPLICAS"),
        ("maxmemory", "1", "0", "command not allowed when used memory"),
        ("replicaof", "127.0.0.1 1", "no one", "replica"),
    ],
)
def test_a_server_that_can_be_read_and_not_written_is_tried_again_later(
    own_redis: Server, new_store: NewStore, setting: str, value: str, normal: str, code: str
) -> None:
    store = new_store(own_redis.url)
    insert(store, new_job("a", 0))

    def configure(value: str) -> None:
        with client_of(own_redis) as client:
            if setting == "replicaof":
                client.execute_command("REPLICAOF", *value.split())
            else:
                client.config_set(setting, value)

    configure(value)
    with pytest.raises(StoreUnreachableError, match=code):
        insert(store, new_job("b", 0))
    # A scheduler that only looks finds out, too: see `Port.recover`.
    with pytest.raises(StoreUnreachableError, match=code):
        store.give_back([NOBODY])
    assert ids_of(store) == ["a"]
    configure(normal)
    insert(store, new_job("b", 0))
    assert ids_of(store) == ["a", "b"]


@pytest.mark.parametrize("key", ["{foreign}.records", "{foreign}.payloads", "{foreign}.due:default"])
def test_foreign_data_under_its_keys_is_an_error_that_does_not_pass(server: Server, key: str) -> None:
    with client_of(server) as client:
        client.set(key, "not a hash")
        store = RedisJobStore(jobs_key="foreign", port=server.port)
        store.start(None, "default")
        message = f"the key {re.escape(key)} is a string and not a (hash|zset), .* give another jobs_key$"
        with pytest.raises(JobStoreError, match=message) as caught:
            insert(store, new_job("a", 0))
        assert not isinstance(caught.value, StoreUnreachableError)
        store.shutdown()


def test_foreign_data_under_the_version_is_found_at_the_start(server: Server) -> None:
    with client_of(server) as client:
        client.sadd("{foreign}.version", "member")
        with pytest.raises(JobStoreError, match=r"the key \{foreign\}.version is a set and not a string"):
            RedisJobStore(jobs_key="foreign", port=server.port).start(None, "default")


def test_a_full_server_says_what_to_do_and_no_digests(own_redis: Server, new_store: NewStore) -> None:
    store = new_store(own_redis.url)
    with client_of(own_redis) as client:
        client.config_set("maxmemory", "1")
    with pytest.raises(StoreUnreachableError, match=r"memory is full: raise its maxmemory") as caught:
        insert(store, new_job("a", 0))
    assert "script" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_password_is_needed_and_not_told(own_redis: Server) -> None:
    with client_of(own_redis) as client:
        client.config_set("requirepass", "secret-1")
    for settings in ({}, {"password": "secret-2"}):
        store = RedisJobStore(port=own_redis.port, **settings)  # type: ignore[arg-type]
        with pytest.raises(JobStoreError) as caught:
            store.start(None, "default")
        assert not isinstance(caught.value, StoreUnreachableError)
        assert "secret" not in f"{caught.value!r} {caught.value} {store!r}"
    store = RedisJobStore(port=own_redis.port, password="secret-1")
    store.start(None, "default")
    store.shutdown()


def test_settings_that_lose_jobs_are_warned_of_once(
    own_redis: Server, caplog: pytest.LogCaptureFixture
) -> None:
    store = RedisJobStore(url=own_redis.url)

    def warnings() -> list[str]:
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            store.start(None, "default")
            store.shutdown()
        return [record.getMessage() for record in caplog.records]

    assert warnings() == []
    with client_of(own_redis) as client:
        client.config_set("appendfsync", "everysec")
        (warning,) = warnings()
        assert "appendfsync is everysec" in warning
        assert warnings() == []
        client.config_set("maxmemory", "1gb")
        client.config_set("maxmemory-policy", "allkeys-lru")
        assert ["noeviction" in warning for warning in warnings()] == [True]
        client.config_set("appendonly", "no")
        assert ["append-only file" in warning for warning in warnings()] == [True]
        # Who may not read the settings is not told.
        client.execute_command("ACL", "SETUSER", "default", "-config")
        other = RedisJobStore(url=own_redis.url)
        caplog.clear()
        other.start(None, "default")
        other.shutdown()
        assert caplog.records == []


# -- processes ---------------------------------------------------------------------------------------------------------


def in_fork(store: BaseJobStore, answers: Any) -> None:
    try:
        store.read_all()
    except JobStoreError as exc:
        answers.put(str(exc))
    store.shutdown()  # of nothing
    store.start(None, "default")
    claims = claim(store).claims
    answers.put([(won.record.id, won.run.owner == store.owner.name) for won in claims])
    finish(store, *claims)
    store.shutdown()


def test_a_fork_needs_to_start_the_store_and_has_connections_of_its_own(
    server: Server, new_store: NewStore
) -> None:
    store = new_store(server.url)
    insert(store, new_job("a", 0), new_job("b", 600))
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=in_fork, args=(store, answers))
    child.start()
    assert "is a fork of it" in answers.get(timeout=30)
    assert answers.get(timeout=30) == [("a", True)]
    child.join(30)
    assert child.exitcode == 0
    assert record_of(store, "a").runs == ()
    # The parent's connection is as it was.
    assert ids_of(store) == ["a", "b"]
    assert sorted(won.record.id for won in claim(store, micros(600)).claims) == ["a", "b"]
