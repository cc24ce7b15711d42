"""The memory store: the contract, and what only it promises."""

import threading
from typing import Any

import pytest
from mainspring.jobstores import edits
from mainspring.jobstores.memory import MemoryJobStore
from mainspring.jobstores.record import Plan
from mainspring.scheduler.background import BackgroundScheduler

from tests.jobstores.contract import JobStoreContract
from tests.jobstores.contract_base import NewStore
from tests.jobstores.driving import (
    NOW,
    at,
    claim,
    claim_once,
    every,
    finish,
    insert,
    micros,
    new_job,
    once,
    record_of,
)
from tests.jobstores.samples import EveryMinute, work


class TestMemoryJobStore(JobStoreContract):
    @pytest.fixture
    def new_store(self) -> NewStore:
        return MemoryJobStore


@pytest.fixture
def store() -> MemoryJobStore:
    return MemoryJobStore()


def test_the_job_that_was_added_is_the_stored_one_and_follows(store: MemoryJobStore) -> None:
    job = new_job("a", 0, every(60))
    insert(store, job)
    assert store.lookup_job("a") is job
    assert store.get_all_jobs()[0] is job
    claims = claim(store).claims
    assert claims[0].job is job
    assert job.next_run_time == at(60)
    finish(store, *claims)
    clone = job._clone()
    clone._modify(name="new", kwargs={"k": 1})
    seen = record_of(store, "a")
    store.write(
        "a",
        lambda record: edits.edit_schedule(
            record, seen, Plan(None, NOW, "paused"), revision=1, stamp="s", payload=store.pack(clone)
        ),
    )
    assert (job.name, job.kwargs) == ("new", {"k": 1})
    assert job.next_run_time is None
    assert store.lookup_job("a") is job
    store.remove_job("a")
    assert job.next_run_time is None


def test_any_callable_and_any_argument_will_do(store: MemoryJobStore) -> None:
    lock = threading.Lock()
    insert(store, new_job("a", 0, func=lambda lock: lock, args=[lock]))
    (won,) = claim(store).claims
    assert won.job.func(*won.job.args) is lock


def test_a_record_keeps_no_second_job(store: MemoryJobStore) -> None:
    job = new_job("a", 0)
    insert(store, job)
    changed = job._clone()
    changed._modify(name="new")
    store.update_job(changed)
    assert record_of(store, "a").payload is None


def test_moving_jobs_leaves_no_pile_behind(store: MemoryJobStore) -> None:
    """Outdated entries of the timetable are thrown away before they outnumber the jobs by more than a constant."""
    insert(store, *(new_job(f"{n}", 1_000 + n) for n in range(10)))
    for move in range(500):
        for number in range(10):
            job = store.lookup_job(f"{number}")
            assert job is not None
            job._modify(next_run_time=at(2_000 + move * 10 + number))
            store.update_job(job)
    assert store._timetables["default"].size < 10 * 2 + 1_100
    assert claim(store, NOW).wake_at == micros(2_000 + 4_990)
    assert len(claim(store, micros(10_000)).claims) == 10


def test_a_job_that_comes_back_to_a_time_is_due_once(store: MemoryJobStore) -> None:
    """Its entry of the first time is valid again, so the timetable has it twice."""
    job = new_job("a", 5, EveryMinute(), max_instances=9)
    insert(store, job, new_job("b", 5))
    for to in (50, 5, 50, 5):
        job._modify(next_run_time=at(to))
        store.update_job(job)
    result = claim_once(store, micros(5))
    assert [record.id for record in result.deferred] == ["a"]
    assert [won.record.id for won in result.claims] == ["b"]
    assert [won.record.id for won in claim(store, micros(5)).claims] == ["a"]
    assert claim(store, micros(5)).claims == []


def test_a_step_claims_a_hundred_runs_and_says_that_more_is_due(store: MemoryJobStore) -> None:
    insert(store, *(new_job(f"{n}", 0) for n in range(250)))
    steps = [claim_once(store) for _ in range(3)]
    assert [won.record.id for step in steps for won in step.claims] == [f"{n}" for n in range(250)]
    assert [(len(step.claims), step.more) for step in steps] == [(100, True), (100, True), (50, False)]


def test_what_a_claim_has_deferred_is_what_the_next_one_meets(store: MemoryJobStore) -> None:
    """Else what was found out about it were forgotten, and many jobs with triggers of users would defer each other for ever."""
    insert(store, *(new_job(f"{n}", 0, EveryMinute()) for n in range(250)))
    steps = [claim(store) for _ in range(3)]
    assert [won.record.id for step in steps for won in step.claims] == [f"{n}" for n in range(250)]


def test_idle_jobs_are_not_looked_at(store: MemoryJobStore) -> None:
    insert(store, *(new_job(f"idle {n}", 10_000) for n in range(2_000)), new_job("due", 0, once(0)))
    looked: list[Any] = []
    restored = store._restored.get
    store._restored.get = lambda record: looked.append(record.id) or restored(record)  # type: ignore[method-assign, func-returns-value]
    assert [won.record.id for won in claim(store).claims] == ["due"]
    assert looked == ["due"]


def test_a_job_can_change_stores(store: MemoryJobStore) -> None:
    """A handle that was removed can be added again, here or elsewhere: nothing of its first life is left in it."""
    job = new_job("a", 5)
    insert(store, job)
    first = record_of(store, "a").incarnation
    store.remove_job("a")
    job._modify(next_run_time=at(9))
    other = MemoryJobStore()
    other.add_job(job)
    assert record_of(other, "a").incarnation != first
    assert store.lookup_job("a") is None
    assert job.func is work
    assert other.get_next_run_time() == at(9)


class _Finalized:
    """An argument that calls its scheduler when it is freed."""

    def __init__(self, scheduler: BackgroundScheduler, freed: threading.Event) -> None:
        self.scheduler = scheduler
        self.freed = freed

    def __del__(self) -> None:
        self.scheduler.get_jobs()
        self.freed.set()


@pytest.mark.parametrize("end", ["modify", "remove", "remove_all"])
def test_what_a_step_lets_go_of_is_freed_behind_its_lock(end: str) -> None:
    scheduler = BackgroundScheduler()
    scheduler.start(paused=True)
    freed = threading.Event()

    def let_go() -> None:
        job = scheduler.add_job(print, "interval", hours=1, args=[_Finalized(scheduler, freed)])
        if end == "modify":
            job.modify(args=[])
        elif end == "remove":
            del job
            scheduler.remove_job(scheduler.get_jobs()[0].id)
        else:
            del job
            scheduler.remove_all_jobs()

    # In a thread, since a deadlock must not hang the test.
    threading.Thread(target=let_go, daemon=True).start()
    assert freed.wait(10)
    scheduler.shutdown()
