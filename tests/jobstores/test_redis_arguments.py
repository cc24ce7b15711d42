"""What the Redis store's constructor takes, in which order, and what it says about what makes no sense. No server is asked."""

import copy
import pickle
from typing import Any

import pytest
import redis
import redis.asyncio
from mainspring.jobstores.redis import RedisJobStore
from mainspring.jobstores.redis.connecting import new_pool
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore

CLIENT = redis.Redis(port=1)


def place(store: RedisJobStore) -> tuple[str, int, int, str]:
    """Where a store would go: host, port, database, and what its keys begin with."""
    link: Any = store._link
    settings = new_pool(link._client, link._db, 1.0).connection_kwargs
    return settings["host"], int(settings["port"]), settings.get("db", 0), store._keys.prefix


@pytest.mark.parametrize(
    ("positional", "named", "expected"),
    [
        ((), {}, ("localhost", 6379, 0, "{mainspring}")),
        # As programs for APScheduler 3 have it.
        (
            (),
            {
                "db": 0,
                "jobs_key": "a.jobs",
                "run_times_key": "a.times",
                "pickle_protocol": 4,
                "host": "h",
                "port": 7,
            },
            ("h", 7, 0, "{a.jobs}"),
        ),
        ((2, "a.jobs", "a.times", 4), {"host": "h", "port": "7"}, ("h", 7, 2, "{a.jobs}")),
        # A client behind the number, and more beside it.
        ((2, CLIENT), {}, ("localhost", 1, 2, "{mainspring}")),
        ((2, CLIENT), {"jobs_key": "team-a", "run_times_key": "x"}, ("localhost", 1, 2, "{team-a}")),
        (("2", CLIENT), {"jobs_key": "team-a"}, ("localhost", 1, 2, "{team-a}")),
        ((2, None), {"client": CLIENT}, ("localhost", 1, 2, "{mainspring}")),
        ((), {"client": "tests.jobstores.test_redis_arguments:CLIENT"}, ("localhost", 1, 0, "{mainspring}")),
        # A URL, and what stands beside it and does not contradict it.
        ((), {"url": "redis://h:7/1"}, ("h", 7, 1, "{mainspring}")),
        ((1,), {"url": "redis://h:7/1", "client_name": "jobs"}, ("h", 7, 1, "{mainspring}")),
        ((3,), {"url": "redis://h:7", "password": "word"}, ("h", 7, 3, "{mainspring}")),
        ((), {"url": "redis://u:word@h:7/1", "password": None}, ("h", 7, 1, "{mainspring}")),
        ((), {"url": "redis://u:p@ss@h:7/1"}, ("h", 7, 1, "{mainspring}")),
        ((), {"url": "redis://u:p%2Fs%40s@h:7/"}, ("h", 7, 0, "{mainspring}")),
    ],
)
def test_where_it_goes(positional: tuple[Any, ...], named: dict[str, Any], expected: tuple[Any, ...]) -> None:
    assert place(RedisJobStore(*positional, **named)) == expected


def test_a_protocol_by_position_means_pickles_as_by_name() -> None:
    for store in (RedisJobStore(0, "a", "b", 4), RedisJobStore(pickle_protocol=4)):
        assert store._serializer.serializer == "pickle"


