"""How often the MongoDB store asks its server."""

from collections.abc import Iterator
from typing import Any

import pymongo
import pytest
from mainspring.jobstores.mongodb import MongoDBJobStore
from mainspring.jobstores.mongodb.link import Link
from mainspring.jobstores.mongodb.writing import BATCH
from pymongo import monitoring

from tests.jobstores.driving import NOW, claim, claim_once, every, finish, insert, micros, new_job, once
from tests.jobstores.on_mongodb import Place, known, place_on
from tests.servers import Server


class Counter(monitoring.CommandListener):
    """What a client asks for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.asked.append(event.command_name)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None: ...

    def failed(self, event: monitoring.CommandFailedEvent) -> None: ...

    def take(self) -> list[str]:
        asked, self.asked = self.asked, []
        return asked


@pytest.fixture
def place(mongodb_server: Server) -> Iterator[Place]:
    with place_on(mongodb_server.url) as place:
        yield place


@pytest.fixture
def counter() -> Counter:
    return Counter()


@pytest.fixture
def store(place: Place, counter: Counter) -> Iterator[MongoDBJobStore]:
    with pymongo.MongoClient[dict[str, Any]](place.url, event_listeners=[counter]) as client:
        yield place.opened(MongoDBJobStore(collection=place.name, client=client))


@pytest.fixture
def other(place: Place) -> MongoDBJobStore:
    return place.open()


def test_a_look_when_nothing_is_due_is_one(
    store: MongoDBJobStore, other: MongoDBJobStore, counter: Counter
) -> None:
    insert(other, *(new_job(f"{n:04}", 60 + n, executor=f"{n % 3}") for n in range(500)))
    counter.take()
    assert claim_once(store, NOW, {f"{n}": 10 for n in range(4)}).wake_at == micros(60)
    assert counter.take() == ["find"]
    store.overdue_executors(NOW)
    assert counter.take() == ["distinct"]


def test_a_batch_of_a_burst_is_three(
    store: MongoDBJobStore, other: MongoDBJobStore, counter: Counter
) -> None:
    insert(other, *(new_job(f"{n}", 0, every(60)) for n in range(900)))
    known(store)
    counter.take()
    claims = claim_once(store, wanted={"default": 900}).claims
    assert (len(claims), counter.take()) == (900, ["find", "update"])
    finish(store, *claims)
    assert counter.take() == ["update"]


def test_where_others_are_at_it_a_batch_is_four(
    store: MongoDBJobStore, other: MongoDBJobStore, counter: Counter
) -> None:
    insert(other, *(new_job(f"{n}", 0, once(0)) for n in range(300)))
    known(store)
    store._wary = 64
    counter.take()
    claims = claim_once(store, wanted={"default": 300}).claims
    assert (len(claims), counter.take()) == (300, ["find", "update", "update"])
    finish(store, *claims)
    assert counter.take() == ["delete"]


def test_what_others_were_faster_with_is_one_more(
    store: MongoDBJobStore, other: MongoDBJobStore, counter: Counter
) -> None:
    insert(other, *(new_job(f"{n}", 0, every(60)) for n in range(10)))
    known(store)
    known(other)
    commit = store._writing.commit

    def overtaken(*args: Any, **kwargs: Any) -> Any:
        assert len(claim(other, wanted={"default": 4}).claims) == 4
        return commit(*args, **kwargs)

    store._writing.commit = overtaken  # type: ignore[method-assign]
    counter.take()
    assert len(claim_once(store).claims) == 6
    assert counter.take() == ["find", "update", "find"]


def test_jobs_are_added_in_two_or_five(store: MongoDBJobStore, counter: Counter) -> None:
    counter.take()
    insert(store, new_job("a", 0))
    assert counter.take() == ["insert", "update"]
    insert(store, *(new_job(f"{n}", 0) for n in range(300)))
    assert counter.take() == ["insert", "update", "update", "delete"]


def test_a_server_is_asked_in_pages(store: MongoDBJobStore, other: MongoDBJobStore, counter: Counter) -> None:
    insert(other, *(new_job(f"{n}", 0, every(60)) for n in range(BATCH + 5)))
    known(store)
    counter.take()
    claims = claim_once(store, wanted={"default": BATCH + 5}).claims
    # The page, and what the cursor brings behind it.
    assert len(claims) == BATCH + 5
    assert counter.take().count("update") == 2
    finish(store, *claims)
    assert counter.take() == ["update", "update"]


def test_the_servers_clock_is_told(store: MongoDBJobStore, counter: Counter) -> None:
    told = store.server_time()
    assert told is not None
    before, after = (store.server_time() for _ in range(2))
    assert before is not None
    assert after is not None
    assert told <= before <= after
    assert told > 1_700_000_000_000_000


def test_the_stamp_of_nothing_is_asked_for_where_nothing_is_read(
    store: MongoDBJobStore, counter: Counter
) -> None:
    # What was claimed a moment ago need not be read for its end.
    insert(store, new_job("a", 0, every(60)))
    (won,) = claim(store).claims
    counter.take()
    finish(store, won)
    assert counter.take() == ["update"]
    assert isinstance(store._link, Link)
