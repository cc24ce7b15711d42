"""The contract of stores that keep whole records, leases: extended while a run goes on, accounted for when they end unfinished."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from mainspring.jobstores import edits
from mainspring.jobstores.base import BaseJobStore
from mainspring.jobstores.owner import Owner
from mainspring.jobstores.record import FORMAT_VERSION, MAX_LOST_RUNS, Record, RunKey
from mainspring.jobstores.transitions import RECOVERY_MARGIN

from tests.jobstores.contract_base import NewStore, OpenStore, StoreFixtures
from tests.jobstores.driving import (
    LEASE,
    NOW,
    StubScheduler,
    claim,
    every,
    finish,
    insert,
    key_of,
    micros,
    new_job,
    once,
    outcome_of,
    record_of,
    waiting_run,
)

LAPSED = NOW + LEASE + RECOVERY_MARGIN
"""When anybody may recover a run that was claimed at the start of the test and never extended."""


class LeaseContract(StoreFixtures):
    @pytest.fixture
    def leases(self, store: BaseJobStore) -> None:
        if not store.shared:
            pytest.skip("one process owns the store: its runs have no lease")

    @pytest.fixture
    def elsewhere(self, leases: None, open_store: OpenStore) -> Any:
        """What another scheduler has of the same store."""
        return open_store()

    # -- without leases --------------------------------------------------------------------------------------------

    def test_what_one_process_owns_has_no_leases(self, store: BaseJobStore) -> None:
        if store.shared:
            pytest.skip("several schedulers may share the store")
        insert(store, new_job("a", 0, every(3600)))
        (won,) = claim(store).claims
        assert won.run.lease_until is None
        assert store.recover(LAPSED * 2) == []
        assert store.extend_leases([key_of(won)], LAPSED) == []
        assert record_of(store, "a").wake_at == micros(3600)

    # -- extending -------------------------------------------------------------------------------------------------

    @pytest.mark.usefixtures("leases")
    def test_a_lease_is_extended_and_never_shortened(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, every(3600)))
        (won,) = claim(store).claims
        assert store.extend_leases([key_of(won)], NOW + 2 * LEASE) == []
        assert record_of(store, "a").runs[0].lease_until == NOW + 2 * LEASE
        assert record_of(store, "a").wake_at == NOW + 2 * LEASE
        assert store.extend_leases([key_of(won)], NOW + LEASE) == []
        assert record_of(store, "a").runs[0].lease_until == NOW + 2 * LEASE
        finish(store, won)
        assert record_of(store, "a").runs == ()

    def test_extending_answers_what_is_gone(self, store: BaseJobStore, elsewhere: BaseJobStore) -> None:
        insert(store, *(new_job(job_id, 0, every(3600)) for job_id in "abcde"))
        claims = {won.record.id: won for won in claim(store).claims}
        finish(store, claims["a"])
        elsewhere.remove_job("b")
        store.give_back([key_of(claims["c"])])
        keys = {job_id: key_of(won) for job_id, won in claims.items()}
        wrong = [replace(keys["d"], run=1), replace(keys["d"], owner="x"), replace(keys["d"], incarnation=1)]
        gone = store.extend_leases([*keys.values(), *wrong], NOW + 2 * LEASE)
        assert sorted(gone, key=repr) == sorted([keys["a"], keys["b"], keys["c"], *wrong], key=repr)
        for job_id in "de":
            assert record_of(store, job_id).runs[0].lease_until == NOW + 2 * LEASE
        assert store.extend_leases([], NOW) == []

    @pytest.mark.usefixtures("leases")
    def test_several_runs_of_a_job_are_extended_each(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, every(60), max_instances=3))
        first, second = (claim(store, micros(now)).claims[0] for now in (0, 60))
        assert store.extend_leases([key_of(first), key_of(second)], micros(900)) == []
        assert {run.lease_until for run in record_of(store, "a").runs} == {micros(900)}
        assert store.extend_leases([key_of(first), RunKey("a", 1, 1, "x")], micros(901)) == [
            RunKey("a", 1, 1, "x")
        ]
        assert [run.lease_until for run in record_of(store, "a").runs] == [micros(901), micros(900)]

    # -- who recovers, and when ------------------------------------------------------------------------------------

    def test_another_scheduler_recovers_after_the_margin(
        self, store: BaseJobStore, elsewhere: BaseJobStore
    ) -> None:
        insert(store, new_job("a", 0, every(3600)))
        (won,) = claim(store).claims
        assert elsewhere.recover(NOW + LEASE) == []
        assert elsewhere.recover(LAPSED - 1) == []
        assert record_of(store, "a").runs == (won.run,)
        (recovered,) = elsewhere.recover(LAPSED)
        assert (recovered.record.id, recovered.run.run, recovered.run.state) == ("a", won.run.run, "lost")
        assert not recovered.parked
        record = record_of(store, "a")
        assert (record.runs, record.state) == ((recovered.run,), "active")
        assert record.wake_at == micros(3600)
        assert elsewhere.recover(LAPSED * 2) == []

    def test_a_record_of_a_later_version_is_left_to_those_who_know_it(
        self, store: BaseJobStore, elsewhere: BaseJobStore
    ) -> None:
        insert(store, new_job("new", 0, every(3600)), new_job("old", 0, every(3600)))
        assert len(claim(store).claims) == 2
        store.write("new", lambda record: replace(record, version=FORMAT_VERSION + 1, stamp="x"))
        assert [found.record.id for found in elsewhere.recover(LAPSED)] == ["old"]
        assert record_of(store, "new").stamp == "x"

    @pytest.mark.usefixtures("leases")
    def test_the_runs_own_boot_does_not_recover_it(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, every(3600)))
        (won,) = claim(store).claims
        assert store.recover(LAPSED * 2) == []
        assert record_of(store, "a").runs == (won.run,)

    def test_an_extended_lease_is_left_alone(self, store: BaseJobStore, elsewhere: BaseJobStore) -> None:
        insert(store, new_job("a", 0, every(3600)))
        (won,) = claim(store).claims
        store.extend_leases([key_of(won)], NOW + 2 * LEASE)
        assert elsewhere.recover(LAPSED) == []
        assert [each.run.run for each in elsewhere.recover(LAPSED + LEASE)] == [won.run.run]

    def test_what_a_process_left_that_is_gone_is_recovered_at_once(
        self, new_store: NewStore, scheduler: StubScheduler, elsewhere: BaseJobStore
    ) -> None:
        # Its pid is ours, yet it was started at another time: that process does not exist any more.
        dead = new_store()
        owner = Owner()
        host, pid, _, boot = owner.name.split("/")
        owner.name = "/".join((host, pid, "1", boot))
        dead.own(owner, LEASE)
        dead.start(scheduler, "default")
        insert(dead, new_job("a", 0, every(3600)))
        (won,) = claim(dead).claims
        dead.shutdown()
        assert [each.run.run for each in elsewhere.recover(NOW + 1)] == [won.run.run]

    def test_a_job_that_nobody_can_restore_is_recovered_too(
        self, store: BaseJobStore, elsewhere: BaseJobStore
    ) -> None:
        insert(store, new_job("a", 0, every(3600), executor="only there"))
        claim(store, NOW, {"only there": 1})
        store.write("a", lambda record: replace(record, payload=_broken(record.payload)))
        assert [each.run.state for each in elsewhere.recover(LAPSED)] == ["lost"]

    # -- what becomes of the run -----------------------------------------------------------------------------------

    def test_a_one_off_that_is_lost_stands_parked(self, store: BaseJobStore, elsewhere: BaseJobStore) -> None:
        insert(store, new_job("a", 0, once(0)))
        (won,) = claim(store).claims
        (recovered,) = elsewhere.recover(LAPSED)
        assert recovered.parked
        assert recovered.record.state == "parked"
        record = record_of(elsewhere, "a")
        assert (record.state, record.next_run_time, record.fire_time) == ("parked", None, NOW)
        assert (record.reason or "").startswith("lost: ")
        job = elsewhere.lookup_job("a")
        assert job is not None
        assert [each.id for each in elsewhere.get_all_jobs()] == ["a"]
        assert claim(elsewhere, LAPSED).claims == []
        # Its owner was only frozen, and reports after all: the loss is withdrawn, and the job ends.
        done = finish(store, won)
        assert [(job_id, run.run) for job_id, run in done.found] == [("a", won.run.run)]
        assert done.removed == ["a"]
        assert elsewhere.read("a") is None

    def test_a_late_finish_withdraws_the_loss(self, store: BaseJobStore, elsewhere: BaseJobStore) -> None:
        insert(store, new_job("a", 0, every(3600)))
        (won,) = claim(store).claims
        elsewhere.recover(LAPSED)
        assert store.extend_leases([key_of(won)], LAPSED + LEASE) == [key_of(won)]
        done = finish(store, won)
        assert [run.run for _, run in done.found] == [won.run.run]
        assert record_of(store, "a").runs == ()

    @pytest.mark.parametrize("trigger", [every(3600), once(0)])
    def test_under_rerun_the_run_is_run_again(
        self, store: BaseJobStore, elsewhere: BaseJobStore, trigger: Any
    ) -> None:
        insert(store, new_job("a", 0, trigger, recovery="rerun"))
        (won,) = claim(store).claims
        (recovered,) = elsewhere.recover(LAPSED)
        run = recovered.run
        assert (run.state, run.kind, run.attempt, run.recovered, run.owner) == (
            "waiting",
            "rerun",
            2,
            1,
            None,
        )
        assert not recovered.parked
        (again,) = claim(elsewhere, LAPSED).claims
        assert (again.run.kind, again.run.attempt, again.run.fire_times) == ("rerun", 2, (NOW,))
        # What the first owner says now is about a run that is no more.
        assert finish(store, won).found == []
        found = elsewhere.read("a")
        assert found is not None
        assert found[0].runs == (again.run,)
        assert finish(elsewhere, again).removed == ([] if trigger == every(3600) else ["a"])

    def test_a_run_that_is_recovered_too_often_is_given_up(
        self, store: BaseJobStore, elsewhere: BaseJobStore
    ) -> None:
        insert(store, new_job("a", 0, every(86400), recovery="rerun", max_recoveries=1))
        claim(store)
        elsewhere.recover(LAPSED)
        claim(store, LAPSED)
        (recovered,) = elsewhere.recover(LAPSED * 2)
        assert (recovered.run.state, recovered.parked) == ("lost", True)
        record = record_of(store, "a")
        assert (record.state, record.next_run_time) == ("parked", None)
        assert (record.reason or "").startswith("given up: ")

    def test_what_is_done_with_a_run_stands_in_the_run(
        self, store: BaseJobStore, elsewhere: BaseJobStore
    ) -> None:
        insert(store, new_job("a", 0, every(3600), recovery="rerun"))
        claim(store)
        job = store.lookup_job("a")
        assert job is not None
        job._modify(recovery="skip")
        store.update_job(job)
        assert [each.run.state for each in elsewhere.recover(LAPSED)] == ["waiting"]

    def test_lost_runs_are_listed_up_to_a_number_and_then_counted(
        self, store: BaseJobStore, elsewhere: BaseJobStore
    ) -> None:
        insert(store, new_job("a", 0, every(1), max_instances=1))
        now = NOW
        for _ in range(MAX_LOST_RUNS + 3):
            assert len(claim(store, now).claims) == 1
            now += LEASE + RECOVERY_MARGIN
            assert len(elsewhere.recover(now)) == 1
        record = record_of(store, "a")
        assert (len(record.runs), record.forgotten) == (MAX_LOST_RUNS, 3)

    @pytest.mark.parametrize(
        ("trigger", "edit", "left"),
        [
            (every(3600), lambda record, run: edits.dismiss_lost(record, run, "s"), []),
            (once(0), lambda record, run: edits.dismiss_lost(record, run, "s"), None),
            (
                every(3600),
                lambda record, run: edits.rerun_lost(record, run, new_run=9, now=LAPSED, stamp="s"),
                ["waiting"],
            ),
            (
                once(0),
                lambda record, run: edits.rerun_lost(record, run, new_run=9, now=LAPSED, stamp="s"),
                ["waiting"],
            ),
        ],
    )
    def test_a_lost_run_is_dismissed_or_run_again(
        self,
        store: BaseJobStore,
        elsewhere: BaseJobStore,
        trigger: Any,
        edit: Callable[[Record, int], Any],
        left: list[str] | None,
    ) -> None:
        insert(store, new_job("a", 0, trigger))
        (won,) = claim(store).claims
        elsewhere.recover(LAPSED)
        assert store.write("a", lambda record: edit(record, won.run.run + 1))[1] is None
        assert store.write("a", lambda record: edit(record, won.run.run))[1] is not None
        found = store.read("a")
        assert (None if found is None else [run.state for run in found[0].runs]) == left
        if left:
            (again,) = claim(elsewhere, LAPSED).claims
            assert (again.run.kind, again.run.attempt) == ("rerun", 2)
            assert finish(elsewhere, again).removed == ([] if trigger == every(3600) else ["a"])

    def test_an_earlier_incarnations_run_is_reported_if_lost_and_never_rerun(
        self, store: BaseJobStore, elsewhere: BaseJobStore
    ) -> None:
        insert(store, new_job("a", 0, once(0), recovery="rerun"))
        (old,) = claim(store).claims
        insert(store, new_job("a", 3600, every(3600, first=3600), name="new", max_instances=1))
        assert record_of(store, "a").runs == (replace(old.run, incarnation=old.record.incarnation),)
        assert store.extend_leases([key_of(old)], NOW + 2 * LEASE) == []
        (recovered,) = elsewhere.recover(LAPSED + LEASE)
        assert (recovered.run.state, recovered.parked) == ("lost", False)
        assert claim(elsewhere, LAPSED + LEASE).claims == []
        assert record_of(store, "a").state == "active"
        assert [run.run for _, run in finish(store, old).found] == [old.run.run]
        assert record_of(store, "a").runs == ()

    def test_a_retry_of_a_lost_run_takes_its_place(
        self, store: BaseJobStore, elsewhere: BaseJobStore
    ) -> None:
        insert(store, new_job("a", 0, once(0)))
        (won,) = claim(store).claims
        elsewhere.recover(LAPSED)
        store.finish_runs([outcome_of(won, retry=waiting_run(5, LAPSED, "retry"))])
        assert [each.run.kind for each in claim(elsewhere, LAPSED).claims] == ["retry"]

    def test_many_are_recovered_in_one_go(self, store: BaseJobStore, elsewhere: BaseJobStore) -> None:
        insert(store, *(new_job(f"{n:02}", 0, once(0)) for n in range(50)), new_job("later", 20, once(20)))
        claims = claim(store).claims
        claim(store, micros(20))
        finish(store, *claims[:10])
        recovered = elsewhere.recover(LAPSED)
        assert sorted(each.record.id for each in recovered) == [f"{n:02}" for n in range(10, 50)]
        assert all(each.parked for each in recovered)
        assert [each.record.id for each in elsewhere.recover(LAPSED + micros(20) - NOW)] == ["later"]


def _broken(payload: Any) -> Any:
    """A payload of the same type that nobody can read."""
    return payload[:-5] if isinstance(payload, bytes | str) else payload
