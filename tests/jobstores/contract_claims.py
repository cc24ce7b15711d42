"""The contract of stores, claims: what is due, how much of it is taken, what comes of a run, and what a claim answers beside."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from mainspring.jobstores import edits
from mainspring.jobstores.base import BaseJobStore
from mainspring.jobstores.job import Job
from mainspring.jobstores.record import Decision, Due, Record, RunKey

from tests.jobstores.contract_base import StoreFixtures
from tests.jobstores.driving import (
    LEASE,
    NOW,
    claim,
    claim_once,
    every,
    finish,
    insert,
    key_of,
    micros,
    new_job,
    once,
    outcome_of,
    prepared,
    record_of,
    waiting_run,
)
from tests.jobstores.samples import EveryMinute, Failing


class ClaimContract(StoreFixtures):
    # -- what is claimed -------------------------------------------------------------------------------------------

    def test_nothing_is_claimed_before_its_time(self, store: BaseJobStore) -> None:
        assert claim(store).claims == []
        insert(store, new_job("a", 5), new_job("paused", None))
        assert claim(store, micros(5) - 1).claims == []
        assert [each.record.id for each in claim(store, micros(5)).claims] == ["a"]
        assert claim(store, micros(5)).claims == []

    def test_a_claim_writes_the_run_and_the_next_time_in_one_step(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, every(60), name="it", args=[1]))
        (won,) = claim(store, micros(2)).claims
        assert (won.job.id, won.job.name, won.job.args) == ("a", "it", (1,))
        run = won.run
        assert (run.kind, run.state, run.fire_times, run.due) == ("schedule", "claimed", (NOW,), NOW)
        assert (run.owner, run.claimed_at, run.attempt) == (store.owner.name, micros(2), 1)
        assert run.lease_until == (micros(2) + LEASE if store.shared else None)
        record = record_of(store, "a")
        assert record.runs == (run,)
        assert (record.next_run_time, record.fire_time, record.state) == (micros(60), micros(60), "active")
        assert record.wake_at == (micros(2) + LEASE if store.shared else micros(60))
        assert won.record == replace(record, payload=won.record.payload)

    def test_several_due_times_are_coalesced_or_kept(self, store: BaseJobStore) -> None:
        insert(store, new_job("one", 0, every(10)), new_job("all", 0, every(10), coalesce=False))
        runs = {won.record.id: won.run for won in claim(store, micros(25)).claims}
        assert runs["one"].fire_times == (micros(20),)
        assert runs["all"].fire_times == (micros(0), micros(10), micros(20))
        assert record_of(store, "all").next_run_time == micros(30)

    def test_runs_have_random_numbers_of_63_bits(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, max_instances=9), new_job("b", 0, max_instances=9))
        claims = [won for now in (0, 60, 120) for won in claim(store, micros(now)).claims]
        runs = {won.run.run for won in claims}
        assert len(runs) == 6
        assert all(0 <= run < 2**63 for run in runs)
        of_a = {won.run.run for won in claims if won.record.id == "a"}
        assert {run.run for run in record_of(store, "a").runs} == of_a

    def test_without_room_a_run_is_skipped_and_reported(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, every(60), max_instances=2))
        assert [len(claim(store, micros(now)).claims) for now in (0, 60, 120)] == [1, 1, 0]
        result = claim(store, micros(180))
        assert result.claims == []
        assert [(record.id, job.id, times) for record, job, times in result.skipped] == [
            ("a", "a", (micros(180),))
        ]
        assert record_of(store, "a").next_run_time == micros(240)

    def test_a_decision_that_changes_nothing_writes_nothing(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0))
        seen = record_of(store, "a")

        def hold(record: Record, job: Job, due: Due | None) -> Decision:
            return Decision(record.next_run_time, record.fire_time, record.state, record.runs)

        claim(store, NOW - 1)
        store.restore([seen])
        result = store.claim_due(NOW, {"default": 9}, hold)
        assert (result.claims, result.skipped, result.parked) == ([], [], [])
        assert record_of(store, "a").stamp == seen.stamp

    # -- how much --------------------------------------------------------------------------------------------------

    def test_no_more_is_claimed_than_each_executor_wants(self, store: BaseJobStore) -> None:
        insert(store, *(new_job(f"a{n}", n) for n in range(5)))
        insert(store, *(new_job(f"b{n}", n, executor="other") for n in range(5)))
        result = claim(store, micros(10), {"default": 2, "other": 3})
        assert sorted(won.record.id for won in result.claims) == ["a0", "a1", "b0", "b1", "b2"]
        assert result.more
        result = claim(store, micros(10), {"default": 9})
        assert sorted(won.record.id for won in result.claims) == ["a2", "a3", "a4"]
        assert not result.more
        result = claim(store, micros(10), {"other": 2})
        assert sorted(won.record.id for won in result.claims) == ["b3", "b4"]
        assert not result.more

    def test_nothing_is_wanted(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0))
        stamp = record_of(store, "a").stamp
        assert claim(store, NOW, {"default": 0}).claims == []
        assert claim_once(store, NOW, {}).claims == []
        assert record_of(store, "a").stamp == stamp

    def test_an_alias_that_is_not_wanted_stays_due(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, executor="elsewhere"), new_job("b", 0))
        stamp = record_of(store, "a").stamp
        assert [won.record.id for won in claim(store).claims] == ["b"]
        assert record_of(store, "a").stamp == stamp
        assert store.overdue_executors(NOW) == {"elsewhere"}
        assert [won.record.id for won in claim(store, NOW, {"elsewhere": 1}).claims] == ["a"]

    def test_overdue_executors_are_those_with_something_due(self, store: BaseJobStore) -> None:
        assert store.overdue_executors(NOW) == set()
        insert(store, new_job("a", 0), new_job("b", 1, executor="x"), new_job("c", None, executor="y"))
        assert store.overdue_executors(NOW - 1) == set()
        assert store.overdue_executors(NOW) == {"default"}
        assert store.overdue_executors(micros(1)) == {"default", "x"}

    def test_wake_at_is_the_next_time_of_the_executors_asked_for(self, store: BaseJobStore) -> None:
        assert claim(store).wake_at is None
        insert(store, new_job("a", 30, once(30)), new_job("b", 20, once(20)), new_job("paused", None))
        insert(store, new_job("mine", 25, once(25), executor="mine"), new_job("c", 0, executor="elsewhere"))
        assert claim(store, NOW, {"default": 9, "mine": 9}).wake_at == micros(20)
        # No later, that is; a store may answer another executor's time, which costs a look for nothing.
        assert NOW < (claim(store, NOW, {"mine": 9}).wake_at or 0) <= micros(25)
        result = claim(store, micros(20), {"default": 9, "mine": 9})
        assert [won.record.id for won in result.claims] == ["b"]
        finish(store, *result.claims)
        assert claim(store, micros(21), {"default": 9, "mine": 9}).wake_at == micros(25)

    def test_wake_at_is_told_beside_what_is_claimed_and_left(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, every(60)), new_job("b", 0, every(60)), new_job("c", 40))
        result = claim(store, NOW, {"default": 1})
        assert len(result.claims) == 1
        finish(store, *result.claims)
        assert result.more
        rest = claim(store, NOW, {"default": 9})
        finish(store, *rest.claims)
        assert not rest.more
        assert claim(store, micros(1)).wake_at == micros(40)

    # -- users' triggers -------------------------------------------------------------------------------------------

    @pytest.fixture
    def asked(self) -> type[EveryMinute]:
        EveryMinute.asked = 0
        return EveryMinute

    def test_a_users_trigger_is_never_asked_inside_the_step(
        self, store: BaseJobStore, asked: type[EveryMinute]
    ) -> None:
        insert(store, new_job("a", 0, EveryMinute()), new_job("b", 0))
        store.restore([record_of(store, "a"), record_of(store, "b")])
        result = claim_once(store)
        assert [record.id for record in result.deferred] == ["a"]
        assert [won.record.id for won in result.claims] == ["b"]
        assert asked.asked == 0
        assert record_of(store, "a").runs == ()
        decided = prepared(store, result.deferred, NOW)
        assert asked.asked > 0
        asked.asked = 0
        result = claim_once(store, decided=decided)
        assert [won.record.id for won in result.claims] == ["a"]
        assert result.deferred == []
        assert asked.asked == 0
        assert record_of(store, "a").next_run_time == micros(60)

    def test_what_was_decided_holds_for_that_fire_time_only(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, EveryMinute(), max_instances=3))
        old = self._decide(store, NOW)
        assert len(claim(store).claims) == 1
        result = claim_once(store, micros(60), decided=old)
        assert [record.id for record in result.deferred] == ["a"]
        assert result.claims == []

    def test_what_was_decided_holds_for_that_revision_only(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, EveryMinute()))
        old = self._decide(store, NOW)
        found = store.read("a")
        assert found is not None
        record, job = found
        job = job._clone()
        job._modify(name="new")
        payload = store.pack(job)
        store.write(
            "a",
            lambda found: edits.edit_definition(
                found, record, payload=payload, executor="default", revision=5, unblock=False, stamp="s"
            ),
        )
        result = claim_once(store, decided=old)
        assert [each.id for each in result.deferred] == ["a"]
        assert result.claims == []
        assert [won.job.name for won in claim(store).claims] == ["new"]

    def test_what_was_decided_is_of_no_use_for_a_removed_job(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, EveryMinute()))
        old = self._decide(store, NOW)
        store.remove_job("a")
        assert claim_once(store, decided=old).claims == []
        insert(store, new_job("a", 0, every(60)))
        assert [won.job.trigger for won in claim(store).claims] == [every(60)]

    def test_a_trigger_that_raises_parks_its_job_after_the_run_that_was_due(
        self, store: BaseJobStore
    ) -> None:
        insert(store, new_job("a", 0, Failing()), new_job("b", 0))
        result = claim(store)
        assert sorted(won.record.id for won in result.claims) == ["a", "b"]
        assert [(record.id, record.state, job.id) for record, job in result.parked] == [("a", "parked", "a")]
        finish(store, *result.claims)
        record = record_of(store, "a")
        assert (record.state, record.reason, record.next_run_time, record.fire_time) == (
            "parked",
            "trigger: RuntimeError: no idea when",
            None,
            NOW,
        )
        assert claim(store, micros(60)).parked == []

    @staticmethod
    def _decide(store: BaseJobStore, now: int) -> list[tuple[Record, Due]]:
        deferred = claim_once(store, now).deferred
        decided = prepared(store, deferred, now)
        assert decided
        return decided

    # -- the end of a run ------------------------------------------------------------------------------------------

    def test_a_finished_run_is_gone_and_leaves_room(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, every(60)))
        result = claim(store)
        done = finish(store, *result.claims)
        assert (done.removed, done.found, done.parked) == ([], [], [])
        record = record_of(store, "a")
        assert (record.runs, record.wake_at) == ((), micros(60))
        assert len(claim(store, micros(60)).claims) == 1

    def test_many_are_finished_in_one_go(self, store: BaseJobStore) -> None:
        insert(store, *(new_job(f"{n:02}", 0, once(0) if n % 2 else None) for n in range(40)))
        insert(store, new_job("twice", 0, max_instances=2))
        claims = claim(store).claims + claim(store, micros(60)).claims
        done = finish(store, *claims)
        assert sorted(done.removed) == [f"{n:02}" for n in range(1, 40, 2)]
        assert {record.runs for record in store.read_all()} == {()}

    def test_only_the_very_run_can_be_finished(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, every(60)))
        (won,) = claim(store).claims
        right = outcome_of(won)
        wrong = [
            replace(right, run=right.run + 1),
            replace(right, owner="somebody/else"),
            replace(right, incarnation=right.incarnation + 1),
            replace(right, job_id="b"),
        ]
        done = store.finish_runs(wrong)
        assert (done.removed, done.found) == ([], [])
        assert record_of(store, "a").runs == (won.run,)
        store.finish_runs([right])
        store.finish_runs([right])
        assert record_of(store, "a").runs == ()

    def test_a_late_finish_touches_nothing_of_the_next_job(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, once(0)))
        old = claim(store).claims
        finish(store, *old)
        insert(store, new_job("a", 0, once(0)))
        new = claim(store).claims
        assert finish(store, *old).removed == []
        record, _ = store.read("a") or pytest.fail("the new job is gone")
        assert record.runs == (new[0].run,)
        assert finish(store, *new).removed == ["a"]

    def test_a_finish_after_removal_is_passed_over(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0), new_job("b", 0))
        claims = claim(store).claims
        store.remove_job("a")
        done = finish(store, *claims)
        assert (done.removed, done.found, done.parked) == ([], [], [])
        assert [record.id for record in store.read_all()] == ["b"]
        assert record_of(store, "b").runs == ()

    def test_a_retry_takes_the_runs_place(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, once(0)))
        (won,) = claim(store).claims
        retry = replace(waiting_run(7, micros(10), "retry"), attempt=2)
        assert store.finish_runs([outcome_of(won, retry=retry)]).removed == []
        record, _ = store.read("a") or pytest.fail("the job is gone")
        assert (record.runs, record.wake_at) == ((retry,), micros(10))
        result = claim(store, micros(9))
        assert (result.claims, result.wake_at) == ([], micros(10))
        (again,) = claim(store, micros(10)).claims
        assert (again.run.kind, again.run.attempt, again.run.fire_times) == ("retry", 2, (micros(10),))
        assert again.run.run != 7
        assert finish(store, again).removed == ["a"]

    def test_an_outcome_may_park_a_job_that_has_no_further_run(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, once(0)))
        (won,) = claim(store).claims
        done = store.finish_runs([outcome_of(won, parked="failed: enough")])
        assert (done.parked, done.removed) == ([("a", "failed: enough")], [])
        record, job = store.read("a") or pytest.fail("the job is gone")
        assert (record.state, record.reason, record.next_run_time) == ("parked", "failed: enough", None)
        assert (record.fire_time, record.runs) == (NOW, ()), "a resume needs a later time than this"
        assert job.next_run_time is None
        assert claim(store, micros(3600)).claims == []

    def test_an_outcome_parks_no_job_that_goes_on(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, every(60)))
        (won,) = claim(store).claims
        done = store.finish_runs([outcome_of(won, parked="failed: enough")])
        assert (done.parked, done.removed) == ([], [])
        assert (record_of(store, "a").state, record_of(store, "a").runs) == ("active", ())
        assert len(claim(store, micros(60)).claims) == 1

    # -- giving back -----------------------------------------------------------------------------------------------

    def test_a_run_that_is_given_back_waits_and_is_claimed_again(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, every(60)), new_job("b", 0, once(0)))
        claims = claim(store).claims
        store.give_back([key_of(won) for won in claims])
        record = record_of(store, "a")
        assert [(run.state, run.owner, run.lease_until) for run in record.runs] == [("waiting", None, None)]
        assert record.wake_at == NOW
        assert store.overdue_executors(NOW) == {"default"}
        again = claim(store, micros(1)).claims
        assert sorted(won.record.id for won in again) == ["a", "b"]
        assert {won.run.run for won in again}.isdisjoint(won.run.run for won in claims)
        assert {(won.run.kind, won.run.fire_times, won.run.due) for won in again} == {
            ("schedule", (NOW,), NOW)
        }
        # The first claim's runs are no more: neither finished nor given back a second time.
        finish(store, *claims)
        store.give_back([key_of(won) for won in claims])
        assert record_of(store, "a").runs[0].owner == store.owner.name
        assert finish(store, *again).removed == ["b"]

    def test_only_the_very_run_is_given_back(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0))
        (won,) = claim(store).claims
        key = key_of(won)
        store.give_back(
            [
                replace(key, run=key.run + 1),
                replace(key, owner="somebody/else"),
                replace(key, incarnation=1),
                RunKey("b", 1, 1, "x"),
            ]
        )
        assert record_of(store, "a").runs == (won.run,)

    def test_a_run_given_back_has_room_only_where_there_is_some(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, every(60)))
        (won,) = claim(store).claims
        store.give_back([key_of(won)])
        # The waiting run comes first; the scheduled one has no room beside it.
        result = claim(store, micros(60))
        assert [each.run.fire_times for each in result.claims] == [(NOW,)]
        assert [times for _, _, times in result.skipped] == [(micros(60),)]

    # -- at the same time ------------------------------------------------------------------------------------------

    def test_threads_win_each_run_once(self, store: BaseJobStore) -> None:
        insert(store, *(new_job(f"{n:02}", 0, every(1), max_instances=9) for n in range(40)))

        def drain(number: int) -> list[tuple[str, tuple[int, ...]]]:
            won = []
            for now in range(4):
                for _ in range(4):
                    claims = claim(store, micros(now), {"default": 7}).claims
                    finish(store, *claims)
                    won += [(each.record.id, each.run.fire_times) for each in claims]
            return won

        with ThreadPoolExecutor(4) as threads:
            won = [each for drained in threads.map(drain, range(4)) for each in drained]
        assert len(won) == len({*won})
        assert {record.runs for record in store.read_all()} == {()}
        # Whoever is late coalesces; the last second's run of every job has been somebody's.
        while claims := claim(store, micros(3)).claims:
            finish(store, *claims)
            won += [(each.record.id, each.run.fire_times) for each in claims]
        assert {job_id for job_id, times in won if times[-1] == micros(3)} == {f"{n:02}" for n in range(40)}
        assert {record.next_run_time for record in store.read_all()} == {micros(4)}
