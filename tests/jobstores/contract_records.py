"""The contract of stores, records: adding them, reading them, and writing one by a transition."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pytest
from mainspring.jobstores import edits
from mainspring.jobstores.base import BaseJobStore, ConflictingIdError, JobLookupError
from mainspring.jobstores.record import Plan, Record, Run, Transition, Written

from tests.jobstores.contract_base import StoreFixtures
from tests.jobstores.driving import (
    at,
    claim,
    finish,
    ids_of,
    insert,
    micros,
    new_job,
    once,
    record_of,
    waiting_run,
)


class RecordContract(StoreFixtures):
    # -- insert ----------------------------------------------------------------------------------------------------

    def test_insert_writes_schedule_and_state(self, store: BaseJobStore) -> None:
        plans = {
            "active": Plan(micros(7), micros(5)),
            "paused": Plan(None, micros(5), "paused"),
            "parked": Plan(None, micros(5), "parked", "trigger: it raised"),
        }
        store.insert([(new_job(job_id, 5), plan) for job_id, plan in plans.items()])
        for job_id, plan in plans.items():
            record = record_of(store, job_id)
            assert Plan(record.next_run_time, record.fire_time, record.state, record.reason) == plan
            assert record.wake_at == plan.next_run_time
            assert (record.executor, record.runs) == ("default", ())
        assert store.get_next_run_time() == at(7)

    def test_insert_dresses_the_jobs(self, store: BaseJobStore) -> None:
        job = new_job("a", None)
        store.insert([(job, Plan(micros(7), micros(5)))])
        assert job.next_run_time == at(7)
        assert not job.pending
        assert job._incarnation == record_of(store, "a").incarnation

    def test_many_are_inserted_in_one_go(self, store: BaseJobStore) -> None:
        insert(store, *(new_job(f"{number:03}", number) for number in range(300)))
        assert ids_of(store) == [f"{number:03}" for number in range(300)]

    @pytest.mark.parametrize("batch", [["x", "y", "taken", "z"], ["x", "y", "x"]])
    def test_insert_is_all_or_none(self, store: BaseJobStore, batch: list[str]) -> None:
        insert(store, new_job("taken", 5, name="stays"))
        jobs = [new_job(job_id, 6) for job_id in batch]
        with pytest.raises(ConflictingIdError) as caught:
            insert(store, *jobs)
        assert caught.value.job_id == ("taken" if "taken" in batch else "x")
        assert ids_of(store) == ["taken"]
        assert all(job.pending for job in jobs)
        stays = store.lookup_job("taken")
        assert stays is not None
        assert stays.name == "stays"
        # What was refused can be added again.
        insert(store, *(new_job(job_id, 6) for job_id in ("x", "y", "z")))
        assert ids_of(store) == ["taken", "x", "y", "z"]

    def test_incarnations_and_revisions_differ(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 5), new_job("b", 5))
        first, other = record_of(store, "a"), record_of(store, "b")
        store.remove_job("a")
        insert(store, new_job("a", 5))
        again = record_of(store, "a")
        assert len({first.incarnation, other.incarnation, again.incarnation}) == 3
        assert len({first.revision, other.revision, again.revision}) == 3
        assert all(0 <= record.incarnation < 2**63 for record in (first, other, again))

    # -- reading ---------------------------------------------------------------------------------------------------

    def test_a_record_is_read_with_its_job(self, store: BaseJobStore) -> None:
        assert store.read("a") is None
        assert store.read_all() == []
        insert(store, new_job("a", 5, name="it"), new_job("b", None))
        found = store.read("a")
        assert found is not None
        record, job = found
        assert (record.id, record.next_run_time, job.name) == ("a", micros(5), "it")
        assert job._record == record
        assert {each.id: each.state for each in store.read_all()} == {"a": "active", "b": "paused"}

    def test_reading_writes_nothing(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 5))
        before = record_of(store, "a")
        store.read("a")
        store.lookup_job("a")
        store.get_due_jobs(at(9))
        store.get_all_jobs()
        store.overdue_executors(micros(9))
        assert record_of(store, "a").stamp == before.stamp

    # -- write -----------------------------------------------------------------------------------------------------

    def test_a_transition_gets_the_record_and_its_answer_is_stored(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 5))
        seen = record_of(store, "a")
        plan = Plan(micros(9), micros(8))

        def move(record: Record) -> Transition:
            assert record.stamp == seen.stamp
            return edits.edit_schedule(record, seen, plan, revision=77, stamp="mine")

        before, after = store.write("a", move)
        assert isinstance(after, Record)
        assert before.stamp == seen.stamp
        stored = record_of(store, "a")
        assert (stored.next_run_time, stored.fire_time, stored.revision) == (micros(9), micros(8), 77)
        assert stored.wake_at == micros(9)
        job = store.lookup_job("a")
        assert job is not None
        assert job.next_run_time == at(9)

    def test_a_transition_that_answers_none_writes_nothing(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 5))
        seen = record_of(store, "a")
        before, after = store.write("a", lambda record: None)
        assert after is None
        assert before.stamp == seen.stamp
        assert record_of(store, "a").stamp == seen.stamp

    def test_a_transition_that_raises_writes_nothing(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 5))
        seen = record_of(store, "a")

        def fail(record: Record) -> Transition:
            raise ArithmeticError("no")

        with pytest.raises(ArithmeticError):
            store.write("a", fail)
        assert record_of(store, "a").stamp == seen.stamp
        store.remove_job("a")  # no lock is left behind

    def test_a_transition_may_delete(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 5))
        before, after = store.write("a", lambda record: Written.DELETED)
        assert (before.id, after) == ("a", Written.DELETED)
        assert store.read("a") is None
        assert store.lookup_job("a") is None

    def test_a_record_that_is_not_there_cannot_be_written(self, store: BaseJobStore) -> None:
        with pytest.raises(JobLookupError, match="nobody"):
            store.write("nobody", lambda record: record)
        assert store.read_all() == []

    def test_no_write_of_threads_is_lost(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 5))

        def count(number: int) -> None:
            for round_ in range(10):
                run = replace(waiting_run(number * 100 + round_), blocked=True)
                store.write("a", partial(_with_run, run))

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(count, range(4)))
        runs = [run.run for run in record_of(store, "a").runs]
        assert sorted(runs) == [number * 100 + round_ for number in range(4) for round_ in range(10)]

    # -- removing by handle, ended records ---------------------------------------------------------------------------

    def test_remove_compares_the_incarnation(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 5))
        old = record_of(store, "a").incarnation
        store.remove_job("a")
        insert(store, new_job("a", 6))
        _, after = store.write("a", lambda record: edits.remove(record, old))
        assert after is None
        current = record_of(store, "a").incarnation
        _, after = store.write("a", lambda record: edits.remove(record, current))
        assert after is Written.DELETED
        assert ids_of(store) == []

    def test_a_one_off_ends_with_its_last_run(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, once(0)))
        result = claim(store)
        assert [each.record.state for each in result.claims] == ["ended"]
        found = store.read("a")
        assert found is not None
        assert (found[0].state, found[0].next_run_time, len(found[0].runs)) == ("ended", None, 1)
        assert claim(store, micros(100)).claims == []
        assert finish(store, *result.claims).removed == ["a"]
        assert store.read("a") is None
        assert store.lookup_job("a") is None
        assert store.get_all_jobs() == []

    def test_a_one_off_may_add_its_own_id_again_while_it_runs(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, once(0)))
        first = claim(store)
        insert(store, new_job("a", 20, once(20), name="second"))
        found = store.read("a")
        assert found is not None
        assert (found[0].state, found[1].name) == ("active", "second")
        assert finish(store, *first.claims).removed == []
        second = claim(store, micros(20))
        assert [each.job.name for each in second.claims] == ["second"]
        assert finish(store, *second.claims).removed == ["a"]

    def test_ended_records_refuse_edits(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, once(0)))
        claim(store)
        seen = record_of_ended(store, "a")
        plan = Plan(micros(50), micros(50))
        for transition in (
            lambda record: edits.edit_schedule(record, seen, plan, revision=1, stamp="s"),
            lambda record: edits.remove(record, None),
            lambda record: edits.run_now(record, waiting_run(1), "s"),
        ):
            assert store.write("a", transition)[1] is None
        assert claim(store, micros(60)).claims == []

    def test_clearing_removes_running_ones_too(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, once(0)), new_job("b", 0), new_job("c", 900))
        result = claim(store)
        assert len(result.claims) == 2
        store.remove_all_jobs()
        assert store.read("a") is None
        assert store.read_all() == []
        assert finish(store, *result.claims).removed == []
        assert claim(store, micros(1000)).claims == []

    def test_after_clearing_the_same_ids_are_free(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, once(0)), new_job("b", 0))
        old = claim(store).claims
        store.remove_all_jobs()
        insert(store, new_job("a", 0, once(0)), new_job("b", 0))
        new = claim(store).claims
        assert sorted(won.record.id for won in new) == ["a", "b"]
        assert finish(store, *old).removed == []
        assert finish(store, *new).removed == ["a"]

    @pytest.mark.parametrize(("due", "state"), [(None, "paused"), (9, "active")])
    def test_an_update_of_the_run_time_pauses_and_resumes(
        self, store: BaseJobStore, due: float | None, state: str
    ) -> None:
        insert(store, new_job("a", 5 if due is None else None))
        job = store.lookup_job("a")
        assert job is not None
        job._modify(next_run_time=None if due is None else at(due))
        store.update_job(job)
        record = record_of(store, "a")
        assert (record.state, record.next_run_time) == (state, None if due is None else micros(due))
        assert [won.record.id for won in claim(store, micros(10)).claims] == ([] if due is None else ["a"])


def _with_run(run: Run, record: Record) -> Record:
    return replace(record, runs=(*record.runs, run), stamp=f"write {run.run}")


def record_of_ended(store: BaseJobStore, job_id: str) -> Record:
    found = store.read(job_id)
    assert found is not None
    return found[0]
