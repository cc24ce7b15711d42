"""A third party's job store passes those parts of the contract that apply to it, and its faults harm nobody else."""

from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from mainspring.jobstores.base import BaseJobStore, ConflictingIdError
from mainspring.jobstores.owner import Owner

from tests.jobstores.contract import OwnedJobStoreContract
from tests.jobstores.contract_base import NewStore
from tests.jobstores.driving import (
    LEASE,
    StubScheduler,
    at,
    claim,
    every,
    finish,
    ids_of,
    insert,
    key_of,
    micros,
    new_job,
    once,
    outcome_of,
    record_of,
    waiting_run,
)
from tests.jobstores.samples import vanishing_module
from tests.thirdparty.failing_store import FailingFileJobStore
from tests.thirdparty.file_store import FileJobStore

S = TypeVar("S", bound=BaseJobStore)


class TestFileJobStore(OwnedJobStoreContract):
    @pytest.fixture
    def new_store(self, tmp_path: Path) -> NewStore:
        return lambda: FileJobStore(str(tmp_path / "jobs"))


@pytest.fixture
def store(tmp_path: Path) -> FailingFileJobStore:
    return opened(FailingFileJobStore(str(tmp_path / "jobs")))


def opened(store: S) -> S:
    store.own(Owner(), LEASE)
    store.start(StubScheduler(), "default")
    return store


READS = ["get_due_jobs", "get_next_run_time", "lookup_job"]


@pytest.mark.parametrize("method", READS)
def test_a_read_that_fails_loses_no_claim(store: FailingFileJobStore, method: str) -> None:
    insert(store, *(new_job(f"{n}", 0, every(60)) for n in range(5)), new_job("x", 0, executor="elsewhere"))
    # A run that waits is looked up on its own.
    store.give_back([key_of(won) for won in claim(store, wanted={"default": 1}).claims])
    store.fail(method)
    won = claim_whatever_comes(store)
    store.failing.clear()
    won += claim(store).claims
    assert sorted(each.record.id for each in won) == [f"{n}" for n in range(5)]
    assert {each.run.run for each in won} == {
        run.run for record in store.read_all() for run in record.runs if record.id != "x"
    }


@pytest.mark.parametrize("bad", ["0", "2", "4"])
def test_one_job_that_cannot_be_written_keeps_no_other(store: FailingFileJobStore, bad: str) -> None:
    insert(store, *(new_job(f"{n}", n / 10, every(60)) for n in range(5)))
    store.fail("update_job", lambda job: job.id == bad)
    good = [f"{n}" for n in range(5) if f"{n}" != bad]
    result = claim(store, micros(1))
    assert [won.record.id for won in result.claims] == good
    # It is tried again after a pause, so that the engine need not pause for the store.
    assert result.wake_at == micros(2)
    assert claim(store, micros(1)).claims == []
    assert record_of(store, bad).runs == ()
    finish(store, *result.claims)
    assert sorted(won.record.id for won in claim_whatever_comes(store, micros(61))) == good
    store.failing.clear()
    assert claim(store, micros(62)).claims == []  # the pauses grow
    assert [won.record.id for won in claim(store, micros(63)).claims] == [bad]


def test_a_store_that_takes_no_claim_at_all_has_failed(store: FailingFileJobStore) -> None:
    insert(store, *(new_job(f"{n}", n / 10, every(60)) for n in range(5)))
    store.fail("update_job")
    with pytest.raises(OSError, match="disk on fire"):
        claim(store, micros(1))
    store.failing.clear()
    assert len(claim(store, micros(2)).claims) == 5


def test_a_write_that_fails_after_it_was_done_loses_no_run(store: FailingFileJobStore) -> None:
    insert(store, new_job("a", 0, every(60)), new_job("b", 0, once(0)))
    store.fail("update_job")
    store.afterwards = True
    won = claim(store).claims
    assert sorted(each.record.id for each in won) == ["a", "b"]
    assert claim(store).claims == []
    store.failing.clear()
    assert finish(store, *won).removed == ["b"]
    assert [each.run.fire_times for each in claim(store, micros(60)).claims] == [(micros(60),)]


def test_nobody_can_tell_whether_a_write_was_done_if_the_store_cannot_be_asked(
    store: FailingFileJobStore,
) -> None:
    insert(store, new_job("a", 0, every(60)))
    store.fail("update_job")
    store.fail("lookup_job")
    store.afterwards = True
    with pytest.raises(OSError, match="disk on fire"):
        claim(store)
    store.failing.clear()
    assert [won.run.fire_times for won in claim(store, micros(60)).claims] == [(micros(60),)]


