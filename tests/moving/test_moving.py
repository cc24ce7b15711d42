"""`export_jobs` and `import_jobs` of a scheduler: what they answer, publish and refuse."""

import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from mainspring.events import EVENT_EXECUTOR_UNKNOWN, EVENT_JOB_ADDED, EVENT_JOB_EXECUTED, JobEvent
from mainspring.jobstores.base import ConflictingIdError, JobLookupError
from mainspring.jobstores.memory import MemoryJobStore
from mainspring.jobstores.record import Plan, Run
from mainspring.jobstores.sqlalchemy import SQLAlchemyJobStore
from mainspring.jobstores.transfer import (
    ConflictingIdsError,
    ExportReport,
    ImportReport,
    JobExportError,
    JobImportError,
    Progress,
)
from mainspring.scheduler import SchedulerNotRunningError
from mainspring.scheduler.virtual import VirtualScheduler
from mainspring.triggers import IntervalTrigger

from tests.jobstores.driving import NOW, new_job
from tests.jobstores.samples import vanishing_module, work
from tests.scheduler.watching import START, Heard, at, background, started, virtual


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.json"


@pytest.fixture
def scheduler() -> Iterator[VirtualScheduler]:
    """Started, paused, with two stores in memory."""
    scheduler = virtual(jobstores={"other": MemoryJobStore()})
    with started(scheduler, paused=True):
        yield scheduler


def ids(scheduler: Any, **what: Any) -> list[str]:
    return sorted(job.id for job in scheduler.get_jobs(**what))


def entries(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text())["jobs"]
    return found


# -- exporting ---------------------------------------------------------------------------------------------------------


def test_the_jobs_of_one_store_or_of_all_are_exported_by_next_run_time(
    scheduler: VirtualScheduler, path: Path
) -> None:
    scheduler.add_job(work, "interval", seconds=60, id="later")
    scheduler.add_job(work, "interval", seconds=5, id="sooner")
    scheduler.add_job(work, "interval", seconds=30, id="there", jobstore="other")
    assert scheduler.export_jobs(path) == ExportReport(3)
    exported = [(entry["jobstore"], entry["id"]) for entry in entries(path)]
    assert sorted(exported) == [("default", "later"), ("default", "sooner"), ("other", "there")]
    assert exported.index(("default", "sooner")) < exported.index(("default", "later"))
    assert scheduler.export_jobs(str(path), "other") == ExportReport(1)
    assert [entry["id"] for entry in entries(path)] == ["there"]
    with pytest.raises(KeyError, match="No such job store: third"):
        scheduler.export_jobs(path, "third")
    assert [entry["id"] for entry in entries(path)] == ["there"]


