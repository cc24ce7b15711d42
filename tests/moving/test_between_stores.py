"""Jobs are moved between any two stores, and are the same there."""

import itertools
from pathlib import Path

import pytest
from mainspring.jobstores.base import BaseJobStore
from mainspring.jobstores.record import Record

from tests.jobstores.driving import NOW, claim
from tests.jobstores.stored_values import identical
from tests.moving.population import ARGUMENTS, KINDS, exported, populate, scheduler_on, stores

# What memory exports, every store exports when it was imported there, and the other way round: so it is the same between any two. To be sure, each
# store and the next one are tried, too.
PAIRS = dict.fromkeys(
    [
        *(("memory", kind) for kind in KINDS),
        *((kind, "memory") for kind in KINDS),
        *itertools.pairwise((*KINDS, KINDS[0])),
    ]
)


@pytest.mark.parametrize(("here", "there"), PAIRS)
def test_what_is_exported_from_one_store_and_imported_into_another_is_the_same(
    here: str, there: str, tmp_path: Path
) -> None:
    file = tmp_path / "jobs.json"
    with stores(here, tmp_path / "here") as make, scheduler_on(make()) as scheduler:
        populate(scheduler._jobstores["default"])
        before = exported(scheduler)
        scheduler.export_jobs(file)
        jobs = {job.id: job for job in scheduler.get_jobs()}
        records = by_id(scheduler._jobstores["default"])
    with stores(there, tmp_path / "there") as make, scheduler_on(make()) as scheduler:
        report = scheduler.import_jobs(file)
        assert (report.imported, report.skipped) == (len(before), ())
        assert exported(scheduler) == before
        for job in scheduler.get_jobs():
            old = jobs.pop(job.id)
            # As stored: a bound method has its self before its arguments.
            state, old_state = job.__getstate__(), old.__getstate__()
            assert identical(state["args"], old_state["args"])
            assert identical(state["kwargs"], old_state["kwargs"])
            assert (job.func_ref, job.trigger, job.next_run_time) == (
                old.func_ref,
                old.trigger,
                old.next_run_time,
            )
        assert not jobs
        for job_id, record in by_id(scheduler._jobstores["default"]).items():
            old_record = records.pop(job_id)
            assert schedule_of(record) == schedule_of(old_record)
            assert record.incarnation != old_record.incarnation
        assert not records
        # And they are run there.
        won = claim(scheduler._jobstores["default"], NOW, {"default": 100, "another": 100})
        assert {claimed.record.id for claimed in won.claims} == {"overdue", "waits", "ended"}


def test_the_population_has_every_kind_of_argument() -> None:
    assert len({type(value) for values in ARGUMENTS.values() for value in values}) > 15


def by_id(store: BaseJobStore) -> dict[str, Record]:
    return {record.id: record for record in store.read_all()}


def schedule_of(record: Record) -> object:
    return (
        record.executor,
        record.state,
        record.reason,
        record.next_run_time,
        record.fire_time,
        record.wake_at,
        record.runs,
    )
