"""The Redis store: the contract on a real server, what its constructor takes, and its life."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import pytest
import redis
from mainspring.jobstores.base import JobStoreError
from mainspring.jobstores.redis import RedisJobStore
from mainspring.jobstores.redis.connecting import new_pool
from redis.crc import key_slot

from tests.jobstores.contract import JobStoreContract
from tests.jobstores.contract_base import NewStore
from tests.jobstores.driving import claim, ids_of, insert, micros, new_job
from tests.jobstores.redis_proxy import Proxy
from tests.servers import Server


class TestOnAServer(JobStoreContract):
    @pytest.fixture
    def new_store(self, redis_server: Server) -> NewStore:
        jobs_key = f"test {uuid4()}"
        return lambda: RedisJobStore(url=redis_server.url, jobs_key=jobs_key)


@pytest.fixture
def client(redis_server: Server) -> Iterator[Any]:
    def flush() -> None:
        # FLUSHALL would have the server write its whole file anew.
        for db in range(7):
            with redis.Redis(port=redis_server.port, db=db) as client:
                client.flushdb()

    flush()
    with redis.Redis.from_url(redis_server.url) as client:
        yield client
    flush()


def started(store: RedisJobStore) -> RedisJobStore:
    store.start(None, "default")
    return store


def keys_of(client: Any, db: int = 0) -> set[str]:
    """What the names of the keys begin with."""
    with redis.Redis(port=client.connection_pool.connection_kwargs["port"], db=db) as other:
        return {key.decode().rpartition(".")[0] for key in other.keys("*")}


# -- which server, which database --------------------------------------------------------------------------------------


def test_host_port_and_database_are_given_as_for_redis_py(client: Any, redis_server: Server) -> None:
    store = started(RedisJobStore(3, host="localhost", port=redis_server.port, client_name="jobs"))
    assert keys_of(client, 3) == {"{mainspring}"}
    assert "jobs" in {each["name"] for each in client.client_list()}
    store.shutdown()
    # As a file of configuration brings it.
    store = started(RedisJobStore(db="4", port=str(redis_server.port)))  # type: ignore[arg-type]
    assert keys_of(client, 4) == {"{mainspring}"}
    store.shutdown()
    store = started(RedisJobStore(url=f"redis://localhost:{redis_server.port}/5"))
    assert keys_of(client, 5) == {"{mainspring}"}
    store.shutdown()


def test_a_client_is_used_in_its_own_database_and_left_open(client: Any, redis_server: Server) -> None:
    with redis.Redis(port=redis_server.port, db=6) as given:
        for store in (RedisJobStore(client=given), RedisJobStore(None, given)):
            started(store)
            assert keys_of(client, 6) == {"{mainspring}"}
            store.shutdown()
        assert given.ping()


def test_a_client_and_a_number_are_another_database_of_its_server(client: Any, redis_server: Server) -> None:
    with redis.Redis(port=redis_server.port, db=6) as given:
        store = started(RedisJobStore(2, given))
        insert(store, new_job("a", 0))
        assert keys_of(client, 2) == {"{mainspring}"}
        assert keys_of(client, 6) == set()
        assert given.dbsize() == 0
        store.shutdown()
        assert given.ping()


@pytest.mark.parametrize(
    "settings",
    [
        {"decode_responses": True},
        {"protocol": 3},
        {"protocol": 2, "retry_on_error": [redis.TimeoutError]},
        {"health_check_interval": 1},
        {"single_connection_client": True},
        {"max_connections": 1},
        {"encoding": "utf-16"},
        {"socket_timeout": None},
    ],
)
def test_whatever_a_client_is_set_to_jobs_are_kept(
    client: Any, redis_server: Server, settings: dict[str, Any]
) -> None:
    with redis.Redis(port=redis_server.port, **settings) as given:
        store = started(RedisJobStore(client=given))
        insert(store, new_job("ünï", 0, args=["\n", b"\0"]))
        assert [won.job.args for won in claim(store).claims] == [("\n", b"\0")]
        store.shutdown()


def test_a_blocking_pool_is_no_hindrance(client: Any, redis_server: Server) -> None:
    new_pool: Any = redis.BlockingConnectionPool  # Any: it has no annotations
    pool = new_pool(port=redis_server.port, max_connections=1, timeout=1)
    store = started(RedisJobStore(client=redis.Redis(connection_pool=pool)))
    assert ids_of(store) == []
    store.shutdown()
    pool.disconnect()


def test_a_unix_socket_stays_one(client: Any, redis_server: Server) -> None:
    with TemporaryDirectory() as folder:  # pytest's are too long a name for a socket
        path = f"{folder}/redis"
        with bridge(path, redis_server.port):
            store = started(RedisJobStore(2, redis.Redis(unix_socket_path=path)))
            assert keys_of(client, 2) == {"{mainspring}"}
            store.shutdown()
        with pytest.raises(JobStoreError, match=f"Redis at {path}, database 2"):
            started(store)


@contextmanager
def bridge(path: str, port: int) -> Iterator[None]:
    """A unix socket that passes on to a port."""
    proxy = Proxy(port, path)
    try:
        yield
    finally:
        proxy.close()


def test_settings_are_taken_over_and_what_is_bound_to_a_pool_is_not() -> None:
    given = redis.Redis(
        host="example.org",
        ssl=True,
        ssl_ca_certs="ca.pem",
        username="me",
        password="word",
        protocol=3,
        client_name="it",
    )
    pool = new_pool(given, 2, 7.0)
    assert pool.connection_class is redis.SSLConnection
    settings = pool.connection_kwargs
    expected = {
        "host": "example.org",
        "db": 2,
        "ssl_ca_certs": "ca.pem",
        "username": "me",
        "password": "word",
        "client_name": "it",
    }
    assert {name: settings[name] for name in expected} == expected
    assert (settings["socket_timeout"], settings["socket_connect_timeout"]) == (7.0, 7.0)
    assert "retry" not in settings
    bound = [
        value
        for value in given.connection_pool.connection_kwargs.values()
        if "Handler" in type(value).__name__
    ]
    assert not [value for value in settings.values() if value in bound]
    assert new_pool(given, None, 7.0).connection_kwargs["db"] == 0


def test_without_redis_py_the_error_says_what_to_install() -> None:
    program = "import sys; sys.modules['redis'] = None; import mainspring.jobstores.redis"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert 'pip install "mainspring[redis]"' in ran.stderr
    assert "ImportError" in ran.stderr


# -- names of keys -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("jobs_key", "prefix"),
    [
        (None, "{mainspring}"),
        ("apscheduler.jobs", "{apscheduler.jobs}"),
        ("{team-a}.jobs", "{team-a}.jobs"),
        ("app:{7}", "app:{7}"),
    ],
)
def test_all_keys_have_one_hash_tag(
    client: Any, redis_server: Server, jobs_key: str | None, prefix: str
) -> None:
    store = started(
        RedisJobStore(jobs_key=jobs_key, run_times_key="apscheduler.run_times", port=redis_server.port)
    )
    insert(store, new_job("a", 0), new_job("b", 0, executor="x"))
    claim(store)
    assert all(key.decode().startswith(f"{prefix}.") for key in client.keys("*"))
    assert {key_slot(key) for key in client.keys("*")} == {key_slot(prefix.encode())}
    store.shutdown()


def test_the_second_argument_may_be_the_name_of_the_keys(client: Any, redis_server: Server) -> None:
    store = started(RedisJobStore(0, "mine", port=redis_server.port))
    assert keys_of(client) == {"{mine}"}
    store.shutdown()


def test_several_stores_live_in_one_database(client: Any, redis_server: Server) -> None:
    stores = [started(RedisJobStore(jobs_key=name, port=redis_server.port)) for name in (None, "a", "b")]
    for store, name in zip(stores, ("x", "y", "z"), strict=True):
        insert(store, new_job(name, 0))
    assert [ids_of(store) for store in stores] == [["x"], ["y"], ["z"]]
    stores[0].remove_all_jobs()
    assert [ids_of(store) for store in stores] == [[], ["y"], ["z"]]
    for store in stores:
        store.shutdown()


# -- life --------------------------------------------------------------------------------------------------------------


def test_it_is_shared_and_polled(redis_server: Server) -> None:
    store = RedisJobStore(url=redis_server.url, poll_interval=7)
    assert (store.shared, store.poll_interval) == (True, 7)


def test_before_start_and_after_shutdown_it_says_so(client: Any, redis_server: Server) -> None:
    store = RedisJobStore(url=redis_server.url)
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


def test_a_newer_layout_is_refused(client: Any, redis_server: Server) -> None:
    running = started(RedisJobStore(url=redis_server.url))
    client.set("{mainspring}.version", "2")
    with pytest.raises(JobStoreError, match="layout 2, and this version of the library knows layout 1"):
        started(RedisJobStore(url=redis_server.url))
    # One that has been running since before adds nothing that the others might misread.
    with pytest.raises(JobStoreError, match="layout 2"):
        insert(running, new_job("a", 0))
    running.shutdown()


def test_its_connections_are_closed_with_it(client: Any, redis_server: Server) -> None:
    def connections() -> int:
        return sum(each["name"] == "counted" for each in client.client_list())

    store = RedisJobStore(url=redis_server.url, client_name="counted")
    store.on_push = lambda at: None
    started(store)
    assert connections() >= 1
    store.shutdown()
    # The server notices when it comes to it.
    assert any(connections() == 0 for _ in range(10_000))