def test_all_jobs_that_json_cannot_carry_are_named_and_no_file_appears(
    scheduler: VirtualScheduler, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler.add_job(lambda: None, "interval", seconds=1, id="a lambda")
    scheduler.add_job(work, "interval", seconds=2, args=[1, object()], id="an object")
    scheduler.add_job(work, "interval", seconds=3, id="good")
    with pytest.raises(JobExportError) as raised:
        scheduler.export_jobs(path)
    assert [job_id for job_id, _ in raised.value.problems] == ["a lambda", "an object"]
    reasons = dict(raised.value.problems)
    assert "reference to the callable could not be determined" in reasons["a lambda"]
    assert "args[1] (of type object) cannot be stored" in reasons["an object"]
    assert not path.exists()
    with caplog.at_level(logging.WARNING, "mainspring.scheduler"):
        report = scheduler.export_jobs(path, on_error="skip")
    assert (report.exported, report.left_out) == (1, raised.value.problems)
    assert [entry["id"] for entry in entries(path)] == ["good"]
    assert 'Job "an object" was not exported' in caplog.text


def test_a_job_whose_code_is_not_here_is_exported_as_it_is_stored(tmp_path: Path, path: Path) -> None:
    def open_() -> VirtualScheduler:
        return virtual(jobstores={"default": SQLAlchemyJobStore(f"sqlite:///{tmp_path}/jobs.sqlite")})

    with vanishing_module() as module, started(open_(), paused=True) as scheduler:
        scheduler.add_job(module.work, "interval", seconds=60, args=["x"], id="a")
    with started(open_(), paused=True) as scheduler:
        assert scheduler.get_jobs() == []  # it is in quarantine
        assert scheduler.export_jobs(path) == ExportReport(1)
    assert entries(path)[0]["job"]["args"] == ["x"]
    with started(virtual(), paused=True) as scheduler:
        # It is imported where the code is.
        with pytest.raises(JobImportError, match="'a': UnresolvableReferenceError"):
            scheduler.import_jobs(path)
        with vanishing_module():
            assert scheduler.import_jobs(path) == ImportReport(1)


def test_runs_that_go_on_stay_where_they_are(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scheduler, _ = background()
    inside: list[ExportReport] = []
    heard = Heard(scheduler)
    EXPORTS[:] = [lambda: inside.append(scheduler.export_jobs(path))]
    with started(scheduler):
        scheduler.add_job(export_now, "interval", seconds=60, id="a", next_run_time=START)
        scheduler.add_job(work, "interval", seconds=60, id="b")
        heard.wait(EVENT_JOB_EXECUTED, "a")
    assert inside == [ExportReport(2, (), 1)]
    assert "Runs that went on while jobs were exported: 1" in caplog.text
    assert [(entry["id"], entry["runs"]) for entry in entries(path)] == [("a", []), ("b", [])]


EXPORTS: list[Any] = []


def export_now() -> None:
    """A job that exports the jobs."""
    EXPORTS[0]()


def test_an_export_tells_how_far_it_is_and_can_be_stopped(scheduler: VirtualScheduler, path: Path) -> None:
    scheduler.add_jobs({"func": work, "trigger": "interval", "hours": 1} for _ in range(2_500))
    told: list[Progress] = []
    scheduler.export_jobs(path, on_progress=told.append)
    assert told == [
        Progress("exporting", 1_000, None),
        Progress("exporting", 2_000, None),
        Progress("exporting", 2_500, 2_500),
    ]

    def stop(progress: Progress) -> None:
        raise KeyboardInterrupt

    path.unlink()
    with pytest.raises(KeyboardInterrupt):
        scheduler.export_jobs(path, on_progress=stop)
    assert not path.exists()


@pytest.mark.parametrize("call", ["export_jobs", "import_jobs"])
def test_options_that_are_not_known_are_refused(scheduler: VirtualScheduler, path: Path, call: str) -> None:
    option = {"export_jobs": "on_error", "import_jobs": "on_conflict"}[call]
    with pytest.raises(ValueError, match=f'{option} must be "error" or "skip", got \'ignore\''):
        getattr(scheduler, call)(path, **{option: "ignore"})


@pytest.mark.parametrize("call", ["export_jobs", "import_jobs"])
def test_progress_is_told_to_a_function(scheduler: VirtualScheduler, path: Path, call: str) -> None:
    with pytest.raises(
        TypeError, match="on_progress must be a function that takes a Progress, or None, got 5"
    ):
        getattr(scheduler, call)(path, on_progress=5)


# -- importing ---------------------------------------------------------------------------------------------------------


def test_what_is_imported_is_announced_and_run(scheduler: VirtualScheduler, path: Path) -> None:
    scheduler.add_job(work, "interval", seconds=60, id="a")
    scheduler.add_job(work, "interval", seconds=60, id="b", executor="nowhere")
    scheduler.export_jobs(path)
    with started(virtual()) as other:
        heard = Heard(other)
        told: list[Progress] = []
        assert other.import_jobs(path, on_progress=told.append) == ImportReport(2)
        assert [progress.phase for progress in told] == ["checking", "writing", "writing", "releasing"]
        assert heard.of(EVENT_JOB_ADDED) == [
            JobEvent(EVENT_JOB_ADDED, "b", "default"),
            JobEvent(EVENT_JOB_ADDED, "a", "default"),
        ]
        assert [event.alias for event in heard.of(EVENT_EXECUTOR_UNKNOWN)] == ["nowhere"]
        other.advance(timedelta(seconds=60))
        assert heard.seconds("a") == [60]


def test_a_loop_that_sleeps_is_woken_for_what_is_imported(scheduler: VirtualScheduler, path: Path) -> None:
    scheduler.add_job(work, "interval", hours=1, id="a", next_run_time=START, misfire_grace_time=None)
    scheduler.export_jobs(path)
    other, _ = background()
    heard = Heard(other)
    with started(other):
        other.import_jobs(path)
        heard.wait(EVENT_JOB_EXECUTED, "a")


def test_a_store_that_is_not_there_is_refused(scheduler: VirtualScheduler, path: Path) -> None:
    scheduler.export_jobs(path)
    with pytest.raises(KeyError, match="No such job store: third"):
        scheduler.import_jobs(path, "third")


def test_ids_that_are_taken_are_named_or_skipped(scheduler: VirtualScheduler, path: Path) -> None:
    for job_id in ("a", "b", "c"):
        scheduler.add_job(work, "interval", seconds=60, id=job_id)
    scheduler.export_jobs(path)
    scheduler.remove_job("b")
    with pytest.raises(ConflictingIdsError, match="the ids of 2 jobs are taken") as raised:
        scheduler.import_jobs(path)
    assert isinstance(raised.value, ConflictingIdError)
    assert isinstance(raised.value, KeyError)
    assert sorted(raised.value.job_ids) == ["a", "c"]
    report = scheduler.import_jobs(path, on_conflict="skip")
    assert (report.imported, sorted(report.skipped)) == (1, ["a", "c"])
    assert scheduler.import_jobs(path, "other") == ImportReport(3)


def test_jobs_of_two_stores_with_one_id_are_not_mixed(scheduler: VirtualScheduler, path: Path) -> None:
    scheduler.add_job(work, "interval", seconds=60, id="a")
    scheduler.add_job(work, "interval", seconds=60, id="a", jobstore="other")
    scheduler.export_jobs(path)
    with (
        started(virtual(), paused=True) as other,
        pytest.raises(JobImportError, match="its id is there twice"),
    ):
        other.import_jobs(path)


def test_what_the_callback_raises_comes_through_and_nothing_is_imported(
    scheduler: VirtualScheduler, path: Path
) -> None:
    scheduler.add_job(work, "interval", seconds=60, id="a")
    scheduler.export_jobs(path)
    with started(virtual(), paused=True) as other:
        heard = Heard(other)

        def stop(progress: Progress) -> None:
            if progress.done and progress.phase == "writing":
                with pytest.raises(JobLookupError):
                    other.remove_job("a")
                with pytest.raises(JobLookupError):
                    other.pause_job("a")
                with pytest.raises(ConflictingIdError, match="an import that has not ended"):
                    other.add_job(work, "interval", seconds=60, id="a", replace_existing=True)
                with pytest.raises(ConflictingIdError, match="an import that has not ended"):
                    other.add_jobs(
                        [
                            {
                                "func": work,
                                "trigger": "interval",
                                "seconds": 60,
                                "id": "a",
                                "replace_existing": True,
                            }
                        ]
                    )
                assert other.get_job("a") is None
                assert (other.get_jobs(), other.get_runs(), other.get_parked_jobs()) == ([], [], [])
                assert other.explain_job("a").state == "importing"
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            other.import_jobs(path, on_progress=stop)
        assert ids(other) == []
        assert heard.of(EVENT_JOB_ADDED) == []
        other.import_jobs(path)
        assert ids(other) == ["a"]


def test_the_runs_of_jobs_that_arrive_are_not_shown(scheduler: VirtualScheduler) -> None:
    lost = Run(7, "schedule", (NOW,), NOW, "lost", owner="another/1/2/3", claimed_at=NOW)
    waiting = Run(8, "now", (NOW,), NOW, "waiting")
    for job_id, state in (("hidden", "importing"), ("there", "active")):
        plan = Plan(NOW, NOW, state, runs=(lost, waiting))  # type: ignore[arg-type]
        scheduler._jobstores["default"].insert([(new_job(job_id), plan)])
    assert [run.job_id for run in scheduler.get_lost_runs()] == ["there"]
    assert [run.job_id for run in scheduler.get_runs()] == ["there", "there"]


def test_an_import_from_a_job_or_a_listener_is_an_import(path: Path) -> None:
    with started(virtual(), paused=True) as scheduler:
        scheduler.add_job(work, "interval", seconds=60, id="a")
        scheduler.export_jobs(path)
    other = virtual(jobstores={"second": MemoryJobStore()})
    with started(other):
        other.add_listener(
            lambda event: event.jobstore == "default" and other.import_jobs(path, "second"), EVENT_JOB_ADDED
        )
        other.import_jobs(path)
        assert ids(other, jobstore="second") == ["a"]


# -- before the start --------------------------------------------------------------------------------------------------


def test_pending_jobs_are_exported_and_get_their_schedule_where_they_are_imported(path: Path) -> None:
    scheduler = virtual()
    scheduler.add_job(work, "interval", seconds=60, id="a")
    scheduler.add_job(work, "interval", seconds=60, id="paused", next_run_time=None)
    scheduler.add_job(work, IntervalTrigger(seconds=60), id="soon", next_run_time=at(7))
    assert scheduler.export_jobs(path) == ExportReport(3)
    for other in (virtual(), virtual()):
        with started(other, paused=True):
            other.import_jobs(path)
            assert {job.id: job.next_run_time for job in other.get_jobs()} == {
                "a": at(60),
                "paused": None,
                "soon": at(7),
            }
            paused = other.resume_job("paused")
            assert paused is not None
            assert paused.next_run_time == at(60)


def test_a_scheduler_that_is_stopped_does_not_write_an_empty_file(path: Path) -> None:
    with pytest.raises(SchedulerNotRunningError):
        virtual().export_jobs(path)
    assert not path.exists()


def test_what_is_imported_before_the_start_is_pending(scheduler: VirtualScheduler, path: Path) -> None:
    scheduler.add_job(work, "interval", seconds=60, id="a", jitter=5)
    scheduler.add_job(work, "interval", seconds=60, id="paused", next_run_time=None)
    scheduler.add_job(work, "interval", seconds=60, id="changed")
    scheduler.export_jobs(path)
    time = next(job.next_run_time for job in scheduler.get_jobs() if job.id == "a")
    other = virtual()
    assert other.import_jobs(path) == ImportReport(3)
    assert ids(other, pending=True) == ["a", "changed", "paused"]
    with pytest.raises(ConflictingIdsError):
        other.import_jobs(path)
    assert other.import_jobs(path, on_conflict="skip").imported == 0
    again = StringIO()
    other.export_jobs(again)
    other.reschedule_job("changed", trigger="interval", seconds=10)
    with started(other, paused=True):
        jobs = {job.id: job for job in other.get_jobs()}
        assert (jobs["a"].next_run_time, jobs["changed"].next_run_time) == (time, at(10))
        record = other._jobstores["default"].peek("a")
        assert record is not None
        assert record.fire_time != record.next_run_time
        assert jobs["paused"].next_run_time is None
    before = {entry["id"]: entry for entry in entries(path)}
    after = {entry["id"]: entry for entry in json.loads(again.getvalue())["jobs"]}
    for entry in before.values():
        entry.pop("runs")
    assert after == before


def test_what_cannot_be_pending_is_named_and_nothing_is_imported(
    scheduler: VirtualScheduler, path: Path
) -> None:
    scheduler.add_job(work, "interval", seconds=60, id="a")
    scheduler.add_job(work, "interval", seconds=60, id="b")
    scheduler.run_job_now("b")
    scheduler.export_jobs(path)
    other = virtual()
    with pytest.raises(
        JobImportError, match=r"'b': it has runs that wait or were lost.*start\(paused=True\)"
    ):
        other.import_jobs(path)
    assert ids(other, pending=True) == []
    with started(other, paused=True):
        other.import_jobs(path)
        assert [(run.job_id, run.kind) for run in other.get_runs()] == [("b", "now")]
