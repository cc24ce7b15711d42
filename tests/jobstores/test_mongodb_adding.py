"""How the MongoDB store adds jobs: all or none, whoever else is at it, and whoever dies in the middle."""

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from mainspring.jobstores.base import ConflictingIdError, JobStoreError, StoreUnreachableError
from mainspring.jobstores.mongodb import MongoDBJobStore, adding

from tests.jobstores.driving import (
    claim,
    every,
    finish,
    ids_of,
    insert,
    micros,
    new_job,
    once,
    record_of,
)
from tests.jobstores.on_mongodb import Place, place_on
from tests.servers import Server

STEPS = ("_meet", "_complete", "_finish")


@pytest.fixture
def place(mongodb_server: Server) -> Iterator[Place]:
    with place_on(mongodb_server.url) as place:
        yield place


def ended_with_a_run(store: MongoDBJobStore, job_id: str) -> Any:
    """A one-off that runs: its record is over. Its run."""
    insert(store, new_job(job_id, 0, once(0)))
    (won,) = claim(store).claims
    return won


def die_at(step: str, store: MongoDBJobStore, ids: str) -> None:
    """Add jobs, and die in the middle: when all are staged; or are complete; or before anything that is there is looked at."""

    def die(*_: Any, **__: Any) -> Any:
        os._exit(9)

    if step == "_finish":
        adding._finish = die
    else:
        setattr(adding._Batch, step, die)
    store.start(None, "default")
    insert(store, *(new_job(job_id, 5, every(60, 5)) for job_id in ids))


def killed(store: MongoDBJobStore, step: str, ids: str) -> None:
    child = multiprocessing.get_context("fork").Process(target=die_at, args=(step, store, ids))
    child.start()
    child.join(30)
    assert child.exitcode == 9


@pytest.mark.parametrize("step", ["_complete", "_finish", "_reveal"])
def test_who_is_killed_has_added_all_or_none(place: Place, step: str) -> None:
    ids = "a" if step == "_reveal" else "abc"
    killed(place.made(), step, ids)
    added = step == "_finish"
    # Nobody sees half of them meanwhile: neither by their ids, nor among all, nor among what is due.
    with place.collection() as collection:
        assert collection.count_documents({"adding": {"$exists": True}}) >= len(ids)
        assert collection.count_documents({"stamp": {"$exists": True}}) == 0
    # Whoever starts next finishes it, or takes it away.
    store = place.open()
    assert ids_of(store) == ([*ids] if added else [])
    assert set(place.documents()) == ({*ids} if added else set())
    if added:
        assert [won.record.id for won in claim(store, micros(5)).claims] == [*ids]
    else:
        insert(store, *(new_job(job_id, 5) for job_id in ids))
        assert ids_of(store) == [*ids]


@pytest.mark.parametrize("step", ["_complete", "_finish"])
def test_a_scheduler_that_goes_on_finds_it(place: Place, step: str) -> None:
    store = place.open()
    store.recover(micros(0))
    killed(place.made(), step, "abc")
    assert ids_of(store) == []
    store.recover(micros(6))
    assert ids_of(store) == (["a", "b", "c"] if step == "_finish" else [])
    assert all("adding" not in document for document in place.documents().values())


@pytest.mark.parametrize("step", ["_complete", "_finish"])
def test_who_needs_the_id_does_not_wait_for_the_dead(place: Place, step: str) -> None:
    store = place.open()
    killed(place.made(), step, "abc")
    if step == "_finish":
        with pytest.raises(ConflictingIdError):
            insert(store, new_job("b", 7))
        assert ids_of(store) == ["a", "b", "c"]
    else:
        insert(store, new_job("b", 7), new_job("d", 7))
        assert ids_of(store) == ["b", "d"]


@pytest.mark.parametrize("complete", [False, True])
def test_of_somebody_on_another_host_it_is_known_after_a_while(
    place: Place, complete: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adding, "is_gone", lambda owner: False)
    killed(place.made(), "_finish" if complete else "_complete", "abc")
    store = place.open()
    store.recover(micros(0))
    assert ids_of(store) == []
    store.recover(micros(adding.LEFT_AFTER / 1e6 - 1))
    assert ids_of(store) == []
    store.recover(micros(adding.LEFT_AFTER / 1e6 + 6))
    assert ids_of(store) == (["a", "b", "c"] if complete else [])


def test_who_was_slow_and_has_been_undone_begins_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    store, other = place.open(), place.open()
    complete = adding._Batch._complete

    def late(batch: Any) -> bool:
        monkeypatch.setattr(adding._Batch, "_complete", complete)
        other._adding.sweep(0)
        other._adding.sweep(adding.LEFT_AFTER)
        return complete(batch)

    monkeypatch.setattr(adding._Batch, "_complete", late)
    insert(store, new_job("a", 5), new_job("b", 5))
    assert ids_of(other) == ["a", "b"]
    assert all("adding" not in document for document in place.documents().values())


