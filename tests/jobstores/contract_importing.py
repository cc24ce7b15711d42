"""The contract of stores, importing: jobs that arrive from elsewhere are hidden until all are there, and all or none of them stay."""

import threading
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from mainspring.jobstores import edits
from mainspring.jobstores.base import BaseJobStore, ConflictingIdError, JobLookupError, JobStoreError
from mainspring.jobstores.job import Job
from mainspring.jobstores.record import Plan, Record, Run, Written
from mainspring.jobstores.transfer import (
    Arrival,
    ConflictingIdsError,
    ImportInProgressError,
    ImportReport,
    ImportUndoneError,
    JobImportError,
    Progress,
    Refused,
    import_jobs_into,
    remains,
    storage,
)
from mainspring.jobstores.transfer.marks import Head, Mark, mark_of

from tests.jobstores.contract_base import StoreFixtures
from tests.jobstores.driving import (
    NOW,
    at,
    claim,
    every,
    finish,
    ids_of,
    insert,
    micros,
    new_job,
    once,
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


class ArrivingRecordContract(StoreFixtures):
    """What only stores of whole records promise."""

    @pytest.fixture
    def small_batches(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(storage, "BATCH", 5)

    def test_an_id_that_is_over_is_free_and_its_run_goes_on(self, store: BaseJobStore) -> None:
        insert(store, new_job("a", 0, once()))
        (old,) = claim(store).claims
        tell = threading.Event()

        def fail(progress: Progress) -> None:
            if progress.phase == "writing" and progress.done:
                tell.set()
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            import_(store, source_of("a"), on_progress=fail)
        assert tell.is_set()
        left = record_of(store, "a")
        assert (left.state, [run.run for run in left.runs]) == ("ended", [old.run.run])
        import_(store, source_of("a"))
        assert {run.run for run in record_of(store, "a").runs} == {old.run.run}
        finish(store, old)
        assert record_of(store, "a").runs == ()

    def test_an_import_that_is_killed_at_any_write_is_finished_or_undone_by_the_next(
        self, store: BaseJobStore, small_batches: None
    ) -> None:
        ids = [f"job {number}" for number in range(11)]
        ends = []
        for number in range(20):
            cut = Cut(store, number, Killed)
            try:
                import_(store, source_of(*ids))
            except Killed:
                pass
            cut.mend()
            if not cut.met:
                break
            before = {record.id: record.state for record in store.read_all()}
            complete = "active" in before.values()
            assert all(job.id not in before or before[job.id] == "active" for job in store.find_jobs())
            if number % 2:
                # Another import comes along.
                other = import_(store, source_of("another"), name="another")
                assert (other.resumed, other.imported) == (False, 1)
                assert other.finished + other.undone == sum(state == "importing" for state in before.values())
                complete = complete or other.finished > 0
                states = {record.id: record.state for record in store.read_all()}
                assert states == dict.fromkeys([*ids, "another"] if complete else ["another"], "active")
            else:
                report = import_(store, source_of(*ids))
                assert report.imported == len(ids)
                assert {record.state for record in store.read_all()} == {"active"}
                assert sorted(ids) == ids_of(store)
                complete = report.resumed
            ends.append(complete)
            store.remove_all_jobs()
        else:
            pytest.fail("it never comes to its end")
        # 3 batches, before each but the first the head; the commit; 3 batches are released.
        assert ends == [False] * 6 + [True] * 3
        assert ids_of(store) == sorted(ids)

    @pytest.mark.parametrize("done", [False, True], ids=["it was not done", "its answer is lost"])
    def test_a_write_that_fails_undoes_it_or_is_made_good(
        self, store: BaseJobStore, small_batches: None, done: bool
    ) -> None:
        ids = [f"job {number}" for number in range(6)]
        ends = []
        for number in range(20):
            cut = Cut(store, number, JobStoreError, once=True, done=done)
            error = None
            try:
                import_(store, source_of(*ids))
            except JobStoreError as exc:
                error = exc
            cut.mend()
            if not cut.met:
                break
            states = [record.state for record in store.read_all()]
            assert states == (["active"] * len(ids) if error is None else [])
            ends.append(error is None)
            store.remove_all_jobs()
        # 2 batches, between them the head; the commit; 2 batches are released.
        assert ends == [False, False, False, done, True, True]

    def test_a_server_that_goes_away_leaves_what_the_next_import_settles(
        self, store: BaseJobStore, small_batches: None
    ) -> None:
        ids = [f"job {number}" for number in range(6)]
        for number in range(20):
            cut = Cut(store, number, JobStoreError)
            note = ""
            try:
                import_(store, source_of(*ids))
            except JobStoreError as exc:
                note = "".join(exc.__notes__)
            cut.mend()
            if not cut.met:
                break
            complete = number > 3
            assert ("The import is complete" if complete else "could not be removed again") in note
            assert "next import into this job store" in note
            if not complete:
                assert store.find_jobs() == []
            assert import_(store, source_of(*ids)).resumed is complete
            assert [record.state for record in store.read_all()] == ["active"] * len(ids)
            store.remove_all_jobs()
        assert number == 6

    def test_two_imports_at_the_same_time_do_not_meet(self, store: BaseJobStore) -> None:
        met: list[ImportInProgressError] = []

        def another(progress: Progress) -> None:
            if progress == Progress("writing", 1, 1):
                with pytest.raises(ImportInProgressError) as raised:
                    import_(store, source_of("b"), name="another")
                met.append(raised.value)

        import_(store, source_of("a"), on_progress=another)
        (error,) = met
        assert error.owner == store.owner.name
        assert f"of the process {store.owner.pid} on " in str(error)
        assert ids_of(store) == ["a"]

    def test_one_of_another_host_is_left_alone_until_it_is_not_heard_of_for_a_minute(
        self, store: BaseJobStore
    ) -> None:
        self._leave(store, ["a", "b"], owner="elsewhere/1/2/3")
        with pytest.raises(ImportInProgressError, match="of the process 1 on elsewhere") as raised:
            import_(store, source_of("c"), now=NOW + 59_000_000)
        assert 0 < raised.value.seconds <= 1
        report = import_(store, source_of("c"), now=NOW + 61_000_000)
        assert (report.undone, report.imported) == (2, 1)
        assert ids_of(store) == ["c"]

    def test_one_that_was_taken_for_dead_notices_and_leaves_nothing(
        self, store: BaseJobStore, small_batches: None
    ) -> None:
        ids = [f"job {number}" for number in range(6)]
        for moment in (5, 6):

            def freeze(progress: Progress, moment: int = moment) -> None:
                if progress.phase == "writing" and progress.done == moment:
                    head = record_of(store, "job 0")
                    mark = mark_of(head)
                    assert mark is not None
                    # As if it were another process's, which is not heard of.
                    remains._under_way.clear()
                    report = import_(store, source_of("another"), name="another")
                    assert report.undone == moment

            with pytest.raises(ImportUndoneError):
                import_(store, source_of(*ids), on_progress=freeze)
            assert ids_of(store) == ["another"]
            store.remove_all_jobs()

    def test_jobs_of_an_import_whose_head_is_gone_are_removed(self, store: BaseJobStore) -> None:
        self._leave(store, ["a", "b", "c"], owner="elsewhere/1/2/3")
        store.write("a", lambda record: Written.DELETED)
        assert import_(store, source_of("d")).undone == 2
        assert ids_of(store) == ["d"]

    def test_what_is_removed_meanwhile_is_noticed(self, store: BaseJobStore) -> None:
        def clear(progress: Progress) -> None:
            if progress == Progress("writing", 2, 2):
                store.remove_all_jobs()

        with pytest.raises(ImportUndoneError, match="remove_all_jobs"):
            import_(store, source_of("a", "b"), on_progress=clear)
        assert ids_of(store) == []

    def test_an_id_that_is_taken_in_between_is_a_conflict_or_left_out(self, store: BaseJobStore) -> None:
        def add(progress: Progress) -> None:
            if progress == Progress("writing", 0, 3):
                insert(store, new_job("a", 60), new_job("c", 60))

        with pytest.raises(ConflictingIdsError) as raised:
            import_(store, source_of("a", "b", "c"), on_progress=add)
        assert sorted(raised.value.job_ids) == ["a", "c"]
        assert ids_of(store) == ["a", "c"]
        store.remove_all_jobs()
        report = import_(store, source_of("a", "b", "c"), on_progress=add, on_conflict="skip")
        assert (report.imported, sorted(report.skipped)) == (1, ["a", "c"])
        assert {record.id: record.state for record in store.read_all()} == dict.fromkeys("abc", "active")

    def _leave(self, store: BaseJobStore, ids: list[str], owner: str) -> None:
        """What an import of another process leaves that is killed before its commit point."""
        head = Head("its name", owner, NOW + 60_000_000, "writing", len(ids))
        marks = [
            Mark("its token", ids[0], "active", None, head if job_id == ids[0] else None) for job_id in ids
        ]
        store.insert(
            [
                (new_job(job_id, 0), Plan(NOW, NOW, "importing", mark.text()))
                for job_id, mark in zip(ids, marks, strict=True)
            ]
        )


class Killed(BaseException):
    """The process is no more."""


class Cut:
    """The n-th write of a store fails, and all behind it, or only that one; before it is done, or behind it."""

    def __init__(
        self,
        store: Any,
        number: int,
        error: type[BaseException],
        once: bool = False,
        done: bool = False,
    ) -> None:
        self.met = False
        self._store, self._number, self._error, self._once, self._done = store, number, error, once, done
        self._writes = 0
        for name in ("insert", "_apply"):
            setattr(store, name, self._cut(getattr(store, name)))

    def _cut(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def cut(*arguments: Any) -> Any:
            place, self._writes = self._writes, self._writes + 1
            if place < self._number or (self._once and place > self._number):
                return write(*arguments)
            self.met = True
            if self._done:
                write(*arguments)
            raise self._error("cut")

        return cut

    def mend(self) -> None:
        del self._store.insert, self._store._apply
