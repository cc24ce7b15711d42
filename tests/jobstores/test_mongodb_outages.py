"""The MongoDB store when its server goes away, freezes, comes back, comes back with nothing, or has somebody else's data; and in a fork."""

import logging
import multiprocessing
import os
from collections.abc import Callable, Iterator
from threading import Event, Thread
from typing import Any

import pymongo
import pytest
from mainspring.jobstores.base import BaseJobStore, JobStoreError, StoreUnreachableError
from mainspring.jobstores.mongodb import MongoDBJobStore
from mainspring.jobstores.mongodb.layout import INDEXES
from mainspring.jobstores.uncertain import UncertainWriteError
from mainspring.scheduler.port import NOBODY
from pymongo.errors import AutoReconnect, OperationFailure

from tests.jobstores.driving import (
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
from tests.jobstores.on_mongodb import Place, known, place_on
from tests.servers import Server

SHORT = 0.5  # seconds


@pytest.fixture
def place(mongodb_server: Server) -> Iterator[Place]:
    with place_on(mongodb_server.url) as place:
        yield place


@pytest.fixture
def own(own_mongodb: Server) -> Iterator[Place]:
    place = Place(own_mongodb.url)
    yield place
    own_mongodb.thaw()
    place.close()


# -- the server ------------------------------------------------------------------------------------------------------


def test_a_server_that_is_down_is_unreachable(own_mongodb: Server, own: Place) -> None:
    store = own.open(timeout=SHORT)
    insert(store, new_job("a", 0))
    own_mongodb.kill()
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
        lambda: store.give_back([NOBODY]),
    ]
    for call in calls:
        with pytest.raises(StoreUnreachableError) as caught:
            call()
        assert isinstance(caught.value.__cause__, AutoReconnect)
        assert "Topology" not in str(caught.value)
    another = own.made(timeout=SHORT)
    with pytest.raises(StoreUnreachableError):
        another.start(None, "default")
    with pytest.raises(JobStoreError, match="is not started"):
        another.read_all()
    own_mongodb.start()
    # What was answered is in the file. Both go on, without being told.
    store._timeout = 10
    assert [won.record.id for won in eventually(lambda: claim(store)).claims] == ["a"]
    own.opened(another)
    assert ids_of(another) == ["a"]


def eventually(call: Callable[[], Any]) -> Any:
    """What a call answers once the driver has found the server again."""
    for _ in range(60):
        try:
            return call()
        except StoreUnreachableError:
            pass
    return call()


def test_a_frozen_server_is_waited_for_no_longer_than_the_timeout(own_mongodb: Server, own: Place) -> None:
    store = own.open(timeout=SHORT)
    insert(store, new_job("a", 0, every(60)))
    claims = claim(store).claims
    own_mongodb.freeze()
    failures: list[BaseException] = []
    done = Event()

    def calls() -> None:
        for call in (lambda: claim_once(store), lambda: finish(store, *claims), start_another):
            try:
                call()
            except BaseException as exc:
                failures.append(exc)
        done.set()

    def start_another() -> None:
        own.made(timeout=SHORT).start(None, "default")

    Thread(target=calls, daemon=True).start()
    assert done.wait(30)
    own_mongodb.thaw()
    assert len(failures) == 3
    assert all(isinstance(failure, StoreUnreachableError) for failure in failures)
    # To look and to connect writes nothing: there is no doubt about what was done.
    assert [type(failures[n]) for n in (0, 2)] == [StoreUnreachableError] * 2
    eventually(lambda: finish(store, *claims))
    assert record_of(store, "a").runs == ()


def test_a_claim_that_a_frozen_server_carries_out_late_is_accounted_for(
    own_mongodb: Server, own: Place
) -> None:
    store = own.open(timeout=SHORT)
    insert(store, new_job("a", 0, every(60)))
    known(store)
    commit = store._writing.commit

    def committing(*args: Any, **kwargs: Any) -> Any:
        own_mongodb.freeze()
        return commit(*args, **kwargs)

    store._writing.commit = committing  # type: ignore[method-assign]
    with pytest.raises(UncertainWriteError):
        claim_once(store)
    store._writing.commit = commit  # type: ignore[method-assign]
    own_mongodb.thaw()
    # Whether the server takes the late request first or the next one, exactly one claim stands in the end.
    (won,) = eventually(lambda: claim(store)).claims
    assert record_of(store, "a").runs == (won.run,)