def test_who_was_slow_and_has_been_finished_is_done(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    store, other = place.open(), place.open()
    finish_ = adding._finish

    def late(*args: Any, **kwargs: Any) -> None:
        monkeypatch.setattr(adding, "_finish", finish_)
        other._adding.sweep(0)
        other._adding.sweep(adding.LEFT_AFTER)
        other.remove_job("a")
        finish_(*args, **kwargs)

    monkeypatch.setattr(adding, "_finish", late)
    insert(store, new_job("a", 5), new_job("b", 5))
    assert ids_of(other) == ["b"]


def test_an_id_that_is_taken_leaves_nothing_of_the_others(place: Place) -> None:
    store = place.open()
    insert(store, new_job("c", 5))
    with pytest.raises(ConflictingIdError) as caught:
        insert(store, *(new_job(job_id, 5) for job_id in "abcd"))
    assert caught.value.job_id == "c"
    assert set(place.documents()) == {"c"}


def test_those_that_are_over_are_replaced_with_the_others_or_stay(place: Place) -> None:
    store = place.open()
    runs = [ended_with_a_run(store, job_id) for job_id in "ab"]
    insert(store, new_job("taken", 5))
    with pytest.raises(ConflictingIdError):
        insert(store, *(new_job(job_id, 5) for job_id in ("a", "b", "c", "taken")))
    assert {job_id: record_of(store, job_id).state for job_id in "ab"} == {"a": "ended", "b": "ended"}
    assert all("adding" not in document for document in place.documents().values())
    insert(store, *(new_job(job_id, 5, every(60, 5)) for job_id in "abc"))
    assert ids_of(store) == ["a", "b", "c", "taken"]
    # The old runs have moved along, and end like any others.
    assert [len(record_of(store, job_id).runs) for job_id in "abc"] == [1, 1, 0]
    finish(store, *runs)
    assert [len(record_of(store, job_id).runs) for job_id in "abc"] == [0, 0, 0]
    job = store.lookup_job("a")
    assert job is not None
    job._modify(name="new")
    store.update_job(job)


def test_one_that_is_over_and_marked_does_not_vanish_before_it_is_replaced(place: Place) -> None:
    store, other = place.open(), place.open()
    won = ended_with_a_run(store, "a")
    complete = adding._Batch._complete
    removed: list[str] = []

    def ends(batch: Any) -> bool:
        removed.extend(finish(other, won).removed)
        return complete(batch)

    adding._Batch._complete = ends  # type: ignore[method-assign, assignment]
    try:
        insert(store, new_job("a", 5), new_job("b", 5))
    finally:
        adding._Batch._complete = complete  # type: ignore[method-assign]
    assert removed == ["a"]
    assert ids_of(other) == ["a", "b"]
    assert record_of(other, "a").runs == ()


def test_one_alone_that_is_over_is_replaced(place: Place) -> None:
    store = place.open()
    won = ended_with_a_run(store, "a")
    insert(store, new_job("a", 5))
    assert ids_of(store) == ["a"]
    assert record_of(store, "a").runs[0].incarnation == won.record.incarnation


@pytest.mark.parametrize("size", [1, 3])
def test_of_many_that_add_the_same_jobs_one_does(place: Place, size: int) -> None:
    stores = [place.open() for _ in range(4)]
    barrier = Barrier(4)

    def add(number: int) -> bool:
        jobs = [new_job(f"{n}", 5, name=f"{number}") for n in range(size)]
        barrier.wait(10)
        try:
            insert(stores[number], *jobs)
        except ConflictingIdError:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(add, range(4))) == 1
    names = {job.name for job in stores[0].get_all_jobs()}
    assert len(names) == 1
    assert len(place.documents()) == size


def test_nothing_is_added_where_nothing_is_given(place: Place) -> None:
    store = place.open()
    store.insert([])
    assert place.documents() == {}


def test_what_is_too_large_is_refused_and_leaves_nothing(place: Place) -> None:
    store = place.open()
    large = new_job("large", 5, args=["x" * (17 << 20)])
    for jobs in ([large], [new_job("small", 5), large]):
        with pytest.raises(JobStoreError, match="at most 16 MB in a document") as caught:
            insert(store, *jobs)
        assert not isinstance(caught.value, StoreUnreachableError)
        assert place.documents() == {}


def test_a_job_that_is_added_while_it_is_staged_by_somebody_else_waits_for_him(place: Place) -> None:
    store, other = place.open(), place.open()
    complete = adding._Batch._complete
    with ThreadPoolExecutor(1) as threads:
        waiting: list[Any] = []

        def crossed(batch: Any) -> bool:
            adding._Batch._complete = complete  # type: ignore[method-assign]
            waiting.append(threads.submit(insert, other, new_job("b", 5, name="other")))
            return complete(batch)

        adding._Batch._complete = crossed  # type: ignore[method-assign, assignment]
        insert(store, new_job("a", 5), new_job("b", 5))
        with pytest.raises(ConflictingIdError):
            waiting[0].result(30)
    assert ids_of(store) == ["a", "b"]
