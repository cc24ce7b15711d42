"""The contract of stores that keep whole records, jobs: restored outside of the step, kept out when that fails, handed out as snapshots."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from mainspring.jobstores.base import BaseJobStore, JobRestoreError, StaleJobError
from mainspring.jobstores.job import Job
from mainspring.jobstores.record import FORMAT_VERSION, Plan, Record

from tests.jobstores.contract_base import OpenStore, StoreFixtures
from tests.jobstores.contract_edits import changed, write_definition, write_schedule
from tests.jobstores.driving import (
    NOW,
    SECOND,
    StubScheduler,
    at,
    claim,
    claim_once,
    every,
    finish,
    insert,
    micros,
    new_job,
    record_of,
)
from tests.jobstores.samples import vanishing_module

GHOSTS = 600
MINUTE = 60 * SECOND


class RestoringContract(StoreFixtures):
    @pytest.fixture
    def serializes(self, store: BaseJobStore) -> None:
        """For tests of stores that restore jobs; memory keeps the very objects, and has nothing to restore."""
        job = new_job("probe", None)
        store.add_job(job)
        keeps_objects = store.lookup_job("probe") is job
        store.remove_job("probe")
        if keeps_objects:
            pytest.skip("the store keeps the objects themselves")

    # -- handles ---------------------------------------------------------------------------------------------------

    def test_a_job_that_somebody_else_changed_is_stale(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 5))
        mine, theirs = self._handles(store, "a", 2)
        theirs._modify(name="theirs")
        store.update_job(theirs)
        mine._modify(name="mine")
        with pytest.raises(StaleJobError, match="a"):
            store.update_job(mine)
        job = store.lookup_job("a")
        assert job is not None
        assert job.name == "theirs"

    def test_a_claim_makes_only_a_changed_run_time_stale(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, every(60)))
        named, moved = self._handles(store, "a", 2)
        finish(store, *claim(store).claims)
        moved._modify(next_run_time=at(7))
        with pytest.raises(StaleJobError):
            store.update_job(moved)
        named._modify(name="new")
        store.update_job(named)
        record, job = store.read("a") or pytest.fail("gone")
        assert (job.name, record.next_run_time) == ("new", micros(60))

    @staticmethod
    def _handles(store: BaseJobStore, job_id: str, count: int) -> list[Job]:
        """Handles that follow nothing, as two processes have them."""
        found = [store.lookup_job(job_id) for _ in range(count)]
        return [job._clone() for job in found if job is not None]

    def test_wake_at_is_exact(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 20), new_job("b", 30, executor="mine"), new_job("c", 10, executor="x"))
        assert claim(store, NOW, {"mine": 9}).wake_at == micros(30)
        assert claim(store, micros(15), {"mine": 9, "default": 9}).wake_at == micros(20)
        assert claim(store, NOW, {"elsewhere": 9}).wake_at is None

    # -- restoring -------------------------------------------------------------------------------------------------

    @pytest.mark.usefixtures("serializes")
    def test_a_handle_is_a_snapshot_of_its_own(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, every(60), args=[[1]]))
        one, two = store.lookup_job("a"), store.lookup_job("a")
        assert one is not None
        assert two is not None
        assert one is not two
        one.args[0].append("mine")
        (won,) = claim(store).claims
        assert (one.next_run_time, two.args, won.job.args) == (at(0), ([1],), ([1],))
        assert won.job is not one

    @pytest.mark.usefixtures("serializes")
    def test_what_a_run_does_to_its_arguments_the_next_one_does_not_see(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, every(60), args=[[]], kwargs={"k": {}}, max_instances=2))
        for round_ in range(4):
            (won,) = claim(store, micros(60 * round_)).claims
            assert (won.job.args, won.job.kwargs) == (([],), {"k": {}})
            won.job.args[0].append(round_)
            won.job.kwargs["k"][round_] = True
            won.job.kwargs["more"] = True
            finish(store, won)

    def test_an_added_job_may_be_changed_by_its_adder_without_a_claim_seeing_it(
        self, store: BaseJobStore
    ) -> None:
        kwargs = {"k": 1}
        job = new_job("a", 0, every(60), kwargs=kwargs)
        insert(store, job)
        kwargs["late"] = 2
        (won,) = claim(store).claims
        assert won.job.kwargs == {"k": 1}

    @pytest.mark.usefixtures("serializes")
    def test_a_job_is_not_restored_inside_the_step(self, store: BaseJobStore) -> None:
        with vanishing_module() as module:
            insert(store, new_job("a", 0, func=module.work))
            self._touch(store, ["a"])
        # Its module is not there: had the claim tried to restore it, it would have been found out.
        result = claim_once(store)
        assert [record.id for record in result.deferred] == ["a"]
        assert (result.claims, result.quarantined) == ([], [])
        with vanishing_module():
            (job,) = store.restore(result.deferred)
            assert isinstance(job, Job)
            assert [won.record.id for won in claim_once(store).claims] == ["a"]

    @pytest.mark.usefixtures("serializes")
    def test_restoring_says_why_it_fails(self, store: BaseJobStore) -> None:
        with vanishing_module() as module:
            insert(store, new_job("a", 0, func=module.work), new_job("b", 0), new_job("removed", 0))
            self._touch(store, ["a", "b"])
        records = [record_of(store, job_id) for job_id in ("b", "removed", "a")]
        store.remove_job("removed")
        good, removed, gone = store.restore(records)
        assert isinstance(good, Job)
        assert good.id == "b"
        assert isinstance(removed, JobRestoreError)
        assert isinstance(gone, JobRestoreError)
        assert "removed" in str(removed)
        assert "tests_vanishing_jobs" in str(gone)
        assert store.restore([]) == []

    # -- quarantine ------------------------------------------------------------------------------------------------

    @pytest.mark.usefixtures("serializes")
    def test_a_job_that_cannot_be_restored_is_kept_out_and_never_deleted(self, store: BaseJobStore) -> None:
        with vanishing_module() as module:
            insert(store, new_job("ghost", 0, func=module.work))
            self._touch(store, ["ghost"])
        stamp = record_of(store, "ghost").stamp
        assert store.quarantined() == []
        assert claim(store).claims == []
        ((job_id, reason),) = store.quarantined()
        assert job_id == "ghost"
        assert "tests_vanishing_jobs" in reason
        result = claim_once(store, micros(1))
        assert (result.deferred, result.quarantined) == ([], ["ghost"])
        assert store.get_all_jobs() == []
        assert store.get_due_jobs(at(9)) == []
        with pytest.raises(JobRestoreError, match="ghost"):
            store.lookup_job("ghost")
        assert record_of(store, "ghost").stamp == stamp
        assert record_of(store, "ghost").next_run_time == NOW

    @pytest.mark.usefixtures("serializes")
    def test_it_is_tried_again_when_somebody_changes_it(self, store: BaseJobStore) -> None:
        with vanishing_module() as module:
            insert(store, new_job("ghost", 0, func=module.work))
            payload = changed(store, "ghost", name="changed")
            self._touch(store, ["ghost"])
        claim(store)
        assert [job_id for job_id, _ in store.quarantined()] == ["ghost"]
        with vanishing_module():
            assert claim_once(store).deferred == []
            seen = record_of(store, "ghost")
            assert isinstance(write_definition(store, seen, payload, revision=99), Record)
            assert [won.job.name for won in claim(store).claims] == ["changed"]
        assert store.quarantined() == []

    @pytest.mark.usefixtures("serializes")
    def test_it_is_tried_again_now_and_then(self, store: BaseJobStore, scheduler: StubScheduler) -> None:
        with vanishing_module() as module:
            insert(store, new_job("ghost", 0, func=module.work))
            self._touch(store, ["ghost"])
        claim(store)
        assert claim_once(store, NOW + MINUTE - SECOND).deferred == []
        assert [record.id for record in claim_once(store, NOW + MINUTE).deferred] == ["ghost"]
        scheduler.clock.set(at(60))
        claim(store, NOW + MINUTE)
        assert claim_once(store, NOW + MINUTE).deferred == []
        with vanishing_module():
            assert [won.record.id for won in claim(store, NOW + 2 * MINUTE).claims] == ["ghost"]

    @pytest.mark.usefixtures("serializes")
    def test_claims_page_past_the_quarantined(self, store: BaseJobStore, open_store: OpenStore) -> None:
        names = [f"ghost {number:03}" for number in range(GHOSTS)]
        with vanishing_module() as module:
            insert(store, *(new_job(name, -60 + n / 100, func=module.work) for n, name in enumerate(names)))
            if store.shared:
                store = open_store()
            else:
                self._touch(store, names)
        insert(store, new_job("good", 0, every(60)))
        result = claim(store, NOW, {"default": 100}, rounds=GHOSTS // 100 + 3)
        assert [won.record.id for won in result.claims] == ["good"]
        assert len(store.quarantined()) == GHOSTS
        finish(store, *result.claims)
        # From now on they cost the good one no round.
        result = claim_once(store, NOW + SECOND, {"default": 10})
        assert (result.claims, result.deferred, result.wake_at) == ([], [], micros(60))
        result = claim_once(store, NOW + 55 * SECOND, {"default": 10})
        assert result.deferred == []
        assert len({record.id for record in store.read_all()}) == GHOSTS + 1

    def test_a_record_of_a_later_version_is_passed_over(self, store: BaseJobStore) -> None:
        insert(store, new_job("new", 0), new_job("old", 0))
        store.write("new", lambda record: replace(record, version=FORMAT_VERSION + 1, stamp="x"))
        assert record_of(store, "new").version == FORMAT_VERSION + 1
        result = claim(store)
        assert [won.record.id for won in result.claims] == ["old"]
        assert record_of(store, "new").stamp == "x"

    @staticmethod
    def _touch(store: BaseJobStore, job_ids: Sequence[str]) -> None:
        """Change the jobs, so that what this process has restored of them is outdated."""
        for job_id in job_ids:
            found = store.read(job_id)
            assert found is not None
            payload: Any = store.pack(found[1])
            assert isinstance(write_definition(store, found[0], payload), Record)

    def test_an_edit_of_the_schedule_keeps_the_payload(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, args=["x"], name="it"))
        record = record_of(store, "a")
        assert isinstance(write_schedule(store, record, Plan(micros(3), micros(3))), Record)
        (won,) = claim(store, micros(3)).claims
        assert (won.job.name, won.job.args) == ("it", ("x",))