def test_a_client_that_would_wait_for_ever_does_not(own_mongodb: Server, own: Place) -> None:
    with pymongo.MongoClient[dict[str, Any]](own.url) as client:
        store = own.opened(MongoDBJobStore(collection=own.name, client=client, timeout=SHORT))
        own_mongodb.freeze()
        with pytest.raises(StoreUnreachableError):
            ids_of(store)
        own_mongodb.thaw()


def test_a_server_that_comes_back_empty_is_used_as_it_is(place: Place) -> None:
    store = place.open()
    insert(store, new_job("a", 0))
    claims = claim(store).claims
    with place.collection() as collection:
        collection.drop()
    assert finish(store, *claims).removed == []
    assert claim(store).claims == []
    assert ids_of(store) == []
    insert(store, new_job("b", 0))
    assert [won.record.id for won in claim(store).claims] == ["b"]


# -- what stands there ---------------------------------------------------------------------------------------------------


def test_the_indexes_are_made_once(place: Place) -> None:
    place.open()
    place.open()
    with place.collection() as collection:
        assert {index["name"] for index in collection.list_indexes()} >= {*INDEXES}


def test_a_newer_layout_is_refused(place: Place) -> None:
    place.open()
    with place.collection() as collection:
        collection.update_one({"_id": "\0layout"}, {"$set": {"layout": 2}})
    with pytest.raises(
        JobStoreError, match=r"layout 2, and this version of the library knows layout 1: .*another collection"
    ):
        place.open()


def test_who_may_not_make_indexes_is_told_and_works(
    place: Place, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection_class: Any = pymongo.collection.Collection

    def denied(*_: Any, **__: Any) -> Any:
        raise OperationFailure(
            "not authorized on mainspring to execute command", 13, {"errmsg": "not authorized", "code": 13}
        )

    with monkeypatch.context() as patched, caplog.at_level(logging.WARNING):
        patched.setattr(collection_class, "list_indexes", denied)
        patched.setattr(collection_class, "create_indexes", denied)
        store = place.open()
        insert(store, new_job("a", 0))
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "mainspring_due" in warning
    assert [won.record.id for won in claim(store).claims] == ["a"]


def test_who_may_not_write_is_told_so(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    store = place.open()

    def denied(*_: Any, **__: Any) -> Any:
        raise OperationFailure("full text", 13, {"errmsg": "not authorized on mainspring", "code": 13})

    monkeypatch.setattr(pymongo.collection.Collection, "insert_many", denied)
    with pytest.raises(JobStoreError, match="not authorized on mainspring") as caught:
        insert(store, new_job("a", 0))
    assert not isinstance(caught.value, StoreUnreachableError)


@pytest.mark.parametrize("code", [91, 189, 10107, 11600, 13435, 14031, 50])
def test_a_server_that_cannot_write_now_is_tried_again_later(
    place: Place, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = place.open()

    def fail(*_: Any, **__: Any) -> Any:
        raise OperationFailure("not now", code, {"errmsg": "not now", "code": code})

    with monkeypatch.context() as patched:
        patched.setattr(pymongo.collection.Collection, "bulk_write", fail)
        with pytest.raises(StoreUnreachableError, match="not now"):
            store.give_back([NOBODY])
    store.give_back([NOBODY])


def test_a_server_that_is_too_old_is_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from mainspring.jobstores.mongodb.link import Link

    monkeypatch.setattr(Link, "hello", lambda self: {"maxWireVersion": 8})
    with pytest.raises(JobStoreError, match=r"older than MongoDB 4\.4"):
        place.open()


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
    answers.close()
    answers.join_thread()
    os._exit(0)  # without what the tests registered in the parent


@pytest.mark.filterwarnings("ignore:MongoClient opened before fork")
@pytest.mark.parametrize("given", [False, True])
def test_a_fork_needs_to_start_the_store_and_has_connections_of_its_own(place: Place, given: bool) -> None:
    client = pymongo.MongoClient[dict[str, Any]](place.url) if given else None
    store = place.opened(MongoDBJobStore(collection=place.name, client=client)) if client else place.open()
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
    if client is not None:
        store.shutdown()
        assert client.admin.command("ping")["ok"]
        client.close()