def test_an_end_that_cannot_be_written_is_written_later(store: FailingFileJobStore) -> None:
    insert(store, new_job("a", 0, once(0)), new_job("b", 0, every(60)))
    claims = claim(store).claims
    store.fail("remove_job")
    with pytest.raises(OSError, match="disk on fire"):
        finish(store, *claims)
    store.failing.clear()
    assert finish(store, *claims).removed == ["a"]
    assert ids_of(store) == ["b"]
    assert record_of(store, "b").runs == ()


@pytest.mark.parametrize("afterwards", [False, True])
def test_a_batch_that_fails_in_the_middle_leaves_nothing(
    store: FailingFileJobStore, afterwards: bool
) -> None:
    insert(store, new_job("old", 0))
    store.fail("add_job", lambda job: job.id == "3")
    store.afterwards = afterwards
    jobs = [new_job(f"{n}", 0) for n in range(5)]
    with pytest.raises(OSError, match="disk on fire"):
        insert(store, *jobs)
    store.failing.clear()
    assert all(job.pending for job in jobs)
    assert ids_of(store) == (["3", "old"] if afterwards else ["old"])  # what failed itself, it alone knows


def test_a_batch_that_cannot_be_taken_back_says_what_went_wrong_first(store: FailingFileJobStore) -> None:
    insert(store, new_job("3", 0))
    store.fail("remove_job", lambda job_id: job_id == "1")
    with pytest.raises(ConflictingIdError):
        insert(store, *(new_job(f"{n}", 0) for n in range(5)))
    assert ids_of(store) == ["1", "3"]


def test_an_edit_that_fails_leaves_the_job_as_it_was(store: FailingFileJobStore) -> None:
    insert(store, new_job("a", 5, name="old"))
    store.fail("update_job")
    job = store.lookup_job("a")
    job._modify(name="new")
    with pytest.raises(OSError, match="disk on fire"):
        store.update_job(job)
    with pytest.raises(OSError, match="disk on fire"):
        store.write("a", lambda record: record)
    store.failing.clear()
    assert store.lookup_job("a").name == "old"
    assert [won.job.name for won in claim(store, micros(5)).claims] == ["old"]


def test_a_job_is_parked_and_tried_again_although_its_store_fails(store: FailingFileJobStore) -> None:
    """Of both, the store is told nothing: it keeps no states, and no runs."""
    insert(store, new_job("a", 0, once(0)))
    (won,) = claim(store).claims
    store.fail("update_job")
    retry = replace(waiting_run(9, micros(10), "retry"), attempt=2, retried=1)
    assert store.finish_runs([outcome_of(won, retry=retry)]).wake_at == micros(10)
    store.failing.clear()
    (again,) = claim(store, micros(10)).claims
    store.fail("update_job")
    assert store.finish_runs([outcome_of(again, parked="failed: enough")]).parked == [("a", "failed: enough")]
    assert record_of(store, "a").state == "parked"


def test_what_cannot_be_restored_is_neither_run_nor_deleted(store: FailingFileJobStore) -> None:
    with vanishing_module() as module:
        insert(store, new_job("ghost", 0, func=module.work), new_job("good", 0))
    assert [won.record.id for won in claim(store).claims] == ["good"]
    with vanishing_module():
        assert [won.record.id for won in claim(store, micros(1)).claims] == ["ghost"]


def test_the_folder_is_the_truth_after_a_restart(tmp_path: Path) -> None:
    path = str(tmp_path / "jobs")
    first = opened(FileJobStore(path))
    insert(first, new_job("repeated", 0, every(60)), new_job("later", 90, once(90)), new_job("paused", None))
    insert(first, new_job("running", 0, once(0)))
    claims = claim(first).claims
    assert sorted(won.record.id for won in claims) == ["repeated", "running"]
    first.shutdown()

    second: BaseJobStore = opened(FileJobStore(path))
    assert {record.id: record.state for record in second.read_all()} == {
        "repeated": "active",
        "later": "active",
        "paused": "paused",
        # Whether it has completed, nobody knows: it is there, and does not run again by itself.
        "running": "paused",
    }
    assert claim(second).wake_at == micros(60)
    assert [won.record.id for won in claim(second, micros(60)).claims] == ["repeated"]
    assert second.get_next_run_time() == at(90)


def test_what_nobody_runs_hides_nothing_behind_it(store: FailingFileJobStore) -> None:
    insert(store, new_job("a", 0, executor="elsewhere"), new_job("b", 30))
    fresh = opened(FileJobStore(store.path))  # knows of no record yet
    assert claim(fresh).wake_at == micros(30)


def claim_whatever_comes(store: BaseJobStore, now: int | None = None) -> list[Any]:
    """Claims, also from a store that raises: nothing that was written may be among what is lost then."""
    won: list[Any] = []
    try:
        while claims := (claim(store) if now is None else claim(store, now)).claims:
            won += claims
    except OSError:
        pass
    return won
