"""The contract of stores, runs with care: retries, runs that wait for room or were asked for, and what of a job outlasts its schedule."""

from dataclasses import replace
from typing import Any

import pytest
from mainspring.jobstores import edits
from mainspring.jobstores.base import BaseJobStore, ConflictingIdError, JobLookupError
from mainspring.jobstores.job import Job
from mainspring.jobstores.record import SCHEDULE_OVER, Claim, Plan, Record, Run, Transition, Written

from tests.jobstores.contract_base import StoreFixtures
from tests.jobstores.driving import (
    NOW,
    SECOND,
    claim,
    every,
    finish,
    ids_of,
    insert,
    micros,
    new_job,
    once,
    outcome_of,
    record_of,
    waiting_run,
)
from tests.jobstores.options import OTHER_OPTIONS
from tests.jobstores.samples import other_work

DELAY = 10 * SECOND


def retry_of(won: Claim, at: int) -> Run:
    """The next attempt of a run that failed, as the engine makes it."""
    run = won.run
    return Run(
        run.run ^ 1,
        "retry",
        run.fire_times,
        at,
        "waiting",
        run.attempt + 1,
        run.recovered,
        recovery=run.recovery,
        max_recoveries=run.max_recoveries,
        retried=run.retried + 1,
        root=run.run_id,
    )


def fail(store: BaseJobStore, won: Claim, at: int = NOW + DELAY) -> Any:
    return store.finish_runs([outcome_of(won, retry=retry_of(won, at))])


def ask(store: BaseJobStore, job_id: str, run: int = 5, now: int = NOW) -> Transition:
    """Have the job run now."""
    stamp = store.owner.stamp()
    return store.write(job_id, lambda record: edits.run_now(record, waiting_run(run, now), stamp))[1]


def claimed_once(store: BaseJobStore, now: int = NOW) -> Claim:
    (won,) = claim(store, now).claims
    return won


