"""The contract of stores, edits: what people change while passes of the loop go on, and that neither harms the other."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from mainspring.jobstores import edits
from mainspring.jobstores.base import BaseJobStore
from mainspring.jobstores.record import Plan, Record, Transition

from tests.jobstores.contract_base import StoreFixtures
from tests.jobstores.driving import (
    NOW,
    at,
    claim,
    every,
    finish,
    insert,
    key_of,
    micros,
    new_job,
    once,
    record_of,
    waiting_run,
)

PAUSED = Plan(None, micros(0), "paused")


class EditContract(StoreFixtures):
    # -- when it runs ----------------------------------------------------------------------------------------------

    def test_a_paused_job_is_not_claimed_until_it_is_resumed(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, every(60)))
        reschedule(store, "a", PAUSED)
        record = record_of(store, "a")
        assert (record.state, record.next_run_time, record.fire_time, record.wake_at) == (
            "paused",
            None,
            NOW,
            None,
        )
        assert claim(store, micros(600)).claims == []
        job = store.lookup_job("a")
        assert job is not None
        assert job.next_run_time is None
        reschedule(store, "a", Plan(micros(660), micros(660)))
        assert claim(store, micros(659)).claims == []
        assert [won.run.fire_times for won in claim(store, micros(660)).claims] == [(micros(660),)]

    def test_a_claim_in_between_makes_an_edit_of_the_schedule_read_again(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, every(60)))
        seen = record_of(store, "a")
        (won,) = claim(store).claims
        assert write_schedule(store, seen, PAUSED) is None
        record = record_of(store, "a")
        assert (record.state, record.runs) == ("active", (won.run,))
        assert isinstance(write_schedule(store, record, PAUSED), Record)
        record = record_of(store, "a")
        assert (record.state, record.runs) == ("paused", (won.run,))
        finish(store, won)
        assert record_of(store, "a").runs == ()

    def test_an_edit_may_put_another_trigger_there(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, every(60)))
        seen = record_of(store, "a")
        payload = changed(store, "a", trigger=every(7))
        assert isinstance(write_schedule(store, seen, Plan(micros(7), micros(7)), payload=payload), Record)
        (won,) = claim(store, micros(8)).claims
        assert (won.job.trigger, won.run.fire_times) == (every(7), (micros(7),))
        assert record_of(store, "a").next_run_time == micros(14)
        job = store.lookup_job("a")
        assert job is not None
        assert (job.trigger, job.next_run_time) == (every(7), at(14))

    # -- what it is ------------------------------------------------------------------------------------------------

    def test_a_claim_in_between_does_not_disturb_an_edit_of_the_definition(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, every(60)))
        seen = record_of(store, "a")
        payload = changed(store, "a", name="new", args=[1])
        (won,) = claim(store).claims
        assert won.job.args == ()
        assert isinstance(write_definition(store, seen, payload), Record)
        record = record_of(store, "a")
        assert (record.next_run_time, record.runs) == (micros(60), (won.run,))
        finish(store, won)
        (won,) = claim(store, micros(60)).claims
        assert (won.job.name, won.job.args, won.job.trigger) == ("new", (1,), every(60))

    def test_of_two_edits_of_one_reading_the_second_reads_again(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0))
        seen = record_of(store, "a")
        first, second = changed(store, "a", name="first"), changed(store, "a", name="second")
        assert isinstance(write_definition(store, seen, first, revision=1), Record)
        assert write_definition(store, seen, second, revision=2) is None
        assert write_schedule(store, seen, PAUSED, payload=second) is None
        job = store.lookup_job("a")
        assert job is not None
        assert (job.name, job.next_run_time) == ("first", at(0))

    def test_an_edit_does_not_reach_the_next_job_of_the_same_id(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0))
        seen = record_of(store, "a")
        payload = changed(store, "a", name="for the old one")
        store.remove_job("a")
        insert(store, new_job("a", 5, name="another"))
        assert write_definition(store, seen, payload) is None
        assert write_schedule(store, seen, PAUSED) is None
        job = store.lookup_job("a")
        assert job is not None
        assert (job.name, job.next_run_time) == ("another", at(5))

    def test_another_executor_claims_the_job(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, every(60)))
        seen = record_of(store, "a")
        payload = changed(store, "a", executor="other")
        assert isinstance(write_definition(store, seen, payload, executor="other"), Record)
        assert store.overdue_executors(NOW) == {"other"}
        assert claim(store, NOW, {"default": 9}).claims == []
        (won,) = claim(store, NOW, {"other": 9}).claims
        assert (won.job.executor, won.record.executor) == ("other", "other")
        assert [each.record.id for each in claim(store, micros(60), {"other": 9}).claims] == []
        finish(store, won)
        # And back again, while both its places in an index have been used.
        payload = changed(store, "a", executor="default")
        assert isinstance(write_definition(store, record_of(store, "a"), payload), Record)
        assert claim(store, micros(120), {"other": 9}).claims == []
        assert [each.record.id for each in claim(store, micros(120)).claims] == ["a"]

    def test_a_raised_max_instances_lets_a_waiting_run_go(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, every(3600)))
        claim(store)
        store.write("a", lambda record: edits.run_now(record, waiting_run(1), "s"))
        assert claim(store).claims == []
        assert record_of(store, "a").runs[1].blocked
        payload = changed(store, "a", max_instances=2)
        write_definition(store, record_of(store, "a"), payload)
        assert [won.run.kind for won in claim(store).claims] == ["now"]

    # -- runs ------------------------------------------------------------------------------------------------------

    def test_run_now_is_one_more_run(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 600, every(60, first=600)), new_job("paused", None))
        for job_id in ("a", "paused"):
            store.write(job_id, lambda record: edits.run_now(record, waiting_run(1), "s"))
        assert record_of(store, "a").wake_at == NOW
        assert store.overdue_executors(NOW) == {"default"}
        result = claim(store)
        assert sorted((won.record.id, won.run.kind) for won in result.claims) == [
            ("a", "now"),
            ("paused", "now"),
        ]
        finish(store, *result.claims)
        assert claim(store).claims == []
        assert record_of(store, "a").next_run_time == micros(600)
        assert record_of(store, "paused").state == "paused"

    def test_a_blocked_run_is_not_looked_at_until_there_is_room(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, every(3600)))
        (running,) = claim(store).claims
        store.write("a", lambda record: edits.run_now(record, waiting_run(1), "s"))
        result = claim(store)
        assert result.claims == []
        assert record_of(store, "a").runs[1].blocked
        assert NOW not in (record_of(store, "a").wake_at, claim(store).wake_at)
        assert store.overdue_executors(NOW) == set()
        finish(store, running)
        assert [won.run.kind for won in claim(store, micros(1)).claims] == ["now"]

    def test_a_pause_holds_a_waiting_run(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, every(60)))
        (won,) = claim(store).claims
        store.give_back([key_of(won)])
        reschedule(store, "a", PAUSED)
        assert claim(store, micros(5)).claims == []
        reschedule(store, "a", Plan(micros(60), micros(60)))
        assert [won.run.fire_times for won in claim(store, micros(5)).claims] == [(NOW,)]

    def test_a_parked_job_that_is_rescheduled_runs_again(self, store: BaseJobStore) -> None:
        store.insert([(new_job("a", None), Plan(None, NOW, "parked", "trigger: it raised"))])
        reschedule(store, "a", Plan(micros(9), micros(9)))
        record = record_of(store, "a")
        assert (record.state, record.reason) == ("active", None)
        assert [won.record.id for won in claim(store, micros(9)).claims] == ["a"]

    # -- at the same time ------------------------------------------------------------------------------------------

    def test_no_edit_is_lost_and_no_run_twice_when_threads_do_both(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, every(1), kwargs={}, coalesce=False))
        won: list[int] = []

        def run() -> None:
            for now in range(40):
                claims = claim(store, micros(now)).claims
                won.extend(time for each in claims for time in each.run.fire_times)
                finish(store, *claims)

        def edit(number: int) -> None:
            for round_ in range(8):
                add_keyword(store, "a", f"{number}.{round_}")

        with ThreadPoolExecutor(4) as threads:
            tasks = [threads.submit(run), threads.submit(run)] + [threads.submit(edit, n) for n in range(2)]
            for task in tasks:
                task.result(60)
        while claims := claim(store, micros(39)).claims:
            won.extend(time for each in claims for time in each.run.fire_times)
            finish(store, *claims)
        # A run that is due while another is going is skipped, as max_instances says: none comes twice, and none out of order.
        assert len(won) == len({*won})
        job = store.lookup_job("a")
        assert job is not None
        assert set(job.kwargs) == {f"{number}.{round_}" for number in range(2) for round_ in range(8)}
        assert record_of(store, "a").runs == ()

    def test_a_one_off_is_parked_or_ends_but_never_both(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, once(0)))
        seen = record_of(store, "a")
        (won,) = claim(store).claims
        assert write_schedule(store, seen, Plan(micros(50), micros(50))) is None
        assert finish(store, won).removed == ["a"]
        assert store.read("a") is None

    @pytest.mark.parametrize("edit", ["definition", "schedule"])
    def test_an_edit_counts_the_revision_up(self, store: BaseJobStore, edit: str) -> None:
        insert(store, new_job("a", 0))
        seen = record_of(store, "a")
        if edit == "definition":
            write_definition(store, seen, changed(store, "a", name="n"), revision=4711)
        else:
            write_schedule(store, seen, PAUSED, revision=4711)
        record = record_of(store, "a")
        assert (record.revision, record.incarnation) == (4711, seen.incarnation)
        assert record.stamp != seen.stamp


# -- edits, as the scheduler makes them ------------------------------------------------------------------------------


def changed(store: BaseJobStore, job_id: str, **changes: Any) -> Any:
    """The payload of the job with these changes, to be written by an edit."""
    found = store.read(job_id)
    assert found is not None
    job = found[1]._clone()
    job._modify(**changes)
    return store.pack(job)


def write_definition(
    store: BaseJobStore, seen: Record, payload: Any, executor: str = "default", revision: int | None = None
) -> Transition:
    if revision is None:
        revision = store.owner.random.getrandbits(63)
    _, after = store.write(
        seen.id,
        lambda record: edits.edit_definition(
            record,
            seen,
            payload=payload,
            executor=executor,
            revision=revision,
            unblock=True,
            stamp=store.owner.stamp(),
        ),
    )
    return after


def write_schedule(
    store: BaseJobStore, seen: Record, plan: Plan, payload: Any = edits.KEEP, revision: int | None = None
) -> Transition:
    if revision is None:
        revision = store.owner.random.getrandbits(63)
    _, after = store.write(
        seen.id,
        lambda record: edits.edit_schedule(
            record, seen, plan, revision=revision, stamp=store.owner.stamp(), payload=payload
        ),
    )
    return after


def reschedule(store: BaseJobStore, job_id: str, plan: Plan) -> None:
    assert isinstance(write_schedule(store, record_of(store, job_id), plan), Record)


def add_keyword(store: BaseJobStore, job_id: str, name: str) -> None:
    """Give the job one more keyword argument. Read, apply, write under comparison, else again: as every edit of the scheduler goes."""
    for _ in range(500):
        found = store.read(job_id)
        assert found is not None
        record, job = found
        job = job._clone()
        job._modify(kwargs={**job.kwargs, name: True})
        if write_definition(store, record, store.pack(job)) is not None:
            return
    raise AssertionError("the edit did not hold in 500 tries")
