"""The contract of shared stores: two store objects on one storage are two schedulers, and each due run is won by exactly one."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier

import pytest
from mainspring.jobstores import edits
from mainspring.jobstores.base import BaseJobStore, ConflictingIdError, JobLookupError, StaleJobError
from mainspring.jobstores.record import Record, Run, Transition

from tests.jobstores.contract_base import OpenStore, StoreFixtures
from tests.jobstores.contract_edits import add_keyword, changed, write_definition
from tests.jobstores.driving import (
    NOW,
    at,
    claim,
    claim_once,
    every,
    finish,
    ids_of,
    insert,
    key_of,
    micros,
    new_job,
    once,
    prepared,
    record_of,
    waiting_run,
)
from tests.jobstores.samples import EveryMinute


class ClusterContract(StoreFixtures):
    @pytest.fixture
    def two(self, store: BaseJobStore, open_store: OpenStore) -> tuple[BaseJobStore, BaseJobStore]:
        if not store.shared:
            pytest.skip("one process owns the store")
        return store, open_store()

    Two = tuple[BaseJobStore, BaseJobStore]

    def test_each_has_an_owner_of_its_own(self, two: Two) -> None:
        one, other = two
        assert one.owner.name != other.owner.name

    def test_what_one_adds_the_other_sees(self, two: Two) -> None:
        one, other = two
        insert(one, new_job("a", 5, name="it"))
        job = other.lookup_job("a")
        assert job is not None
        assert (job.name, other.get_next_run_time(), ids_of(other)) == ("it", at(5), ["a"])
        with pytest.raises(ConflictingIdError):
            insert(other, new_job("b", 5), new_job("a", 5))
        assert ids_of(one) == ["a"]
        assert other.overdue_executors(micros(5)) == {"default"}
        assert [won.job.name for won in claim(other, micros(5)).claims] == ["it"]

    def test_what_one_has_claimed_the_other_does_not_get(self, two: Two) -> None:
        one, other = two
        insert(one, new_job("a", 0, every(60)), new_job("b", 0, once(0)))
        first = claim(one).claims
        assert sorted(won.record.id for won in first) == ["a", "b"]
        assert claim(other).claims == []
        # At the next time there is no room, wherever the first run goes on: `max_instances` counts over all processes.
        result = claim(other, micros(60))
        assert (result.claims, [each[0].id for each in result.skipped]) == ([], ["a"])
        finish(one, *first)
        assert [won.record.id for won in claim(other, micros(120)).claims] == ["a"]

    def test_only_the_owner_finishes_and_gives_back(self, two: Two) -> None:
        one, other = two
        insert(one, new_job("a", 0, every(60)))
        (won,) = claim(one).claims
        finish(
            other, won
        )  # by its key, whoever writes it: the same process may have opened another store object
        assert record_of(one, "a").runs == ()
        (won,) = claim(one, micros(60)).claims
        one.give_back([key_of(won)])
        (again,) = claim(other, micros(60)).claims
        assert again.run.owner == other.owner.name
        one.give_back([key_of(won)])
        finish(one, won)
        assert record_of(one, "a").runs == (again.run,)

    def test_an_edit_of_one_is_what_the_other_runs(self, two: Two) -> None:
        one, other = two
        insert(one, new_job("a", 0, every(60), args=["old"]))
        (won,) = claim(other).claims
        finish(other, won)
        write_definition(one, record_of(one, "a"), changed(one, "a", args=["new"]), revision=42)
        # What it had restored is outdated, and is restored again outside of the step.
        result = claim_once(other, micros(60))
        assert [record.id for record in result.deferred] == ["a"]
        assert result.claims == []
        assert [won.job.args for won in claim(other, micros(60)).claims] == [("new",)]

    def test_a_job_added_anew_is_another_one_for_everybody(self, two: Two) -> None:
        one, other = two
        insert(one, new_job("a", 0, every(60), args=["old"]))
        finish(other, *claim(other).claims)
        handle = other.lookup_job("a")
        assert handle is not None
        seen = record_of(other, "a")
        one.remove_job("a")
        insert(one, new_job("a", 60, every(60), args=["new"]))
        assert [won.job.args for won in claim(other, micros(60)).claims] == [("new",)]
        assert write_definition(other, seen, other.pack(handle)) is None
        assert other.write("a", lambda record: edits.remove(record, seen.incarnation))[1] is None
        handle._modify(name="x")
        with pytest.raises((StaleJobError, JobLookupError)):
            other.update_job(handle)

    def test_what_one_removes_is_gone_for_the_other(self, two: Two) -> None:
        one, other = two
        insert(one, new_job("a", 0, every(60)), new_job("b", 0))
        claims = claim(other).claims
        one.remove_job("a")
        with pytest.raises(JobLookupError):
            other.remove_job("a")
        with pytest.raises(JobLookupError):
            other.write("a", lambda record: record)
        done = finish(other, *claims)
        assert (done.removed, done.found) == ([], [])
        assert ids_of(other) == ["b"]
        one.remove_all_jobs()
        assert other.get_all_jobs() == []
        assert claim(other, micros(600)).claims == []

    def test_a_decision_made_outside_is_void_if_the_other_was_faster(self, two: Two) -> None:
        one, other = two
        insert(one, new_job("a", 0, EveryMinute()))
        decided = prepared(one, claim_once(one).deferred, NOW)
        assert [won.record.id for won in claim(other).claims] == ["a"]
        assert claim_once(one, NOW, decided=decided).claims == []
        assert record_of(one, "a").runs[0].owner == other.owner.name

    def test_racing_schedulers_win_each_run_once(self, two: Two, open_store: OpenStore) -> None:
        stores = [*two, open_store(), open_store()]
        insert(stores[0], *(new_job(f"{n:03}", n / 1000, once(n / 1000)) for n in range(240)))
        barrier = Barrier(len(stores))

        def drain(store: BaseJobStore) -> list[str]:
            won: list[str] = []
            barrier.wait(10)
            idle = 0
            while idle < 2:
                claims = claim(store, micros(1), {"default": 10}, rounds=200).claims
                idle = 0 if claims else idle + 1
                won += [each.record.id for each in claims]
                finish(store, *claims)
            return won

        with ThreadPoolExecutor(len(stores)) as threads:
            won = [each for ids in threads.map(drain, stores) for each in ids]
        assert sorted(won) == [f"{n:03}" for n in range(240)]
        assert ids_of(stores[0]) == []

    def test_racing_schedulers_keep_the_limit_of_instances(self, two: Two) -> None:
        insert(two[0], new_job("a", 0, every(1), max_instances=2))
        barrier = Barrier(2)

        def claim_all(store: BaseJobStore) -> int:
            barrier.wait(10)
            return sum(len(claim(store, micros(now), rounds=200).claims) for now in range(12))

        with ThreadPoolExecutor(2) as threads:
            assert sum(threads.map(claim_all, two)) == 2
        assert len(record_of(two[0], "a").runs) == 2

    def test_edits_runs_and_recoveries_of_two_disturb_each_other_in_nothing(self, two: Two) -> None:
        insert(two[0], new_job("a", 0, every(1), max_instances=3, kwargs={}))
        barrier = Barrier(4)

        def run(store: BaseJobStore) -> None:
            barrier.wait(10)
            for now in range(15):
                claims = claim(store, micros(now), rounds=200).claims
                store.extend_leases([key_of(won) for won in claims], micros(now + 40))
                store.recover(micros(now))
                finish(store, *claims)

        def edit(number: int) -> None:
            barrier.wait(10)
            for round_ in range(6):
                add_keyword(two[number], "a", f"{number}.{round_}")
                run = waiting_run(number * 10 + round_)
                two[number].write("a", partial(_run_now, run, two[number].owner.stamp()))

        with ThreadPoolExecutor(4) as threads:
            tasks = [threads.submit(run, store) for store in two] + [threads.submit(edit, n) for n in (0, 1)]
            for task in tasks:
                task.result(60)
        while claims := claim(two[0], micros(14)).claims:
            finish(two[0], *claims)
        record = record_of(two[1], "a")
        assert (record.runs, record.next_run_time) == ((), micros(15))
        job = two[1].lookup_job("a")
        assert job is not None
        assert set(job.kwargs) == {f"{number}.{round_}" for number in (0, 1) for round_ in range(6)}

    def test_crossing_batches_do_not_lock_each_other_out(self, two: Two) -> None:
        ids = [f"{n:02}" for n in range(30)]
        insert(two[0], *(new_job(job_id, 0, every(3600), max_instances=2) for job_id in ids))
        both = [
            claim(store, micros(now), rounds=50).claims for store, now in zip(two, (0, 3600), strict=True)
        ]
        barrier = Barrier(2)

        def extend(number: int) -> Sequence[object]:
            keys = [key_of(won) for won in both[number]]
            barrier.wait(10)
            gone: list[object] = []
            for round_ in range(10):
                gone += two[number].extend_leases(keys[:: -1 if number else 1], micros(7200 + round_))
            return gone

        with ThreadPoolExecutor(2) as threads:
            assert list(threads.map(extend, (0, 1))) == [[], []]
        assert [len(claims) for claims in both] == [30, 30]


def _run_now(run: Run, stamp: str, record: Record) -> Transition:
    # A stamp that two writes have in common would hide one of them from whoever compares it.
    return edits.run_now(record, run, stamp)
