"""What waits for a person, quarantined or parked: put back, or removed, on purpose."""

import sqlite3
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from mainspring.events import EVENT_JOB_EXECUTED, EVENT_JOB_PARKED, EVENT_JOB_QUARANTINED, EVENT_JOB_REMOVED
from mainspring.jobstores.base import JobLookupError, JobRestoreError
from mainspring.jobstores.record import FORMAT_VERSION
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.jobstores.transitions import seal
from mainspring.scheduler.virtual import VirtualScheduler

from tests.guards.faults import SCRIPTS, STORES, InjectedFault, ScriptedTrigger, raising
from tests.scheduler.watching import START, Heard, at, nothing, started, virtual

MINUTE = timedelta(minutes=1)
MODULE = "module_that_is_renamed"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str | None], None]]:
    """Writes the module of the jobs; None deletes it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    path = tmp_path / f"{MODULE}.py"

    def write(text: str | None) -> None:
        sys.modules.pop(MODULE, None)
        if text is None:
            path.unlink()
        else:
            path.write_text(text)

    yield write
    sys.modules.pop(MODULE, None)


def make(folder: Path) -> VirtualScheduler:
    store = SQLAlchemyJobStore(f"sqlite:///{folder / 'jobs.sqlite'}")
    return virtual(jobstores={"default": store}, job_defaults={"misfire_grace_time": None})


# -- quarantined ---------------------------------------------------------------------------------------------------


@pytest.fixture
def ghosts(tmp_path: Path, module: Callable[[str | None], None]) -> Iterator[tuple[VirtualScheduler, Heard]]:
    """A scheduler that has found two jobs, due at 60 s, which it cannot restore, beside one that it can."""
    module("def work(): pass\n")
    with started(make(tmp_path)) as first:
        for job_id in ("a", "b"):
            first.add_job(f"{MODULE}:work", "interval", minutes=1, id=job_id)
        first.add_job(nothing, "interval", minutes=1, id="good")
    module(None)
    scheduler = make(tmp_path)
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.advance(MINUTE)
        yield scheduler, heard


def quarantined(scheduler: VirtualScheduler) -> list[str]:
    return [job.job_id for job in scheduler.get_quarantined_jobs()]


def test_one_that_is_tried_again_runs_at_once_if_its_module_is_back(
    ghosts: tuple[VirtualScheduler, Heard], module: Callable[[str | None], None]
) -> None:
    scheduler, heard = ghosts
    first, _ = scheduler.get_quarantined_jobs()
    module("def work(): pass\n")
    job = scheduler.retry_quarantined(first)
    assert (job.id, job.next_run_time) == ("a", at(60))
    assert quarantined(scheduler) == ["b"]
    scheduler.advance(timedelta(0))
    assert heard.seconds("a") == [60]
    assert heard.seconds("b") == []


def test_one_that_still_cannot_be_restored_stays_and_the_caller_is_told_why(
    ghosts: tuple[VirtualScheduler, Heard],
) -> None:
    scheduler, heard = ghosts
    first, _ = scheduler.get_quarantined_jobs()
    with pytest.raises(JobRestoreError, match=MODULE):
        scheduler.retry_quarantined(first)
    assert quarantined(scheduler) == ["a", "b"]
    scheduler.advance(MINUTE)
    assert len(heard.of(EVENT_JOB_QUARANTINED, "a")) == 1


def test_one_that_was_put_back_and_is_quarantined_again_is_reported_again(
    ghosts: tuple[VirtualScheduler, Heard], module: Callable[[str | None], None]
) -> None:
    scheduler, heard = ghosts
    first, _ = scheduler.get_quarantined_jobs()
    module("def work(): pass\n")
    scheduler.retry_quarantined(first)
    scheduler.modify_job("a", name="changed")  # so it is restored anew
    module(None)
    scheduler.advance(MINUTE)
    assert len(heard.of(EVENT_JOB_QUARANTINED, "a")) == 2


def test_one_that_is_gone_by_now(ghosts: tuple[VirtualScheduler, Heard], tmp_path: Path) -> None:
    """Removed by another process: it is listed no more, though this one could not know."""
    scheduler, _ = ghosts
    first, _ = scheduler.get_quarantined_jobs()
    with started(make(tmp_path), paused=True) as other:
        other.remove_job("a")
    assert quarantined(scheduler) == ["b"]
    with pytest.raises(JobLookupError):
        scheduler.retry_quarantined(first)


def test_they_can_be_removed(ghosts: tuple[VirtualScheduler, Heard]) -> None:
    scheduler, heard = ghosts
    scheduler.remove_job("a")
    scheduler.remove_job("b", "default")
    assert quarantined(scheduler) == []
    assert len(heard.of(EVENT_JOB_REMOVED)) == 2
    assert [job.id for job in scheduler.get_jobs()] == ["good"]


def test_one_whose_record_is_damaged_is_listed_with_what_to_do(tmp_path: Path) -> None:
    scheduler = make(tmp_path)
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.add_job("time:time", "interval", minutes=1, id="a")
        with sqlite3.connect(tmp_path / "jobs.sqlite") as database:
            database.execute("UPDATE mainspring_jobs SET runs = '[{'")
        database.close()
        scheduler.advance(MINUTE)
        assert heard.seconds("a") == []
        (listed,) = scheduler.get_quarantined_jobs()
        assert "modifying the job makes it whole again" in listed.reason
        assert "version" not in listed.reason
        with pytest.raises(JobRestoreError, match="its record cannot be read"):
            scheduler.retry_quarantined(listed)
        scheduler.modify_job("a", name="whole")
        assert scheduler.get_quarantined_jobs() == []
        scheduler.advance(MINUTE)
        assert 120 in heard.seconds("a")


@pytest.fixture
def one(tmp_path: Path, module: Callable[[str | None], None]) -> Iterator[tuple[VirtualScheduler, Heard]]:
    """A scheduler that has added a job, each minute, whose module is gone by now; it has not tried to restore it."""
    module("def work(*args): pass\n")
    scheduler = make(tmp_path)
    heard = Heard(scheduler)
    with started(scheduler):
        with started(make(tmp_path), paused=True) as other:
            other.add_job(f"{MODULE}:work", "interval", minutes=1, id="a", args=[["mutable"]])
        module(None)
        yield scheduler, heard


def test_one_that_cannot_be_shown_is_listed_until_it_can(
    one: tuple[VirtualScheduler, Heard], module: Callable[[str | None], None]
) -> None:
    """Whether or not it is due meanwhile."""
    scheduler, heard = one
    with pytest.raises(JobRestoreError, match=MODULE):
        scheduler.get_job("a")
    assert quarantined(scheduler) == ["a"]
    module("def work(): pass\n")  # it can be shown, and not be run
    assert [job.id for job in scheduler.get_jobs()] == ["a"]
    assert quarantined(scheduler) == ["a"]
    module("def work(*args): pass\n")
    assert [job.id for job in scheduler.get_jobs()] == ["a"]
    assert quarantined(scheduler) == []
    scheduler.advance(MINUTE)
    assert heard.seconds("a") == [60]


@pytest.mark.parametrize("is_back", [True, False])
def test_one_that_could_not_be_shown_is_tried_when_it_is_due(
    one: tuple[VirtualScheduler, Heard], module: Callable[[str | None], None], is_back: bool
) -> None:
    scheduler, heard = one
    scheduler.advance(MINUTE / 2)
    assert scheduler.get_jobs() == []
    assert quarantined(scheduler) == ["a"]
    if is_back:
        module("def work(*args): pass\n")
    scheduler.advance(MINUTE / 2)
    assert heard.seconds("a") == ([60] if is_back else [])
    assert len(heard.of(EVENT_JOB_QUARANTINED, "a")) == (0 if is_back else 1)
    assert quarantined(scheduler) == ([] if is_back else ["a"])


def test_one_that_has_run_and_cannot_be_shown_any_more_is_not_run_any_more(
    one: tuple[VirtualScheduler, Heard], module: Callable[[str | None], None]
) -> None:
    """What is listed is kept out of claims: also what they knew, and would have gone on with."""
    scheduler, heard = one
    module("def work(*args): pass\n")
    scheduler.advance(MINUTE)
    module(None)
    with pytest.raises(JobRestoreError, match=MODULE):
        scheduler.get_job("a")
    scheduler.advance(MINUTE)
    assert heard.seconds("a") == [60]
    assert quarantined(scheduler) == ["a"]
    assert len(heard.of(EVENT_JOB_QUARANTINED, "a")) == 1


def test_one_that_somebody_else_has_changed_is_not_listed_for_what_it_was(
    ghosts: tuple[VirtualScheduler, Heard], tmp_path: Path
) -> None:
    scheduler, heard = ghosts
    with started(make(tmp_path), paused=True) as other:
        other.add_job(nothing, "interval", minutes=1, id="a", replace_existing=True)
    assert quarantined(scheduler) == ["b"]
    scheduler.advance(2 * MINUTE)
    assert 120 in heard.seconds("a")


def test_a_record_of_a_later_version_is_listed_and_can_be_removed(tmp_path: Path) -> None:
    scheduler = make(tmp_path)
    heard = Heard(scheduler)
    with started(scheduler):
        job = scheduler.add_job("time:time", "interval", minutes=1, id="later")
        engine = scheduler._engine
        assert engine is not None
        store = engine.ports()[0].store
        store.write("later", lambda record: seal(replace(record, version=FORMAT_VERSION + 1), "s"))
        scheduler.advance(5 * MINUTE)
        assert heard.seconds("later") == []
        (listed,) = scheduler.get_quarantined_jobs()
        assert (listed.job_id, listed.jobstore) == ("later", "default")
        assert f"version {FORMAT_VERSION + 1}" in listed.reason
        with pytest.raises(JobRestoreError, match="it is for a later one"):
            scheduler.retry_quarantined(listed)
        scheduler.remove_job("later")
        assert scheduler.get_quarantined_jobs() == []
        with pytest.raises(JobLookupError):
            job.pause()


# -- parked --------------------------------------------------------------------------------------------------------


@pytest.fixture(params=STORES)
def parked(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[VirtualScheduler, Heard]]:
    """A scheduler with a job whose trigger has failed behind its fire time at 60 s, and works again by now."""
    SCRIPTS["x"] = lambda previous, now: at(60) if previous is None else raising()()
    scheduler = virtual(
        jobstores={"default": STORES[request.param](tmp_path)}, job_defaults={"misfire_grace_time": None}
    )
    heard = Heard(scheduler)
    with started(scheduler):
        scheduler.add_job(nothing, ScriptedTrigger("x"), id="x")
        scheduler.advance(MINUTE)
        assert [(job.job_id, job.fire_time) for job in scheduler.get_parked_jobs()] == [("x", at(60))]
        assert len(heard.of(EVENT_JOB_PARKED, "x")) == 1
        SCRIPTS["x"] = lambda previous, now: (previous or now - MINUTE) + MINUTE
        yield scheduler, heard


def test_a_resumed_one_goes_on_behind_the_fire_time_that_failed(
    parked: tuple[VirtualScheduler, Heard],
) -> None:
    scheduler, heard = parked
    job = scheduler.resume_job("x")
    assert job is not None
    assert job.next_run_time == at(120)
    assert scheduler.get_parked_jobs() == []
    scheduler.advance(2 * MINUTE)
    assert heard.seconds("x")[-2:] == [120, 180]


def test_one_whose_trigger_fails_still_stays_parked(parked: tuple[VirtualScheduler, Heard]) -> None:
    scheduler, _ = parked
    SCRIPTS["x"] = raising()
    with pytest.raises(InjectedFault):
        scheduler.resume_job("x")
    assert [job.job_id for job in scheduler.get_parked_jobs()] == ["x"]


def test_a_rescheduled_one_and_one_that_is_given_a_time(parked: tuple[VirtualScheduler, Heard]) -> None:
    scheduler, heard = parked
    scheduler.modify_job("x", next_run_time=at(90))
    assert scheduler.get_parked_jobs() == []
    scheduler.advance(MINUTE)
    assert at(90) in [event.scheduled_run_time for event in heard.of(EVENT_JOB_EXECUTED, "x")]
    SCRIPTS["x"] = raising()
    scheduler.advance(MINUTE)
    assert [job.job_id for job in scheduler.get_parked_jobs()] == ["x"]
    scheduler.reschedule_job("x", trigger="interval", minutes=1)
    assert scheduler.get_parked_jobs() == []
    scheduler.advance(MINUTE)
    assert heard.seconds("x")[-1] == (scheduler.now - START).total_seconds()


def test_a_parked_one_can_be_removed(parked: tuple[VirtualScheduler, Heard]) -> None:
    scheduler, heard = parked
    scheduler.remove_job("x")
    assert scheduler.get_parked_jobs() == scheduler.get_jobs() == []
    assert len(heard.of(EVENT_JOB_REMOVED, "x")) == 1
