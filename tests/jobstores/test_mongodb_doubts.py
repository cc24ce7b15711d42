"""The MongoDB store when an answer gets lost, and others go on with what it was about before it is asked for again."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import pytest
from mainspring.jobstores import edits
from mainspring.jobstores.mongodb import MongoDBJobStore
from mainspring.jobstores.uncertain import UncertainWriteError

from tests.jobstores.driving import (
    claim,
    claim_once,
    every,
    finish,
    ids_of,
    insert,
    micros,
    new_job,
    once,
    record_of,
    waiting_run,
)
from tests.jobstores.mongodb_proxy import MongoProxy
from tests.jobstores.on_mongodb import Place, known, place_on
from tests.servers import Server


@pytest.fixture
def place(mongodb_server: Server) -> Iterator[Place]:
    with place_on(mongodb_server.url) as place:
        yield place


@pytest.fixture
def proxy(place: Place) -> Iterator[MongoProxy]:
    port = urlsplit(place.url).port
    assert port is not None
    proxy = MongoProxy(port)
    yield proxy
    proxy.close()


@pytest.fixture
def store(place: Place, proxy: MongoProxy) -> MongoDBJobStore:
    """A store behind the proxy."""
    return place.open(proxy.url)


@pytest.fixture
def other(place: Place) -> MongoDBJobStore:
    """Another scheduler's, whose connection loses nothing."""
    return place.open()


def after_the_loss(store: MongoDBJobStore, proxy: MongoProxy, act: Callable[[], Any]) -> None:
    """Have this happen between the loss of an answer and what the store asks next."""
    write, done = store._link.write, [False]

    def write_and_then(call: Callable[[Any], Any]) -> Any:
        armed = not proxy.has_lost
        try:
            return write(call)
        finally:
            if armed and proxy.has_lost and not done[0]:
                done[0] = True
                act()

    store._link.write = write_and_then  # type: ignore[method-assign]


def test_a_run_that_was_asked_for_is_run_once_though_others_take_it_before_that_is_known(
    store: MongoDBJobStore, other: MongoDBJobStore, proxy: MongoProxy
) -> None:
    insert(store, new_job("a", 3600, every(3600)))
    taken: list[Any] = []
    proxy.lose_commands(("update", "reply"))
    after_the_loss(store, proxy, lambda: taken.extend(claim(other).claims))
    try:
        store.write("a", lambda record: edits.run_now(record, waiting_run(5), store.owner.stamp()))
    except UncertainWriteError:
        pass
    assert len(taken) == 1
    finish(other, *taken)
    assert claim(other).claims == []
    assert record_of(other, "a").runs == ()


@pytest.mark.parametrize("ids", ["a", "ab"])
def test_a_job_that_has_run_already_when_its_addition_is_asked_for_again_is_not_added_again(
    store: MongoDBJobStore, other: MongoDBJobStore, proxy: MongoProxy, ids: str
) -> None:
    ran: list[str] = []

    def run_all() -> None:
        other._adding.sweep(10**18)
        other._adding.sweep(2 * 10**18)
        claims = claim(other).claims
        ran.extend(each.record.id for each in claims)
        finish(other, *claims)

    proxy.lose_commands(("update", "reply"))
    after_the_loss(store, proxy, run_all)
    try:
        insert(store, *(new_job(job_id, 0, once(0)) for job_id in ids))
    except UncertainWriteError:
        pass
    run_all()
    assert ran == [*ids]
    assert ids_of(other) == []


def test_a_replaced_job_that_has_run_already_is_not_added_again(
    store: MongoDBJobStore, other: MongoDBJobStore, proxy: MongoProxy
) -> None:
    insert(store, new_job("a", 0, once(0), max_instances=3))
    going_on = claim(other).claims  # it is over, and its run goes on
    ran: list[str] = []

    def run_all() -> None:
        claims = claim(other).claims
        ran.extend(each.record.id for each in claims)
        finish(other, *claims, *going_on)
        going_on.clear()

    proxy.lose_commands(("update", "reply"))
    after_the_loss(store, proxy, run_all)
    try:
        insert(store, new_job("a", 0, once(0), max_instances=3))
    except UncertainWriteError:
        pass
    run_all()
    assert ran == ["a"]
    assert ids_of(other) == []


def test_jobs_that_take_long_to_add_are_not_undone_meanwhile(
    store: MongoDBJobStore, other: MongoDBJobStore, proxy: MongoProxy
) -> None:
    # What sweeps here is the scheduler's own loop, and that of another process.
    write, times = store._link.write, iter(range(0, 10**9, 6_000_000))

    def slowly(call: Callable[[Any], Any]) -> Any:
        try:
            return write(call)
        finally:
            for sweeper in (store, other):
                for _ in range(5):
                    sweeper._adding.sweep(next(times))

    store._link.write = slowly  # type: ignore[method-assign]
    insert(store, *(new_job(job_id, 5) for job_id in "abc"))
    assert ids_of(other) == ["a", "b", "c"]


@pytest.mark.parametrize("goes_on", [True, False])
def test_the_last_run_of_a_job_ends_while_somebody_adds_another_of_its_id(
    place: Place, store: MongoDBJobStore, other: MongoDBJobStore, goes_on: bool
) -> None:
    insert(other, new_job("a", 0, once(0)), new_job("b", 0, every(60)))
    claims = claim(other).claims
    write, asked = store._link.write, count()

    def held(call: Callable[[Any], Any]) -> Any:
        answer = write(call)
        if next(asked) == 1:
            # It has staged what is new, and marked what is over.
            assert finish(other, *claims).removed == ["a"]
            if not goes_on:
                raise KeyboardInterrupt
        return answer

    store._link.write = held  # type: ignore[method-assign]
    if goes_on:
        insert(store, new_job("a", 5), new_job("c", 5))
        assert ids_of(other) == ["a", "b", "c"]
        return
    with pytest.raises(KeyboardInterrupt):
        insert(store, new_job("a", 5), new_job("c", 5))
    for now in (0, 60):
        other._adding.sweep(micros(now))
    assert set(place.documents()) == {"b"}


def test_a_run_that_is_won_beside_one_that_is_not_is_known_though_somebody_edits_its_job_at_once(
    store: MongoDBJobStore, other: MongoDBJobStore
) -> None:
    insert(other, new_job("a", 0, every(60)), new_job("b", 0, every(60)))
    known(store)
    write, read = store._link.write, store._writing.read

    def rename(job_id: str) -> None:
        job = other.lookup_job(job_id)
        assert job is not None
        job._modify(name="new")
        other.update_job(job)

    def late(call: Callable[[Any], Any]) -> Any:
        rename("b")
        return write(call)

    def later(job_ids: Any) -> Any:
        rename("a")
        return read(job_ids)

    store._link.write = late  # type: ignore[method-assign]
    store._writing.read = later  # type: ignore[method-assign]
    claims = claim_once(store).claims
    assert [(each.record.id, (each.run,)) for each in claims] == [("a", record_of(other, "a").runs)]
