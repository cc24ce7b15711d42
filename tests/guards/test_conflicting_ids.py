"""An id that is taken: found when the second job is added, or in `start()`, which then leaves everything as it was."""

from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from mainspring.events import EVENT_JOB_ADDED, EVENT_JOB_EXECUTED, EVENT_SCHEDULER_STARTED
from mainspring.jobstores.base import BaseJobStore, ConflictingIdError
from mainspring.jobstores.memory import MemoryJobStore

from tests.guards.faults import SCRIPTS, STORES, InjectedFault, ScriptedTrigger, failing
from tests.scheduler.watching import TIMEOUT, Heard, at, background, nothing, other, started, virtual

MINUTE = timedelta(minutes=1)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BaseJobStore:
    return STORES[request.param](tmp_path)


def filled(store: BaseJobStore, *ids: str) -> BaseJobStore:
    """The store with jobs of an earlier program in it."""
    with started(virtual(jobstores={"default": store})) as scheduler:
        scheduler.add_jobs(
            {"func": other, "trigger": "interval", "hours": 1, "id": job_id, "name": "stored"}
            for job_id in ids
        )
    return store


def test_among_pending_jobs_it_is_found_when_the_second_one_is_added() -> None:
    scheduler = virtual()
    scheduler.add_job(nothing, "interval", minutes=1, id="x", name="first")
    with pytest.raises(ConflictingIdError, match=r"Job identifier \(x\) conflicts with an existing job"):
        scheduler.add_job(nothing, "interval", minutes=2, id="x", name="second")
    assert [job.name for job in scheduler.get_jobs()] == ["first"]
    with started(scheduler):
        assert [job.name for job in scheduler.get_jobs()] == ["first"]


def test_among_pending_jobs_add_jobs_adds_all_or_none() -> None:
    scheduler = virtual()
    scheduler.add_job(nothing, id="x")
    with pytest.raises(ConflictingIdError):
        scheduler.add_jobs({"func": nothing, "id": job_id} for job_id in ("a", "x", "b"))
    with pytest.raises(ConflictingIdError):
        scheduler.add_jobs({"func": nothing, "id": job_id} for job_id in ("a", "b", "a"))
    assert [job.id for job in scheduler.get_jobs()] == ["x"]


def test_the_same_id_in_two_stores_is_no_conflict() -> None:
    scheduler = virtual(jobstores={"one": MemoryJobStore(), "two": MemoryJobStore()})
    scheduler.add_job(nothing, "interval", minutes=1, id="x", jobstore="one")
    scheduler.add_job(other, "interval", minutes=1, id="x", jobstore="two")
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.advance(MINUTE)
    assert [event.jobstore for event in heard.of(EVENT_JOB_EXECUTED, "x")] == ["one", "two"]


def test_a_pending_job_replaces_a_pending_one() -> None:
    scheduler = virtual()
    scheduler.add_job(nothing, "interval", minutes=1, id="x", name="first")
    scheduler.add_job(nothing, "interval", minutes=1, id="y")
    scheduler.add_job(nothing, "interval", minutes=2, id="x", name="second", replace_existing=True)
    assert [(job.id, job.name) for job in scheduler.get_jobs()] == [("y", "nothing"), ("x", "second")]
    with started(scheduler):
        assert sorted((job.id, job.name) for job in scheduler.get_jobs()) == [
            ("x", "second"),
            ("y", "nothing"),
        ]


def test_with_a_stored_job_start_raises_and_nothing_is_half_done(store: BaseJobStore) -> None:
    scheduler = virtual(jobstores={"good": MemoryJobStore(), "default": filled(store, "x")})
    heard = Heard(scheduler)
    scheduler.add_job(nothing, "date", run_date=at(1), id="a", jobstore="good")
    scheduler.add_job(nothing, "date", run_date=at(1), id="b")
    scheduler.add_job(nothing, "date", run_date=at(1), id="x")
    scheduler.add_job(nothing, "date", run_date=at(1), id="c")
    for _ in range(2):
        with pytest.raises(ConflictingIdError):
            scheduler.start()
        assert not scheduler.running
        assert [(job.id, job.pending) for job in scheduler.get_jobs()] == [
            ("a", True),
            ("b", True),
            ("x", True),
            ("c", True),
        ]
        assert not heard.of(EVENT_JOB_ADDED | EVENT_SCHEDULER_STARTED)
    scheduler.remove_job("x")
    with started(scheduler):
        scheduler.advance(timedelta(seconds=1))
        assert [heard.seconds(job_id) for job_id in "abc"] == [[1], [1], [1]]
        job = scheduler.get_job("x")
        assert job is not None
        assert job.name == "stored"


