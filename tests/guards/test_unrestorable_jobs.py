"""Jobs that this process cannot make from what its store keeps: they hide nobody, nothing of them is deleted, and they are said once."""

import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from mainspring.events import EVENT_JOB_EXECUTED, EVENT_JOB_QUARANTINED, EVENT_JOB_REMOVED
from mainspring.jobstores.base import JobRestoreError
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.scheduler.base import BaseScheduler

from tests.scheduler.watching import Heard, at, background, nothing, started, virtual

BROKEN = 600
MODULE = "module_that_comes_and_goes"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str | None], None]]:
    """Writes the module of the jobs with this text; None deletes it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / f"{MODULE}.py"

    def write(text: str | None) -> None:
        sys.modules.pop(MODULE, None)
        if text is None:
            path.unlink()
        else:
            path.write_text(text)

    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    yield write
    sys.dont_write_bytecode = before
    sys.modules.pop(MODULE, None)


def store(folder: Path) -> SQLAlchemyJobStore:
    return SQLAlchemyJobStore(f"sqlite:///{folder / 'jobs.sqlite'}")


def add_broken_jobs(
    scheduler: BaseScheduler, module: Callable[[str | None], None], count: int = BROKEN
) -> None:
    """Jobs that are due a second after the start, one behind them, and then the module goes."""
    module("def work(*args): pass\n")
    with started(scheduler):
        scheduler.add_jobs(
            {
                "func": f"{MODULE}:work",
                "trigger": "interval",
                "hours": 1,
                "start_date": at(1),
                "id": f"broken-{number:03}",
                "misfire_grace_time": None,
            }
            for number in range(count)
        )
        scheduler.add_job(nothing, "date", run_date=at(2), id="good")
    module(None)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "raise ArithmeticError\n",
        "import sys; sys.exit()\n",
        "def other(): pass\n",
        "work = 5\n",
        "def work(more): pass\n",
    ],
)
def test_600_at_the_head_of_the_index_beside_one_good_job(
    tmp_path: Path, module: Callable[[str | None], None], text: str | None
) -> None:
    """Ten at a time: the good job's turn comes within one pass of time, though 600 come before it."""
    add_broken_jobs(virtual(jobstores={"default": store(tmp_path)}), module)
    if text is not None:
        module(text)
    scheduler = virtual(jobstores={"default": store(tmp_path)}, claim_window=10)
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.advance(timedelta(seconds=3))
        assert len(scheduler.get_quarantined_jobs()) == BROKEN
        assert [event.job_id for event in heard.of(EVENT_JOB_QUARANTINED)] == [
            f"broken-{number:03}" for number in range(BROKEN)
        ]
        (run,) = heard.of(EVENT_JOB_EXECUTED, "good")
        assert run.late == timedelta(0)


def test_600_before_the_workers_of_a_pool_and_a_clock_that_stands_still(
    tmp_path: Path, module: Callable[[str | None], None]
) -> None:
    add_broken_jobs(virtual(jobstores={"default": store(tmp_path)}), module)
    scheduler, clock = background(jobstores={"default": store(tmp_path)})
    heard = Heard(scheduler)
    clock.advance(timedelta(seconds=2))
    with started(scheduler):
        heard.wait(EVENT_JOB_EXECUTED, "good")
        heard.wait(EVENT_JOB_QUARANTINED, count=BROKEN)


def test_they_are_reported_once_kept_and_run_when_their_module_is_back(
    tmp_path: Path, module: Callable[[str | None], None]
) -> None:
    add_broken_jobs(virtual(jobstores={"default": store(tmp_path)}), module, 3)
    scheduler = virtual(jobstores={"default": store(tmp_path)})
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.advance(timedelta(minutes=10))
        assert len(heard.of(EVENT_JOB_QUARANTINED)) == 3
        (first, *_) = sorted(scheduler.get_quarantined_jobs(), key=lambda job: job.job_id)
        assert (first.job_id, first.jobstore) == ("broken-000", "default")
        assert MODULE in first.reason
        assert not heard.of(EVENT_JOB_REMOVED, "broken-000")
        assert scheduler.get_jobs() == []
        with pytest.raises(JobRestoreError, match=MODULE):
            scheduler.get_job("broken-000")
        module("def work(*args): pass\n")
        scheduler.advance(timedelta(minutes=2))
        for number in range(3):
            assert heard.seconds(f"broken-{number:03}") == [1]
        assert scheduler.get_quarantined_jobs() == []


def test_what_cannot_be_restored_can_be_removed_and_replaced(
    tmp_path: Path, module: Callable[[str | None], None]
) -> None:
    add_broken_jobs(virtual(jobstores={"default": store(tmp_path)}), module, 2)
    scheduler = virtual(jobstores={"default": store(tmp_path)})
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.remove_job("broken-000")
        scheduler.add_job(nothing, "interval", minutes=1, id="broken-001", replace_existing=True)
        scheduler.advance(timedelta(minutes=1))
        assert heard.seconds("broken-001") == [60]
        assert [job.id for job in scheduler.get_jobs()] == ["broken-001"]
        assert scheduler.get_quarantined_jobs() == []
