"""The contract that APScheduler 3 gave its job stores: what every store keeps, a third party's included."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from mainspring.jobstores.base import BaseJobStore, ConflictingIdError, JobLookupError
from mainspring.jobstores.job import Job
from mainspring.triggers import IntervalTrigger

from tests.jobstores.contract_base import StoreFixtures
from tests.jobstores.driving import START, StubScheduler, at, every, new_job, once, plan_of
from tests.jobstores.samples import EveryMinute, Mailer, greet, work

ODD_IDS = [
    "a b",
    "a/b",
    "../a",
    "a'b\"c",
    "a%b_c",
    "Käse ☂",
    "名前",
    "a\nb",
    "A",
    "a",
    " a",
    "a ",
    "é",
    "e\u0301",
    "x" * 150,
]
"""Ids that differ only in case, accents or spaces are different ids, and none is a path or a piece of SQL."""


class PublicContract(StoreFixtures):
    def test_an_unknown_id_finds_nothing(self, store: BaseJobStore) -> None:
        assert store.lookup_job("nobody") is None

    def test_an_added_job_is_found(self, store: BaseJobStore) -> None:
        store.add_job(new_job("a", 5, args=["x"], name="the first"))
        job = store.lookup_job("a")
        assert job is not None
        assert (job.id, job.name, job.args, job.next_run_time) == ("a", "the first", ("x",), at(5))
        assert store.lookup_job("b") is None

    @pytest.mark.parametrize(
        "make",
        [
            lambda: new_job("a", 5, once(5)),
            lambda: new_job("a", 5, every(0.25, first=5)),
            lambda: new_job(
                "a", 5, IntervalTrigger(hours=1, jitter=20, timezone="Europe/Berlin").bind(START, "a")
            ),
            lambda: new_job("a", 5, EveryMinute()),
            lambda: new_job("a", None, name="Käse ☂"),
            lambda: new_job(
                "a", 5, func="tests.jobstores.samples:greet", args=["you"], kwargs={"greeting": "hi"}
            ),
            lambda: new_job("a", 5, func=greet, kwargs={"name": "you"}),
            lambda: new_job("a", 5, func=Mailer("me@here").send, args=["text"]),
            lambda: new_job("a", 5, func=Mailer.check),
            lambda: new_job("a", 5, func=Mailer.ping),
            lambda: new_job(
                "a", 5, args=[None, True, 1.5, 2**70, "é", b"\0", (1, [2]), {"k": {"l": 1}}, START]
            ),
            lambda: new_job("a", 5, misfire_grace_time=None, coalesce=False, max_instances=7),
            lambda: new_job("a", 5, misfire_grace_time=0.5, executor="other"),
            lambda: new_job("a", 5, recovery="rerun", max_recoveries=0),
        ],
    )
    def test_a_job_comes_back_as_it_was_added(self, store: BaseJobStore, make: Callable[[], Job]) -> None:
        store.add_job(make())
        found, added = store.lookup_job("a"), make()
        assert found is not None
        assert found.__getstate__() == added.__getstate__()
        # A bound method comes back as its class's function, with its self as first argument.
        assert found.func(*found.args, **found.kwargs) == added.func(*added.args, **added.kwargs)
        for part in ("jitter", "start_date", "run_date"):
            assert getattr(found.trigger, part, None) == getattr(added.trigger, part, None)
        assert found.pending is False

    @pytest.mark.parametrize("job_id", ODD_IDS)
    def test_any_text_can_be_an_id(self, store: BaseJobStore, job_id: str) -> None:
        for each in ODD_IDS:
            store.add_job(new_job(each, 5, name=f"job {each!r}"))
        job = store.lookup_job(job_id)
        assert job is not None
        assert (job.id, job.name) == (job_id, f"job {job_id!r}")
        store.remove_job(job_id)
        assert {each.id for each in store.get_all_jobs()} == {*ODD_IDS} - {job_id}

    def test_an_id_is_taken_once(self, store: BaseJobStore) -> None:
        store.add_job(new_job("a", 5, name="first"))
        with pytest.raises(ConflictingIdError, match="a"):
            store.add_job(new_job("a", 6, name="second"))
        job = store.lookup_job("a")
        assert job is not None
        assert (job.name, job.next_run_time) == ("first", at(5))

    def test_jobs_are_due_up_to_and_including_now_earliest_first(self, store: BaseJobStore) -> None:
        for job_id, due in [("later", 1), ("second", 0), ("first", -5), ("paused", None), ("much later", 90)]:
            store.add_job(new_job(job_id, due))
        assert [job.id for job in store.get_due_jobs(at(0))] == ["first", "second"]
        assert [job.id for job in store.get_due_jobs(at(1))] == ["first", "second", "later"]
        assert store.get_due_jobs(at(-6)) == []

    def test_the_next_run_time_is_the_earliest(self, store: BaseJobStore) -> None:
        assert store.get_next_run_time() is None
        store.add_job(new_job("paused", None))
        assert store.get_next_run_time() is None
        store.add_job(new_job("b", 20))
        store.add_job(new_job("a", 10))
        assert store.get_next_run_time() == at(10)
        store.remove_job("a")
        assert store.get_next_run_time() == at(20)

    def test_all_jobs_come_by_next_run_time_paused_ones_last(self, store: BaseJobStore) -> None:
        assert store.get_all_jobs() == []
        for job_id, due in [("paused", None), ("third", 30), ("first", 10), ("second", 20)]:
            store.add_job(new_job(job_id, due))
        assert [job.id for job in store.get_all_jobs()] == ["first", "second", "third", "paused"]

    @pytest.mark.parametrize(
        "changes",
        [
            {"name": "new name"},
            {"args": [1, 2]},
            {"kwargs": {"a": [1]}},
            {"next_run_time": at(77)},
            {"next_run_time": None},
            {"trigger": every(30), "next_run_time": at(30)},
            {"trigger": every(30)},
            {"executor": "other", "coalesce": False, "max_instances": 3, "misfire_grace_time": 9},
            {"func": "tests.jobstores.samples:other_work", "recovery": "rerun"},
        ],
    )
    def test_an_update_writes_what_was_changed(self, store: BaseJobStore, changes: dict[str, Any]) -> None:
        store.add_job(new_job("a", 5, name="old name"))
        store.add_job(new_job("b", 6))
        job = store.lookup_job("a")
        assert job is not None
        job._modify(**changes)
        expected = job.__getstate__()
        store.update_job(job)
        found = store.lookup_job("a")
        assert found is not None
        assert found.__getstate__() == expected
        untouched = store.lookup_job("b")
        assert untouched is not None
        assert untouched.next_run_time == at(6)

    def test_an_update_moves_a_job_among_the_due(self, store: BaseJobStore) -> None:
        for due in (None, 5, 500):
            job_id = f"due {due}"
            store.add_job(new_job(job_id, due))
            for to in (5.5, None, 600, 4.5):
                job = store.lookup_job(job_id)
                assert job is not None
                job._modify(next_run_time=None if to is None else at(to))
                store.update_job(job)
                is_due = to is not None and to < 10
                assert (job_id in [each.id for each in store.get_due_jobs(at(10))]) is is_due
        assert store.get_next_run_time() == at(4.5)

    def test_updates_of_one_handle_follow_each_other(self, store: BaseJobStore) -> None:
        store.add_job(new_job("a", 5))
        job = store.lookup_job("a")
        assert job is not None
        for number in range(3):
            job._modify(name=f"name {number}", next_run_time=at(10 + number))
            store.update_job(job)
        found = store.lookup_job("a")
        assert found is not None
        assert (found.name, found.next_run_time) == ("name 2", at(12))

    def test_an_update_of_a_job_that_is_not_there_is_refused(self, store: BaseJobStore) -> None:
        with pytest.raises(JobLookupError, match="nobody"):
            store.update_job(new_job("nobody", 5))
        store.add_job(new_job("a", 5))
        job = store.lookup_job("a")
        assert job is not None
        store.remove_job("a")
        job._modify(name="new")
        with pytest.raises(JobLookupError, match="a"):
            store.update_job(job)
        assert store.get_all_jobs() == []

    def test_a_removed_job_is_gone(self, store: BaseJobStore) -> None:
        store.add_job(new_job("a", 5))
        store.add_job(new_job("b", 6))
        store.remove_job("a")
        assert store.lookup_job("a") is None
        assert [job.id for job in store.get_all_jobs()] == ["b"]
        assert [job.id for job in store.get_due_jobs(at(10))] == ["b"]
        store.add_job(new_job("a", 7))
        assert [job.id for job in store.get_all_jobs()] == ["b", "a"]

    def test_only_a_job_that_is_there_can_be_removed(self, store: BaseJobStore) -> None:
        with pytest.raises(JobLookupError, match="nobody") as caught:
            store.remove_job("nobody")
        assert isinstance(caught.value, KeyError)

    def test_all_jobs_can_be_removed(self, store: BaseJobStore) -> None:
        for job_id in ("a", "b", "c"):
            store.add_job(new_job(job_id, 5))
        store.remove_all_jobs()
        assert store.get_all_jobs() == []
        assert store.get_due_jobs(at(10)) == []
        assert store.get_next_run_time() is None
        store.remove_all_jobs()
        store.add_job(new_job("a", 5))
        assert [job.id for job in store.get_all_jobs()] == ["a"]

    def test_a_store_can_be_started_again(self, store: BaseJobStore, scheduler: StubScheduler) -> None:
        for round_ in range(3):
            store.add_job(new_job(f"job {round_}", round_))
            store.shutdown()
            store.start(scheduler, f"alias {round_}")
            found = store.lookup_job(f"job {round_}")
            assert found is None or found._jobstore_alias == f"alias {round_}"

    def test_a_job_knows_its_store_and_scheduler(self, store: BaseJobStore, scheduler: StubScheduler) -> None:
        added = new_job("a", 5)
        assert added.pending
        added._scheduler = scheduler
        store.insert([(added, plan_of(added))])
        jobs = [added, store.lookup_job("a"), *store.get_all_jobs(), *store.get_due_jobs(at(9))]
        assert len(jobs) == 4
        for job in jobs:
            assert job is not None
            assert (job._scheduler, job._jobstore_alias, job.pending) == (scheduler, "default", False)

    def test_a_day_far_away_and_a_microsecond_are_kept(self, store: BaseJobStore) -> None:
        exact = START + timedelta(days=200_000, microseconds=1)
        store.add_job(new_job("a", 5))
        job = store.lookup_job("a")
        assert job is not None
        job._modify(next_run_time=exact)
        store.update_job(job)
        assert store.get_next_run_time() == exact
        assert store.get_due_jobs(exact - timedelta(microseconds=1)) == []
        assert [each.id for each in store.get_due_jobs(exact)] == ["a"]

    def test_of_threads_that_add_one_id_one_wins(self, store: BaseJobStore) -> None:
        barrier = Barrier(6)

        def add(number: int) -> bool:
            job = new_job("a", number)
            barrier.wait(10)
            try:
                store.insert([(job, plan_of(job))])
            except ConflictingIdError:
                return False
            return True

        with ThreadPoolExecutor(6) as threads:
            won = list(threads.map(add, range(6)))
        assert won.count(True) == 1
        job = store.lookup_job("a")
        assert job is not None
        assert job.next_run_time == at(won.index(True))

    def test_threads_add_change_and_remove_side_by_side(self, store: BaseJobStore) -> None:
        def live(number: int) -> None:
            for round_ in range(4):
                job_id = f"{number}.{round_}"
                job = new_job(job_id, number)
                store.insert([(job, plan_of(job))])
                found = store.lookup_job(job_id)
                assert found is not None
                found._modify(name="changed")
                store.update_job(found)
                store.get_due_jobs(at(100))
                if round_ % 2:
                    store.remove_job(job_id)

        with ThreadPoolExecutor(6) as threads:
            list(threads.map(live, range(6)))
        jobs = store.get_all_jobs()
        assert sorted(job.id for job in jobs) == sorted(f"{n}.{r}" for n in range(6) for r in (0, 2))
        assert {job.name for job in jobs} == {"changed"}

    def test_what_is_inserted_can_be_called(self, store: BaseJobStore) -> None:
        store.add_job(new_job("a", 5, args=[1], kwargs={"b": 2}))
        job = store.lookup_job("a")
        assert job is not None
        assert job.func is work
        assert job.func(*job.args, **job.kwargs) == ((1,), {"b": 2})
