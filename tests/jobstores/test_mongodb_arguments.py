"""What the MongoDB store's constructor takes, in which order, and what it says about what makes no sense. No server is asked."""

import copy
import pickle
import subprocess
import sys
from typing import Any

import pymongo
import pytest
from mainspring.jobstores.mongodb import MongoDBJobStore
from mainspring.jobstores.mongodb.link import Link

CLIENT: Any = pymongo.MongoClient("h", 7, connect=False)


def place(store: MongoDBJobStore) -> tuple[str, str]:
    """Where a store would go: its server, and its collection."""
    link: Any = store._link
    link.open()
    told = str(link)
    link.close()
    return told.partition(" at ")[2].partition(",")[0], link.full_name


@pytest.mark.parametrize(
    ("positional", "named", "expected"),
    [
        ((), {}, ("localhost:27017", "mainspring.jobs")),
        # As programs for APScheduler 3 have it.
        (("a", "b"), {"host": "h", "port": 7}, ("h:7", "a.b")),
        (("a", "b", None, 4), {"host": "h", "port": "7"}, ("h:7", "a.b")),
        (("a", "b", CLIENT), {}, ("h:7", "a.b")),
        ((), {"client": CLIENT}, ("h:7", "mainspring.jobs")),
        ((), {"client": "tests.jobstores.test_mongodb_arguments:CLIENT"}, ("h:7", "mainspring.jobs")),
        ((), {"host": "mongodb://u:word@h:7/admin"}, ("h:7", "mainspring.jobs")),
        (("a",), {"url": "mongodb://u:word@h:7/?authSource=x", "tls": True}, ("h:7", "a.jobs")),
        (
            (),
            {"url": "mongodb://u:p%40ss@h:7,i:8/?replicaSet=r", "collection": "a.b"},
            ("h:7", "mainspring.a.b"),
        ),
    ],
)
def test_where_it_goes(positional: tuple[Any, ...], named: dict[str, Any], expected: tuple[Any, ...]) -> None:
    assert place(MongoDBJobStore(*positional, **named)) == expected


def test_its_own_client_does_not_wait_longer_than_it_is_told_nor_repeats_writes() -> None:
    store = MongoDBJobStore(timeout=3)
    store._link.open()
    options = store._link.collection.database.client.options
    assert options.server_selection_timeout == 3
    assert options.pool_options.socket_timeout == 3
    assert options.retry_writes is False
    concern = store._link.collection.write_concern.document
    assert concern == {"w": "majority", "j": True}
    store.shutdown()


@pytest.mark.parametrize(
    ("positional", "named", "error", "message"),
    [
        ((), {"hots": "h"}, TypeError, "Unknown argument of MongoDBJobStore: 'hots'"),
        ((), {"maxPoolsiez": 3}, TypeError, "did you mean 'maxpoolsize'"),
        ((), {"host": 5}, TypeError, "the arguments of the connection are not understood"),
        ((), {"port": "x"}, TypeError, "port"),
        ((), {"maxPoolSize": "many"}, ValueError, "maxPoolSize"),
        ((), {"host": "h", "tls": "yes"}, ValueError, "value of tls must be"),
        ((), {"url": 5}, TypeError, "url must be text, got int"),
        ((), {"url": "h:7"}, ValueError, "url must begin with 'mongodb://'"),
        ((), {"url": "redis://h"}, ValueError, "url is not understood: expected 'mongodb://HOST:PORT'"),
        ((), {"url": "mongodb://h", "host": "i"}, TypeError, "leave out host, or url"),
        ((), {"client": CLIENT, "host": "i"}, TypeError, "leave out host, or make the client with them"),
        ((), {"client": CLIENT, "url": "mongodb://h"}, TypeError, "leave out url"),
        ((), {"client": "mongodb://h"}, TypeError, "give it as url=..."),
        ((), {"client": "tests.jobstores.test_mongodb_arguments:place"}, TypeError, "got builtins.function"),
        ((), {"client": pymongo.AsyncMongoClient(connect=False)}, TypeError, "must be a synchronous client"),
        (
            (CLIENT,),
            {},
            TypeError,
            "database must be the name of a database, got MongoClient: give a client as client",
        ),
        (("mongodb://h",), {}, TypeError, "got a URL: give it as url=..."),
        ((5,), {}, TypeError, "got 5"),
        (("",), {}, TypeError, "got an empty text"),
        (("a b",), {}, ValueError, "are to name a database and a collection"),
        (("a", "$b"), {}, ValueError, "are to name a database and a collection"),
        ((), {"timeout": 0}, ValueError, "timeout must be a positive number of seconds"),
        ((), {"poll_interval": True}, ValueError, "poll_interval must be a positive number"),
        ((), {"serializer": "xml"}, ValueError, "serializer"),
    ],
)
def test_what_makes_no_sense_is_refused_at_once(
    positional: tuple[Any, ...], named: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        MongoDBJobStore(*positional, **named)


@pytest.mark.parametrize(
    "named",
    [
        {"url": "mongodb://me:s/cret@h"},
        {"url": "mongodb://me:s@cret@h"},
        {"url": "mongodb://me:s:cret@h"},
        {"url": "mongodb://me:cret@h:port"},
        {"host": "mongodb://me:cret@h:7,,"},
        {"username": "me", "password": "cret", "authMechanism": "cret"},
        {"database": "mongodb://me:cret@h"},
        {"client": "mongodb://me:cret@h"},
    ],
)
def test_passwords_are_not_told(named: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        MongoDBJobStore(**named)
    shown = f"{caught.value!r} {caught.value.__cause__!r}"
    if not caught.value.__suppress_context__:
        shown += repr(caught.value.__context__)
    assert "cret" not in shown


def test_its_repr_tells_where_it_is_and_nothing_secret() -> None:
    store = MongoDBJobStore("a", "b", url="mongodb://me:secret@h:7/", appname="x")
    store._link.open()
    assert repr(store) == "<MongoDBJobStore: job store on MongoDB at h:7, collection a.b>"
    store.shutdown()
    given: Any = pymongo.MongoClient("mongodb://me:secret@h:7/", connect=False)
    assert repr(MongoDBJobStore(client=given)) == (
        "<MongoDBJobStore: job store on MongoDB at h:7, collection mainspring.jobs>"
    )


def test_a_name_that_would_have_to_be_looked_up_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "mainspring.jobstores.mongodb.arguments.new_client", lambda *_: pytest.fail("looked up")
    )
    MongoDBJobStore(url="mongodb+srv://cluster.example.org/")


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, pickle.dumps])
def test_it_cannot_be_copied(make: Any) -> None:
    with pytest.raises(TypeError, match="a MongoDBJobStore cannot be pickled, nor copied"):
        make(MongoDBJobStore())


def test_it_is_shared_and_polled() -> None:
    store = MongoDBJobStore(poll_interval=7)
    assert (store.shared, store.poll_interval) == (True, 7)
    assert isinstance(store._link, Link)


def test_without_pymongo_the_error_says_what_to_install() -> None:
    program = "import sys; sys.modules['pymongo'] = None; import mainspring.jobstores.mongodb"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert 'pip install "mainspring[mongodb]"' in ran.stderr
    assert "ImportError" in ran.stderr