def test_start_replaces_a_stored_job_only_if_it_is_told_to(store: BaseJobStore) -> None:
    scheduler = virtual(jobstores={"default": filled(store, "x", "y")})
    scheduler.add_job(nothing, "interval", minutes=1, id="x", name="new", replace_existing=True)
    scheduler.add_job(nothing, "interval", minutes=1, id="z", name="new", replace_existing=True)
    with started(scheduler):
        assert sorted((job.id, job.name) for job in scheduler.get_jobs()) == [
            ("x", "new"),
            ("y", "stored"),
            ("z", "new"),
        ]


def test_a_start_that_fails_behind_a_replacement_can_be_tried_again(store: BaseJobStore) -> None:
    scheduler = virtual(jobstores={"default": filled(store, "x")})
    scheduler.add_job(nothing, "interval", minutes=1, id="a")
    scheduler.add_job(nothing, "interval", minutes=1, id="x", replace_existing=True)
    scheduler.add_job(nothing, "interval", minutes=1, id="b")
    for method in ("write", "insert"):
        with failing(store, method), pytest.raises(InjectedFault):
            scheduler.start()
        assert [job.id for job in scheduler.get_jobs(pending=True)] == ["a", "x", "b"]
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.advance(MINUTE)
        assert [heard.seconds(job_id) for job_id in ("a", "x", "b")] == [[60], [60], [60]]


def test_add_jobs_to_a_running_scheduler_adds_all_or_none(store: BaseJobStore) -> None:
    with started(virtual(jobstores={"default": filled(store, "x"), "more": MemoryJobStore()})) as scheduler:
        heard = Heard(scheduler)

        def new(job_id: str, jobstore: str = "default", **more: Any) -> dict[str, Any]:
            return {"func": nothing, "id": job_id, "name": "new", "jobstore": jobstore, **more}

        for news in (
            [new("a", "more"), new("b"), new("x")],
            [new("a"), new("b", "more"), new("a")],
            [new("x", replace_existing=True), new("c", "more"), new("x")],
        ):
            with pytest.raises(ConflictingIdError):
                scheduler.add_jobs(news)
            assert [(job.id, job.name) for job in scheduler.get_jobs()] == [("x", "stored")]
        assert not heard.of(EVENT_JOB_ADDED)


def test_of_two_definitions_of_one_id_in_one_call_the_last_one_counts(store: BaseJobStore) -> None:
    with started(virtual(jobstores={"default": filled(store, "x")})) as scheduler:
        jobs = scheduler.add_jobs(
            {"func": nothing, "trigger": "interval", "hours": hours, "id": job_id, "replace_existing": True}
            for job_id in ("x", "new")
            for hours in (2, 3)
        )
        assert [job.id for job in jobs] == ["x", "x", "new", "new"]
        assert sorted((job.id, str(job.trigger)) for job in scheduler.get_jobs()) == [
            ("new", "interval[3:00:00]"),
            ("x", "interval[3:00:00]"),
        ]


def test_of_two_threads_that_add_one_id_one_adds_it(store: BaseJobStore) -> None:
    scheduler, _ = background(jobstores={"default": store})
    with started(scheduler):
        for number in range(20):
            told: list[object] = []

            def add(job_id: str = str(number), told: list[object] = told) -> None:
                try:
                    told.append(scheduler.add_job(nothing, "interval", minutes=1, id=job_id))
                except ConflictingIdError as exc:
                    told.append(exc)

            threads = [Thread(target=add) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(TIMEOUT)
            assert sorted(type(each).__name__ for each in told) == ["ConflictingIdError", "Job"]


def test_a_conflict_that_comes_up_while_it_starts(store: BaseJobStore) -> None:
    """A job is added by what the start calls: a trigger that is bound, here."""
    scheduler = virtual(jobstores={"default": filled(store, "x")})

    def script(previous: Any, now: Any) -> Any:
        if previous is None and not scheduler.get_jobs(pending=True)[1:]:
            scheduler.add_job(nothing, id="x")
        return at(60)

    SCRIPTS["x"] = script
    scheduler.add_job(nothing, ScriptedTrigger("x"), id="adds")
    with pytest.raises(ConflictingIdError):
        scheduler.start()
    assert not scheduler.running
    assert "x" in [job.id for job in scheduler.get_jobs(pending=True)]
    scheduler.remove_job("x")
    with started(scheduler):
        assert sorted(job.id for job in scheduler.get_jobs()) == ["adds", "x"]
    SCRIPTS.clear()
