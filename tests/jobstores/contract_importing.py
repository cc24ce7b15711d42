"""The contract of stores, importing: jobs that arrive from elsewhere are hidden until all are there, and all or none of them stay."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from mainspring.jobstores import edits
from mainspring.jobstores.base import BaseJobStore, ConflictingIdError, JobLookupError
from mainspring.jobstores.job import Job
from mainspring.jobstores.record import Plan, Record, Run
from mainspring.jobstores.transfer import (
    Arrival,
    ConflictingIdsError,
    ImportReport,
    JobImportError,
    Progress,
    Refused,
    import_jobs_into,
    storage,
)

from tests.jobstores.contract_base import StoreFixtures
from tests.jobstores.driving import (
    NOW,
    at,
    claim,
    every,
    ids_of,
    insert,
    micros,
    new_job,
    plan_of,
    record_of,
    waiting_run,
)


def arrival(job_id: str, due: float | None = 0, runs: tuple[Run, ...] = (), **attributes: Any) -> Arrival:
    job = new_job(job_id, due, **attributes)
    return Arrival(job, plan_of(job), runs)


def source_of(*ids: str) -> Callable[[], Iterable[Arrival]]:
    """A source that makes its jobs each time that it is read."""
    return lambda: (arrival(job_id) for job_id in ids)


def import_(store: BaseJobStore, source: Any, **options: Any) -> ImportReport:
    return import_jobs_into(store, source, **{"name": "the import", "now": NOW, **options})


class ImportingContract(StoreFixtures):
    def test_jobs_arrive_with_their_schedules_and_waiting_runs(self, store: BaseJobStore) -> None:
        lost = Run(7, "schedule", (NOW,), NOW, "lost", owner="another/1/2/3", claimed_at=NOW)
        jobs = {
            "active": (Plan(micros(5), micros(3)), ()),
            "overdue": (Plan(micros(-500), micros(-500)), ()),
            "paused": (Plan(None, micros(60), "paused"), ()),
            "parked": (Plan(None, micros(60), "parked", "trigger: it raised"), ()),
            "waits": (Plan(micros(60), micros(60)), (waiting_run(5, micros(1)),)),
            "held": (Plan(None, None, "paused"), (waiting_run(6, micros(1), "retry"),)),
            "last": (Plan(None, None, "ended"), (waiting_run(8, micros(2), "retry"),)),
            "lost": (Plan(micros(60), micros(60)), (lost,)),
        }
        report = import_(
            store,
            lambda: (Arrival(new_job(name, None), plan, runs) for name, (plan, runs) in jobs.items()),
        )
        assert report == ImportReport(len(jobs))
        for name, (plan, runs) in jobs.items():
            record = record_of(store, name)
            assert (record.next_run_time, record.fire_time, record.state, record.reason) == (
                plan.next_run_time,
                plan.fire_time,
                plan.state,
                plan.reason,
            )
            assert [(run.run, run.state) for run in record.runs] == [(run.run, run.state) for run in runs]
        assert record_of(store, "held").runs[0].blocked
        assert {won.record.id for won in claim(store, micros(2)).claims} == {"overdue", "waits", "last"}

    def test_until_they_are_released_they_are_hidden_and_their_ids_taken(self, store: BaseJobStore) -> None:
        seen = []

        def look(progress: Progress) -> None:
            seen.append(progress.phase)
            if progress != Progress("writing", 1, 1):
                return
            assert record_of(store, "a").state == "importing"
            assert store.find_job("a") is None
            assert store.find_jobs() == []
            assert claim(store, micros(500)).claims == []
            with pytest.raises(ConflictingIdError):
                insert(store, new_job("a", 0))
            with pytest.raises(JobLookupError):
                store.remove("a")
            hidden = record_of(store, "a")
            for change in (
                lambda record: edits.run_now(record, waiting_run(9), "s"),
                lambda record: edits.rerun_lost(record, 4, new_run=5, now=NOW, stamp="s"),
                lambda record: edits.dismiss_lost(record, 4, "s"),
                lambda record: edits.edit_schedule(
                    record, hidden, Plan(None, None, "paused"), revision=1, stamp="s"
                ),
                lambda record: edits.edit_definition(
                    record, hidden, payload=None, executor="x", revision=1, unblock=True, stamp="s"
                ),
            ):
                assert store.write("a", change)[1] is None
            assert record_of(store, "a") == hidden

        runs = (waiting_run(3), Run(4, "schedule", (NOW,), NOW, "lost", owner="another/1/2/3"))
        import_(store, lambda: iter([arrival("a", 0, runs)]), on_progress=look)
        assert seen == ["checking", "writing", "writing", "releasing"]
        job = store.find_job("a")
        assert job is not None
        assert job.next_run_time == at(0)

    def test_all_that_cannot_be_taken_is_named_before_anything_is_written(self, store: BaseJobStore) -> None:
        insert(store, new_job("there", 60))
        with pytest.raises(JobImportError) as raised:
            import_(
                store,
                lambda: iter(
                    [
                        arrival("good"),
                        arrival("good"),
                        Refused("odd", "it has no function"),
                        Arrival(new_job("over"), Plan(None, None, "ended")),
                        arrival("there"),
                    ]
                ),
            )
        assert [job_id for job_id, _ in raised.value.problems] == ["good", "odd", "over", "there"]
        assert ids_of(store) == ["there"]

    def test_ids_that_are_taken_are_named_or_left_out(self, store: BaseJobStore) -> None:
        insert(store, new_job("b", 60), new_job("d", 60))
        revision = record_of(store, "b").revision
        with pytest.raises(ConflictingIdsError) as raised:
            import_(store, source_of("a", "b", "c", "d"))
        assert sorted(raised.value.job_ids) == ["b", "d"]
        assert ids_of(store) == ["b", "d"]
        report = import_(store, source_of("a", "b", "c", "d"), on_conflict="skip")
        assert (report.imported, sorted(report.skipped)) == (2, ["b", "d"])
        assert ids_of(store) == ["a", "b", "c", "d"]
        assert record_of(store, "b").revision == revision

    @pytest.mark.parametrize("phase", ["checking", "writing"])
    def test_what_the_callback_raises_undoes_it(self, store: BaseJobStore, phase: str) -> None:
        insert(store, new_job("there", 60))

        def stop(progress: Progress) -> None:
            if progress.phase == phase and progress.done == 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            import_(store, source_of("a", "b", "c"), on_progress=stop)
        assert ids_of(store) == ["there"]

    def test_behind_the_commit_point_it_is_finished_whatever_the_callback_raises(
        self, store: BaseJobStore
    ) -> None:
        def stop(progress: Progress) -> None:
            if progress.phase == "releasing":
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            import_(store, source_of("a", "b"), on_progress=stop)
        assert {record.id: record.state for record in store.read_all()} == {"a": "active", "b": "active"}

    def test_a_source_that_changes_is_noticed(self, store: BaseJobStore) -> None:
        for second in (["a"], ["a", "b", "c"], ["a", "c"]):
            readings = iter([["a", "b"], second])
            with pytest.raises(JobImportError, match="changed between its two readings"):
                import_(store, lambda readings=readings: map(arrival, next(readings)))
            assert ids_of(store) == []

    def test_many_batches_arrive_together(self, store: BaseJobStore, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(storage, "BATCH", 100)
        ids = [f"job {number}" for number in range(250)]
        released: list[Record] = []
        told: list[Progress] = []
        import_(store, source_of(*ids), on_released=released.extend, on_progress=told.append)
        assert sorted(record.id for record in released) == sorted(ids)
        assert {record.state for record in released} == {"active"}
        assert [progress.done for progress in told] == [100, 200, 250, 0, *2 * [100, 200, 250]]
        assert {record.state for record in store.read_all()} == {"active"}
        jobs: list[Job] = store.find_jobs()
        assert [job.trigger for job in jobs] == [every(first=0)] * 250
