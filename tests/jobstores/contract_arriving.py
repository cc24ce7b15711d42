"""The contract of stores of whole records, importing: what becomes of imports that fail, are killed, or meet."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from mainspring.jobstores.base import BaseJobStore, JobStoreError
from mainspring.jobstores.record import Plan, Written
from mainspring.jobstores.transfer import (
    ConflictingIdsError,
    ImportInProgressError,
    ImportUndoneError,
    Progress,
    remains,
    storage,
)
from mainspring.jobstores.transfer.marks import Head, Mark, mark_of

from tests.jobstores.contract_base import StoreFixtures
from tests.jobstores.contract_importing import import_, source_of
from tests.jobstores.driving import (
    NOW,
    at,
    claim,
    finish,
    ids_of,
    insert,
    new_job,
    once,
    record_of,
)


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

    def test_one_that_is_killed_while_it_is_undone_is_undone_by_the_next(
        self, store: BaseJobStore, small_batches: None
    ) -> None:
        ids = [f"job {number}" for number in range(12)]

        def stop(progress: Progress) -> None:
            if progress == Progress("writing", 12, 12):
                raise ZeroDivisionError

        left = []
        # 3 batches are written, before each but the first the head, and 3 removed.
        for number in range(5, 8):
            cut = Cut(store, number, Killed)
            with pytest.raises(Killed):
                import_(store, source_of(*ids), on_progress=stop)
            cut.mend()
            left.append(len(ids_of(store)))
            assert import_(store, source_of("another"), name="another").undone == left[-1]
            assert ids_of(store) == ["another"]
            store.remove_all_jobs()
        assert left == [12, 7, 2]

    def test_one_that_is_killed_while_it_is_finished_is_finished_by_the_next(
        self, store: BaseJobStore, small_batches: None
    ) -> None:
        ids = [f"job {number}" for number in range(12)]
        for number in (
            6,
            0,
            1,
        ):  # behind the commit; before the next import has released any, and when it has some
            cut = Cut(store, number, Killed)
            with pytest.raises(Killed):
                import_(store, source_of(*ids))
            cut.mend()
        left = sum(record.state == "importing" for record in store.read_all())
        assert 0 < left < len(ids)
        assert import_(store, source_of("another"), name="another").finished == left
        assert {record.state for record in store.read_all()} == {"active"}
        assert ids_of(store) == sorted([*ids, "another"])

    def test_what_is_being_undone_cannot_be_completed_any_more(self, store: BaseJobStore) -> None:
        def freeze(progress: Progress) -> None:
            if progress == Progress("writing", 2, 2):
                # As if it were another process's, which is not heard of; who undoes it is killed, too.
                remains._under_way.clear()
                cut = Cut(store, 1, Killed)
                with pytest.raises(Killed):
                    import_(store, source_of("another"), name="another")
                cut.mend()
                assert ids_of(store) == ["a", "b"]

        with pytest.raises(ImportUndoneError):
            import_(store, source_of("a", "b"), on_progress=freeze)
        assert ids_of(store) == []

    def test_what_is_due_or_next_is_not_what_arrives(self, store: BaseJobStore) -> None:
        self._leave(store, ["a"], owner="elsewhere/1/2/3")
        assert store.get_next_run_time() is None
        assert store.get_due_jobs(at(60)) == []
        insert(store, new_job("b", 30))
        assert store.get_next_run_time() == at(30)
        assert [job.id for job in store.get_due_jobs(at(60))] == ["b"]

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
