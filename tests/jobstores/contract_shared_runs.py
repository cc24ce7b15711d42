"""The contract of shared stores, runs with care: they outlast their process, and any scheduler goes on with them."""

from dataclasses import replace
from typing import Any

import pytest
from mainspring.jobstores.base import BaseJobStore
from mainspring.jobstores.record import Run
from mainspring.jobstores.transitions import RECOVERY_MARGIN, seal

from tests.jobstores.contract_base import OpenStore, StoreFixtures
from tests.jobstores.contract_runs import DELAY, ask, claimed_once, fail
from tests.jobstores.driving import (
    LEASE,
    NOW,
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
)
from tests.jobstores.options import OTHER_OPTIONS
from tests.jobstores.samples import work

OPEN_RUNS = (
    Run(2**63 - 1, "retry", (NOW,), NOW + 1, "waiting", 3, 1, True, retried=1, root=2**63 - 2),
    Run(7, "queued", (NOW, NOW + 60), NOW, "waiting", root=0),
    Run(8, "now", (NOW,), NOW, "waiting", extra=(("later", {"a": [1]}),)),
    Run(
        9,
        "retry",
        (NOW,),
        NOW,
        "claimed",
        2,
        owner="h/ö\n",
        lease_until=NOW + 5,
        claimed_at=NOW,
        retried=1,
        keeps=True,
        root=3,
    ),
    Run(10, "rerun", (NOW - 1,), NOW, "lost", 4, 2, owner="o", recovery="rerun", max_recoveries=9, retried=1),
)


class SharedRunContract(StoreFixtures):
    @pytest.fixture
    def elsewhere(self, store: BaseJobStore, open_store: OpenStore) -> Any:
        """What another scheduler has of the same store."""
        if not store.shared:
            pytest.skip("one process owns the store")
        return open_store()

    def test_a_retry_is_taken_by_any_scheduler(self, store: BaseJobStore, elsewhere: BaseJobStore) -> None:
        insert(store, new_job("a", 0, once(0), max_retries=2))
        first = claimed_once(store)
        fail(store, first)
        again = claimed_once(elsewhere, NOW + DELAY)
        assert (again.run.owner, again.run.attempt) == (elsewhere.owner.name, 2)
        assert again.run.run_id == first.run.run
        # Who had the first attempt has no part in the second.
        assert store.finish_runs([outcome_of(first)]).removed == []
        assert record_of(store, "a").runs == (again.run,)
        assert store.extend_leases([key_of(first)], NOW + 2 * LEASE) == [key_of(first)]
        fail(elsewhere, again, NOW + 2 * DELAY)
        last = claimed_once(store, NOW + 2 * DELAY)
        assert (last.run.attempt, last.run.run_id) == (3, first.run.run)
        assert finish(store, last).removed == ["a"]

    def test_what_one_asks_for_the_other_runs(self, store: BaseJobStore, elsewhere: BaseJobStore) -> None:
        insert(store, new_job("a", 3600))
        ask(store, "a")
        won = claimed_once(elsewhere)
        assert (won.run.kind, won.run.run_id) == ("now", 5)
        assert claim(store).claims == []

    def test_a_queued_run_is_taken_by_any_scheduler(
        self, store: BaseJobStore, elsewhere: BaseJobStore
    ) -> None:
        insert(store, new_job("a", 0, every(60), while_running="queue"))
        first = claimed_once(store)
        assert claim(elsewhere, micros(60)).skipped == []
        assert claim(store, micros(61)).claims == []
        finish(store, first)
        assert claimed_once(elsewhere, micros(62)).run.kind == "queued"

    def test_of_a_job_between_two_attempts_all_of_it_outlasts_a_restart(
        self, store: BaseJobStore, open_store: OpenStore, elsewhere: BaseJobStore
    ) -> None:
        insert(store, new_job("a", 0, once(0), args=[1], **OTHER_OPTIONS))
        first = claimed_once(store)
        fail(store, first)
        before = record_of(store, "a")
        store.shutdown()
        elsewhere.shutdown()
        restarted = open_store()
        assert record_of(restarted, "a") == before
        job = restarted.find_job("a")
        assert job is not None
        assert (job.args, job.func, job._policy.options()) == ((1,), work, OTHER_OPTIONS)
        assert [each.id for each in restarted.get_all_jobs()] == ["a"]
        assert claimed_once(restarted, NOW + DELAY).run.run_id == first.run.run

    def test_each_field_of_a_run_outlasts_a_restart(
        self, store: BaseJobStore, elsewhere: BaseJobStore
    ) -> None:
        insert(store, new_job("a", 3600))
        stamp = store.owner.stamp()
        store.write("a", lambda record: seal(replace(record, runs=OPEN_RUNS), stamp))
        assert record_of(elsewhere, "a").runs == OPEN_RUNS
        peeked = elsewhere.peek("a")
        assert peeked is not None
        assert peeked.runs == OPEN_RUNS
        for run in OPEN_RUNS:
            alone = (run,)
            store.write("a", lambda record, alone=alone: seal(replace(record, runs=alone), stamp))  # type: ignore[misc]
            assert record_of(elsewhere, "a").runs == alone

    def test_a_recovered_run_keeps_its_retries(self, store: BaseJobStore, elsewhere: BaseJobStore) -> None:
        insert(store, new_job("a", 0, once(0), max_retries=2, recovery="rerun"))
        first = claimed_once(store)
        fail(store, first)
        claimed_once(store, NOW + DELAY)
        over = NOW + DELAY + LEASE + RECOVERY_MARGIN
        (found,) = elsewhere.recover(over)
        assert (found.run.state, found.run.kind, found.parked) == ("waiting", "rerun", False)
        won = claimed_once(elsewhere, over)
        run = won.run
        assert (run.attempt, run.retried, run.recovered, run.run_id) == (3, 1, 1, first.run.run)
        assert run.keeps, "one retry is left"
        fail(elsewhere, won, over + DELAY)
        last = claimed_once(elsewhere, over + DELAY)
        assert (last.run.attempt, last.run.retried, last.run.keeps) == (4, 2, False)

    def test_a_lost_retry_parks_its_one_off(self, store: BaseJobStore, elsewhere: BaseJobStore) -> None:
        insert(store, new_job("a", 0, once(0), max_retries=2))
        fail(store, claimed_once(store))
        won = claimed_once(store, NOW + DELAY)
        (found,) = elsewhere.recover(NOW + DELAY + LEASE + RECOVERY_MARGIN)
        assert (found.run.state, found.parked) == ("lost", True)
        # Its owner was frozen, and reports that it has failed.
        done = fail(store, won, micros(200))
        assert [(job_id, run.attempt) for job_id, run in done.found] == [("a", 2)]
        record = record_of(elsewhere, "a")
        assert (record.state, record.reason) == ("ended", None)
        assert claimed_once(elsewhere, micros(200)).run.attempt == 3