@pytest.mark.parametrize(
    ("positional", "named", "message"),
    [
        ((-1,), {}, "db must be the number of a database, or None, got -1"),
        ((True,), {}, "db must be the number of a database, or None, got True"),
        (("team-a",), {}, "got str; names of keys are given as jobs_key="),
        (("redis://:secret@h",), {}, "give a URL as url="),
        ((CLIENT,), {}, "as the second argument"),
        ((2, CLIENT), {"client": CLIENT}, "two clients"),
        ((2, CLIENT, "team-a"), {}, "by position behind a client, got 'team-a': .* jobs_key="),
        ((2, "a", "b", 4, 5), {}, "at most db, jobs_key, run_times_key, pickle_protocol .* got 5"),
        ((2, "a"), {"jobs_key": "b"}, "jobs_key was given twice"),
        ((2, 3), {}, "client must be a client of redis-py .* got builtins.int"),
        ((), {"client": "redis://:secret@h"}, "client is a URL: give it as url="),
        ((), {"client": CLIENT, "port": 1}, "leave out port"),
        ((), {"client": CLIENT, "url": "redis://h"}, "leave out url"),
        ((), {"jobs_key": 5}, "jobs_key must be text, .* got 5"),
        ((), {"jobs_key": CLIENT}, "jobs_key must be text, .* got a client; give it as client="),
        ((), {"jobs_key": ""}, "jobs_key must be text"),
        ((), {"jobs_key": " "}, "jobs_key must be text, .* got ' '"),
        ((), {"jobs_key": "{}x"}, "no hash tag"),
        ((), {"hots": "localhost"}, "'hots'; did you mean 'host'"),
        ((), {"prot": 1}, "'prot'; did you mean 'port'"),
        ((), {"poll_interval": 0}, "poll_interval must be a positive number"),
        ((), {"timeout": -1}, "timeout must be a positive number"),
        ((), {"serializer": "jsno"}, "did you mean 'json'"),
        ((), {"client": CLIENT.pipeline()}, "client must be a client of redis-py"),
        ((), {"client": redis.asyncio.Redis()}, "client must be a synchronous client"),
        ((), {"run_times_key": 5}, "run_times_key must be text"),
        ((), {"port": "abc"}, "port must be a number, got 'abc'"),
        ((), {"port": None}, "port must be a number, got None"),
        # Beside a URL.
        ((), {"url": "redis://h/1", "host": "x"}, "leave out host, or url"),
        ((), {"url": "redis://h", "port": 7, "ssl": True}, "leave out port, ssl, or url"),
        ((), {"url": "redis://:secret@h", "password": "secret"}, "leave out password, or url"),
        ((), {"url": "unix:///socket", "unix_socket_path": "/other"}, "leave out unix_socket_path, or url"),
        ((3,), {"url": "redis://h/1"}, "the url names database 1, and db is 3"),
        ((0,), {"url": "redis://h?db=1"}, "the url names database 1, and db is 0"),
        # What is no URL of a Redis, or one of which a half would be passed over.
        ((), {"url": 5}, "url must be text, got int"),
        ((), {"url": "postgresql://u:secret@h/d"}, "it begins with 'postgresql://', expected 'redis://"),
        ((), {"url": "h:6379"}, "url is not understood: expected 'redis://"),
        ((), {"url": "redis://u:secret@h:port/0"}, "have to be quoted"),
        ((), {"url": "redis://u:secret/2@h:7/0"}, "have to be quoted: urllib.parse.quote"),
        ((), {"url": "redis://u:12/secret@h:7/0"}, "have to be quoted"),
        ((), {"url": "redis://u:12#secret@h:7/0"}, "have to be quoted"),
        ((), {"url": "redis://h:7/jobs"}, "url is not understood"),
    ],
)
def test_what_makes_no_sense_is_refused(
    positional: tuple[Any, ...], named: dict[str, Any], message: str
) -> None:
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        RedisJobStore(*positional, **named)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_it_says_where_it_is_and_no_password() -> None:
    store = RedisJobStore(url="redis://user:secret@h:7/1")
    assert repr(store) == str(store) == "<RedisJobStore: job store on Redis at h:7, database 1>"
    others = SQLAlchemyJobStore(url="postgresql+psycopg://user:secret@h:7/d")
    assert "h:7/d" in repr(others)
    assert "secret" not in repr(others)


@pytest.mark.parametrize("store", [RedisJobStore(), SQLAlchemyJobStore(url="sqlite:///jobs.sqlite")])
def test_a_store_is_not_pickled(store: RedisJobStore | SQLAlchemyJobStore) -> None:
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match=r"cannot be pickled, nor copied: .* make one there"):
            attempt(store)


@pytest.mark.parametrize(
    "make", [RedisJobStore, lambda **given: SQLAlchemyJobStore(url="sqlite://", **given)]
)
def test_no_keys_to_sign_with_are_not_an_empty_list_of_them(make: Any) -> None:
    empty: list[Any] = [[], ()]
    for keys in empty:
        with pytest.raises(ValueError, match="signing_keys is empty"):
            make(signing_keys=keys)
    make(signing_keys=None)
    make()