class RunContract(StoreFixtures):
    # -- retries ---------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("one_off", [True, False])
    def test_a_retry_takes_the_run_s_place_and_is_claimed_when_it_is_due(
        self, store: BaseJobStore, one_off: bool
    ) -> None:
        insert(store, new_job("a", 0, once(0) if one_off else every(60), max_retries=2))
        first = claimed_once(store)
        assert first.run.keeps
        done = fail(store, first)
        assert (done.removed, done.parked) == ([], [])
        assert done.wake_at == NOW + DELAY
        record = record_of(store, "a")
        assert record.runs == (retry_of(first, NOW + DELAY),)
        assert record.wake_at == NOW + DELAY
        early = claim(store, NOW + DELAY - 1)
        assert (early.claims, early.wake_at) == ([], NOW + DELAY)
        again = claimed_once(store, NOW + DELAY)
        run = again.run
        assert (run.kind, run.attempt, run.retried, run.keeps) == ("retry", 2, 1, True)
        assert (run.run_id, run.fire_times) == (first.run.run, (NOW,))
        assert run.run not in (first.run.run, first.run.run ^ 1)
        fail(store, again, NOW + 2 * DELAY)
        last = claimed_once(store, NOW + 2 * DELAY)
        assert (last.run.attempt, last.run.run_id, last.run.keeps) == (3, first.run.run, False)
        assert finish(store, last).removed == (["a"] if one_off else [])
        assert ids_of(store) == ([] if one_off else ["a"])

    def test_a_retry_that_is_due_at_once_is_told(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, every(3600), max_retries=1, retry_delay=0))
        assert fail(store, claimed_once(store), NOW).wake_at == NOW
        assert claimed_once(store).run.attempt == 2

    def test_a_retry_behind_a_lease_that_has_lapsed_is_told(self, store: BaseJobStore) -> None:
        """Whoever has looked since the lease was over has not foreseen it: there was nothing to come."""
        insert(store, new_job("a", 0, once(0), max_retries=1))
        won = claimed_once(store)
        over = won.run.lease_until or NOW
        assert claim(store, over + SECOND).wake_at is None
        assert fail(store, won, over + DELAY).wake_at == over + DELAY
        assert claimed_once(store, over + DELAY).run.attempt == 2

    def test_a_retry_of_a_batch_has_those_times_that_failed(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, every(60), coalesce=False, max_retries=1))
        won = claimed_once(store, micros(125))
        times = (micros(0), micros(120))
        store.finish_runs([outcome_of(won, retry=replace(retry_of(won, micros(135)), fire_times=times))])
        (run,) = record_of(store, "a").runs
        assert (run.fire_times, run.due) == (times, micros(135))
        assert claimed_once(store, micros(135)).run.fire_times == times

    def test_many_ends_in_one_write(self, store: BaseJobStore) -> None:
        insert(store, *(new_job(f"{n:02}", 0, once(0), max_retries=1) for n in range(30)))
        claims = sorted(claim(store).claims, key=lambda won: won.record.id)
        outcomes = [
            outcome_of(won, retry=retry_of(won, NOW + DELAY + place))
            if place % 3 == 0
            else outcome_of(won, parked=f"failed: {won.record.id}")
            if place % 3 == 1
            else outcome_of(won)
            for place, won in enumerate(claims)
        ]
        done = store.finish_runs(outcomes)
        ids = [won.record.id for won in claims]
        assert sorted(done.removed) == ids[2::3]
        assert sorted(done.parked) == [(job_id, f"failed: {job_id}") for job_id in ids[1::3]]
        assert done.wake_at == NOW + DELAY
        assert ids_of(store) == sorted(ids[0::3] + ids[1::3])
        again = claim(store, NOW + DELAY + 30)
        assert sorted(won.record.id for won in again.claims) == ids[0::3]
        # The same once more: the answer was lost, say.
        assert store.finish_runs(outcomes).removed == []

    def test_an_edit_between_two_attempts_is_what_the_next_one_runs(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, once(0), max_retries=3))
        fail(store, claimed_once(store))
        self._edit(store, "a", func=other_work, name="new", executor="other", max_retries=1)
        assert claim(store, NOW + DELAY).claims == []
        assert store.overdue_executors(NOW + DELAY) == {"other"}
        (won,) = claim(store, NOW + DELAY, {"other": 5}).claims
        assert (won.job.func, won.job.name, won.job.max_retries) == (other_work, "new", 1)
        assert (won.run.attempt, won.run.keeps) == (2, False)

    def test_a_paused_job_s_retry_is_held(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, once(0), max_retries=1))
        fail(store, claimed_once(store))
        self._plan(store, "a", Plan(None, None, "paused", SCHEDULE_OVER))
        record = record_of(store, "a")
        assert (record.wake_at, record.state, record.reason) == (None, "paused", SCHEDULE_OVER)
        assert claim(store, NOW + DELAY).claims == []
        assert store.overdue_executors(NOW + DELAY) == set()
        self._plan(store, "a", Plan(None, None, "ended"))
        assert record_of(store, "a").wake_at == NOW + DELAY
        won = claimed_once(store, NOW + 2 * DELAY)
        assert finish(store, won).removed == ["a"]

    def test_a_job_that_was_paused_at_its_end_goes_with_its_last_run(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, once(0), max_retries=1))
        won = claimed_once(store)
        self._plan(store, "a", Plan(None, None, "paused", SCHEDULE_OVER))
        assert finish(store, won).removed == ["a"]
        assert ids_of(store) == []

    # -- what is there, and what is over ---------------------------------------------------------------------------

    @pytest.mark.parametrize("options", [{"max_retries": 1}, {"keep_failed": True}])
    def test_a_job_whose_last_run_may_leave_something_behind_is_there(
        self, store: BaseJobStore, options: dict[str, Any]
    ) -> None:
        insert(store, new_job("a", 0, once(0), **options))
        won = claimed_once(store)
        assert won.run.keeps
        self._is_there(store)
        fail(store, won)
        self._is_there(store)
        store.remove("a", won.record.incarnation)
        assert ids_of(store) == []
        # What comes of it now is nobody's.
        assert (fail(store, won).removed, store.find_job("a")) == ([], None)

    def test_a_job_that_leaves_nothing_behind_is_gone_for_people(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, once(0)))
        won = claimed_once(store)
        assert not won.run.keeps
        assert (store.find_job("a"), store.find_jobs()) == (None, [])
        with pytest.raises(JobLookupError):
            store.remove("a", None)
        assert ask(store, "a") is None
        insert(store, new_job("a", 500, once(500), name="the next one"))
        assert [job.name for job in store.find_jobs()] == ["the next one"]
        # A failure of the old one's does not run the new one, and does not park it.
        fail(store, won)
        assert record_of(store, "a").state == "active"
        assert [run for run in record_of(store, "a").runs if run.state != "claimed"] == []

    def test_a_parked_one_off_runs_when_it_is_asked_to_and_goes_then(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, once(0), keep_failed=True))
        store.finish_runs([outcome_of(claimed_once(store), parked="failed: no")])
        self._is_there(store)
        assert claim(store, micros(3600)).claims == []
        after = ask(store, "a", now=micros(3600))
        assert isinstance(after, Record)
        assert (after.state, after.reason, after.wake_at) == ("ended", None, micros(3600))
        self._is_there(store)
        won = claimed_once(store, micros(3600))
        assert (won.run.kind, won.run.run_id) == ("now", 5)
        assert store.finish_runs([outcome_of(won, parked="failed: again")]).parked == [("a", "failed: again")]
        ask(store, "a", now=micros(7200))
        assert finish(store, claimed_once(store, micros(7200))).removed == ["a"]

    # -- while it is still running -----------------------------------------------------------------------------------

    def test_a_fire_time_waits_in_the_store_for_room(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, every(6), while_running="queue"))
        first = claimed_once(store)
        result = claim(store, micros(6))
        assert (result.claims, result.skipped) == ([], [])
        record = record_of(store, "a")
        (queued,) = (run for run in record.runs if run.state == "waiting")
        assert (queued.kind, queued.fire_times, queued.blocked) == ("queued", (micros(6),), True)
        assert record.next_run_time == micros(12)
        assert claim(store, micros(7)).claims == []
        # The next fire time takes its place, and it is told.
        result = claim(store, micros(12))
        assert [(job.id, times) for _, job, times in result.skipped] == [("a", (micros(6),))]
        assert [run.fire_times for run in record_of(store, "a").runs] == [(NOW,), (micros(12),)]
        assert finish(store, first).wake_at == micros(12), "right after"
        won = claimed_once(store, micros(13))
        assert (won.run.kind, won.run.run_times, won.run.attempt) == ("queued", (micros(12),), 1)
        assert record_of(store, "a").next_run_time == micros(18)

    def test_a_raised_limit_lets_the_queued_one_go(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, every(60), while_running="queue"))
        claimed_once(store)
        claim(store, micros(60))
        self._edit(store, "a", max_instances=2)
        assert claimed_once(store, micros(61)).run.kind == "queued"

    # -- run now ---------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("state", ["active", "paused", "parked"])
    def test_a_job_runs_now_whatever_its_schedule_says(self, store: BaseJobStore, state: Any) -> None:
        insert(store, new_job("a", 3600))
        if state != "active":
            self._plan(store, "a", Plan(None, micros(3600), state, "trigger: no idea"))
        before = record_of(store, "a")
        after = ask(store, "a")
        assert isinstance(after, Record)
        assert (after.wake_at, after.revision, after.state) == (NOW, before.revision, state)
        assert store.overdue_executors(NOW) == {"default"}
        won = claimed_once(store)
        assert (won.run.kind, won.run.run_id, won.run.run_times) == ("now", 5, (NOW,))
        finish(store, won)
        record = record_of(store, "a")
        schedule = ("state", "next_run_time", "fire_time", "reason", "revision", "runs")
        assert [getattr(record, name) for name in schedule] == [getattr(before, name) for name in schedule]

    def test_runs_that_were_asked_for_wait_for_room_one_after_the_other(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 3600))
        for number in (1, 2, 3):
            ask(store, "a", number, NOW + number)
        ids = []
        for _ in range(3):
            won = claimed_once(store, NOW + 10)
            ids.append(won.run.run_id)
            assert claim(store, NOW + 10).claims == []
            finish(store, won)
        assert ids == [1, 2, 3]
        assert claim(store, NOW + 10).claims == []

    def test_a_hundred_are_enough(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 3600))
        for number in range(100):
            assert isinstance(ask(store, "a", number), Record)
        assert ask(store, "a", 100) is None
        assert len(record_of(store, "a").runs) == 100

    # -- options ---------------------------------------------------------------------------------------------------

    def test_the_options_of_runs_come_back(self, store: BaseJobStore) -> None:
        insert(store, new_job("all", 5, **OTHER_OPTIONS), new_job("none", 5))
        insert(store, *(new_job(name, 5, **{name: value}) for name, value in OTHER_OPTIONS.items()))
        for name, value in OTHER_OPTIONS.items():
            job, whole = self._job(store, name), self._job(store, "all")
            assert job._policy.options() == {name: value}
            assert (getattr(whole, name), type(getattr(whole, name))) == (value, type(value))
        assert self._job(store, "none")._policy.options() == {}

    def test_the_options_of_runs_are_edited(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 5))
        self._edit(store, "a", **OTHER_OPTIONS)
        assert self._job(store, "a")._policy.options() == OTHER_OPTIONS
        self._edit(store, "a", timeout=None, keep_failed=False)
        left = {
            name: value for name, value in OTHER_OPTIONS.items() if name not in ("timeout", "keep_failed")
        }
        assert self._job(store, "a")._policy.options() == left
        claims = claim(store, micros(5)).claims
        assert [won.job._policy.options() for won in claims] == [left]

    # -- parts -----------------------------------------------------------------------------------------------------

    def _is_there(self, store: BaseJobStore) -> None:
        job = store.find_job("a")
        assert job is not None
        assert [each.id for each in store.find_jobs()] == ["a"]
        with pytest.raises(ConflictingIdError):
            insert(store, new_job("a", 500))

    def _job(self, store: BaseJobStore, job_id: str) -> Job:
        found = store.read(job_id)
        assert found is not None
        return found[1]

    def _edit(self, store: BaseJobStore, job_id: str, **changes: Any) -> None:
        record, job = store.read(job_id) or pytest.fail("the job is gone")
        clone = job._clone()
        clone._modify(**changes)
        payload, stamp = store.pack(clone), store.owner.stamp()
        _, after = store.write(
            job_id,
            lambda current: edits.edit_definition(
                current,
                record,
                payload=payload,
                executor=clone.executor,
                revision=record.revision + 1,
                unblock=clone.max_instances > job.max_instances,
                stamp=stamp,
            ),
        )
        assert isinstance(after, Record)

    def _plan(self, store: BaseJobStore, job_id: str, plan: Plan) -> None:
        seen, stamp = record_of(store, job_id), store.owner.stamp()
        _, after = store.write(
            job_id,
            lambda current: edits.edit_schedule(current, seen, plan, revision=seen.revision + 1, stamp=stamp),
        )
        assert after is Written.DELETED or isinstance(after, Record)
